"""One camera: its picture now, how it is, and its zones, which go to its box as a new configuration."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse, Response
from nicegui import Client, ui
from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from alerts.console.context import Visitor
from alerts.console.coverage import coverage_table
from alerts.console.dialogs import Dialogs
from alerts.console.elements import CameraPicture, Node
from alerts.console.fleet import CameraLine
from alerts.console.formats import local
from alerts.console.imports import Import, import_dialog
from alerts.console.shell import attributes, el, frame
from alerts.console.texts import CAMERA_STATES
from alerts.console.wall import camera_path, why_blind
from alerts.services.errors import NotFound
from alerts.services.rights import Right
from alerts.services.views import CameraView, HourView
from alerts.services.zones import CameraZones, ZoneService
from alerts.zones import ViewZones, ZoneShape

MAX_CONFIG_BYTES = 1 << 20
COVERAGE_DAYS = 7
ANSWER_S = 240  # a box tries a configuration for up to some minutes
REPORT_S = 60  # it says each half minute what it runs
ASK_S = 1.0
_TEXTS = (
    "live_wait", "live_none", "live_now", "live_still", "live_again", "box_away",
    "new_zone", "zone_id", "add_corner", "remove_zone", "corner",
)  # fmt: skip
_DRAWN = TypeAdapter(tuple[ZoneShape, ...])


class CameraPage(Dialogs):
    """The page of one camera."""

    right = Right.ADMIN

    def __init__(
        self,
        visitor: Visitor,
        client: Client,
        line: CameraLine,
        camera: CameraView,
        zones: CameraZones | None,
        preset: str,
        hours: tuple[HourView, ...],
    ) -> None:
        """Keep what is shown; ``zones`` is None where central does not hold the box's configuration."""
        super().__init__(visitor, client)
        self._line = line
        self._camera = camera
        self._zones = zones
        self._hours = hours
        views = zones.views if zones else ()
        self._view = next((view for view in views if view.preset == preset), views[0] if views else None)
        self._drawn: tuple[ZoneShape, ...] | None = None
        self._result: Node | None = None

    @property
    def _service(self) -> ZoneService | None:
        return self.visitor.console.zones

    @property
    def _edits(self) -> bool:
        return Right.ADMIN in self.visitor.user.rights and self._service is not None

    async def refresh(self) -> None:
        """Show the zones once a configuration was handed in; what was sent is told by :meth:`_follow`."""
        if self._zones is None:
            self._reload()

    def _reload(self) -> None:
        if not self._client.is_deleted:
            with self._client:
                ui.navigate.reload()

    def build(self) -> None:
        """Make the page."""
        camera, words, base = self._camera, self._words, self.visitor.base
        name = camera.name or camera.camera
        with frame(self.visitor, "", name), el("main", "tw-incident"):
            with el("section", "tw-title"):
                el("h1", text=name)
                with el("div", "tw-sub"):
                    el("span", text=why_blind(self._line, words))
                    el("span", text=f"{camera.edge} · {camera.site}")
                el("div", "tw-gap")
                back = attributes(el("a", "tw-btn tw-hide-phone"), href=f"{base}/cameras", data_key="Escape")
                with back:
                    el("span", text=words("back"))
                    el("kbd", text="Esc")
            with el("section"):
                picture = CameraPicture(
                    {key: words(key) for key in _TEXTS},
                    url=f"{base}/api/v1{camera_path(camera.edge, camera.camera)}/live",
                    zones=_plain(self._view),
                    ruled=sorted(self._view.ruled) if self._view else [],
                    editable=self._edits and self._view is not None,
                )
                picture.on("draw", lambda event: self._draw(event.args))
            with el("aside", "tw-side"):
                self._facts()
                with el("section", "tw-panel"):
                    el("h2", text=words("coverage_hours"))
                    coverage_table(self._hours, words, self.visitor.console.zone)
                if self._edits:
                    self._zone_panel()

    def _facts(self) -> None:
        camera, words, zone = self._camera, self._words, self.visitor.console.zone
        seen = local(camera.last_captured_at, zone) if camera.last_captured_at else ""
        pairs = [
            ("state", words.name(CAMERA_STATES, self._line.state)),
            ("since", local(camera.state_since, zone)),
            ("last_picture", seen),
            ("coverage", f"{camera.covered_s:.0f} s"),
            ("interval", f"{camera.interval_s:g} s" if camera.interval_s else ""),
            ("gap", f"{camera.gap_p95_s:.1f} s" if camera.gap_p95_s is not None else ""),
            ("lag", f"{camera.lag_p95_ms:.0f} ms" if camera.lag_p95_ms is not None else ""),
            ("drops", str(camera.dropped)),
        ]
        with el("section", "tw-panel"):
            el("h2", text=words("facts"))
            with el("dl", "tw-facts"):
                for key, value in pairs:
                    if value:
                        el("dt", text=words(key))
                        el("dd", text=value)

    def _zone_panel(self) -> None:
        words = self._words
        with el("section", "tw-panel"):
            el("h2", text=words("zones"))
            with el("div", "tw-duty"):
                if self._zones is None:
                    el("p", "tw-dim", words("no_config"))
                    button = attributes(el("button", "tw-btn", words("hand_in_config")), type="button")
                    button.on("click", self._hand_in)
                    return
                self._presets(self._zones)
                el("p", "tw-dim", words("zones_hint"))
                send = attributes(el("button", "tw-btn tw-primary", words("send_zones")), type="button")
                attributes(send, data_do="send")
                send.on("click", self._send)
                self._result = attributes(el("p", "tw-result"), role="status")

    def _presets(self, zones: CameraZones) -> None:
        if len(zones.views) < 2:
            return
        here = self.visitor.base + camera_path(self._camera.edge, self._camera.camera)
        with el("div", "tw-bar"):
            for view in zones.views:
                chip = attributes(el("a", "tw-chip", view.preset), href=f"{here}?preset={view.preset}")
                attributes(chip, aria_current="true" if view is self._view else None)

    def _draw(self, drawn: Any) -> None:
        try:
            self._drawn = _DRAWN.validate_python(drawn)
        except ValidationError:
            return  # no browser of ours sends that

    async def _send(self) -> None:
        service, zones, view, camera = self._service, self._zones, self._view, self._camera
        if service is None or zones is None or view is None:
            return
        drawn = view.zones if self._drawn is None else self._drawn
        sent: list[str] = []
        if await self.do(
            lambda user: sent.append(
                service.send(camera.edge, camera.camera, view.preset, drawn, version=zones.version, user=user)
            ),
            self._words("send_zones"),
        ):
            await self._follow(service, sent[0])

    async def _follow(self, service: ZoneService, command_id: str) -> None:
        """Say what the box makes of it, until it has answered."""
        words = self._words
        self._tell(words("box_tries"), "")
        for _ in range(int(ANSWER_S / ASK_S)):
            state = await run_in_threadpool(service.state, command_id)
            if state.ok is not None or self._client.is_deleted:
                break
            await asyncio.sleep(ASK_S)
        if state.ok:
            self._tell(words("zones_run"), "tw-ok")
            await self._await_report(service)
        else:
            why = state.detail if state.ok is False else words("no_answer")
            self._tell(words("zones_refused", why=why), "tw-bad")

    async def _await_report(self, service: ZoneService) -> None:
        """Show the zones anew once the box's health names the configuration that it runs now."""
        edge, former = self._camera.edge, self._zones.version if self._zones else ""
        for _ in range(int(REPORT_S / ASK_S)):
            if self._client.is_deleted or await run_in_threadpool(service.version, edge) != former:
                break
            await asyncio.sleep(ASK_S)
        self._reload()

    def _tell(self, text: str, tone: str) -> None:
        if self._result is not None and not self._client.is_deleted:
            self._result.classes(replace=f"tw-result {tone}")
            self._result.text = text

    def _hand_in(self) -> None:
        service, words, edge = self._service, self._words, self._camera.edge
        if service is None:
            return

        def take(data: bytes, user: str) -> None:
            service.keep_config(edge, data, user)

        import_dialog(
            self,
            Import(
                words("hand_in_config"),
                words("hand_in_hint", edge=edge),
                ".yaml,.yml",
                MAX_CONFIG_BYTES,
                Path.read_bytes,
                lambda data: f"{len(data)} B",
                take,
            ),
        )


def _plain(view: ViewZones | None) -> list[dict[str, Any]]:
    return [{"id": zone.id, "points": zone.points} for zone in view.zones] if view else []


async def camera_page(visitor: Visitor, client: Client, request: Request) -> Response | None:
    """``/cameras/{edge}/{camera}``: a camera that stands in the visitor's part of the city."""
    board, edge, name = visitor.console.board, request.path_params["edge"], request.path_params["camera"]
    fleet = visitor.console.services.fleet
    await board.look(visitor.user.within)
    line = board.camera(visitor.user.within, edge, name)
    views = await run_in_threadpool(fleet.list_cameras, only=[(edge, name)])
    if line is None or not views:
        return HTMLResponse(visitor.words("no_camera"), status_code=404)
    camera = views[0]
    zones = await run_in_threadpool(_zones, visitor, camera)
    hours = await run_in_threadpool(fleet.coverage, edge, name, days=COVERAGE_DAYS)
    CameraPage(visitor, client, line, camera, zones, request.query_params.get("preset", ""), hours).build()
    return None


def _zones(visitor: Visitor, camera: CameraView) -> CameraZones | None:
    if visitor.console.zones is None:
        return None
    try:
        return visitor.console.zones.of_camera(camera.edge, camera.camera)
    except NotFound:
        return None

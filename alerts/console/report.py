"""A report from the spot: what somebody saw, with pictures and where it is; made for a phone in one hand."""

from __future__ import annotations

import math
import uuid
from functools import partial
from typing import Any

from fastapi.responses import Response
from nicegui import Client, events, ui
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from alerts.catalogue.model import Catalogue
from alerts.console.context import Visitor
from alerts.console.dialogs import Dialogs
from alerts.console.elements import CityMap, Node
from alerts.console.fields import Fields
from alerts.console.handling import MAX_PICTURE_BYTES
from alerts.console.shell import attributes, el, frame
from alerts.services.errors import NotFound
from alerts.services.reports import MAX_NOTE, MAX_PICTURES, Report
from alerts.services.rights import Right
from alerts.services.views import IncidentSummary

BY_HAND_M = 20.0  # how well a place is known that somebody points at
# asks the phone where it is; a browser tells it to pages of https alone
_LOCATE = """(e) => navigator.geolocation?.getCurrentPosition(
    (p) => emit([p.coords.latitude, p.coords.longitude, p.coords.accuracy]), () => emit(null),
    {enableHighAccuracy: true, timeout: 15000}) ?? (navigator.geolocation || emit(null))"""


class ReportPage(Dialogs):
    """The page on which somebody reports what he sees."""

    right = Right.REPORT

    def __init__(self, visitor: Visitor, client: Client, catalogue: Catalogue) -> None:
        """Keep what can be reported; :meth:`build` makes the page."""
        super().__init__(visitor, client)
        self._catalogue = catalogue
        self._report_id = uuid.uuid4().hex  # pressing twice sends one report
        self._fields = Fields(self._check)
        self._pictures: list[str] = []
        self._accuracy_m = BY_HAND_M
        self._lines: dict[str, Node] = {}

    async def refresh(self) -> None:
        """Nothing on this page comes from elsewhere."""

    def build(self) -> None:
        """Make the page."""
        words = self._words
        with frame(self.visitor, "report", words("report")), el("main", "tw-body tw-report"):
            with el("section", "tw-panel tw-form"):
                self._item()
                self._camera()
                self._note()
            with el("section", "tw-panel tw-form"):
                self._where()
            with el("div", "tw-report-end"):
                self._said = attributes(el("p", "tw-result"), role="status")
                self._submit = attributes(
                    el("button", "tw-btn tw-primary", words("report_send")), type="button"
                )
                attributes(self._submit, data_do="report", disabled="")
                self._submit.on("click", self._send)

    def _item(self) -> None:
        words, zh = self._words, self._words.language == "zh"
        with el("label", "tw-row-field"):
            el("span", text=words("report_item"))
            field = attributes(el("select", "tw-input"), name="item", required="")
            with field:
                attributes(el("option", text=words("report_choose")), value="")
                for category in self._catalogue.categories:
                    with attributes(el("optgroup"), label=category.zh if zh else category.en):
                        for item in self._catalogue.items:
                            if item.category == category.code:
                                attributes(el("option", text=item.zh if zh else item.en), value=item.code)
        self._fields.watch("item", field, "change")

    def _camera(self) -> None:
        words = self._words
        with attributes(el("div", "tw-row-field"), role="group", aria_label=words("report_pictures")):
            el("span", text=words("report_pictures"))
            upload = ui.upload(
                label=words("add_pictures"), on_upload=self._take,
                auto_upload=True, multiple=True, max_file_size=MAX_PICTURE_BYTES,
            )  # fmt: skip
            upload.props(f'flat bordered max-files={MAX_PICTURES} accept="image/jpeg,image/png"')
            upload.classes("tw-upload")
            self._proofs = attributes(el("div", "tw-proofs"), role="status")

    def _note(self) -> None:
        with el("label", "tw-row-field"):
            el("span", text=self._words("report_note"))
            note = attributes(el("textarea", "tw-input"), name="note", rows=3, maxlength=MAX_NOTE)
        self._fields.watch("note", note, "input")

    def _where(self) -> None:
        words, settings, board = self._words, self.visitor.console.settings, self.visitor.console.board
        with el("div", "tw-bar"):
            el("h2", text=words("place"))
            here = attributes(el("button", "tw-btn", words("report_here")), type="button", data_do="locate")
            here.on("click", self._located, js_handler=_LOCATE)
        start = (*settings.centre, settings.zoom) if settings.centre else None
        bounds = board.fleet.bounds()
        if start is None and bounds is not None:
            west, south, east, north = bounds
            start = ((south + north) / 2, (west + east) / 2, 11)
        self._map = CityMap(
            {"language": words.language}, base=self.visitor.base, tiles=settings.tile_url, start=start,
            areas=("city", "county", "township"), pick=True,
        )  # fmt: skip
        self._map.on("pick", lambda event: self._put(float(event.args["lat"]), float(event.args["lon"])))
        with el("div", "tw-bar"):
            for name in ("lat_deg", "lon_deg"):
                with el("label", "tw-row-field"):
                    el("span", text=words(name))
                    line = attributes(el("input", "tw-input"), name=name, inputmode="decimal", size=11)
                self._lines[name] = line
                self._fields.watch(name, line, "change")
                line.on("change", self._typed, js_handler="() => emit()")

    # what happens

    async def _take(self, event: events.UploadEventArguments) -> None:
        user = await self.visitor.still_in()
        if user is None or Right.REPORT not in user.rights:
            self.say(self._words("may_not" if user else "expired"), "negative")
            return
        if len(self._pictures) >= MAX_PICTURES:
            self.say(self._words("pictures_most", most=MAX_PICTURES), "warning")
            return
        digest = await self.keep_picture(await event.file.read(), user.name)
        if digest is not None and digest not in self._pictures:
            self._pictures.append(digest)
        self._proofs.text = self._words("report_taken", count=len(self._pictures))
        self._check()

    def _located(self, event: Any) -> None:
        if not isinstance(event.args, list) or len(event.args) != 3:
            self.say(self._words("report_nowhere"), "warning")
            return
        lat, lon, accuracy = map(float, event.args)
        self._put(lat, lon, accuracy)
        self._map.run_method("near", lat, lon)

    def _put(self, lat: float, lon: float, accuracy_m: float = BY_HAND_M) -> None:
        self._accuracy_m = min(2000.0, max(1.0, accuracy_m))
        for name, value in (("lat_deg", lat), ("lon_deg", lon)):
            self._fields.values[name] = f"{value:.6f}"
            attributes(self._lines[name], value=f"{value:.6f}")
        self._check()

    def _typed(self) -> None:
        self._accuracy_m = BY_HAND_M
        place = self._place()
        if place is not None:
            self._map.run_method("near", *place)

    def _place(self) -> tuple[float, float] | None:
        try:
            lat, lon = (float(self._fields.values[name]) for name in ("lat_deg", "lon_deg"))
        except ValueError:
            return None
        known = math.isfinite(lat) and math.isfinite(lon) and abs(lat) <= 90 and abs(lon) <= 180
        return (lat, lon) if known else None

    def _check(self) -> None:
        whole = self._fields.values["item"] and self._pictures and self._place()
        attributes(self._submit, disabled=None if whole else "")

    async def _send(self) -> None:
        place, user = self._place(), await self.visitor.still_in()
        if place is None or user is None:
            self.say(self._words("expired" if place else "report_nowhere"), "warning")
            return
        values, made = self._fields.values, list[IncidentSummary]()
        seen = Report(
            item=values["item"], lat_deg=place[0], lon_deg=place[1], accuracy_m=self._accuracy_m,
            note=values["note"].strip(), pictures=tuple(self._pictures), report_id=self._report_id,
        )  # fmt: skip
        reports = self.visitor.console.services.reports
        attributes(self._submit, disabled="")
        if await self.do(lambda _name: made.append(reports.report(seen, user=user)), self._words("report")):
            await self._done(made[0].id)
        else:
            self._check()

    async def _done(self, incident_id: int) -> None:
        """Go to the incident where its reporter sees it, else say its number."""
        services, within = self.visitor.console.services, self.visitor.user.within
        base, there = self.visitor.base, partial(services.incidents.sees, within, incident_id=incident_id)
        if await run_in_threadpool(there):
            with self._client:
                ui.navigate.to(f"{base}/incidents/{incident_id}")
        else:
            self._said.classes("tw-ok")
            self._said.text = self._words("report_number", number=incident_id)


async def report_page(visitor: Visitor, client: Client, _request: Request) -> Response | None:
    """``/report``: report something of the catalogue."""
    try:
        loaded = await run_in_threadpool(visitor.console.services.catalogue.get)
    except NotFound:
        with frame(visitor, "report", visitor.words("report")), el("main", "tw-body"):
            el("div", "tw-panel tw-empty", visitor.words("no_catalogue"))
        return None
    ReportPage(visitor, client, loaded.catalogue).build()
    return None

"""One incident: its evidence side by side, what is known of it, and what to do about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi.responses import HTMLResponse, Response
from nicegui import Client, ui
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from alerts import texts as shared
from alerts.console import payload
from alerts.console.context import Visitor, on_gone, push, to_login, visitor_of
from alerts.console.elements import CityMap, EvidencePane, Node
from alerts.console.formats import duration, local
from alerts.console.rows import SEVERITY
from alerts.console.shell import attributes, el, frame
from alerts.console.texts import SEVERITIES
from alerts.services.errors import Conflict, ServiceError
from alerts.services.errors import NotFound as IncidentNotFound
from alerts.services.views import AlertView, IncidentView, UserView
from alerts.states import Action, IllegalTransition
from towerwatch.timebase import utc_now

ACTION_KEYS = {Action.CONFIRM: "c", Action.DISMISS: "d", Action.CLOSE: "x", Action.REOPEN: "r"}
_EVIDENCE_TEXTS = (
    "evidence", "boxes", "zones", "no_zones", "judge_hint", "judge_box", "not_here", "no_evidence",
    "box_true", "box_false", "box_unsure", "cancel", "back",
)  # fmt: skip
_REASON_KEYS = "1234567890qe"


class IncidentPage:
    """The page of one incident; it follows what others do to it."""

    def __init__(self, visitor: Visitor, client: Client, incident: IncidentView) -> None:
        """Keep what is shown; :meth:`build` makes the page."""
        self._visitor = visitor
        self._words = visitor.words
        self._client = client
        self._incident = incident
        self._alert_id = incident.alerts[0].id if incident.alerts else None
        self._pane: EvidencePane | None = None
        self._parts: list[tuple[Node, Callable[[], None]]] = []
        self._busy = asyncio.Lock()

    @property
    def _alert(self) -> AlertView | None:
        return next((alert for alert in self._incident.alerts if alert.id == self._alert_id), None)

    def build(self) -> None:
        """Make the page and watch the incident."""
        words, incident = self._words, self._incident
        kind = words.name(shared.KINDS, incident.kind)
        main = f"tw-incident tw-sev-{SEVERITY[incident.kind]}"
        with frame(self._visitor, "", f"#{incident.id} {kind}"), el("main", main):
            self._part(el("section", "tw-title"), self._title)
            with el("section"):
                self._part(el("div", "tw-episodes"), self._episodes)
                self._evidence()
            with el("aside", "tw-side"):
                self._part(el("section", "tw-panel"), self._facts)
                self._minimap()
                self._part(el("section", "tw-panel"), self._timeline)
        on_gone(self._client, self._visitor.console.board.watch(incident.id, self.refresh))

    def _part(self, node: Node, fill: Callable[[], None]) -> None:
        self._parts.append((node, fill))
        with node:
            fill()

    async def refresh(self) -> None:
        """Read the incident again and show what is new."""
        services = self._visitor.console.services
        self._incident = await run_in_threadpool(services.incidents.get_incident, self._incident.id)
        self._show()

    def _show(self) -> None:
        if self._client.is_deleted:
            return
        with self._client:
            for node, fill in self._parts:
                node.clear()
                with node:
                    fill()
        if self._pane is not None and self._alert is not None:
            self._pane.show(self._shown(self._alert))

    # -- what is shown

    def _title(self) -> None:
        words, incident, zone = self._words, self._incident, self._visitor.console.zone
        el("h1", text=words.name(shared.KINDS, incident.kind))
        el("span", f"tw-state tw-state-{incident.state}", words.name(shared.STATES, incident.state))
        with el("div", "tw-sub"):
            el("span", text=f"#{incident.id}")
            el("span", text=words.name(SEVERITIES, SEVERITY[incident.kind]))
            camera = incident.camera_name or incident.camera
            el("span", text=f"{camera} · {incident.zone}" if incident.zone else camera)
            el("time", text=local(incident.started_at, zone))
            lasted = (incident.ended_at or utc_now()) - incident.started_at
            ended = words("ended") if incident.ended_at else words("still")
            el("span", text=f"{duration(lasted.total_seconds(), words)} · {ended}")
            for warning in payload.warnings(incident, self._alert, words):
                el("span", "tw-warn", warning)
        with el("div", "tw-actions"):
            self._buttons()

    def _buttons(self) -> None:
        words, base = self._words, self._visitor.base
        if self._visitor.user.may_act:
            for number, action in enumerate(self._incident.actions):
                button = el("button", "tw-btn tw-primary" if number == 0 else "tw-btn")
                attributes(button, type="button", data_key=ACTION_KEYS[action], data_action=action)
                button.on("click", partial(self._ask, action))
                with button:
                    el("span", text=words.name(shared.ACTIONS, action))
                    el("kbd", text=ACTION_KEYS[action])
        following = attributes(el("button", "tw-btn"), type="button", data_key="n")
        following.on("click", js_handler=f"() => window.tw.next({base!r}, {self._incident.id})")
        with following:
            el("span", text=words("next"))
            el("kbd", text="n")
        back = attributes(el("a", "tw-btn tw-hide-phone"), href=f"{base}/", data_key="Escape")
        with back:
            el("span", text=words("back"))
            el("kbd", text="Esc")

    def _episodes(self) -> None:
        if len(self._incident.alerts) < 2:
            return
        for alert in self._incident.alerts:
            at = local(alert.started_at, self._visitor.console.zone)[11:]
            chip = el("button", "tw-chip", f"{alert.camera} {at}")
            attributes(chip, type="button", aria_pressed=str(alert.id == self._alert_id).lower())
            chip.on("click", partial(self._choose, alert.id))

    def _choose(self, alert_id: str) -> None:
        self._alert_id = alert_id
        self._show()

    def _evidence(self) -> None:
        texts = {key: self._words(key) for key in _EVIDENCE_TEXTS}
        alert = self._alert
        if alert is not None:
            self._pane = EvidencePane(self._shown(alert), texts, base=self._visitor.base)
            self._pane.on("judge", lambda event: self._judge(event.args))

    def _shown(self, alert: AlertView) -> dict[str, Any]:
        visitor = self._visitor
        return payload.evidence(alert, self._words, visitor.console.zone, may_judge=visitor.user.may_act)

    def _facts(self) -> None:
        el("h2", text=self._words("facts"))
        pairs = payload.facts(self._incident, self._alert, self._words, self._visitor.console.zone, utc_now())
        with el("dl", "tw-facts"):
            for name, value in pairs:
                el("dt", text=name)
                el("dd", text=value)

    def _minimap(self) -> None:
        where, settings = self._incident.place, self._visitor.console.settings
        if where is None:
            return
        known = where.semi_major_m > 0
        ellipse = [where.semi_major_m, where.semi_minor_m, where.orientation_deg] if known else None
        severity = SEVERITY[self._incident.kind]
        spot = {"lat": where.lat_deg, "lon": where.lon_deg, "severity": severity, "ellipse": ellipse}
        sights = [{**sight, "severity": severity} for sight in payload.sights(self._incident)]
        fixed = {"center": [where.lat_deg, where.lon_deg], "zoom": 14, "spot": spot, "sights": sights}
        with el("section", "tw-panel"), el("div", "tw-minimap"):
            CityMap({}, base=self._visitor.base, tiles=settings.tile_url, fixed=fixed)

    def _timeline(self) -> None:
        el("h2", text=self._words("timeline"))
        with el("ol", "tw-timeline"):
            for entry in reversed(self._incident.timeline):
                with el("li"):
                    el("time", text=local(entry.at, self._visitor.console.zone)[5:])
                    with el("span"):
                        el("span", text=payload.line(entry, self._words))
                        el("span", "tw-dim", f" · {payload.actor(entry, self._words)}")

    # -- what is done

    async def _ask(self, action: Action) -> None:
        """Confirm and reopen act at once; dismissing asks why, closing what was done."""
        if action is Action.DISMISS:
            self._dismiss_dialog()
        elif action is Action.CLOSE:
            self._note_dialog(action)
        else:
            await self._act(action)

    def _dismiss_dialog(self) -> None:
        words = self._words
        chosen: dict[str, str] = {}
        chips: dict[str, Node] = {}

        def choose(reason: str) -> None:
            chosen["reason"] = reason
            for key, chip in chips.items():
                attributes(chip, aria_pressed=str(key == reason).lower())
            attributes(submit, disabled=None)

        with self._client, ui.dialog() as dialog, el("div", "tw-dialog"):
            el("h2", text=words("dismiss_title"))
            with el("div", "tw-reasons"):
                for key, reason in zip(_REASON_KEYS, shared.DISMISS_REASONS, strict=True):
                    chips[reason] = el("button", "tw-chip")
                    attributes(chips[reason], type="button", data_key=key, data_reason=reason)
                    chips[reason].on("click", partial(choose, reason))
                    with chips[reason]:
                        el("span", text=words.name(shared.DISMISS_REASONS, reason))
                        el("kbd", text=key)
            note = self._note(words("note"))

            async def done() -> None:
                dialog.close()
                await self._act(Action.DISMISS, reason=chosen["reason"], note=note["text"])

            submit = self._ends(dialog, Action.DISMISS, done)
            attributes(submit, disabled="")
        _open_once(dialog)

    def _note_dialog(self, action: Action) -> None:
        with self._client, ui.dialog() as dialog, el("div", "tw-dialog"):
            el("h2", text=self._words.name(shared.ACTIONS, action))
            note = self._note(self._words("close_note"))

            async def done() -> None:
                dialog.close()
                await self._act(action, note=note["text"])

            self._ends(dialog, action, done)
        _open_once(dialog)

    @staticmethod
    def _note(label: str) -> dict[str, str]:
        note = {"text": ""}
        box = attributes(el("textarea", "tw-input"), placeholder=label, aria_label=label, maxlength=512)
        box.on(
            "input", lambda e: note.update(text=str(e.args)[:512]), js_handler="(e) => emit(e.target.value)"
        )
        return note

    def _ends(self, dialog: ui.dialog, action: Action, done: Callable[[], Any]) -> Node:
        words = self._words
        with el("div", "tw-dialog-end"):
            cancel = attributes(el("button", "tw-btn tw-quiet"), type="button")
            cancel.on("click", dialog.close)
            with cancel:
                el("span", text=words("cancel"))
                el("kbd", text="Esc")
            submit = attributes(el("button", "tw-btn tw-primary"), type="button", data_key="Enter")
            submit.on("click", done)
            with submit:
                el("span", text=words.name(shared.ACTIONS, action))
                el("kbd", text="Enter")
        return submit

    async def _act(self, action: Action, *, reason: str = "", note: str = "") -> None:
        words, incidents = self._words, self._visitor.console.services.incidents
        version = self._incident.version
        calls: dict[Action, Callable[[str], Any]] = {
            Action.CONFIRM: lambda user: incidents.confirm(self._incident.id, user=user, version=version),
            Action.DISMISS: lambda user: incidents.dismiss(
                self._incident.id, reason, user=user, note=note, version=version
            ),
            Action.CLOSE: lambda user: incidents.close(
                self._incident.id, user=user, note=note, version=version
            ),
            Action.REOPEN: lambda user: incidents.reopen(
                self._incident.id, user=user, note=note, version=version
            ),
        }
        if await self._ask_service(calls[action]):
            self._say(words("done", action=words.name(shared.ACTIONS, action)), "positive")

    async def _judge(self, args: dict[str, Any]) -> None:
        verdicts = self._visitor.console.services.verdicts
        await self._ask_service(
            lambda user: verdicts.judge_box(
                str(args["alert_id"]),
                int(args["phase_seq"]),
                int(args["box_index"]),
                args["verdict"],
                user=user,
            )
        )

    async def _ask_service(self, call: Callable[[str], Any]) -> bool:
        """Do something in the name of who is logged in now, show the new state, say what was refused."""
        words = self._words
        async with self._busy:
            user: UserView | None = await self._visitor.still_in()
            if user is None or not user.may_act:
                self._say(words("may_not") if user else words("expired"), "negative")
                return False
            done = False
            try:
                await run_in_threadpool(call, user.name)
                done = True
            except (Conflict, IllegalTransition):
                self._say(words("changed_meanwhile"), "warning")
            except ServiceError as error:
                self._say(words("refused", why=str(error)), "negative")
            await self.refresh()
            return done

    def _say(self, text: str, kind: str) -> None:
        with self._client:
            ui.notify(text, type=kind, position="top", timeout=2500)  # type: ignore[arg-type]  # one of NiceGUI's
        push(self._client, "document.activeElement?.blur()")


def _open_once(dialog: ui.dialog) -> None:
    """Open a dialog that goes for good when it closes; the next one starts afresh."""
    dialog.on("hide", dialog.delete)
    dialog.open()


async def incident_page(request: Request, client: Client, incident_id: int) -> Response | None:
    """``/incidents/{incident_id}``: one incident."""
    visitor = await visitor_of(request)
    if visitor is None:
        return to_login(request)
    try:
        incident = await run_in_threadpool(visitor.console.services.incidents.get_incident, incident_id)
    except IncidentNotFound:
        return HTMLResponse(visitor.words("not_found"), status_code=404)
    IncidentPage(visitor, client, incident).build()
    return None

"""One incident: its evidence side by side, what is known of it, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from fastapi.responses import HTMLResponse, Response
from nicegui import Client
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from alerts import texts as shared
from alerts.console import payload
from alerts.console.context import Visitor, on_gone
from alerts.console.dialogs import Dialogs
from alerts.console.elements import CityMap, EvidencePane, Node
from alerts.console.formats import duration, local
from alerts.console.handling import HandlingPanel, pictures
from alerts.console.neighbours import Neighbour
from alerts.console.rows import SEVERITY
from alerts.console.shell import attributes, el, frame
from alerts.console.texts import SEVERITIES
from alerts.correlate import REPORTS
from alerts.services.errors import NotFound
from alerts.services.rights import Right
from alerts.services.views import AlertView, IncidentView, UserView
from alerts.states import Action
from towerwatch.timebase import utc_now

ACTION_KEYS = {
    Action.CONFIRM: "c",
    Action.DISMISS: "d",
    Action.DISPATCH: "g",
    Action.WITHDRAW: "u",
    Action.CHECK: "v",
    Action.SEND_BACK: "s",
    Action.CLOSE: "x",
    Action.EVALUATE: "e",
    Action.REOPEN: "r",
    Action.MERGE: "m",
}
_EVIDENCE_TEXTS = (
    "evidence", "boxes", "zones", "no_zones", "judge_hint", "judge_box", "not_here", "no_evidence",
    "box_true", "box_false", "box_unsure", "cancel", "back",
)  # fmt: skip
# the note that an action asks for, and whether it is needed
_NOTES = {
    Action.CLOSE: ("close_note", False),
    Action.WITHDRAW: ("withdraw_note", False),
    Action.SEND_BACK: ("send_back_note", True),
}
_REASON_KEYS = "1234567890qe"


class IncidentPage(Dialogs):
    """The page of one incident; it follows what others do to it."""

    conflict = "changed_meanwhile"

    def __init__(self, visitor: Visitor, client: Client, incident: IncidentView) -> None:
        """Keep what is shown; :meth:`build` makes the page."""
        super().__init__(visitor, client)
        self._incident = incident
        self._handling = HandlingPanel(self)
        self.names = visitor.names
        self._alert_id = incident.alerts[0].id if incident.alerts else None
        self._pane: EvidencePane | None = None
        self._parts: list[tuple[Node, Callable[[], None]]] = []

    @property
    def incident(self) -> IncidentView:
        """The incident, as it was read last."""
        return self._incident

    async def name_people(self) -> None:
        """Read what the rosters call those who did something."""
        users = {entry.actor for entry in self._incident.timeline}
        self.names = await run_in_threadpool(self.names.knowing, self.visitor.console.services, users)

    @property
    def _alert(self) -> AlertView | None:
        return next((alert for alert in self._incident.alerts if alert.id == self._alert_id), None)

    def build(self) -> None:
        """Make the page and watch the incident."""
        words, incident = self._words, self._incident
        kind = words.name(shared.KINDS, incident.kind)
        main = f"tw-incident tw-sev-{SEVERITY[incident.kind]}"
        with frame(self.visitor, "", f"#{incident.id} {kind}"), el("main", main):
            self._part(el("section", "tw-title"), self._title)
            with el("section"):
                self._part(el("div", "tw-episodes"), self._episodes)
                self._evidence()
                self._part(el("div"), self._looks)
            with el("aside", "tw-side"):
                self._part(el("section", "tw-panel tw-tasks"), self._handling.build)
                self._part(el("section", "tw-panel"), self._facts)
                self._minimap()
                self._part(el("section", "tw-panel"), self._timeline)
        on_gone(self._client, self.visitor.console.board.watch(incident.id, self.refresh))

    def _part(self, node: Node, fill: Callable[[], None]) -> None:
        self._parts.append((node, fill))
        with node:
            fill()

    async def refresh(self) -> None:
        """Read the incident again and show what is new.

        What is the same is not drawn again: a button that is replaced in vain loses the press on its way
        to it, and each action is heard of twice, from itself and from the board.
        """
        services = self.visitor.console.services
        incident = await run_in_threadpool(services.incidents.get_incident, self._incident.id)
        if incident != self._incident:
            self._incident = incident
            await self.name_people()
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
        words, incident, zone = self._words, self._incident, self.visitor.console.zone
        el("h1", text=words.name(shared.KINDS, incident.kind))
        el("span", f"tw-state tw-state-{incident.state}", words.name(shared.STATES, incident.state))
        with el("div", "tw-sub"):
            el("span", text=f"#{incident.id}")
            el("span", text=words.name(SEVERITIES, SEVERITY[incident.kind]))
            if incident.edge != REPORTS:
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
        words, base = self._words, self.visitor.base
        if self.visitor.user.may_act:
            for number, action in enumerate(self._incident.actions):
                button = el("button", "tw-btn tw-primary" if number == 0 else "tw-btn")
                if action is Action.MERGE:
                    button.classes("tw-hide-phone")
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
            at = local(alert.started_at, self.visitor.console.zone)[11:]
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
            self._pane = EvidencePane(self._shown(alert), texts, base=self.visitor.base)
            self._pane.on("judge", lambda event: self._judge(event.args))

    def _shown(self, alert: AlertView) -> dict[str, Any]:
        visitor = self.visitor
        return payload.evidence(alert, self._words, visitor.console.zone, may_judge=visitor.user.may_act)

    def _looks(self) -> None:
        """Show what the camera saw when it looked again."""
        if self._incident.looks:
            el("h2", "tw-looks", self._words("look_again"))
            pictures(self._incident.looks, self.visitor.base)

    def _facts(self) -> None:
        el("h2", text=self._words("facts"))
        pairs = payload.facts(self._incident, self._alert, self._words, self.visitor.console.zone, utc_now())
        with el("dl", "tw-facts"):
            for name, value in pairs:
                el("dt", text=name)
                el("dd", text=value)
        self._handling.filed()

    def _minimap(self) -> None:
        where, settings = self._incident.place, self.visitor.console.settings
        if where is None:
            return
        known = where.semi_major_m > 0
        ellipse = [where.semi_major_m, where.semi_minor_m, where.orientation_deg] if known else None
        severity = SEVERITY[self._incident.kind]
        spot = {"lat": where.lat_deg, "lon": where.lon_deg, "severity": severity, "ellipse": ellipse}
        sights = [{**sight, "severity": severity} for sight in payload.sights(self._incident)]
        near = self.visitor.console.board.near(
            self._incident.id, where.lat_deg, where.lon_deg, self.visitor.user.within
        )
        others = [
            {"id": one.row.id, "lat": one.spot.lat, "lon": one.spot.lon, "severity": one.row.severity}
            for one in near
        ]
        fixed = {
            "center": [where.lat_deg, where.lon_deg], "zoom": 14,
            "spot": spot, "sights": sights, "others": others,
        }  # fmt: skip
        with el("section", "tw-panel"):
            with el("div", "tw-minimap"):
                CityMap({}, base=self.visitor.base, tiles=settings.tile_url, fixed=fixed)
            self._neighbours(near)

    def _neighbours(self, near: Sequence[Neighbour]) -> None:
        if not near:
            return
        el("h2", text=self._words("near_by"))
        with el("div", "tw-near"):
            for one in near:
                link = el("a", f"tw-sev-{one.row.severity}")
                with attributes(link, href=f"{self.visitor.base}/incidents/{one.row.id}"):
                    el("b", text=self._words.name(shared.KINDS, one.row.kind))
                    el("span", "tw-dim", f"#{one.row.id} · {one.row.camera} · {one.distance_m:.0f} m")
                    el(
                        "span",
                        f"tw-state tw-state-{one.row.state}",
                        self._words.name(shared.STATES, one.row.state),
                    )

    def _timeline(self) -> None:
        el("h2", text=self._words("timeline"))
        with el("ol", "tw-timeline"):
            for entry in reversed(self._incident.timeline):
                with el("li"):
                    el("time", text=local(entry.at, self.visitor.console.zone)[5:])
                    with el("span"):
                        el("span", text=payload.line(entry, self._words, self.names))
                        el("span", "tw-dim", f" · {payload.actor(entry, self._words, self.names)}")

    # -- what is done

    async def _ask(self, action: Action) -> None:
        """Confirm, check and reopen act at once; the others ask for what they need."""
        if action is Action.DISMISS:
            self._dismiss_dialog()
        elif action is Action.DISPATCH:
            await self._handling.dispatch_dialog()
        elif action is Action.EVALUATE:
            self._handling.score_dialog()
        elif action is Action.MERGE:
            self._handling.merge_dialog()
        elif action in _NOTES:
            label, needed = _NOTES[action]
            call = partial(self._call, action)
            name = self._words.name(shared.ACTIONS, action)
            self.note_dialog(name, label, lambda note, user: call(user, note=note), needed=needed)
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

        with self.dialog(words("dismiss_title")) as dialog:
            with el("div", "tw-reasons"):
                for key, reason in zip(_REASON_KEYS, shared.DISMISS_REASONS, strict=True):
                    chips[reason] = el("button", "tw-chip")
                    attributes(chips[reason], type="button", data_key=key, data_reason=reason)
                    chips[reason].on("click", partial(choose, reason))
                    with chips[reason]:
                        el("span", text=words.name(shared.DISMISS_REASONS, reason))
                        el("kbd", text=key)
            note = self.note_box(words("note"))

            async def done() -> None:
                dialog.close()
                await self._act(Action.DISMISS, reason=chosen["reason"], note=note["text"])

            submit = self.dialog_end(dialog, words.name(shared.ACTIONS, Action.DISMISS), done)
            attributes(submit, disabled="")
        self.open_once(dialog)

    def _call(self, action: Action, user: str, *, reason: str = "", note: str = "") -> Any:
        """Ask the services for one action; Conflict if the incident is not what this page shows."""
        services, key, version = self.visitor.console.services, self._incident.id, self._incident.version
        incidents = services.incidents
        if action is Action.CONFIRM:
            return incidents.confirm(key, user=user, version=version)
        if action is Action.DISMISS:
            return incidents.dismiss(key, reason, user=user, note=note, version=version)
        noted: dict[Action, Callable[..., Any]] = {
            Action.CHECK: incidents.check,
            Action.CLOSE: incidents.close,
            Action.REOPEN: incidents.reopen,
            Action.WITHDRAW: services.tasks.withdraw,
            Action.SEND_BACK: services.tasks.send_back,
        }
        return noted[action](key, user=user, note=note, version=version)

    async def _act(self, action: Action, *, reason: str = "", note: str = "") -> None:
        call = partial(self._call, action, reason=reason, note=note)
        await self.do(call, self._words.name(shared.ACTIONS, action))

    async def _judge(self, args: dict[str, Any]) -> None:
        verdicts = self.visitor.console.services.verdicts
        await self.do(
            lambda user: verdicts.judge_box(
                str(args["alert_id"]),
                int(args["phase_seq"]),
                int(args["box_index"]),
                args["verdict"],
                user=user,
            )
        )

    async def may(self, user: UserView, right: Right, what: dict[str, int | str]) -> bool:
        """Say whether a person may do something about this incident."""
        return await super().may(user, right, {"incident_id": self._incident.id, **what})


async def incident_page(visitor: Visitor, client: Client, request: Request) -> Response | None:
    """``/incidents/{incident_id}``: one incident; one of elsewhere is not there."""
    incident = await run_in_threadpool(_incident, visitor, request.path_params["incident_id"])
    if incident is None:
        return HTMLResponse(visitor.words("not_found"), status_code=404)
    page = IncidentPage(visitor, client, incident)
    await page.name_people()
    page.build()
    return None


def _incident(visitor: Visitor, number: str) -> IncidentView | None:
    """Return an incident that the visitor sees."""
    incidents = visitor.console.services.incidents
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        return None
    try:
        incident = incidents.get_incident(int(number))
    except NotFound:
        return None
    return incident if incidents.sees(visitor.user.within, incident_id=incident.id) else None

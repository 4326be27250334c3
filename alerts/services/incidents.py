"""Incidents: list, look at, confirm, dismiss, close, reopen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from alerts.messages import Kind
from alerts.services.errors import Conflict, Invalid, NotFound
from alerts.services.rows import (
    alert_view,
    evidence_view,
    incident_summary,
    summary_fields,
    timeline_view,
    verdict_view,
)
from alerts.services.verdicts import check, current, record
from alerts.services.views import AlertView, IncidentPage, IncidentSummary, IncidentView
from alerts.states import OPEN_STATES, Action, State, step
from alerts.store import journal
from alerts.store.database import Database
from alerts.store.tables import (
    Alert,
    AlertPhase,
    Camera,
    EvidenceBlob,
    EvidenceRef,
    Incident,
    TimelineEntry,
)
from towerwatch.timebase import utc_now

MAX_PAGE = 500


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """Which incidents to list; an empty field restricts nothing.

    ``bbox`` is (west, south, east, north) in degrees, WGS 84. ``since`` and ``until`` bound the
    start of the incident.
    """

    states: frozenset[State] = frozenset()
    kinds: frozenset[Kind] = frozenset()
    site: str | None = None
    edge: str | None = None
    camera: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    bbox: tuple[float, float, float, float] | None = None
    ids: frozenset[int] = frozenset()


EVERYTHING = IncidentFilter()
OPEN = IncidentFilter(states=OPEN_STATES)


class IncidentService:
    """What people do with incidents."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def list_incidents(
        self, wanted: IncidentFilter = EVERYTHING, cursor: str | None = None, limit: int = 50
    ) -> IncidentPage:
        """Return one page, newest first; pass ``next_cursor`` back to go on.

        Raises:
            Invalid: the cursor is none of ours, or ``limit`` lies outside 1 to 500.

        """
        if not 1 <= limit <= MAX_PAGE:
            msg = f"limit {limit}: from 1 to {MAX_PAGE}"
            raise Invalid(msg)
        query = select(Incident, Camera).outerjoin(Camera, _CAMERA_OF).where(*_conditions(wanted))
        if cursor is not None:
            if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
                msg = f"cursor {cursor!r} is none of ours"
                raise Invalid(msg)
            query = query.where(Incident.id < int(cursor))
        with self._database.read() as session:
            rows = session.execute(query.order_by(Incident.id.desc()).limit(limit + 1)).all()
        items = tuple(incident_summary(row, camera) for row, camera in rows[:limit])
        return IncidentPage(items=items, next_cursor=str(items[-1].id) if len(rows) > limit else None)

    def count_by_state(self, wanted: IncidentFilter = EVERYTHING) -> dict[State, int]:
        """Count incidents by state; states without one are 0."""
        query = select(Incident.state, func.count()).where(*_conditions(wanted)).group_by(Incident.state)
        with self._database.read() as session:
            found: dict[str, int] = {state: count for state, count in session.execute(query)}  # noqa: C416 - rows are no pairs to mypy
        return {state: found.get(state, 0) for state in State}

    def get_incident(self, incident_id: int) -> IncidentView:
        """Return one incident with alerts, phases, evidence, verdicts and timeline, or raise NotFound."""
        with self._database.read() as session:
            row = _incident(session, incident_id)
            camera = session.get(Camera, (row.edge, row.camera))
            alerts = session.scalars(
                select(Alert).where(Alert.incident_id == row.id).order_by(Alert.started_at, Alert.id)
            ).all()
            lines = session.scalars(
                select(TimelineEntry).where(TimelineEntry.incident_id == row.id).order_by(TimelineEntry.id)
            )
            return IncidentView(
                **summary_fields(row, camera),
                alerts=_alert_views(session, alerts),
                timeline=tuple(timeline_view(line) for line in lines),
            )

    def get_alert(self, alert_id: str) -> AlertView:
        """Return one alert with phases, evidence and verdicts; raise NotFound without one."""
        with self._database.read() as session:
            alert = session.get(Alert, alert_id)
            if alert is None:
                msg = f"there is no alert {alert_id}"
                raise NotFound(msg)
            return _alert_views(session, [alert])[0]

    def confirm(self, incident_id: int, *, user: str, version: int | None = None) -> IncidentSummary:
        """File an incident: it is real. Alerts without a verdict get ``true``.

        Give the ``version`` that the person saw, and it is refused if somebody was faster.

        Raises:
            NotFound: there is no such incident.
            IllegalTransition: its state does not allow it.
            Conflict: it has changed since ``version``.

        """
        return self._act(incident_id, Action.CONFIRM, user, version=version)

    def dismiss(
        self, incident_id: int, reason: str, *, user: str, note: str = "", version: int | None = None
    ) -> IncidentSummary:
        """Dismiss an incident for a reason of ``texts.DISMISS_REASONS``; its alerts get ``false``.

        Raises as :meth:`confirm`, and Invalid for an unknown reason or too long a note.
        """
        check("false", reason, note)
        return self._act(incident_id, Action.DISMISS, user, reason=reason, note=note, version=version)

    def close(
        self, incident_id: int, *, user: str, note: str = "", version: int | None = None
    ) -> IncidentSummary:
        """Close a confirmed incident: it is done. Raises as :meth:`confirm`."""
        check("true", None, note)
        return self._act(incident_id, Action.CLOSE, user, note=note, version=version)

    def reopen(
        self, incident_id: int, *, user: str, note: str = "", version: int | None = None
    ) -> IncidentSummary:
        """Take a dismissal or closure back. Raises as :meth:`confirm`."""
        check("true", None, note)
        return self._act(incident_id, Action.REOPEN, user, note=note, version=version)

    def _act(
        self,
        incident_id: int,
        action: Action,
        user: str,
        *,
        reason: str | None = None,
        note: str = "",
        version: int | None = None,
    ) -> IncidentSummary:
        with self._database.write() as session:
            row = _incident(session, incident_id, lock=True)
            if version is not None and row.version != version:
                msg = f"incident {incident_id} has changed since (version {row.version}, not {version})"
                raise Conflict(msg)
            move(session, row, action, user, reason=reason, note=note)
            if action in _IMPLIED:
                _judge_rest(session, row.id, _IMPLIED[action], user, reason, note)
            session.flush()
            return incident_summary(row, session.get(Camera, (row.edge, row.camera)))


_CAMERA_OF = and_(Camera.edge == Incident.edge, Camera.camera == Incident.camera)
_IMPLIED = {Action.CONFIRM: "true", Action.DISMISS: "false"}


def move(
    session: Session,
    row: Incident,
    action: Action,
    actor: str,
    *,
    reason: str | None = None,
    note: str = "",
) -> None:
    """Take one step of the state machine within the caller's transaction; IllegalTransition if none."""
    before = State(row.state)
    after = step(before, action)
    row.state = after
    row.open = after in OPEN_STATES
    row.dismiss_reason = reason
    row.updated_at = utc_now()
    row.version += 1
    if not row.open or row.open_alert_count:
        row.closure_proposed_at = None
    elif action is Action.REOPEN:
        row.closure_proposed_at = row.updated_at
    detail = {key: value for key, value in (("reason", reason), ("note", note)) if value}
    journal.entry(session, row.id, actor, action, states=(before, after), detail=detail)
    journal.changed(session, "incident", str(row.id), action)


def _conditions(wanted: IncidentFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.states:
        conditions.append(Incident.state.in_(sorted(wanted.states)))
    if wanted.ids:
        conditions.append(Incident.id.in_(sorted(wanted.ids)))
    if wanted.kinds:
        conditions.append(Incident.kind.in_(sorted(wanted.kinds)))
    for column, value in (
        (Incident.site, wanted.site),
        (Incident.edge, wanted.edge),
        (Incident.camera, wanted.camera),
    ):
        if value is not None:
            conditions.append(column == value)
    if wanted.since is not None:
        conditions.append(Incident.started_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(Incident.started_at < wanted.until)
    if wanted.bbox is not None:
        west, south, east, north = wanted.bbox
        conditions += [Incident.lon_deg.between(west, east), Incident.lat_deg.between(south, north)]
    return conditions


def _incident(session: Session, incident_id: int, *, lock: bool = False) -> Incident:
    row = session.get(Incident, incident_id, with_for_update=lock)
    if row is None:
        msg = f"there is no incident {incident_id}"
        raise NotFound(msg)
    return row


def _judge_rest(
    session: Session, incident_id: int, verdict: str, user: str, reason: str | None, note: str
) -> None:
    """Give the alerts that nobody judged by themselves the verdict that the action implies."""
    alerts = session.scalars(select(Alert).where(Alert.incident_id == incident_id).order_by(Alert.id)).all()
    said = {row.alert_id: row for row in current(session, [a.id for a in alerts]) if row.box_index < 0}
    for alert in alerts:
        if alert.id not in said or said[alert.id].implied:
            record(session, alert, verdict, user=user, reason=reason, note=note, implied=True)


def _alert_views(session: Session, alerts: Sequence[Alert]) -> tuple[AlertView, ...]:
    """Gather all that hangs on some alerts with one query a table."""
    ids = [alert.id for alert in alerts]
    phases, evidence, verdicts = defaultdict(list), defaultdict(list), defaultdict(list)
    for phase in session.scalars(
        select(AlertPhase).where(AlertPhase.alert_id.in_(ids)).order_by(AlertPhase.phase_seq)
    ):
        phases[phase.alert_id].append(phase)
    for ref, here in session.execute(
        select(EvidenceRef, EvidenceBlob.sha256)
        .outerjoin(EvidenceBlob, EvidenceBlob.sha256 == EvidenceRef.sha256)
        .where(EvidenceRef.alert_id.in_(ids))
        .order_by(EvidenceRef.captured_at, EvidenceRef.id)
    ):
        evidence[ref.alert_id].append(evidence_view(ref, present=here is not None))
    for verdict in current(session, ids):
        verdicts[verdict.alert_id].append(verdict_view(verdict))
    cameras = {key: session.get(Camera, key) for key in {(alert.edge, alert.camera) for alert in alerts}}
    return tuple(
        alert_view(
            alert,
            cameras[alert.edge, alert.camera],
            phases[alert.id],
            evidence[alert.id],
            verdicts[alert.id],
        )
        for alert in alerts
    )

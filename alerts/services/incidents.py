"""Incidents: list, look at, confirm, dismiss, check, close, evaluate, reopen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from alerts.messages import EvidenceRole, Kind
from alerts.moves import move
from alerts.outbox import Target
from alerts.services.dismissals import tell_boxes
from alerts.services.errors import Invalid, NotFound
from alerts.services.locked import changing, find_incident
from alerts.services.rights import EVERYWHERE, Reach, Within, sees
from alerts.services.rows import (
    alert_view,
    evidence_view,
    incident_summary,
    picture_view,
    summary_fields,
    task_view,
    timeline_view,
    verdict_view,
)
from alerts.services.verdicts import check, current, record
from alerts.services.views import (
    AlertView,
    IncidentPage,
    IncidentSummary,
    IncidentView,
    PictureView,
    TaskView,
)
from alerts.states import OPEN_STATES, Action, State
from alerts.store.city import IncidentArea
from alerts.store.database import Database
from alerts.store.tables import (
    Alert,
    AlertPhase,
    Camera,
    EvidenceBlob,
    EvidenceRef,
    Incident,
    IncidentPicture,
    Task,
    TimelineEntry,
)
from alerts.texts import SCORES

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
    area: str | None = None
    within: Within = EVERYWHERE  # what whoever asks may see


EVERYTHING = IncidentFilter()
OPEN = IncidentFilter(states=OPEN_STATES)


class IncidentService:
    """What people do with incidents."""

    def __init__(self, database: Database, targets: Sequence[Target] = ()) -> None:
        """Keep the database, and who is told."""
        self._database = database
        self._targets = targets

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
        query = select(Incident, Camera).outerjoin(Camera, CAMERA_OF).where(*conditions(wanted))
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
        query = select(Incident.state, func.count()).where(*conditions(wanted)).group_by(Incident.state)
        with self._database.read() as session:
            found: dict[str, int] = {state: count for state, count in session.execute(query)}  # noqa: C416 - rows are no pairs to mypy
        return {state: found.get(state, 0) for state in State}

    def get_incident(self, incident_id: int) -> IncidentView:
        """Return one incident with alerts, phases, evidence, verdicts and timeline, or raise NotFound."""
        with self._database.read() as session:
            row = find_incident(session, incident_id)
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
                tasks=_task_views(session, row.id),
                looks=_look_views(session, row.id),
                timeline=tuple(timeline_view(line) for line in lines),
            )

    def sees(self, within: Within, **what: int | str) -> bool:
        """Say whether somebody sees something; see :func:`alerts.services.rights.sees`."""
        with self._database.read() as session:
            return sees(session, within, **what)

    def reach(self, incident_ids: Iterable[int]) -> dict[int, Reach]:
        """Return who sees each of some incidents, for those who keep them in memory."""
        ids = sorted(incident_ids)
        areas: dict[int, set[str]] = defaultdict(set)
        called: dict[int, set[str]] = defaultdict(set)
        lies = select(IncidentArea.incident_id, IncidentArea.area).where(IncidentArea.incident_id.in_(ids))
        tasks = select(Task.incident_id, Task.department).where(Task.incident_id.in_(ids)).distinct()
        with self._database.read() as session:
            for key, area in session.execute(lies):
                areas[key].add(area)
            for key, department in session.execute(tasks):
                called[key].add(department)
        return {key: Reach(frozenset(areas[key]), frozenset(called[key])) for key in ids}

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

        Boxes are told what keeps looking like smoke, in the same transaction.

        Raises as :meth:`confirm`, and Invalid for an unknown reason or too long a note.
        """
        check("false", reason, note)
        return self._act(incident_id, Action.DISMISS, user, reason=reason, note=note, version=version)

    def check(
        self, incident_id: int, *, user: str, note: str = "", version: int | None = None
    ) -> IncidentSummary:
        """Put what is handled up for a check without waiting for the camera. Raises as :meth:`confirm`."""
        check("true", None, note)
        return self._act(incident_id, Action.CHECK, user, note=note, version=version)

    def close(
        self, incident_id: int, *, user: str, note: str = "", version: int | None = None
    ) -> IncidentSummary:
        """Close an incident: checked, or filed without anybody having to be sent.

        The pictures from before and after go with it. Raises as :meth:`confirm`.
        """
        check("true", None, note)
        return self._act(incident_id, Action.CLOSE, user, note=note, version=version)

    def evaluate(
        self, incident_id: int, score: int, *, user: str, note: str = "", version: int | None = None
    ) -> IncidentSummary:
        """Say how well a closed incident was handled, from 1 (very poor) to 5 (very good).

        Raises as :meth:`confirm`, and Invalid for another score.
        """
        check("true", None, note)
        if score not in SCORES:
            msg = f"score {score}: from {min(SCORES)} to {max(SCORES)}"
            raise Invalid(msg)
        return self._act(incident_id, Action.EVALUATE, user, note=note, version=version, score=score)

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
        score: int | None = None,
    ) -> IncidentSummary:
        with changing(self._database, incident_id, version) as (session, row):
            detail: dict[str, Any] = {"score": score} if score else {}
            if action is Action.CLOSE:
                detail = before_and_after(session, row.id)
            move(session, row, action, user, reason=reason, note=note, detail=detail, targets=self._targets)
            row.score = score or row.score
            if action in _IMPLIED:
                _judge_rest(session, row.id, _IMPLIED[action], user, reason, note)
            if action is Action.DISMISS:
                tell_boxes(session, row.id, reason)
            session.flush()
            return incident_summary(row, session.get(Camera, (row.edge, row.camera)))


CAMERA_OF = and_(Camera.edge == Incident.edge, Camera.camera == Incident.camera)
_PRESENT = EvidenceBlob.deleted_at.is_(None)
_IMPLIED = {Action.CONFIRM: "true", Action.DISMISS: "false"}


def before_and_after(session: Session, incident_id: int) -> dict[str, str]:
    """Return the digests of the pictures that go with a closure: the newest alert picture, the look again."""
    before = session.scalars(
        select(EvidenceRef.sha256)
        .join(Alert, Alert.id == EvidenceRef.alert_id)
        .where(
            Alert.incident_id == incident_id,
            EvidenceRef.role.in_([EvidenceRole.CONTEXT_NOW, EvidenceRole.CONTEXT_T0]),
        )
        .order_by(EvidenceRef.role, EvidenceRef.captured_at.desc())  # context_now before context_t0
        .limit(1)
    ).first()
    after = session.scalars(
        select(IncidentPicture.sha256)
        .where(IncidentPicture.incident_id == incident_id)
        .order_by(IncidentPicture.role, IncidentPicture.id.desc())  # look_again before proof
        .limit(1)
    ).first()
    return {key: value for key, value in (("before", before), ("after", after)) if value is not None}


def conditions(wanted: IncidentFilter) -> list[ColumnElement[bool]]:
    """Return what an incident must meet to be listed."""
    found = wanted.within.incidents() + Within(area=wanted.area).incidents()
    if wanted.states:
        found.append(Incident.state.in_(sorted(wanted.states)))
        if wanted.states <= OPEN_STATES:
            found.append(Incident.open.is_(True))  # few are: an index finds them among all that are over
    if wanted.ids:
        found.append(Incident.id.in_(sorted(wanted.ids)))
    if wanted.kinds:
        found.append(Incident.kind.in_(sorted(wanted.kinds)))
    for column, value in (
        (Incident.site, wanted.site),
        (Incident.edge, wanted.edge),
        (Incident.camera, wanted.camera),
    ):
        if value is not None:
            found.append(column == value)
    if wanted.since is not None:
        found.append(Incident.started_at >= wanted.since)
    if wanted.until is not None:
        found.append(Incident.started_at < wanted.until)
    if wanted.bbox is not None:
        west, south, east, north = wanted.bbox
        found += [Incident.lon_deg.between(west, east), Incident.lat_deg.between(south, north)]
    return found


def _judge_rest(
    session: Session, incident_id: int, verdict: str, user: str, reason: str | None, note: str
) -> None:
    """Give the alerts that nobody judged by themselves the verdict that the action implies."""
    alerts = session.scalars(select(Alert).where(Alert.incident_id == incident_id).order_by(Alert.id)).all()
    said = {row.alert_id: row for row in current(session, [a.id for a in alerts]) if row.box_index < 0}
    for alert in alerts:
        if alert.id not in said or said[alert.id].implied:
            record(session, alert, verdict, user=user, reason=reason, note=note, implied=True)


def _task_views(session: Session, incident_id: int) -> tuple[TaskView, ...]:
    """Return the tasks of an incident, those of its present round last, each with its proofs."""
    proofs: dict[int, list[PictureView]] = defaultdict(list)
    for row, present in _pictures(session, incident_id):
        if row.task_id is not None:
            proofs[row.task_id].append(picture_view(row, present=present))
    tasks = session.scalars(select(Task).where(Task.incident_id == incident_id).order_by(Task.id))
    return tuple(task_view(task, proofs[task.id]) for task in tasks)


def _look_views(session: Session, incident_id: int) -> tuple[PictureView, ...]:
    return tuple(
        picture_view(row, present=present)
        for row, present in _pictures(session, incident_id)
        if row.role == "look_again"
    )


def _pictures(session: Session, incident_id: int) -> list[tuple[IncidentPicture, bool]]:
    found = session.execute(
        select(IncidentPicture, EvidenceBlob.sha256)
        .outerjoin(EvidenceBlob, _PRESENT & (EvidenceBlob.sha256 == IncidentPicture.sha256))
        .where(IncidentPicture.incident_id == incident_id)
        .order_by(IncidentPicture.id)
    )
    return [(row, here is not None) for row, here in found]


def _alert_views(session: Session, alerts: Sequence[Alert]) -> tuple[AlertView, ...]:
    """Gather all that hangs on some alerts with one query a table."""
    ids = [alert.id for alert in alerts]
    phases, evidence, verdicts = defaultdict(list), defaultdict(list), defaultdict(list)
    for phase in session.scalars(
        select(AlertPhase).where(AlertPhase.alert_id.in_(ids)).order_by(AlertPhase.phase_seq)
    ):
        phases[phase.alert_id].append(phase)
    for ref, blob in session.execute(
        select(EvidenceRef, EvidenceBlob)
        .outerjoin(EvidenceBlob, EvidenceBlob.sha256 == EvidenceRef.sha256)
        .where(EvidenceRef.alert_id.in_(ids))
        .order_by(EvidenceRef.captured_at, EvidenceRef.id)
    ):
        evidence[ref.alert_id].append(evidence_view(ref, blob))
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

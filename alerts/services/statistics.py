"""How a period went: by kind, area, department and camera, how many, how fast, how often in time, how true.

An incident belongs to the period in which it began. What was merged into another counts with that one;
dismissals as duplicates or tests say nothing of truth, and faults of the equipment are not judged at all.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import select

from alerts.areas.placing import areas_now
from alerts.services.errors import Invalid
from alerts.services.incidents import CAMERA_OF, IncidentFilter, conditions
from alerts.services.rights import EVERYWHERE, Within
from alerts.services.views import View
from alerts.states import ACTIVE_TASKS, OPEN_STATES, TECHNICAL_KINDS, State, TaskState
from alerts.store.city import IncidentArea
from alerts.store.database import Database
from alerts.store.tables import Camera, Incident, Task
from towerwatch.timebase import utc_now

MAX_PERIOD = timedelta(days=367)
NO_JUDGEMENT = frozenset({"duplicate", "test"})  # reasons of a dismissal that is no false alarm
Grouping = Literal["kind", "area", "department", "camera"]


class Spread(View):
    """How long something took, in s: of how many, the median, and what nine of ten stayed within."""

    count: int
    median_s: float | None
    p90_s: float | None


class GroupView(View):
    """The figures of one kind, area, department or camera; ``key`` is its id, ``name`` what people call it.

    ``confirmed`` were filed and not taken back, ``refuted`` dismissed as no such thing. ``to_verify`` and
    ``to_close`` run from when the incident was made, ``to_arrive`` from when a department was called, and
    that department's own ``to_close`` from then as well. ``late`` of the ``due`` tasks missed a limit, or
    are missing one now; the others of them are handled.
    """

    key: str
    name: str | None
    incidents: int
    open: int
    confirmed: int
    refuted: int
    to_verify: Spread
    to_arrive: Spread
    to_close: Spread
    due: int
    late: int

    @property
    def false_share(self) -> float | None:
        """The part of the judged that was refuted; None where nothing was judged."""
        judged = self.confirmed + self.refuted
        return self.refuted / judged if judged else None

    @property
    def on_time_share(self) -> float | None:
        """The part of the tasks that kept all their limits; None where none is due."""
        return 1 - self.late / self.due if self.due else None


class DayView(View):
    """One local day: how many incidents began, and what became of them."""

    day: date
    confirmed: int
    refuted: int
    others: int


class ReasonView(View):
    """How many incidents were dismissed for a reason."""

    reason: str
    count: int


class StatisticsView(View):
    """All figures of a period; groups with the most incidents first, cameras with the most refuted."""

    since: datetime
    until: datetime
    total: GroupView
    by_kind: tuple[GroupView, ...]
    by_area: tuple[GroupView, ...]
    by_department: tuple[GroupView, ...]
    by_camera: tuple[GroupView, ...]
    reasons: tuple[ReasonView, ...]
    days: tuple[DayView, ...]

    def grouped(self, by: Grouping) -> tuple[GroupView, ...]:
        """Return the groups of one grouping."""
        groups = {
            "kind": self.by_kind,
            "area": self.by_area,
            "department": self.by_department,
            "camera": self.by_camera,
        }
        return groups[by]


@dataclass(slots=True)
class _Tally:
    """What adds up to a group."""

    incidents: int = 0
    open: int = 0
    confirmed: int = 0
    refuted: int = 0
    due: int = 0
    late: int = 0
    to_verify: list[float] = field(default_factory=list)
    to_arrive: list[float] = field(default_factory=list)
    to_close: list[float] = field(default_factory=list)

    def view(self, key: str, name: str | None = None) -> GroupView:
        return GroupView(
            key=key,
            name=name,
            incidents=self.incidents,
            open=self.open,
            confirmed=self.confirmed,
            refuted=self.refuted,
            due=self.due,
            late=self.late,
            to_verify=_spread(self.to_verify),
            to_arrive=_spread(self.to_arrive),
            to_close=_spread(self.to_close),
        )


class StatisticsService:
    """Count what happened."""

    def __init__(self, database: Database, zone: ZoneInfo) -> None:
        """Keep the database, and the zone whose days are counted."""
        self._database = database
        self.zone = zone

    def report(
        self, since: datetime, until: datetime, *, within: Within = EVERYWHERE, area: str | None = None
    ) -> StatisticsView:
        """Count the incidents that began in a period, of what somebody sees, or of an area of it.

        Raises:
            Invalid: the period ends before it begins, or is longer than a year.

        """
        if not timedelta() < until - since <= MAX_PERIOD:
            msg = f"from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}: a period of at most a year"
            raise Invalid(msg)
        wanted = conditions(IncidentFilter(since=since, until=until, within=within, area=area))
        wanted.append(Incident.merged_into.is_(None))
        lies = select(IncidentArea.incident_id, IncidentArea.area).join(
            Incident, Incident.id == IncidentArea.incident_id
        )
        tasks = select(*_TASK).join(Incident, Incident.id == Task.incident_id).where(*wanted)
        if within.department is not None:
            tasks = tasks.where(Task.department == within.department)
        now = utc_now()
        with self._database.read() as session:
            counts = _Counts(self.zone, [shape.id for shape in areas_now(session).areas])
            for key, name in session.execute(lies.where(*wanted)):
                counts.lies_in[key].append(name)
            for incident in session.execute(select(*_INCIDENT).outerjoin(Camera, CAMERA_OF).where(*wanted)):
                counts.add_incident(incident)
            for task in session.execute(tasks):
                counts.add_task(task, now)
        return counts.view(since, until)


_INCIDENT = (
    Incident.id, Incident.kind, Incident.state, Incident.edge, Incident.camera, Incident.started_at,
    Incident.created_at, Incident.state_at, Incident.filed_at, Incident.closed_at, Incident.dismiss_reason,
    Camera.name,
)  # fmt: skip
_TASK = (
    Task.incident_id, Task.department, Task.state, Task.assigned_at, Task.accepted_at, Task.arrived_at,
    Task.ended_at, Task.paused_at, Task.accept_due_at, Task.arrive_due_at, Task.close_due_at,
    Incident.kind, Incident.state.label("incident_state"), Incident.edge, Incident.camera,
)  # fmt: skip


class _Counts:
    """Adds rows of :data:`_INCIDENT` and :data:`_TASK` up into all groupings at once."""

    def __init__(self, zone: ZoneInfo, areas: list[str]) -> None:
        self.lies_in: dict[int, list[str]] = defaultdict(list)
        self._zone = zone
        self._areas = areas  # largest first
        self._total = _Tally()
        self._groups: dict[Grouping, dict[str, _Tally]] = {
            "kind": defaultdict(_Tally),
            "area": defaultdict(_Tally),
            "department": defaultdict(_Tally),
            "camera": defaultdict(_Tally),
        }
        self._names: dict[str, str | None] = {}
        self._called: set[tuple[str, int]] = set()
        self._reasons: Counter[str] = Counter()
        self._days: dict[date, Counter[str]] = defaultdict(Counter)

    def _of(self, row: Any, incident_id: int) -> list[_Tally]:
        """Return what an incident counts for, or one of its tasks: all but the departments."""
        return [
            self._total,
            self._groups["kind"][row.kind],
            self._groups["camera"][f"{row.edge}/{row.camera}"],
            *(self._groups["area"][area] for area in self.lies_in[incident_id]),
        ]

    def add_incident(self, row: Any) -> None:
        verdict = _verdict(row)
        verified_at = row.filed_at or (row.state_at if row.state == State.DISMISSED else None)
        judged = row.kind not in TECHNICAL_KINDS
        verify_s = _seconds(row.created_at, verified_at) if judged else None
        close_s = _seconds(row.created_at, row.closed_at)
        is_open = row.state in OPEN_STATES
        for tally in self._of(row, row.id):
            tally.incidents += 1
            tally.open += is_open
            tally.confirmed += verdict == "confirmed"
            tally.refuted += verdict == "refuted"
            if verify_s is not None:
                tally.to_verify.append(verify_s)
            if close_s is not None:
                tally.to_close.append(close_s)
        self._names[f"{row.edge}/{row.camera}"] = row.name
        if row.dismiss_reason is not None and row.state == State.DISMISSED:
            self._reasons[row.dismiss_reason] += 1
        self._days[row.started_at.astimezone(self._zone).date()][verdict] += 1

    def add_task(self, row: Any, now: datetime) -> None:
        department = self._groups["department"][row.department]
        if (row.department, row.incident_id) not in self._called:
            self._called.add((row.department, row.incident_id))
            department.incidents += 1
            department.open += row.incident_state in OPEN_STATES
        handle_s = _seconds(row.assigned_at, row.ended_at)
        if row.state == TaskState.HANDLED and handle_s is not None:
            department.to_close.append(handle_s)
        late, arrive_s = _late(row, now), _seconds(row.assigned_at, row.arrived_at)
        for tally in (*self._of(row, row.incident_id), department):
            if arrive_s is not None:
                tally.to_arrive.append(arrive_s)
            tally.due += late is not None
            tally.late += bool(late)

    def view(self, since: datetime, until: datetime) -> StatisticsView:
        order = {area: at for at, area in enumerate(self._areas)}
        cameras = sorted(
            self._groups["camera"].items(), key=lambda pair: (-pair[1].refuted, -pair[1].incidents)
        )
        areas = sorted(self._groups["area"].items(), key=lambda pair: order.get(pair[0], len(order)))
        return StatisticsView(
            since=since,
            until=until,
            total=self._total.view("all"),
            by_kind=_most(self._groups["kind"]),
            by_area=tuple(tally.view(key) for key, tally in areas),
            by_department=_most(self._groups["department"]),
            by_camera=tuple(tally.view(key, self._names.get(key)) for key, tally in cameras),
            reasons=tuple(ReasonView(reason=key, count=n) for key, n in self._reasons.most_common()),
            days=self._all_days(since, until),
        )

    def _all_days(self, since: datetime, until: datetime) -> tuple[DayView, ...]:
        first = since.astimezone(self._zone).date()
        last = (until - timedelta(microseconds=1)).astimezone(self._zone).date()
        days = [first + timedelta(days=at) for at in range((last - first).days + 1)]
        return tuple(
            DayView(
                day=day,
                confirmed=self._days[day]["confirmed"],
                refuted=self._days[day]["refuted"],
                others=self._days[day]["others"],
            )
            for day in days
        )


def _verdict(row: Any) -> Literal["confirmed", "refuted", "others"]:
    """Say what people found; equipment that reports its own faults is not judged."""
    if row.kind in TECHNICAL_KINDS:
        return "others"
    if row.state == State.DISMISSED:
        return "others" if row.dismiss_reason in NO_JUDGEMENT else "refuted"
    return "confirmed" if row.filed_at is not None else "others"


def _late(row: Any, now: datetime) -> bool | None:
    """Say whether a task missed a limit; None while it may still keep them all, or where none count."""
    if row.state != TaskState.HANDLED and row.state not in ACTIVE_TASKS:
        return None  # declined or withdrawn
    late = False
    for due, done in (
        (row.accept_due_at, row.accepted_at),
        (row.arrive_due_at, row.arrived_at),
        (row.close_due_at, row.ended_at),
    ):
        waits = done is None and row.paused_at is None
        late |= due is not None and ((done is not None and done > due) or (waits and now > due))
    return late if late or row.state == TaskState.HANDLED else None


def _seconds(begin: datetime, end: datetime | None) -> float | None:
    return None if end is None else (end - begin).total_seconds()


def _spread(durations: list[float]) -> Spread:
    if not durations:
        return Spread(count=0, median_s=None, p90_s=None)
    median, p90 = np.percentile(durations, [50, 90])
    return Spread(count=len(durations), median_s=float(median), p90_s=float(p90))


def _most(groups: dict[str, _Tally]) -> tuple[GroupView, ...]:
    ordered = sorted(groups.items(), key=lambda pair: (-pair[1].incidents, pair[0]))
    return tuple(tally.view(key) for key, tally in ordered)

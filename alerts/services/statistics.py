"""How a period went: by kind, area, department and camera, how many, how fast, how often in time, how true.

An incident belongs to the period in which it began. What was merged into another counts with that one;
dismissals as duplicates or tests say nothing of truth, and faults of the equipment are not judged at all.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import ColumnElement, Integer, String, and_, case, cast, extract, func, or_, select
from sqlalchemy.orm import Session

from alerts.areas.placing import areas_now
from alerts.services.errors import Invalid
from alerts.services.incidents import IncidentFilter, conditions
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

    def add(self, row: Any) -> None:
        """Add incidents that were counted."""
        self.incidents += row.incidents
        self.open += row.open
        self.confirmed += row.confirmed
        self.refuted += row.refuted
        self.to_verify += _numbers(row.to_verify)
        self.to_close += _numbers(row.to_close)

    def add_tasks(self, row: Any) -> None:
        """Add tasks that were counted."""
        self.due += row.due
        self.late += row.late
        self.to_arrive += _numbers(row.to_arrive)

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
        with self._database.read() as session:
            counts = _Counts(self.zone, [shape.id for shape in areas_now(session).areas])
            queries = _Queries(session, wanted, sqlite=self._database.is_sqlite)
            queries.incidents(counts)
            queries.tasks(counts, within.department, utc_now())
        return counts.view(since, until)


_DISMISSED = Incident.state == State.DISMISSED
_OPEN = Incident.state.in_(sorted(OPEN_STATES))
_OF_EQUIPMENT = Incident.kind.in_(sorted(TECHNICAL_KINDS))  # which reports its own faults: nobody judges them
_REFUTED = and_(
    ~_OF_EQUIPMENT,
    _DISMISSED,
    or_(Incident.dismiss_reason.is_(None), Incident.dismiss_reason.not_in(sorted(NO_JUDGEMENT))),
)
_CONFIRMED = and_(~_OF_EQUIPMENT, ~_DISMISSED, Incident.filed_at.is_not(None))
_QUARTER_S = 900  # every zone is so many quarters of an hour from UTC


class _Queries:
    """Counts in the database, which hands out sums and durations by group, and no incident or task."""

    def __init__(self, session: Session, wanted: Sequence[ColumnElement[bool]], *, sqlite: bool) -> None:
        self._session = session
        self._wanted = wanted
        self._sqlite = sqlite

    def incidents(self, counts: _Counts) -> None:
        """Count by kind and camera, by area, by reason and by day."""
        figures, of = self._of_incidents(), (Incident.kind, Incident.edge, Incident.camera)
        leaves = select(*of, *figures).where(*self._wanted).group_by(*of).subquery()
        here = and_(Camera.edge == leaves.c.edge, Camera.camera == leaves.c.camera)
        for row in self._session.execute(select(leaves, Camera.name).outerjoin(Camera, here)):
            counts.add_leaf(row)
        lies = select(IncidentArea.area, *figures).join(Incident, Incident.id == IncidentArea.incident_id)
        for row in self._session.execute(lies.where(*self._wanted).group_by(IncidentArea.area)):
            counts.group("area", row.area).add(row)
        began = Incident.started_at
        since_1970_s = func.strftime("%s", began) if self._sqlite else extract("epoch", began)
        quarter = func.floor(cast(since_1970_s, Integer) / _QUARTER_S).label("quarter")
        verdict = case((_REFUTED, "refuted"), (_CONFIRMED, "confirmed"), else_="others").label("verdict")
        why = case((_DISMISSED, Incident.dismiss_reason)).label("why")
        days = select(quarter, verdict, why, func.count()).where(*self._wanted)
        for number, found, reason, count in self._session.execute(days.group_by("quarter", "verdict", "why")):
            counts.add_day(int(number) * _QUARTER_S, found, reason, count)

    def tasks(self, counts: _Counts, department: str | None, now: datetime) -> None:
        """Count by kind, camera and department, and by area; of ``department`` alone where one is given."""
        figures, of = self._of_tasks(now), (Incident.kind, Incident.edge, Incident.camera, Task.department)
        wanted = [*self._wanted, *([] if department is None else [Task.department == department])]
        leaves = select(*of, *figures).join(Incident, Incident.id == Task.incident_id)
        for row in self._session.execute(leaves.where(*wanted).group_by(*of)):
            counts.add_tasks(row)
        lies = select(IncidentArea.area, *figures).join(Incident, Incident.id == IncidentArea.incident_id)
        lies = lies.join(Task, Task.incident_id == Incident.id).where(*wanted)
        for row in self._session.execute(lies.group_by(IncidentArea.area)):
            counts.group("area", row.area).add_tasks(row)
        called = select(
            Task.department,
            func.count(Incident.id.distinct()).label("incidents"),
            func.count(case((_OPEN, Incident.id)).distinct()).label("open"),
        ).join(Incident, Incident.id == Task.incident_id)
        for row in self._session.execute(called.where(*wanted).group_by(Task.department)):
            tally = counts.group("department", row.department)
            tally.incidents, tally.open = row.incidents, row.open

    def _of_incidents(self) -> tuple[ColumnElement[Any], ...]:
        dismissed_at = case((_DISMISSED, Incident.state_at))
        verified_at = case((~_OF_EQUIPMENT, func.coalesce(Incident.filed_at, dismissed_at)))
        return (
            func.count().label("incidents"),
            _sum(_OPEN).label("open"),
            _sum(_CONFIRMED).label("confirmed"),
            _sum(_REFUTED).label("refuted"),
            self._taken_s(Incident.created_at, verified_at).label("to_verify"),
            self._taken_s(Incident.created_at, Incident.closed_at).label("to_close"),
        )

    def _of_tasks(self, now: datetime) -> tuple[ColumnElement[Any], ...]:
        """Late is a task that missed a limit, or misses one now; an active one may still keep them all."""
        handled = Task.state == TaskState.HANDLED
        counts = or_(handled, Task.state.in_(sorted(ACTIVE_TASKS)))  # not what was declined or withdrawn
        missed = or_(
            *(
                or_(done > due, and_(done.is_(None), Task.paused_at.is_(None), due < now))
                for due, done in (
                    (Task.accept_due_at, Task.accepted_at),
                    (Task.arrive_due_at, Task.arrived_at),
                    (Task.close_due_at, Task.ended_at),
                )
            )
        )
        return (
            _sum(and_(counts, or_(handled, missed))).label("due"),
            _sum(and_(counts, missed)).label("late"),
            self._taken_s(Task.assigned_at, Task.arrived_at).label("to_arrive"),
            self._taken_s(Task.assigned_at, case((handled, Task.ended_at))).label("to_close"),
        )

    def _taken_s(self, begin: Any, end: Any) -> ColumnElement[Any]:
        """Return how long each took, as one text of seconds that commas part."""
        seconds: ColumnElement[Any]
        if self._sqlite:  # its days are doubles, good to a millisecond
            seconds = func.round((func.julianday(end) - func.julianday(begin)) * 86_400_000) / 1000
        else:
            seconds = extract("epoch", end - begin)
        return func.aggregate_strings(cast(seconds, String), ",")


def _sum(what: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((what, 1), else_=0))


class _Counts:
    """Adds up into all groupings at once what is counted by kind and camera."""

    def __init__(self, zone: ZoneInfo, areas: list[str]) -> None:
        self._reasons: Counter[str] = Counter()
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
        self._days: dict[date, Counter[str]] = defaultdict(Counter)

    def group(self, by: Grouping, key: str) -> _Tally:
        return self._groups[by][key]

    def add_leaf(self, row: Any) -> None:
        """Add the incidents of one kind and camera."""
        camera = f"{row.edge}/{row.camera}"
        self._names[camera] = row.name
        for tally in (self._total, self.group("kind", row.kind), self.group("camera", camera)):
            tally.add(row)

    def add_day(self, since_1970_s: int, verdict: str, reason: str | None, count: int) -> None:
        """Add incidents of a quarter of an hour, by what people found, and why they dismissed them."""
        self._days[datetime.fromtimestamp(since_1970_s, self._zone).date()][verdict] += count
        if reason is not None:
            self._reasons[reason] += count

    def add_tasks(self, row: Any) -> None:
        """Add the tasks of one kind, camera and department."""
        camera = self.group("camera", f"{row.edge}/{row.camera}")
        for tally in (self._total, self.group("kind", row.kind), camera):
            tally.add_tasks(row)
        department = self.group("department", row.department)
        department.add_tasks(row)
        department.to_close += _numbers(row.to_close)

    def view(self, since: datetime, until: datetime) -> StatisticsView:
        order = {area: at for at, area in enumerate(self._areas)}
        cameras = sorted(
            self._groups["camera"].items(), key=lambda pair: (-pair[1].refuted, -pair[1].incidents, pair[0])
        )
        reasons = sorted(self._reasons.items(), key=lambda pair: (-pair[1], pair[0]))
        areas = sorted(self._groups["area"].items(), key=lambda pair: order.get(pair[0], len(order)))
        return StatisticsView(
            since=since,
            until=until,
            total=self._total.view("all"),
            by_kind=_most(self._groups["kind"]),
            by_area=tuple(tally.view(key) for key, tally in areas),
            by_department=_most(self._groups["department"]),
            by_camera=tuple(tally.view(key, self._names.get(key)) for key, tally in cameras),
            reasons=tuple(ReasonView(reason=key, count=n) for key, n in reasons),
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


def _numbers(text: str | None) -> list[float]:
    return [] if text is None else list(map(float, text.split(",")))


def _spread(durations: list[float]) -> Spread:
    if not durations:
        return Spread(count=0, median_s=None, p90_s=None)
    median, p90 = np.percentile(durations, [50, 90])
    return Spread(count=len(durations), median_s=float(median), p90_s=float(p90))


def _most(groups: dict[str, _Tally]) -> tuple[GroupView, ...]:
    ordered = sorted(groups.items(), key=lambda pair: (-pair[1].incidents, pair[0]))
    return tuple(tally.view(key) for key, tally in ordered)

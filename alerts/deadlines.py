"""Until when a department has to accept, arrive and be done, and when it is reminded: functions over values.

Every limit runs from the moment the task was assigned. A task waits for one stage at a time; when most of
its time has passed the department is reminded, when all of it has, the next level is told, and then level
after level.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from alerts.messages import Kind
from alerts.states import TaskState
from towerwatch.calendars.calendar import Calendar
from towerwatch.calendars.deadlines import after_pause, deadline
from towerwatch.calendars.limits import Limit

Stage = Literal["accept", "arrive", "close"]
STAGES: tuple[Stage, ...] = get_args(Stage)
WAITS_FOR: dict[TaskState, Stage] = {
    TaskState.ASSIGNED: "accept",
    TaskState.ACCEPTED: "arrive",
    TaskState.ON_SITE: "close",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a department may take, from the moment it was called; None where nobody has set a limit."""

    accept: Limit | None = None
    arrive: Limit | None = None
    close: Limit | None = None

    @classmethod
    def parse(cls, accept: str, arrive: str, close: str) -> Limits:
        """Read three limits; raise ValueError for what is none."""
        return cls(Limit.parse(accept), Limit.parse(arrive), Limit.parse(close))

    def of(self, stage: Stage) -> Limit | None:
        """Return the limit of one stage."""
        return {"accept": self.accept, "arrive": self.arrive, "close": self.close}[stage]


# where no catalogue says otherwise. Arrival at a burning spot within 15 to 30 min is what cities ask for;
# a motorway jam wants its departments within half an hour; a car parked in disorder may take a working day
DEFAULT_LIMITS: dict[Kind, Limits] = {
    Kind.SMOKE: Limits.parse("5 min", "30 min", "4 h"),
    Kind.BLOCKED_ROAD: Limits.parse("5 min", "30 min", "4 h"),
    Kind.STOPPED_VEHICLE: Limits.parse("10 min", "30 min", "2 h"),
    Kind.ILLEGAL_PARKING: Limits.parse("30 min", "2 wh", "4 wh"),
    Kind.CAMERA_BLIND: Limits.parse("4 wh", "1 wd", "3 wd"),
    Kind.EDGE_SILENT: Limits.parse("4 wh", "1 wd", "3 wd"),
    Kind.REPORTED: Limits.parse("30 min", "2 wh", "1 wd"),
}


@dataclass(frozen=True, slots=True)
class Escalation:
    """When people are told about a limit.

    Attributes:
        remind_frac: the part of the time after which the department is reminded.
        every: how long after the limit, and after each level, the next level is told.
        levels: how many levels there are; level 1 is told when the limit passes.

    """

    remind_frac: float = 0.75
    every: timedelta = timedelta(minutes=30)
    levels: int = 3


def dues(limits: Limits, start: datetime, calendar: Calendar) -> dict[Stage, datetime | None]:
    """Return in UTC when each stage of a task that was assigned at ``start`` is due."""
    return {
        stage: deadline(start, limit, calendar) if (limit := limits.of(stage)) is not None else None
        for stage in STAGES
    }


def later(
    due: datetime | None, limit: str | None, paused_at: datetime, resumed_at: datetime, calendar: Calendar
) -> datetime | None:
    """Return when something is due that stood still for a while; ``limit`` as it was assigned."""
    if due is None or limit is None:
        return due
    return after_pause(due, Limit.parse(limit).unit, paused_at, resumed_at, calendar)


@dataclass(frozen=True, slots=True)
class Reminder:
    """One message that goes out at ``at``, to the department itself (level 0) or above it."""

    number: int
    at: datetime
    level: int


def reminders(assigned_at: datetime, due: datetime, how: Escalation) -> Iterator[Reminder]:
    """Yield the messages about one stage in order, numbered from 1."""
    yield Reminder(1, assigned_at + (due - assigned_at) * how.remind_frac, 0)
    for level in range(1, how.levels + 1):
        yield Reminder(level + 1, due + (level - 1) * how.every, level)


def next_reminder(assigned_at: datetime, due: datetime | None, sent: int, how: Escalation) -> Reminder | None:
    """Return the message that follows the first ``sent`` ones; None once all are out, or without a limit."""
    if due is None:
        return None
    return next((item for item in reminders(assigned_at, due, how) if item.number > sent), None)

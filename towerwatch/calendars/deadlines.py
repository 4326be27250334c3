"""From a start and a limit to the moment when it is due.

Minutes and hours run on. Days end at the same local time so many days later. Working hours run only within
the calendar's hours. A limit of working days does not count the day it starts on and ends with the last
working hour of its last day, as the Civil Code of the PRC counts days (articles 201 and 203).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from towerwatch.calendars.calendar import Calendar
from towerwatch.calendars.limits import Limit, Unit
from towerwatch.timebase import to_utc

ONE_DAY = timedelta(days=1)


def deadline(start: datetime, limit: Limit, calendar: Calendar) -> datetime:
    """Return in UTC when ``limit`` ends that starts at ``start``; raise ValueError for a naive time."""
    start = to_utc(start)
    if limit.unit is Unit.MINUTES:
        return start + timedelta(minutes=limit.amount)
    if limit.unit is Unit.HOURS:
        return start + timedelta(hours=limit.amount)
    if limit.unit is Unit.DAYS:
        return _days_later(start, int(limit.amount), calendar)
    if limit.unit is Unit.WORKING_HOURS:
        return _after_working(start, timedelta(hours=limit.amount), calendar)
    return _end_of_working_day(start, int(limit.amount), calendar)


def after_pause(
    due: datetime, unit: Unit, paused_at: datetime, resumed_at: datetime, calendar: Calendar
) -> datetime:
    """Return when something is due that was ``due`` and has stood still: what was left, is left again.

    What was overdue when it was paused stays due when it was.
    """
    due, paused_at, resumed_at = to_utc(due), to_utc(paused_at), to_utc(resumed_at)
    if due <= paused_at or resumed_at <= paused_at:
        return due
    if unit is Unit.WORKING_HOURS:
        return _after_working(resumed_at, working_time(paused_at, due, calendar), calendar)
    if unit is Unit.WORKING_DAYS:
        left = sum(calendar.works_on(day) for day in _days_between(paused_at, due, calendar))
        return _end_of_working_day(resumed_at, left, calendar)
    return due + (resumed_at - paused_at)


def working_time(start: datetime, end: datetime, calendar: Calendar) -> timedelta:
    """Return how much of the time between two moments lies within working hours; 0 where end <= start."""
    total, day, last = timedelta(), _local_day(start, calendar), _local_day(end, calendar)
    while day <= last:
        for begins, ends in calendar.spans_of(day):
            total += max(min(ends, end) - max(begins, start), timedelta())
        day += ONE_DAY
    return total


def _after_working(start: datetime, left: timedelta, calendar: Calendar) -> datetime:
    day = _local_day(start, calendar)
    while True:
        for begins, ends in calendar.spans_of(day):
            begins = max(begins, start)  # noqa: PLW2901 - a span that has begun already is the shorter one
            if ends > begins and ends - begins >= left:
                return begins + left
            left -= max(ends - begins, timedelta())
        day += ONE_DAY


def _end_of_working_day(start: datetime, count: int, calendar: Calendar) -> datetime:
    """Return the last working moment of the ``count``-th working day after the day of ``start``."""
    day = _local_day(start, calendar)
    while count > 0 or not calendar.works_on(day):
        day += ONE_DAY
        count -= calendar.works_on(day)
    return calendar.instant(day, calendar.hours[-1][1])


def _days_later(start: datetime, count: int, calendar: Calendar) -> datetime:
    local = start.astimezone(calendar.zone)
    return to_utc(
        (local.replace(tzinfo=None) + count * ONE_DAY).replace(tzinfo=calendar.zone, fold=local.fold)
    )


def _days_between(after: datetime, until: datetime, calendar: Calendar) -> Iterator[date]:
    """Yield the local days after that of ``after``, up to and with that of ``until``."""
    day, last = _local_day(after, calendar) + ONE_DAY, _local_day(until, calendar)
    while day <= last:
        yield day
        day += ONE_DAY


def _local_day(at: datetime, calendar: Calendar) -> date:
    return at.astimezone(calendar.zone).date()

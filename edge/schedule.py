"""When a rule is in force: weekdays, holidays and hours in the site's own time, nights included."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, InstanceOf, ValidationInfo, model_validator

from edge.paths import in_folder
from towerwatch.calendars.calendar import Calendar, load_calendar
from towerwatch.errors import ConfigError
from towerwatch.yamlconfig import StrictModel, problems_at

DayName = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun", "workday", "day_off"]
WEEKDAYS: tuple[DayName, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"^([01]?\d|2[0-3]):([0-5]\d)$")
MINUTES_A_DAY = 24 * 60


def _minutes(value: Any) -> int:
    if value == "24:00":
        return MINUTES_A_DAY
    match = _CLOCK.match(value) if isinstance(value, str) else None
    if match is None:
        msg = f"expected a time of day such as 07:30 (00:00 to 24:00), got {value!r}"
        raise ValueError(msg)
    return int(match[1]) * 60 + int(match[2])


ClockTime = Annotated[int, BeforeValidator(_minutes)]
"""Minutes since local midnight, written as ``HH:MM``."""


def _calendar(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return load_calendar(str(in_folder(value, info)) if value.endswith(".yaml") else value)
    except ConfigError as error:
        raise ValueError(str(error)) from None


class Window(StrictModel):
    """Some days, from one time of day to another; ``to`` before ``from`` runs into the next day.

    ``days``: weekdays, or by the schedule's calendar each ``workday`` or ``day_off``.
    """

    days: tuple[DayName, ...] = Field(WEEKDAYS, min_length=1)
    start: ClockTime = Field(0, alias="from")
    end: ClockTime = Field(MINUTES_A_DAY, alias="to")

    @model_validator(mode="after")
    def _possible(self) -> Window:
        if self.start == self.end:
            raise problems_at((("to",), "is the same as from; write from: 00:00, to: 24:00 for a whole day"))
        if self.start == MINUTES_A_DAY:
            raise problems_at((("from",), "24:00 is the end of a day; write 00:00 of the next one"))
        if len(set(self.days)) < len(self.days):
            raise problems_at((("days",), "names a day twice"))
        return self

    def holds(self, local: datetime, calendar: Calendar | None) -> bool:
        """Whether the local time lies inside."""
        minute = local.hour * 60 + local.minute
        today = self._is_on(local.date(), calendar)
        if self.start < self.end:
            return today and self.start <= minute < self.end
        if minute >= self.start:
            return today
        return minute < self.end and self._is_on(local.date() - timedelta(days=1), calendar)

    def _is_on(self, day: date, calendar: Calendar | None) -> bool:
        if WEEKDAYS[day.weekday()] in self.days:
            return True
        return calendar is not None and ("workday" if calendar.works_on(day) else "day_off") in self.days


class Schedule(StrictModel):
    """In force while any of the windows holds.

    ``calendar``: which days are worked and which are off, holidays and shifted workdays included: the name
    of one that we ship, such as ``china``, or a YAML file of the same form.
    """

    windows: tuple[Window, ...] = Field(min_length=1)
    calendar: Annotated[InstanceOf[Calendar] | None, BeforeValidator(_calendar)] = None

    @model_validator(mode="after")
    def _days_are_known(self) -> Schedule:
        for index, window in enumerate(self.windows):
            if self.calendar is None and {"workday", "day_off"} & set(window.days):
                text = "workday and day_off need a calendar; write calendar: china beside windows"
                raise problems_at((("windows", index, "days"), text))
        return self

    def in_force(self, at: datetime, zone: tzinfo) -> bool:
        """Whether the rule holds at an aware time, read in the site's zone."""
        local = at.astimezone(zone)
        return any(window.holds(local, self.calendar) for window in self.windows)

    def in_force_since(self, at: datetime, zone: tzinfo) -> datetime | None:
        """Return since when it has been in force at ``at``, at most eight days back; None if it is not.

        Minute by minute would be dear; the edges of windows and midnights are enough.
        """
        if not self.in_force(at, zone):
            return None
        local = at.astimezone(zone)
        found = at
        for back in range(9):
            day = (local - timedelta(days=back)).date()
            minutes = {edge for w in self.windows for edge in (w.start, w.end % MINUTES_A_DAY)} | {0}
            for minute in sorted(minutes, reverse=True):
                start = datetime.combine(day, time(minute // 60, minute % 60), zone)
                if start > found:
                    continue
                if not self.in_force(start - timedelta(minutes=1), zone):
                    return start.astimezone(at.tzinfo)
                found = start
        return found.astimezone(at.tzinfo)

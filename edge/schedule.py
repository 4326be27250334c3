"""When a rule is in force: weekdays and hours in the site's own time, nights included."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta, tzinfo
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from towerwatch.yamlconfig import StrictModel, problems_at

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
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


class Window(StrictModel):
    """Some weekdays, from one time of day to another; ``to`` before ``from`` runs into the next day."""

    days: tuple[Weekday, ...] = Field(WEEKDAYS, min_length=1)
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

    def holds(self, local: datetime) -> bool:
        """Whether the local time lies inside."""
        minute = local.hour * 60 + local.minute
        today = WEEKDAYS[local.weekday()]
        if self.start < self.end:
            return today in self.days and self.start <= minute < self.end
        yesterday = WEEKDAYS[local.weekday() - 1]
        return (today in self.days and minute >= self.start) or (yesterday in self.days and minute < self.end)


class Schedule(StrictModel):
    """In force while any of the windows holds."""

    windows: tuple[Window, ...] = Field(min_length=1)

    def in_force(self, at: datetime, zone: tzinfo) -> bool:
        """Whether the rule holds at an aware time, read in the site's zone."""
        local = at.astimezone(zone)
        return any(window.holds(local) for window in self.windows)

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

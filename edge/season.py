"""The burning season: after harvest straw burns, and less is asked for an alert than otherwise."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, Strict

from towerwatch.yamlconfig import StrictModel

_DAY = re.compile(r"^(\d{2})-(\d{2})$")
_LEAP_YEAR = 2024


def _day(value: Any) -> tuple[int, int]:
    match = _DAY.match(value) if isinstance(value, str) else None
    if match is None:
        msg = f"expected month and day such as 05-20, got {value!r}"
        raise ValueError(msg)
    try:
        at = date(_LEAP_YEAR, int(match[1]), int(match[2]))
    except ValueError:
        msg = f"there is no day {value}; write month and day such as 05-20"
        raise ValueError(msg) from None
    return at.month, at.day


DayOfYear = Annotated[tuple[int, int], BeforeValidator(_day)]
"""Month and day, written as ``MM-DD``."""


class Season(StrictModel):
    """From one day of every year to another, both included; ``to`` before ``from`` runs over new year.

    ``ease``: what a rule asks, of the detector and of votes, is multiplied by it; 1 changes nothing.
    """

    start: DayOfYear = Field(alias="from")
    end: DayOfYear = Field(alias="to")
    ease: Annotated[float, Strict(), Field(ge=0.5, le=1)] = 0.8

    def holds(self, day: date) -> bool:
        """Whether a day lies inside."""
        at = (day.month, day.day)
        if self.start <= self.end:
            return self.start <= at <= self.end
        return at >= self.start or at <= self.end

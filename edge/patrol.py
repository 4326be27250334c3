"""A head that turns by a timetable: which preset it looks at when, so that nothing is judged on the way."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, Field, Strict

from edge.ids import Id
from towerwatch.yamlconfig import StrictModel


class PatrolStop(StrictModel):
    """One preset of the round, and how long the head rests there."""

    preset: Id
    dwell_s: Annotated[float, Strict(), Field(ge=1, le=3600)]


class Patrol(StrictModel):
    """The round, over and over.

    Attributes:
        started_at: when the head came to rest at the first stop, with its zone; any round will do.
        stops: in order.
        slew_s: from one stop to the next; the picture is not judged in that time.

    """

    started_at: AwareDatetime
    stops: tuple[PatrolStop, ...] = Field(min_length=2, max_length=64)
    slew_s: Annotated[float, Strict(), Field(ge=0, le=60)] = 5.0

    @property
    def round_s(self) -> float:
        """Duration of one round in seconds."""
        return sum(stop.dwell_s + self.slew_s for stop in self.stops)

    def preset_at(self, at: datetime) -> str | None:
        """Return the preset at an aware time; None while the head moves."""
        into_s = (at - self.started_at).total_seconds() % self.round_s
        for stop in self.stops:
            if into_s < stop.dwell_s:
                return stop.preset
            into_s -= stop.dwell_s
            if into_s < self.slew_s:
                return None
            into_s -= self.slew_s
        return None

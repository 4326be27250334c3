"""What operators have dismissed in a view: there smoke must outgrow it, or last, before it is told again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from edge.observe import Box
from edge.shapes import area, iou
from towerwatch.timebase import parse_utc

SAME_IOU = 0.3  # as for habits: a fire within a large dismissed box is another thing
OUTGROWN = 1.5  # areas of the dismissed box; from here on it is more than what was looked at
LASTS_S = 600.0  # or so long seen: another visit or two of a head that turns; nothing is muted for good
AT_MOST = 30  # places, the newest


@dataclass(frozen=True, slots=True)
class Dismissal:
    """A place that was dismissed: ``box`` in [0, 1] of the frame, ``until`` aware UTC."""

    box: Box
    reason: str
    until: datetime


@dataclass(slots=True)
class Dismissals:
    """The places of one view that operators said are no smoke, the oldest first."""

    _known: tuple[Dismissal, ...] = ()

    def learn(self, box: Box, reason: str, at: datetime, days: float) -> None:
        """Remember a place for ``days`` from ``at`` on; one like it that was dismissed before gives way."""
        others = [one for one in self._known if iou(one.box, box) < SAME_IOU]
        self._known = (*others, Dismissal(box, reason, at + timedelta(days=days)))[-AT_MOST:]

    def like(self, box: Box, now: datetime) -> Dismissal | None:
        """Return the dismissal still in force that a box is most like; None where there is none."""
        held = [one for one in self._known if now < one.until and iou(one.box, box) >= SAME_IOU]
        return max(held, key=lambda one: iou(one.box, box), default=None)

    def doubts(self, box: Box, now: datetime, lasted_s: float) -> bool:
        """Whether a box is still no more than what was dismissed there."""
        known = self.like(box, now)
        return known is not None and lasted_s < LASTS_S and area(box) < OUTGROWN * area(known.box)

    def dump(self) -> list[Any]:
        """Return JSON-able values."""
        return [[list(one.box), one.reason, one.until.isoformat()] for one in self._known]

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Dismissals:
        """Read back from a rule's state; one from before there were dismissals has none."""
        rows = state.get("dismissals", ())
        return cls(
            tuple(
                Dismissal((x1, y1, x2, y2), reason, parse_utc(until))
                for (x1, y1, x2, y2), reason, until in rows
            )
        )

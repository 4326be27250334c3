"""Where in a view the detector always finds smoke, in a rock or a roof: there its word is no news."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge.observe import Box
from edge.shapes import iou

HABIT_S = 7200.0  # a habit is learnt, and forgotten, over so long
YOUNG_LOOKS = 4  # and not told from chance before so many looks
EVERY_S = 20.0  # looks that count lie so far apart
USUAL_FRAC = 0.3  # of the looks
SAME_IOU = 0.3  # boxes of one thing jitter; a fire within a large box is another thing
AT_MOST = 50  # boxes are remembered, the commonest


@dataclass(slots=True)
class Habits:
    """Boxes, and in which share of the looks over the last hours the detector had one like it."""

    _shares: dict[Box, float] = field(default_factory=dict)
    _looks: int = 0
    _last_s: float | None = None

    def see(self, boxes: Sequence[Box], now_s: float) -> None:
        """Learn from one look: boxes in [0, 1] of the frame, however weak; monotonic seconds."""
        gap_s = HABIT_S if self._last_s is None else now_s - self._last_s
        if gap_s < EVERY_S:
            return
        self._looks, self._last_s = self._looks + 1, now_s
        weight = max(1.0 / self._looks, min(gap_s / HABIT_S, 0.1))
        shares = {box: share * (1.0 - weight) for box, share in self._shares.items()}
        for seen in {_nearest(shares, box) or box for box in boxes}:
            shares[seen] = shares.get(seen, 0.0) + weight
        self._shares = dict(sorted(shares.items(), key=lambda one: -one[1])[:AT_MOST])

    def is_usual(self, box: Box) -> bool:
        """Whether the detector has been finding something like this box before."""
        usual = {known: share for known, share in self._shares.items() if share >= USUAL_FRAC}
        return self._looks >= YOUNG_LOOKS and _nearest(usual, box) is not None

    def dump(self) -> dict[str, Any]:
        """Return JSON-able values."""
        rows = [[*(round(side, 4) for side in box), round(share, 3)] for box, share in self._shares.items()]
        return {"looks": self._looks, "last_s": self._last_s, "shares": rows}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Habits:
        """Read back what :meth:`dump` wrote; KeyError or ValueError where it is something else."""
        shares = {(x1, y1, x2, y2): float(share) for x1, y1, x2, y2, share in state["shares"]}
        last_s = state["last_s"]
        return cls(shares, int(state["looks"]), None if last_s is None else float(last_s))


def _nearest(known: Mapping[Box, float], box: Box) -> Box | None:
    """Return the known box that is most like another; None where none is like it."""
    best = max(known, key=lambda one: iou(one, box), default=None)
    return best if best is not None and iou(best, box) >= SAME_IOU else None

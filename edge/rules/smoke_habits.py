"""Where in a view the detector always finds smoke, in a rock or a roof: there its word is no news."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.observe import Box

ROWS, COLUMNS = 27, 48
HABIT_S = 7200.0  # a habit is learnt, and forgotten, over so long
YOUNG_LOOKS = 12  # and not told from chance before so many looks
EVERY_S = 20.0  # looks that count lie so far apart
USUAL_FRAC = 0.3  # of the looks


@dataclass(slots=True)
class Habits:
    """Share of the looks, over the last hours, in which the detector had a box over each cell of a grid."""

    _share: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((ROWS, COLUMNS), np.float32))
    _looks: int = 0
    _last_s: float | None = None

    def see(self, boxes: Sequence[Box], now_s: float) -> None:
        """Learn from one look: boxes in [0, 1] of the frame, however weak; monotonic seconds."""
        gap_s = HABIT_S if self._last_s is None else now_s - self._last_s
        if gap_s < EVERY_S:
            return
        now = np.zeros_like(self._share)
        for box in boxes:
            now[_cells(box)] = 1.0
        self._looks, self._last_s = self._looks + 1, now_s
        self._share += max(1.0 / self._looks, min(gap_s / HABIT_S, 0.1)) * (now - self._share)

    def is_usual(self, box: Box) -> bool:
        """Whether the detector has been finding something at this place before."""
        return self._looks >= YOUNG_LOOKS and float(self._share[_cells(box)].mean()) >= USUAL_FRAC

    def dump(self) -> dict[str, Any]:
        """Return JSON-able values, shares in steps of 1/255."""
        levels = np.round(self._share * 255).astype(np.uint8).tobytes()
        return {"looks": self._looks, "last_s": self._last_s, "share": base64.b64encode(levels).decode()}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Habits:
        """Read back what :meth:`dump` wrote; ValueError, KeyError where it is of another grid."""
        levels = np.frombuffer(base64.b64decode(state["share"]), np.uint8)
        share = levels.reshape(ROWS, COLUMNS).astype(np.float32) / 255
        last_s = state["last_s"]
        return cls(share, int(state["looks"]), None if last_s is None else float(last_s))


def _cells(box: Box) -> tuple[slice, slice]:
    """Return the cells that a box touches."""
    x1, y1 = min(int(box[0] * COLUMNS), COLUMNS - 1), min(int(box[1] * ROWS), ROWS - 1)
    x2, y2 = max(int(np.ceil(box[2] * COLUMNS)), x1 + 1), max(int(np.ceil(box[3] * ROWS)), y1 + 1)
    return slice(max(y1, 0), y2), slice(max(x1, 0), x2)

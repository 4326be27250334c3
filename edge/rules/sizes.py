"""How large a vehicle looks in each row of the picture, learnt from those that pass.

On a road that is near enough flat the size of a vehicle grows linearly with its distance below the
horizon, so a line through the boxes seen tells what size to expect, without any calibration. What
is far smaller is a bollard, a reflection, a piece of furniture, however sure the detector is of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge.observe import Box
from edge.shapes import area, ious

SAMPLES = 120
LEAST_SAMPLES = 40
LEAST_FRAC = 0.4  # of the expected side; a motorcycle has about half of a car's
REFIT_EVERY = 10
FRAMES = 4  # what was at the same place in one of the last frames has not passed, and teaches nothing


@dataclass(slots=True)
class SizeByRow:
    """The expected side (root of the area, fractions of the frame) by the row of a box's lower edge."""

    _samples: list[tuple[float, float]] = field(default_factory=list)  # (row, side), oldest first
    _recent: list[list[Box]] = field(default_factory=list)
    _line: tuple[float, float] | None = None  # slope, intercept
    _since_fit: int = 0

    def learn(self, boxes: Sequence[Box]) -> None:
        """Take the vehicle boxes of one observation."""
        known = [box for boxes_before in self._recent for box in boxes_before]
        stayed = np.asarray((ious(boxes, known) > 0.3).any(axis=1)).tolist()
        new = [box for box, is_known in zip(boxes, stayed, strict=True) if not is_known]
        self._recent = [*self._recent[1 - FRAMES :], list(boxes)]
        for box in new:
            self._samples.append((box[3], math.sqrt(area(box))))
            self._since_fit += 1
        self._samples = self._samples[-SAMPLES:]
        if self._since_fit >= REFIT_EVERY and len(self._samples) >= LEAST_SAMPLES:
            self._fit()

    def _fit(self) -> None:
        self._since_fit = 0
        rows, sides = np.asarray(self._samples).T
        if float(rows.std()) < 0.02:  # all in one row: the mean is all there is to know
            self._line = (0.0, float(np.median(sides)))
            return
        slope, intercept = np.polyfit(rows, sides, 1)
        self._line = (float(slope), float(intercept))

    def is_plausible(self, box: Box) -> bool:
        """Whether a box is large enough for a vehicle in its row; True while too little is known."""
        if self._line is None:
            return True
        slope, intercept = self._line
        return math.sqrt(area(box)) >= LEAST_FRAC * (slope * box[3] + intercept)

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON-able values."""
        return {
            "samples": [list(one) for one in self._samples],
            "recent": [[list(box) for box in boxes] for boxes in self._recent],
            "line": None if self._line is None else list(self._line),
            "since_fit": self._since_fit,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state."""
        self._samples = [(float(row), float(side)) for row, side in state.get("samples", ())]
        self._recent = [[(b[0], b[1], b[2], b[3]) for b in boxes] for boxes in state.get("recent", ())]
        line = state.get("line")
        self._line = None if line is None else (float(line[0]), float(line[1]))
        self._since_fit = int(state.get("since_fit", 0))

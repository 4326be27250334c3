"""The change gate: whether a picture differs from the last one that a model was shown, and where.

It decides what a model sees, never what a rule knows: where nothing has changed, what was seen
before still holds. As in Reducto (Li et al., SIGCOMM 2020) cheap differences decide, here on the
reduced luminance, cell by cell, and against the picture of the last look, so that slow change adds
up. What is no change: light that grows or fades as a whole (a gain and an offset are fitted and
taken out), a shake of one reduced pixel (a pixel may take any value of its neighbourhood), noise,
rain and compression (their level is measured in the very picture), and places that never rest
(leaves, water: each cell has a floor of its own, which follows what is usual there).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from edge.shapes import Area
from streams.frame import Picture

CELL_PX = 8  # side of a cell in reduced pixels: 48 px of a 1080p picture
LEAST = 24.0  # grey levels summed over a cell: a car of 20 x 12 px at 1080p that stands out by 12
RAIN_FACTOR, RAIN_SHARE = 10.0, 0.9  # where a tenth of all cells stirs, one must stir ten times as much
FLOOR_MOST = 240.0  # but nothing is so usual that a whole car may hide in it
SPREADS = 7.0  # a restless cell must exceed what is usual there by so many of its mean deviations
AWAITED_S = 8.0  # what a candidate stands on has not changed: so seldom is its model asked again
RATE = 0.1  # share of each picture in what is usual
MASKED_FRAC = 0.5  # a cell that lies so far under masks does not matter
_KERNEL = np.ones((3, 3), np.uint8)

Amounts = npt.NDArray[np.float32]
"""float32 (rows, columns), a cell each: grey levels beyond all that is no change; inf if never seen."""
Cells = npt.NDArray[np.bool_]
"""bool (rows, columns), a cell each."""


class Why(StrEnum):
    """Why a model was asked, or was not."""

    FIRST = "first"
    CHANGED = "changed"
    SETTLING = "settling"
    """Something has just changed: one more look at what it has come to."""
    WANTED = "wanted"
    """A candidate awaits confirmation, or smoke was seen: the detector's word is needed."""
    FORCED = "forced"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What the gate decided of one picture: ``cells`` are those that have changed and matter."""

    why: Why
    cells: Cells

    @property
    def look(self) -> bool:
        """Whether the model is asked."""
        return self.why is not Why.UNCHANGED


def grid_of(reduced: Picture) -> tuple[int, int]:
    """Return (rows, columns) of cells for a reduced picture, uint8 (height, width)."""
    return (-(-reduced.shape[0] // CELL_PX), -(-reduced.shape[1] // CELL_PX))


@dataclass(slots=True)
class ChangeMap:
    """What was last looked at, cell by cell, and how restless each cell usually is."""

    _seen: Picture | None = None
    _usual: npt.NDArray[np.float32] | None = None  # mean of the amounts, and mean deviation from it

    def compare(self, reduced: Picture) -> Amounts:
        """Return by how much each cell differs from its last look; a still cell is below :data:`LEAST`."""
        seen = self._seen
        if seen is None or seen.shape != reduced.shape or self._usual is None:
            return np.full(grid_of(reduced), np.inf, np.float32)
        expected = _in_light_of(seen, reduced)
        beyond = cv2.max(
            cv2.subtract(reduced, cv2.dilate(expected, _KERNEL)),
            cv2.subtract(cv2.erode(expected, _KERNEL), reduced),
        )
        noise = _median(cv2.absdiff(reduced, expected))
        amounts = _sums(np.asarray(cv2.subtract(beyond, 2 + 2 * noise), np.uint8))
        everywhere = RAIN_FACTOR * _quantile(amounts, RAIN_SHARE)
        floor, spread = self._usual
        usual = np.minimum(np.maximum(floor + SPREADS * spread, everywhere), FLOOR_MOST)
        spread += RATE * (np.abs(amounts - floor) - spread)
        floor += RATE * (amounts - floor)
        return np.asarray(np.where(amounts > usual, amounts, 0.0), np.float32)

    def looked(self, reduced: Picture, cells: Cells | None = None) -> None:
        """Remember what a model was shown: all of it, or some cells."""
        if self._seen is None or self._seen.shape != reduced.shape:
            self._usual = np.zeros((2, *grid_of(reduced)), np.float32)
            self._seen = reduced.copy()
        elif cells is None:
            self._seen = reduced.copy()
        else:
            pixels = cells.repeat(CELL_PX, 0).repeat(CELL_PX, 1)[: reduced.shape[0], : reduced.shape[1]]
            self._seen = np.where(pixels, reduced, self._seen)


def _in_light_of(seen: Picture, now: Picture) -> Picture:
    """Return an earlier picture in the light of now: gain and offset fitted to the means of cells."""
    rows, columns = grid_of(now)
    before, after = (
        np.asarray(cv2.resize(one, (columns, rows), interpolation=cv2.INTER_AREA), np.float64).ravel()
        for one in (seen, now)
    )
    keep = np.ones(before.size, np.bool_)
    gain, offset = 1.0, _quantile(after - before, 0.5)
    for _ in range(2):  # once with all, once without what has changed
        spread = float(before[keep].var())
        if spread > 4.0:
            centred = before[keep] - before[keep].mean()
            gain = float(np.clip((centred * after[keep]).mean() / spread, 0.5, 2.0))
        offset = _quantile(after[keep] - gain * before[keep], 0.5)
        error = np.abs(after - gain * before - offset)
        keep = error <= 2.0 * _quantile(error, 0.5) + 1.0
    return np.asarray(np.clip(seen * np.float32(gain) + np.float32(offset) + 0.5, 0, 255), np.uint8)


def _median(values: npt.NDArray[np.uint8] | cv2.Mat) -> int:
    levels = np.bincount(np.asarray(values).ravel(), minlength=256).cumsum()
    return int(np.searchsorted(levels, levels[-1] / 2))


def _quantile(values: npt.NDArray[np.floating[Any]], share: float) -> float:
    """Return a quantile as ``np.quantile`` interpolates it, which takes ten times as long for a thousand."""
    at = share * (values.size - 1)
    low, high = int(at), min(int(at) + 1, values.size - 1)
    ordered = np.partition(values.ravel(), (low, high))
    return float(ordered[low] + (at - low) * (ordered[high] - ordered[low]))


def _sums(pixels: npt.NDArray[np.uint8]) -> Amounts:
    rows, columns = grid_of(pixels)
    missing = (rows * CELL_PX - pixels.shape[0], columns * CELL_PX - pixels.shape[1])
    whole = np.pad(pixels, ((0, missing[0]), (0, missing[1])))
    cells = whole.reshape(rows, CELL_PX, columns, CELL_PX)
    return np.asarray(cells.sum(axis=(1, 3), dtype=np.float32), np.float32)


@dataclass(slots=True)
class Gate:
    """The gate before one model in one view.

    Args:
        forced_s: a look at least this often, in seconds; 0 looks at every picture.

    """

    forced_s: float
    _map: ChangeMap = field(default_factory=ChangeMap)
    _looked_s: float | None = None
    _settling: bool = False

    def judge(
        self, reduced: Picture, relevant: Cells, now_s: float, *, wanted: bool, awaited: bool = False
    ) -> Decision:
        """Decide on one picture; :meth:`note` what came of it.

        Args:
            reduced: luminance, see :attr:`streams.frame.Frame.reduced`.
            relevant: cells in which change matters.
            now_s: time of the picture on a clock that never jumps.
            wanted: the model's word is needed, whatever has changed.
            awaited: it is needed every :data:`AWAITED_S`.

        """
        amounts = self._map.compare(reduced)
        cells = (amounts > LEAST) & relevant
        if self._looked_s is None or np.isinf(amounts).any():
            why = Why.FIRST
        elif cells.any():
            why = Why.CHANGED
        elif wanted or (awaited and self._is_due(now_s, AWAITED_S)):
            why = Why.WANTED
        elif self._settling:
            why = Why.SETTLING
        else:
            why = Why.FORCED if self._is_due(now_s, self.forced_s) else Why.UNCHANGED
        return Decision(why, cells)

    def _is_due(self, now_s: float, every_s: float) -> bool:
        """Whether the last look is so long ago; half a second early rather than one whole interval late."""
        return self._looked_s is None or now_s - self._looked_s >= every_s - 0.5

    def note(self, decision: Decision, reduced: Picture, now_s: float) -> None:
        """Remember that a model was shown the picture, where it was decided so, and has answered."""
        if decision.look:
            self._map.looked(reduced)
            self._looked_s = now_s
        self._settling = decision.why is Why.CHANGED


def relevant_cells(grid: tuple[int, int], zones: Sequence[Area], masks: Sequence[Area]) -> Cells:
    """Return the cells in or beside any of the zones (none: everywhere) and not mostly under masks."""
    rows, columns = grid
    x, y = np.meshgrid(np.arange(columns) / columns, np.arange(rows) / rows)
    boxes = shapely.box(x, y, x + 1 / columns, y + 1 / rows)
    cells = np.ones(grid, np.bool_)
    if zones:
        touched = shapely.intersects(shapely.union_all([zone.polygon for zone in zones]), boxes)
        cells = np.asarray(cv2.dilate(touched.astype(np.uint8), _KERNEL), np.bool_)
    if masks:
        under = shapely.intersection(shapely.union_all([mask.polygon for mask in masks]), boxes)
        cells &= shapely.area(under) * rows * columns < MASKED_FRAC
    return cells

"""Which parts of a picture are looked at in full resolution: what has changed, and where far smoke stands.

The whole picture at the model's own size finds what is near. What is far is 20 px wide at 2 km, and
stands about the horizon: one row of tiles follows it (:mod:`edge.horizon`). Tiles elsewhere are looked
at where something has changed. All cameras of a worker share so many tiles a second; a camera that
gets fewer than it wants looks first where it last saw something, then where it has waited longest,
the longer the more has changed there; so in time it looks at all that it wants to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from edge.gate import CELL_PX, Cells
from edge.horizon import Rows, learnt_horizon
from models.detections import Detections
from models.tiles import Tile
from streams.frame import Frame

SHRINK = 1.1  # a tile may be so much larger than the model's input, where that saves one in a row
OVERLAP_FRAC = 0.1  # of a tile's side: a plume smaller than that is whole in one tile at least
NO_HORIZON_FRAC = 0.45  # where looking begins without one: far things stand in the middle
LEARN_EVERY_S = 600.0  # light, haze and presets move a learnt horizon
STAY = 4  # looks at a tile in which something was seen, though it may be missed in some
NEVER_S = float("-inf")


@dataclass(slots=True)
class TileBudget:
    """So many tiles a second for all cameras of one worker; what one does not use others may.

    Each camera has a purse, into which its equal share flows; what no longer fits goes into a common
    one. So the first in a row cannot leave the last without.

    Args:
        per_s: tiles a second in all.
        cameras: how many share it.

    """

    per_s: float
    cameras: int
    _purses: dict[str, float] = field(default_factory=dict)
    _filled_s: dict[str, float] = field(default_factory=dict)
    _common: float = 0.0

    def take(self, camera: str, wanted: int, now_s: float) -> int:
        """Grant at most ``wanted`` tiles; at the first call as many as one second brings to all."""
        share_per_s, most = self.per_s / max(self.cameras, 1), max(self.per_s, 1.0)
        since_s = max(now_s - self._filled_s.get(camera, now_s), 0.0)
        self._filled_s[camera] = now_s
        purse = self._purses.get(camera, self.per_s) + share_per_s * since_s
        self._common = min(self._common + max(purse - most, 0.0), most)
        purse = min(purse, most)
        granted = min(wanted, math.floor(purse + self._common + 1e-9))
        from_common = max(granted - purse, 0.0)
        self._purses[camera] = purse - (granted - from_common)
        self._common -= from_common
        return granted


def tiles_of(size_px: tuple[int, int], tile_px: int, horizon: Rows | None) -> list[tuple[Tile, bool]]:
    """Lay tiles over a picture, those along the horizon first; tell of each whether it lies there.

    Without a horizon every tile may lie there, those in the middle come first. ``size_px``: (width, height).
    """
    width, height = size_px
    across, side = _count_and_side(width, tile_px)
    wide, high = min(side, width), min(side, height)
    lefts = [0] if across == 1 else [round(at) for at in np.linspace(0, width - wide, across)]
    known = np.full(across, NO_HORIZON_FRAC) if horizon is None else horizon
    band, others = [], []
    for left, rows in zip(lefts, np.array_split(known, across), strict=True):
        top = round(min(max(float(rows.mean()) * height - high / 2, 0), height - high))
        band.append((Tile(left, top, wide, high), True))
        others += [(Tile(left, other, wide, high), horizon is None) for other in _beyond(top, high, height)]
    return band + others


def _count(length: int, side: int) -> int:
    overlap = OVERLAP_FRAC * side
    return math.ceil((length - overlap) / (side - overlap)) if length > side else 1


def _count_and_side(width: int, tile_px: int) -> tuple[int, int]:
    """Return how many tiles cover a width, and their side in px: larger ones where they save one."""
    return min((_count(width, side), side) for side in (tile_px, round(SHRINK * tile_px)))


def _beyond(top: int, high: int, height: int) -> list[int]:
    """Return the tops of the tiles above and below one, so that its column is covered whole."""
    step, tops, at = round(high * (1 - OVERLAP_FRAC)), [], top
    while at > 0:
        at = max(at - step, 0)
        tops.append(at)
    at = top
    while at + high < height:
        at = min(at + step, height - high)
        tops.append(at)
    return tops


@dataclass(slots=True)
class TilePlanner:
    """The tiles of one model in one view.

    Args:
        camera: whose purse is used.
        tile_px: side of a tile, best the model's input.
        budget: shared with others; None grants all that is wanted.
        horizon_of: returns the horizon of a calibrated view for a picture's size, or None.

    """

    camera: str
    tile_px: int
    budget: TileBudget | None
    horizon_of: Callable[[tuple[int, int]], Rows | None]
    _tiles: list[tuple[Tile, bool]] = field(default_factory=list)
    _size_px: tuple[int, int] = (0, 0)
    _learnt_s: float = NEVER_S
    _looked_s: dict[Tile, float] = field(default_factory=dict)
    _stirred: dict[Tile, int] = field(default_factory=dict)  # cells that changed since it was looked at
    _saw: dict[Tile, int] = field(default_factory=dict)  # looks that it still comes first

    def plan(self, frame: Frame, changed: Cells, now_s: float) -> list[Tile]:
        """Choose the tiles of a picture; ``changed``: see :class:`edge.gate.Decision`."""
        self._lay(frame, now_s)
        if len(self._tiles) == 1:
            return []  # the picture itself is no larger than a tile
        for tile, _ in self._tiles:
            self._stirred[tile] = self._stirred.get(tile, 0) + _cells_in(changed, tile, frame)
        wanted = self._wanted(now_s)
        granted = len(wanted)
        if self.budget is not None:
            granted = self.budget.take(self.camera, granted, frame.monotonic_s)
        chosen = wanted[:granted]
        self._looked_s |= dict.fromkeys(chosen, now_s)
        self._stirred |= dict.fromkeys(chosen, 0)
        self._saw = {
            tile: left for tile, looks in self._saw.items() if (left := looks - (tile in chosen)) > 0
        }
        return chosen

    def _wanted(self, now_s: float) -> list[Tile]:
        """Return the tiles to look at, most urgent first; of those at rest no more than make a row."""
        order = {tile: index for index, (tile, _) in enumerate(self._tiles)}

        def rank(tile: Tile) -> tuple[bool, float, int]:
            waited_s = now_s - self._looked_s.get(tile, NEVER_S)
            return (tile not in self._saw, -waited_s * (1 + self._stirred[tile]), order[tile])

        awake = {tile for tile in order if self._stirred[tile] or tile in self._saw}
        resting = sorted((tile for tile, band in self._tiles if band and tile not in awake), key=rank)
        a_row = len({tile.left for tile in order})
        return sorted((*awake, *resting[:a_row]), key=rank)

    def saw(self, found: Detections) -> None:
        """Remember where something was found: there it is looked at first for some time."""
        tiles = [tile for tile, _ in self._tiles]
        middles = (found.xyxy[:, :2] + found.xyxy[:, 2:]) / 2
        self._saw |= {min(tiles, key=partial(_off_centre, middle)): STAY for middle in middles if tiles}

    def _lay(self, frame: Frame, now_s: float) -> None:
        size_px = (frame.width_px, frame.height_px)
        if size_px == self._size_px and now_s - self._learnt_s < LEARN_EVERY_S:
            return
        horizon = self.horizon_of(size_px)
        tiles = tiles_of(size_px, self.tile_px, learnt_horizon(frame.reduced) if horizon is None else horizon)
        if size_px != self._size_px or self._moved(tiles):
            self._tiles, self._looked_s, self._stirred, self._saw = tiles, {}, {}, {}
        self._size_px, self._learnt_s = size_px, now_s

    def _moved(self, tiles: Sequence[tuple[Tile, bool]]) -> bool:
        """Tell whether new tiles lie clearly elsewhere; a horizon learnt anew wavers by a few px."""
        if len(tiles) != len(self._tiles):
            return True
        return any(
            abs(one.top - other.top) > OVERLAP_FRAC * one.height or band != was
            for (one, band), (other, was) in zip(tiles, self._tiles, strict=True)
        )


def _cells_in(cells: Cells, tile: Tile, frame: Frame) -> int:
    """Count the changed cells whose middle lies in a tile."""
    step = CELL_PX * frame.width_px / max(frame.reduced.shape[1], 1)
    rows = (np.arange(cells.shape[0]) + 0.5) * step
    columns = (np.arange(cells.shape[1]) + 0.5) * step
    inside = cells[
        np.ix_(
            (rows >= tile.top) & (rows < tile.top + tile.height),
            (columns >= tile.left) & (columns < tile.left + tile.width),
        )
    ]
    return int(inside.sum())


def _off_centre(point: npt.NDArray[np.float32], tile: Tile) -> float:
    """Return how far a point, in px, lies from a tile's middle."""
    return math.hypot(point[0] - tile.left - tile.width / 2, point[1] - tile.top - tile.height / 2)

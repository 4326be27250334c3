"""Something on the road that is no vehicle: a fallen load, a branch, a barrier; no detector knows them all.

It is what stays still where the road was seen before. The zone is watched in cells of about 1 % of the
picture's width. Vehicles pass over a cell of a lane, and each time the road comes back as it was; a cell
that has come back often enough is known. What then looks different and stays so, between vehicles that
pass, lies on the road. Traffic tells what it is: vehicles drive around an object, and over a shadow or a
puddle; and near vehicles that stand it may be one of them that the detector does not see.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.observe import Box
from edge.shapes import Zone, common, foot_of, iou
from streams.frame import Frame

COLUMNS = 96  # cells across the picture
RATE = 0.05  # of the road's brightness and its spread, a look
LEAST_LEVELS, SPREADS = 9.0, 5.0  # a cell looks different beyond the larger of levels and mean deviations
RETURNS = 5  # a cell that came back so often after vehicles is road that is driven on
GONE_LOOKS = 3  # as neither road nor object; fewer is a vehicle that passes undetected
SETTLED_LOOKS = 15  # after which a cell that was never known takes its new look for the road's
SEEN_LOOKS = 10
HIDDEN_S = 150.0  # by vehicles, a red light long; then what is there has come anew
ABSORBED_S = 3600.0  # what has lain for so long belongs to the road
LEAST_CELLS = 3
TOGETHER_S = 15.0  # the cells of one object changed at about once
DRIVEN_OVER = 2  # vehicles whose wheels were seen on its place: a shadow, a puddle, a sheet of paper
NEAR_BL = 4.0  # from a vehicle that stands, in its own body lengths
SAME_THING_IOU = 0.2

Grid = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class StillThing:
    """What lies on the road: its box in fractions of the frame, since when, and when it was last seen.

    ``driven_over``: by so many vehicles; ``passed_s``: for so long traffic went around it as it lay there.
    """

    box: Box
    since_s: float
    seen_s: float
    driven_over: int = 0
    passed_s: float = 0.0


@dataclass(slots=True)
class _Cells:
    """What each cell of the zone's bounds looks like, shape (rows, columns); brightness in levels.

    ``road``, ``spread``: usual brightness and mean deviation; ``returns``: how often it came back;
    ``away``: it was covered or different at the last look. ``other``: what it looks like instead,
    ``since_s`` when, in ``seen`` looks, last at ``last_s``; ``missed``: looks in a row in which it
    was neither.
    """

    road: Grid
    spread: Grid
    returns: Grid
    away: Mask
    other: Grid
    since_s: npt.NDArray[np.float64]
    last_s: npt.NDArray[np.float64]
    seen: Grid
    missed: Grid

    @classmethod
    def of(cls, values: Grid) -> _Cells:
        def zeros() -> Grid:
            return np.zeros(values.shape, np.float32)

        none = np.zeros(values.shape, np.bool_)
        since_s = np.zeros(values.shape, np.float64)
        return cls(
            values.copy(), zeros() + 2, zeros(), none, zeros(), since_s, since_s.copy(), zeros(), zeros()
        )

    @property
    def known(self) -> Mask:
        return np.asarray(self.returns >= RETURNS)

    def take(self, values: Grid, covered: Mask, now_s: float) -> None:
        """Take one look; ``covered``: cells under vehicles."""
        known = self.known & ~covered
        gain = float(np.median((values[known] + 1) / (self.road[known] + 1))) if known.sum() >= 20 else 1.0
        values = np.asarray(values / gain, np.float32)
        off = np.abs(values - self.road)
        limit = np.maximum(LEAST_LEVELS, SPREADS * self.spread)
        is_road = ~covered & (off <= limit)
        self.road[is_road] += RATE * (values - self.road)[is_road]
        self.spread[is_road] += RATE * (off - self.spread)[is_road]
        self.returns += is_road & self.away
        differs = ~covered & ~is_road
        self.seen[now_s - self.last_s > HIDDEN_S] = 0
        same = differs & (self.seen > 0) & (np.abs(values - self.other) <= limit)
        self.other[same] += 0.2 * (values - self.other)[same]
        self.seen[same] += 1
        self.missed[same], self.last_s[same] = 0, now_s
        strange = differs & ~same
        self.missed[strange] += 1
        begins = strange & ((self.seen == 0) | (self.missed >= GONE_LOOKS))
        self.other[begins], self.since_s[begins], self.last_s[begins] = values[begins], now_s, now_s
        self.seen[begins], self.missed[begins] = 1, 0
        self.seen[is_road] = 0
        self.away = covered | differs
        settled = np.where(self.known, now_s - self.since_s > ABSORBED_S, self.seen >= SETTLED_LOOKS)
        absorbed = (self.seen > 0) & settled
        self.road[absorbed], self.seen[absorbed] = self.other[absorbed], 0

    def encode(self) -> str:
        """Write the cells down as text: levels and looks as whole numbers, times as whole seconds."""
        looks = np.stack([self.road, 10 * self.spread, self.returns, self.other, self.seen, self.away])
        levels = np.clip(np.rint(looks), 0, 255).astype(np.uint8).tobytes()
        times = np.where(self.seen > 0, np.stack([self.since_s, self.last_s]), 0).astype(np.float32)
        return base64.b64encode(zlib.compress(levels + times.tobytes(), 1)).decode()

    @classmethod
    def decode(cls, text: str, shape: tuple[int, ...]) -> _Cells:
        """Read back what :meth:`encode` wrote of cells of this shape."""
        data, count = zlib.decompress(base64.b64decode(text)), math.prod(shape)
        looks = np.frombuffer(data, np.uint8, 6 * count).reshape(6, *shape).astype(np.float32)
        times = np.frombuffer(data, np.float32, 2 * count, 6 * count).reshape(2, *shape).astype(np.float64)
        road, spread, returns, other, seen, away = looks
        since_s, last_s = times
        return cls(road, spread / 10, returns, away > 0, other, since_s, last_s, seen, np.zeros_like(road))


@dataclass(slots=True)
class RoadObjects:
    """Finds what lies on the road in one zone."""

    zone: Zone
    _cells: _Cells | None = None
    _shape: tuple[int, int] = (0, 0)  # of the grid over the whole picture
    _inside: Mask = field(default_factory=lambda: np.zeros((0, 0), np.bool_))
    _things: list[StillThing] = field(default_factory=list)

    def update(self, frame: Frame, vehicles: Sequence[Box], now_s: float) -> list[StillThing]:
        """Take one look; return what has come to lie on the road, the vehicles given not among it."""
        rows = max(1, round(COLUMNS * frame.height_px / frame.width_px))
        grid = frame.once("cells", lambda: _grid(frame, rows))
        if self._shape != grid.shape:
            self._shape, self._inside, self._cells = grid.shape, _inside(self.zone, grid.shape), None
        values = grid[self._window]
        if self._cells is None:
            self._cells = _Cells.of(values)
        covered = np.zeros(grid.shape, np.bool_)
        for box in vehicles:
            x1, y1, x2, y2 = self._span(box)
            covered[max(y1 - 1, 0) : y2 + 1, max(x1 - 1, 0) : x2 + 1] = True
        self._cells.take(values, covered[self._window], now_s)
        self._things = [self._known(thing, vehicles) for thing in self._still()]
        return [thing for thing in self._things if thing.driven_over < DRIVEN_OVER]

    @property
    def _window(self) -> tuple[slice, slice]:
        x1, y1, x2, y2 = self._span(self.zone.polygon.bounds)
        return slice(y1, y2), slice(x1, x2)

    def _span(self, box: Sequence[float]) -> tuple[int, int, int, int]:
        rows, columns = self._shape
        x1, y1, x2, y2 = box
        return int(x1 * columns), int(y1 * rows), math.ceil(x2 * columns), math.ceil(y2 * rows)

    def _still(self) -> list[StillThing]:
        """Return groups of cells that differ from the known road, and were seen to do so often enough."""
        cells = self._cells
        assert cells is not None  # noqa: S101 - update has made them
        rows, columns = self._shape
        down, across = self._window
        stays = cells.known & (cells.seen >= SEEN_LOOKS) & self._inside[down, across]
        if not stays.any():
            return []
        number, labels, stats, _ = cv2.connectedComponentsWithStats(stays.astype(np.uint8), connectivity=8)
        found = []
        for label in range(1, number):
            left, top, width, height, count = (int(value) for value in stats[label])
            early_s, middle_s, late_s = np.quantile(cells.since_s[labels == label], (0.1, 0.5, 0.9)).tolist()
            if count >= LEAST_CELLS and late_s - early_s <= TOGETHER_S:
                x, y = left + across.start, top + down.start
                box = (x / columns, y / rows, (x + width) / columns, (y + height) / rows)
                found.append(StillThing(box, middle_s, float(cells.last_s[labels == label].max())))
        return found

    def _known(self, thing: StillThing, vehicles: Sequence[Box]) -> StillThing:
        """Return it with what was known of it, and with the vehicles that drive over it now."""
        before = max(self._things, key=lambda one: iou(one.box, thing.box), default=None)
        if before is not None and iou(before.box, thing.box) >= SAME_THING_IOU:
            thing.since_s = min(before.since_s, thing.since_s)
            thing.driven_over, thing.passed_s = before.driven_over, before.passed_s
        middle, foot = (thing.box[0] + thing.box[2]) / 2, thing.box[3]
        wheels = [foot_of(box) for box in vehicles]
        thing.driven_over += any(x1 < middle < x2 and y1 < foot < y2 for x1, y1, x2, y2 in wheels)
        return thing

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON-able values; some kB."""
        return {
            "things": [
                [list(one.box), one.since_s, one.seen_s, one.driven_over, one.passed_s]
                for one in self._things
            ],
            "shape": list(self._shape),
            "cells": None if self._cells is None else self._cells.encode(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state."""
        rows, columns = state.get("shape", (0, 0))
        self._shape = (int(rows), int(columns))
        self._inside = _inside(self.zone, self._shape)
        cells = state.get("cells")
        self._cells = None if cells is None else _Cells.decode(cells, self._inside[self._window].shape)
        self._things = [
            StillThing((b[0], b[1], b[2], b[3]), float(since_s), float(seen_s), int(over), float(passed_s))
            for b, since_s, seen_s, over, passed_s in state.get("things", ())
        ]


def is_near(vehicle: Box, thing: Box) -> bool:
    """Whether something lies within :data:`NEAR_BL` of a vehicle, each axis in the vehicle's own size."""
    x1, y1, x2, y2 = vehicle
    aside, along = NEAR_BL * (x2 - x1), NEAR_BL * (y2 - y1)
    return common(thing, (x1 - aside, y1 - along, x2 + aside, y2 + along)) > 0


def _grid(frame: Frame, rows: int) -> Grid:
    """Return the mean brightness of cells, float32 (rows, :data:`COLUMNS`)."""
    return np.asarray(cv2.resize(frame.reduced, (COLUMNS, rows), interpolation=cv2.INTER_AREA), np.float32)


def _inside(zone: Zone, shape: tuple[int, int]) -> Mask:
    rows, columns = shape
    corners = np.asarray(zone.points) * (columns, rows)
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
    return mask.astype(np.bool_)

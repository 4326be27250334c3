"""What the road in one zone does: who stands where since when, what moves, and how full it is.

Shared by the blocked road and the stopped vehicle, which must tell the two apart in the same way.
No identity over time is needed: at one picture in two or three seconds there is none to be had in
dense traffic. A vehicle stands if its place keeps a vehicle of the same look; what is detected and
does not stand moves. One box that nothing else bears out is no flow, though: detectors see things
that are not there. Flow is two sightings of the size of a vehicle, at two places, within seconds,
whose places look different afterwards.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
from shapely import contains_xy
from shapely.geometry import MultiPoint, Point

from edge.observe import Box, Observation
from edge.rules.sizes import SizeByRow
from edge.shapes import Zone, area, foot_of, iou, ious
from edge.spots import Spot, SpotMemory, SpotSettings
from edge.vehicle_boxes import Seen, vehicles_of

CELLS = 32  # passages are remembered on a grid of so many cells a side
MAX_PASSAGES = 100
SAME_PASSAGE_S = 4.0  # movers seen closer together in time may be one vehicle
STEADY_S, STEADY_PASSAGES = 40.0, 5  # so many passages in so long are traffic, fewer may be slips
BORNE_OUT_S = 10.0  # a sighting is flow if another, elsewhere, is no farther off in time
LEFT = 60  # places remembered that were left
LEFT_TOGETHER, TOGETHER_S = 3, 10.0  # so many left at about once: the queue moved on
SURE_HITS = 10  # detections of one that waited before the head of a queue, to be sure that it has left
GONE_S = 20.0  # who is unseen for so long has left
SAME_PLACE_IOU = 0.7  # more is the very place: the same vehicle, lost and found again
AGAIN_INTERVALS = 2.5  # found there again so soon; later it may be the next vehicle
HEAD_BL = 1.0  # what moves no farther behind the head of a queue than this passes it
LEAST_TREND = 0.4  # correlation of place and time from which a queue shows which way it grows


@dataclass(frozen=True, slots=True)
class RoadState:
    """The road in one observation.

    Attributes:
        standing: spots that have stood for ``stop_time_s`` and are present or hidden, longest first.
        moving: boxes of vehicles that do not stand, in fractions of the frame.
        occupancy_frac: share of the zone under vehicles, in [0, 1].
        queue_bl: length of the standing queue in body lengths of its vehicles.
        speed_bl_s: median speed of the vehicles in the zone, body lengths a second; nan if unknown.

    """

    standing: tuple[Spot, ...]
    moving: tuple[Box, ...]
    occupancy_frac: float
    queue_bl: float
    speed_bl_s: float


@dataclass(frozen=True, slots=True, eq=False)
class _Raster:
    """The zone's bounds as 96 x 96 points; ``inside``: bool, by row and column, those in the zone.

    ``axis``: the direction in which the zone is longest, a unit vector (x, y) in fractions of the frame.
    """

    xs: npt.NDArray[np.float64]
    ys: npt.NDArray[np.float64]
    inside: npt.NDArray[np.bool_]
    axis: npt.NDArray[np.float64]

    @classmethod
    def of(cls, zone: Zone) -> _Raster:
        x1, y1, x2, y2 = zone.polygon.bounds
        xs, ys = np.linspace(x1, x2, 96), np.linspace(y1, y2, 96)
        inside = np.asarray(contains_xy(zone.polygon, *np.meshgrid(xs, ys)), np.bool_)
        corners = np.asarray(zone.points)
        axis = np.linalg.svd(corners - corners.mean(axis=0))[2][0]
        return cls(xs, ys, inside, np.asarray(axis, np.float64))

    def occupancy_frac(self, boxes: Sequence[Box]) -> float:
        """Return the share of the zone under boxes."""
        covered = np.zeros_like(self.inside)
        for x1, y1, x2, y2 in boxes:
            left, right = np.searchsorted(self.xs, (x1, x2))
            top, bottom = np.searchsorted(self.ys, (y1, y2))
            covered[top:bottom, left:right] = True
        return float((covered & self.inside).sum() / max(self.inside.sum(), 1))


@dataclass(frozen=True, slots=True)
class _Left:
    """One that stood here up to a time, and how often it was detected."""

    at_s: float
    box: Box
    hits: int

    @classmethod
    def of(cls, spot: Spot) -> _Left:
        return cls(spot.last_present_s, spot.box, spot.hits)


@dataclass(slots=True)
class Road:
    """The memory of one zone's traffic."""

    zone: Zone
    labels: Sequence[str]
    least: float
    stop_time_s: float
    interval_s: float
    _memory: SpotMemory = field(init=False)
    _sizes: SizeByRow = field(default_factory=SizeByRow)
    _sightings: list[tuple[float, Box]] = field(default_factory=list)  # of the last seconds
    _last_flow_s: dict[tuple[int, int], float] = field(default_factory=dict)  # by cell (column, row)
    _growth: tuple[float, float] = (0.0, 0.0)  # which way queues grow, in fractions of the frame
    _passages_s: list[float] = field(default_factory=list)  # anywhere in the zone, oldest first
    _left: list[_Left] = field(default_factory=list)  # those that stood and have left, oldest first
    _raster: _Raster = field(init=False)

    def __post_init__(self) -> None:
        """Make an empty memory."""
        self._raster = _Raster.of(self.zone)
        settings = SpotSettings(interval_s=self.interval_s, grace_s=max(20.0, 4 * self.interval_s))
        self._memory = SpotMemory(settings)

    def update(self, seen: Observation) -> tuple[RoadState, list[Spot]]:
        """Take one observation; return the state of the road, and the spots that ended."""
        now_s = seen.monotonic_s
        everywhere = vehicles_of(seen.detections, seen, self.labels, self.least)
        self._sizes.learn([one.box for one in everywhere])
        inside = self.zone.covers_fracs([foot_of(one.box) for one in everywhere])
        vehicles = [one for one, share in zip(everywhere, inside, strict=True) if share >= 0.5]
        ended = self._memory.update(seen, vehicles, everywhere)
        # one that ends while it is present was merged into another that shows the same vehicle
        left = [_Left.of(one) for one in ended if _stood(one) and not one.is_present]
        self._left = [*self._left, *left][-LEFT:]
        # a spot of two observations may still be a vehicle that was only slow
        settling = [spot for spot in self._memory.spots if spot.present >= 2 or spot.alarmed]
        still = [spot.box for spot in settling if spot.is_present or spot.is_hidden]
        boxes = [one.box for one in vehicles]
        moving = tuple(
            box for box, is_still in zip(boxes, _lies_on(still, boxes), strict=True) if not is_still
        )
        self._remember(moving, still, now_s)
        standing = tuple(
            sorted(
                (spot for spot in self._memory.spots if self._stands(spot, now_s)),
                key=lambda spot: (spot.since_s, spot.key),
            )
        )
        self._learn_growth([spot for spot in standing if not spot.is_hidden])
        state = RoadState(
            standing=standing,
            moving=moving,
            occupancy_frac=self._raster.occupancy_frac([*(spot.box for spot in standing), *moving]),
            queue_bl=queue_length_bl(standing),
            speed_bl_s=self._speed(seen, len(standing), vehicles),
        )
        return state, ended

    def _stands(self, spot: Spot, now_s: float) -> bool:
        recent_s = max(3 * self.interval_s, 6.0)
        there = spot.is_present or spot.is_hidden or now_s - spot.last_present_s <= recent_s
        steady = spot.present_frac >= 0.6 and spot.hits >= 2 and spot.vacant_s is None
        return there and steady and spot.dwell_s(now_s) >= self.stop_time_s

    def _speed(self, seen: Observation, standing: int, vehicles: Sequence[Seen]) -> float:
        overlaps = ious([track.box for track in seen.tracks], [one.box for one in vehicles])
        in_zone = np.asarray((overlaps > 0.8).any(axis=1)).tolist()
        speeds = [
            track.speed_bl_s
            for track, is_in_zone in zip(seen.tracks, in_zone, strict=True)
            if is_in_zone and not math.isnan(track.speed_bl_s)
        ]
        if speeds:
            return median(speeds)
        return 0.0 if standing else math.nan

    def _remember(self, moving: Sequence[Box], still: Sequence[Box], now_s: float) -> None:
        """Note what moved, once it has left its place and another sighting elsewhere bears it out.

        ``still``: places that look as they did; what was seen there does not move, or was not there.
        What is seen twice on the very same place does not move either, whatever hides it in between.
        """
        recent = [(at_s, box) for at_s, box in self._sightings if now_s - at_s <= BORNE_OUT_S]
        stayed = _lies_on(still, [box for _, box in recent])
        recent = [sighting for sighting, is_still in zip(recent, stayed, strict=True) if not is_still]
        self._sightings = [*recent, *((now_s, box) for box in moving if self._sizes.is_plausible(box))]
        again = ious([box for _, box in recent], [box for _, box in self._sightings]) >= SAME_PLACE_IOU
        seen_s = np.asarray([at_s for at_s, _ in self._sightings])
        again &= np.abs(seen_s[: len(recent), None] - seen_s) <= AGAIN_INTERVALS * self.interval_s
        np.fill_diagonal(again, val=False)
        repeated = np.asarray(again.any(axis=1)).tolist()
        gone = [one for one, is_repeated in zip(recent, repeated, strict=True) if not is_repeated]
        boxes = [box for _, box in gone]
        apart = ious(boxes, boxes) < 0.1
        np.fill_diagonal(apart, val=False)
        flowing = {gone[index] for index in np.flatnonzero(apart.any(axis=1))}
        for at_s in sorted({at_s for at_s, _ in flowing}):
            if not self._passages_s or at_s - self._passages_s[-1] >= SAME_PASSAGE_S:
                self._passages_s = [*self._passages_s[1 - MAX_PASSAGES :], at_s]
        if sum(now_s - at_s <= STEADY_S for at_s in self._passages_s) < STEADY_PASSAGES:
            return
        for at_s, box in sorted(flowing):
            x, y = _ground(box)
            cell = min(int(x * CELLS), CELLS - 1), min(int(y * CELLS), CELLS - 1)
            self._last_flow_s[cell] = max(at_s, self._last_flow_s.get(cell, -math.inf))

    def moved_on_s(self, queue: Sequence[Spot], now_s: float) -> float:
        """Return when several that stood have last left their places at about once; -inf if never.

        It is how a queue moves up, and how those before an obstacle drive off when a light turns
        green: few and soon gone, no steady traffic, but they stood, so it is sure that they were there.
        """
        lost = [one for one in self._memory.spots if _stood(one) and not one.is_present]
        gone = [
            one
            for one in (*self._left, *(_Left.of(spot) for spot in lost))
            if now_s - one.at_s >= GONE_S
            and not any(iou(one.box, spot.box) >= SAME_PLACE_IOU for spot in queue)
        ]
        sure_s = [one.at_s for one in gone if one.hits >= SURE_HITS and self._stood_first(one, queue)]
        times_s = sorted(one.at_s for one in gone)
        together = zip(times_s, times_s[LEFT_TOGETHER - 1 :], strict=False)
        return max(
            [*sure_s, *(last for first, last in together if last - first <= TOGETHER_S)], default=-math.inf
        )

    def _stood_first(self, one: _Left, queue: Sequence[Spot]) -> bool:
        """Whether one that has left had stood before all of a queue that stood then already."""
        stood = [spot.box for spot in queue if spot.since_s < one.at_s]
        head = min(stood, key=self._along, default=None)
        if head is None:
            return False
        beside = HEAD_BL / 2 * math.sqrt(area(head)) * math.hypot(*self._growth)  # in the lane next to it
        return self._along(one.box) < self._along(head) + beside

    def _along(self, box: Box) -> float:
        """Return how far along the way in which queues grow a vehicle stands; 0 while that is unknown."""
        x, y = _ground(box)
        return x * self._growth[0] + y * self._growth[1]

    def occupancy_frac(self, boxes: Sequence[Box]) -> float:
        """Return the share of the zone under boxes, in [0, 1]."""
        return self._raster.occupancy_frac(boxes)

    def last_flow_s(self, spots: Sequence[Spot]) -> float:
        """Return when traffic last moved through where these spots stand; -inf if none has.

        Through means inside their convex hull, half a body length wider.
        """
        if not spots or not self._last_flow_s:
            return -math.inf
        points = [corner for spot in spots for corner in _corners(spot.box)]
        size = median(math.sqrt(area(spot.box)) for spot in spots)
        hull = MultiPoint(points).convex_hull.buffer(size / 2)
        through = [
            at_s
            for (column, row), at_s in self._last_flow_s.items()
            if hull.contains(Point((column + 0.5) / CELLS, (row + 0.5) / CELLS))
        ]
        return max(through, default=-math.inf)

    def last_discharge_s(self, spots: Sequence[Spot]) -> float | None:
        """Return when something last passed the head of the queue; -inf if nothing has.

        The head is where the first stood: a queue grows backwards, always the same way on one
        carriageway. None until that way is known.
        """
        if len(spots) < 3:
            return None
        if self._growth == (0.0, 0.0):
            return None
        head = min(spots, key=lambda spot: self._along(spot.box))
        limit = self._along(head.box) + HEAD_BL * math.sqrt(area(head.box)) * math.hypot(*self._growth)
        passed = [
            at_s
            for (column, row), at_s in self._last_flow_s.items()
            if ((column + 0.5) * self._growth[0] + (row + 0.5) * self._growth[1]) / CELLS < limit
        ]
        return max(passed, default=-math.inf)

    def _learn_growth(self, queue: Sequence[Spot]) -> None:
        if len(queue) < 3:
            return
        places = np.asarray([_ground(spot.box) for spot in queue])
        since_s = np.asarray([spot.since_s for spot in queue])
        axis = np.linalg.svd(places - places.mean(axis=0))[2][0]
        along = places @ axis
        if along.std() < 1e-6 or since_s.std() < 1e-6:
            return
        trend = float(np.corrcoef(along, since_s)[0, 1])
        if abs(trend) >= LEAST_TREND:
            x, y = (0.9 * old + 0.1 * trend * float(new) for old, new in zip(self._growth, axis, strict=True))
            self._growth = (x, y)

    def flows_around(self, place: Box, since_s: float) -> bool:
        """Whether traffic has moved since then both before and behind a place, along the road."""
        axis = self._raster.axis
        here = float(np.dot(_ground(place), axis))
        beyond = math.sqrt(area(place))
        along = [
            ((column + 0.5) * axis[0] + (row + 0.5) * axis[1]) / CELLS - here
            for (column, row), at_s in self._last_flow_s.items()
            if at_s > since_s
        ]
        return min(along, default=0.0) < -beyond and max(along, default=0.0) > beyond

    def flow_past(self, spot: Spot) -> int:
        """Count the passages anywhere in the zone since the spot began, at most 100."""
        return len(self._passages_s) - bisect_right(self._passages_s, spot.since_s)

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON-able values."""
        return {
            "memory": self._memory.dump(),
            "sizes": self._sizes.dump(),
            "sightings": [[at_s, list(box)] for at_s, box in self._sightings],
            "flow": [[column, row, at_s] for (column, row), at_s in self._last_flow_s.items()],
            "growth": list(self._growth),
            "passages": list(self._passages_s),
            "gone": [[one.at_s, list(one.box), one.hits] for one in self._left],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state."""
        self._memory.load(state.get("memory", {}))
        self._sizes.load(state.get("sizes", {}))
        self._sightings = [(float(at_s), (b[0], b[1], b[2], b[3])) for at_s, b in state.get("sightings", ())]
        self._last_flow_s = {(int(x), int(y)): float(at_s) for x, y, at_s in state.get("flow", ())}
        x, y = state.get("growth", (0.0, 0.0))
        self._growth = (float(x), float(y))
        self._passages_s = [float(at_s) for at_s in state.get("passages", ())]
        self._left = [
            _Left(float(s), (b[0], b[1], b[2], b[3]), int(hits)) for s, b, hits in state.get("gone", ())
        ]


def _stood(spot: Spot) -> bool:
    return spot.hits >= 3 and spot.present_frac >= 0.6


def _lies_on(places: Sequence[Box], boxes: Sequence[Box]) -> npt.NDArray[np.bool_]:
    """Say of each box, bool (n,), whether it is seen on one of these places."""
    return np.asarray((ious(boxes, places) >= 0.3).any(axis=1))


def _ground(box: Box) -> tuple[float, float]:
    return ((box[0] + box[2]) / 2, box[3] - (box[3] - box[1]) * 0.2)


def _corners(box: Box) -> list[tuple[float, float]]:
    x1, y1, x2, y2 = foot_of(box, 0.5)
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def queue_length_bl(spots: Sequence[Spot]) -> float:
    """Return the distance between the two farthest vehicles plus one, in their mean body lengths."""
    if not spots:
        return 0.0
    rows = np.asarray([spot.box for spot in spots])
    doubled_middles, sides = rows[:, :2] + rows[:, 2:], rows[:, 2:] - rows[:, :2]
    apart = np.abs(doubled_middles[:, None] - doubled_middles) / (sides[:, None] + sides)
    return 1.0 + float(np.hypot(apart[..., 0], apart[..., 1]).max())

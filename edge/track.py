"""Follow objects over the frames of one view at 0.5 to 5 frames a second.

Two-stage association after ByteTrack (Zhang et al., ECCV 2022): sure boxes first, then the unsure
ones for tracks that are still without. At these rates boxes of a moving vehicle need not overlap,
so the score is overlap plus closeness in body lengths, gated by size; a constant velocity predicts.
Identity is not trusted with dwell: that is bound to places (:mod:`edge.spots`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from edge.observe import Box, Track
from edge.shapes import Matrix, areas, ious
from models.detections import Detections
from streams.frame import Frame
from towerwatch.timebase import parse_utc

HISTORY_S = 6.0


@dataclass(frozen=True, slots=True)
class TrackSettings:
    """What the tracker goes by; lengths in body lengths (square root of the box area).

    Attributes:
        sure: confidence from which a box may start a track and is matched first.
        reach_bl, reach_bl_s: how far from its prediction an object may be found: fixed part, and
            part per second since it was last seen.
        max_reach_bl: and never farther than this: beyond it another object is as likely.
        lost_s: a track unseen this long is over.
        still_bl: an object that stays within this distance of its place stands.

    """

    sure: float = 0.3
    reach_bl: float = 0.5
    reach_bl_s: float = 0.5
    max_reach_bl: float = 1.8
    lost_s: float = 6.0
    still_bl: float = 0.25
    size_ratio: float = 2.5


@dataclass(slots=True)
class _Object:
    """One followed object; lengths in units of the frame's height, so that both axes are alike."""

    track_id: int
    votes: dict[str, float]
    box: Box
    confidence: float
    first_seen_at: datetime
    last_seen_at: datetime
    last_seen_s: float
    history: list[tuple[float, float, float]]  # (seconds, centre x, centre y), oldest first
    place: tuple[float, float]
    place_s: float
    place_at: datetime
    sightings: int = 1
    _velocity: tuple[float, float] | None = None  # once it was asked for

    @property
    def length(self) -> float:
        return _length(self.box)

    def passes(self, now_s: float, x: float, y: float) -> None:
        """Add where it is now to where it was in the last seconds."""
        self.history = [*[p for p in self.history if now_s - p[0] <= HISTORY_S][-30:], (now_s, x, y)]
        self._velocity = None

    def velocity(self) -> tuple[float, float]:
        """Frame heights a second, least squares over the last seconds; zero while too young."""
        if self._velocity is None:
            self._velocity = self._fitted()
        return self._velocity

    def _fitted(self) -> tuple[float, float]:
        if len(self.history) < 2:
            return (0.0, 0.0)
        mean_t, mean_x, mean_y = (sum(p[i] for p in self.history) / len(self.history) for i in range(3))
        spread = sum((p[0] - mean_t) ** 2 for p in self.history)
        if spread < 1e-9:
            return (0.0, 0.0)
        vx = sum((p[0] - mean_t) * (p[1] - mean_x) for p in self.history) / spread
        vy = sum((p[0] - mean_t) * (p[2] - mean_y) for p in self.history) / spread
        return (vx, vy)

    def predicted(self, now_s: float) -> Box:
        vx, vy = self.velocity()
        dt = now_s - self.last_seen_s
        return (self.box[0] + vx * dt, self.box[1] + vy * dt, self.box[2] + vx * dt, self.box[3] + vy * dt)


@dataclass(slots=True)
class Tracker:
    """The objects of one view. Call :meth:`update` once a frame, in order of time."""

    settings: TrackSettings = TrackSettings()
    _objects: list[_Object] = field(default_factory=list)
    _next_id: int = 1

    def update(self, found: Detections, frame: Frame, now_s: float) -> tuple[Track, ...]:
        """Take the boxes of one frame, and return the objects seen in it.

        ``now_s`` is on the clock that never jumps; boxes in pixels of the frame. Objects that were
        missed in this frame are remembered for ``lost_s`` and not returned.
        """
        scale = 1.0 / frame.height_px
        boxes: list[Box] = [_scaled(row, scale) for row in found.xyxy.tolist()]
        sure = [i for i in range(len(boxes)) if found.confidence[i] >= self.settings.sure]
        unsure = [i for i in range(len(boxes)) if found.confidence[i] < self.settings.sure]
        self._objects = [o for o in self._objects if now_s - o.last_seen_s <= self.settings.lost_s]
        free = list(self._objects)
        taken: set[int] = set()
        for group in (sure, unsure):
            for one, index in self._associate(free, boxes, group, now_s):
                self._seen(one, boxes[index], found, index, frame.captured_at, now_s)
                free.remove(one)
                taken.add(index)
        for index in sure:
            if index not in taken and not self._doubled(boxes[index], now_s):
                self._start(boxes[index], found, index, frame.captured_at, now_s)
        aspect = frame.width_px / frame.height_px
        return tuple(self._track(one, aspect, now_s) for one in self._objects if one.last_seen_s == now_s)

    def _associate(
        self, free: Sequence[_Object], boxes: Sequence[Box], group: Sequence[int], now_s: float
    ) -> Iterable[tuple[_Object, int]]:
        if not free or not group:
            return
        scores = self._scores(free, [one.predicted(now_s) for one in free], [boxes[i] for i in group], now_s)
        scored = [
            (float(scores[row, column]), -free[row].track_id, -group[column], free[row], group[column])
            for row, column in np.argwhere(scores > 0)
        ]
        scored.sort(key=lambda item: item[:3], reverse=True)
        used: set[int] = set()
        gone: set[int] = set()
        for _, _, _, one, index in scored:
            if one.track_id not in gone and index not in used:
                gone.add(one.track_id)
                used.add(index)
                yield one, index

    def _scores(
        self, some: Sequence[_Object], predicted: Sequence[Box], boxes: Sequence[Box], now_s: float
    ) -> Matrix:
        """Return by how much each object fits each box, shape (objects, boxes); 0 where it cannot be."""
        own, found, ahead = (np.asarray(rows) for rows in ([one.box for one in some], boxes, predicted))
        own_area, found_area = areas(own)[:, None], areas(found)[None]
        length = np.maximum((np.sqrt(own_area) + np.sqrt(found_area)) / 2, 1e-6)
        ratio = found_area / np.maximum(own_area, 1e-12)
        apart = (ahead[:, None, :2] + ahead[:, None, 2:] - found[None, :, :2] - found[None, :, 2:]) / 2
        away = np.hypot(apart[..., 0], apart[..., 1]) / length
        unseen_s = now_s - np.asarray([one.last_seen_s for one in some])[:, None]
        reach = np.minimum(
            self.settings.reach_bl + self.settings.reach_bl_s * unseen_s, self.settings.max_reach_bl
        )
        # one that stood at the spot is the likeliest to be there, whatever its noisy velocity says
        overlap = np.maximum(ious(predicted, boxes), ious([one.box for one in some], boxes))
        closeness = np.maximum(1 - away / reach, 0.0)
        fits = (ratio >= 1 / self.settings.size_ratio) & (ratio <= self.settings.size_ratio)
        fits &= (overlap > 0.1) | (closeness > 0)
        return np.asarray(np.where(fits, overlap + 0.5 * closeness, 0.0))

    def _doubled(self, box: Box, now_s: float) -> bool:
        """Whether the box repeats an object of this frame (the same car as car and as truck)."""
        seen = [one.box for one in self._objects if one.last_seen_s == now_s]
        return bool((ious([box], seen) > 0.6).any())

    def _start(self, box: Box, found: Detections, index: int, at: datetime, now_s: float) -> None:
        x, y = _centre(box)
        confidence = float(found.confidence[index])
        self._objects.append(
            _Object(
                track_id=self._next_id,
                votes={found.label_of(index): confidence},
                box=box,
                confidence=confidence,
                first_seen_at=at,
                last_seen_at=at,
                last_seen_s=now_s,
                history=[(now_s, x, y)],
                place=(x, y),
                place_s=now_s,
                place_at=at,
            )
        )
        self._next_id += 1

    def _seen(
        self, one: _Object, box: Box, found: Detections, index: int, at: datetime, now_s: float
    ) -> None:
        x, y = _centre(box)
        label, confidence = found.label_of(index), float(found.confidence[index])
        one.votes[label] = one.votes.get(label, 0.0) + confidence
        one.box, one.confidence = box, confidence
        one.last_seen_at, one.last_seen_s = at, now_s
        one.passes(now_s, x, y)
        one.sightings += 1
        if math.dist(one.place, (x, y)) > self.settings.still_bl * one.length:
            one.place, one.place_s, one.place_at = (x, y), now_s, at

    def _track(self, one: _Object, aspect: float, now_s: float) -> Track:
        vx, vy = one.velocity()
        young = len(one.history) < 2
        stands = one.sightings >= 2 and now_s > one.place_s
        x1, y1, x2, y2 = one.box
        return Track(
            track_id=one.track_id,
            label=max(sorted(one.votes), key=lambda name: one.votes[name]),
            box=(x1 / aspect, y1, x2 / aspect, y2),
            confidence=one.confidence,
            first_seen_at=one.first_seen_at,
            last_seen_at=one.last_seen_at,
            speed_bl_s=math.nan if young else math.hypot(vx, vy) / max(one.length, 1e-6),
            velocity_frac_s=(vx / aspect, vy),
            still_since=one.place_at if stands else None,
        )

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON-able values."""
        return {"next_id": self._next_id, "objects": [_dump(one) for one in self._objects]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state."""
        self._next_id = int(state["next_id"])
        self._objects = [_load(one) for one in state["objects"]]


def back_dated(at: datetime, now_s: float, then_s: float) -> datetime:
    """Return the wall-clock time of an earlier stamp of the clock that never jumps."""
    return at - timedelta(seconds=now_s - then_s)


def _scaled(row: Sequence[float], scale: float) -> Box:
    x1, y1, x2, y2 = (float(value) * scale for value in row)
    return (x1, y1, x2, y2)


def _area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def _length(box: Box) -> float:
    return math.sqrt(_area(box))


def _centre(box: Box) -> tuple[float, float]:
    return ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)


def _dump(one: _Object) -> dict[str, Any]:
    return {
        "track_id": one.track_id,
        "votes": dict(one.votes),
        "box": list(one.box),
        "confidence": one.confidence,
        "first_seen_at": one.first_seen_at.isoformat(),
        "last_seen_at": one.last_seen_at.isoformat(),
        "last_seen_s": one.last_seen_s,
        "history": [list(point) for point in one.history],
        "place": list(one.place),
        "place_s": one.place_s,
        "place_at": one.place_at.isoformat(),
        "sightings": one.sightings,
    }


def _load(state: Mapping[str, Any]) -> _Object:
    x1, y1, x2, y2 = state["box"]
    return _Object(
        track_id=int(state["track_id"]),
        votes=dict(state["votes"]),
        box=(x1, y1, x2, y2),
        confidence=float(state["confidence"]),
        first_seen_at=parse_utc(state["first_seen_at"]),
        last_seen_at=parse_utc(state["last_seen_at"]),
        last_seen_s=float(state["last_seen_s"]),
        history=[(t, x, y) for t, x, y in state["history"]],
        place=(state["place"][0], state["place"][1]),
        place_s=float(state["place_s"]),
        place_at=parse_utc(state["place_at"]),
        sightings=int(state["sightings"]),
    )

"""The memory of places where a vehicle stands, kept by place and by look, never by track id.

A spot begins where a vehicle is detected. It is *present* in an observation when the detector finds
a vehicle there that looks as before, or when the place still looks as it did although the detector
found nothing (weak detectors see a parked car in only part of the frames). Otherwise it is hidden
(something detected covers it), or it has changed. A place that has changed and settled on a new
look has been left; if a vehicle is detected in it, another one has taken it, and that is a new spot.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from edge import look as looks
from edge.look import Look, places_of
from edge.observe import Box, Observation
from edge.shapes import area, common, commons, iou, ious, overlap_of_smaller, same_vehicles
from edge.track import back_dated
from edge.vehicle_boxes import Seen
from towerwatch.timebase import parse_utc

MAX_SPOTS = 200  # of one rule; the youngest go first
RECENT_BOXES = 9
GAP_INTERVALS = 3.0
IN_FRONT_FRAC = 0.12  # a box that ends so much lower, in heights of the place, is nearer
SAME_PLACE_IOU = 0.7  # of a box with a place on which the vehicle has not moved
MASK_UNSEEN_S = 30.0  # for so long what hides a part may go undetected itself
BEHIND_IOU = 0.6  # the same of one that is partly hidden, whose box is less exact
MASKED_FRAC = 0.05
COVERED_FRAC = 0.75
ESTABLISHED = 5  # observations with it present, after which a vehicle stood here and did not only pass
_DOUBLES = (0.45, 0.85)  # least IoU and least share inside of a box that shows a vehicle known already
SILENT_LEAST, SILENT_CHANCE = 8, 0.01
LEAST_SEEN_FRAC = 0.05  # of the observations, from which a detector can be believed at all


@dataclass(frozen=True, slots=True)
class SpotSettings:
    """What the memory goes by.

    Attributes:
        interval_s: usual time between two observations.
        grace_s: seconds, unseen and not hidden, after which a spot is over.
        hidden_s: seconds hidden behind something detected that do not count as unseen.
        settle_s: a changed place must keep its new look for this long, over three observations.
        swap_s: the same where the place was never seen to be left in between: a queue may stand before it.
        vacant_s: a place without a detection must keep its new look for this long to be left.
        match_iou: overlap from which a detection belongs to a spot.
        same: likeness from which a place without a detection still holds the same vehicle.
        same_seen: the same with a detection on it, which is evidence in itself.
        jump_log, jump_colour: change of the whole picture from which the light has jumped: of mean
            brightness as a natural logarithm (traffic on a crowded junction: at most 0.25), and of mean
            colourfulness in levels (there at most 5; a lamp that goes to infrared takes 10 and more).
        drift_bl: a vehicle whose box moves farther than this, in body lengths, has not stood.

    """

    interval_s: float = 2.0
    grace_s: float = 60.0
    hidden_s: float = 900.0
    settle_s: float = 5.0
    swap_s: float = 5.0
    vacant_s: float = 5.0
    match_iou: float = 0.4
    same: float = 0.6
    same_seen: float = 0.45
    drift_bl: float = 0.35
    jump_log: float = 0.4
    jump_colour: float = 8.0


@dataclass(slots=True, eq=False)
class Spot:
    """One place where a vehicle stands or stood. Times are (seconds, aware UTC) pairs in two fields.

    ``hits``: detections; ``present``, ``counted``: observations with it present, and all in which
    it could be judged (not hidden); ``silent``: of them those since the last detection;
    ``vacant_s``: since when the place is known to be left, or None.
    ``reported``: the rule has spoken of it; ``alarmed``: as an alert, so that it ends only after the
    whole grace, and not because it is seen seldom. ``moved``: it turned out not to stand. ``cover``:
    what the place looked like when something detected hid it, which may stay without being detected.
    ``steady_s``: up to when it was present, or found exactly here without a gap, whatever its look;
    ``pending_kept``: the new look came so soon after that nothing can have left and been replaced;
    ``masked``: something stood before a part of it when its look was taken, so that this look is mixed;
    ``shaded``: something nearer was seen before a part of it since it was last present, ``masked_s``
    when that was last so. ``permitted_at``: when the rule last let it stand here, None if never.
    """

    key: str
    place: Box
    boxes: deque[tuple[Box, float]]
    votes: dict[str, float]
    look: Look
    since_s: float
    since_at: datetime
    last_present_s: float
    last_present_at: datetime
    hits: int = 1
    present: int = 1
    counted: int = 1
    silent: int = 0
    unseen_s: float = 0.0
    hidden_s: float = 0.0
    is_present: bool = True
    is_hidden: bool = False
    vacant_s: float | None = None
    cover: Look | None = None
    pending: Look | None = None
    pending_s: float = 0.0
    pending_at: datetime | None = None
    pending_seen: int = 0
    pending_hits: int = 0
    pending_kept: bool = False
    masked: bool = False
    shaded: bool = False
    masked_s: float = -math.inf
    steady_s: float = -math.inf
    jumped_s: float | None = None
    reported: bool = False
    alarmed: bool = False
    moved: bool = False
    permitted_at: datetime | None = None
    _box: Box | None = None  # the median, once it was asked for

    @property
    def box(self) -> Box:
        """The median of the last detections, in fractions of the frame."""
        if self._box is None:
            x1, y1, x2, y2 = map(_middle, zip(*(box for box, _ in self.boxes), strict=True))
            self._box = (x1, y1, x2, y2)
        return self._box

    def detected(self, found: Seen) -> None:
        """Count one more detection of it."""
        self.boxes.append((found.box, found.confidence))
        self.votes[found.label] = self.votes.get(found.label, 0.0) + found.confidence
        self.hits += 1
        self.silent = 0
        self._box = None

    @property
    def confidence(self) -> float:
        """The mean confidence of the last detections."""
        return sum(confidence for _, confidence in self.boxes) / len(self.boxes)

    @property
    def label(self) -> str:
        """The class that most confidence was given to."""
        return max(sorted(self.votes), key=lambda name: self.votes[name])

    @property
    def evidence(self) -> float:
        """The mean confidence over all judged observations, those without a detection as zero."""
        return min(self.seen_frac, 1.0) * self.confidence

    @property
    def present_frac(self) -> float:
        """The share of judged observations since the start in which it was present."""
        return self.present / self.counted

    @property
    def seen_frac(self) -> float:
        """The share of judged observations since the start in which the detector found it."""
        return self.hits / self.counted

    @property
    def has_fallen_silent(self) -> bool:
        """Whether it has been missed for longer than chance allows, by the rate at which it was found.

        The ground under a box that was a slip looks the same for ever; a vehicle is found again.
        """
        rate = self.hits / (self.counted - self.silent + 2)
        return self.silent >= SILENT_LEAST and (1.0 - rate) ** self.silent < SILENT_CHANCE

    def dwell_s(self, now_s: float) -> float:
        """Return for how long it has stood, in seconds."""
        return now_s - self.since_s


@dataclass(slots=True)
class SpotMemory:
    """All spots of one rule in one view."""

    settings: SpotSettings
    spots: list[Spot] = field(default_factory=list)
    light: tuple[float, float] | None = None

    def update(self, seen: Observation, vehicles: Sequence[Seen], around: Sequence[Seen] = ()) -> list[Spot]:
        """Take one observation; return the spots that ended with it, ``spots`` being those that live.

        ``vehicles`` may take spots; ``around``, all that were detected, may also hide them.
        """
        observed_s = min(seen.gap_s, self.settings.interval_s)
        if seen.gap_s <= GAP_INTERVALS * self.settings.interval_s:
            observed_s = seen.gap_s
        else:  # what was seen once before a gap has never been seen to stand
            self.spots = [spot for spot in self.spots if spot.present > 1]
        if self.spots:
            places_of(seen.frame).prepare([(spot.look, spot.place) for spot in self.spots])
        matches = self._matches(vehicles)
        jumped = self._light_jumped(seen)
        ended: list[Spot] = []
        born: list[Spot] = []
        everywhere = around or vehicles
        near = self._near(everywhere)
        for index, spot in enumerate(self.spots):
            found = vehicles[matches[index]] if index in matches else None
            others = [one for one in near[index] if one is not found]
            if jumped:
                spot.jumped_s = seen.monotonic_s
            successor = self._judge(spot, seen, found, others, observed_s)
            if successor is not None:
                born.append(successor)
                ended.append(spot)
            elif self._is_over(spot, seen.monotonic_s):
                ended.append(spot)
        self.spots = [spot for spot in self.spots if spot not in ended] + born
        matched = set(matches.values())
        self._start([one for i, one in enumerate(vehicles) if i not in matched], around, seen)
        ended += self._merge()
        if len(self.spots) > MAX_SPOTS:
            self.spots.sort(key=lambda spot: (not spot.alarmed, spot.since_s))
            ended += self.spots[MAX_SPOTS:]
            del self.spots[MAX_SPOTS:]
        return ended

    def _near(self, everywhere: Sequence[Seen]) -> list[list[Seen]]:
        """Return for each spot the vehicles whose boxes touch its place."""
        near: list[list[Seen]] = [[] for _ in self.spots]
        touching = commons([spot.place for spot in self.spots], [one.box for one in everywhere]) > 0
        for row, column in np.argwhere(touching).tolist():
            near[row].append(everywhere[column])
        return near

    def _matches(self, vehicles: Sequence[Seen]) -> dict[int, int]:
        """Return spot index -> vehicle index, best overlaps first."""
        found = [one.box for one in vehicles]
        overlaps = np.maximum(
            ious([spot.box for spot in self.spots], found), ious([spot.place for spot in self.spots], found)
        )
        pairs = [
            (float(overlaps[i, j]), -int(i), -int(j))
            for i, j in np.argwhere(overlaps >= self.settings.match_iou)
        ]
        matches: dict[int, int] = {}
        taken: set[int] = set()
        for _, i, j in sorted(pairs, reverse=True):
            if -i not in matches and -j not in taken:
                matches[-i] = -j
                taken.add(-j)
        return matches

    def _judge(
        self, spot: Spot, seen: Observation, found: Seen | None, others: Sequence[Seen], observed_s: float
    ) -> Spot | None:
        """Update one spot; return its successor where another vehicle has taken the place."""
        likeness = places_of(seen.frame).alike(spot.look, spot.place)
        spot.is_hidden = False
        kept = seen.monotonic_s - spot.steady_s <= GAP_INTERVALS * self.settings.interval_s
        if kept and found is not None and iou(found.box, spot.box) >= SAME_PLACE_IOU:
            spot.steady_s = seen.monotonic_s
        if found is not None and likeness >= self.settings.same_seen:
            if self._sighted(spot, seen, found, likeness):
                spot.masked = _is_masked(spot.place, others)
            return None
        if found is None and likeness >= self.settings.same:
            spot.silent += 1
            self._stays(spot, seen)
            return None
        if self._is_behind(spot, found, others, seen.monotonic_s):
            self._is_there(spot, seen)  # what hides a part is in its look: the one of before is kept
            return None
        spot.is_present = False
        spot.shaded = spot.shaded or (self._is_patient and _is_masked(spot.place, others))
        if self._is_covered(spot, seen, found, others):
            spot.is_hidden = True
            spot.hidden_s += observed_s
            if spot.hidden_s <= self.settings.hidden_s:
                return None
        elif found is not None and spot.hits < 3 and not spot.alarmed:
            # young, and another look: traffic passing through one place
            spot.moved = spot.reported
            _restart(spot, seen, found)
            return None
        if found is None or not spot.shaded:
            spot.counted += 1
            spot.silent += found is None
            spot.unseen_s += observed_s
        return self._changed(spot, seen, found, kept=kept)

    def _is_covered(self, spot: Spot, seen: Observation, found: Seen | None, others: Sequence[Seen]) -> bool:
        """Whether something stands before a place, seen now, or then and looking the same since."""
        if any(_hides(one.box, spot.place) for one in others) or _stands_before(found, spot.place):
            # what covers but a part shows bare road beside it, which looks the same when all have gone
            boxes = [one.box for one in others] + ([] if found is None else [found.box])
            if spot.present >= ESTABLISHED and any(_covers(box, spot.place) for box in boxes):
                spot.cover = places_of(seen.frame).take(spot.place)
            return True
        if spot.cover is None or found is not None:
            return False
        return places_of(seen.frame).alike(spot.cover, spot.place) >= self.settings.same

    def _sighted(self, spot: Spot, seen: Observation, found: Seen, likeness: float) -> bool:
        """Count a detection of the vehicle; return whether its look was taken anew."""
        spot.detected(found)
        self._stays(spot, seen)
        if spot.hits == 5:  # the first boxes, taken while it rolled to a stop, are the least exact
            spot.place = spot.box
            spot.look = places_of(seen.frame).take(spot.place)
            return True
        drifts = likeness < self.settings.same and _away_bl(spot.box, spot.place) > self.settings.drift_bl
        spot.moved = drifts and not spot.alarmed
        return False

    def _is_behind(self, spot: Spot, found: Seen | None, others: Sequence[Seen], now_s: float) -> bool:
        """Whether one that was told of is found exactly where it stood, now partly hidden.

        Who parks in the second row boxes it in: no other vehicle can have taken its place since.
        """
        if _is_masked(spot.place, others):
            spot.masked_s = now_s
        told = spot.alarmed and self._is_patient and now_s - spot.masked_s <= MASK_UNSEEN_S
        if not told or found is None or iou(found.box, spot.box) < BEHIND_IOU:
            return False
        spot.detected(found)
        return True

    def _stays(self, spot: Spot, seen: Observation) -> None:
        self._is_there(spot, seen)
        spot.look = looks.blend(spot.look, places_of(seen.frame).take(spot.place), 0.1)

    def _is_there(self, spot: Spot, seen: Observation) -> None:
        spot.present += 1
        spot.counted += 1
        spot.is_present = True
        spot.last_present_s, spot.last_present_at = seen.monotonic_s, seen.captured_at
        spot.steady_s = seen.monotonic_s
        spot.shaded = False
        spot.unseen_s = spot.hidden_s = 0.0
        spot.vacant_s = spot.pending = spot.cover = None

    def _changed(self, spot: Spot, seen: Observation, found: Seen | None, *, kept: bool) -> Spot | None:
        likeness = -1.0 if spot.pending is None else places_of(seen.frame).alike(spot.pending, spot.place)
        if likeness < self.settings.same:
            spot.pending = places_of(seen.frame).take(spot.place)
            spot.pending_s, spot.pending_at = seen.monotonic_s, seen.captured_at
            spot.pending_seen, spot.pending_hits = 1, int(found is not None)
            spot.pending_kept = kept and found is not None and self._is_patient and spot.masked
            return None
        spot.pending_seen += 1
        spot.pending_hits += found is not None
        taken = spot.pending_hits * 2 >= spot.pending_seen
        needed_s = self.settings.vacant_s
        if taken:
            sure = spot.pending_kept or spot.unseen_s > 0 or not spot.shaded  # that it stayed, or left
            needed_s = self.settings.settle_s if sure else self.settings.swap_s
        if seen.monotonic_s - spot.pending_s < needed_s or spot.pending_seen < 3:
            return None
        if spot.pending_kept or spot.pending_s == spot.jumped_s:  # what hid it left, or the light jumped
            if found is not None:
                spot.look = places_of(seen.frame).take(spot.place)
                self._sighted(spot, seen, found, 1.0)
            return None
        if not taken:
            spot.vacant_s = spot.pending_s if spot.vacant_s is None else spot.vacant_s
            return None
        return _successor(spot, seen, found) if found is not None else None

    @property
    def _is_patient(self) -> bool:
        """Whether a vehicle found on a place may be the old one, whatever the place looks like."""
        return self.settings.swap_s > self.settings.settle_s

    def _light_jumped(self, seen: Observation) -> bool:
        """Whether the whole picture changed at once: lamps, infrared, a camera that adjusts itself."""
        before, self.light = self.light, _light_of(seen)
        if before is None:
            return False
        brighter = abs(math.log(self.light[0] / before[0]))
        colourful = abs(self.light[1] - before[1])
        return brighter > self.settings.jump_log or colourful > self.settings.jump_colour

    def _is_over(self, spot: Spot, now_s: float) -> bool:
        if spot.unseen_s >= self.settings.grace_s:
            return True
        if spot.alarmed:
            return False
        if spot.vacant_s is not None or spot.moved:
            return True
        passing = spot.hits == 1 and spot.unseen_s > 0
        sparse = spot.present_frac < 0.4 and spot.counted >= 5
        # the ground looks the same for ever, too: a box that is hardly ever seen there was a slip
        doubtful = spot.seen_frac < LEAST_SEEN_FRAC and spot.counted >= 30
        return (passing or sparse or doubtful) and now_s > spot.since_s

    def _start(self, vehicles: Sequence[Seen], around: Sequence[Seen], seen: Observation) -> None:
        if not vehicles:
            return
        boxes = [one.box for one in vehicles]
        doubled = same_vehicles(boxes, [spot.box for spot in self.spots if spot.is_present], *_DOUBLES)
        each_other = same_vehicles(boxes, boxes, *_DOUBLES)
        started: list[int] = []
        for index, one in enumerate(vehicles):
            if doubled[index].any() or each_other[index, started].any():
                continue
            started.append(index)
            taken = {spot.key for spot in self.spots}
            spot = _fresh(one, seen, taken)
            spot.masked = _is_masked(spot.place, [other for other in around if other is not one])
            self.spots.append(spot)

    def _merge(self) -> list[Spot]:
        """Drop the weaker of two spots that show one vehicle."""
        strongest = sorted(self.spots, key=lambda s: (not s.alarmed, -s.hits, s.since_s, s.key))
        boxes = [spot.box for spot in strongest]
        alike = same_vehicles(boxes, boxes)
        kept: list[Spot] = []
        kept_rows: list[int] = []
        dropped: list[Spot] = []
        for row, spot in enumerate(strongest):
            twin = next((k for k, other in zip(kept, kept_rows, strict=True) if alike[other, row]), None)
            if twin is None or not spot.is_present or not twin.is_present:
                kept.append(spot)
                kept_rows.append(row)
            else:
                dropped.append(spot)
        alive = {spot.key for spot in kept}
        self.spots = [spot for spot in self.spots if spot.key in alive]
        return dropped

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON-able values; about 3 kB a spot."""
        return {
            "spots": [_dump(spot) for spot in self.spots],
            "light": None if self.light is None else list(self.light),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state."""
        self.spots = [_load(one) for one in state.get("spots", ())]
        light = state.get("light")
        self.light = None if light is None else (float(light[0]), float(light[1]))


def _light_of(seen: Observation) -> tuple[float, float]:
    """Return the mean brightness and the mean colourfulness of a thinned picture, both in levels."""
    brightness, colourfulness = seen.frame.light
    return (brightness + 1.0, colourfulness)  # a black picture has a logarithm, too


def _middle(values: Sequence[float]) -> float:
    """Return the median of a few numbers, at a fifth of what ``statistics.median`` costs."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _hides(box: Box, place: Box) -> bool:
    """Whether a vehicle covers much of a place, or a part from in front, so that its look says nothing."""
    shared = common(box, place)
    in_front = box[3] > place[3] + IN_FRONT_FRAC * (place[3] - place[1])
    return shared > 0 and shared >= (0.15 if in_front else 0.4) * area(place)


def _covers(box: Box, place: Box) -> bool:
    """Whether a box lies over so much of a place that its look is the box's."""
    return common(box, place) >= COVERED_FRAC * area(place)


def _is_masked(place: Box, others: Sequence[Seen]) -> bool:
    """Whether something nearer stands before a part of a place."""
    return any(one.box[3] > place[3] and overlap_of_smaller(one.box, place) >= MASKED_FRAC for one in others)


def _stands_before(found: Seen | None, place: Box) -> bool:
    """Whether what was found on a place is too near to stand on it: a lorry in the lane before it."""
    return found is not None and found.box[3] > place[3] + 2 * IN_FRONT_FRAC * (place[3] - place[1])


def _away_bl(a: Box, b: Box) -> float:
    """Return the distance of two centres in body lengths of ``b``, both axes in their own fraction."""
    dx = (a[0] + a[2] - b[0] - b[2]) / 2 / max(b[2] - b[0], 1e-6)
    dy = (a[1] + a[3] - b[1] - b[3]) / 2 / max(b[3] - b[1], 1e-6)
    return math.hypot(dx, dy)


def _fresh(one: Seen, seen: Observation, taken: set[str]) -> Spot:
    x, y = (one.box[0] + one.box[2]) / 2, (one.box[1] + one.box[3]) / 2
    stamp = int(seen.captured_at.timestamp())
    key = base = f"{x:.3f}-{y:.3f}-{stamp}"  # a place is taken again and again; each stay is its own
    number = 2
    while key in taken:
        key, number = f"{base}-{number}", number + 1
    return Spot(
        key=key,
        place=one.box,
        boxes=deque([(one.box, one.confidence)], maxlen=RECENT_BOXES),
        votes={one.label: one.confidence},
        look=places_of(seen.frame).take(one.box),
        since_s=seen.monotonic_s,
        since_at=seen.captured_at,
        last_present_s=seen.monotonic_s,
        last_present_at=seen.captured_at,
    )


def _restart(spot: Spot, seen: Observation, found: Seen) -> None:
    fresh = _fresh(found, seen, set())
    for name in (
        "place", "boxes", "votes", "look", "since_s", "since_at", "last_present_s", "last_present_at",
        "hits", "present", "counted", "silent", "unseen_s", "hidden_s", "is_present", "vacant_s", "pending",
        "_box",
    ):  # fmt: skip
        setattr(spot, name, getattr(fresh, name))


def _successor(spot: Spot, seen: Observation, found: Seen) -> Spot:
    """Make the spot of the vehicle that has taken the place, from when the new look came."""
    after = _fresh(found, seen, {spot.key})
    after.since_s = spot.pending_s
    after.since_at = spot.pending_at or back_dated(seen.captured_at, seen.monotonic_s, spot.pending_s)
    after.hits = spot.pending_hits
    after.present = after.counted = spot.pending_seen
    return after


def _dump(spot: Spot) -> dict[str, Any]:
    state: dict[str, Any] = {
        name: getattr(spot, name)
        for name in (
            "key", "since_s", "last_present_s", "hits", "present", "counted", "silent", "unseen_s",
            "hidden_s", "is_present", "is_hidden", "vacant_s", "pending_s", "pending_seen", "pending_hits",
            "reported",
            "alarmed", "jumped_s",
        )
    }  # fmt: skip
    return state | {
        "place": list(spot.place),
        "boxes": [[list(box), confidence] for box, confidence in spot.boxes],
        "votes": dict(spot.votes),
        "look": looks.encode(spot.look),
        "since_at": spot.since_at.isoformat(),
        "last_present_at": spot.last_present_at.isoformat(),
        "pending": None if spot.pending is None else looks.encode(spot.pending),
        "pending_at": spot.pending_at.isoformat() if spot.pending_at else None,
        "permitted_at": spot.permitted_at.isoformat() if spot.permitted_at else None,
    }


def _load(state: Mapping[str, Any]) -> Spot:
    values = dict(state)
    values["place"] = tuple(state["place"])
    boxes = [((b[0], b[1], b[2], b[3]), confidence) for b, confidence in state["boxes"]]
    values["boxes"] = deque(boxes, maxlen=RECENT_BOXES)
    values["votes"] = dict(state["votes"])
    values["look"] = looks.decode(state["look"])
    values["pending"] = looks.decode(state["pending"]) if state["pending"] else None
    for name in ("since_at", "last_present_at"):
        values[name] = parse_utc(state[name])
    for name in ("pending_at", "permitted_at"):
        values[name] = parse_utc(state[name]) if state.get(name) else None
    return Spot(**values)

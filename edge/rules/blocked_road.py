"""Blocked road: a queue that fills the road and no longer discharges.

A queue at a red light stands as still as a jam, but its vehicles leave their places once a cycle.
So what is asked is for how long at least ``min_vehicles`` have kept their very places while nothing
moved through them: ``duration_s``, and longer than vehicles have waited here before they moved on
(:class:`Waits`: that is how a signal cycle is learnt). Names and ranges of length and duration after
Hikvision; levels go by the speed in body lengths where the view is not calibrated.

The start that is reported is the onset, as AI City's track of anomalies has it: the moment from
which the first vehicle of the queue has stood and nothing has passed its head any more. It lies
before the moment from which the queue is long enough to be judged, which the duration counts from.

Where the view is calibrated, the queue is told in metres as well (``queue_m``) and so is the speed.
Where the site asks for it, so is what lies on the road and is no vehicle (:mod:`edge.rules.road_object`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from statistics import median
from typing import Any

from edge.observe import Box, Finding, Observation
from edge.place import Placer
from edge.rule_config import BlockedRoadRuleConfig
from edge.rules.road import Road, RoadState, queue_length_bl
from edge.rules.road_object import RoadObjects, StillThing, is_near
from edge.shapes import Zone, foot_of, iou
from edge.spots import Spot
from edge.track import back_dated

FREE, SLOW, JAM, BLOCKED = 0.0, 1.0, 2.0, 3.0
# urban arterials: moderate congestion up to 20 km/h, severe up to 15 km/h
SLOW_M_S, JAM_M_S = 20 / 3.6, 15 / 3.6
BODY_M = 4.5
LONGEST_RED_S = 300.0  # who stands longer does not wait for a signal
WAITS, LEAST_WAITS = 60, 8
YOUNG_S, YOUNG_FACTOR = 900.0, 1.5
SETTLES_S = 180.0  # after a block, until the vehicles that waited for it are gone
MAX_PASSED = 15  # who has stood while more went by than fill a road is parked, or is no vehicle
FULL_FRAC = 0.45  # of the zone under boxes: three full lanes have 0.55 and more, one of three 0.25
RESTARTS_S = 10.0  # an onset that moves on by more belongs to the next queue
ONSET_RANK = 2  # the third to stand: one may be parked, another no vehicle at all
PASSED_S = 20.0  # for so long traffic must go around an object: it is no vehicle that waits at a light
FLOWING_S = 10.0  # since the last vehicle, before it and behind it
OBJECT_CONFIDENCE = 0.5  # no detector speaks of it
HYSTERESIS = 0.8  # what is asked of a queue while it is reported already


@dataclass(slots=True)
class Waits:
    """How long vehicles have stood here before they moved on: red lights, learnt from what leaves.

    While too little is known, and the view has not been watched for long, a queue must stand for half
    as long again as the site asked for.
    """

    seconds: list[float] = field(default_factory=list)  # the last ones, oldest first
    first_s: float | None = None
    quiet_from_s: float = -math.inf

    def learn(self, ended: Sequence[Spot], now_s: float, shortest_s: float, longest_s: float) -> None:
        """Take the spots that ended; none after a block, whose vehicles have waited for that."""
        self.first_s = now_s if self.first_s is None else self.first_s
        for spot in ended:
            waited_s = spot.last_present_s - spot.since_s
            steady = spot.hits >= 3 and spot.present_frac >= 0.6
            if steady and shortest_s <= waited_s <= longest_s and now_s >= self.quiet_from_s:
                self.seconds = [*self.seconds[1 - WAITS :], waited_s]

    def needed_s(self, now_s: float, asked_s: float) -> float:
        """Return for how long a queue must stand to be no red light."""
        if len(self.seconds) >= LEAST_WAITS:
            ordered = sorted(self.seconds)
            longest_s = ordered[int(0.95 * (len(ordered) - 1))]
            return max(asked_s, 1.25 * longest_s + 10.0)
        young = self.first_s is None or now_s - self.first_s < YOUNG_S
        return asked_s * YOUNG_FACTOR if young else asked_s


@dataclass(slots=True)
class BlockedRoadRule:
    """Blocked road in one zone of one view."""

    config: BlockedRoadRuleConfig
    zone: Zone
    tz: tzinfo
    interval_s: float
    placer: Placer | None = None
    _road: Road = field(init=False)
    _objects: RoadObjects = field(init=False)
    _told: dict[str, StillThing] = field(default_factory=dict)  # objects by the key of their place
    _waits: Waits = field(default_factory=Waits)
    _reported: bool = False
    _alarmed: bool = False
    _onset_s: float = math.inf  # the earliest that was reported

    def __post_init__(self) -> None:
        """Make an empty road."""
        config = self.config
        least = config.min_confidence or 0.0
        self._road = Road(self.zone, config.labels, least, config.stop_time_s, self.interval_s)
        self._objects = RoadObjects(self.zone)

    @property
    def name(self) -> str:
        """Rule and version."""
        return "blocked_road/2"

    @property
    def hold_s(self) -> float:
        """Long enough for a queue that moves up by one length and stands again."""
        return self.config.hold_s or max(30.0, 5 * self.interval_s)

    def __call__(self, seen: Observation) -> list[Finding]:
        """State whether the road is blocked, or about to be, by vehicles or by something else."""
        state, ended = self._road.update(seen)
        return [*self._queues(seen, state, ended), *self._lying(seen, state)]

    def _lying(self, seen: Observation, state: RoadState) -> list[Finding]:
        """State what lies on the road that is no vehicle; told of until it has gone."""
        lasts_s, now_s = self.config.object_time_s, seen.monotonic_s
        if lasts_s is None:
            return []
        width, height = seen.size_px
        boxes = [
            (x1 / width, y1 / height, x2 / width, y2 / height)
            for x1, y1, x2, y2 in seen.detections.with_labels(self.config.labels).xyxy.tolist()
        ]
        told: dict[str, StillThing] = {}
        for thing in self._objects.update(seen.frame, boxes, now_s):
            if thing.seen_s == now_s and self._road.flows_around(thing.box, now_s - FLOWING_S):
                thing.passed_s += min(seen.gap_s, self.interval_s)
            known = next((key for key, old in self._told.items() if iou(old.box, thing.box) > 0), None)
            if known is not None or self._is_obstacle(thing, state, now_s, lasts_s):
                x1, _, _, y2 = thing.box
                told[known or f"{self.zone.id}/object-{x1:.2f}-{y2:.2f}-{thing.since_s:.0f}"] = thing
        self._told = told
        schedule = self.config.schedule
        if schedule is not None and not schedule.in_force(seen.captured_at, self.tz):
            return []
        return [self._object(key, thing, seen, lasts_s) for key, thing in told.items()]

    def _is_obstacle(self, thing: StillThing, state: RoadState, now_s: float, lasts_s: float) -> bool:
        """Whether it has lain for long enough, alone, and traffic went around it: who waits drives on."""
        # half-way to an alert it is worth keeping pictures
        lies = now_s - thing.since_s >= lasts_s / 2 and thing.seen_s == now_s
        return (
            lies
            and thing.passed_s >= PASSED_S
            and not any(is_near(spot.box, thing.box) for spot in state.standing)
        )

    def _object(self, key: str, thing: StillThing, seen: Observation, lasts_s: float) -> Finding:
        return Finding(
            kind="blocked_road",
            place_key=key,
            confirmed=thing.seen_s - thing.since_s >= lasts_s,
            since=back_dated(seen.captured_at, seen.monotonic_s, thing.since_s),
            confidence=OBJECT_CONFIDENCE,
            boxes=(thing.box,),
            zone=self.zone.id,
            measures={"lies_s": round(seen.monotonic_s - thing.since_s, 3)},
            label="object",
            reason="object",
        )

    def _queues(self, seen: Observation, state: RoadState, ended: Sequence[Spot]) -> list[Finding]:
        """State whether vehicles block the road."""
        now_s = seen.monotonic_s
        # what is hidden may have left with the queue before this one
        queue = tuple(
            one for one in state.standing if not one.is_hidden and self._road.flow_past(one) <= MAX_PASSED
        )
        state = replace(state, standing=queue, queue_bl=queue_length_bl(queue))
        longest_red_s = min(LONGEST_RED_S, 1.5 * self.config.duration_s)
        self._waits.learn(ended, now_s, self.config.stop_time_s, longest_red_s)
        schedule = self.config.schedule
        if schedule is not None and not schedule.in_force(seen.captured_at, self.tz):
            return self._moved_on(seen)
        since_s = self._stuck_since(state)
        stuck_s = 0.0 if since_s is None else now_s - since_s
        if since_s is None or (not self._alarmed and stuck_s < self.config.duration_s / 2):
            # half-way to an alert it is worth keeping pictures
            return self._moved_on(seen)
        onset_s = self._onset(state, since_s, now_s)
        if self._reported and not self._alarmed and onset_s > self._onset_s + RESTARTS_S:
            return self._moved_on(seen)
        self._onset_s = min(self._onset_s, onset_s)
        self._reported = True
        self._alarmed = self._alarmed or stuck_s >= self._waits.needed_s(now_s, self.config.duration_s)
        if self._alarmed:
            self._waits.quiet_from_s = now_s + SETTLES_S
        confidences = sorted(spot.confidence for spot in state.standing)
        return [
            Finding(
                kind="blocked_road",
                place_key=self.zone.id,
                confirmed=self._alarmed,
                since=back_dated(seen.captured_at, now_s, onset_s),
                confidence=min(confidences[len(confidences) // 2], 1.0),
                boxes=tuple(spot.box for spot in state.standing[:16]),
                zone=self.zone.id,
                measures=self._measures(state, stuck_s, seen),
                label="vehicle",
            )
        ]

    def _moved_on(self, seen: Observation) -> list[Finding]:
        """End a candidate: it was a red light, and what stands next is another queue with its own start."""
        was_candidate = self._reported and not self._alarmed
        self._reported, self._alarmed, self._onset_s = False, False, math.inf
        if not was_candidate:
            return []
        since, key = seen.captured_at, self.zone.id
        return [
            Finding("blocked_road", key, confirmed=False, since=since, confidence=0.0, boxes=(), over=True)
        ]

    def _stuck_since(self, state: RoadState) -> float | None:
        """Return since when the queue has stood without discharge; None if there is none."""
        ease = HYSTERESIS if self._alarmed else 1.0
        standing = state.standing
        if len(standing) < max(self.config.min_vehicles * ease, 2):
            return None
        if state.queue_bl < self.config.min_length_bl * ease:
            return None
        if state.occupancy_frac < self.config.min_occupancy_frac * ease:
            return None
        enough = standing[min(self.config.min_vehicles, len(standing)) - 1]
        return min(self._full_since(standing), max(enough.since_s, self._road.last_flow_s(standing)))

    def _full_since(self, standing: Sequence[Spot]) -> float:
        """Return since when those that stand have filled the zone, so that nothing can pass; inf if not."""
        for number in range(self.config.min_vehicles, len(standing) + 1):
            if self._road.occupancy_frac([one.box for one in standing[:number]]) >= FULL_FRAC:
                return standing[number - 1].since_s
        return math.inf

    def _onset(self, state: RoadState, stuck_since_s: float, now_s: float) -> float:
        """Return since when the first has stood and nothing has passed the head of the queue."""
        first_s = state.standing[min(ONSET_RANK, len(state.standing) - 1)].since_s
        passed_s = self._road.last_discharge_s(state.standing)
        stood_s = first_s if passed_s is None else max(first_s, passed_s)
        return max(min(stood_s, stuck_since_s), self._road.moved_on_s(state.standing, now_s))

    def _measures(self, state: RoadState, stuck_s: float, seen: Observation) -> dict[str, float]:
        metric = {} if self.placer is None else metres_of(self.placer, self.zone, state.standing, seen)
        measures = {
            "stuck_s": round(stuck_s, 3),
            "occupancy_frac": round(state.occupancy_frac, 3),
            "queue_bl": round(state.queue_bl, 2),
            "standing": float(len(state.standing)),
            "moving": float(len(state.moving)),
            "level": level_of(state, metric.get("speed_m_s"), blocked=self._alarmed),
        } | metric
        if not math.isnan(state.speed_bl_s):
            measures["speed_bl_s"] = round(state.speed_bl_s, 3)
        return measures

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON-able values."""
        waits = self._waits
        return {
            "road": self._road.dump(),
            "objects": self._objects.dump(),
            "told": [[key, list(one.box), one.since_s, one.seen_s] for key, one in self._told.items()],
            "reported": self._reported,
            "alarmed": self._alarmed,
            "onset_s": None if math.isinf(self._onset_s) else self._onset_s,
            "waits": list(waits.seconds),
            "first_s": waits.first_s,
            "quiet_from_s": None if math.isinf(waits.quiet_from_s) else waits.quiet_from_s,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state."""
        self._road.load(state.get("road", {}))
        self._objects.load(state.get("objects", {}))
        self._told = {
            str(key): StillThing((b[0], b[1], b[2], b[3]), float(since_s), float(seen_s))
            for key, b, since_s, seen_s in state.get("told", ())
        }
        self._reported = bool(state.get("reported", False))
        self._alarmed = bool(state.get("alarmed", False))
        onset_s, quiet_from_s = state.get("onset_s"), state.get("quiet_from_s")
        self._onset_s = math.inf if onset_s is None else float(onset_s)
        self._waits = Waits(
            [float(value) for value in state.get("waits", ())],
            state.get("first_s"),
            -math.inf if quiet_from_s is None else float(quiet_from_s),
        )


def level_of(state: RoadState, speed_m_s: float | None = None, *, blocked: bool) -> float:
    """Return 0 free, 1 slow, 2 jam, 3 blocked; without a speed in m/s by that in body lengths."""
    if blocked:
        return BLOCKED
    speed_m_s = state.speed_bl_s * BODY_M if speed_m_s is None else speed_m_s
    if math.isnan(speed_m_s) or not (state.standing or state.moving):
        return FREE
    if speed_m_s <= JAM_M_S and state.occupancy_frac >= 0.2:
        return JAM
    return SLOW if speed_m_s <= SLOW_M_S and state.occupancy_frac >= 0.1 else FREE


def metres_of(placer: Placer, zone: Zone, queue: Sequence[Spot], seen: Observation) -> dict[str, float]:
    """Return ``queue_m``, the length of a queue, and ``speed_m_s``, the median speed in a zone, where known.

    A queue reaches from the foot of its first vehicle to that of its last, and one body length beyond.
    """
    found: dict[str, float] = {}
    places = [
        at
        for at in placer.points_m([_middle(spot.box) for spot in queue], seen.size_px)
        if not math.isnan(at[0])
    ]
    if places:
        longest_m = max(math.dist(a, b) for a in places for b in places)
        found["queue_m"] = round(longest_m + BODY_M, 1)
    inside = zone.covers_fracs([foot_of(track.box) for track in seen.tracks])
    ends = []
    for track, share in zip(seen.tracks, inside, strict=True):
        if share >= 0.5 and not math.isnan(track.speed_bl_s):
            (x, y), (vx, vy) = _middle(track.box), track.velocity_frac_s
            ends += [(x - vx / 2, y - vy / 2), (x + vx / 2, y + vy / 2)]
    on_ground = placer.points_m(ends, seen.size_px)
    speeds = [math.dist(a, b) for a, b in zip(on_ground[::2], on_ground[1::2], strict=True)]
    if known := [speed for speed in speeds if not math.isnan(speed)]:
        found["speed_m_s"] = round(median(known), 2)
    return found


def _middle(box: Box) -> tuple[float, float]:
    """Return about where a vehicle touches the ground."""
    left, top, right, bottom = foot_of(box)
    return ((left + right) / 2, (top + bottom) / 2)

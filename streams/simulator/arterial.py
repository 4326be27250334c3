"""The road of :mod:`streams.simulator.road` for hours: signals, stop-and-go, and now and then a block.

A block closes all lanes of the watched carriageway: a jam from beyond the stop line, a crash or a
fallen load within view, road works that take one lane after the other. What must stay silent: red
lights of every length, stop-and-go that discharges, one closed lane of three. Or loads fall between two
lanes, where all drive around them: no vehicle stands, and no detector of vehicles knows what lies there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import numpy as np

from streams.simulator.draw import Pose
from streams.simulator.light import daylight
from streams.simulator.road import (
    LANE_M,
    LANES,
    MEDIAN_M,
    START_Y,
    STILL_M_S,
    ZONE_Y,
    bridge_camera,
    road_background,
    road_lanes,
)
from streams.simulator.scene import Standing, TrafficScene
from streams.simulator.sensor import SensorNoise
from streams.simulator.traffic import Lane, Mover, Traffic, drawn_from_pool
from streams.simulator.truth import Box, TruthEvent, TruthZone
from streams.simulator.vehicles import fallen_load

BLOCK_S = (200.0, 420.0)
GAP_S = (160.0, 320.0)
LOAD_ID = 1_000_000  # beyond the ids of vehicles
LAWFUL_S = (120.0, 400.0)
LYING_S = (240.0, 600.0)


class Block(StrEnum):
    """What closes the road, or slows it."""

    JAM = "jam"
    CRASH = "crash"
    LOAD = "fallen_load"
    WORKS = "road_works"
    STOP_AND_GO = "stop_and_go"
    ONE_LANE = "one_lane"
    OBJECT = "object"


BLOCKING = (Block.JAM, Block.CRASH, Block.LOAD, Block.WORKS)
LAWFUL = (Block.STOP_AND_GO, Block.ONE_LANE)
LOAD_M = (0.9, 1.3)  # length of what fell; between the lanes there is about as much room
LOAD_NEARER_M = 20.0  # than crashes: beyond 45 m it is some 5 pixels of the picture that is analysed
LOAD_PAINTS = ((60.0, 105.0, 150.0), (150.0, 150.0, 155.0), (40.0, 42.0, 45.0), (170.0, 120.0, 50.0))


@dataclass(slots=True)
class _Incident:
    """One block: from when to when, where it begins (metres along the lanes), and what came of it."""

    block: Block
    from_s: float
    until_s: float
    at_m: float
    onset_s: float | None = None
    last_pass_s: float = -1e9


@dataclass(slots=True)
class ArterialStory:
    """Switches the signal, opens and closes lanes, and notes when nothing passes any more.

    ``cycle_s``: (red, green) of the signal at the end of the zone, None without one. The onset of a
    block is the moment from which the first vehicle stands for good and nothing passes any more.
    """

    lanes: tuple[Lane, ...]
    rng: np.random.Generator
    cycle_s: tuple[float, float] | None
    stop_line_m: float
    blocks: tuple[Block, ...]
    incidents: list[_Incident] = field(default_factory=list)
    reds: list[tuple[float, float]] = field(default_factory=list)
    lying: list[Standing] = field(default_factory=list)
    _since_s: dict[int, float] = field(default_factory=dict)
    _next_s: float = 0.0

    def __call__(self, traffic: Traffic) -> None:
        """Take one step of the story."""
        now_s = traffic.now_s
        self._signal(traffic, now_s)
        if traffic.steps % 5 or now_s < 0:
            return
        own = [mover for mover in traffic.movers if mover.lane in self.lanes]
        standing = {m.object_id for m in own if m.speed_m_s < STILL_M_S}
        self._since_s = {key: self._since_s.get(key, now_s) for key in standing}
        if self._next_s == 0.0:
            self._next_s = now_s + float(self.rng.uniform(*GAP_S)) + 120.0
        if self.blocks and now_s >= self._next_s:
            self._begin(now_s)
        if self.incidents:
            self._tell(self.incidents[-1], traffic, own, now_s)

    def _signal(self, traffic: Traffic, now_s: float) -> None:
        if self.cycle_s is None:
            return
        red_s, green_s = self.cycle_s
        red = now_s % (red_s + green_s) < red_s
        was_red = bool(traffic.barriers)
        if red and not was_red:
            traffic.barriers.update(dict.fromkeys((lane.id for lane in self.lanes), self.stop_line_m))
            if now_s >= 0:
                self.reds.append((now_s, now_s + red_s))
        elif was_red and not red:
            traffic.barriers.clear()

    def _begin(self, now_s: float) -> None:
        block = self.blocks[int(self.rng.integers(len(self.blocks)))]
        lasts = BLOCK_S if block in BLOCKING else LYING_S if block is Block.OBJECT else LAWFUL_S
        until_s = now_s + float(self.rng.uniform(*lasts))
        near, far = ZONE_Y[0] + 25 - START_Y, ZONE_Y[1] - START_Y
        at_m = (
            far + float(self.rng.uniform(-3, 12))
            if block is Block.JAM
            else float(self.rng.uniform(near, far))
        )
        self.incidents.append(_Incident(block, now_s, until_s, at_m))
        if block is Block.OBJECT:
            self.incidents[-1].onset_s = now_s
            self.lying.append(self._load(at_m - LOAD_NEARER_M))
        self._next_s = until_s + float(self.rng.uniform(*GAP_S))

    def _load(self, at_m: float) -> Standing:
        """Let a load fall on the line between two lanes."""
        rng, between = self.rng, self.lanes[int(self.rng.integers(len(self.lanes) - 1))]
        model = fallen_load(LOAD_PAINTS[int(rng.integers(len(LOAD_PAINTS)))], float(rng.uniform(*LOAD_M)))
        x_m = between.x_m + LANE_M / 2 + float(rng.uniform(-0.1, 0.1))
        pose = Pose(x_m, START_Y + at_m, float(rng.uniform(0, math.pi)))
        return Standing(LOAD_ID + len(self.incidents), model, pose)

    def _tell(self, one: _Incident, traffic: Traffic, own: list[Mover], now_s: float) -> None:
        if now_s >= one.until_s:
            traffic.closures.clear()
            self.lying.clear()
            return
        closed = self._closed_lanes(one, now_s)
        traffic.closures = dict.fromkeys((lane.id for lane in closed), one.at_m)
        if one.block not in BLOCKING:
            return
        passing = [m for m in own if one.at_m - 1.0 < m.s_m - m.model.length_m / 2 < one.at_m + 8.0]
        if any(m.speed_m_s >= STILL_M_S for m in passing):
            one.last_pass_s = now_s
            one.onset_s = None
        if len(closed) == len(self.lanes):  # anew at each step: who waits at a red light moves on once more
            low, high = ZONE_Y[0] - START_Y, min(one.at_m, ZONE_Y[1] + 3 - START_Y)
            waits = [m.object_id for m in own if low < m.s_m < high and m.object_id in self._since_s]
            if waits:
                one.onset_s = max(min(self._since_s[key] for key in waits), one.last_pass_s)

    def _closed_lanes(self, one: _Incident, now_s: float) -> tuple[Lane, ...]:
        if one.block is Block.OBJECT:
            return ()
        if one.block is Block.ONE_LANE:
            return self.lanes[-1:]
        if one.block is Block.STOP_AND_GO:
            return self.lanes if (now_s - one.from_s) % 40.0 < 26.0 else ()
        if one.block is Block.WORKS:
            return self.lanes[: 1 + int((now_s - one.from_s) / 15.0)]
        return self.lanes


def arterial(
    seed: int, size: tuple[int, int], seconds: float, *, story: Literal["blocked", "lawful", "objects"]
) -> TrafficScene:
    """Build the scene; ``lawful`` holds what must stay silent alone, ``objects`` loads that fell."""
    rng = np.random.default_rng([seed, 25])
    camera = bridge_camera(rng, size)
    light = daylight(rng, behind=True)
    lanes = road_lanes(float(rng.uniform(10.5, 13.0)))
    away = tuple(lane for lane in lanes if lane.id.startswith("away"))
    cycle = None
    if story == "lawful" or rng.uniform() < 0.5:
        cycle = (float(rng.uniform(30, 110)), float(rng.uniform(25, 60)))
    board = ArterialStory(
        away,
        np.random.default_rng([seed, 26]),
        cycle,
        ZONE_Y[1] - START_Y + float(rng.uniform(-2, 4)),
        {"blocked": BLOCKING, "lawful": LAWFUL, "objects": (Block.OBJECT,)}[story],
    )
    traffic = Traffic(lanes, np.random.default_rng([seed, 28]), draw=drawn_from_pool, on_step=board)
    edge = MEDIAN_M + LANES * LANE_M
    corners = [(MEDIAN_M, ZONE_Y[1]), (edge, ZONE_Y[1]), (edge, ZONE_Y[0]), (MEDIAN_M, ZONE_Y[0])]
    zone = TruthZone("road", "road", camera.polygon_frac(corners))
    scene_seed = int(rng.integers(1 << 30))
    traffic.warm_up(40)
    return TrafficScene(
        camera=camera,
        light=light,
        zones=(zone,),
        traffic=traffic,
        standing=(),
        background=lambda: road_background(camera, light, np.random.default_rng(scene_seed), seconds),
        tell_events=lambda _scene: _events(board, zone),
        noise=SensorNoise(size, float(rng.uniform(1.5, 3.0)), np.random.default_rng([seed, 29])),
        lying=board.lying,
    )


def _events(board: ArterialStory, zone: TruthZone) -> tuple[TruthEvent, ...]:
    xs, ys = zip(*zone.points, strict=True)
    box: Box = (min(xs), min(ys), max(xs), max(ys))
    middle = (MEDIAN_M + LANES * LANE_M / 2, sum(ZONE_Y) / 2)
    events = [
        TruthEvent("blocked_road", True, one.onset_s, one.until_s, zone.id, box, middle)  # noqa: FBT003 - alarm
        for one in board.incidents
        if one.block not in LAWFUL and one.onset_s is not None
    ]
    events += [
        TruthEvent(str(one.block), False, one.from_s, one.until_s, zone.id, box, middle)  # noqa: FBT003 - alarm
        for one in board.incidents
        if one.block in LAWFUL
    ]
    events += [TruthEvent("queue", False, start, end, zone.id, box, middle) for start, end in board.reds]  # noqa: FBT003 - alarm
    return tuple(sorted(events, key=lambda one: one.started_s))

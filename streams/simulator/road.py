"""A city road with two carriageways seen from a bridge: it flows, and then it does not."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from streams.simulator.camera import PinholeCamera
from streams.simulator.ground import GroundPlan
from streams.simulator.light import Light, daylight
from streams.simulator.props import House, Post, Prop, Tree, cast_shadow, distance_m, draw_prop
from streams.simulator.scene import Image, TrafficScene
from streams.simulator.sensor import SensorNoise, develop
from streams.simulator.sky import make_sky
from streams.simulator.traffic import STEP_S, Lane, Traffic
from streams.simulator.truth import Box, TruthEvent, TruthZone

LANE_M = 3.5
MEDIAN_M = 1.2  # from the middle line to the edge of a carriageway
LANES = 3
START_Y = -45.0
_END_Y = 150.0
ZONE_Y = (17.0, 62.0)
STILL_M_S = 0.3
_WHITE, _YELLOW = (212.0, 214.0, 214.0), (58.0, 170.0, 206.0)


class RoadStory(StrEnum):
    """What becomes of the traffic."""

    BLOCKED = "blocked"
    SIGNAL = "signal"
    FREE = "free"


@dataclass(slots=True)
class Storyboard:
    """Sets and lifts the barriers, and notes when vehicles stand because of them.

    ``red_s``, ``green_s``: signal times; ``block_at_s``: when the road is blocked for good.
    ``standstills``: (start, end or None) of each queue inside the zone.
    """

    story: RoadStory
    lanes: tuple[Lane, ...]
    stop_at_m: dict[str, float]
    block_at_s: float = 25.0
    red_s: float = 32.0
    green_s: float = 26.0
    standstills: list[tuple[float, float | None]] = field(default_factory=list)

    def __call__(self, traffic: Traffic) -> None:
        """Take one step of the story."""
        now = traffic.now_s
        if self.story is RoadStory.FREE:
            return
        if self.story is RoadStory.BLOCKED:
            closed = now >= self.block_at_s
        else:
            closed = (now - self.block_at_s) % (self.red_s + self.green_s) < self.red_s
        if closed and not traffic.barriers:
            traffic.barriers.update(self.stop_at_m)
        elif not closed and traffic.barriers:
            traffic.barriers.clear()
            if self.standstills and self.standstills[-1][1] is None:
                self.standstills[-1] = (self.standstills[-1][0], now)
        waiting = not self.standstills or self.standstills[-1][1] is not None
        if closed and waiting and now >= 0 and self._somebody_stands(traffic):
            self.standstills.append((round(now / STEP_S) * STEP_S, None))

    def _somebody_stands(self, traffic: Traffic) -> bool:
        ids = {lane.id for lane in self.lanes}
        return any(
            m.lane.id in ids and m.speed_m_s < STILL_M_S and ZONE_Y[0] < m.pose.y_m < ZONE_Y[1] + 3
            for m in traffic.movers
        )


def bridge_camera(rng: np.random.Generator, size: tuple[int, int]) -> PinholeCamera:
    """Draw a camera on a bridge over the road, of ``size`` (width, height) in pixels."""
    return PinholeCamera(
        position_m=(float(rng.uniform(-1.0, 5.0)), 0.0, float(rng.uniform(8.5, 10.5))),
        yaw_deg=float(rng.uniform(-3, 4)),
        pitch_deg=float(rng.uniform(14.5, 17.0)),
        roll_deg=float(rng.uniform(-0.6, 0.6)),
        hfov_deg=float(rng.uniform(50, 56)),
        size_px=size,
    )


def road(seed: int, size: tuple[int, int], seconds: float, story: RoadStory) -> TrafficScene:
    """Build the scene with one of the stories."""
    rng = np.random.default_rng([seed, 21])
    camera = bridge_camera(rng, size)
    light = daylight(rng, behind=True)
    lanes = road_lanes(float(rng.uniform(10.5, 13.0)))
    away = tuple(lane for lane in lanes if lane.id.startswith("away"))
    stops = {lane.id: ZONE_Y[1] - START_Y + float(rng.uniform(-2, 4)) for lane in away}
    board = Storyboard(story, away, stops, block_at_s=float(rng.uniform(22, 27)))
    traffic = Traffic(lanes, np.random.default_rng([seed, 22]), on_step=board)
    scene_seed = int(rng.integers(1 << 30))
    edge = MEDIAN_M + LANES * LANE_M
    points = camera.polygon_frac(
        [(MEDIAN_M, ZONE_Y[1]), (edge, ZONE_Y[1]), (edge, ZONE_Y[0]), (MEDIAN_M, ZONE_Y[0])]
    )
    zone = TruthZone("road", "road", points)
    traffic.warm_up(40)
    return TrafficScene(
        camera=camera,
        light=light,
        zones=(zone,),
        traffic=traffic,
        standing=(),
        background=lambda: road_background(camera, light, np.random.default_rng(scene_seed), seconds),
        tell_events=lambda _scene: _events(board, zone),
        noise=SensorNoise(size, float(rng.uniform(1.5, 3.0)), np.random.default_rng([seed, 23])),
    )


def road_lanes(speed: float) -> tuple[Lane, ...]:
    """Return three lanes each way; ``speed`` in m/s is that of the middle one, nearly."""
    length = _END_Y - START_Y
    lanes = []
    for k in range(LANES):
        x = MEDIAN_M + (k + 0.5) * LANE_M
        pace = speed * (1.1 - 0.08 * k)
        cars_only = k == 0
        lanes.append(Lane(f"away-{k}", x, START_Y, math.pi / 2, length, pace, 4.2, cars_only))
        lanes.append(Lane(f"towards-{k}", -x, _END_Y, -math.pi / 2, length, pace, 6.5, cars_only))
    return tuple(lanes)


def _events(board: Storyboard, zone: TruthZone) -> tuple[TruthEvent, ...]:
    xs, ys = zip(*zone.points, strict=True)
    box: Box = (min(xs), min(ys), max(xs), max(ys))
    middle = (MEDIAN_M + LANES * LANE_M / 2, sum(ZONE_Y) / 2)
    blocked = board.story is RoadStory.BLOCKED
    kind = "blocked_road" if blocked else "queue"
    return tuple(
        TruthEvent(kind, blocked, started, ended, zone.id, box, middle)
        for started, ended in board.standstills
    )


def road_background(camera: PinholeCamera, light: Light, rng: np.random.Generator, seconds: float) -> Image:
    """Draw the empty road, uint8 (height, width, 3) BGR."""
    plan = GroundPlan((-42.0, 46.0), (4.0, 230.0), 0.07, rng)
    _paint_ground(plan, rng)
    props = _props(rng)
    for prop in props:
        cast_shadow(prop, plan, light)
    picture, ground = plan.seen_by(camera, light)
    width, height = camera.size_px
    us, vs = np.meshgrid(np.arange(0.5, width), np.arange(0.5, height))
    _, _, distance = camera.ground_at(us, vs)
    haze = np.asarray(light.sky_bgr) * 0.94 + 8
    far = np.nan_to_num(1 - np.exp(-distance / 650), nan=1.0).astype(np.float32)[:, :, None]
    picture += far * (haze.astype(np.float32) - picture)
    sky_rows = max(16, int(np.isnan(distance).any(axis=1).sum()) + 2)
    sky = make_sky((width, sky_rows), light, haze, min(seconds, 1.0), rng).at(0.0)
    above = ~ground
    picture[above] = haze.astype(np.float32)
    picture[:sky_rows][above[:sky_rows]] = sky[above[:sky_rows]]
    for prop in sorted(props, key=lambda p: -distance_m(p, camera)):
        draw_prop(prop, picture, camera, light, rng)
    return develop(picture, rng)


def _paint_ground(plan: GroundPlan, rng: np.random.Generator) -> None:
    long = plan.y_range
    edge = MEDIAN_M + LANES * LANE_M
    tone = float(rng.uniform(88, 118))
    plan.grass(plan.x_range, long, (72, 120, 108))
    for side in (-1, 1):
        x = sorted((side * MEDIAN_M, side * (edge + 0.5)))
        plan.surface((x[0], x[1]), long, (tone, tone, tone * 1.01), 0.05, 0.05)
        walk = sorted((side * (edge + 0.5), side * (edge + 4.0)))
        plan.paving((walk[0], walk[1]), long, (140, 148, 154), 0.6)
        for k in range(LANES):
            middle = side * (MEDIAN_M + (k + 0.5) * LANE_M)
            plan.tracks(((middle, long[0]), (middle, long[1])))
        plan.wear((x[0] + 0.3, x[1] - 0.8), (8, 120), 14, 10)
        for k in range(1, LANES):
            line = side * (MEDIAN_M + k * LANE_M)
            plan.stripe((line, long[0]), (line, long[1]), 0.16, _WHITE, (4.0, 6.0))
        plan.stripe((side * (edge - 0.05), long[0]), (side * (edge - 0.05), long[1]), 0.16, _WHITE)
        plan.stripe((side * (MEDIAN_M + 0.2), long[0]), (side * (MEDIAN_M + 0.2), long[1]), 0.16, _YELLOW)
        for kerb in (side * (edge + 0.5), side * MEDIAN_M):
            plan.surface((kerb - 0.1, kerb + 0.1), long, (166, 170, 172), 0.04, 0.04)


def _props(rng: np.random.Generator) -> list[Prop]:
    props: list[Prop] = []
    walls = ((150, 168, 186), (176, 188, 196), (118, 132, 164), (166, 170, 170), (140, 158, 150))
    edge = MEDIAN_M + LANES * LANE_M
    for side in (-1, 1):
        y = 24.0
        while y < 220:
            depth = float(rng.uniform(14, 30))
            inner = side * (edge + float(rng.uniform(10, 14)))
            x = sorted((inner, inner + side * 16))
            wall = walls[int(rng.integers(len(walls)))]
            props.append(House((x[0], x[1]), (y, y + depth), float(rng.uniform(9, 26)), wall))
            y += depth + float(rng.choice([3.0, 9.0, 16.0]))
        for ty in np.arange(20, 200, 10.0):
            if rng.uniform() < 0.85:
                leaf = (float(rng.uniform(42, 60)), float(rng.uniform(88, 116)), float(rng.uniform(72, 100)))
                height = float(rng.uniform(5.0, 8.0))
                x_m = side * (edge + 5.2 + float(rng.uniform(-0.5, 0.8)))
                props.append(Tree(x_m, float(ty + rng.uniform(-2, 2)), height, 0.33 * height, leaf))
    for py in np.arange(14, 210, 7.0):
        leaf = (40.0, float(rng.uniform(84, 104)), 66.0)
        props.append(Tree(float(rng.uniform(-0.3, 0.3)), float(py), 1.2, 0.62, leaf))
    for py in (38.0, 76.0, 114.0, 152.0):
        props += [Post(edge + 1.2, py, 9.0, -2.0), Post(-edge - 1.2, py, 9.0, 2.0)]
    return props

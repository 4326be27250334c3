"""A two-way street seen from a house: a no-parking kerb, a legal bay across, traffic both ways."""

from __future__ import annotations

import math

import numpy as np

from streams.simulator.camera import PinholeCamera
from streams.simulator.draw import Pose
from streams.simulator.ground import GroundPlan
from streams.simulator.light import Light, daylight
from streams.simulator.props import House, Post, Prop, Tree, cast_shadow, distance_m, draw_prop
from streams.simulator.scene import Image, Standing, TrafficScene
from streams.simulator.sensor import SensorNoise, develop
from streams.simulator.traffic import KerbStop, Lane, StopLog, Traffic
from streams.simulator.truth import TruthEvent, TruthZone
from streams.simulator.vehicles import draw_vehicle

FOREVER_S = math.inf
# across the street, in metres from the near kerb
STRIP, MIDDLE, FAR_LANE, FAR_KERB = 2.4, 6.0, 9.6, 12.0
_ZONE_X = (-12.5, 12.5)
PAVEMENT = 1.0  # the zone takes in this much of the pavement: half on it is parked too
LANE_START_M = 62.0
_WHITE, _YELLOW = (214.0, 216.0, 216.0), (60.0, 176.0, 214.0)


def street(seed: int, size: tuple[int, int], *, lawful: bool) -> TrafficScene:
    """Build the scene; ``lawful`` leaves out the car that stays in the no-parking zone."""
    rng = np.random.default_rng([seed, 11])
    camera = PinholeCamera(
        position_m=(
            float(rng.uniform(-3, 3)),
            float(rng.uniform(-15.5, -12.5)),
            float(rng.uniform(9.5, 12.0)),
        ),
        yaw_deg=float(rng.uniform(-14, 14)),
        pitch_deg=float(rng.uniform(26, 30)),
        roll_deg=float(rng.uniform(-1, 1)),
        hfov_deg=float(rng.uniform(58, 64)),
        size_px=size,
    )
    light = daylight(rng, behind=True)
    speed = float(rng.uniform(8.5, 11.5))
    lanes = (
        Lane("near", -LANE_START_M, (STRIP + MIDDLE) / 2, 0.0, 2 * LANE_START_M, speed, 8.0),
        Lane("far", LANE_START_M, (MIDDLE + FAR_LANE) / 2, math.pi, 2 * LANE_START_M, speed, 9.0),
    )
    traffic = Traffic(lanes, np.random.default_rng([seed, 12]))
    _plan_stops(traffic, rng, lawful=lawful)
    standing = _bay(traffic, rng)
    scene_seed = int(rng.integers(1 << 30))
    zones = (
        ground_zone(camera, "kerb", "no_parking", (*_ZONE_X, -PAVEMENT, STRIP)),
        ground_zone(camera, "bay", "bay", (-15.0, 15.0, FAR_LANE, FAR_KERB)),
    )
    traffic.warm_up(25)
    return TrafficScene(
        camera=camera,
        light=light,
        zones=zones,
        traffic=traffic,
        standing=standing,
        background=lambda: street_background(camera, light, np.random.default_rng(scene_seed)),
        tell_events=_events,
        noise=SensorNoise(size, float(rng.uniform(1.5, 3.0)), np.random.default_rng([seed, 13])),
    )


def ground_zone(
    camera: PinholeCamera, name: str, use: str, area: tuple[float, float, float, float]
) -> TruthZone:
    """Project a ground rectangle, clipped to what the camera sees: its long sides are cut at the frame."""
    x0, x1, y0, y1 = area
    xs = np.linspace(x0, x1, 61)
    kept = []
    for y in (y0, y1):
        points, _ = camera.project(np.stack([xs, np.full_like(xs, y), np.zeros_like(xs)], axis=1))
        width, height = camera.size_px
        inside = [
            (float(u / width), float(v / height)) for u, v in points if 0 <= u <= width and 0 <= v <= height
        ]
        kept.append(inside)
    near, far = kept
    return TruthZone(name, use, (far[0], far[-1], near[-1], near[0]))


def _plan_stops(traffic: Traffic, rng: np.random.Generator, *, lawful: bool) -> None:
    """One car stays in the zone, one stops for some seconds; they keep apart."""
    side = 1 if rng.uniform() < 0.5 else -1
    lateral = -((STRIP + MIDDLE) / 2 - float(rng.uniform(1.15, 1.3)))
    spot = LANE_START_M + side * float(rng.uniform(2.5, 5.0))
    other = LANE_START_M - side * float(rng.uniform(3.0, 5.5))
    arrive = float(rng.uniform(10, 16))
    if not lawful:
        traffic.plan_stop("near", KerbStop(spot, lateral, FOREVER_S), arrive)
    brief = float(rng.uniform(7, 9))
    traffic.plan_stop("near", KerbStop(other, lateral, brief), arrive + float(rng.uniform(16, 24)))
    again = KerbStop(other, lateral, float(rng.uniform(6, 10)))
    traffic.plan_stop("near", again, arrive + float(rng.uniform(95, 120)))


def _bay(traffic: Traffic, rng: np.random.Generator) -> tuple[Standing, ...]:
    """Park cars in the legal bay across the street."""
    cars = []
    for x in (-13.0, -6.5, 0.0, 6.5, 13.0):
        if rng.uniform() < 0.3:
            continue
        pose = Pose(
            x + float(rng.uniform(-0.4, 0.4)),
            FAR_KERB - 1.15 + float(rng.uniform(-0.1, 0.1)),
            math.pi + float(rng.normal(0, 0.02)),
        )
        cars.append(Standing(traffic.new_id(), draw_vehicle(rng, cars_only=True), pose))
    return tuple(cars)


def _stop_event(scene: TrafficScene, log: StopLog) -> TruthEvent:
    forever = log.mover.plan is not None and math.isinf(log.mover.plan.seconds)
    return TruthEvent(
        kind="illegal_parking" if forever else "lawful_stop",
        alarm=forever,
        started_s=log.started_s,
        ended_s=log.ended_s,
        zone="kerb",
        box=scene.box_of(log.mover.model, log.pose),
        ground_m=(log.pose.x_m, log.pose.y_m),
        object_id=log.mover.object_id,
    )


def _events(scene: TrafficScene) -> tuple[TruthEvent, ...]:
    events = [_stop_event(scene, log) for log in scene.traffic.stops]
    events += [
        TruthEvent(
            kind="parked",
            alarm=False,
            started_s=0.0,
            ended_s=None,
            zone="bay",
            box=scene.box_of(car.model, car.pose),
            ground_m=(car.pose.x_m, car.pose.y_m),
            object_id=car.object_id,
        )
        for car in scene.standing
    ]
    return tuple(events)


def street_background(camera: PinholeCamera, light: Light, rng: np.random.Generator) -> Image:
    """Draw the empty street, uint8 (height, width, 3) BGR."""
    plan = GroundPlan((-62.0, 62.0), (-12.0, 62.0), 0.035, rng)
    _paint_ground(plan, rng)
    props = _props(rng)
    for prop in props:
        cast_shadow(prop, plan, light)
    picture, ground = plan.seen_by(camera, light)
    picture[~ground] = np.asarray(light.sky_bgr, np.float32)
    for prop in sorted(props, key=lambda p: -distance_m(p, camera)):
        draw_prop(prop, picture, camera, light, rng)
    return develop(picture, rng)


def _paint_ground(plan: GroundPlan, rng: np.random.Generator) -> None:
    wide = plan.x_range
    tone = float(rng.uniform(88, 116))
    plan.grass(wide, plan.y_range, (74, 124, 112))
    plan.paving(wide, (-3.2, 0.0), (142, 150, 154), 0.5)
    plan.surface(wide, (0.0, FAR_KERB), (tone, tone, tone * 1.01), 0.05, 0.05)
    plan.paving(wide, (FAR_KERB, FAR_KERB + 3.4), (140, 148, 156), 0.5)
    for y in ((STRIP + MIDDLE) / 2, (MIDDLE + FAR_LANE) / 2):
        plan.tracks(((wide[0], y), (wide[1], y)))
    plan.wear((-45, 45), (0.2, FAR_KERB - 0.2), 14, 9)
    for y0, y1 in ((-0.16, 0.0), (FAR_KERB, FAR_KERB + 0.16)):
        plan.surface(wide, (y0, y1), (164, 168, 170), 0.05, 0.05)
    plan.stripe((wide[0], MIDDLE), (wide[1], MIDDLE), 0.14, _WHITE, (3.0, 4.5))
    plan.stripe((wide[0], FAR_LANE), (wide[1], FAR_LANE), 0.12, _WHITE)
    for x in np.arange(-48.75, 50, 6.5):
        plan.stripe((float(x), FAR_LANE), (float(x), FAR_KERB - 0.05), 0.12, _WHITE)
    plan.stripe((_ZONE_X[0], 0.18), (_ZONE_X[1], 0.18), 0.14, _YELLOW)
    plan.stripe((_ZONE_X[0], 0.42), (_ZONE_X[1], 0.42), 0.14, _YELLOW)
    for x in np.arange(_ZONE_X[0], _ZONE_X[1], 2.5):
        plan.stripe((float(x), 0.5), (float(x) + 1.6, STRIP - 0.2), 0.10, _YELLOW)


def _props(rng: np.random.Generator) -> list[Prop]:
    props: list[Prop] = []
    walls = ((150, 168, 186), (176, 188, 196), (118, 132, 164), (166, 170, 170), (140, 158, 150))
    x = -60.0
    while x < 58:
        width = float(rng.uniform(11, 20))
        depth = float(rng.uniform(19.5, 22.0))
        wall = walls[int(rng.integers(len(walls)))]
        props.append(House((x, x + width), (depth, depth + 14), float(rng.uniform(9, 19)), wall))
        x += width + float(rng.choice([0.0, 5.0, 8.0]))
    for tx in np.arange(-54, 56, 9.0):
        if rng.uniform() < 0.8:
            leaf = (float(rng.uniform(42, 60)), float(rng.uniform(88, 116)), float(rng.uniform(72, 100)))
            height = float(rng.uniform(5.0, 7.5))
            props.append(Tree(float(tx + rng.uniform(-1.5, 1.5)), 16.8, height, 0.36 * height, leaf))
    props += [Post(px + float(rng.uniform(-3, 3)), 12.8, 8.0, 1.6) for px in (-28.0, 0.0, 28.0)]
    return props

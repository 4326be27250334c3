"""A street for hours: parked, double-parked and lawful stops one after the other, queues, buses, trucks.

The camera and the street are those of :mod:`streams.simulator.street`. ``across`` puts the forbidden
strip at the far kerb, where trucks and queues of the lanes in between hide it. Part of the kerb is a
legal bay right next to the forbidden strip. Every stop is logged as it happened; one that lasted
longer than the legal time is illegal parking, all others are lawful.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from streams.simulator.camera import PinholeCamera
from streams.simulator.draw import Pose
from streams.simulator.light import daylight
from streams.simulator.scene import Standing, TrafficScene
from streams.simulator.sensor import SensorNoise
from streams.simulator.street import (
    FAR_KERB,
    FAR_LANE,
    LANE_START_M,
    MIDDLE,
    PAVEMENT,
    STRIP,
    ground_zone,
    street_background,
)
from streams.simulator.traffic import KerbStop, Lane, StopLog, Traffic, drawn_from_pool
from streams.simulator.truth import TruthEvent
from streams.simulator.vehicles import VehicleModel, bus, draw_vehicle, truck

LEGAL_S = 300.0
STRIP_X = {False: (-11.0, 4.5), True: (-15.0, 6.0)}  # the forbidden strip, by ``across``
SPOTS_X = {False: (-5.5, 1.2), True: (-10.5, -3.5, 2.8)}
BAY_X = {False: (7.4,), True: (9.3, 15.5)}  # legal places, right behind the end of the strip
AT_KERB_M, BESIDE_M = 3.0, 1.75  # from the lane's middle: at the kerb, and in the second row
ILLEGAL_FRAC, BUS_FRAC, DELIVERY_FRAC = 0.28, 0.08, 0.15
SECOND_ROW_FRAC = 0.5  # of the streets
BEHIND_M = 9.0  # so far along the kerb a vehicle in the second row hides and blocks the first
GONE_M = 14.0  # a place is free once the vehicle that left is so far
LONG_FRAC, SHORT_FRAC = (1.12, 3.0), (0.03, 0.9)  # how long stays are, in legal times


@dataclass(slots=True)
class _Spot:
    """One place at the kerb: who is expected next, and from when on."""

    x_m: float
    next_s: float
    waits_for: KerbStop | None = None
    log: StopLog | None = None


@dataclass(slots=True)
class KerbStory:
    """Sends vehicles to the kerb one after the other, and switches the signals.

    ``lane`` is the one beside the strip; ``red_s``, ``green_s`` of its signal, (0, 1) where it has
    none. Another car takes a place 8 s to 2 min after the last has left it.
    """

    lane: Lane
    rng: np.random.Generator
    spots: list[_Spot]
    signals: dict[str, tuple[float, float]]
    stop_line_m: float
    models: list[VehicleModel] = field(default_factory=list)
    second_row: list[_Spot] = field(default_factory=list)

    def __call__(self, traffic: Traffic) -> None:
        """Take one step of the story."""
        now_s = traffic.now_s
        for lane_id, (red_s, green_s) in self.signals.items():
            if now_s % (red_s + green_s) < red_s:
                traffic.barriers[lane_id] = self.stop_line_m
            else:
                traffic.barriers.pop(lane_id, None)
        if traffic.steps % 5:
            return
        for spot in (*self.spots, *self.second_row):
            self._tend(spot, traffic)

    def _tend(self, spot: _Spot, traffic: Traffic) -> None:
        now_s = traffic.now_s
        if spot.waits_for is not None and spot.log is None:
            spot.log = next((log for log in traffic.stops if log.mover.plan is spot.waits_for), None)
        if spot.log is not None:
            left_m = spot.log.mover.leave_from_m
            if left_m is not None and spot.log.mover.s_m - left_m > GONE_M:
                spot.next_s = now_s + float(self.rng.uniform(8, 120))
                spot.log = spot.waits_for = None
        elif spot.waits_for is None and now_s >= spot.next_s and self._is_accessible(spot, now_s):
            spot.waits_for = self._stop(spot)
            traffic.plan_stop(self.lane.id, spot.waits_for, now_s + spot.waits_for.at_m / self.lane.speed_m_s)

    def _is_accessible(self, spot: _Spot, now_s: float) -> bool:
        """Whether a vehicle can come: nobody parks behind the second row, nor hides a short stay with it."""
        others = self.spots if spot in self.second_row else self.second_row
        near = [one for one in others if abs(one.x_m - spot.x_m) < BEHIND_M and one.waits_for is not None]
        if spot not in self.second_row:
            return not near
        return all(one.log is not None and now_s - one.log.started_s > LEGAL_S + 30 for one in near)

    def _stop(self, spot: _Spot) -> KerbStop:
        rng, model = self.rng, None
        low, high = LONG_FRAC if rng.uniform() < ILLEGAL_FRAC else SHORT_FRAC
        seconds = float(rng.uniform(low, high)) * LEGAL_S
        kind = float(rng.uniform())
        lateral = AT_KERB_M
        if spot in self.second_row:
            lateral = BESIDE_M
            spot.next_s += 600.0
        elif kind < BUS_FRAC:
            model, seconds = self.models[0], float(rng.uniform(12, 35))
        elif kind < BUS_FRAC + DELIVERY_FRAC:
            model = self.models[1]
        lateral += float(rng.uniform(-0.12, 0.12))
        along = spot.x_m + float(rng.uniform(-0.5, 0.5))
        at_m = (along - self.lane.x_m) * math.cos(self.lane.heading_rad)
        return KerbStop(at_m, -lateral, seconds, model)


def kerb(seed: int, size: tuple[int, int], seconds: float, *, across: bool) -> TrafficScene:
    """Build the scene; ``seconds`` tells how long a stop that goes on has lasted at the end."""
    rng = np.random.default_rng([seed, 15])
    camera = PinholeCamera(
        position_m=(
            float(rng.uniform(-3, 1)), float(rng.uniform(-15.5, -12.5)), float(rng.uniform(9.5, 12.0))
        ),
        yaw_deg=float(rng.uniform(-8, 8)),
        pitch_deg=float(rng.uniform(26, 30)),
        roll_deg=float(rng.uniform(-1, 1)),
        hfov_deg=float(rng.uniform(58, 64)),
        size_px=size,
    )  # fmt: skip
    light = daylight(rng, behind=True)
    speed, headway = float(rng.uniform(8.5, 11.5)), float(rng.uniform(7.0, 12.0))
    lanes = (
        Lane("near", -LANE_START_M, (STRIP + MIDDLE) / 2, 0.0, 2 * LANE_START_M, speed, headway),
        Lane("far", LANE_START_M, (MIDDLE + FAR_LANE) / 2, math.pi, 2 * LANE_START_M, speed, headway),
    )
    story = _story(lanes[int(across)], rng, across=across)
    traffic = Traffic(lanes, np.random.default_rng([seed, 17]), draw=drawn_from_pool, on_step=story)
    standing = _bay(traffic, rng, across=across)
    area = (FAR_LANE - 0.9, FAR_KERB + PAVEMENT) if across else (-PAVEMENT, STRIP + 0.9)
    x0, x1 = STRIP_X[across]
    zone = ground_zone(camera, "kerb", "no_parking", (x0, x1, *area))
    scene_seed = int(rng.integers(1 << 30))
    traffic.warm_up(25)
    return TrafficScene(
        camera=camera,
        light=light,
        zones=(zone,),
        traffic=traffic,
        standing=standing,
        background=lambda: street_background(camera, light, np.random.default_rng(scene_seed)),
        tell_events=lambda scene: _events(scene, seconds),
        noise=SensorNoise(size, float(rng.uniform(1.5, 3.0)), np.random.default_rng([seed, 18])),
    )


def _story(lane: Lane, rng: np.random.Generator, *, across: bool) -> KerbStory:
    spots = [_Spot(x, float(rng.uniform(5, 60))) for x in SPOTS_X[across]]
    signals = {}
    if rng.uniform() < 0.6:  # the lanes' signal stands just out of sight
        cycle = (float(rng.uniform(30, 80)), float(rng.uniform(25, 45)))
        signals = {"near": cycle, "far": cycle} if across else {"near": cycle}
    story = KerbStory(lane, rng, spots, signals, LANE_START_M + float(rng.uniform(14, 19)))
    story.models = [bus((60.0, 120.0, 60.0)), truck((230.0, 232.0, 232.0), 5.9)]
    if across and rng.uniform() < SECOND_ROW_FRAC:  # at the near kerb the first row would hide it
        story.second_row.append(_Spot(float(rng.choice(SPOTS_X[across])), float(rng.uniform(120, 900))))
    return story


def _bay(traffic: Traffic, rng: np.random.Generator, *, across: bool) -> tuple[Standing, ...]:
    """Park cars for good in the legal bay at the end of the strip."""
    middle = FAR_KERB - 1.2 if across else 1.2
    heading = math.pi if across else 0.0
    return tuple(
        Standing(traffic.new_id(), draw_vehicle(rng, cars_only=True), Pose(x, middle, heading))
        for x in BAY_X[across]
    )


def _events(scene: TrafficScene, seconds: float) -> tuple[TruthEvent, ...]:
    return tuple(_event(scene, log, seconds) for log in scene.traffic.stops if log.started_s >= 0)


def _event(scene: TrafficScene, log: StopLog, seconds: float) -> TruthEvent:
    stayed_s = (seconds if log.ended_s is None else log.ended_s) - log.started_s
    illegal = stayed_s > LEGAL_S
    return TruthEvent(
        kind="illegal_parking" if illegal else "lawful_stop",
        alarm=illegal,
        started_s=log.started_s,
        ended_s=log.ended_s,
        zone="kerb",
        box=scene.box_of(log.mover.model, log.pose),
        ground_m=(log.pose.x_m, log.pose.y_m),
        object_id=log.mover.object_id,
    )

"""Traffic on straight lanes: car-following by the Intelligent Driver Model, kerb stops, road blocks.

Treiber, Hennecke and Helbing, "Congested traffic states in empirical observations and microscopic
simulations", Phys. Rev. E 62 (2000). Everything is a function of the seed and the time step.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from streams.simulator.draw import Pose
from streams.simulator.vehicles import VehicleModel, draw_vehicle

STEP_S = 0.1
_ACCEL = 1.5  # m/s², comfortable
_BRAKE = 2.2  # m/s², comfortable
_HARDEST = 7.0  # m/s², emergency
_HEADWAY_S = 1.3
_JAM_GAP_M = 2.0
_SWERVE_M = 16.0  # distance over which a vehicle moves to or from the kerb
_CREEP_M_S = 0.15
_CLEAR_M = 1.7  # sideways distance at which a vehicle no longer blocks its lane


@dataclass(frozen=True, slots=True)
class Lane:
    """A straight lane: starts at (x_m, y_m), runs ``length_m`` along ``heading_rad``.

    ``speed_m_s`` is the desired speed, ``headway_s`` the mean time between vehicles that come in;
    ``cars_only`` keeps trucks and buses out.
    """

    id: str
    x_m: float
    y_m: float
    heading_rad: float
    length_m: float
    speed_m_s: float
    headway_s: float
    cars_only: bool = False


@functools.cache
def _pool(number: int) -> tuple[VehicleModel, ...]:
    rng = np.random.default_rng(number)
    return tuple(draw_vehicle(rng) for _ in range(number))


def drawn_from_pool(rng: np.random.Generator, cars_only: bool) -> VehicleModel:  # noqa: FBT001 - the seam's
    """Draw from 60 vehicles made once: scenes of hours need no new mesh each."""
    pool = _pool(60)
    while True:
        model = pool[int(rng.integers(len(pool)))]
        if not cars_only or model.label == "car":
            return model


def _drawn(rng: np.random.Generator, cars_only: bool) -> VehicleModel:  # noqa: FBT001 - the seam's
    return draw_vehicle(rng, cars_only=cars_only)


@dataclass(frozen=True, slots=True)
class KerbStop:
    """A plan to pull over: at ``at_m`` along the lane, ``lateral_m`` to the left (negative: right).

    ``model`` says what comes; None draws a car.
    """

    at_m: float
    lateral_m: float
    seconds: float
    model: VehicleModel | None = None


@dataclass(slots=True, eq=False)
class Mover:
    """A vehicle on its way. ``s_m`` is its middle along the lane, ``lateral_m`` its offset to the left."""

    object_id: int
    model: VehicleModel
    lane: Lane
    s_m: float
    speed_m_s: float
    desired_m_s: float
    lateral_m: float = 0.0
    slope: float = 0.0
    plan: KerbStop | None = None
    stopped_at_s: float | None = None
    leave_from_m: float | None = None

    @property
    def pose(self) -> Pose:
        """Where it stands now."""
        c, s = math.cos(self.lane.heading_rad), math.sin(self.lane.heading_rad)
        return Pose(
            self.lane.x_m + c * self.s_m - s * self.lateral_m,
            self.lane.y_m + s * self.s_m + c * self.lateral_m,
            self.lane.heading_rad + math.atan(self.slope),
        )

    @property
    def parked(self) -> bool:
        """Whether it stands at the kerb by plan."""
        return self.stopped_at_s is not None and self.leave_from_m is None


@dataclass(slots=True, eq=False)
class StopLog:
    """A kerb stop as it happened; ``ended_s`` None while it lasts."""

    mover: Mover
    pose: Pose
    started_s: float
    ended_s: float | None = None


@dataclass(slots=True)
class Traffic:
    """All lanes together; :meth:`advance` moves time on in steps of :data:`STEP_S`.

    ``barriers`` maps a lane id to the place in metres where nothing passes (a red light), and so does
    ``closures`` (an obstacle); change them at any time. ``draw`` makes the vehicles that come in.
    ``on_step`` is called after every step: the scene's storyboard. ``stops`` logs the kerb stops.
    """

    lanes: tuple[Lane, ...]
    rng: np.random.Generator
    movers: list[Mover] = field(default_factory=list)
    barriers: dict[str, float] = field(default_factory=dict)
    closures: dict[str, float] = field(default_factory=dict)
    draw: Callable[[np.random.Generator, bool], VehicleModel] = _drawn
    on_step: Callable[[Traffic], None] | None = None
    stops: list[StopLog] = field(default_factory=list)
    steps: int = 0
    _next_at_s: dict[str, float] = field(default_factory=dict)
    _next_id: int = 1
    _plans: list[tuple[float, str, KerbStop]] = field(default_factory=list)

    @property
    def now_s(self) -> float:
        """Simulated seconds since the start, which is negative during a warm-up."""
        return self.steps * STEP_S

    def warm_up(self, seconds: float) -> None:
        """Fill the lanes by running ``seconds`` before time 0."""
        self.steps = -round(seconds / STEP_S)
        while self.steps < 0:
            self._step()

    def plan_stop(self, lane_id: str, stop: KerbStop, arrive_s: float) -> None:
        """Let a car come in so that it reaches its kerb stop at about ``arrive_s``."""
        lane = next(lane for lane in self.lanes if lane.id == lane_id)
        self._plans.append((arrive_s - stop.at_m / lane.speed_m_s - 3.0, lane_id, stop))

    def new_id(self) -> int:
        """Return an id for an object that takes part without moving."""
        self._next_id += 1
        return self._next_id - 1

    def advance(self, until_s: float) -> None:
        """Run up to ``until_s``."""
        while self.now_s < until_s - 1e-9:
            self._step()

    def _step(self) -> None:
        for lane in self.lanes:
            self._spawn(lane)
            ahead: Mover | None = None
            for mover in sorted((m for m in self.movers if m.lane is lane), key=lambda m: -m.s_m):
                self._move(mover, ahead)
                if abs(mover.lateral_m) < _CLEAR_M:
                    ahead = mover
        self.movers = [m for m in self.movers if m.s_m <= m.lane.length_m + m.model.length_m]
        self.steps += 1
        if self.on_step is not None:
            self.on_step(self)

    def _spawn(self, lane: Lane) -> None:
        due = [plan for plan in self._plans if plan[1] == lane.id and plan[0] <= self.now_s]
        at = self._next_at_s.setdefault(lane.id, self.now_s + self.rng.uniform(0, lane.headway_s))
        if self.now_s < at and not due:
            return
        last = min((m.s_m - m.model.length_m / 2 for m in self.movers if m.lane is lane), default=math.inf)
        if last < 14.0:
            return
        planned = due[0][2].model if due else None
        model = planned or self.draw(self.rng, lane.cars_only or bool(due))
        desired = lane.speed_m_s * float(self.rng.uniform(0.88, 1.12))
        speed = min(desired, max(0.0, (last - 8.0) / 2))
        mover = Mover(self.new_id(), model, lane, 0.0, speed, desired)
        if due:
            self._plans.remove(due[0])
            mover.plan = due[0][2]
        self.movers.append(mover)
        self._next_at_s[lane.id] = (
            self.now_s + 1.6 + float(self.rng.exponential(max(0.2, lane.headway_s - 1.6)))
        )

    def _move(self, mover: Mover, ahead: Mover | None) -> None:
        if mover.parked:
            self._maybe_leave(mover)
            return
        gap, closing = math.inf, 0.0
        if ahead is not None:
            gap = ahead.s_m - mover.s_m - (ahead.model.length_m + mover.model.length_m) / 2
            closing = mover.speed_m_s - ahead.speed_m_s
        front = mover.s_m + mover.model.length_m / 2
        for barrier in (self.barriers.get(mover.lane.id), self.closures.get(mover.lane.id)):
            if barrier is not None and barrier >= front - 1.0 and barrier - front < gap:
                gap, closing = barrier - front, mover.speed_m_s
        plan = mover.plan
        if plan is not None and mover.stopped_at_s is None and plan.at_m - mover.s_m < gap:
            gap, closing = plan.at_m - mover.s_m + _JAM_GAP_M, mover.speed_m_s
        accel = _idm(mover.speed_m_s, mover.desired_m_s, gap, closing)
        mover.speed_m_s = max(0.0, mover.speed_m_s + accel * STEP_S)
        if accel < 0.05 and mover.speed_m_s < _CREEP_M_S:
            mover.speed_m_s = 0.0  # nobody creeps: a driver who is nearly there stands
        mover.s_m += mover.speed_m_s * STEP_S
        if plan is not None:
            _steer(mover, plan)
            if mover.stopped_at_s is None and plan.at_m - mover.s_m < 0.6 and mover.speed_m_s < 0.35:
                mover.speed_m_s, mover.slope = 0.0, 0.0
                mover.stopped_at_s = self.now_s
                self.stops.append(StopLog(mover, mover.pose, self.now_s))

    def _maybe_leave(self, mover: Mover) -> None:
        plan = mover.plan
        if plan is None or mover.stopped_at_s is None or self.now_s - mover.stopped_at_s < plan.seconds:
            return
        near = [m for m in self.movers if m.lane is mover.lane and -4 < mover.s_m - m.s_m < 26]
        if all(m is mover or m.parked for m in near):
            mover.leave_from_m = mover.s_m
            for log in self.stops:
                if log.mover is mover:
                    log.ended_s = self.now_s


def _steer(mover: Mover, plan: KerbStop) -> None:
    """Set the sideways offset and its slope from the way made towards, or from, the kerb."""
    if mover.leave_from_m is None:
        x = 1 - (plan.at_m - mover.s_m - 2.0) / _SWERVE_M
    else:
        x = 1 - (mover.s_m - mover.leave_from_m) / _SWERVE_M
    x = min(1.0, max(0.0, x))
    mover.lateral_m = plan.lateral_m * x * x * (3 - 2 * x)
    steep = plan.lateral_m * 6 * x * (1 - x) / _SWERVE_M
    mover.slope = steep if mover.leave_from_m is None else -steep


def _idm(speed: float, desired: float, gap: float, closing: float) -> float:
    """Return the acceleration in m/s² of a driver ``gap`` metres behind what is ahead."""
    wished = _JAM_GAP_M + max(0.0, speed * _HEADWAY_S + speed * closing / (2 * math.sqrt(_ACCEL * _BRAKE)))
    pressure = 0.0 if math.isinf(gap) else (wished / max(gap, 0.1)) ** 2
    return max(-_HARDEST, _ACCEL * (1 - (speed / desired) ** 4 - pressure))

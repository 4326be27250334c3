"""Simulated drivers keep their distance, stop where planned, and queue behind what blocks them."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from streams.simulator.traffic import KerbStop, Lane, Mover, Traffic
from streams.simulator.vehicles import draw_vehicle

LANE = Lane("one", 0.0, 0.0, 0.0, 200.0, 12.0, 4.0)


def gaps(traffic: Traffic) -> list[float]:
    found = []
    for lane in traffic.lanes:
        queue: list[Mover] = sorted(
            (m for m in traffic.movers if m.lane is lane and abs(m.lateral_m) < 1.0), key=lambda m: -m.s_m
        )
        found += [
            ahead.s_m - behind.s_m - (ahead.model.length_m + behind.model.length_m) / 2
            for ahead, behind in pairwise(queue)
        ]
    return found


@pytest.mark.parametrize("seed", range(3))
def test_nobody_drives_into_the_one_ahead(seed: int) -> None:
    traffic = Traffic((LANE,), np.random.default_rng(seed))
    traffic.warm_up(20)
    for second in range(90):
        if second == 30:
            traffic.barriers["one"] = 120.0
        traffic.advance(float(second))
        assert min(gaps(traffic), default=1.0) > 0.3


def test_a_barrier_makes_a_queue_and_its_end_lets_it_go() -> None:
    traffic = Traffic((LANE,), np.random.default_rng(1))
    traffic.warm_up(20)
    traffic.barriers["one"] = 120.0
    traffic.advance(60.0)
    queue = [m for m in traffic.movers if m.s_m < 120]
    assert len(queue) >= 8
    assert [m.speed_m_s for m in queue if m.s_m > 60] == [0.0] * sum(m.s_m > 60 for m in queue)
    assert max(m.s_m + m.model.length_m / 2 for m in queue) < 121.0
    traffic.barriers.clear()
    traffic.advance(75.0)
    assert sum(m.s_m > 120 for m in traffic.movers) >= 3


def test_a_kerb_stop_is_made_at_its_place_and_left_in_time() -> None:
    traffic = Traffic((LANE,), np.random.default_rng(2))
    traffic.plan_stop("one", KerbStop(100.0, -2.5, 8.0), 20.0)
    traffic.advance(60.0)
    (log,) = traffic.stops
    assert log.started_s == pytest.approx(20.0, abs=8.0)
    assert (log.pose.x_m, log.pose.y_m) == pytest.approx((100.0, -2.5), abs=0.7)
    assert log.pose.heading_rad == pytest.approx(0.0, abs=0.02)
    assert log.ended_s is not None
    assert 8.0 <= log.ended_s - log.started_s < 20.0
    assert abs(log.mover.lateral_m) < 0.01, "back in its lane"


def test_others_pass_a_car_that_stays_at_the_kerb() -> None:
    traffic = Traffic((LANE,), np.random.default_rng(3))
    traffic.plan_stop("one", KerbStop(100.0, -2.5, math.inf), 15.0)
    traffic.advance(40.0)
    before = {m.object_id for m in traffic.movers if m.s_m < 95}
    traffic.advance(70.0)
    (log,) = traffic.stops
    assert log.ended_s is None
    assert log.mover.parked
    passed = {m.object_id for m in traffic.movers if m.s_m > 105}
    gone = before - {m.object_id for m in traffic.movers}
    assert (passed | gone) & before


def test_time_does_not_depend_on_how_it_is_cut() -> None:
    once, often = (Traffic((LANE,), np.random.default_rng(4)) for _ in range(2))
    once.advance(30.0)
    for k in range(301):
        often.advance(k / 10)
    assert [(m.object_id, m.s_m) for m in once.movers] == [(m.object_id, m.s_m) for m in often.movers]


def test_vehicles_are_mostly_cars_and_of_many_kinds() -> None:
    rng = np.random.default_rng(0)
    labels = [draw_vehicle(rng).label for _ in range(120)]
    assert set(labels) == {"car", "van", "truck", "bus"}
    assert labels.count("car") > 70
    assert {draw_vehicle(rng, cars_only=True).label for _ in range(50)} == {"car"}

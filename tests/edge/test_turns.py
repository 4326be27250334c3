"""The order of looks, on a simulated clock: nobody starves, and overload slows all down alike."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.turns import Turns, shared_out, stretch_of, wanted_workers

WARM_UP_S, END_S = 20.0, 80.0


@dataclass(slots=True)
class Stream:
    """Pictures at a steady rhythm; the latest one that nobody has taken is there to be looked at."""

    spacing_s: float
    phase_s: float
    interval_s: float
    taken_s: float = -math.inf
    looks_s: list[float] = field(default_factory=list)

    def look(self, now_s: float) -> bool:
        """Take the newest picture where it is new and due, as a camera of a worker does."""
        picture_s = self.phase_s + math.floor((now_s - self.phase_s) / self.spacing_s) * self.spacing_s
        if picture_s < self.taken_s + self.interval_s - min(self.spacing_s, self.interval_s) / 2:
            return False
        self.taken_s = picture_s
        self.looks_s.append(now_s)
        return True

    def gap_in_intervals(self) -> float:
        """Return the mean gap after the warm-up; what was never looked at has waited for all of it."""
        looks_s = [at_s for at_s in self.looks_s if at_s > WARM_UP_S]
        gaps = len(looks_s) - 1
        return ((looks_s[-1] - looks_s[0]) / gaps if gaps > 0 else END_S) / self.interval_s


def run(streams: Mapping[str, Stream], look_s: float, seed: int) -> None:
    rng, now_s = random.Random(seed), 0.0
    turns = Turns({name: stream.interval_s for name, stream in streams.items()})
    while now_s < END_S:
        served = next((name for name in turns.order(now_s) if streams[name].look(now_s)), None)
        if served is None:
            now_s += 0.03
            continue
        turns.looked(served, now_s)
        now_s += look_s * rng.uniform(0.5, 1.5)


def site(seed: int, cameras: int, *, fast: int = 0, dead: int = 0) -> dict[str, Stream]:
    rng = random.Random(seed)
    streams = {f"cam-{n}": Stream(2.0, rng.uniform(0, 2), 2.0) for n in range(cameras)}
    streams |= {f"fast-{n}": Stream(0.5, rng.uniform(0, 0.5), 0.5) for n in range(fast)}
    return streams | {f"dead-{n}": Stream(1e9, 1e9, 2.0) for n in range(dead)}


@settings(max_examples=12, deadline=None)
@given(load=st.floats(1.2, 3.0), seed=st.integers(0, 1000))
def test_ninety_cameras_over_capacity_are_slowed_down_alike(load: float, seed: int) -> None:
    streams = site(seed, 88, fast=2)
    run(streams, load / (88 / 2.0 + 2 / 0.5), seed)
    ratios = {name: stream.gap_in_intervals() for name, stream in streams.items()}
    median = statistics.median(ratios.values())
    assert max(ratios.values()) <= 1.3 * median
    assert max(ratios["fast-0"], ratios["fast-1"]) <= 1.3 * median, "a short interval is not starved"
    assert stretch_of(list(ratios.values())) == pytest.approx(load, rel=0.25)


def test_a_box_that_can_keep_all_intervals_keeps_them_beside_cameras_without_pictures() -> None:
    streams = site(1, 40, fast=2, dead=10)
    run(streams, 0.5 / (40 / 2.0 + 2 / 0.5), 1)
    gaps = [stream.gap_in_intervals() for name, stream in streams.items() if not name.startswith("dead")]
    assert max(gaps) < 1.05


def test_before_any_deadline_the_nearest_one_comes_first_and_later_who_waited_longest() -> None:
    turns = Turns({"slow": 10.0, "fast": 1.0, "new": 2.0})
    turns.looked("slow", 0.0)
    turns.looked("fast", 4.0)
    assert turns.order(4.5) == ["new", "fast", "slow"]
    turns.looked("new", 4.4)
    assert turns.order(4.5) == ["fast", "new", "slow"], "deadlines at 5, 6.4 and 10"
    assert turns.order(12.0) == ["fast", "new", "slow"], "8, 3.8 and 1.2 intervals"


def test_cameras_listed_busy_and_quiet_in_turn_do_not_end_up_in_two_camps() -> None:
    kinds = ("hill", "road", "gate")
    for period in (2, 3):  # in turn of two kinds or of three
        names = [f"{kinds[index % period]}-{index:03d}" for index in range(60)]
        shares = shared_out(dict.fromkeys(names, 2.0), 2)
        assert [len(share) for share in shares] == [30, 30]
        roads = [sum(name.startswith("road") for name in share) for share in shares]
        assert max(roads) <= 0.7 * sum(roads)


def test_looks_and_not_cameras_are_shared_out_evenly() -> None:
    intervals_s = {"a": 0.5, "b": 2.0, "c": 2.0, "d": 2.0, "e": 2.0}
    assert sorted(map(sorted, shared_out(intervals_s, 2))) == [["a"], ["b", "c", "d", "e"]]
    assert shared_out({"a": 1.0}, 4) == [("a",)]


@pytest.mark.parametrize(
    ("cameras", "cores", "workers"), [(1, 8, 1), (16, 8, 1), (17, 8, 2), (60, 2, 2), (200, 64, 13)]
)
def test_a_box_takes_as_many_workers_as_it_has_cores_and_work_for(
    cameras: int, cores: int, workers: int
) -> None:
    assert wanted_workers(cameras, cores) == workers

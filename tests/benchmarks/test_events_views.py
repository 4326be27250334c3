"""A trial of the benchmark of views calls each kind of blindness by the box's own judgement."""

from __future__ import annotations

from benchmarks.events_views import BLINDNESS, SIZE, run_trial, watch_weather
from streams.simulator.tower import tower


def test_each_kind_of_blindness_is_told_and_an_hour_of_day_and_night_is_none() -> None:
    told: dict[str, int] = {}
    scene = tower(1, SIZE, 3600.0, fires=False)
    run_trial(scene, scene.views[0], told)
    assert told == dict.fromkeys(BLINDNESS, 1)
    assert watch_weather("day_night", 29, 2.5) == 0

"""A trial of the benchmark of views calls each kind of blindness by the box's own judgement."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import events_views
from benchmarks.events_views import BLINDNESS, WEATHER, ViewRun, plan_of, watch_weather


def test_each_kind_of_blindness_is_told_and_an_hour_of_day_and_night_is_none() -> None:
    # of this view and the wrong one the outlines agree a little by chance, at a distance
    assert ViewRun(0, trial=15).play() == {"told": dict.fromkeys(BLINDNESS, True)}
    assert watch_weather("day_night", 29, 2.5) == 0


def test_the_part_counts_what_was_played_and_says_what_is_not_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_views, "play_all", lambda *_: None)
    for plan in plan_of(0, quick=False):
        told = {"told": dict.fromkeys(BLINDNESS, plan.trial != 7)}
        result = {"false": 2 if plan.weather == "snow" else 0} if plan.trial is None else told
        (tmp_path / f"{plan.name}.json").write_text(json.dumps(result))
    made = events_views.run(0, tmp_path, quick=False)
    views = made.facts["views"]
    assert views["told"] == dict.fromkeys(BLINDNESS, 49)
    assert (views["camera_hours"], sum(views["false_reports"].values())) == (50.0, 2)
    assert set(views["false_reports"]) == set(WEATHER)
    assert "| frozen | 49 (0.895 to 0.997) | **not met** |" in made.page
    assert "2 in 50 hours (0.2 to 7.2), asked at most 1: **not met**" in made.page

"""The smoke part of the event benchmark: what is played, when a plume is detected in time, what is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks import events_smoke, smoke_runs
from benchmarks.events_smoke import VISITS, by_distance, full_plan, in_time, judged_of
from benchmarks.smoke_runs import Sight, SmokeRun, camera_of
from edge.score import AlertRecord, JudgedEvent
from streams.simulator.tower import ROUND_S, tower
from streams.simulator.tower_story import CLEAR, HOUR_S, NEGATIVES
from streams.simulator.truth import FIXED_START, TruthEvent
from towerwatch.timebase import parse_utc

SMALL = (160, 90)
FIRE = TruthEvent("smoke", True, 1000.0, None, "p090", (0.4, 0.3, 0.5, 0.4), (900.0, 0.0), 0)
SIGHT = Sight("p090", 0, 1082.5, 900.0)


def told(at_s: float) -> JudgedEvent:
    at = parse_utc(FIXED_START) + timedelta(seconds=at_s)
    alert = AlertRecord("a" * 32, "smoke", "t", "p090", at, at, (FIRE.box,))
    return JudgedEvent(FIRE, "t", CLEAR, alert, delay_s=at_s - FIRE.started_s, start_error_s=0.0)


@pytest.mark.parametrize(("rounds", "counts"), [(0, True), (1, True), (VISITS - 1, True), (VISITS, False)])
def test_an_alert_counts_until_the_end_of_the_third_visit(rounds: int, counts: bool) -> None:
    judged = in_time(told(SIGHT.first_s + rounds * ROUND_S + 5.0), SIGHT)
    assert (judged.alert is not None) is counts


def test_figures_by_distance_take_the_fires_of_their_class() -> None:
    rows = by_distance({told(1100): 900.0, in_time(told(9000), SIGHT): 2500.0})
    shown = {row.condition: (row.events, row.detected) for row in rows}
    assert shown["600 to 1000 m"] == (1, 1)
    assert shown["1700 to 3000 m"] == (1, 0)
    assert shown["300 to 600 m"] == (0, 0)


def test_the_full_set_has_fifteen_camera_days_of_every_negative() -> None:
    quiet = [run for run in full_plan(0) if not run.fires and not run.pixels]
    assert {run.weather for run in quiet} == {CLEAR, *NEGATIVES}
    assert sum(run.seconds for run in quiet) >= 15 * 24 * HOUR_S
    assert len({run.name for run in full_plan(0)}) == len(full_plan(0))


def test_a_bank_of_fog_is_marked_while_it_lies_there_and_a_chimney_is_known() -> None:
    fog = tower(2, SMALL, 4 * HOUR_S, "fog_bank", fires=0).views[0]
    spell = fog.spells[0]
    assert not fog.suspects(spell.started_s - 1)
    assert len(fog.suspects((spell.started_s + spell.ended_s) / 2)) == 2
    steam = tower(2, SMALL, 4 * HOUR_S, "steam", fires=0)
    camera = camera_of("t", steam, pixels=False)
    assert len(camera.views) == len(steam.views)
    assert all(view.known_sources for view in camera.views)


def test_a_quiet_tower_is_run_once_and_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke_runs, "PLAYED_SIZE", SMALL)
    run = SmokeRun(CLEAR, 3, 2 * ROUND_S, fires=0)
    events_smoke.done_or_run(run, tmp_path)
    judged, away = judged_of(run, tmp_path)
    assert (judged.events, judged.alerts, away) == ((), (), {})
    assert judged.watched_s == {CLEAR: 2 * ROUND_S}
    monkeypatch.setattr(events_smoke, "run_tower", None)
    events_smoke.done_or_run(run, tmp_path)
    assert judged_of(replace(run), tmp_path)[0] == judged

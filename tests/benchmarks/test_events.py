"""The benchmark of events keeps what it ran, counts by kind, and says on its page what fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from benchmarks.events import main, with_parts
from benchmarks.events_page import write_page
from benchmarks.events_part import played_with
from benchmarks.events_traffic import (
    HOUR_S,
    done_or_run,
    full_plan,
    judged_by_kind,
    quick_plan,
    result_of,
    truth_beside,
)
from benchmarks.traffic_runs import TrafficRun
from streams.simulator.truth import read_truth
from towerwatch.errors import ConfigError

ROAD = TrafficRun("arterial-lawful", 3, 60.0, "rain", "rain")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hold one minute of a road that was run."""
    made = tmp_path_factory.mktemp("events")
    done_or_run(ROAD, made)
    return made


def test_a_scene_that_was_run_is_not_run_again(folder: Path) -> None:
    alerts = result_of(ROAD, folder)
    before = alerts.stat().st_mtime_ns
    done_or_run(ROAD, folder)
    assert alerts.stat().st_mtime_ns == before
    truth = read_truth(truth_beside(alerts))
    assert (truth.condition, truth.seconds) == ("rain", 60.0)


def test_the_hours_of_a_scene_count_for_its_own_rule(folder: Path) -> None:
    judged = judged_by_kind([ROAD], folder)
    assert set(judged) == {"blocked_road"}
    assert judged["blocked_road"].watched_s == {"rain": 60.0}
    assert not judged["blocked_road"].alerts


def test_the_plans_hold_what_they_say() -> None:
    full = full_plan(0)
    assert sum(plan.seconds for plan in full if plan.scene == "arterial-lawful") >= 20 * 3600
    assert {plan.condition for plan in full if plan.scene.startswith("kerb")} == {
        "day", "night", "rain", "occlusion",
    }  # fmt: skip
    assert {replace(plan, seconds=HOUR_S) for plan in quick_plan(0)} <= set(full)
    assert not set(full_plan(1)) & set(full)


ROW = {
    "part": "traffic", "kind": "blocked_road", "condition": "all", "events": 110, "false_alerts": 3,
    "repeated_alerts": 0, "camera_days": 1.6, "false_causes": {"queue": 3}, "f1": 0.93, "start_rmse_s": 26.6,
    "detected_frac": None, "false_share": None, "false_alerts_per_camera_day": None, "delay_s_mean": None,
    "start_rmse_s_95": [20.0, 30.0],
}  # fmt: skip
PART = {
    "quick": False, "seed": 0, "scenes": 20, "scenes_of_set": 77, "cores": 2, "cpu": "some processor",
    "figures": "vehicle@0.1.0 f32", "shipped": "vehicle@0.2.0", "silent": {"queue": 7}, "page": "",
}  # fmt: skip
MISSED = {"part": "traffic", "camera": "arterial-rain-3", "kind": "blocked_road", "started_s": 10.0}
TRAFFIC = {"parts": {"traffic": PART}, "rows": [ROW], "missed": [MISSED]}


def test_the_page_says_what_is_not_met_and_what_was_not_played(tmp_path: Path) -> None:
    page = tmp_path / "accuracy.md"
    write_page(TRAFFIC, page)
    text = page.read_text(encoding="utf-8")
    assert "F1: 0.93, asked at least 0.95: **not met**" in text
    assert "blocks: 110, asked at least 100: met" in text
    assert "3 on queue" in text
    assert "7 queue" in text
    assert "1 in arterial-rain-3" in text
    assert "traffic: **20 of 77 scenes** of the full set, seed 0" in text
    assert "vehicle@0.1.0 f32, **vehicle@0.2.0 ships now**" in text


def test_parts_that_were_played_apart_make_one_page(tmp_path: Path) -> None:
    views = {**PART, "scenes": 77, "figures": None, "shipped": None, "silent": {}, "page": "## Lost views\n"}
    apart = {"parts": {"views": views, "traffic": {**PART, "seed": 4}}, "rows": [{**ROW, "events": 5}],
             "missed": [], "views": {"trials": 50}}  # fmt: skip
    both = with_parts(TRAFFIC, [apart])
    assert both["rows"] == [ROW], "what was just played counts"
    assert both["views"] == {"trials": 50}
    write_page(both, tmp_path / "accuracy.md")
    text = (tmp_path / "accuracy.md").read_text(encoding="utf-8")
    assert "- views: the full set, seed 0, on 2 cores of some processor.\n\n## " in text
    assert "## Lost views" in text


def test_a_folder_is_good_for_one_state_of_the_figures(tmp_path: Path) -> None:
    assert played_with("smoke", tmp_path) == played_with("smoke", tmp_path)
    kept = tmp_path / "figures-smoke.json"
    kept.write_text(kept.read_text().replace('"sha256": "', '"sha256": "0'))
    with pytest.raises(ConfigError, match="name another folder"):
        played_with("smoke", tmp_path)


def test_what_was_kept_is_told_without_playing_the_rest(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name.replace("-3-60.", "-3-3600.")).write_bytes(path.read_bytes())
    runner, target = CliRunner(), tmp_path / "out.json"
    app = typer.Typer()
    app.command()(main)
    asked = ["--json", str(target), "--kept", "--part", "traffic", "--resume", str(tmp_path)]
    assert runner.invoke(app, asked).exit_code == 0
    content = json.loads(target.read_text())
    assert content["parts"]["traffic"]["scenes"] == 1
    assert content["parts"]["traffic"]["scenes_of_set"] == len(full_plan(0))
    broken = tmp_path / "broken.json"
    broken.write_text("[]")
    failed = runner.invoke(app, [*asked, "--with", str(broken)])
    assert failed.exit_code == 2
    assert "no document of this benchmark" in failed.output

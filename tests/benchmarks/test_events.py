"""The benchmark of events keeps what it ran, counts by kind, and says on its page what fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.events_page import write_page
from benchmarks.events_part import gathered, played_with, result_of
from benchmarks.events_traffic import done_or_run, full_plan, quick_plan, run_all
from benchmarks.traffic_runs import TrafficRun
from edge.score import Judged
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
    (alerts,) = folder.glob("*.alerts.json")
    before = alerts.stat().st_mtime_ns
    name = done_or_run(ROAD, folder)
    assert alerts.name == f"{name}.alerts.json"
    assert alerts.stat().st_mtime_ns == before
    truth = read_truth(folder / f"{name}.truth.json")
    assert (truth.condition, truth.seconds) == ("rain", 60.0)


def test_the_hours_of_a_scene_count_for_its_own_rule(folder: Path) -> None:
    judged = run_all([ROAD], folder, 1, lambda _: None)
    assert set(judged) == {"blocked_road"}
    assert judged["blocked_road"].watched_s == {"rain": 60.0}
    assert not judged["blocked_road"].alerts


def test_the_plans_hold_what_they_say() -> None:
    full = full_plan(0)
    assert sum(plan.seconds for plan in full if plan.scene == "arterial-lawful") >= 20 * 3600
    assert {plan.condition for plan in full if plan.scene.startswith("kerb")} == {
        "day", "night", "rain", "occlusion",
    }  # fmt: skip
    assert set(quick_plan(0)) <= set(full)
    assert not set(full_plan(1)) & set(full)


def test_the_page_says_what_is_not_met(tmp_path: Path) -> None:
    row = {
        "kind": "blocked_road", "condition": "all", "events": 110, "false_alerts": 3, "repeated_alerts": 0,
        "camera_days": 1.6, "false_causes": {"queue": 3}, "f1": 0.93, "start_rmse_s": 26.6,
        "detected_frac": None, "false_share": None, "false_alerts_per_camera_day": None, "delay_s_mean": None,
        "start_rmse_s_95": [20.0, 30.0],
    }  # fmt: skip
    machine = {"cores": 2, "cpu": "some processor"}
    content = {
        "quick": False, "seed": 0, "parts": ["traffic"], "machine": machine, "rows": [row],
        "figures": {"vehicle": "vehicle@0.1.0 f32"}, "shipped": {"vehicle": "vehicle@0.2.0"},
        "silent": {"queue": 7},
        "missed": [{"camera": "arterial-rain-3", "kind": "blocked_road", "started_s": 10.0}],
    }  # fmt: skip
    page = tmp_path / "accuracy.md"
    write_page(content, page, ["## Views\n\nA part of its own.\n"])
    text = page.read_text(encoding="utf-8")
    assert "F1: 0.93, asked at least 0.95: **not met**" in text
    assert "blocks: 110, asked at least 100: met" in text
    assert "3 on queue" in text
    assert "1 in arterial-rain-3" in text
    assert "A part of its own." in text
    assert "the full set of traffic, seed 0" in text
    assert "vehicle@0.1.0 f32, **vehicle@0.2.0 ships now**" in text


def test_a_part_without_events_has_no_rows() -> None:
    assert result_of(Judged()).rows == ()


def test_parts_that_were_played_apart_come_together_unless_figures_differ(tmp_path: Path) -> None:
    one, other, third = tmp_path / "one", tmp_path / "other", tmp_path / "third"
    for folder, name in ((one, "smoke"), (other, "vehicle"), (third, "smoke")):
        folder.mkdir()
        assert played_with(name, folder).name == name
        (folder / f"{folder.name}.alerts.json").write_text("[]")
    assert gathered([one, other]) == one
    assert {path.name for path in one.iterdir()} >= {
        "one.alerts.json",
        "other.alerts.json",
        "figures-vehicle.json",
    }
    kept = third / "figures-smoke.json"
    kept.write_text(kept.read_text().replace('"sha256": "', '"sha256": "0'))
    with pytest.raises(ConfigError, match="does not go together"):
        gathered([one, third])
    with pytest.raises(ConfigError, match="name another folder"):
        played_with("smoke", third)

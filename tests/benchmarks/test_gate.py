"""The gate's benchmark: which alerts are the same, and what a run over one scene counts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks.gate import ALL, PARKING, total_of
from benchmarks.gate_runs import GatePlan, GateRun, delays_of, run_scene
from benchmarks.traffic_runs import PlayedDetector
from edge.gate import Why
from edge.score import AlertRecord
from towerwatch.timebase import parse_utc

START = parse_utc("2026-06-01T08:00:00Z")
HERE, THERE = (0.1, 0.1, 0.2, 0.2), (0.6, 0.6, 0.7, 0.7)


def alert(at_s: float, box: tuple[float, ...] = HERE, kind: str = "illegal_parking") -> AlertRecord:
    return AlertRecord("id", kind, "cam", "kerb", START + timedelta(seconds=at_s), START, (box,))


@pytest.mark.parametrize(
    ("gated", "delays"),
    [
        pytest.param([alert(64)], [4.0], id="later"),
        pytest.param([alert(60, THERE)], [None], id="another car"),
        pytest.param([alert(60, kind="stopped_vehicle")], [None], id="another kind"),
        pytest.param([alert(60, THERE), alert(60)], [0.0], id="one of two"),
        pytest.param([], [None], id="none"),
    ],
)
def test_each_alert_of_the_ungated_run_is_looked_for(
    gated: list[AlertRecord], delays: list[float | None]
) -> None:
    assert delays_of([alert(60)], gated) == delays


def test_what_is_lost_or_late_or_not_saved_fails() -> None:
    good = GateRun("a", 10, 8, 6, gated=[alert(60)], ungated=[alert(60)])
    assert total_of([good])["ok"]
    late = GateRun("b", 10, 8, 6, gated=[alert(92)], ungated=[alert(60)])
    assert (total_of([good, late])["late"], total_of([good, late])["ok"]) == (1, False)
    lost = GateRun("c", 10, 8, 6, ungated=[alert(60)])
    assert (total_of([good, lost])["lost"], total_of([good, lost])["ok"]) == (1, False)
    assert not total_of([GateRun("d", 10, 8, 5)])["ok"], "of 8 still pictures 5 are less than 70 %"


def test_a_scene_that_is_held_costs_hardly_a_look(tmp_path: Path) -> None:
    plan = GatePlan("street-lawful", 1, 40.0, ALL, held_s=4.0, size=(160, 90))
    run = run_scene(plan, PlayedDetector(), tmp_path)
    assert (run.pictures, run.still) == (20, 17)
    assert run.still_spared >= 14
    assert run.looks[Why.FIRST] == 1


def test_a_scene_goes_through_a_video_as_a_camera_does(tmp_path: Path) -> None:
    run = run_scene(GatePlan("street", 1, 12.0, PARKING, size=(160, 90)), PlayedDetector(), tmp_path)
    assert run.pictures == 6
    assert run.looks.total() == 6

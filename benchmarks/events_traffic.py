"""Which streets and roads the event benchmark runs, on how many cores, and what was run already."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

from benchmarks.events_part import PartResult, missed_of, play_all
from benchmarks.traffic_runs import TrafficRun, counted_as, run_scene
from edge.score import AlertRecord, Judged, judge
from edge.score_rows import rows_of
from streams.simulator.truth import read_truth, write_truth

FIGURES: str | None = "vehicle"
HOUR_S = 3600.0
QUICK_S = 2800.0  # ten blocks and eleven parked vehicles are due by then
CONDITIONS = ("day", "night", "rain")


def full_plan(seed: int) -> list[TrafficRun]:
    """Return the full set, in hours: streets 38, roads with blocks 18, lawful ones 21, with objects 6."""
    first = seed * 1000
    streets = [TrafficRun("kerb", first + k, HOUR_S, name, name) for k in range(8) for name in CONDITIONS]
    hidden = [TrafficRun("kerb-across", first + k, HOUR_S, "day", "occlusion") for k in range(14)]
    roads = [
        TrafficRun(scene, first + k, HOUR_S, name, name)
        for scene, number in (("arterial", 6), ("arterial-lawful", 7))
        for k in range(number)
        for name in CONDITIONS
    ]
    objects = [TrafficRun("arterial-objects", first + k, HOUR_S, "day", "day") for k in range(6)]
    return [*streets, *hidden, *roads, *objects]


def quick_plan(seed: int) -> list[TrafficRun]:
    """Return the first part of four of its hours by day, with at least ten events of each rule."""
    first = seed * 1000
    return [
        TrafficRun("arterial", first + 1, QUICK_S),
        TrafficRun("arterial", first + 2, QUICK_S),
        TrafficRun("kerb-across", first, QUICK_S, "day", "occlusion"),
        TrafficRun("kerb", first, QUICK_S),
    ]


def result_of(plan: TrafficRun, folder: Path) -> Path:
    """Return where the alerts of a scene lie once it was run."""
    return folder / f"{plan.scene}-{plan.condition}-{plan.seed}-{plan.seconds:g}.alerts.json"


def done_or_run(plan: TrafficRun, folder: Path) -> None:
    """Run a scene, unless its result lies in ``folder``."""
    alerts_path = result_of(plan, folder)
    if not alerts_path.exists():
        truth, alerts = run_scene(plan)
        write_truth(replace(truth, frames=()), truth_beside(alerts_path))
        partial = alerts_path.with_suffix(".part")
        partial.write_text(json.dumps([asdict(one) for one in alerts], default=str), encoding="utf-8")
        partial.replace(alerts_path)


def truth_beside(alerts: Path) -> Path:
    """Return where the truth lies that belongs to a file of alerts."""
    return alerts.with_name(alerts.name.replace(".alerts.", ".truth."))


def read_alerts(path: Path) -> list[AlertRecord]:
    """Read back the alerts of a scene."""
    records = json.loads(path.read_text(encoding="utf-8"))
    return [
        AlertRecord(
            **{
                **one,
                "opened_at": datetime.fromisoformat(one["opened_at"]),
                "started_at": datetime.fromisoformat(one["started_at"]),
                "boxes": tuple(tuple(box) for box in one["boxes"]),
            }
        )
        for one in records
    ]


def judged_by_kind(plans: Sequence[TrafficRun], folder: Path) -> dict[str, Judged]:
    """Compare the alerts of scenes that were run with their truth, for each kind of rule.

    Kinds are kept apart so that no rule is credited with hours in which it did not watch.
    """
    total: dict[str, Judged] = {}
    for plan in plans:
        alerts = result_of(plan, folder)
        kind = counted_as(plan.scene)
        total[kind] = total.get(kind, Judged()) + judge(read_truth(truth_beside(alerts)), read_alerts(alerts))
    return total


def run(seed: int, folder: Path, *, quick: bool, kept: bool = False) -> PartResult:
    """Run the traffic scenes; a part of the benchmark of events."""
    plans = every = quick_plan(seed) if quick else full_plan(seed)
    if kept:
        plans = [plan for plan in every if result_of(plan, folder).exists()]
    else:
        play_all("streets and roads", plans, done_or_run, folder)
    judged = judged_by_kind(plans, folder)
    return PartResult(
        rows=tuple(row for kind in sorted(judged) for row in rows_of(judged[kind])),
        scenes=(len(plans), len(every)),
        silent=sum((one.silent for one in judged.values()), Counter()),
        missed=tuple(event for kind in sorted(judged) for event in missed_of(judged[kind])),
    )

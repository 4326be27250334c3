"""Which streets and roads the event benchmark runs, on how many cores, and what was run already."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from benchmarks.events_part import PartResult, result_of
from benchmarks.machine import usable_cores
from benchmarks.traffic_runs import RULES, TrafficRun, run_scene
from edge.score import AlertRecord, Judged, judge
from streams.simulator.truth import read_truth, write_truth

FIGURES: str | None = "vehicle"
HOUR_S = 3600.0
CONDITIONS = ("day", "night", "rain")
Report = Callable[[int], None]


def full_plan(seed: int) -> list[TrafficRun]:
    """Return the full set: 38 hours of streets, 18 of roads with blocks and 21 of lawful ones."""
    first = seed * 1000
    streets = [TrafficRun("kerb", first + k, HOUR_S, name, name) for k in range(8) for name in CONDITIONS]
    hidden = [TrafficRun("kerb-across", first + k, HOUR_S, "day", "occlusion") for k in range(14)]
    roads = [
        TrafficRun(scene, first + k, HOUR_S, name, name)
        for scene, number in (("arterial", 6), ("arterial-lawful", 7))
        for k in range(number)
        for name in CONDITIONS
    ]
    return [*streets, *hidden, *roads]


def quick_plan(seed: int) -> list[TrafficRun]:
    """Return a part that takes less than a minute and holds more than ten events of each rule."""
    first = seed * 1000
    return [
        TrafficRun("arterial", first, HOUR_S),
        TrafficRun("arterial", first + 1, HOUR_S),
        TrafficRun("kerb-across", first, HOUR_S, "day", "occlusion"),
        TrafficRun("kerb", first, HOUR_S),
    ]


def done_or_run(plan: TrafficRun, folder: Path) -> str:
    """Run a scene, unless its result lies in ``folder``; return the name under which it lies there."""
    name = f"{plan.scene}-{plan.condition}-{plan.seed}-{plan.seconds:g}"
    alerts_path = folder / f"{name}.alerts.json"
    if not alerts_path.exists():
        truth, alerts = run_scene(plan)
        write_truth(replace(truth, frames=()), folder / f"{name}.truth.json")
        partial = alerts_path.with_suffix(".part")
        partial.write_text(json.dumps([asdict(one) for one in alerts], default=str), encoding="utf-8")
        partial.replace(alerts_path)
    return name


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


def run_all(plans: Sequence[TrafficRun], folder: Path, jobs: int, report: Report) -> dict[str, Judged]:
    """Run scenes on ``jobs`` cores; return the comparison for each kind of rule.

    Kinds are kept apart so that no rule is credited with hours in which it did not watch. What lies
    in ``folder`` from before is not run again.
    """
    total: dict[str, Judged] = {}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        names: Iterable[str] = pool.map(done_or_run, plans, [folder] * len(plans))
        for number, (plan, name) in enumerate(zip(plans, names, strict=True), 1):
            truth = read_truth(folder / f"{name}.truth.json")
            kind = str(RULES[plan.scene]["kind"])
            total[kind] = total.get(kind, Judged()) + judge(
                truth, read_alerts(folder / f"{name}.alerts.json")
            )
            report(number)
    return total


def run(seed: int, folder: Path, *, quick: bool) -> PartResult:
    """Run the traffic scenes, with progress on the terminal; a part of the benchmark of events."""
    plans = quick_plan(seed) if quick else full_plan(seed)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("streets and roads", total=len(plans))
        judged = run_all(
            plans, folder, min(usable_cores(), len(plans)), lambda done: progress.update(task, completed=done)
        )
    results = [result_of(judged[kind]) for kind in sorted(judged)]
    return PartResult(
        rows=tuple(row for result in results for row in result.rows),
        silent=sum((result.silent for result in results), Counter()),
        missed=tuple(one for result in results for one in result.missed),
    )

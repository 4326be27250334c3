"""The smoke rule on a patrolling tower: plumes found within three visits, and what look-alikes cost.

Fires under five kinds of weather, three at once or a crowd, and a camera-day of each negative by name
(:mod:`streams.simulator.tower_story`) through the error model; fewer of both with rendered pictures
before the shipped detector (:mod:`benchmarks.smoke_runs`). A plume counts once it is 20 px wide, of a
picture 1,920 px wide, and as detected if the alert comes by the end of the third visit from then.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

from benchmarks.events_part import PartResult, missed_of, play_all
from benchmarks.events_traffic import read_alerts
from benchmarks.smoke_runs import CROWD, PIXEL_SIZE, PLAYED_SIZE, Sight, SmokeRun, run_tower
from edge.score import Judged, JudgedEvent, judge
from edge.score_rows import ScoreRow, row_of, rows_of
from streams.simulator.tower import DWELL_S, ROUND_S
from streams.simulator.tower_story import CLEAR, FEW, HAZE, HOUR_S, MANY, NEGATIVES
from streams.simulator.truth import read_truth, write_truth

FIGURES: str | None = "smoke"
FIRE_WEATHER = (CLEAR, HAZE, "cloud_shadow", "low_sun", "rain")
DISTANCES_M = (300, 600, 1000, 1700, 3000)
VISITS = 3
PIXELS = "with the detector: "
"""Before the names of conditions whose pictures the shipped detector saw."""


def full_plan(seed: int) -> list[SmokeRun]:
    """Return 21 hours with fires and 15.2 camera-days without, and a part of that with the detector."""
    first = seed * 100
    fires = [SmokeRun(name, first + k, 2 * HOUR_S, FEW) for k in range(2) for name in FIRE_WEATHER]
    crowd = SmokeRun(CLEAR, first + 10, HOUR_S, MANY)
    quiet = [SmokeRun(name, first + 50, 26 * HOUR_S, 0) for name in (CLEAR, *NEGATIVES)]
    pixels = [replace(run, pixels=True) for run in fires[:6]]
    pixels += [replace(run, seconds=HOUR_S / 2, pixels=True) for run in quiet]
    return [*quiet, *pixels, *fires, crowd]


def quick_plan(seed: int) -> list[SmokeRun]:
    """Return a tower with fires and an hour of dust."""
    return [SmokeRun(CLEAR, seed * 100, 1.3 * HOUR_S, MANY), SmokeRun("dust", seed * 100 + 50, HOUR_S, 0)]


def done_or_run(run: SmokeRun, folder: Path) -> None:
    """Run a tower, unless its result lies in ``folder``."""
    target = folder / f"{run.name}.alerts.json"
    if target.exists():
        return
    truth, alerts, sights = run_tower(run)
    write_truth(truth, folder / f"{run.name}.truth.json")
    (folder / f"{run.name}.sights.json").write_text(json.dumps([asdict(one) for one in sights]))
    partial = target.with_suffix(".part")
    partial.write_text(json.dumps([asdict(one) for one in alerts], default=str), encoding="utf-8")
    partial.replace(target)


def judged_of(run: SmokeRun, folder: Path) -> tuple[Judged, dict[JudgedEvent, float]]:
    """Compare a tower's alerts with its truth; return also how far off each of its fires is, in metres."""
    truth = read_truth(folder / f"{run.name}.truth.json")
    if run.pixels:
        truth = replace(truth, condition=PIXELS + ("fires" if run.fires else "look-alikes"))
    sights = json.loads((folder / f"{run.name}.sights.json").read_text(encoding="utf-8"))
    judged = judge(truth, read_alerts(folder / f"{run.name}.alerts.json"))
    seen = {(one.zone, one.object_id): one for one in (Sight(**fields) for fields in sights)}
    away = {}
    for one in judged.events:
        sight = seen.get((one.event.zone or "", one.event.object_id or 0))
        if sight is not None and sight.first_s + VISITS * ROUND_S <= run.seconds:
            away[in_time(one, sight)] = sight.distance_m
    return replace(judged, events=tuple(away)), away


def in_time(one: JudgedEvent, sight: Sight) -> JudgedEvent:
    """Return the event as missed where its alert came after the third visit."""
    last_s = sight.first_s + (VISITS - 1) * ROUND_S + DWELL_S
    late = one.delay_s is not None and one.event.started_s + one.delay_s > last_s
    return replace(one, alert=None, delay_s=None, start_error_s=None) if late else one


def by_distance(away: Mapping[JudgedEvent, float]) -> list[ScoreRow]:
    """Return a row for each class of distance, without the false alerts, which have none."""
    rows = []
    for low, high in pairwise(DISTANCES_M):
        name = f"{low} to {high} m"
        inside = [replace(one, condition=name) for one, distance in away.items() if low <= distance < high]
        rows.append(row_of("smoke", name, Judged(tuple(inside), (), {name: 0.0})))
    return rows


def run(seed: int, folder: Path, *, quick: bool, kept: bool = False) -> PartResult:
    """Run the towers that ``folder`` does not hold; a part of the benchmark of events."""
    plans = every = quick_plan(seed) if quick else full_plan(seed)
    if kept:
        plans = [plan for plan in every if (folder / f"{plan.name}.alerts.json").exists()]
    else:
        play_all("towers", plans, done_or_run, folder)
    played, pixels = _sum(plans, folder, pixels=False), _sum(plans, folder, pixels=True)
    rows = [*rows_of(played[0]), *by_distance(played[1])]
    rows += [row_of("smoke", name, pixels[0]) for name in sorted(pixels[0].watched_s)]
    return PartResult(
        tuple(rows), (len(plans), len(every)), played[0].silent, missed_of(played[0]), page=_page(pixels[0])
    )


def _sum(plans: Sequence[SmokeRun], folder: Path, *, pixels: bool) -> tuple[Judged, dict[JudgedEvent, float]]:
    total = Judged((), (), {}, Counter())
    away: dict[JudgedEvent, float] = {}
    for plan in plans:
        if plan.pixels == pixels:
            judged, distances = judged_of(plan, folder)
            total += judged
            away |= distances
    return total, away


def _page(pixels: Judged) -> str:
    (small, large), found = (PLAYED_SIZE, PIXEL_SIZE), sum(one.alert is not None for one in pixels.events)
    text = (
        "## How smoke is judged\n\nA rendered tower turns through 12 presets in 3 minutes, two pictures a"
        f" visit. A plume counts from 20 px width (of 1,920) on, and as detected by the end of the {VISITS}rd"
        " visit; delay counts from the ignition. The rule sees boxes played from"
        f" `configs/errors/smoke.yaml` and pictures of {small[0]} px; beside them as many false boxes a"
        " picture as the detector has on real pictures, which are hard ones, at random and lasting places."
        " Drops, billows of fog, glare, a low sun, clouds, dust and steam are found where and while they are"
        " painted, as surely as smoke is believed, by the share of smoke's chance that the detector had on"
        f" rendered ones (`LOOKS_LIKE` in `benchmarks/smoke_runs.py`). No more than {FEW} fires burn"
        f" at once around a tower, each in a view of its own; under `{CROWD}`, which the sum holds too, up to"
        f" {MANY} in one another's smoke.\n"
    )
    if pixels.watched_s:
        days = sum(pixels.watched_s.values()) / 86_400
        text += (
            f"\nWith pictures of {large[0]} px before the shipped detector: {found} of {len(pixels.events)}"
            f" plumes in time, in {days:.2f} camera-days in all.\n"
        )
    return text

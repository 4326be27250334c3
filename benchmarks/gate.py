"""What the change gate saves, and whether it costs an event.

``python -m benchmarks.gate [--quick] [--seed N] [--clip FILE] --json OUT``

Scenes of the simulator, some held still, and a real clip where one is given, go through the box's
pipeline with the gate and without it, see :mod:`benchmarks.gate_runs`. The gate's constants were set on
the pictures of its unit tests and on no scene: every seed is held out.

JSON: ``results``, one object a source: ``pictures``, ``saved_frac`` (share of model runs saved),
``still`` (pictures in which nothing moves, by the truth) and ``still_saved_frac``, ``events`` of the
ungated run, ``lost``, ``late`` (by more than one forced look, 30 s), ``worst_delay_s``, ``more`` (alerts
of the gated run alone), ``why`` (counts by decision). Over all: ``still_saved_frac``, ``saved_frac``,
``events``, ``lost``, ``late``; ``ok``: none lost or late, and of still pictures at least 70 % saved.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.command import run_command
from benchmarks.gate_runs import GatePlan, GateRun, run_clip, run_scene
from benchmarks.report import Row, document, print_machine, print_table, write_json
from models.load import load_detector

WANTED_FRAC = 0.7
PARKING = ({"kind": "illegal_parking", "legal_time_s": 60.0}, {"kind": "stopped_vehicle"})
ROAD = ({"kind": "blocked_road", "duration_s": 30.0},)
ALL = (*PARKING, *ROAD)
HELD_S = 20.0  # from then on nothing moves in a held scene but its grain


def plans_of(seed: int, *, quick: bool) -> list[GatePlan]:
    """Return the scenes: streets and roads with events and without, and fields where nothing moves."""
    if quick:
        return [
            GatePlan("street", seed, 120.0, PARKING),
            GatePlan("street-lawful", seed, 120.0, PARKING),
            GatePlan("road", seed, 120.0, ROAD),
            GatePlan("street-lawful", seed, 120.0, ALL, held_s=HELD_S),
        ]
    streets = [
        GatePlan(scene, seed + k, 300.0, PARKING) for scene in ("street", "street-lawful") for k in range(4)
    ]
    roads = [
        GatePlan(scene, seed + k, 300.0, ROAD)
        for scene in ("road", "road-signal", "road-free")
        for k in range(2)
    ]
    hours = [GatePlan("kerb", seed, 900.0, PARKING), GatePlan("arterial", seed, 900.0, ROAD)]
    quiet = [GatePlan("street-lawful", seed + k, 300.0, ALL, held_s=HELD_S) for k in range(4)]
    return [*streets, *roads, *hours, *quiet]


def total_of(runs: Sequence[GateRun]) -> Row:
    """Add the sources up."""
    rows = [run.row() for run in runs]
    still, spared = sum(run.still for run in runs), sum(run.still_spared for run in runs)
    pictures = sum(run.pictures for run in runs)
    total: Row = {
        "pictures": pictures,
        "still": still,
        "saved_frac": sum(row["saved_frac"] * row["pictures"] for row in rows) / max(pictures, 1),
        "still_saved_frac": spared / still if still else None,
        **{key: sum(row[key] for row in rows) for key in ("events", "lost", "late", "more")},
    }
    total["ok"] = not total["lost"] and not total["late"] and spared >= WANTED_FRAC * still
    return total


def main(
    json_path: Annotated[Path, typer.Option("--json", help="Where to write the results.")],
    quick: Annotated[bool, typer.Option("--quick", help="Within a minute.")] = False,  # noqa: FBT002 - a flag
    seed: Annotated[int, typer.Option(min=0, help="Of the first scene.")] = 101,
    clip: Annotated[Path | None, typer.Option(help="street_parking.mp4, or a clip like it.")] = None,
) -> None:
    """Run every scene with the gate and without it."""
    detector = load_detector("vehicle")
    content: dict[str, Any] = document("gate", quick=quick, seed=seed, model=detector.name)
    with tempfile.TemporaryDirectory() as folder:
        runs = [run_scene(plan, detector, Path(folder)) for plan in plans_of(seed, quick=quick)]
    if clip is not None:
        runs.append(run_clip(clip, detector))
    detector.close()
    content["results"] = [run.row() for run in runs]
    content |= total_of(runs)
    print_machine(content)
    shares = ("pictures", "saved_frac", "still", "still_saved_frac")
    columns = (*shares, "events", "lost", "late", "more")
    print_table("with the gate against without", content["results"], ("source", *columns))
    print_table("in all", [content], columns)
    write_json(json_path, content)
    if not content["ok"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(main)

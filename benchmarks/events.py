"""What the rules are worth: events detected, how late, how exact, and what was false.

``python -m benchmarks.events --json OUT [--quick] [--seed N] [--part NAME] [--resume DIR] [--page MD]``

Traffic rules run on truth boxes through the error model measured on real pictures
(:mod:`benchmarks.errors`): streets with parked, double-parked and lawfully stopping vehicles by day,
at night, in rain and hidden by trucks and queues; roads with signals, stop-and-go and blocks. The smoke
rule runs on a tower's patrol, views are lost in every way there is. Each part is a module of its own
(:mod:`benchmarks.events_part`).

``--resume`` keeps what was run in a folder and runs only what is not there; a folder is good for one
state of the code, and refused once the error model's figures are others. ``--kept`` runs nothing and
takes what lies there. ``--part traffic`` (or ``smoke``, ``views``) plays that alone; ``--with DOCUMENT``
adds the parts that were played apart, so that all of them make one page.

JSON: ``rows``, one object for each kind and condition (``all``: over all), each figure with its 95 %
interval under ``<name>_95``::

    kind, condition, events, detected, alerts, false_alerts, repeated_alerts, camera_days, false_causes
    detected_frac                share of the events that were reported
    false_share                  share of the alerts that were false or repeated
    false_alerts_per_camera_day  the same by time watched
    delay_s_mean                 from the start to the alert; for parking from the end of the legal time
    start_rmse_s                 root mean square error of the start that the alert names
    f1, position_error_m_p90     the latter where positions are known

``parts``, by name: how much of which set was played on what, ``figures`` (whose errors) and ``shipped``
(what a box runs), and ``silent``: how many events of each kind there were that had to stay silent.
``missed``: each event that no alert told of. ``views``: of the part of that name, how often lost views
were told, and weather was called one.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import events_smoke, events_traffic, events_views
from benchmarks.command import run_command
from benchmarks.events_page import write_page
from benchmarks.events_part import Part, PartResult, played_with
from benchmarks.machine import machine_facts
from benchmarks.report import document, print_machine, write_json
from edge.score_files import print_rows
from models.registry import find_model
from towerwatch.errors import ConfigError


class PartName(StrEnum):
    """What can be played alone."""

    TRAFFIC = "traffic"
    SMOKE = "smoke"
    VIEWS = "views"


PARTS: dict[PartName, Part] = {
    PartName.TRAFFIC: events_traffic,
    PartName.SMOKE: events_smoke,
    PartName.VIEWS: events_views,
}


def part_of(name: PartName, result: PartResult, *, quick: bool, seed: int, folder: Path) -> dict[str, Any]:
    """Return what the document and the page say of one part."""
    figures, machine = PARTS[name].FIGURES, machine_facts()
    return {
        "quick": quick,
        "seed": seed,
        "scenes": result.scenes[0],
        "scenes_of_set": result.scenes[1],
        "cores": machine["cores"],
        "cpu": machine["cpu"],
        "figures": None if figures is None else played_with(figures, folder).model,
        "shipped": None if figures is None else find_model(figures).manifest.reference,
        "silent": dict(sorted(result.silent.items())),
        "page": result.page,
    }


def content_of(
    results: Mapping[PartName, PartResult], parts: Mapping[PartName, dict[str, Any]], **more: Any
) -> dict[str, Any]:
    """Return the benchmark's document: what the results of parts hold."""
    facts = {name: value for result in results.values() for name, value in result.facts.items()}
    return document(
        "events",
        **more,
        parts=dict(parts),
        rows=[{"part": name, **row.as_json()} for name, result in results.items() for row in result.rows],
        missed=[
            {
                "part": name,
                "camera": one.camera,
                "kind": one.event.kind,
                "started_s": round(one.event.started_s, 1),
            }
            for name, result in results.items()
            for one in result.missed
        ],
        **facts,
    )


def with_parts(content: dict[str, Any], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a document with the parts that it lacks and others have."""
    out = dict(content)
    for other in others:
        new = {name: part for name, part in other["parts"].items() if name not in out["parts"]}
        out["parts"] = {**out["parts"], **new}
        for key in ("rows", "missed"):
            out[key] = [*out[key], *(one for one in other[key] if one["part"] in new)]
        if "views" in new:
            out["views"] = other["views"]
    return out


def _read(path: Path) -> dict[str, Any]:
    """Read a document that this benchmark wrote; ConfigError for anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from None  # noqa: EM102 - the system's own words
    if not isinstance(content, dict) or not isinstance(content.get("parts"), dict):
        msg = f"{path} is no document of this benchmark, or of an older form of it"
        raise ConfigError(msg)
    return content


def main(  # noqa: PLR0917 - each is an option of the command
    json_path: Annotated[Path, typer.Option("--json", help="Where to write the results.")],
    quick: Annotated[bool, typer.Option("--quick", help="A part, within a minute.")] = False,  # noqa: FBT002 - a flag
    seed: Annotated[int, typer.Option(min=0, help="Other scenes of the same kind.")] = 0,
    part: Annotated[
        list[PartName] | None, typer.Option(help="Play this part alone; may be given more than once.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Keep scenes here, and take those that are.")] = None,
    kept: Annotated[bool, typer.Option("--kept", help="Run nothing: take what lies there.")] = False,  # noqa: FBT002 - a flag
    others: Annotated[
        list[Path] | None, typer.Option("--with", help="Document of parts that were played apart.")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Markdown page to write, docs/accuracy.md.")] = None,
) -> None:
    """Score the rules on scenes with truth."""
    began_s = time.monotonic()
    names = [name for name in PARTS if not part or name in part]
    with tempfile.TemporaryDirectory() as scratch:
        folder = resume or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            apart = [_read(path) for path in others or ()]
            for figures in {PARTS[name].FIGURES for name in names} - {None}:
                played_with(str(figures), folder)
        except ConfigError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from None
        results = {name: PARTS[name].run(seed, folder, quick=quick, kept=kept) for name in names}
        parts = {
            name: part_of(name, result, quick=quick, seed=seed, folder=folder)
            for name, result in results.items()
        }
    wall_s = round(time.monotonic() - began_s, 1)
    content = with_parts(content_of(results, parts, quick=quick, seed=seed, wall_s=wall_s), apart)
    print_machine(content)
    print_rows([row for result in results.values() for row in result.rows])
    write_json(json_path, content)
    if page is not None:
        write_page(content, page)


if __name__ == "__main__":
    run_command(main)

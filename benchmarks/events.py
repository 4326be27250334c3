"""What the rules are worth: events detected, how late, how exact, and what was false.

``python -m benchmarks.events --json OUT [--quick] [--seed N] [--part NAME] [--resume DIR] [--page MD]``

Traffic rules run on truth boxes through the error model measured on real pictures
(:mod:`benchmarks.errors`): streets with parked, double-parked and lawfully stopping vehicles by day,
at night, in rain and hidden by trucks and queues; roads with signals, stop-and-go and blocks. The smoke
rule runs on a tower's patrol, views are lost in every way there is. Each part is a module of its own
(:mod:`benchmarks.events_part`).

``--resume`` keeps what was run in a folder and runs only what is not there; a folder is good for one
state of the code, and refused once the error model's figures are others. Given more than once, the
first folder takes what the others hold, so that parts that were played apart make one page.
``--part traffic`` (or ``smoke``, ``views``) plays that alone, as the document (``parts``) and the page say.

JSON: ``rows``, one object for each kind and condition (``all``: over all), each figure with its 95 %
interval under ``<name>_95``::

    kind, condition, events, detected, alerts, false_alerts, repeated_alerts, camera_days, false_causes
    detected_frac                share of the events that were reported
    false_share                  share of the alerts that were false or repeated
    false_alerts_per_camera_day  the same by time watched
    delay_s_mean                 from the start to the alert; for parking from the end of the legal time
    start_rmse_s                 root mean square error of the start that the alert names
    f1, position_error_m_p90     the latter where positions are known

``views``: of the part of that name, how often lost views were told, and weather was called one.
``figures``: whose errors were played, ``shipped``: what a box runs. ``silent``: how many events of each
kind there were that had to stay silent. ``missed``: each event that no alert told of.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import events_smoke, events_traffic, events_views
from benchmarks.events_page import write_page
from benchmarks.events_part import Figures, Part, PartResult, gathered, played_with
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


def content_of(
    results: dict[PartName, PartResult],
    figures: list[Figures],
    *,
    quick: bool,
    seed: int,
    wall_s: float,
) -> dict[str, object]:
    """Return the benchmark's document: what the results of parts hold."""
    found = list(results.values())
    facts = {name: value for result in found for name, value in result.facts.items()}
    return document(
        "events",
        quick=quick,
        seed=seed,
        parts=list(results),
        figures={one.name: one.model for one in figures},
        shipped={one.name: find_model(one.name).manifest.reference for one in figures},
        wall_s=round(wall_s, 1),
        rows=[row.as_json() for result in found for row in result.rows],
        silent=dict(sorted(sum((result.silent for result in found), Counter()).items())),
        missed=[
            {"camera": one.camera, "kind": one.event.kind, "started_s": round(one.event.started_s, 1)}
            for result in found
            for one in result.missed
        ],
        **facts,
    )


def main(
    json_path: Annotated[Path, typer.Option("--json", help="Where to write the results.")],
    quick: Annotated[bool, typer.Option("--quick", help="A part, within a minute.")] = False,  # noqa: FBT002 - a flag
    seed: Annotated[int, typer.Option(min=0, help="Other scenes of the same kind.")] = 0,
    part: Annotated[
        list[PartName] | None, typer.Option(help="Play this part alone; may be given more than once.")
    ] = None,
    resume: Annotated[
        list[Path] | None,
        typer.Option(help="Keep scenes here, and take those that are; may be given more than once."),
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Markdown page to write, docs/accuracy.md.")] = None,
) -> None:
    """Score the rules on scenes with truth."""
    began_s = time.monotonic()
    names = [name for name in PARTS if not part or name in part]
    with tempfile.TemporaryDirectory() as scratch:
        try:
            folder = gathered(resume or [Path(scratch)])
            wanted = [PARTS[name].FIGURES for name in names]
            figures = [played_with(one, folder) for one in wanted if one is not None]
        except ConfigError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from None
        results = {name: PARTS[name].run(seed, folder, quick=quick) for name in names}
    content = content_of(results, figures, quick=quick, seed=seed, wall_s=time.monotonic() - began_s)
    print_machine(content)
    print_rows([row for result in results.values() for row in result.rows])
    write_json(json_path, content)
    if page is not None:
        write_page(content, page, [result.page for result in results.values()])


if __name__ == "__main__":
    typer.run(main)

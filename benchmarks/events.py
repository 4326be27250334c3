"""What the rules are worth: events detected, how late, how exact, and what was false.

``python -m benchmarks.events --json OUT [--quick] [--seed N] [--resume DIR] [--page MD]``

Traffic rules run on truth boxes through the error model measured on real pictures
(:mod:`benchmarks.errors`): streets with parked, double-parked and lawfully stopping vehicles by day,
at night, in rain and hidden by trucks and queues; roads with signals, stop-and-go and blocks. Smoke
comes from :mod:`benchmarks.events_smoke`. ``--resume`` keeps each scene's truth and alerts in a
folder (one folder for one state of the code), and runs only what is not there.

JSON: ``rows``, one object for each kind and condition (``all``: over all), each figure with its 95 %
interval under ``<name>_95``::

    kind, condition, events, detected, alerts, false_alerts, repeated_alerts, camera_days, false_causes
    detected_frac                share of the events that were reported
    false_share                  share of the alerts that were false or repeated
    false_alerts_per_camera_day  the same by time watched
    delay_s_mean                 from the start to the alert; for parking from the end of the legal time
    start_rmse_s                 root mean square error of the start that the alert names
    f1, position_error_m_p90     the latter where positions are known

``silent``: how many events of each kind there were that had to stay silent. ``missed``: each event
that no alert told of.
"""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from benchmarks.events_page import write_page
from benchmarks.events_traffic import full_plan, quick_plan, run_all
from benchmarks.machine import usable_cores
from benchmarks.report import document, print_machine, write_json
from edge.score import Judged
from edge.score_files import print_rows
from edge.score_rows import ScoreRow, rows_of

SMOKE = "benchmarks.events_smoke"


def smoke_rows(seed: int, folder: Path, *, quick: bool) -> list[ScoreRow]:
    """Return the rows of the smoke rule; none where its part is not there."""
    if importlib.util.find_spec(SMOKE) is None:
        return []
    rows: list[ScoreRow] = importlib.import_module(SMOKE).run(seed, quick, folder)
    return rows


def traffic(seed: int, folder: Path, *, quick: bool) -> dict[str, Judged]:
    """Run the traffic scenes, with progress on the terminal."""
    plans = quick_plan(seed) if quick else full_plan(seed)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("streets and roads", total=len(plans))
        return run_all(
            plans, folder, min(usable_cores(), len(plans)), lambda done: progress.update(task, completed=done)
        )


def main(
    json_path: Annotated[Path, typer.Option("--json", help="Where to write the results.")],
    quick: Annotated[bool, typer.Option("--quick", help="A part, within a minute.")] = False,  # noqa: FBT002 - a flag
    seed: Annotated[int, typer.Option(min=0, help="Other scenes of the same kind.")] = 0,
    resume: Annotated[Path | None, typer.Option(help="Keep scenes here, and take those that are.")] = None,
    page: Annotated[Path | None, typer.Option(help="Markdown page to write, docs/accuracy.md.")] = None,
) -> None:
    """Score the rules on scenes with truth."""
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = resume or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        judged = traffic(seed, folder, quick=quick)
        rows = [row for one in judged.values() for row in rows_of(one)]
        rows += smoke_rows(seed, folder, quick=quick)
    missed = [
        {"camera": one.camera, "kind": one.event.kind, "started_s": round(one.event.started_s, 1)}
        for kind in judged.values()
        for one in kind.events
        if one.alert is None
    ]
    silent = sum((one.silent for one in judged.values()), Counter())
    content = document(
        "events",
        quick=quick,
        seed=seed,
        wall_s=round(time.monotonic() - began_s, 1),
        rows=[row.as_json() for row in rows],
        silent=dict(sorted(silent.items())),
        missed=missed,
    )
    print_machine(content)
    print_rows(rows)
    write_json(json_path, content)
    if page is not None:
        write_page(content, page)


if __name__ == "__main__":
    typer.run(main)

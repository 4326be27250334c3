"""What the rules are worth: events detected, how late, how exact, and what was false.

``python -m benchmarks.events --json OUT [--quick] [--seed N] [--part NAME] [--resume DIR] [--page MD]``

Traffic rules run on truth boxes through the error model measured on real pictures
(:mod:`benchmarks.errors`): streets with parked, double-parked and lawfully stopping vehicles by day,
at night, in rain and hidden by trucks and queues; roads with signals, stop-and-go and blocks. Each
part is a module of its own (:mod:`benchmarks.events_part`). ``--resume`` keeps what was run in a folder
(one folder for one state of the code), and runs only what is not there. ``--part traffic`` or ``--part
smoke`` plays that alone, and the document (``parts``) and the page say so.

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

import tempfile
import time
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import events_smoke, events_traffic
from benchmarks.events_page import write_page
from benchmarks.events_part import Part, PartResult
from benchmarks.report import document, print_machine, write_json
from edge.score_files import print_rows


class PartName(StrEnum):
    """What can be played alone."""

    TRAFFIC = "traffic"
    SMOKE = "smoke"


PARTS: dict[PartName, Part] = {PartName.TRAFFIC: events_traffic, PartName.SMOKE: events_smoke}


def content_of(
    results: list[PartResult], parts: list[PartName], *, quick: bool, seed: int, wall_s: float
) -> dict[str, object]:
    """Return the benchmark's document: what the results of ``parts`` hold."""
    facts = {name: value for result in results for name, value in result.facts.items()}
    return document(
        "events",
        quick=quick,
        seed=seed,
        parts=parts,
        wall_s=round(wall_s, 1),
        rows=[row.as_json() for result in results for row in result.rows],
        silent=dict(sorted(sum((result.silent for result in results), Counter()).items())),
        missed=[
            {"camera": one.camera, "kind": one.event.kind, "started_s": round(one.event.started_s, 1)}
            for result in results
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
    resume: Annotated[Path | None, typer.Option(help="Keep scenes here, and take those that are.")] = None,
    page: Annotated[Path | None, typer.Option(help="Markdown page to write, docs/accuracy.md.")] = None,
) -> None:
    """Score the rules on scenes with truth."""
    began_s = time.monotonic()
    names = [name for name in PARTS if not part or name in part]
    with tempfile.TemporaryDirectory() as scratch:
        folder = resume or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        results = [PARTS[name].run(seed, folder, quick=quick) for name in names]
    content = content_of(results, names, quick=quick, seed=seed, wall_s=time.monotonic() - began_s)
    print_machine(content)
    print_rows([row for result in results for row in result.rows])
    write_json(json_path, content)
    if page is not None:
        write_page(content, page, [result.page for result in results])


if __name__ == "__main__":
    typer.run(main)

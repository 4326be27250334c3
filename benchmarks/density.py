"""How many cameras a box watches: CPU seconds per camera-second against the floor and against others.

``python -m benchmarks.density [--quick] [--cameras N] [--seconds S] [--peer-python EXE] --json OUT``

Streams are 1080p25 H.264 at 4.2 Mbit/s with sensor grain and a key frame every 2 s, rendered by the
scenes of :mod:`streams.simulator` and encoded once into ``bench-results/density``. A real box, supervisor
and workers with the shipped vehicle model, all three vehicle rules, ring, evidence and health on, plays
them in real time; what all its processes use is counted. In one run:

* ``floor``: PyAV alone on one thread: demux, decode key frames, nothing else; of each stream, thrice;
* ``mixed``: half of the cameras with dense traffic, half with nothing moving, at a 2 s interval;
* ``quiet``: nothing moves anywhere;
* peers, one unsaturated camera each: :mod:`benchmarks.density_peers`; ``--peer-python`` (or the variable
  TOWERWATCH_PEER_PYTHON) names an interpreter that has ``ultralytics`` or ``supervision``.

JSON: ``cameras``, ``cpu_s_per_camera_s``, ``ratio_to_ultralytics``, ``ratio_to_script``,
``ratio_to_floor``, ``gap_p95_intervals``, ``looked_frac`` (pictures analysed over those that the interval
asks for: below 0.95 the cost is that of fewer looks), ``rss_mib_per_camera`` of ``mixed`` at the most
cameras; ratios to peers say how many times less ours costs, null where the peer is absent.
``quiet_ratio_to_floor``;
``streams`` (facts of the files), ``floor``, ``boxes`` (a row for each run), ``peers``, ``model`` with its
accuracy in the precision used. Plots as PNG beside ``--json``: CPU by cameras, gap by load.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.clips import clip_facts
from benchmarks.decode import by_floor
from benchmarks.density_box import BoxFigures, cameras_of, run_box
from benchmarks.density_plots import plot_boxes
from benchmarks.density_streams import QUIET, TRAFFIC, streams_of
from benchmarks.machine import usable_cores
from benchmarks.report import Row, document, print_machine, print_table, write_json
from models.registry import find_model

CACHE = Path("bench-results/density")
FLOOR_ROUNDS = 3
FULL_CAMERAS, QUICK_CAMERAS = 60, 4
FULL_S, QUICK_S = 90.0, 10.0
STARTS_S = 120.0  # a box may take so long to see through all cameras
PEER_S = {"ultralytics": 3.0, "script": 12.0, "supervision": 12.0}
PEER_TIMEOUT_S = 300.0
PEER_PYTHON = "TOWERWATCH_PEER_PYTHON"


def floor_of(files: Sequence[Path], seconds: float) -> float:
    """Return CPU seconds per second of video for demuxing and decoding key frames alone; the median."""
    costs = []
    for path in files:
        at = time.process_time()
        by_floor(path)
        costs.append((time.process_time() - at) / seconds)
    return statistics.median(costs)


def peers_of(clip: Path, interpreter: str, seconds: Mapping[str, float]) -> list[Row]:
    """Measure each peer in a process of its own; the script needs nothing that we do not have."""
    found = find_model("vehicle", None)
    file = next(one for one in found.manifest.files if one.precision == "f32")
    rows = []
    for peer, length_s in seconds.items():
        python = sys.executable if peer == "script" else interpreter
        program = str(Path(__file__).with_name("density_peers.py"))
        command = [python, program, peer, str(clip), str(length_s), str(found.folder / file.path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PEER_TIMEOUT_S, check=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
        except (OSError, subprocess.SubprocessError) as error:
            last = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
            rows.append({"peer": peer, "absent": f"does not run: {last}"})
    return rows


def model_facts() -> Row:
    """Return the shipped vehicle model with its accuracy in the precision that it runs in by default."""
    manifest = find_model("vehicle", None).manifest
    metrics = manifest.model_dump()["metrics"].get(manifest.default_precision)
    return {"model": manifest.reference, "precision": manifest.default_precision, "metrics": metrics}


def box_row(name: str, figures: BoxFigures, floor: float) -> Row:
    """Return the result object of one run."""
    seen = figures.looks + figures.spared
    return {
        "streams": name,
        "cameras": figures.cameras,
        "cpu_s_per_camera_s": figures.cpu_s_per_camera_s,
        "ratio_to_floor": figures.cpu_s_per_camera_s / floor,
        "cores_used": figures.cpu_s / figures.seconds,
        "gap_p95_intervals": figures.gap_p95_intervals,
        "looked_frac": figures.looked_frac,
        "stretch": figures.stretch,
        "spared_frac": figures.spared / seen if seen else None,
        "rss_mib_per_camera": figures.rss_mib / figures.cameras,
        "processes": figures.processes,
        "restarts": figures.restarts,
        "seconds": figures.seconds,
    }


def summary_of(boxes: Sequence[Row], peers: Sequence[Row]) -> Row:
    """Return the figures that the benchmark stands for."""
    mixed = max((row for row in boxes if row["streams"] == "mixed"), key=lambda row: row["cameras"])
    quiet = max((row for row in boxes if row["streams"] == "quiet"), key=lambda row: row["cameras"])
    cost = mixed["cpu_s_per_camera_s"]
    others = {row["peer"]: row.get("cpu_s_per_camera_s") for row in peers}
    wanted = (
        "cameras", "cpu_s_per_camera_s", "ratio_to_floor", "gap_p95_intervals", "looked_frac",
        "rss_mib_per_camera",
    )  # fmt: skip
    ratios = {f"ratio_to_{peer}": other / cost if other else None for peer, other in others.items()}
    return {**{key: mixed[key] for key in wanted}, **ratios, "quiet_ratio_to_floor": quiet["ratio_to_floor"]}


def measure(folder: Path, counts: Sequence[int], seconds: float, *, quick: bool) -> Row:
    """Run floor and boxes; return the parts of the document that come of it, and ``clip`` for the peers."""
    plans = (TRAFFIC, QUIET)
    files = streams_of(plans, CACHE, seconds + STARTS_S, folder, typer.echo)
    zones = {plan.name: plan.zone for plan in plans}
    facts = [clip_facts(own[0], name) for name, own in files.items()]
    floors = {fact.name: floor_of([files[fact.name][0]] * FLOOR_ROUNDS, fact.seconds) for fact in facts}
    health_s = 4.0 if quick else 15.0
    boxes = []
    for name, own, numbers in (("mixed", files, counts), ("quiet", {"quiet": files["quiet"]}, counts[-1:])):
        floor = statistics.fmean(floors[one] for one in own)
        for count in numbers:
            typer.echo(f"box: {count} cameras, {name}, {seconds:.0f} s")
            figures = run_box(cameras_of(own, zones, count), seconds, health_s, folder / f"{name}-{count}")
            boxes.append(box_row(name, figures, floor))
    return {"streams": [asdict(fact) for fact in facts], "floor": floors, "boxes": boxes}


def main(
    json_path: Annotated[Path, typer.Option("--json", help="Where to write the results.")],
    quick: Annotated[bool, typer.Option("--quick", help="Few cameras, for seconds.")] = False,  # noqa: FBT002
    cameras: Annotated[int | None, typer.Option(min=2, help="At most; default 60, quick 4.")] = None,
    seconds: Annotated[float | None, typer.Option(min=4, help="Of each run; default 90, quick 10.")] = None,
    peer_python: Annotated[
        str | None, typer.Option(help="An interpreter that has the peers' packages.")
    ] = None,
) -> None:
    """Measure floor, box and peers."""
    most = cameras or (QUICK_CAMERAS if quick else FULL_CAMERAS)
    counts = [most] if quick else sorted({max(2, most // 4), max(2, most // 2), most})
    length_s = seconds or (QUICK_S if quick else FULL_S)
    content: dict[str, Any] = document("density", quick=quick, model=model_facts())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        content |= measure(folder, counts, length_s, quick=quick)
        clip = folder / "clip.mkv"  # one peer goes by the name alone; FFmpeg by what is in a file
        clip.symlink_to(folder / "traffic-0.nut")
        lengths = {peer: length_s / 3 if quick else length_s for peer, length_s in PEER_S.items()}
        interpreter = peer_python or os.environ.get(PEER_PYTHON) or sys.executable
        content["peers"] = peers_of(clip, interpreter, lengths)
    content |= summary_of(content["boxes"], content["peers"])
    content["plots"] = [
        str(path) for path in plot_boxes(content["boxes"], content["floor"], usable_cores(), json_path)
    ]
    print_machine(content)
    print_all(content)
    write_json(json_path, content)


def print_all(content: Row) -> None:
    """Print what was measured."""
    facts = ("name", "seconds", "mbit_s", "key_frame_kib")
    print_table("streams", content["streams"], facts)
    columns = (
        "streams", "cameras", "cpu_s_per_camera_s", "ratio_to_floor", "cores_used", "gap_p95_intervals",
        "looked_frac", "spared_frac", "rss_mib_per_camera", "restarts",
    )  # fmt: skip
    print_table("the box", content["boxes"], columns)
    floors = [
        {"peer": f"floor, {name}", "cpu_s_per_camera_s": cost} for name, cost in content["floor"].items()
    ]
    print_table("floor and peers", [*floors, *content["peers"]], ("peer", "cpu_s_per_camera_s", "absent"))
    ratios = ("ratio_to_floor", "quiet_ratio_to_floor", "ratio_to_script", "ratio_to_ultralytics")
    print_table("ours, mixed", [content], ("cameras", "cpu_s_per_camera_s", *ratios))


if __name__ == "__main__":
    typer.run(main)

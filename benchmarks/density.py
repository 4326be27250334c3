"""How many cameras a box watches: CPU seconds per camera-second against the floor and against others.

``python -m benchmarks.density [--quick] [--cameras N] [--seconds S] [--vehicles N]... [--only mixed|quiet]
[--rtsp] [--peer-python EXE] --json OUT``

Streams are 1080p25 H.264 at 4.2 Mbit/s with sensor grain and a key frame every 2 s, rendered by the
scenes of :mod:`streams.simulator` and encoded once into ``bench-results/density``. A real box, supervisor
and workers with the shipped vehicle model, all three vehicle rules, ring, evidence and health on, plays
them in real time; what all its processes use is counted. In one run:

* ``mixed``: half of the cameras with traffic, half with nothing moving, at a 2 s interval; with 28 vehicles
  that move in a picture (a full road) at a quarter, half and all of the cameras, and with 8 (a usual
  street) at all of them; ``--vehicles`` names other numbers, each once, the first at all three counts;
* ``quiet``: nothing moves anywhere;
* the floor, to demux and decode key frames and nothing else: ``floor_alone`` (one stream at full speed)
  and ``floor_paced`` (the streams of this very run at their own pace, in as many processes as the box
  has workers), see :mod:`benchmarks.density_floor`. ``ratio_to_floor`` is over ``floor_alone``, the lower
  of them; ``ratio_to_floor_paced`` over the other, which no program that watches live streams can beat;
* peers, one unsaturated camera each: :mod:`benchmarks.density_peers`; ``--peer-python`` (or the variable
  TOWERWATCH_PEER_PYTHON) names an interpreter that has ``ultralytics`` or ``supervision``.

``--only`` runs the box on these streams alone, at the most cameras, and no peers: 60 cameras for a quarter
of an hour are ``--only mixed --cameras 60 --seconds 900``. ``--rtsp`` brings the streams by the project's
own RTSP server, in a process whose CPU is told apart (``server_cpu_s_per_camera_s``, some 0.012).

JSON: ``cameras``, ``cpu_s_per_camera_s``, ``ratio_to_ultralytics``, ``ratio_to_script``,
``ratio_to_floor``, ``gap_p95_intervals``, ``looked_frac`` (pictures analysed over those that the interval
asks for: below 0.95 the cost is that of fewer looks), ``rss_mib_per_camera`` of ``mixed`` with the most
vehicles at the most cameras; ratios to peers say how many times less ours costs, null where the peer is
absent. ``usual_ratio_to_floor`` (with the fewest vehicles), ``quiet_ratio_to_floor``; null what was not run.
``asked``: each figure that is asked of a box with ``got``, ``asked`` and ``ok``, not with ``--quick``.
``streams`` (facts of the files), ``boxes`` (a row for each run), ``peers``, ``model`` with its accuracy in
the precision used. Plots as PNG beside ``--json``: CPU by cameras, gap by load.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.clips import clip_facts
from benchmarks.command import run_command
from benchmarks.density_asked import asked_of_box, asked_of_peers
from benchmarks.density_box import BoxFigures, BoxTerms, cameras_of, run_box
from benchmarks.density_floor import alone, paced
from benchmarks.density_plots import plot_boxes
from benchmarks.density_rtsp import served
from benchmarks.density_streams import (
    DENSE,
    QUIET,
    TRAFFICS,
    USUAL,
    StreamPlan,
    nearest_traffic,
    streams_of,
)
from benchmarks.machine import usable_cores
from benchmarks.report import Row, document, print_machine, print_table, write_json
from edge.turns import wanted_workers
from models.registry import find_model

CACHE = Path("bench-results/density")
FLOOR_ROUNDS, QUICK_ROUNDS = 3, 1
FULL_CAMERAS, QUICK_CAMERAS = 60, 4
FULL_S, QUICK_S = 90.0, 8.0
HEALTH_S = 15.0
PACED_S, QUICK_PACED_S = 20.0, 4.0
STARTS_S = 120.0  # a box may take so long to see through all cameras
PEER_S = {"ultralytics": 3.0, "script": 12.0, "supervision": 12.0}
PEER_TIMEOUT_S = 300.0
PEER_PYTHON = "TOWERWATCH_PEER_PYTHON"


class Streams(StrEnum):
    """What the cameras of a run see."""

    MIXED = "mixed"
    QUIET = "quiet"


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


def box_row(plan: Run, cameras: Sequence[Row], figures: BoxFigures, floors: Row) -> Row:
    """Return the result object of one run."""
    seen = figures.looks + figures.spared
    cost = figures.cpu_s_per_camera_s
    return {
        "streams": plan.streams,
        "vehicles": plan.vehicles,
        "cameras": len(cameras),
        "cpu_s_per_camera_s": cost,
        **floors,
        "ratio_to_floor": cost / floors["floor_alone"],
        "ratio_to_floor_paced": cost / floors["floor_paced"],
        "cores_used": figures.cpu_s / figures.seconds,
        "gap_p95_intervals": figures.gap_p95_intervals,
        "mean_gap_intervals": statistics.median(figures.mean_gaps) if figures.mean_gaps else None,
        "slowest_over_median": figures.slowest_over_median,
        "looked_frac": figures.looked_frac,
        "stretch": figures.stretch,
        "spared_frac": figures.spared / seen if seen else None,
        "rss_mib_per_camera": figures.rss_mib / len(cameras),
        "rss_warm_mib": figures.rss_warm_mib,
        "rss_end_mib": figures.rss_mib,
        "processes": figures.processes,
        "restarts": figures.restarts,
        "seconds": figures.seconds,
    }


def summary_of(boxes: Sequence[Row], peers: Sequence[Row]) -> Row:
    """Return the figures that the benchmark stands for."""
    most = max(row["cameras"] for row in boxes)
    rows = sorted((row for row in boxes if row["cameras"] == most), key=lambda row: row["vehicles"])
    mixed = [row for row in rows if row["streams"] == "mixed"]
    quiet = [row for row in rows if row["streams"] == "quiet"]
    first = (mixed or quiet)[-1]
    cost = first["cpu_s_per_camera_s"]
    others = {row["peer"]: row.get("cpu_s_per_camera_s") for row in peers}
    wanted = (
        "cameras", "vehicles", "cpu_s_per_camera_s", "floor_alone", "floor_paced", "ratio_to_floor",
        "ratio_to_floor_paced", "gap_p95_intervals", "looked_frac", "rss_mib_per_camera",
    )  # fmt: skip
    return {
        **{key: first[key] for key in wanted},
        **{f"ratio_to_{peer}": other / cost if other else None for peer, other in others.items()},
        "usual_ratio_to_floor": mixed[0]["ratio_to_floor"] if len(mixed) > 1 else None,
        "quiet_ratio_to_floor": quiet[0]["ratio_to_floor"] if quiet else None,
    }


@dataclass(frozen=True, slots=True)
class Run:
    """One box to run: ``vehicles`` move in a picture of half of its cameras, in no picture where 0."""

    vehicles: int
    cameras: int

    @property
    def streams(self) -> str:
        """What the cameras see."""
        return "mixed" if self.vehicles else "quiet"

    @property
    def plans(self) -> tuple[StreamPlan, ...]:
        """What is to be rendered."""
        return (TRAFFICS[self.vehicles], QUIET) if self.vehicles else (QUIET,)


def runs_of(vehicles: Sequence[int], most: int, only: Streams | None, *, quick: bool) -> list[Run]:
    """Return the boxes to run; the first of ``vehicles`` at fewer cameras too."""
    first, *others = dict.fromkeys(nearest_traffic(number) for number in vehicles)
    ladder = [most] if quick or only else sorted({max(2, most // 4), max(2, most // 2), most})
    mixed = [Run(first, count) for count in ladder] + [Run(number, most) for number in others]
    quiet = [Run(0, most)]
    return {None: mixed + quiet, Streams.MIXED: mixed, Streams.QUIET: quiet}[only]


@dataclass(frozen=True, slots=True)
class Terms:
    """How boxes are run, each for ``seconds``, and how often and for how long the floor is taken."""

    seconds: float
    quick: bool
    rtsp: bool

    @property
    def box(self) -> BoxTerms:
        """Of each box."""
        return BoxTerms(self.seconds, min(HEALTH_S, self.seconds / 2), tune=not self.quick)

    @property
    def paced_s(self) -> float:
        """Of the floor at the streams' own pace."""
        return QUICK_PACED_S if self.quick else min(self.seconds, PACED_S)

    @property
    def rounds(self) -> int:
        """Of the floor."""
        return QUICK_ROUNDS if self.quick else FLOOR_ROUNDS


def measure(folder: Path, runs: Sequence[Run], terms: Terms) -> Row:
    """Run floors and boxes; return the parts of the document that come of it."""
    plans = tuple({plan.name: plan for run in runs for plan in run.plans}.values())
    videos = folder / "videos"
    videos.mkdir()
    files = streams_of(plans, CACHE, terms.seconds + STARTS_S, videos, typer.echo)
    zones = {plan.name: plan.zone for plan in plans}
    facts = [clip_facts(own[0], name) for name, own in files.items()]
    floors = {fact.name: alone([files[fact.name][0]] * terms.rounds, fact.seconds) for fact in facts}
    boxes = []
    for run in runs:
        own = {plan.name: files[plan.name] for plan in run.plans}
        cameras = cameras_of(own, zones, run.cameras)
        workers = wanted_workers(run.cameras, usable_cores())
        typer.echo(f"{run.cameras} cameras, {run.streams}, {run.vehicles} vehicles, {terms.seconds:.0f} s")
        floor = {
            "floor_alone": statistics.fmean(floors[name] for name in own),
            "floor_paced": paced([Path(camera["url"]) for camera in cameras], workers, terms.paced_s),
        }
        home = folder / f"{run.streams}-{run.vehicles}-{run.cameras}"
        boxes.append(run_one(run, cameras, floor, terms, home))
    return {"streams": [asdict(fact) for fact in facts], "floor": floors, "boxes": boxes}


def run_one(run: Run, cameras: Sequence[Row], floor: Row, terms: Terms, home: Path) -> Row:
    """Run one box, its cameras' files played by itself or served as RTSP."""
    if not terms.rtsp:
        return box_row(run, cameras, run_box(cameras, terms.box, home), floor)
    with served(Path(cameras[0]["url"]).parent) as server:
        cameras = [{**camera, "url": server.address(Path(camera["url"]))} for camera in cameras]
        figures = run_box(cameras, terms.box, home, server.cpu_s)
    served_s = figures.beside_cpu_s / figures.seconds / len(cameras)
    return {**box_row(run, cameras, figures, floor), "server_cpu_s_per_camera_s": served_s}


def main(
    json_path: Annotated[Path, typer.Option("--json", help="Where to write the results.")],
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Few cameras, for seconds.")] = False,
    cameras: Annotated[int | None, typer.Option(min=2, help="At most; default 60, quick 4.")] = None,
    seconds: Annotated[float | None, typer.Option(min=4, help="Of each run; default 90, quick 8.")] = None,
    vehicles: Annotated[
        list[int] | None,
        typer.Option(min=1, help="That move in a picture, about; default 28 and 8, quick 28."),
    ] = None,
    only: Annotated[Streams | None, typer.Option(help="These streams alone, and no peers.")] = None,
    rtsp: Annotated[bool, typer.Option("--rtsp", help="Bring the streams by RTSP.")] = False,
    peer_python: Annotated[
        str | None, typer.Option(help="An interpreter that has the peers' packages.")
    ] = None,
) -> None:
    """Measure floor, box and peers."""
    most = cameras or (QUICK_CAMERAS if quick else FULL_CAMERAS)
    length_s = seconds or (QUICK_S if quick else FULL_S)
    numbers = vehicles or ([DENSE] if quick or only else [DENSE, USUAL])
    terms = Terms(length_s, quick, rtsp)
    content: dict[str, Any] = document("density", quick=quick, rtsp=rtsp, model=model_facts())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        content |= measure(folder, runs_of(numbers, most, only, quick=quick), terms)
        content["peers"] = []
        if only is None:
            clip = folder / "clip.mkv"  # one peer goes by the name alone; FFmpeg by what is in a file
            clip.symlink_to(next((folder / "videos").glob("traffic*-0.nut")))
            lengths = {peer: length_s / 3 if quick else length_s for peer, length_s in PEER_S.items()}
            interpreter = peer_python or os.environ.get(PEER_PYTHON) or sys.executable
            content["peers"] = peers_of(clip, interpreter, lengths)
    content |= summary_of(content["boxes"], content["peers"])
    if not quick:
        full = [row for row in content["boxes"] if row["cameras"] == most]
        content["asked"] = [one for row in full for one in asked_of_box(row)] + asked_of_peers(content)
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
    first = ("streams", "vehicles", "cameras")
    costs = ("cpu_s_per_camera_s", "floor_alone", "floor_paced", "ratio_to_floor", "cores_used")
    print_table("what the box costs", content["boxes"], (*first, *costs, "server_cpu_s_per_camera_s"))
    looks = ("gap_p95_intervals", "slowest_over_median", "stretch", "looked_frac", "spared_frac")
    print_table("what it does", content["boxes"], (*first, *looks, "rss_mib_per_camera", "restarts"))
    if content["peers"]:
        print_table("peers", content["peers"], ("peer", "cpu_s_per_camera_s", "absent"))
    ratios = ("ratio_to_floor", "usual_ratio_to_floor", "quiet_ratio_to_floor")
    peers = ("ratio_to_script", "ratio_to_ultralytics")
    print_table("ours", [content], ("cameras", "cpu_s_per_camera_s", *ratios, *peers))
    if "asked" in content:
        print_table("asked", content["asked"], (*first, "what", "got", "asked", "ok"))


if __name__ == "__main__":
    run_command(main)

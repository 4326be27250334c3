"""CPU seconds per camera-second for taking pictures out of a stream, in the ways that one can.

``python -m benchmarks.decode [--quick] [--clip FILE]... --json OUT``

The clips are rendered for the run (1080p25 H.264 with sensor grain, about 4 Mbit/s, a key frame
every 2 s), one without and one with B-frames. The ways take turns over several rounds; figures are
medians. CPU time is that of all threads of the process.

JSON: ``clips`` (see :class:`benchmarks.clips.ClipFacts`) and ``results``, one object for each clip
and way::

    clip, way
    cpu_s_per_camera_s   CPU seconds for one second of video
    pictures             handed out
    ratio_to_floor       over ``floor`` of the same clip in this run
    ratio_to_opencv      ``opencv`` of the same clip in this run over this one: times cheaper

Ways: ``full``, ``every 25``, ``keyframes`` (``streams.sources.open_replay``); ``opencv``
(``VideoCapture.read`` of every picture); ``opencv 1 in 50`` (``grab`` all, ``retrieve`` one in 2 s, the
usual script); ``floor`` (PyAV alone: demux, decode key frames on one thread, no colour conversion).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import av
import cv2
import typer

from benchmarks.clips import ClipFacts, clip_facts, write_clip
from benchmarks.command import run_command
from benchmarks.report import Row, document, print_machine, print_table, write_json
from streams.modes import FULL, KEYFRAMES, DecodeMode, every
from streams.sources import open_replay

QUICK_CLIP_S, FULL_CLIP_S = 6, 40
QUICK_ROUNDS, FULL_ROUNDS = 2, 5
NTH = 25
SCRIPT_NTH = 50


def by_streams(mode: DecodeMode) -> Callable[[Path], int]:
    """Return a way that counts the pictures of a replay in ``mode``."""
    return lambda path: sum(1 for _ in open_replay(path, decode=mode))


def by_opencv(path: Path) -> int:
    """Read every picture."""
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    capture.release()
    return count


def by_script(path: Path) -> int:
    """Grab every picture and retrieve one in 50, as scripts do that look every 2 s."""
    capture, index, count = cv2.VideoCapture(str(path)), 0, 0
    while capture.grab():
        if index % SCRIPT_NTH == 0:
            capture.retrieve()
            count += 1
        index += 1
    capture.release()
    return count


def by_floor(path: Path) -> int:
    """Demux, and decode key frames on one thread; nothing else."""
    count = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.skip_frame = "NONKEY"
        for packet in container.demux(stream):
            if packet.is_keyframe or packet.size == 0:
                count += len(packet.decode())
    return count


WAYS: dict[str, Callable[[Path], int]] = {
    "floor": by_floor,
    "keyframes": by_streams(KEYFRAMES),
    f"every {NTH}": by_streams(every(NTH)),
    "full": by_streams(FULL),
    "opencv": by_opencv,
    f"opencv 1 in {SCRIPT_NTH}": by_script,
}


def measure(path: Path, facts: ClipFacts, rounds: int) -> list[Row]:
    """Let the ways take turns on one clip."""
    cpu_s: dict[str, list[float]] = {way: [] for way in WAYS}
    pictures: dict[str, int] = {}
    for _ in range(rounds):
        for way, run in WAYS.items():
            at = time.process_time()
            pictures[way] = run(path)
            cpu_s[way].append((time.process_time() - at) / facts.seconds)
    middle = {way: statistics.median(values) for way, values in cpu_s.items()}
    return [
        {
            "clip": facts.name,
            "way": way,
            "cpu_s_per_camera_s": value,
            "pictures": pictures[way],
            "ratio_to_floor": value / middle["floor"],
            "ratio_to_opencv": middle["opencv"] / value,
        }
        for way, value in middle.items()
    ]


def run_all(clips: Sequence[tuple[str, Path]], rounds: int) -> tuple[list[ClipFacts], list[Row]]:
    """Measure every clip."""
    facts = [clip_facts(path, name) for name, path in clips]
    rows = [row for (_, path), fact in zip(clips, facts, strict=True) for row in measure(path, fact, rounds)]
    return facts, rows


def main(
    json_path: Annotated[Path, typer.Option("--json", help="Where to write the results.")],
    quick: Annotated[bool, typer.Option("--quick", help="Within a minute.")] = False,  # noqa: FBT002 - a flag
    clip: Annotated[list[Path] | None, typer.Option(help="A video file to measure too.")] = None,
) -> None:
    """Time every way of decoding on every clip."""
    content: dict[str, Any] = document("decode", quick=quick)
    with tempfile.TemporaryDirectory() as folder:
        clips = [("no b-frames", Path(folder) / "no-b.mp4"), ("b-frames", Path(folder) / "b.mp4")]
        for b_frames, (_, path) in zip((0, 2), clips, strict=True):
            write_clip(path, QUICK_CLIP_S if quick else FULL_CLIP_S, b_frames=b_frames)
        clips += [(path.name, path) for path in clip or []]
        facts, rows = run_all(clips, QUICK_ROUNDS if quick else FULL_ROUNDS)
    content["clips"] = [asdict(item) for item in facts]
    content["results"] = rows
    print_machine(content)
    shown = ("name", "codec", "width_px", "height_px", "seconds", "mbit_s", "key_frame_kib", "b_frames")
    print_table("clips", content["clips"], shown)
    columns = ("clip", "way", "cpu_s_per_camera_s", "pictures", "ratio_to_floor", "ratio_to_opencv")
    print_table("CPU seconds per camera-second", rows, columns)
    write_json(json_path, content)


if __name__ == "__main__":
    run_command(main)

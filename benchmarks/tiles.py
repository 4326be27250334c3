"""Small far smoke: what the tile planner finds, and what it runs, against looking through every tile.

``python -m benchmarks.tiles [--quick] [--data DIR] --json OUT``

Without ``--data`` a rendered fire in the fields is watched, as a sequence. ``DIR`` is a folder with
``nemo/`` (``images/``, ``labels/`` in YOLO's form; still frames, each a view of its own, so nothing has
changed and the whole picture and the tiles along the horizon remain) and ``figlib/`` (``NAME/`` with one
frame a minute, named ``<epoch s>_<s from ignition>.jpg``, and ``NAME_boxes/``; the change gate says where
something has changed, and the budget grants a quarter of all runs).
``--quick`` takes each ninth still frame, and of a sequence the frames with boxes alone.

A plume counts as found from an overlap (IoU) of 0.1, for it has no edge, at the smoke rule's two
confidences. JSON: ``results``, one object a set and confidence::

    set, confidence, frames, plumes
    found, found_exhaustive        plumes found by the planner, and by every tile
    recall, recall_exhaustive      over all plumes
    recall_ratio                   recall over recall_exhaustive
    runs, runs_exhaustive          model runs, the whole picture among them
    runs_ratio                     runs over runs_exhaustive
    boxes, boxes_exhaustive        a frame: what else is found
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import numpy.typing as npt
import typer

from benchmarks.command import run_command
from benchmarks.report import Row, document, print_machine, print_table, write_json
from edge.config import CameraConfig
from edge.pipeline import CameraPipeline
from edge.rule_config import SmokeRuleConfig
from edge.tile_plan import TileBudget
from models.detections import Detections
from models.detector import Detector
from models.errors import ModelError
from models.load import load_detector
from models.tiles import detect_through, plan_tiles
from streams.errors import StreamError
from streams.frame import Frame
from streams.pictures import read_picture
from streams.simulator import open_scene

LEAST_IOU = 0.1
OVERLAP_FRAC = 0.2  # of exhaustive tiles
EACH_QUICK = 9
SIZE_PX, RENDERED_S, FIRST_S, SPACING_S = (1920, 1080), 180.0, 20.0, 5.0
QUICK_SHOTS, FULL_SHOTS = 8, 30
SEQUENCE_SHARE = 0.25  # of exhaustive runs, granted to a sequence
RULE = SmokeRuleConfig.model_validate({"kind": "smoke"})


@dataclass(slots=True)
class Counting:
    """A detector that counts the pictures it is shown."""

    inner: Detector
    runs: int = 0

    @property
    def name(self) -> str:
        """See :class:`models.detector.Detector`; so all that follows."""
        return self.inner.name

    @property
    def precision(self) -> str:
        """As above."""
        return self.inner.precision

    @property
    def labels(self) -> tuple[str, ...]:
        """As above."""
        return self.inner.labels

    def detect(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Detections]:
        """As above."""
        self.runs += len(images)
        return self.inner.detect(images)

    def close(self) -> None:
        """As above."""
        self.inner.close()


@dataclass(slots=True)
class Tally:
    """Plumes and boxes over the frames of a set, at one confidence."""

    confidence: float
    plumes: int = 0
    found: list[int] = field(default_factory=lambda: [0, 0])
    others: list[int] = field(default_factory=lambda: [0, 0])

    def add(self, truth: npt.NDArray[np.float32], seen: Sequence[Detections]) -> None:
        """Count one labelled frame, as the planner and as every tile saw it."""
        self.plumes += len(truth)
        for index, found in enumerate(seen):
            sure = found.xyxy[found.confidence >= self.confidence]
            overlaps = overlap(truth, sure) >= LEAST_IOU
            self.found[index] += int(overlaps.any(axis=1).sum())
            self.others[index] += int((~overlaps.any(axis=0)).sum())


def overlap(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the IoU of boxes (n, 4) with boxes (m, 4), shape (n, m)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2).astype(np.float64)
    area_a, area_b = ((box[:, 2:] - box[:, :2]).prod(1) for box in (a, b))
    union = area_a[:, None] + area_b[None] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float64)


def truth_of(path: Path, size_px: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Read boxes in YOLO's form as (n, 4) corners in pixels."""
    rows = [list(map(float, line.split()[1:5])) for line in path.read_text().splitlines() if line.strip()]
    boxes = np.array(rows, np.float32).reshape(-1, 4)
    corners = np.hstack([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2])
    return np.asarray(corners * np.array([*size_px, *size_px]), np.float32)


def stills(folder: Path, *, quick: bool) -> list[list[tuple[Path, Path, float]]]:
    """Return labelled still frames, each a sequence of its own: picture, labels, time in s."""
    pictures = sorted((folder / "images").glob("*.jpg"))[:: EACH_QUICK if quick else 1]
    return [[(path, folder / "labels" / f"{path.stem}.txt", 0.0)] for path in pictures]


def sequences(folder: Path, *, quick: bool) -> list[list[tuple[Path, Path, float]]]:
    """Return the sequences of a folder, in their order of time; as above."""
    out = []
    for boxes in sorted(folder.glob("*_boxes")):
        pictures = sorted(boxes.with_name(boxes.name.removesuffix("_boxes")).glob("*.jpg"))
        shots = [(path, boxes / f"{path.stem}.txt", float(path.stem.split("_")[0])) for path in pictures]
        out.append([shot for shot in shots if not quick or shot[1].is_file()])
    return out


def rendered(folder: Path, *, quick: bool) -> list[list[tuple[Path, Path, float]]]:
    """Render a fire in the fields into a folder, and return it as a sequence."""
    scene, shots = open_scene("farmland", seed=5, seconds=RENDERED_S, size=SIZE_PX), []
    for index in range(QUICK_SHOTS if quick else FULL_SHOTS):
        at_s = FIRST_S + index * SPACING_S
        plumes = [one.box for one in scene.boxes(at_s) if one.label == "smoke"]
        picture, labels = folder / f"{index:03d}.jpg", folder / f"{index:03d}.txt"
        cv2.imwrite(str(picture), scene.picture())
        rows = [((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1) for x1, y1, x2, y2 in plumes]
        if rows:
            labels.write_text("".join(f"0 {x} {y} {w} {h}\n" for x, y, w, h in rows), encoding="utf-8")
        shots.append((picture, labels, at_s))
    return [shots]


def sets_of(
    data: Path | None, folder: Path, *, quick: bool
) -> dict[str, list[list[tuple[Path, Path, float]]]]:
    """Return what is to be looked at.

    Raises:
        StreamError: there is none of it in ``data``.

    """
    if data is None:
        return {"rendered": rendered(folder, quick=quick)}
    sets = {
        "nemo": stills(data / "nemo", quick=quick),
        "figlib": sequences(data / "figlib", quick=quick),
    }
    if missing := [name for name, shots in sets.items() if not any(shots)]:
        msg = f"--data {data}: no labelled pictures in {', '.join(missing)}"
        raise StreamError(msg)
    return sets


def camera() -> CameraConfig:
    """Return a camera with the smoke rule and all defaults."""
    view = {"rules": [{"kind": "smoke"}]}
    return CameraConfig.model_validate({"id": "bench", "url": "rtsp://127.0.0.1/", "views": [view]})


def watch(
    shots: Sequence[tuple[Path, Path, float]], detector: Counting
) -> Iterator[tuple[Frame, Path, Detections]]:
    """Show a sequence to a camera's pipeline; yield each frame with what its model has found, all of it."""
    ids = iter(range(1_000_000))
    pipeline = CameraPipeline(
        camera(), {RULE.model: detector}, lambda *_: f"{next(ids):032x}", budget_of(shots)
    )
    for index, (path, labels, at_s) in enumerate(shots):
        frame = Frame(read_picture(path), datetime.fromtimestamp(at_s, UTC), at_s, index)
        look = pipeline.begin(frame)
        found = pipeline.ask(look)
        pipeline.finish(look, found)
        yield frame, labels, next(iter(found.values()), Detections.empty(detector.labels))


def budget_of(shots: Sequence[tuple[Path, Path, float]]) -> TileBudget | None:
    """Return what grants a sequence its share of runs; None for a still frame."""
    if len(shots) < 2:
        return None
    height, width = read_picture(shots[0][0]).shape[:2]
    every = 1 + len(plan_tiles((width, height), RULE.tile_px or 640, OVERLAP_FRAC))
    spacing_s = (shots[-1][2] - shots[0][2]) / (len(shots) - 1)
    return TileBudget((SEQUENCE_SHARE * every - 1) / spacing_s, 1)


def measure(name: str, sets: Sequence[Sequence[tuple[Path, Path, float]]], inner: Detector) -> list[Row]:
    """Run a set both ways."""
    planner, exhaustive = Counting(inner), Counting(inner)
    tallies = [Tally(RULE.weak_confidence), Tally(RULE.min_confidence)]
    frames = 0
    for shots in sets:
        for frame, labels, found in watch(shots, planner):
            frames += 1
            size_px = (frame.width_px, frame.height_px)
            tiles = plan_tiles(size_px, RULE.tile_px or 640, OVERLAP_FRAC)
            if not labels.is_file():
                exhaustive.runs += 1 + len(tiles)  # what it would have run; nothing to compare
                continue
            whole = detect_through(exhaustive, frame.image, tiles)
            for tally in tallies:
                tally.add(truth_of(labels, size_px), (found, whole))
    runs = (planner.runs, exhaustive.runs)
    return [_row(name, frames, tally, runs) for tally in tallies]


def _row(name: str, frames: int, tally: Tally, runs: tuple[int, int]) -> Row:
    recall, recall_exhaustive = (found / max(tally.plumes, 1) for found in tally.found)
    return {
        "set": name,
        "confidence": tally.confidence,
        "frames": frames,
        "plumes": tally.plumes,
        "found": tally.found[0],
        "found_exhaustive": tally.found[1],
        "recall": recall,
        "recall_exhaustive": recall_exhaustive,
        "recall_ratio": tally.found[0] / tally.found[1] if tally.found[1] else None,
        "runs": runs[0],
        "runs_exhaustive": runs[1],
        "runs_ratio": runs[0] / max(runs[1], 1),
        "boxes": tally.others[0],
        "boxes_exhaustive": tally.others[1],
    }


def main(
    json_path: Annotated[Path, typer.Option("--json", help="Where to write the results.")],
    data: Annotated[Path | None, typer.Option(help="Folder with nemo/ and figlib/.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Within a minute.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Compare the planner with exhaustive tiles, on still frames and on sequences."""
    try:
        detector = load_detector(RULE.model, confidence=RULE.weak_confidence)
        content: dict[str, Any] = document(
            "tiles", quick=quick, model=f"{detector.name} {detector.precision}"
        )
        with tempfile.TemporaryDirectory() as name:
            sets = sets_of(data, Path(name), quick=quick)
            content["results"] = [row for key, shots in sets.items() for row in measure(key, shots, detector)]
        detector.close()
    except (ModelError, StreamError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    print_machine(content)
    shown = [key for key in content["results"][0] if key not in {"recall", "recall_exhaustive"}]
    print_table(f"{content['model']}: planned tiles against all", content["results"], shown)
    write_json(json_path, content)


if __name__ == "__main__":
    run_command(main)

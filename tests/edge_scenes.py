"""Scenes for the edge's tests: drawn streets with truth boxes, and a detector fed by the truth."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.config import CameraConfig
from edge.observe import Box, Observation
from models.detections import Detections
from streams.frame import Frame

EPOCH = datetime(2026, 5, 1, 8, 0, tzinfo=UTC)
SIZE = (640, 360)
LABELS = ("car", "truck", "person", "smoke")
Image = npt.NDArray[np.uint8]


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Thing:
    """One thing in the scene at one instant, in pixels of a 640x360 picture."""

    box: tuple[float, float, float, float]
    label: str = "car"
    colour: int = 1
    confidence: float = 0.8
    detected: bool = True
    drawn: bool = True


Scene = Callable[[float], Sequence[Thing]]


def car(
    x: float, y: float = 200, *, colour: int = 1, size: tuple[float, float] = (80, 44), **more: object
) -> Thing:
    """A car whose box starts at x, y."""
    return Thing((x, y, x + size[0], y + size[1]), colour=colour, **more)  # type: ignore[arg-type]


def road_picture() -> Image:
    noise = np.random.default_rng(7).normal(0, 6, (SIZE[1], SIZE[0], 1))
    return np.clip(np.full((SIZE[1], SIZE[0], 3), 95.0) + noise, 0, 255).astype(np.uint8)


_ROAD = road_picture()
_GRAINS = [np.random.default_rng(seed).normal(0, 2, _ROAD.shape).astype(np.int16) for seed in range(7)]


def paint(image: Image, thing: Thing) -> None:
    """Draw a body whose colour and details depend on ``colour``: no two colours look alike."""
    x1, y1, x2, y2 = (round(v) for v in thing.box)
    rng = np.random.default_rng(thing.colour)
    body = tuple(int(v) for v in rng.integers(0, 255, 3))
    cv2.rectangle(image, (x1, y1), (x2, y2), body, -1)
    for _ in range(6):
        left = x1 + rng.uniform(0, 0.7) * (x2 - x1)
        top = y1 + rng.uniform(0, 0.7) * (y2 - y1)
        shade = tuple(int(v) for v in rng.integers(0, 255, 3))
        corner = (round(left + 0.3 * (x2 - x1)), round(top + 0.3 * (y2 - y1)))
        cv2.rectangle(image, (round(left), round(top)), corner, shade, -1)


def picture(things: Sequence[Thing], *, gain: float = 1.0, noise_seed: int = 0) -> Image:
    image = _ROAD.copy()
    for thing in things:
        if thing.drawn:
            paint(image, thing)
    lit = image if gain == 1.0 else cv2.convertScaleAbs(image, alpha=gain)
    return np.asarray(cv2.add(lit, _GRAINS[noise_seed % len(_GRAINS)], dtype=cv2.CV_8U), np.uint8)


def frame_of(things: Sequence[Thing], seconds: float, index: int = 0, *, gain: float = 1.0) -> Frame:
    return Frame(picture(things, gain=gain, noise_seed=index), at(seconds), seconds, index)


def times(stop_s: float, step_s: float = 2.0, start_s: float = 0.0) -> list[float]:
    return [start_s + step_s * i for i in range(int((stop_s - start_s) / step_s) + 1)]


def frames(scene: Scene, stamps: Sequence[float]) -> Iterator[Frame]:
    for index, seconds in enumerate(stamps):
        yield frame_of(scene(seconds), seconds, index)


@dataclass
class SceneDetector:
    """Finds what the scene holds at the picture's time, which it is told in turn."""

    scene: Scene
    stamps: Sequence[float]
    name: str = "truth@1.0.0"
    precision: str = "f32"
    labels: tuple[str, ...] = LABELS
    calls: int = 0
    sizes: list[tuple[int, int]] = field(default_factory=list)

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        found = []
        for image in images:
            self.sizes.append((image.shape[1], image.shape[0]))
            found.append(detections_of(self.scene(self.stamps[self.calls])))
            self.calls += 1
        return found

    def close(self) -> None:
        return


def detections_of(things: Sequence[Thing]) -> Detections:
    seen = [thing for thing in things if thing.detected]
    return Detections.of(
        [thing.box for thing in seen],
        [thing.confidence for thing in seen],
        [LABELS.index(thing.label) for thing in seen],
        LABELS,
    )


def observations(
    scene: Scene, stamps: Sequence[float], gain: Callable[[float], float] = lambda _: 1.0
) -> Iterator[Observation]:
    last = float("-inf")
    for index, seconds in enumerate(stamps):
        things = scene(seconds)
        yield Observation(
            captured_at=at(seconds),
            monotonic_s=seconds,
            camera="cam",
            preset="fixed",
            size_px=SIZE,
            frame=Frame(picture(things, gain=gain(seconds), noise_seed=index), at(seconds), seconds, index),
            detections=detections_of(things),
            gap_s=seconds - last,
        )
        last = seconds


def camera(rules: Sequence[dict[str, object]], **more: object) -> CameraConfig:
    """A camera of one view whose zone ``road`` is the whole picture.

    Without a change gate: :class:`SceneDetector` tells the time by being asked about every picture.
    """
    view = {
        "zones": [{"id": "road", "points": [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]}],
        "rules": list(rules),
    }
    values = {"id": "cam", "url": "rtsp://127.0.0.1/x", "views": [view], "gate": {"enabled": False}, **more}
    return CameraConfig.model_validate(values)


def ids() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"{next(numbers):032x}"


def frac(box: Sequence[float]) -> Box:
    return (box[0] / SIZE[0], box[1] / SIZE[1], box[2] / SIZE[0], box[3] / SIZE[1])


def write_model(models_dir: Path, name: str, labels: Sequence[str], version: str = "1.0.0") -> None:
    """Put a manifest where a model of this name would lie; its network is not there."""
    folder = models_dir / name / version
    folder.mkdir(parents=True)
    manifest = {
        "schema_version": 1,
        "name": name,
        "version": version,
        "labels": list(labels),
        "input": {"name": "images", "width_px": 416, "height_px": 416, "colour": "bgr", "scale": 1.0},
        "decoder": {"kind": "yolox", "outputs": ["output"], "strides": [8, 16, 32]},
        "files": [
            {
                "path": "model.onnx",
                "precision": "f32",
                "sha256": "0" * 64,
                "bytes": 10,
                "runtimes": ["onnxruntime"],
            }
        ],
        "passed": ["f32"],
        "default_precision": "f32",
        "licence": "none",
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))

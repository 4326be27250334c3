"""Judge a detector on a fixed camera with things that stay: how often each of them is seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.detector import Detector
from models.train.matching import iou_matrix
from models.train.tiles import Picture
from towerwatch.errors import ConfigError


@dataclass(slots=True)
class PlaceTally:
    """Frames judged, frames in which each place was seen, and boxes on none of the places."""

    frames: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    other_boxes: int = 0

    def report(self) -> dict[str, Any]:
        """Return shares by place and other boxes a frame (passing cars count among them)."""
        share = {name: round(count / max(1, self.frames), 3) for name, count in self.seen.items()}
        return {
            "frames": self.frames,
            "seen_frac": share,
            "other_boxes_per_frame": round(self.other_boxes / max(1, self.frames), 3),
        }


def judge_places(detector: Detector, video: Path, truth: Path, every_s: float, iou: float) -> PlaceTally:
    """Look at one frame every ``every_s`` seconds; ``truth`` is JSON with ``parked``: id and box_px.

    Raises:
        ConfigError: the video or its truth cannot be read.

    """
    document = json.loads(truth.read_text(encoding="utf-8"))
    names = [item["id"] for item in document["parked"]]
    boxes = np.array([item["box_px"] for item in document["parked"]], np.float64)
    tally = PlaceTally(seen=dict.fromkeys(names, 0))
    for picture in frames(video, every_s):
        found = np.asarray(detector.detect([picture])[0].xyxy, np.float64)
        overlaps = iou_matrix(found, boxes)
        tally.frames += 1
        for index, name in enumerate(names):
            tally.seen[name] += bool((overlaps[:, index] >= iou).any())
        tally.other_boxes += int((overlaps.max(axis=1) < iou).sum()) if len(found) else 0
    return tally


def frames(video: Path, every_s: float) -> Iterator[Picture]:
    """Decode a video file and yield one BGR frame every ``every_s`` seconds."""
    capture = cv2.VideoCapture(str(video))
    if not capture.isOpened():
        msg = f"{video}: cannot be opened as a video"
        raise ConfigError(msg)
    step = max(1, round((capture.get(cv2.CAP_PROP_FPS) or 25.0) * every_s))
    index = 0
    try:
        while capture.grab():
            if index % step == 0:
                done, picture = capture.retrieve()
                if done:
                    yield np.asarray(picture, np.uint8)
            index += 1
    finally:
        capture.release()

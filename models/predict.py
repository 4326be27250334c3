"""Run a detector over pictures; a broken one is named and the rest go on.

The JSON that :func:`report` makes and ``towerwatch models predict --json`` writes::

    {
      "schema_version": 1,
      "model": "vehicle@1.0.0",
      "precision": "f32",
      "runtime": "openvino 2026.4.1 cpu f32",
      "labels": ["car", "..."],
      "pictures": [
        {
          "path": "a.jpg",                     as given, or below the folder given
          "width_px": 1920, "height_px": 1080,
          "detections": [
            {"label": "car", "class_id": 0, "confidence": 0.91,
             "xyxy_px": [left, top, right, bottom]}         by falling confidence
          ]
        }
      ],
      "failed": [{"path": "b.jpg", "reason": "is no picture that can be decoded"}]
    }
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from models.detections import Detections
from models.detector import Detector
from models.errors import ModelConfigError

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


class RunningDetector(Detector, Protocol):
    """A detector that can say what it runs on."""

    @property
    def runtime_description(self) -> str:
        """Runtime, provider and precision in words."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """One picture: its path, and either what was found in it or why it could not be looked at."""

    path: Path
    size_px: tuple[int, int] = (0, 0)
    found: Detections | None = None
    image: npt.NDArray[np.uint8] | None = None
    reason: str = ""


def pictures_in(source: Path) -> list[Path]:
    """List a picture, or the pictures of a folder and its sub-folders in order of name.

    Raises:
        ModelConfigError: there is nothing to look at.

    """
    if source.is_dir():
        paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
        if not paths:
            msg = f"{source}: holds no picture ({', '.join(sorted(PICTURE_SUFFIXES))})"
            raise ModelConfigError(msg)
        return paths
    if not source.is_file():
        msg = f"{source}: no such picture or folder"
        raise ModelConfigError(msg)
    return [source]


def read_picture(path: Path) -> npt.NDArray[np.uint8]:
    """Decode a picture file into uint8 BGR, turned as its EXIF says.

    Raises:
        ValueError: it cannot be read or decoded; says which.

    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        msg = f"cannot be read: {error.strerror}"
        raise ValueError(msg) from None
    if not len(data):
        msg = "is empty"
        raise ValueError(msg)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        msg = "is no picture that can be decoded"
        raise ValueError(msg)
    return np.asarray(image, np.uint8)


def predict(detector: Detector, paths: list[Path]) -> Iterator[Prediction]:
    """Look at each picture in turn; one that is broken yields its reason."""
    for path in paths:
        try:
            image = read_picture(path)
        except ValueError as error:
            yield Prediction(path, reason=str(error))
            continue
        found = detector.detect([image])[0]
        yield Prediction(path, (image.shape[1], image.shape[0]), found, image)


def report(detector: RunningDetector, predictions: list[Prediction], base: Path) -> dict[str, Any]:
    """Return the JSON document of the module's docstring; paths are below ``base`` where they lie there."""
    return {
        "schema_version": 1,
        "model": detector.name,
        "precision": detector.precision,
        "runtime": detector.runtime_description,
        "labels": list(detector.labels),
        "pictures": [_picture(item, item.found, base) for item in predictions if item.found is not None],
        "failed": [
            {"path": _below(item.path, base), "reason": item.reason}
            for item in predictions
            if item.found is None
        ],
    }


def _picture(item: Prediction, found: Detections, base: Path) -> dict[str, Any]:
    return {
        "path": _below(item.path, base),
        "width_px": item.size_px[0],
        "height_px": item.size_px[1],
        "detections": [
            {
                "label": found.label_of(index),
                "class_id": int(found.class_id[index]),
                "confidence": round(float(found.confidence[index]), 5),
                "xyxy_px": [round(float(side), 2) for side in found.xyxy[index]],
            }
            for index in range(len(found))
        ],
    }


def _below(path: Path, base: Path) -> str:
    return (
        path.relative_to(base).as_posix() if base.is_dir() and path.is_relative_to(base) else path.as_posix()
    )

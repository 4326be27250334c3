"""What every reader of labelled pictures starts from and ends with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from models.train.samples import DataProblem, Sample

TOLERANCE = 0.002  # exports round coordinates; what sticks out by less is clipped and not reported
JPEG_END = b"\xff\xd9"

Row = tuple[str, tuple[float, float, float, float]]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a source lies and what its class names mean to us.

    ``classes`` maps the source's name (for YOLO without names: the number as text) to ours;
    what is not in it is counted and left out, which is how a class is ignored on purpose.
    """

    source: str
    folder: Path
    classes: Mapping[str, str]
    group_of: Callable[[Path], str]
    annotations: Path | None = None


@dataclass(slots=True)
class Reading:
    """What a reader found: usable samples, problems line by line, boxes of classes not asked for."""

    samples: list[Sample] = field(default_factory=list)
    problems: list[DataProblem] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


def check_picture(path: Path) -> str | None:
    """Say what is wrong with a picture file, or None; a truncated JPEG is found by its missing end."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not data:
        return "is empty"
    if data[:2] == b"\xff\xd8" and JPEG_END not in data[-4096:]:
        return "is a truncated JPEG"
    if cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is None:
        return "is not a picture that can be decoded"
    return None


def usable(picture: Path, reading: Reading) -> bool:
    """Tell whether a picture can be decoded; name it among the problems where it cannot."""
    message = check_picture(picture)
    if message is not None:
        reading.problems.append(DataProblem(picture, None, f"{message}; left out"))
    return message is None


def row_of(name: str, box: tuple[float, float, float, float], classes: Mapping[str, str]) -> Row | None:
    """Name a box by our class and clip it to the picture; None for a class that is left out.

    Raises:
        ValueError: it reaches outside the picture or has no area.

    """
    if name not in classes:
        return None
    if any(edge < -TOLERANCE or edge > 1 + TOLERANCE for edge in box):
        msg = f"box {tuple(round(edge, 4) for edge in box)} reaches outside the picture; left out"
        raise ValueError(msg)
    left, top, right, bottom = (min(1.0, max(0.0, edge)) for edge in box)
    if right <= left or bottom <= top:
        msg = f"box {tuple(round(edge, 4) for edge in box)} has no area; left out"
        raise ValueError(msg)
    return classes[name], (left, top, right, bottom)

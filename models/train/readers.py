"""Read YOLO, COCO and Pascal VOC layouts into samples; name every broken picture and label, go on."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.train.samples import DataProblem, Sample, box_array
from towerwatch.errors import ConfigError

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
TOLERANCE = 0.002  # exports round coordinates; what sticks out by less is clipped and not reported
LEAST_VISIBLE = 0.35  # of a rendered thing; as in the composer
JPEG_END = b"\xff\xd9"

Row = tuple[str, tuple[float, float, float, float]]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a source lies and what its class names mean to us.

    ``classes`` maps the source's name (for YOLO without names: the number as text) to ours;
    what is not in it is left out silently, which is how a class is ignored on purpose.
    """

    source: str
    folder: Path
    classes: Mapping[str, str]
    group_of: Callable[[Path], str]
    annotations: Path | None = None


@dataclass(slots=True)
class Reading:
    """What a reader found: usable samples, and problems line by line."""

    samples: list[Sample] = field(default_factory=list)
    problems: list[DataProblem] = field(default_factory=list)


def read_yolo(layout: Layout) -> Reading:
    """Read ``images/*`` with ``labels/*.txt`` (class, centre x, centre y, width, height as fractions)."""
    reading = Reading()
    for picture in _pictures(layout.folder / "images"):
        if not _usable(picture, reading):
            continue
        label_file = layout.folder / "labels" / f"{picture.stem}.txt"
        if not label_file.exists():
            reading.problems.append(DataProblem(picture, None, "has no label file; left out"))
            continue
        rows = []
        for number, line in enumerate(label_file.read_text(encoding="utf-8").splitlines(), 1):
            try:
                row = _yolo_row(line, layout.classes)
            except ValueError as error:
                reading.problems.append(DataProblem(label_file, number, str(error)))
                continue
            if row is not None:
                rows.append(row)
        reading.samples.append(_sample(layout, picture, rows))
    return reading


def read_coco(layout: Layout) -> Reading:
    """Read a COCO ``instances`` JSON (boxes x, y, width, height in pixels) beside its pictures."""
    reading = Reading()
    path = layout.annotations or layout.folder / "annotations.json"
    document = _json(path)
    names = {item["id"]: str(item["name"]) for item in document.get("categories", [])}
    boxes: dict[int, list[dict[str, Any]]] = {}
    for item in document.get("annotations", []):
        boxes.setdefault(item.get("image_id", -1), []).append(item)
    for entry in document.get("images", []):
        picture = layout.folder / entry["file_name"]
        if not _usable(picture, reading):
            continue
        rows = []
        for item in boxes.get(entry["id"], []):
            x, y, width, height = map(float, item["bbox"])
            frac = (x / entry["width"], y / entry["height"])
            corner = ((x + width) / entry["width"], (y + height) / entry["height"])
            try:
                row = _row(names.get(item["category_id"], "?"), (*frac, *corner), layout.classes)
            except ValueError as error:
                reading.problems.append(DataProblem(path, None, f"annotation {item.get('id')}: {error}"))
                continue
            if row is not None and not item.get("iscrowd"):
                rows.append(row)
        reading.samples.append(_sample(layout, picture, rows))
    return reading


def read_voc(layout: Layout) -> Reading:
    """Read Pascal VOC: one XML for each picture, beside it or under ``Annotations/``."""
    reading = Reading()
    folder = layout.annotations or layout.folder / "Annotations"
    pictures = layout.folder / "JPEGImages"
    for xml_file in sorted(folder.glob("*.xml")):
        try:
            root = ET.parse(xml_file).getroot()  # noqa: S314 - label files of our own data sets
        except ET.ParseError as error:
            reading.problems.append(DataProblem(xml_file, error.position[0], "is not valid XML"))
            continue
        picture = pictures / (root.findtext("filename") or f"{xml_file.stem}.jpg")
        if not _usable(picture, reading):
            continue
        width = float(root.findtext("size/width") or 0)
        height = float(root.findtext("size/height") or 0)
        rows = []
        for item in root.iter("object"):
            try:
                row = _voc_row(item, width, height, layout.classes)
            except ValueError as error:
                reading.problems.append(DataProblem(xml_file, None, str(error)))
                continue
            if row is not None:
                rows.append(row)
        reading.samples.append(_sample(layout, picture, rows))
    return reading


def read_scenes(layout: Layout) -> Reading:
    """Read what ``towerwatch streams render --pictures`` wrote: ``<scene>.truth.json`` beside ``<scene>/``.

    Folders below are searched too. The n-th picture by name is the n-th frame of the truth. The
    group is scene and seed. Things of which less than :data:`LEAST_VISIBLE` shows are no boxes.
    """
    reading = Reading()
    for truth in sorted(layout.folder.rglob("*.truth.json")):
        document = _json(truth)
        pictures = _pictures(truth.parent / document["scene"])
        if len(pictures) != len(document["frames"]):
            message = f"{len(document['frames'])} frames, but {len(pictures)} pictures; left out"
            reading.problems.append(DataProblem(truth, None, message))
            continue
        group = f"{document['scene']}-{document['seed']}"
        for picture, frame in zip(pictures, document["frames"], strict=True):
            if not _usable(picture, reading):
                continue
            seen = [item for item in frame["boxes"] if item["visible_frac"] >= LEAST_VISIBLE]
            rows = [_row(item["label"], tuple(item["box"]), layout.classes) for item in seen]
            found = [row for row in rows if row is not None]
            boxes = box_array([box for _label, box in found])
            labels = tuple(label for label, _box in found)
            reading.samples.append(Sample(picture, boxes, labels, group, layout.source))
    return reading


READERS: dict[str, Callable[[Layout], Reading]] = {
    "yolo": read_yolo,
    "coco": read_coco,
    "voc": read_voc,
    "scenes": read_scenes,
}


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


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        msg = f"{folder}: no such folder"
        raise ConfigError(msg)
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)


def _usable(picture: Path, reading: Reading) -> bool:
    message = check_picture(picture)
    if message is not None:
        reading.problems.append(DataProblem(picture, None, f"{message}; left out"))
    return message is None


def _sample(layout: Layout, picture: Path, rows: list[Row]) -> Sample:
    labels = tuple(label for label, _box in rows)
    return Sample(
        picture, box_array([box for _label, box in rows]), labels, layout.group_of(picture), layout.source
    )


def _yolo_row(line: str, classes: Mapping[str, str]) -> Row | None:
    parts = line.split()
    if not parts:
        return None
    if len(parts) != 5:
        msg = f"expected 5 numbers, got {len(parts)}"
        raise ValueError(msg)
    try:
        x, y, width, height = map(float, parts[1:])
    except ValueError:
        msg = f"not a number in {line!r}"
        raise ValueError(msg) from None
    return _row(parts[0], (x - width / 2, y - height / 2, x + width / 2, y + height / 2), classes)


def _voc_row(item: ET.Element, width: float, height: float, classes: Mapping[str, str]) -> Row | None:
    if width <= 0 or height <= 0:
        msg = "size is missing or zero"
        raise ValueError(msg)
    edges = [item.findtext(f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax")]
    if any(edge is None for edge in edges):
        msg = "an object has no complete bndbox"
        raise ValueError(msg)
    left, top, right, bottom = (float(edge or 0) for edge in edges)
    box = (left / width, top / height, right / width, bottom / height)
    return _row(item.findtext("name") or "?", box, classes)


def _row(name: str, box: tuple[float, float, float, float], classes: Mapping[str, str]) -> Row | None:
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


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ConfigError(msg) from None
    except json.JSONDecodeError as error:
        msg = f"{path}:{error.lineno}: is not valid JSON"
        raise ConfigError(msg) from None
    if not isinstance(document, dict):
        msg = f"{path}: expected a COCO object with images, annotations and categories"
        raise ConfigError(msg)
    return document

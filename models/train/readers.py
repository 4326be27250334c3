"""Read YOLO, COCO and Pascal VOC layouts into samples; name every broken picture and label, go on."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from models.train.layouts import Layout, Reading, Row, row_of, usable
from models.train.samples import DataProblem, Sample, box_array
from models.train.verdicts import read_verdicts
from towerwatch.errors import ConfigError

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
LEAST_VISIBLE = 0.35  # of a rendered thing; as in the composer


def read_yolo(layout: Layout) -> Reading:
    """Read ``images/*`` with ``labels/*.txt`` (class, centre x, centre y, width, height as fractions)."""
    reading = Reading()
    for picture in _pictures(layout.folder / "images"):
        if not usable(picture, reading):
            continue
        label_file = layout.folder / "labels" / f"{picture.stem}.txt"
        if not label_file.exists():
            reading.problems.append(DataProblem(picture, None, "has no label file; left out"))
            continue
        try:
            lines = label_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            reading.problems.append(DataProblem(label_file, None, "is no text file; its picture is left out"))
            continue
        rows = []
        for number, line in enumerate(lines, 1):
            try:
                row = _yolo_row(line, layout.classes)
            except ValueError as error:
                reading.problems.append(DataProblem(label_file, number, str(error)))
                continue
            if row is not None:
                rows.append(row)
            elif line.strip():
                reading.ignored[line.split()[0]] += 1
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
        picture = layout.folder / str(entry.get("file_name", ""))
        width, height = (_positive(entry.get(key)) for key in ("width", "height"))
        if width is None or height is None:
            reading.problems.append(DataProblem(path, None, f"image {picture.name}: has no size; left out"))
            continue
        if not usable(picture, reading):
            continue
        rows = []
        for item in boxes.get(entry.get("id"), []):
            try:
                row = _coco_row(item, names, (width, height), layout.classes)
            except ValueError as error:
                reading.problems.append(DataProblem(path, None, f"annotation {item.get('id')}: {error}"))
                continue
            if row is not None:
                rows.append(row)
            elif not item.get("iscrowd"):
                reading.ignored[names[item["category_id"]]] += 1
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
        if not usable(picture, reading):
            continue
        width, height = (_positive(root.findtext(f"size/{key}")) for key in ("width", "height"))
        rows = []
        for item in root.iter("object"):
            try:
                row = _voc_row(item, width, height, layout.classes)
            except ValueError as error:
                reading.problems.append(DataProblem(xml_file, None, str(error)))
                continue
            if row is not None:
                rows.append(row)
            else:
                reading.ignored[item.findtext("name") or "?"] += 1
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
            if not usable(picture, reading):
                continue
            seen = [item for item in frame["boxes"] if item["visible_frac"] >= LEAST_VISIBLE]
            rows = [row_of(item["label"], tuple(item["box"]), layout.classes) for item in seen]
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
    "verdicts": read_verdicts,
}


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        msg = f"{folder}: no such folder"
        raise ConfigError(msg)
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)


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
    if not (parts[0].isascii() and parts[0].isdigit()):
        msg = f"class {parts[0]!r} is no whole number from 0; left out"
        raise ValueError(msg)
    try:
        x, y, width, height = map(float, parts[1:])
    except ValueError:
        msg = f"not a number in {line!r}"
        raise ValueError(msg) from None
    return row_of(parts[0], (x - width / 2, y - height / 2, x + width / 2, y + height / 2), classes)


def _coco_row(
    item: Mapping[str, Any], names: Mapping[Any, str], size: tuple[float, float], classes: Mapping[str, str]
) -> Row | None:
    """Read one annotation, None for a class that is not wanted and for a crowd."""
    if item.get("iscrowd"):
        return None
    category = item.get("category_id")
    if category not in names:
        msg = f"category {category!r} is none of the file's; left out"
        raise ValueError(msg)
    try:
        x, y, width, height = map(float, item.get("bbox", ()))
    except (TypeError, ValueError):
        msg = f"bbox {item.get('bbox')!r} is not four numbers; left out"
        raise ValueError(msg) from None
    box = (x / size[0], y / size[1], (x + width) / size[0], (y + height) / size[1])
    return row_of(names[category], box, classes)


def _voc_row(
    item: ET.Element, width: float | None, height: float | None, classes: Mapping[str, str]
) -> Row | None:
    if width is None or height is None:
        msg = "size is missing, zero or no number"
        raise ValueError(msg)
    edges = [item.findtext(f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax")]
    try:
        left, top, right, bottom = (float(edge or "") for edge in edges)
    except ValueError:
        msg = "an object has no complete bndbox of numbers; left out"
        raise ValueError(msg) from None
    box = (left / width, top / height, right / width, bottom / height)
    return row_of(item.findtext("name") or "?", box, classes)


def _positive(value: object) -> float | None:
    """Read a length in px, None where it is none."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None


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

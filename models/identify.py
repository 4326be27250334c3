"""Work out which head an unknown network has, from the shapes and values of its outputs.

Shapes propose, values decide. A dense head has one anchor (YOLOv8, YOLOX) or three (YOLOv5) for each
cell of its strides, in a known order, and each anchor predicts a box near its own cell; so the
distance between predicted and own centre, in strides, tells layout, order and units apart by orders
of magnitude: below 2 for the right reading, dozens for a wrong one.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.decoders import DecoderKind, DecoderSpec, Size, anchor_count, grid_centres
from models.detections import FloatArray
from models.errors import ModelFileError

Family = Literal["ultralytics", "yolox", "fastestdet", "nanodet"]
STRIDE_SETS: tuple[tuple[int, ...], ...] = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32))
MAX_CENTRE_DISTANCE = 3.0  # strides; a YOLOv8 box may lie off its cell, the median one does not
_SCORE_SLACK = 1e-3
_NANODET_BINS = (8, 33)  # R + 1 of the distributions in use: 8 (NanoDet) up to 33


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read the outputs that agrees with what was seen.

    Attributes:
        spec: the decoder.
        family: whose conventions for the input come with it.
        classes: number of classes.
        evidence: what speaks for it, one sentence each.

    """

    spec: DecoderSpec
    family: Family
    classes: int
    evidence: tuple[str, ...]


def identify(
    outputs: Mapping[str, FloatArray],
    input_px: Size,
    classes: int | None,
    decoder: DecoderKind | None = None,
) -> Reading:
    """Find the one reading of the outputs of one picture.

    Args:
        outputs: by name, float32, without the batch axis, in the graph's order.
        input_px: (width, height) of the input that gave them.
        classes: number of labels; None lets the layout say.
        decoder: the only kind wanted, None for any.

    Raises:
        ModelFileError: nothing known fits, or more than one does; says what was seen and why not.

    """
    refusals: list[str] = []
    # what explains all outputs together is believed before what explains one of them
    readings = _groups(outputs, input_px, classes) or [
        reading
        for name, array in outputs.items()
        for reading in _single(name, array, input_px, classes, refusals)
    ]
    wanted = [reading for reading in readings if decoder in (None, reading.spec.kind)]
    if len(wanted) == 1:
        return wanted[0]
    seen = ", ".join(f"{name} {'x'.join(map(str, array.shape))}" for name, array in outputs.items())
    given = "no labels given" if classes is None else f"{classes} labels"
    kinds = ", ".join(reading.spec.kind for reading in readings)
    if readings and not wanted:
        msg = f"decoder {decoder} was asked for, but the outputs read as {kinds}: saw {seen}, {given}"
        raise ModelFileError(msg)
    if wanted:
        msg = f"outputs can be read in more than one way ({kinds}): saw {seen}, {given}; say --decoder"
        raise ModelFileError(msg)
    why = "; ".join(refusals) or "no known detection head has outputs like these"
    size = f"{input_px[0]}x{input_px[1]}"
    msg = f"cannot tell the decoder: saw {seen} (per picture), input {size}, {given}: {why}"
    raise ModelFileError(msg)


def _single(
    name: str, array: FloatArray, input_px: Size, classes: int | None, refusals: list[str]
) -> list[Reading]:
    if array.ndim == 1:
        refusals.append(f"{name} is one row of {len(array)} numbers, as a classification model gives")
        return []
    if array.ndim == 3:
        return _fastestdet(name, array, input_px, classes, refusals)
    if array.ndim != 2:
        return []
    found = _end2end(name, array, input_px, classes, refusals)
    if found:
        return found
    return [
        *_dense(name, array, input_px, classes, refusals, anchors_first=True),
        *_dense(name, array.T, input_px, classes, refusals, anchors_first=False),
    ]


def _scores_wrong(scores: FloatArray) -> str | None:
    if not np.isfinite(scores).all():
        return "scores are not finite"
    low, high = (float(scores.min()), float(scores.max())) if scores.size else (0.0, 0.0)
    if low < -_SCORE_SLACK or high > 1 + _SCORE_SLACK:
        return f"scores reach from {low:.3g} to {high:.3g}, not within [0, 1]: logits?"
    return None


def _end2end(
    name: str, rows: FloatArray, input_px: Size, classes: int | None, refusals: list[str]
) -> list[Reading]:
    if rows.shape[1] != 6 or not len(rows):
        return []
    score, class_id = rows[:, 4], rows[:, 5]
    whole = bool(np.all(np.abs(class_id - np.rint(class_id)) < 1e-4))
    ordered = bool(np.all(rows[:, 2:4] >= rows[:, :2] - 1e-3))
    if not whole or not ordered or _scores_wrong(score):
        return []
    top_class = int(class_id.max(initial=0))
    if classes is not None and top_class >= classes:
        refusals.append(f"{name} gives class {top_class}, beyond the last label")
        return []
    used = rows[score > 0]
    units: Literal["pixels", "fraction"] = "pixels"
    if len(used) and float(np.abs(used[:, :4]).max()) <= 2:
        units = "fraction"
    evidence = [f"{name}: {len(rows)} rows of 6, whole-numbered classes, corners in order, scores in [0, 1]"]
    if not len(used):
        evidence.append(
            "no box on the probe, so pixels are assumed; a --probe picture with objects proves it"
        )
    elif not _inside(used[:, :4], input_px, units):
        refusals.append(f"{name} looks end-to-end, but its boxes lie outside the input")
        return []
    spec = DecoderSpec(kind="end2end", outputs=(name,), units=units, nms=False)
    return [Reading(spec, "ultralytics", classes or top_class + 1, tuple(evidence))]


def _inside(xyxy: FloatArray, input_px: Size, units: str) -> bool:
    scale = np.array(input_px if units == "pixels" else (1, 1), np.float32)
    centre = (xyxy[:, :2] + xyxy[:, 2:]) / 2 / scale
    return bool(np.mean((centre > -0.2) & (centre < 1.2)) > 0.9)


def _dense(
    name: str,
    rows: FloatArray,
    input_px: Size,
    classes: int | None,
    refusals: list[str],
    *,
    anchors_first: bool,
) -> list[Reading]:
    """Read N x columns; ``anchors_first`` says how the graph had it."""
    count, columns = rows.shape
    for strides, per_cell in itertools.product(STRIDE_SETS, (1, 3) if anchors_first else (1,)):
        if count != per_cell * anchor_count(input_px, strides):
            continue
        extra = _columns_before_classes(columns, per_cell, classes, anchors_first=anchors_first)
        if extra is None:
            refusals.append(_wrong_columns(name, columns, classes))
            continue
        wrong = _scores_wrong(rows[:, 4:])
        if wrong:
            refusals.append(f"{name}: {wrong}")
            continue
        reading = _by_centres(name, rows, input_px, strides, per_cell, extra, anchors_first)
        if reading is not None:
            return [reading]
        refusals.append(f"{name}: {count} anchors fit strides {strides}, but boxes do not lie at their cells")
    return []


def _columns_before_classes(
    columns: int, per_cell: int, classes: int | None, *, anchors_first: bool
) -> int | None:
    """Return 4 (boxes) or 5 (boxes and objectness), None where neither fits the labels."""
    # objectness came only with rows of anchors; YOLOv8 and its heirs, without it, put columns of them
    options = [4] if not anchors_first else [5] if per_cell == 3 else [5, 4]
    if classes is None:
        return options[0] if columns > options[0] else None
    return next((extra for extra in options if columns - extra == classes), None)


def _wrong_columns(name: str, columns: int, classes: int | None) -> str:
    return (
        f"{name} has {columns} values an anchor, so {columns - 4} classes, or {columns - 5} with objectness, "
        f"and {classes} labels were given; a segmentation, pose or oriented-box model has more values too"
    )


def _by_centres(
    name: str,
    rows: FloatArray,
    input_px: Size,
    strides: tuple[int, ...],
    per_cell: int,
    extra: int,
    anchors_first: bool,  # noqa: FBT001 - passed on from a keyword
) -> Reading | None:
    distances = {
        "pixels": _centre_distance(rows[:, :2], input_px, strides, per_cell),
        "fraction": _centre_distance(
            rows[:, :2] * np.array(input_px, np.float32), input_px, strides, per_cell
        ),
    }
    if extra == 5 and per_cell == 1:
        corner, stride = grid_centres(input_px, strides, offset=0.0)
        distances["grid"] = _centre_distance(rows[:, :2] * stride + corner, input_px, strides, 1)
    units, distance = min(distances.items(), key=lambda item: item[1])
    if not distance < MAX_CENTRE_DISTANCE:
        return None
    if units != "grid" and bool((rows[:, 2:4] < -_SCORE_SLACK).any()):
        return None
    evidence = (
        f"{name}: {len(rows)} anchors = {per_cell} a cell at strides {', '.join(map(str, strides))}",
        f"{rows.shape[1]} values an anchor = {extra} + {rows.shape[1] - extra} classes",
        f"box centres lie {distance:.2f} strides from their cells (median) when read as {units}; "
        + ", ".join(f"{value:.1f} as {key}" for key, value in distances.items() if key != units),
    )
    spec = DecoderSpec(
        kind="yolox" if units == "grid" else ("yolov8" if extra == 4 else "yolov5"),
        outputs=(name,),
        units="fraction" if units == "fraction" else "pixels",
        anchors_first=anchors_first,
        strides=strides,
    )
    family: Family = "yolox" if extra == 5 and per_cell == 1 else "ultralytics"
    return Reading(spec, family, rows.shape[1] - extra, evidence)


def _centre_distance(centres: FloatArray, input_px: Size, strides: tuple[int, ...], per_cell: int) -> float:
    """Median distance in strides between predicted and own centre; inf where not finite."""
    own, sizes = [], []
    for stride in strides:
        points, stride_px = grid_centres(input_px, (stride,))
        own.append(np.tile(points, (per_cell, 1)))
        sizes.append(np.tile(stride_px, (per_cell, 1)))
    distance = np.abs(centres - np.concatenate(own)).max(1) / np.concatenate(sizes)[:, 0]
    return float(np.median(distance)) if np.isfinite(distance).all() else float("inf")


def _fastestdet(
    name: str, array: FloatArray, input_px: Size, classes: int | None, refusals: list[str]
) -> list[Reading]:
    columns, height, width = array.shape
    stride = input_px[0] // width if width else 0
    if stride not in (8, 16, 32) or (width, height) != (input_px[0] // stride, input_px[1] // stride):
        return []
    if classes is not None and columns != 5 + classes:
        refusals.append(f"{name} has {columns} maps, so {columns - 5} classes (FastestDet)")
        return []
    scores = np.concatenate([array[:1], array[5:]])
    wrong = _scores_wrong(scores)
    sums = array[5:].sum(0)
    if wrong or float(np.abs(sums - 1).max()) > 0.02:
        refusals.append(f"{name}: {wrong or 'class maps do not add up to 1, as FastestDet makes them'}")
        return []
    evidence = (
        f"{name}: {columns} maps of {width}x{height} at stride {stride}",
        f"objectness, 4 sides and {columns - 5} classes",
        "class maps add up to 1 in every cell",
    )
    spec = DecoderSpec(kind="fastestdet", outputs=(name,), strides=(stride,))
    return [Reading(spec, "fastestdet", columns - 5, evidence)]


def _groups(outputs: Mapping[str, FloatArray], input_px: Size, classes: int | None) -> list[Reading]:
    return [*_nanodet(outputs, input_px, classes), *_yolov5_raw(outputs, input_px, classes)]


def _nanodet(outputs: Mapping[str, FloatArray], input_px: Size, classes: int | None) -> list[Reading]:
    for strides in STRIDE_SETS:
        cells = [anchor_count(input_px, (stride,)) for stride in strides]
        maps = [
            [name for name, array in outputs.items() if array.ndim == 2 and len(array) == count]
            for count in cells
        ]
        if len(outputs) != 2 * len(strides) or any(len(names) != 2 for names in maps):
            continue
        pairs = [sorted(names, key=lambda name: _scores_wrong(outputs[name]) is not None) for names in maps]
        widths = {(outputs[first].shape[1], outputs[second].shape[1]) for first, second in pairs}
        found, sides = next(iter(widths))
        bins = sides // 4
        fits = len(widths) == 1 and sides % 4 == 0 and _NANODET_BINS[0] <= bins <= _NANODET_BINS[1]
        if not fits or (classes is not None and classes != found):
            continue
        if any(_scores_wrong(outputs[first]) for first, _ in pairs):
            continue
        names = (*(first for first, _ in pairs), *(second for _, second in pairs))
        evidence = (
            f"{len(names)} heads: {found} classes and 4 x {bins} side bins",
            f"strides {', '.join(map(str, strides))}",
            "class heads lie within [0, 1]",
        )
        spec = DecoderSpec(kind="nanodet", outputs=names, strides=strides)
        return [Reading(spec, "nanodet", found, evidence)]
    return []


def _yolov5_raw(outputs: Mapping[str, FloatArray], input_px: Size, classes: int | None) -> list[Reading]:
    strides = (8, 16, 32)
    if len(outputs) != len(strides):
        return []
    ordered = sorted(outputs, key=lambda name: -outputs[name].size)
    columns = set()
    for name, stride in zip(ordered, strides, strict=True):
        array = outputs[name]
        width, height = input_px[0] // stride, input_px[1] // stride
        if array.ndim == 4 and array.shape[:3] == (3, height, width):
            columns.add(array.shape[3])
        elif array.ndim == 3 and array.shape[1:] == (height, width) and array.shape[0] % 3 == 0:
            columns.add(array.shape[0] // 3)
        else:
            return []
    found = columns.pop() - 5
    if columns or found < 1 or (classes is not None and classes != found):
        return []
    evidence = (
        f"3 heads of 3 anchors x (5 + {found} classes) at strides 8, 16, 32",
        "raw logits: the anchors of YOLOv5 v6.1 are assumed",
    )
    spec = DecoderSpec(kind="yolov5_raw", outputs=tuple(ordered), strides=strides)
    return [Reading(spec, "ultralytics", found, evidence)]

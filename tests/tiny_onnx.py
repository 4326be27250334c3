"""Small ONNX files with planted boxes: the inverse of every decoder, written from the papers' formulas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = (96, 64)  # width, height: not square, so that a swap of x and y shows
STRIDES = (8, 16, 32)
CLASSES = 3
LABELS = ("car", "bus", "smoke")
ANCHORS = {
    8: ((10, 13), (16, 30), (33, 23)),
    16: ((30, 61), (62, 45), (59, 119)),
    32: ((116, 90), (156, 198), (373, 326)),
}


@dataclass(frozen=True)
class Box:
    """A box to be found: corners in input pixels, class, score, and the level that predicts it."""

    xyxy: tuple[float, float, float, float]
    class_id: int
    score: float
    stride: int = 8

    @property
    def centre(self) -> np.ndarray:
        return np.array([self.xyxy[0] + self.xyxy[2], self.xyxy[1] + self.xyxy[3]]) / 2

    @property
    def size(self) -> np.ndarray:
        return np.array([self.xyxy[2] - self.xyxy[0], self.xyxy[3] - self.xyxy[1]])

    @property
    def cell(self) -> np.ndarray:
        return np.floor(self.centre / self.stride).astype(int)


BOXES = (
    Box((10.0, 5.0, 34.0, 21.0), 0, 0.9, 8),
    Box((50.5, 20.25, 80.5, 60.25), 2, 0.75, 16),
    Box((1.0, 33.0, 47.0, 63.0), 1, 0.5, 32),
)


def grid(stride: int, size: tuple[int, int] = SIZE) -> tuple[int, int]:
    return size[0] // stride, size[1] // stride


def cells(stride: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Cell indices (n, 2) as x, y, row by row."""
    width, height = grid(stride, size)
    return np.array([(x, y) for y in range(height) for x in range(width)])


def index_of(box: Box, per_cell: int = 1, anchor: int = 0) -> int:
    """Index of the anchor that predicts the box in a dense output over all levels."""
    start = sum(per_cell * len(cells(stride)) for stride in STRIDES if stride < box.stride)
    width, height = grid(box.stride)
    return start + anchor * width * height + int(box.cell[1]) * width + int(box.cell[0])


def background(per_cell: int) -> np.ndarray:
    """Rows cx, cy, w, h of anchors that sit on their own cells."""
    parts = []
    for stride in STRIDES:
        own = (cells(stride) + 0.5) * stride
        parts += [np.hstack([own, np.full_like(own, stride)])] * per_cell
    return np.vstack(parts)


def yolov5(boxes: Sequence[Box] = BOXES, *, per_cell: int = 3, classes: int = CLASSES) -> np.ndarray:
    """N x (5+C), decoded; one anchor a cell makes it a decoded YOLOX."""
    rows = np.hstack([background(per_cell), np.full((len(background(per_cell)), 1 + classes), 0.01)])
    for box in boxes:
        row = rows[index_of(box, per_cell, anchor=per_cell - 1)]
        row[:2], row[2:4] = box.centre, box.size
        row[4], row[5 + box.class_id] = 0.95, box.score / 0.95
    return rows


def yolov8(boxes: Sequence[Box] = BOXES, *, classes: int = CLASSES) -> np.ndarray:
    """(4+C) x N."""
    rows = np.hstack([background(1), np.full((len(background(1)), classes), 0.01)])
    for box in boxes:
        row = rows[index_of(box)]
        row[:2], row[2:4], row[4 + box.class_id] = box.centre, box.size, box.score
    return rows.T


def yolox(boxes: Sequence[Box] = BOXES) -> np.ndarray:
    """N x (5+C), offsets from the cell's corner and log sizes, both in strides."""
    rows = yolov5(boxes, per_cell=1)
    corners = np.vstack([cells(stride) * stride for stride in STRIDES])
    strides = np.concatenate([np.full(len(cells(stride)), stride) for stride in STRIDES])[:, None]
    rows[:, :2] = (rows[:, :2] - corners) / strides
    rows[:, 2:4] = np.log(rows[:, 2:4] / strides)
    return rows


def logit(p: np.ndarray | float) -> np.ndarray:
    return np.log(np.asarray(p) / (1 - np.asarray(p)))


def yolov5_raw(boxes: Sequence[Box] = BOXES) -> dict[str, np.ndarray]:
    """Per level 3 x H x W x (5+C) logits; Ultralytics YOLOv5 v6: xy = (2s - 0.5 + cell) stride."""
    out = {}
    for stride in STRIDES:
        width, height = grid(stride)
        raw = np.full((3, height, width, 5 + CLASSES), -6.0)
        raw[..., :4] = 0
        for box in boxes:
            if box.stride == stride:
                row = raw[0, box.cell[1], box.cell[0]]
                row[:2] = logit((box.centre / stride - box.cell + 0.5) / 2)
                row[2:4] = logit(np.sqrt(box.size / ANCHORS[stride][0]) / 2)
                row[4], row[5 + box.class_id] = logit(0.95), logit(box.score / 0.95)
        out[f"head{stride}"] = raw
    return out


def end2end(boxes: Sequence[Box] = BOXES, rows: int = 20) -> np.ndarray:
    """K x 6, best first, filled up with zeros."""
    out = np.zeros((rows, 6))
    for row, box in zip(out, sorted(boxes, key=lambda item: -item.score), strict=False):
        row[:4], row[4], row[5] = box.xyxy, box.score, box.class_id
    return out


def fastestdet(boxes: Sequence[Box] = BOXES) -> np.ndarray:
    """(5+C) x H x W at stride 16; score = objectness^0.6 class^0.4."""
    stride = 16
    width, height = grid(stride)
    maps = np.zeros((5 + CLASSES, height, width))
    maps[0], maps[5:] = 0.01, 1 / CLASSES
    for box in boxes:
        x, y = np.floor(box.centre / stride).astype(int)
        best = 0.9
        maps[0, y, x] = (box.score / best**0.4) ** (1 / 0.6)
        maps[1:3, y, x] = np.arctanh(box.centre / stride - (x, y))
        maps[3:5, y, x] = logit(box.size / SIZE)
        maps[5:, y, x] = (1 - best) / (CLASSES - 1)
        maps[5 + box.class_id, y, x] = best
    return maps


def nanodet(boxes: Sequence[Box] = BOXES) -> dict[str, np.ndarray]:
    """Per level HW x C scores and HW x 4*8 side logits; a side is the mean of its distribution."""
    bins = 8
    scores, sides = {}, {}
    for stride in STRIDES:
        found = np.full((len(cells(stride)), CLASSES), 0.01)
        logits = np.full((len(cells(stride)), 4, bins), -40.0)
        logits[:, :, 1] = 0
        for box in (item for item in boxes if item.stride == stride):
            index = int(box.cell[1]) * grid(stride)[0] + int(box.cell[0])
            own = (box.cell + 0.5) * stride
            distance = np.concatenate([own - box.xyxy[:2], np.array(box.xyxy[2:]) - own]) / stride
            for side, value in enumerate(distance):
                low = int(value)
                logits[index, side] = -40
                logits[index, side, low] = np.log(max(1 - (value - low), 1e-17))
                logits[index, side, low + 1] = np.log(max(value - low, 1e-17))
            found[index, box.class_id] = box.score
        scores[f"cls{stride}"], sides[f"dis{stride}"] = found, logits.reshape(len(found), -1)
    return {**scores, **sides}


def write(
    path: Path,
    outputs: Mapping[str, np.ndarray],
    *,
    batch: int | str = 1,
    size: tuple[int, int] | None = SIZE,
    metadata: Mapping[str, str] | None = None,
    float16: bool = False,
    responsive: bool = False,
) -> Path:
    """Write a graph that gives ``outputs`` (no batch axis) for every picture of a batch.

    ``batch`` a name makes the axis free. ``size`` None makes height and width free. ``responsive``
    scales every output by the mean of the picture, so that batch rows can be told apart.
    """
    kind = TensorProto.FLOAT16 if float16 else TensorProto.FLOAT
    dtype = np.float16 if float16 else np.float32
    width, height = size or ("w", "h")
    image = helper.make_tensor_value_info("images", kind, [batch, 3, height, width])
    nodes: list[Any] = [helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=1)]
    constants, infos = [], []
    constants.append(numpy_helper.from_array(np.zeros(1, dtype), "zero"))
    if not responsive:
        nodes.append(helper.make_node("Mul", ["mean", "zero"], ["nothing"]))
    for name, array in outputs.items():
        tied = helper.make_node(
            "Reshape", ["mean" if responsive else "nothing", f"{name}_ones"], [f"{name}_tie"]
        )
        constants.append(numpy_helper.from_array(np.array([-1] + [1] * array.ndim, np.int64), f"{name}_ones"))
        constants.append(numpy_helper.from_array(array[None].astype(dtype), f"{name}_planted"))
        join = helper.make_node("Mul" if responsive else "Add", [f"{name}_planted", f"{name}_tie"], [name])
        nodes += [tied, join]
        infos.append(helper.make_tensor_value_info(name, kind, [batch, *array.shape]))
    graph = helper.make_graph(nodes, "tiny", [image], infos, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, dict(metadata or {}))
    onnx.save(model, str(path))
    return path


def ultralytics_metadata(labels: Sequence[str] = LABELS, **more: str) -> dict[str, str]:
    """What Ultralytics' exporter writes."""
    return {
        "task": "detect",
        "stride": "32",
        "names": str(dict(enumerate(labels))),
        "imgsz": str([SIZE[1], SIZE[0]]),
        "license": "AGPL-3.0",
        **more,
    }

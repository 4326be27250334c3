"""From a network's raw outputs to candidate boxes in input pixels, one function a head layout.

Every decoder takes the outputs of one picture (no batch axis), drops what lies below the
confidence before it computes boxes, and returns :class:`Candidates`. NMS comes after, elsewhere.

Layouts (C classes, N anchors, strides 8, 16, 32 unless said otherwise):

=============  ==============================================  ====================================
kind           outputs                                         source
=============  ==============================================  ====================================
yolov5         N x (5+C): cx, cy, w, h, objectness, classes    Ultralytics YOLOv5, v7; YOLOX decoded
yolov5_raw     per level A x H x W x (5+C) logits              YOLOv5 without its Detect tail
yolov8         (4+C) x N: cx, cy, w, h, classes                Ultralytics YOLOv8, 9, 11, 12
end2end        K x 6: left, top, right, bottom, score, class   YOLOv10, YOLO26, exports with NMS
yolox          N x (5+C): grid offsets, log sizes              Megvii YOLOX
fastestdet     (5+C) x H x W                                   dog-qiuqiu FastestDet
nanodet        per level HW x C and HW x 4(R+1)                RangiLyu NanoDet
=============  ==============================================  ====================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from models.detections import FloatArray, IntArray
from towerwatch.yamlconfig import StrictModel

DecoderKind = Literal["yolov5", "yolov5_raw", "yolov8", "end2end", "yolox", "fastestdet", "nanodet"]
Size = tuple[int, int]
AnchorSizes = tuple[tuple[float, float], ...]

# width and height in pixels for strides 8, 16, 32: YOLOv5 v6.1, models/yolov5n.yaml
YOLOV5_ANCHORS: tuple[AnchorSizes, ...] = (
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)


class DecoderSpec(StrictModel):
    """Which head a model has.

    Attributes:
        kind: the layout; see the module.
        outputs: names of the graph outputs it needs, in the order that the layout wants.
        units: whether boxes are in input pixels or in fractions of the input.
        anchors_first: for ``yolov8`` alone, N x (4+C) instead of (4+C) x N.
        strides: pixels of the input per cell of each level.
        anchors_px: for ``yolov5_raw`` alone, anchor sizes per level.
        nms: False where the network has done it itself.

    """

    kind: DecoderKind
    outputs: tuple[str, ...] = Field(min_length=1)
    units: Literal["pixels", "fraction"] = "pixels"
    anchors_first: bool = False
    strides: tuple[int, ...] = (8, 16, 32)
    anchors_px: tuple[AnchorSizes, ...] = YOLOV5_ANCHORS
    nms: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Boxes before NMS: corners in input pixels (n, 4), confidence (n,), class (n,)."""

    xyxy: FloatArray
    confidence: FloatArray
    class_id: IntArray


@dataclass(frozen=True, slots=True)
class HeadShape:
    """What the outputs are measured against: input (width, height) in pixels and class count."""

    input_px: Size
    classes: int


Outputs = Sequence[FloatArray]
Decoder = Callable[[Outputs, DecoderSpec, HeadShape, float], Candidates]


def decode(outputs: Outputs, spec: DecoderSpec, head: HeadShape, confidence: float) -> Candidates:
    """Decode the outputs of one picture (no batch axis), best class per anchor.

    Args:
        outputs: arrays in the order of ``spec.outputs``.
        spec: the head layout.
        head: input size and number of classes.
        confidence: candidates below it are dropped.

    Raises:
        ValueError: an output has another shape than the layout wants; names both.

    """
    found = DECODERS[spec.kind](outputs, spec, head, confidence)
    # half precision overflows; one box that is no number would spoil the NMS of all
    sound = np.isfinite(found.xyxy).all(1) & np.isfinite(found.confidence)
    scale = np.array([*head.input_px, *head.input_px] if spec.units == "fraction" else [1.0], np.float32)
    return Candidates(found.xyxy[sound] * scale, found.confidence[sound], found.class_id[sound])


def grid_centres(
    input_px: Size, strides: Sequence[int], offset: float = 0.5
) -> tuple[FloatArray, FloatArray]:
    """Return cell positions (n, 2) in input pixels, and the stride of each (n, 1).

    Levels in the order of ``strides``, each row by row; ``offset`` 0.5 gives centres, 0 corners.
    """
    points, sizes = [], []
    for stride in strides:
        width, height = (-(-side // stride) for side in input_px)
        y, x = np.mgrid[:height, :width].astype(np.float32)
        points.append((np.stack([x, y], -1).reshape(-1, 2) + offset) * stride)
        sizes.append(np.full((width * height, 1), stride, np.float32))
    return np.concatenate(points), np.concatenate(sizes)


def anchor_count(input_px: Size, strides: Sequence[int]) -> int:
    """Count the cells of all levels, partial ones included."""
    return sum((-(-input_px[0] // stride)) * (-(-input_px[1] // stride)) for stride in strides)


def _expect(array: npt.NDArray[np.float32], shape: tuple[int | None, ...], kind: str) -> None:
    fits = array.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        want = ", ".join("any" if side is None else str(side) for side in shape)
        msg = f"{kind}: expected an output of shape ({want}), got {array.shape}"
        raise ValueError(msg)


def _corners(cxcywh: FloatArray) -> FloatArray:
    half = cxcywh[:, 2:4] / 2
    return np.concatenate([cxcywh[:, :2] - half, cxcywh[:, :2] + half], 1)


def _sigmoid(x: FloatArray) -> FloatArray:
    # the clip keeps exp in range; beyond it the result is 0 or 1 in float32 anyway
    return (1 / (1 + np.exp(-np.clip(x, -60, 60)))).astype(np.float32)


def _best(classes: FloatArray) -> tuple[FloatArray, IntArray]:
    """Best score and its class along the last axis of (n, C)."""
    best = classes.argmax(1)
    return classes[np.arange(len(classes)), best], best.astype(np.int32)


def _with_objectness(
    rows: FloatArray, confidence: float
) -> tuple[npt.NDArray[np.intp], FloatArray, IntArray]:
    """Pick rows of N x (5+C) whose objectness times best class reaches ``confidence``."""
    # a product of two numbers below 1 cannot exceed either, so objectness alone rejects most
    likely = np.flatnonzero(rows[:, 4] >= confidence)
    score, class_id = _best(rows[likely, 5:])
    score = score * rows[likely, 4]
    keep = score >= confidence
    return likely[keep], score[keep], class_id[keep]


def _yolov5(outputs: Outputs, spec: DecoderSpec, head: HeadShape, confidence: float) -> Candidates:
    rows = outputs[0]
    _expect(rows, (None, 5 + head.classes), spec.kind)
    keep, score, class_id = _with_objectness(rows, confidence)
    return Candidates(_corners(rows[keep, :4]), score, class_id)


def _yolov5_raw(outputs: Outputs, spec: DecoderSpec, head: HeadShape, confidence: float) -> Candidates:
    """YOLOv5 v6: xy = (2 sigmoid - 0.5 + cell) stride, wh = (2 sigmoid)^2 anchor."""
    parts = []
    for raw, stride, sizes in zip(outputs, spec.strides, spec.anchors_px, strict=True):
        width, height = (-(-side // stride) for side in head.input_px)
        if raw.ndim == 3:  # A*(5+C) x H x W, as exports for accelerators have it
            _expect(raw, (len(sizes) * (5 + head.classes), height, width), spec.kind)
            level = raw.reshape(len(sizes), 5 + head.classes, height, width).transpose(0, 2, 3, 1)
        else:
            _expect(raw, (len(sizes), height, width, 5 + head.classes), spec.kind)
            level = raw
        rows = _sigmoid(level.reshape(-1, 5 + head.classes))
        corner, _ = grid_centres(head.input_px, (stride,), offset=0.0)
        corners = np.tile(corner, (len(sizes), 1))
        anchors = np.repeat(np.asarray(sizes, np.float32), width * height, axis=0)
        keep, score, class_id = _with_objectness(rows, confidence)
        centre = (rows[keep, :2] * 2 - 0.5) * stride + corners[keep]
        size = (rows[keep, 2:4] * 2) ** 2 * anchors[keep]
        parts.append(Candidates(_corners(np.concatenate([centre, size], 1)), score, class_id))
    return _joined(parts)


def _yolov8(outputs: Outputs, spec: DecoderSpec, head: HeadShape, confidence: float) -> Candidates:
    columns = outputs[0].T if spec.anchors_first else outputs[0]
    _expect(columns, (4 + head.classes, None), spec.kind)
    top = columns[4:].max(0)
    keep = np.flatnonzero(top >= confidence)
    class_id = columns[4:, keep].argmax(0).astype(np.int32)
    return Candidates(_corners(columns[:4, keep].T), top[keep], class_id)


def _end2end(outputs: Outputs, spec: DecoderSpec, head: HeadShape, confidence: float) -> Candidates:
    rows = outputs[0]
    _expect(rows, (None, 6), spec.kind)
    class_id = np.rint(rows[:, 5]).astype(np.int32)
    keep = (rows[:, 4] >= confidence) & (class_id >= 0) & (class_id < head.classes)
    return Candidates(rows[keep, :4], rows[keep, 4], class_id[keep])


def _yolox(outputs: Outputs, spec: DecoderSpec, head: HeadShape, confidence: float) -> Candidates:
    """YOLOX: xy = (offset + cell) stride, wh = exp(log size) stride."""
    rows = outputs[0]
    _expect(rows, (anchor_count(head.input_px, spec.strides), 5 + head.classes), spec.kind)
    corner, stride = grid_centres(head.input_px, spec.strides, offset=0.0)
    keep, score, class_id = _with_objectness(rows, confidence)
    centre = rows[keep, :2] * stride[keep] + corner[keep]
    size = np.exp(np.minimum(rows[keep, 2:4], 20)) * stride[keep]
    return Candidates(_corners(np.concatenate([centre, size], 1)), score, class_id)


def _fastestdet(outputs: Outputs, spec: DecoderSpec, head: HeadShape, confidence: float) -> Candidates:
    """FastestDet: score = objectness^0.6 class^0.4; xy by tanh, wh by sigmoid of the whole input."""
    (stride,) = spec.strides
    width, height = (-(-side // stride) for side in head.input_px)
    _expect(outputs[0], (5 + head.classes, height, width), spec.kind)
    rows = outputs[0].reshape(5 + head.classes, -1).T
    best, class_id = _best(rows[:, 5:])
    score = np.clip(rows[:, 0], 0, 1) ** 0.6 * np.clip(best, 0, 1) ** 0.4
    keep = np.flatnonzero(score >= confidence)
    corner, _ = grid_centres(head.input_px, (stride,), offset=0.0)
    centre = corner[keep] + np.tanh(rows[keep, 1:3]) * stride
    size = _sigmoid(rows[keep, 3:5]) * np.array(head.input_px, np.float32)
    return Candidates(_corners(np.concatenate([centre, size], 1)), score[keep], class_id[keep])


def _nanodet(outputs: Outputs, spec: DecoderSpec, head: HeadShape, confidence: float) -> Candidates:
    """NanoDet: each side is the mean of a distribution over 0..R (Generalized Focal Loss), in strides.

    Outputs are the class maps of all levels, then the side maps of all levels.
    """
    levels = len(spec.strides)
    parts = []
    for classes, sides, stride in zip(outputs[:levels], outputs[levels:], spec.strides, strict=True):
        cells = anchor_count(head.input_px, (stride,))
        _expect(classes, (cells, head.classes), spec.kind)
        _expect(sides, (cells, None), spec.kind)
        score, class_id = _best(classes)
        keep = np.flatnonzero(score >= confidence)
        logits = sides[keep].reshape(len(keep), 4, sides.shape[1] // 4)
        weights = np.exp(logits - logits.max(2, keepdims=True))
        steps = np.arange(weights.shape[2], dtype=np.float32)
        distance = (weights @ steps) / weights.sum(2) * stride
        centre = grid_centres(head.input_px, (stride,))[0][keep]
        xyxy = np.concatenate([centre - distance[:, :2], centre + distance[:, 2:]], 1)
        parts.append(Candidates(xyxy, score[keep], class_id[keep]))
    return _joined(parts)


def _joined(parts: Sequence[Candidates]) -> Candidates:
    return Candidates(
        np.concatenate([part.xyxy for part in parts]),
        np.concatenate([part.confidence for part in parts]),
        np.concatenate([part.class_id for part in parts]),
    )


DECODERS: dict[DecoderKind, Decoder] = {
    "yolov5": _yolov5,
    "yolov5_raw": _yolov5_raw,
    "yolov8": _yolov8,
    "end2end": _end2end,
    "yolox": _yolox,
    "fastestdet": _fastestdet,
    "nanodet": _nanodet,
}

"""Class-aware non-maximum suppression, by OpenCV."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from models.detections import FloatArray, IntArray

MAX_CANDIDATES = 3000
"""Best candidates that enter; what lies below has never been a box that anybody wanted."""


def nms(xyxy: FloatArray, confidence: FloatArray, class_id: IntArray, iou: float) -> npt.NDArray[np.intp]:
    """Greedy suppression within each class: drop a box that overlaps a better one by more than ``iou``.

    Args:
        xyxy: (n, 4) corners in any unit.
        confidence: (n,).
        class_id: (n,); boxes of different classes never suppress each other.
        iou: in [0, 1].

    Returns:
        Indices of the boxes kept, by falling confidence.

    """
    order = np.argsort(-confidence, kind="stable")[:MAX_CANDIDATES]
    if not len(order):
        return np.zeros(0, np.intp)
    boxes = xyxy[order].astype(np.float64)
    # OpenCV keeps classes apart by shifting them along x and y by the largest coordinate: true
    # only while no coordinate is negative
    boxes[:, :2] -= boxes[:, :2].min(axis=0)
    boxes[:, 2:] -= xyxy[order, :2].astype(np.float64).min(axis=0)
    boxes[:, 2:] = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    # its type stub wants lists, the function takes arrays
    arrays = cast("tuple[Any, Any, Any]", (boxes, confidence[order], class_id[order]))
    kept = cv2.dnn.NMSBoxesBatched(*arrays, -1.0, iou)
    return order[np.sort(np.asarray(kept, np.intp).reshape(-1))]

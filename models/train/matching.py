"""Pair boxes that were found with boxes that are true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.detections import Detections
from models.train.samples import BoxArray, Sample

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One picture at a threshold.

    Attributes:
        sample: the picture and its labels.
        size_px: its width and height.
        truth: true boxes in px, (n, 4).
        found: all that was found, from the lowest confidence on.
        sure: what was found at the threshold.
        hit: which of ``truth`` have a partner among ``sure``, (n,).
        right: which of ``sure`` have a partner among ``truth``.

    """

    sample: Sample
    size_px: tuple[int, int]
    truth: BoxArray
    found: Detections
    sure: Detections
    hit: Flags
    right: Flags


def iou_matrix(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Intersection over union, shape (n, m), of corner boxes (n, 4) and (m, 4)."""
    if not len(left) or not len(right):
        return np.zeros((len(left), len(right)))
    low = np.maximum(left[:, None, :2], right[None, :, :2])
    high = np.minimum(left[:, None, 2:], right[None, :, 2:])
    shared = (high - low).clip(0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (left, right)]
    return np.asarray(shared / np.maximum(areas[0][:, None] + areas[1][None, :] - shared, 1e-9), np.float64)


def match(truth: BoxArray, found: BoxArray, iou: float) -> tuple[Flags, Flags]:
    """Pair boxes greedily in the order of ``found`` (by falling confidence), each used once.

    Returns which of ``truth`` were hit (n,) and which of ``found`` were right (m,).
    """
    overlaps = iou_matrix(found, truth)
    hit, right = np.zeros(len(truth), np.bool_), np.zeros(len(found), np.bool_)
    for row in range(len(found)):
        free = np.where(hit, -1.0, overlaps[row])
        if len(free) and free.max() >= iou:
            hit[int(free.argmax())] = True
            right[row] = True
    return hit, right


def areas_px(boxes: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Areas of corner boxes (n, 4); (n,)."""
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), np.float64)

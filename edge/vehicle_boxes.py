"""The vehicles that a detector found in one picture, each once, in the way of the street rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from edge.observe import Box, Observation
from edge.shapes import area, same_vehicles
from models.detections import Detections


@dataclass(frozen=True, slots=True)
class Seen:
    """One vehicle box of one observation, in fractions of the frame."""

    box: Box
    confidence: float
    label: str


def vehicles_of(detections: Detections, seen: Observation, labels: Sequence[str], least: float) -> list[Seen]:
    """Return the boxes of wanted classes, each vehicle once, in fractions of the frame.

    A detector may see one vehicle as car and as truck; the surer box stays (IoU 0.6, or one inside
    the other by nine tenths of its area and of like size).
    """
    return list(_vehicles_of(detections, seen.size_px, tuple(labels), least))


@lru_cache(maxsize=4)  # all rules of a view ask about the same detections, one after the other
def _vehicles_of(
    detections: Detections, size_px: tuple[int, int], labels: tuple[str, ...], least: float
) -> tuple[Seen, ...]:
    width, height = size_px
    wanted = detections.with_labels(labels)
    order = np.argsort(-wanted.confidence, kind="stable")
    order = order[wanted.confidence[order].astype(np.float64) >= least]
    boxes: list[Box] = [
        (x1 / width, y1 / height, x2 / width, y2 / height) for x1, y1, x2, y2 in wanted.xyxy[order].tolist()
    ]
    alike = same_vehicles(boxes, boxes, 0.6, 0.9)
    kept: list[int] = []
    for row, box in enumerate(boxes):
        if area(box) > 0 and not alike[kept, row].any():
            kept.append(row)
    chosen = [(boxes[row], int(order[row])) for row in kept]
    return tuple(Seen(box, float(wanted.confidence[index]), wanted.label_of(index)) for box, index in chosen)

"""Let a ready detector complete the labels of a source, or name the pictures it doubts."""

from __future__ import annotations

import numpy as np

from models.detector import Detector
from models.train.samples import BoxArray, Sample, box_array
from models.train.tiles import Picture

KNOWN_OVERLAP = 0.3  # of the smaller box: what overlaps a label by this much is the labelled thing


def teacher_boxes(detector: Detector, picture: Picture, wanted: tuple[str, ...]) -> BoxArray:
    """Detect on the whole picture and on its four overlapping quarters; fractions of the picture, (n, 4)."""
    height, width = picture.shape[:2]
    half = (int(width * 0.6), int(height * 0.6))
    corners = [(0, 0), (width - half[0], 0), (0, height - half[1]), (width - half[0], height - half[1])]
    crops = [picture, *(np.ascontiguousarray(picture[y : y + half[1], x : x + half[0]]) for x, y in corners)]
    found: list[tuple[float, tuple[float, float, float, float]]] = []
    for (x, y), crop in zip([(0, 0), *corners], crops, strict=True):
        result = detector.detect([crop])[0].with_labels(wanted)
        at_edge = _touches_cut(result.xyxy, (x, y), crop.shape[:2], (height, width))
        for box, confidence, cut in zip(result.xyxy, result.confidence, at_edge, strict=True):
            if not cut:
                moved = (box + np.array([x, y, x, y])) / np.array([width, height, width, height])
                found.append((float(confidence), (moved[0], moved[1], moved[2], moved[3])))
    found.sort(key=lambda item: -item[0])
    kept: list[tuple[float, float, float, float]] = []
    for _confidence, box in found:
        if not kept or overlap_of_smaller(box_array([box]), box_array(kept)).max() < 0.5:
            kept.append(box)
    return box_array(kept)


def complete(sample: Sample, extra: BoxArray, label: str) -> Sample:
    """Add the teacher's boxes that no label of the sample covers."""
    if not len(extra):
        return sample
    fresh = extra
    if len(sample.boxes):
        fresh = extra[overlap_of_smaller(extra, sample.boxes).max(axis=1) < KNOWN_OVERLAP]
    boxes = np.vstack([sample.boxes, fresh])
    return Sample(sample.picture, boxes, (*sample.labels, *[label] * len(fresh)), sample.group, sample.source)


def overlap_of_smaller(left: BoxArray, right: BoxArray) -> BoxArray:
    """Intersection over the smaller of two areas, shape (n, m)."""
    corner = np.minimum(left[:, None, 2:], right[None, :, 2:]) - np.maximum(
        left[:, None, :2], right[None, :, :2]
    )
    shared = np.prod(corner.clip(0), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (left, right)]
    smaller = np.minimum(areas[0][:, None], areas[1][None, :])
    return np.asarray(shared / np.maximum(smaller, 1e-12))


def _touches_cut(
    boxes: np.ndarray, at: tuple[int, int], crop: tuple[int, int], full: tuple[int, int]
) -> list[bool]:
    """Tell which boxes end at an edge of the crop that is no edge of the picture: halves of things."""
    out = []
    for x1, y1, x2, y2 in boxes:
        cut = (
            (x1 < 2 and at[0] > 0)
            or (y1 < 2 and at[1] > 0)
            or (x2 > crop[1] - 2 and at[0] + crop[1] < full[1])
            or (y2 > crop[0] - 2 and at[1] + crop[0] < full[0])
        )
        out.append(bool(cut))
    return out

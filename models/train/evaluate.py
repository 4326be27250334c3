"""Judge a detector on labelled pictures: COCO figures, at the shipped threshold, with intervals by group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.detector import Detector
from models.train.coco_figures import SIZES_PX, CocoFigures
from models.train.matching import Flags, Judged, areas_px, match
from models.train.samples import Sample
from models.train.tiles import read_picture

LOWEST = 0.001  # confidence from which on precision-recall curves are drawn
RESAMPLES = 1000


def run(detector: Detector, samples: Sequence[Sample], threshold: float, iou: float) -> list[Judged]:
    """Detect on every sample; ``detector`` is loaded with the confidence :data:`LOWEST`."""
    out = []
    for sample in samples:
        picture = read_picture(sample.picture)
        height, width = picture.shape[:2]
        found = detector.detect([picture])[0]
        truth = sample.boxes * np.array([width, height, width, height])
        sure = found.select(found.confidence >= threshold)
        hit, right = np.zeros(len(truth), np.bool_), np.zeros(len(sure), np.bool_)
        for label in set(sample.labels):  # a box of another class is no partner
            ours = np.array([name == label for name in sample.labels], np.bool_)
            its = np.array([sure.label_of(index) == label for index in range(len(sure))], np.bool_)
            hit[ours], right[its] = match(truth[ours], np.asarray(sure.xyxy[its], np.float64), iou)
        out.append(Judged(sample, (width, height), truth, found, sure, hit, right))
    return out


def report(judged: Sequence[Judged], seed: int = 0) -> dict[str, Any]:
    """Sum up: COCO figures, recall and precision at the threshold by size and source, empty frames."""
    coco = CocoFigures(judged)
    out: dict[str, Any] = {"pictures": len(judged), "groups": len({item.sample.group for item in judged})}
    out |= {"map50": coco.map50(), "map50_95": coco.map50_95()}
    out |= figures(judged)
    spans = {"map50": coco.interval([item.sample.group for item in judged], seed)}
    out["intervals_95"] = {name: span for name, span in spans.items() if span} | intervals(judged, seed)
    map50 = coco.map50_by_size()
    out["by_size"] = {
        name: {"map50": map50[name], **_by_area(judged, *limits)} for name, limits in SIZES_PX.items()
    }
    by_source: dict[str, list[Judged]] = {}
    for item in judged:
        by_source.setdefault(item.sample.source, []).append(item)
    out["by_source"] = {
        name: {"map50": CocoFigures(items).map50(), **figures(items)}
        for name, items in sorted(by_source.items())
    }
    return out


def figures(judged: Sequence[Judged]) -> dict[str, Any]:
    """Recall, precision, false boxes a picture, and the share of empty frames that carry a box."""
    hits, truths = sum(int(item.hit.sum()) for item in judged), sum(len(item.hit) for item in judged)
    right, boxes = sum(int(item.right.sum()) for item in judged), sum(len(item.right) for item in judged)
    empty = [item for item in judged if not len(item.truth)]
    return {
        "boxes": truths,
        "recall": _ratio(hits, truths),
        "precision": _ratio(right, boxes),
        "false_boxes_per_picture": _ratio(boxes - right, len(judged)),
        "empty_frames": len(empty),
        "empty_frames_with_box_frac": _ratio(sum(bool(len(item.right)) for item in empty), len(empty)),
    }


def intervals(judged: Sequence[Judged], seed: int) -> dict[str, list[float]]:
    """Bootstrap whole groups: 2.5 and 97.5 % quantiles of recall, precision and the empty-frame share."""
    groups: dict[str, list[Judged]] = {}
    for item in judged:
        groups.setdefault(item.sample.group, []).append(item)
    keys = sorted(groups)
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {"recall": [], "precision": [], "empty_frames_with_box_frac": []}
    for _ in range(RESAMPLES if len(keys) > 1 else 0):
        picked = [item for index in rng.integers(len(keys), size=len(keys)) for item in groups[keys[index]]]
        now = figures(picked)
        for name, values in drawn.items():
            if now[name] is not None:
                values.append(now[name])
    quantiles = {name: np.quantile(values, [0.025, 0.975]) for name, values in drawn.items() if values}
    return {name: [round(float(edge), 4) for edge in pair] for name, pair in quantiles.items()}


def _by_area(judged: Sequence[Judged], least: float, most: float) -> dict[str, Any]:
    """Count true boxes, and boxes found, whose own area in px lies within the limits."""

    def inside(boxes: Any) -> Flags:
        areas = areas_px(boxes)
        return np.asarray((areas >= least) & (areas < most), np.bool_)

    hits = np.concatenate([item.hit[inside(item.truth)] for item in judged])
    right = np.concatenate([item.right[inside(item.sure.xyxy)] for item in judged])
    return {
        "boxes": len(hits),
        "recall": _ratio(int(hits.sum()), len(hits)),
        "precision": _ratio(int(right.sum()), len(right)),
    }


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None

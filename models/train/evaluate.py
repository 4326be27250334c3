"""Judge a detector on labelled pictures: COCO figures, at the shipped threshold, with intervals by group."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.detections import Detections
from models.detector import Detector
from models.train.samples import BoxArray, Sample
from models.train.tiles import read_picture

LOWEST = 0.001  # confidence from which on precision-recall curves are drawn
RESAMPLES = 1000
SIZES_PX = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e12)}  # COCO's areas

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One picture: its truth in px, what was found, and which of each has a partner at the threshold."""

    sample: Sample
    size_px: tuple[int, int]
    truth: BoxArray
    found: Detections
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


def run(detector: Detector, samples: Sequence[Sample], threshold: float, iou: float) -> list[Judged]:
    """Detect on every sample; ``detector`` is loaded with the confidence :data:`LOWEST`."""
    out = []
    for sample in samples:
        picture = read_picture(sample.picture)
        height, width = picture.shape[:2]
        found = detector.detect([picture])[0]
        truth = sample.boxes * np.array([width, height, width, height])
        sure = found.select(found.confidence >= threshold)
        hit, right = match(truth, np.asarray(sure.xyxy, np.float64), iou)
        out.append(Judged(sample, (width, height), truth, found, hit, right))
    return out


def report(judged: Sequence[Judged], seed: int = 0) -> dict[str, Any]:
    """Sum up: COCO figures, recall and precision at the threshold by size and source, empty frames."""
    sources = sorted({item.sample.source for item in judged})
    out: dict[str, Any] = {"pictures": len(judged), "groups": len({item.sample.group for item in judged})}
    out |= coco_figures(judged)
    out |= figures(judged)
    out["intervals_95"] = intervals(judged, seed)
    out["by_size"] = {name: _recall_by_area(judged, *limits) for name, limits in SIZES_PX.items()}
    out["by_source"] = {
        name: figures([item for item in judged if item.sample.source == name]) for name in sources
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


def coco_figures(judged: Sequence[Judged]) -> dict[str, float | None]:
    """``map50`` and ``map50_95`` by pycocotools; None without a labelled box."""
    from pycocotools.coco import COCO  # noqa: PLC0415 - in the [train] extra alone
    from pycocotools.cocoeval import COCOeval  # noqa: PLC0415 - as above

    truth, results = _coco_documents(judged)
    if not truth["annotations"]:
        return {"map50": None, "map50_95": None}
    if not results:
        return {"map50": 0.0, "map50_95": 0.0}
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = truth
        known.createIndex()
        evaluator = COCOeval(known, known.loadRes(results), "bbox")
        evaluator.params.maxDets = [1, 10, 300]
        evaluator.evaluate()
        evaluator.accumulate()
    precision = evaluator.eval["precision"][:, :, :, 0, 2]
    at50 = precision[0]
    return {
        "map50": round(float(at50[at50 > -1].mean()), 4),
        "map50_95": round(float(precision[precision > -1].mean()), 4),
    }


def _coco_documents(judged: Sequence[Judged]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    labels = sorted({label for item in judged for label in (*item.sample.labels, *item.found.labels)})
    number = {label: index + 1 for index, label in enumerate(labels)}
    truth: dict[str, Any] = {"info": {}, "images": [], "annotations": []}
    truth["categories"] = [{"id": index, "name": label} for label, index in number.items()]
    results = []
    for image, item in enumerate(judged, 1):
        truth["images"].append({"id": image, "width": item.size_px[0], "height": item.size_px[1]})
        for box, label in zip(item.truth, item.sample.labels, strict=True):
            entry = {"image_id": image, "category_id": number[label], "bbox": _xywh(box), "iscrowd": 0}
            entry |= {"id": len(truth["annotations"]) + 1, "area": float(np.prod(box[2:] - box[:2]))}
            truth["annotations"].append(entry)
        for index, (box, score) in enumerate(zip(item.found.xyxy, item.found.confidence, strict=True)):
            label = item.found.label_of(index)
            results.append(
                {"image_id": image, "category_id": number[label], "bbox": _xywh(box), "score": float(score)}
            )
    return truth, results


def _xywh(box: npt.NDArray[Any]) -> list[float]:
    left, top, right, bottom = (float(edge) for edge in box)
    return [left, top, right - left, bottom - top]


def _recall_by_area(judged: Sequence[Judged], least: float, most: float) -> dict[str, Any]:
    hits = boxes = 0
    for item in judged:
        area = (item.truth[:, 2:] - item.truth[:, :2]).prod(axis=1)
        inside = (area >= least) & (area < most)
        boxes += int(inside.sum())
        hits += int(item.hit[inside].sum())
    return {"boxes": boxes, "recall": _ratio(hits, boxes)}


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None

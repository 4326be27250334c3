"""How the smoke detector errs on real pictures, as the smoke rule asks it: through tiles, from weak boxes on.

Pictures are the fires and the empty frames that the recipe holds out; a box counts from an overlap
(IoU) of 0.1, for plumes have no edge. What single pictures cannot give comes from the frames of one
fire: how much of a miss belongs to the plume, how much its box jitters, and how many boxes about
nothing stay where they are. Rain is the same pictures streaked, night the same darkened with noise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.errors.measure import CONDITIONS, Array, Terms, measure_condition, object_spread, offset
from models.detector import Detector
from models.load import load_detector
from models.tiles import TiledDetector
from models.train.judge import samples_of
from models.train.matching import iou_matrix, match
from models.train.samples import Sample
from models.train.tiles import read_picture

TERMS = Terms(sides_frac=(0.0, 0.04, 0.08, 1.0), least_iou=0.1, least_in_class=15)
TILE_PX, LEAST_CONFIDENCE = 640, 0.1  # the rule's defaults
LEAST_FRAMES = 4  # of one fire
STAYS_FRAC = 0.5
STAYS_IOU = 0.3


def measure(model: str, recipe: Path, root: Path) -> dict[str, Any]:
    """Return all figures of one smoke detector."""
    samples = samples_of(recipe, root, {}, "", "yolo")[0]
    inner = load_detector(model, confidence=LEAST_CONFIDENCE)
    detector = TiledDetector(inner, TILE_PX)
    mountain = [one for one in samples if one.source in {"nemo", "dfire"}]
    try:
        return {
            "model": f"{inner.name} {inner.precision}, tiles {TILE_PX}, from {LEAST_CONFIDENCE}",
            "pictures_from": f"held-out pictures of {recipe}, sources nemo and dfire",
            "clip_from": "frames of one fire each, source nemo",
            "clip": _over_time(detector, [one for one in mountain if one.source == "nemo"]),
            "conditions": {
                name: measure_condition(detector, mountain, change, TERMS)
                for name, change in CONDITIONS.items()
            },
        }
    finally:
        inner.close()


def _over_time(detector: Detector, samples: Sequence[Sample]) -> dict[str, Any]:
    """Compare the frames of each fire with each other."""
    fires: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        fires[sample.group].append(sample)
    long = [fire for fire in fires.values() if len(fire) >= LEAST_FRAMES]
    jitter: list[Array] = []
    recalls, staying, false = [], 0, 0
    for fire in long:
        hits, offsets, others = _one_fire(detector, fire)
        recalls.append(float(np.mean(hits)))
        if len(offsets) > 1:
            jitter += list(np.asarray(offsets) - np.median(offsets, axis=0))
        staying += _staying(others)
        false += sum(len(one) for one in others)
    spread = np.asarray(jitter).std(axis=0)
    return {
        "frames": sum(len(fire) for fire in long),
        "plumes": len(long),
        "recall_by_plume": recalls,
        "object_sd_logit": object_spread(recalls, LEAST_FRAMES * 2),
        "frame_centre_sd": float(spread[:2].mean()),
        "frame_size_sd": float(spread[2:].mean()),
        "false_stay_frac": staying / max(false, 1),
    }


def _one_fire(detector: Detector, fire: Sequence[Sample]) -> tuple[list[bool], list[Array], list[Array]]:
    """Return whether each labelled plume was found, by how much off, and each frame's false boxes."""
    hits: list[bool] = []
    offsets: list[Array] = []
    others: list[Array] = []
    for sample in fire:
        picture = read_picture(sample.picture)
        height, width = picture.shape[:2]
        found = np.asarray(detector.detect([picture])[0].xyxy, np.float64) / [width, height, width, height]
        truth = np.asarray(sample.boxes, np.float64)
        hit, right = match(truth, found, TERMS.least_iou)
        overlaps = iou_matrix(truth, found)
        hits += hit.tolist()
        offsets += [offset(found[int(overlaps[row].argmax())], truth[row]) for row in np.flatnonzero(hit)]
        others.append(found[~right])
    return hits, offsets, others


def _staying(frames: Sequence[Array]) -> int:
    """Count the false boxes that come again at their place in half of the other frames."""
    count = 0
    for index, boxes in enumerate(frames):
        rest = [other for place, other in enumerate(frames) if place != index]
        for box in boxes:
            again = [len(other) > 0 and iou_matrix(box[None], other).max() >= STAYS_IOU for other in rest]
            count += float(np.mean(again)) >= STAYS_FRAC
    return count

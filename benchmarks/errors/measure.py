"""How a detector errs on real pictures, as the figures that the error model takes.

Real pictures with labels (what the recipe holds out of training) give, by the size of the vehicle,
the share that is found, its confidence, how far the boxes are off, and the boxes about nothing. The
real clip of a street with parked cars gives what single pictures cannot: how much of a miss belongs
to the vehicle and not to the picture, how much a box jitters from frame to frame, and how many
false boxes stay in place. Night and rain are the same pictures darkened with noise, or blurred and
streaked, for want of labelled real ones; the file says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from models.detector import Detector
from models.load import load_detector
from models.train.judge import samples_of
from models.train.matching import iou_matrix, match
from models.train.places import frames
from models.train.samples import Sample
from models.train.tiles import read_picture

Picture = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]
CLIP = Path("clips/street_parking.mp4")
CLIP_TRUTH = Path("clips/street_parking.truth.json")
CLIP_IOU = 0.4
STAYS_FRAC = 0.5  # a false box that is there in so many of the frames stays


@dataclass(frozen=True, slots=True)
class Terms:
    """How boxes are compared and counted.

    Attributes:
        sides_frac: bounds of the classes of size: root of the area, as a share of the longer side.
        least_iou: overlap from which a box counts as found.
        least_in_class: a class of fewer objects takes the next larger one's figures.

    """

    sides_frac: tuple[float, ...] = (0.0, 0.035, 0.05, 0.075, 0.11, 1.0)
    least_iou: float = 0.5
    least_in_class: int = 30


def as_it_is(picture: Picture, _rng: np.random.Generator) -> Picture:
    """Return the picture unchanged: day."""
    return picture


def at_night(picture: Picture, rng: np.random.Generator) -> Picture:
    """Return the picture at half its light, as under street lamps, with the noise of a raised gain."""
    dark = picture.astype(np.float32) * 0.5 + rng.normal(0, 8, picture.shape)
    return np.asarray(np.clip(dark, 0, 255), np.uint8)


def in_rain(picture: Picture, rng: np.random.Generator) -> Picture:
    """Return the picture washed out, a little blurred, and streaked."""
    grey = cv2.GaussianBlur(picture, (0, 0), 1.1).astype(np.float32) * 0.7 + 40
    height, width = picture.shape[:2]
    for _ in range(width // 4):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        cv2.line(grey, (x, y), (x + 2, y + int(rng.integers(8, 24))), (185.0, 185.0, 185.0), 1)
    return np.asarray(np.clip(grey + rng.normal(0, 4, picture.shape), 0, 255), np.uint8)


CONDITIONS: dict[str, Callable[[Picture, np.random.Generator], Picture]] = {
    "day": as_it_is,
    "night": at_night,
    "rain": in_rain,
}


@dataclass(slots=True)
class _Tally:
    """What was seen under one condition; sides as a share of the picture's longer side."""

    terms: Terms
    sides: list[float] = field(default_factory=list)
    found: list[bool] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)  # nan where not found
    offsets: list[Array] = field(default_factory=list)  # dx / w, dy / h, log of both size ratios
    false_confidence: list[float] = field(default_factory=list)
    false_sides: list[float] = field(default_factory=list)
    pictures: int = 0

    def add(self, truth: Array, found: Array, confidence: Array, longer_px: int) -> None:
        hit, right = match(truth, found, self.terms.least_iou)
        overlaps = iou_matrix(truth, found)
        self.pictures += 1
        for row, box in enumerate(truth):
            self.sides.append(side_px(box) / longer_px)
            self.found.append(bool(hit[row]))
            best = int(overlaps[row].argmax()) if hit[row] else -1
            self.confidence.append(float(confidence[best]) if hit[row] else math.nan)
            if hit[row]:
                self.offsets.append(offset(found[best], box))
        for row in np.flatnonzero(~right).tolist():
            self.false_confidence.append(float(confidence[row]))
            self.false_sides.append(side_px(found[row]) / longer_px)


def side_px(box: Array) -> float:
    """Return the square root of a box's area."""
    return math.sqrt(float((box[2] - box[0]) * (box[3] - box[1])))


def offset(found: Array, truth: Array) -> Array:
    """Return how far a box is off: centre in its own widths and heights, size as logarithms."""
    size, wanted = found[2:] - found[:2], truth[2:] - truth[:2]
    centre = (found[:2] + found[2:] - truth[:2] - truth[2:]) / 2 / wanted
    return np.concatenate([centre, np.log(size / wanted)])


def measure_condition(
    detector: Detector,
    samples: Sequence[Sample],
    change: Callable[[Picture, np.random.Generator], Picture],
    terms: Terms,
) -> dict[str, Any]:
    """Judge labelled pictures under one condition."""
    tally, rng = _Tally(terms), np.random.default_rng(5)
    for sample in samples:
        picture = read_picture(sample.picture)
        height, width = picture.shape[:2]
        found = detector.detect([change(picture, rng)])[0]
        truth = np.asarray(sample.boxes, np.float64) * np.array([width, height, width, height])
        xyxy, confidence = np.asarray(found.xyxy, np.float64), np.asarray(found.confidence, np.float64)
        tally.add(truth, xyxy, confidence, max(height, width))
    return _figures(tally)


def _figures(tally: _Tally) -> dict[str, Any]:
    sides, found = np.asarray(tally.sides), np.asarray(tally.found)
    confidence, offsets = np.asarray(tally.confidence), np.asarray(tally.offsets)
    classes: list[dict[str, float]] = []
    for low, high in reversed(list(pairwise(tally.terms.sides_frac))):
        inside = (sides >= low) & (sides < high)
        if inside.sum() >= tally.terms.least_in_class and found[inside].any():
            sure = confidence[inside & found]
            figures = {"recall": found[inside].mean(), "confidence": sure.mean(), "confidence_sd": sure.std()}
            objects = int(inside.sum())
        elif classes:
            figures, objects = dict(classes[-1]), int(inside.sum())
        else:
            continue
        kept = {name: float(figures[name]) for name in ("recall", "confidence", "confidence_sd")}
        classes.append({"side_frac": low, "objects": objects, **kept})
    spread = offsets.std(axis=0)
    return {
        "pictures": tally.pictures,
        "classes": classes[::-1],
        "centre_sd": float(spread[:2].mean()),
        "size_sd": float(spread[2:].mean()),
        "false_per_picture": len(tally.false_confidence) / max(tally.pictures, 1),
        "false_confidence": float(np.mean(tally.false_confidence or [0.0])),
        "false_confidence_sd": float(np.std(tally.false_confidence or [0.0])),
        "false_side_frac": float(np.median(tally.false_sides or [0.05])),
        "false_side_sd": float(np.std(np.log(tally.false_sides or [0.05]))),
    }


def measure_clip(detector: Detector, root: Path) -> dict[str, Any]:
    """Watch the parked cars of the clip once a second."""
    truth = yaml.safe_load((root / CLIP_TRUTH).read_text(encoding="utf-8"))  # JSON is YAML
    places = np.array([item["box_px"] for item in truth["parked"]], np.float64)
    seen: list[list[Array]] = [[] for _ in places]
    others: list[Array] = []
    count = 0
    for picture in frames(root / CLIP, 1.0):
        found = np.asarray(detector.detect([picture])[0].xyxy, np.float64)
        overlaps = iou_matrix(found, places)
        count += 1
        for index in range(len(places)):
            if len(found) and overlaps[:, index].max() >= CLIP_IOU:
                seen[index].append(found[int(overlaps[:, index].argmax())])
        others += [box for row, box in enumerate(found) if overlaps[row].max() < CLIP_IOU]
    jitter = [offset(box, np.median(boxes, axis=0)) for boxes in seen if len(boxes) > 5 for box in boxes]
    spread = np.asarray(jitter).std(axis=0)
    share = [len(boxes) / count for boxes in seen]
    again = iou_matrix(np.asarray(others), np.asarray(others)) if others else np.zeros((0, 0))
    stays = float(((again >= 0.5).sum(axis=1) >= STAYS_FRAC * count).mean()) if others else 0.0
    return {
        "frames": count,
        "vehicles": len(places),
        "recall_by_vehicle": [round(value, 3) for value in share],
        "object_sd_logit": round(object_spread(share, count), 2),
        "frame_centre_sd": float(spread[:2].mean()),
        "frame_size_sd": float(spread[2:].mean()),
        "false_stay_frac": stays,
    }


def object_spread(shares: Sequence[float], count: int) -> float:
    """Return the standard deviation between vehicles of the logit of being found.

    Of empirical logits (half a hit and half a miss added: one that was always seen has one, too).
    """
    hits = np.asarray(shares) * count
    return float(np.log((hits + 0.5) / (count - hits + 0.5)).std(ddof=1))


def measure(model: str, recipe: Path, root: Path) -> dict[str, Any]:
    """Return all figures of one detector."""
    samples = [one for one in samples_of(recipe, root, {}, "", "yolo")[0] if one.source == "topview"]
    detector, terms = load_detector(model), Terms()
    try:
        content: dict[str, Any] = {
            "model": f"{detector.name} {detector.precision}",
            "pictures_from": f"held-out pictures of {recipe}, source topview",
            "clip_from": str(CLIP),
            "clip": measure_clip(detector, root),
            "conditions": {
                name: measure_condition(detector, samples, change, terms)
                for name, change in CONDITIONS.items()
            },
        }
    finally:
        detector.close()
    return content

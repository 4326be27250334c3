"""From truth boxes to what a detector would have found: misses, jitter, false boxes, lost frames.

The figures are those of ``configs/errors/<model>.yaml``, measured on real pictures
(:mod:`benchmarks.errors.measure`). Assumed, for want of labelled data: the fall of recall with the
hidden share of a vehicle (full from 70 % visible, none below 25 %), one observation in a hundred
lost, and a gap of half a minute about once an hour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from models.detections import Detections
from streams.simulator.truth import Box, TruthBox

LABEL = "vehicle"
VISIBLE_FRAC = (0.25, 0.7)
LOST_FRAC = 0.01
GAP_EVERY_S, GAP_S = 3600.0, 30.0
STAYING_SEEN_FRAC = 0.7  # a false box that stays is found in so many of the frames
LEAST_CONFIDENCE = 0.25  # the shipped threshold


@dataclass(frozen=True, slots=True)
class SizeClass:
    """Figures of vehicles from a side (root of the area) of ``side_frac`` of the picture's longer side."""

    side_frac: float
    recall: float
    confidence: float
    confidence_sd: float


@dataclass(frozen=True, slots=True)
class ErrorFigures:
    """How a detector errs under one condition; offsets in sizes of the box, sizes as logarithms.

    ``centre_sd``, ``size_sd`` are of all boxes; ``frame_…`` the part that changes from frame to
    frame. ``object_sd_logit``: how far vehicles differ in being found.
    """

    classes: tuple[SizeClass, ...]
    centre_sd: float
    size_sd: float
    frame_centre_sd: float
    frame_size_sd: float
    object_sd_logit: float
    false_per_picture: float
    false_confidence: float
    false_confidence_sd: float
    false_side_frac: float
    false_side_sd: float
    false_stay_frac: float


def load_figures(condition: str, model: str = "vehicle") -> ErrorFigures:
    """Return the shipped figures of a detector; KeyError where the condition was not measured."""
    text = files("configs").joinpath("errors", f"{model}.yaml").read_text(encoding="utf-8")
    content: Mapping[str, Any] = yaml.safe_load(text)
    figures, clip = content["conditions"][condition], content["clip"]
    names = ("side_frac", "recall", "confidence", "confidence_sd")
    return ErrorFigures(
        classes=tuple(SizeClass(*(float(one[name]) for name in names)) for one in figures["classes"]),
        **{
            name: float(figures[name])
            for name in (
                "centre_sd", "size_sd", "false_per_picture", "false_confidence", "false_confidence_sd",
                "false_side_frac", "false_side_sd",
            )
        },
        **{
            name: float(clip[name])
            for name in ("frame_centre_sd", "frame_size_sd", "object_sd_logit", "false_stay_frac")
        },
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Nature:
    """What is the same in all frames for one vehicle, in standard deviations."""

    visibility: float
    confidence: float
    offset: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class FalsePlace:
    """A place without a vehicle at which the detector finds one again and again."""

    box: Box
    confidence: float


class ErrorModel:
    """A detector played on truth boxes; repeatable by seed.

    ``size_px`` is (width, height) of the pictures in which boxes are given.
    """

    def __init__(
        self,
        figures: ErrorFigures,
        size_px: tuple[int, int],
        seed: int,
        label: str = LABEL,
        least_confidence: float = LEAST_CONFIDENCE,
    ) -> None:
        """Choose the places of false boxes that stay."""
        self.figures, self.size_px, self.seed = figures, size_px, seed
        self.label, self.least_confidence = label, least_confidence
        self._rng = np.random.default_rng([seed, 31])
        self._natures: dict[int, _Nature] = {}
        number = self._rng.poisson(figures.false_per_picture * figures.false_stay_frac / STAYING_SEEN_FRAC)
        self.false_places = tuple(FalsePlace(*self._false_box()) for _ in range(number))

    def _false_box(self) -> tuple[Box, float]:
        figures, rng = self.figures, self._rng
        aspect = self.size_px[0] / self.size_px[1]
        side = figures.false_side_frac * math.exp(float(rng.normal(0, figures.false_side_sd)))
        stretch = math.exp(float(rng.normal(0.2, 0.2)))
        width, height = min(side * stretch, 0.5), min(side / stretch * aspect, 0.5)
        x, y = float(rng.uniform(0, 1 - width)), float(rng.uniform(0, 1 - height))
        sure = float(rng.normal(figures.false_confidence, figures.false_confidence_sd))
        return (x, y, x + width, y + height), min(max(sure, self.least_confidence), 0.95)

    def _nature(self, object_id: int) -> _Nature:
        if object_id not in self._natures:
            draws = np.random.default_rng([self.seed, 37, object_id]).normal(size=6)
            a, b, c, d = (float(value) for value in draws[2:])
            self._natures[object_id] = _Nature(float(draws[0]), float(draws[1]), (a, b, c, d))
        return self._natures[object_id]

    def is_lost(self, now_s: float) -> bool:
        """Whether the observation at ``now_s`` never arrives."""
        offset_s = np.random.default_rng([self.seed, 41]).uniform(0, GAP_EVERY_S - GAP_S)
        in_gap = offset_s <= now_s % GAP_EVERY_S < offset_s + GAP_S
        return bool(in_gap or self._rng.uniform() < LOST_FRAC)

    def find(self, boxes: Sequence[TruthBox]) -> Detections:
        """Return what would have been found of the vehicles of one frame, and of nothing."""
        found = [one for box in boxes if (one := self._found(box)) is not None]
        found += [
            (self._shaken(place.box), place.confidence)
            for place in self.false_places
            if self._rng.uniform() < STAYING_SEEN_FRAC
        ]
        fleeting = self.figures.false_per_picture * (1 - self.figures.false_stay_frac)
        found += [self._false_box() for _ in range(self._rng.poisson(fleeting))]
        found.sort(key=lambda one: -one[1])
        width, height = self.size_px
        xyxy = [(x1 * width, y1 * height, x2 * width, y2 * height) for (x1, y1, x2, y2), _ in found]
        return Detections.of(xyxy, [sure for _, sure in found], [0] * len(found), (self.label,))

    def _found(self, truth: TruthBox) -> tuple[Box, float] | None:
        figures, nature = self.figures, self._nature(truth.object_id)
        size = self._class_of(truth.box)
        spread = figures.object_sd_logit
        # the mean over vehicles is the measured recall (MacKay's approximation of a logistic-normal mean)
        recall = min(max(size.recall, 0.02), 0.98)
        middle = math.log(recall / (1 - recall)) * math.sqrt(1 + math.pi * spread**2 / 8)
        chance = 1 / (1 + math.exp(-(middle + spread * nature.visibility)))
        low, high = VISIBLE_FRAC
        chance *= min(max((truth.visible_frac - low) / (high - low), 0.0), 1.0)
        draws = self._rng.normal(size=2)
        if self._rng.uniform() >= chance:
            return None
        sure = size.confidence + size.confidence_sd * 0.7071 * (nature.confidence + float(draws[0]))
        return self._shaken(self._biased(truth.box, nature)), min(max(sure, self.least_confidence), 0.95)

    def _class_of(self, box: Box) -> SizeClass:
        width, height = self.size_px
        side_px = math.sqrt((box[2] - box[0]) * width * (box[3] - box[1]) * height)
        side_frac = side_px / max(self.size_px)
        fitting = [one for one in self.figures.classes if one.side_frac <= side_frac]
        return fitting[-1] if fitting else self.figures.classes[0]

    def _biased(self, box: Box, nature: _Nature) -> Box:
        figures = self.figures
        centre = math.sqrt(max(figures.centre_sd**2 - figures.frame_centre_sd**2, 0.0))
        size = math.sqrt(max(figures.size_sd**2 - figures.frame_size_sd**2, 0.0))
        dx, dy, dw, dh = nature.offset
        return _moved(box, centre * dx, centre * dy, size * dw, size * dh)

    def _shaken(self, box: Box) -> Box:
        figures, draws = self.figures, self._rng.normal(size=4)
        dx, dy, dw, dh = (float(value) for value in draws)
        centre, size = figures.frame_centre_sd, figures.frame_size_sd
        return _moved(box, centre * dx, centre * dy, size * dw, size * dh)


def _moved(box: Box, dx: float, dy: float, dw: float, dh: float) -> Box:
    """Shift a box by shares of its size and scale it by exponents; cut at the frame."""
    width, height = box[2] - box[0], box[3] - box[1]
    x, y = (box[0] + box[2]) / 2 + dx * width, (box[1] + box[3]) / 2 + dy * height
    width, height = width * math.exp(dw), height * math.exp(dh)
    left, top = max(x - width / 2, 0.0), max(y - height / 2, 0.0)
    right, bottom = min(x + width / 2, 1.0), min(y + height / 2, 1.0)
    return (min(left, 0.999), min(top, 0.999), max(right, 0.001), max(bottom, 0.001))

"""Pictures without rendering: each vehicle a patch of its own colours on a still ground.

Rules tell a car from the next one by its look, so they need pictures; they do not need good-looking
ones. A patch has body, glass, roof and wheels in the colours of today's traffic, many of them alike
(a quarter is white). Far ones are painted first, so that near ones hide them. 480x270 takes about
half a millisecond.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.errors.model import FalsePlace
from streams.simulator.truth import Box, TruthBox
from streams.simulator.vehicles import PAINTS

Picture = npt.NDArray[np.uint8]
SIZE_PX = (480, 270)
_GRAINS = 7
_PATCH = (28, 40)  # height, width
GAIN = {"day": 1.0, "night": 0.5, "rain": 0.75}
NOISE = {"day": 2.0, "night": 8.0, "rain": 4.0}
DRIFT_FRAC, DRIFT_S = 0.12, 900.0  # light comes and goes with clouds


class Schematic:
    """Paints the frames of one scene; repeatable by seed."""

    def __init__(self, condition: str, seed: int, false_places: Sequence[FalsePlace]) -> None:
        """Paint the ground, and on it what the detector takes for vehicles."""
        rng = np.random.default_rng([seed, 43])
        width, height = SIZE_PX
        coarse = rng.normal(105, 16, (height // 18, width // 18, 1)).astype(np.float32)
        ground = cv2.resize(coarse, SIZE_PX, interpolation=cv2.INTER_CUBIC)
        ground = ground + rng.normal(0, 5, ground.shape)
        self._ground = np.repeat(np.clip(ground, 20, 230).astype(np.uint8)[:, :, None], 3, axis=2)
        noise = NOISE[condition]
        self._grains = [rng.normal(0, noise, (height, width, 3)).astype(np.int16) for _ in range(_GRAINS)]
        self._gain, self._seed = GAIN[condition], seed
        self._phase = float(rng.uniform(0, 2 * math.pi))
        self._patches: dict[int, Picture] = {}
        self._count = 0
        for number, place in enumerate(false_places):
            _paste(self._ground, place.box, self._patch(-1 - number))

    def _patch(self, object_id: int) -> Picture:
        if object_id not in self._patches:
            self._patches[object_id] = vehicle_patch(
                np.random.default_rng([self._seed, 47, object_id % 2**32])
            )
        return self._patches[object_id]

    def paint(self, boxes: Sequence[TruthBox], now_s: float) -> Picture:
        """Return the picture of one frame, uint8 (270, 480, 3) BGR."""
        image = self._ground.copy()
        for box in sorted(boxes, key=lambda one: (one.box[3], one.object_id)):
            _paste(image, box.box, self._patch(box.object_id))
        gain = self._gain * (1 + DRIFT_FRAC * math.sin(2 * math.pi * now_s / DRIFT_S + self._phase))
        self._count += 1
        lit = cv2.convertScaleAbs(image, alpha=gain)
        return np.asarray(cv2.add(lit, self._grains[self._count % _GRAINS], dtype=cv2.CV_8U), np.uint8)


def vehicle_patch(rng: np.random.Generator) -> Picture:
    """Draw what one vehicle looks like, uint8 (28, 40, 3)."""
    paints, weights = zip(*PAINTS, strict=True)
    base = np.asarray(paints[int(rng.choice(len(paints), p=np.asarray(weights) / sum(weights)))])
    height, width = _PATCH
    patch = np.empty((height, width, 3), np.float32)
    patch[:] = np.clip(base + rng.normal(0, 6, 3), 8, 245)
    patch[: height // 2] *= 1.1  # roof and bonnet see the sky
    top, bottom = int(rng.uniform(0.12, 0.24) * height), int(rng.uniform(0.4, 0.55) * height)
    left, right = int(rng.uniform(0.08, 0.3) * width), int(rng.uniform(0.65, 0.95) * width)
    patch[top:bottom, left:right] = (34, 30, 27)
    post = int(rng.uniform(0.4, 0.6) * width)
    patch[top:bottom, post : post + 2] = base
    patch[int(0.82 * height) :] *= 0.45
    for _ in range(int(rng.integers(2, 6))):  # lamps, plates, signs, loads, reflections
        y, x = int(rng.uniform(0, height - 5)), int(rng.uniform(0, width - 8))
        shade = rng.uniform(20, 240, 3) if rng.uniform() < 0.4 else base * rng.uniform(0.5, 1.4)
        patch[y : y + int(rng.integers(2, 6)), x : x + int(rng.integers(3, 9))] = shade
    return np.asarray(np.clip(cv2.GaussianBlur(patch, (0, 0), 0.7), 0, 255), np.uint8)


def _paste(image: Picture, box: Box, patch: Picture) -> None:
    height, width = image.shape[:2]
    x1, y1 = round(box[0] * width), round(box[1] * height)
    x2, y2 = max(round(box[2] * width), x1 + 1), max(round(box[3] * height), y1 + 1)
    resized = cv2.resize(patch, (x2 - x1, y2 - y1), interpolation=cv2.INTER_AREA)
    image[y1:y2, x1:x2] = resized[: height - y1, : width - x1]

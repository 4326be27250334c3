"""What a small camera adds to the light: softness, vignette, noise."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from streams.simulator.noise import FloatImage

Image = npt.NDArray[np.uint8]
_BANK = 6


def develop(picture: FloatImage, rng: np.random.Generator) -> Image:
    """Turn a lit picture (float32 BGR) into what the camera gives: soft, slightly dark in the corners."""
    height, width = picture.shape[:2]
    soft = cv2.GaussianBlur(picture, (0, 0), 0.55 * width / 960 + 0.05)
    ys, xs = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    vignette = (1 - float(rng.uniform(0.03, 0.12)) * (xs * xs + ys * ys)).astype(np.float32)
    return np.asarray(np.clip(soft * vignette[:, :, None], 0, 255), np.uint8)


class SensorNoise:
    """Grain of fixed strength, cheap enough for every frame: a bank of noise, shifted at random."""

    def __init__(self, size: tuple[int, int], strength: float, rng: np.random.Generator) -> None:
        """Prepare noise for pictures of ``size`` (width, height); ``strength`` is its deviation in levels."""
        width, height = size
        self._margin = 16
        shape = (height + self._margin, width + self._margin)
        self._bank = []
        for _ in range(_BANK):
            luma = rng.standard_normal(shape).astype(np.float32)
            luma = 0.75 * luma + 0.8 * cv2.GaussianBlur(luma, (0, 0), 0.9)
            level = np.repeat((strength * luma)[:, :, None], 3, axis=2)
            self._bank.append(
                (np.clip(level, 0, 60).astype(np.uint8), np.clip(-level, 0, 60).astype(np.uint8))
            )
        self._rng = rng

    def add_to(self, picture: Image) -> None:
        """Add one frame's noise, in place."""
        height, width = picture.shape[:2]
        up, down = self._bank[int(self._rng.integers(_BANK))]
        y, x = (int(v) for v in self._rng.integers(0, self._margin, 2))
        cv2.add(picture, up[y : y + height, x : x + width], dst=picture)
        cv2.subtract(picture, down[y : y + height, x : x + width], dst=picture)

"""Sky and clouds that drift."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streams.simulator.light import Light
from streams.simulator.noise import FloatImage, fbm, smoothstep, warped_fbm

_LONGEST_DRIFT_S = 900.0  # drawn; later the same clouds come again, mirrored


@dataclass(frozen=True, slots=True, eq=False)
class Sky:
    """A strip of sky, ``height`` rows above the horizon.

    ``clear`` float32 (h, w, 3) BGR; ``cloud`` float32 (h, w + reach, 4): BGR and opacity;
    ``drift_px_s`` to the left.
    """

    clear: FloatImage
    cloud: FloatImage
    drift_px_s: float

    def at(self, t_s: float) -> FloatImage:
        """Return the sky at ``t_s`` seconds, float32 (h, w, 3)."""
        height, width = self.clear.shape[:2]
        shift = (self.drift_px_s * t_s) % (2 * self.cloud.shape[1])
        matrix = np.array([[1.0, 0.0, -shift], [0.0, 1.0, 0.0]])
        moved = cv2.warpAffine(
            self.cloud, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        return np.asarray(self.clear + moved[:, :, 3:] * (moved[:, :, :3] - self.clear), np.float32)


def make_sky(size: tuple[int, int], light: Light, haze_bgr: npt.NDArray[np.float64], seconds: float,
             rng: np.random.Generator) -> Sky:  # fmt: skip
    """Draw a sky of ``size`` (width, height) px: blue or grey above, hazy at the horizon, with clouds."""
    width, height = size
    up = np.linspace(1, 0, height, dtype=np.float32)[:, None, None]
    clarity = light.shadow / 0.54
    zenith = np.asarray([188 + 22 * clarity, 172 - 20 * clarity, 158 - 62 * clarity], np.float32)
    haze = haze_bgr.astype(np.float32)
    clear: FloatImage = np.repeat((haze + (zenith - haze) * up**0.6).astype(np.float32), width, axis=1)
    drift = float(rng.uniform(0.3, 1.2)) * width / 960
    shape = (height, width + int(drift * min(seconds, _LONGEST_DRIFT_S)) + 2)
    # clouds are seen edge-on near the horizon: flat, small and dense there
    tall = (int(height * 2.2) + 8, shape[1])
    field: FloatImage = 0.75 * warped_fbm(tall, rng, width / 5, 6, width / 46) + 0.25 * fbm(
        tall, rng, width / 40, 4
    )
    rows = np.linspace(0, 1, height, dtype=np.float32)
    map_y = np.repeat(((rows**1.35) * (tall[0] - 1))[:, None], shape[1], axis=1).astype(np.float32)
    map_x = np.repeat(np.arange(shape[1], dtype=np.float32)[None], height, axis=0)
    seen = np.asarray(cv2.remap(field, map_x, map_y, cv2.INTER_LINEAR), np.float32)
    cover = float(rng.uniform(-0.2, 0.9) + 0.3 * clarity)
    opacity = smoothstep(cover, cover + 1.3, seen) * (0.25 + 0.65 * up[:, :, 0])
    thick = smoothstep(cover + 0.3, cover + 2.4, seen)
    bright = np.asarray([246, 246, 247], np.float32) * (0.88 + 0.12 * clarity)
    below = np.asarray([196, 190, 186], np.float32)
    body = bright + (below - bright) * thick[:, :, None]
    colour = haze + (body - haze) * (0.35 + 0.65 * up)
    cloud = np.concatenate([colour, opacity[:, :, None]], axis=2).astype(np.float32)
    return Sky(np.asarray(clear, np.float32), cloud, drift)

"""Daylight of a scene: sun, sky and what they do to a surface."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Light:
    """Where the sun stands and how strong it is against the sky.

    ``sun_dir`` points to the sun (unit, scene axes); ``sun`` and ``sky`` are BGR factors on albedo;
    ``sky_bgr`` is the sky's colour as glossy paint and glass mirror it; ``shadow`` is how much of
    the light a cast shadow takes, in [0, 1].
    """

    sun_dir: tuple[float, float, float]
    sun: tuple[float, float, float]
    sky: tuple[float, float, float]
    sky_bgr: tuple[float, float, float]
    shadow: float

    def shade(self, albedo: Array, normals: Array) -> Array:
        """Return BGR in [0, 255] of matt surfaces (n, 3) with unit ``normals`` (n, 3)."""
        towards = np.clip(normals @ np.asarray(self.sun_dir), 0, None)[:, None]
        diffuse = 0.62 + 0.38 * normals[:, 2:3]
        light = towards * np.asarray(self.sun) + diffuse * np.asarray(self.sky)
        return np.asarray(albedo * light, np.float64)

    def ground_factor(self) -> Array:
        """Return the BGR factor of flat ground in the open."""
        return np.asarray(np.asarray(self.sun) * self.sun_dir[2] + np.asarray(self.sky))

    def shadow_offset(self, height_m: float) -> tuple[float, float]:
        """Return how far (x, y in metres) the shadow of a point ``height_m`` up falls."""
        x, y, z = self.sun_dir
        return (-x / z * height_m, -y / z * height_m)


def daylight(rng: np.random.Generator, *, behind: bool = False) -> Light:
    """Draw a plausible daylight: from overcast to clear, sun 28° to 62° high, anywhere around.

    ``behind`` keeps the sun in the half of the sky behind the camera, where those who mount cameras
    put it if they can; houses across the street then throw no shadow on it.
    """
    azimuth = math.pi + rng.uniform(-1.7, 1.7) if behind else rng.uniform(0, 2 * math.pi)
    elevation = math.radians(rng.uniform(28, 62))
    clear = rng.uniform(0.15, 1.0)
    warm = rng.uniform(0.0, 0.12)
    sun_dir = (
        math.cos(elevation) * math.sin(azimuth),
        math.cos(elevation) * math.cos(azimuth),
        math.sin(elevation),
    )
    # automatic exposure: open ground comes out alike, whatever the weather
    exposure = float(rng.uniform(1.08, 1.22))
    direct = 0.64 * clear * exposure
    strength = direct / math.sin(elevation)
    sun = (strength * (1 - warm), strength, strength * (1 + warm))
    level = exposure - direct
    sky = (level * 1.04, level, level * 0.97)
    sky_bgr = (205 + 20 * clear, 200 - 15 * clear, 196 - 50 * clear)
    return Light(sun_dir, sun, sky, sky_bgr, shadow=0.12 + 0.42 * clear)

"""Straw smoke: puffs that rise, lean with the wind, swell and thin out, lit by sun and sky.

A plume is a crowd of puffs, each a turbulent blob of optical depth. What reaches the eye is
Beer-Lambert's law along the line of sight, and the brightness of the smoke is the same law towards
the sun. Rise after Briggs: about with the 2/3 power of time in a steady wind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streams.simulator.light import Light
from streams.simulator.noise import FloatImage, smoothstep, warped_fbm
from streams.simulator.truth import Box

_BANK = 20
_TEXTURE_PX = 72
_LIFE_S = 75.0
_NOTHING_TAU = 0.004
_SEEN_TAU = 0.10  # optical depth from which the eye finds smoke


@dataclass(frozen=True, slots=True)
class Fire:
    """A burning strip of straw.

    ``foot_px`` where it burns; ``px_per_m`` scale at its distance; ``wind_m_s`` across the picture,
    positive to the right; ``lift_m_s`` first rise; ``grow_s`` until it burns fully; ``width_m`` of the
    burning strip; ``haze`` the share of the air's own colour at its distance.
    """

    ignited_s: float
    foot_px: tuple[float, float]
    px_per_m: float
    wind_m_s: float
    lift_m_s: float
    grow_s: float
    width_m: float
    haze: float


@dataclass(frozen=True, slots=True, eq=False)
class _Puffs:
    x_px: npt.NDArray[np.float64]
    y_px: npt.NDArray[np.float64]
    radius_px: npt.NDArray[np.float64]
    tau: npt.NDArray[np.float64]
    turn_deg: npt.NDArray[np.float64]
    texture: npt.NDArray[np.intp]


class Plume:
    """The smoke of one fire; a function of time, so that frames can be drawn at any rate."""

    def __init__(self, fire: Fire, rng: np.random.Generator, seconds: float, rate_hz: float = 2.2) -> None:
        """Draw every puff of the first ``seconds`` in advance."""
        self.fire = fire
        count = max(1, int((seconds - fire.ignited_s) * rate_hz) + 1)
        self._born = fire.ignited_s + (np.arange(count) + rng.uniform(0, 1, count)) / rate_hz
        self._at = rng.normal(0, 0.5, count)
        self._speed = rng.normal(1, 0.13, count)
        self._lift = rng.normal(1, 0.20, count).clip(0.4, None)
        self._swell = rng.normal(1, 0.18, count).clip(0.6, None)
        self._dense = rng.lognormal(0, 0.35, count)
        self._phase = rng.uniform(0, math.tau, count)
        self._spin = rng.normal(0, 2.2, count)
        self._which = rng.integers(0, _BANK, count)
        self._bank = [_puff_texture(rng) for _ in range(_BANK)]

    def _puffs(self, t_s: float) -> _Puffs | None:
        fire = self.fire
        age = t_s - self._born
        alive = (age > 0) & (age < _LIFE_S)
        if not alive.any():
            return None
        age, born = age[alive], self._born[alive]
        strength = np.clip((born - fire.ignited_s + 2.0) / fire.grow_s, 0.05, 1.0)
        rise = fire.lift_m_s * self._lift[alive] * 2.1 * age ** (2 / 3) * (0.55 + 0.45 * strength)
        # wind grows with height (power law, exponent 0.2), so that the plume bends over
        wind = fire.wind_m_s * self._speed[alive] * np.clip(rise / 20, 0.05, None) ** 0.2
        sway = (0.6 + 0.05 * rise) * np.sin(self._phase[alive] + 0.23 * age)
        x_m = self._at[alive] * fire.width_m * np.sqrt(strength) + wind * age + sway
        radius = (
            1.6 + 0.34 * fire.width_m * strength + 0.30 * rise + 0.12 * np.abs(wind) * age
        ) * self._swell[alive]
        fade = np.clip(1 - age / _LIFE_S, 0, 1) ** 1.2 * np.clip(age / 1.5, 0, 1)
        tau = 1.35 * self._dense[alive] * (0.35 + 0.65 * strength) * fade * (5.5 / (5.5 + radius)) ** 0.9
        return _Puffs(
            fire.foot_px[0] + x_m * fire.px_per_m,
            fire.foot_px[1] - rise * fire.px_per_m,
            radius * fire.px_per_m,
            tau,
            np.degrees(self._phase[alive]) + self._spin[alive] * age,
            self._which[alive],
        )

    def depth(self, t_s: float, size: tuple[int, int]) -> tuple[FloatImage, int, int] | None:
        """Return optical depth (h, w) and where its left top corner goes; None without smoke in sight."""
        puffs = self._puffs(t_s)
        if puffs is None:
            return None
        reach = 1.25 * puffs.radius_px + 2
        left = max(0, math.floor(float((puffs.x_px - reach).min())))
        top = max(0, math.floor(float((puffs.y_px - reach).min())))
        right = min(size[0], math.ceil(float((puffs.x_px + reach).max())))
        bottom = min(
            size[1], math.ceil(float(max(self.fire.foot_px[1] + 2, (puffs.y_px + 0.3 * reach).max())))
        )
        if right - left < 2 or bottom - top < 2:
            return None
        tau = np.zeros((bottom - top, right - left), np.float32)
        for i in np.flatnonzero(puffs.tau > _NOTHING_TAU):
            self._lay(tau, puffs, int(i), (left, top))
        rows = np.arange(top, bottom, dtype=np.float32)
        tau *= smoothstep(self.fire.foot_px[1] + 1.5, self.fire.foot_px[1] - 1.5, rows)[:, None]
        return tau, left, top

    def _lay(self, tau: FloatImage, puffs: _Puffs, i: int, origin: tuple[int, int]) -> None:
        r = float(puffs.radius_px[i])
        x, y = float(puffs.x_px[i]) - origin[0], float(puffs.y_px[i]) - origin[1]
        height, width = tau.shape
        x0, y0 = max(0, math.floor(x - r)), max(0, math.floor(y - r))
        x1, y1 = min(width, math.ceil(x + r) + 1), min(height, math.ceil(y + r) + 1)
        if x1 <= x0 or y1 <= y0:
            return
        matrix = cv2.getRotationMatrix2D(
            (_TEXTURE_PX / 2, _TEXTURE_PX / 2), float(puffs.turn_deg[i]), 2 * r / _TEXTURE_PX
        )
        matrix[:, 2] += (x - x0 - _TEXTURE_PX / 2, y - y0 - _TEXTURE_PX / 2)
        blob = cv2.warpAffine(
            self._bank[int(puffs.texture[i])], matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR
        )
        tau[y0:y1, x0:x1] += float(puffs.tau[i]) * blob

    def box(self, t_s: float, size: tuple[int, int]) -> tuple[Box, float] | None:
        """Return the box in [0, 1] of what can be seen, and its greatest opacity; None without."""
        found = self.depth(t_s, size)
        return None if found is None else visible_box(found, size)

    def draw(self, picture: FloatImage, found: tuple[FloatImage, int, int], light: Light,
             haze_bgr: npt.NDArray[np.float64]) -> None:  # fmt: skip
        """Put the smoke into a float32 BGR picture, in place."""
        tau, left, top = found
        height, width = tau.shape
        sun_x, _, sun_z = light.sun_dir
        reach = 0.10 * max(height, width)
        shift = np.array([[1.0, 0.0, -sun_x * reach], [0.0, 1.0, sun_z * reach]])
        between = cv2.GaussianBlur(cv2.warpAffine(tau, shift, (width, height)), (0, 0), max(0.8, reach / 4))
        lit = np.exp(-0.5 * between)[:, :, None]
        sun = np.asarray(light.sun, np.float32) * 150 + np.asarray(light.sky, np.float32) * 176
        shade = np.asarray(light.sky, np.float32) * np.asarray([200, 194, 188], np.float32) + 26
        colour = np.minimum(shade + lit * (sun - shade), 246)
        colour += self.fire.haze * (haze_bgr.astype(np.float32) - colour)
        alpha = (1 - np.exp(-tau))[:, :, None] * (1 - 0.35 * self.fire.haze)
        part = picture[top : top + height, left : left + width]
        part += alpha * (colour - part)


def visible_box(found: tuple[FloatImage, int, int], size: tuple[int, int]) -> tuple[Box, float] | None:
    """Return the box in [0, 1] of the optical depth that the eye finds, and the greatest opacity."""
    tau, left, top = found
    seen = (tau > _SEEN_TAU).astype(np.uint8)
    x, y, w, h = cv2.boundingRect(seen)
    if w < 3 or h < 3:
        return None
    box = (
        (left + x) / size[0],
        (top + y) / size[1],
        (left + x + w) / size[0],
        (top + y + h) / size[1],
    )
    return box, float(1 - math.exp(-float(tau.max())))


def _puff_texture(rng: np.random.Generator) -> FloatImage:
    """Return one turbulent blob of optical depth, about 1 in its middle, 0 at its rim."""
    n = _TEXTURE_PX
    ys, xs = np.mgrid[-1 : 1 : n * 1j, -1 : 1 : n * 1j].astype(np.float32)
    curl = warped_fbm((n, n), rng, n / 3, 5, n / 14)
    radius = np.hypot(xs, ys) * (1 + 0.10 * curl)
    body = 1 - smoothstep(0.15, 0.92, radius)
    return np.asarray(np.clip(body * (0.75 + 0.42 * curl), 0, None), np.float32)

"""Smoke, dust and steam over a landscape for hours: a bent Gaussian plume, cheap at any time.

Released at a foot, a parcel of age ``a`` has drifted ``wind * a`` across and risen ``lift * a^(2/3)``
(Briggs 1969), while its radius has grown by 0.35 of its rise; across the centre line the density is a
Gaussian. Turbulence is noise that moves along the line. So a plume grows, leans, drifts off when the
fire is out, and needs no memory: any time can be drawn without those before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from streams.simulator.light import Light
from streams.simulator.noise import FloatImage, fbm, smoothstep
from streams.simulator.truth import Box

_TEXTURE_PX = 384
_SPREAD = 0.35
_SEEN_TAU = 0.2  # optical depth from which the eye finds it
_BRIGHTEST = 245.0


@dataclass(frozen=True, slots=True)
class Source:
    """What a plume comes from.

    Attributes:
        started_s, ended_s: when it emits.
        grow_s: until it emits fully.
        foot_px, px_per_m: where it stands in the picture, and the scale there.
        wind_m_s: drift across the picture, positive to the right, seen from the source (a machine that
            drives leaves its dust behind).
        speed_m_s, reach_m: of a source that goes to and fro across the picture; 0 stands still.
        lift: metres risen after one second.
        width_m: of the source itself.
        dense: optical depth near the foot.
        life_s: after so long a parcel has thinned out.
        white: 0 for the grey of straw smoke and the brown of dust up to 1 for steam.
        brown: 1 for dust.
        haze: share of the air's own colour at its distance.

    """

    started_s: float
    ended_s: float
    grow_s: float
    foot_px: tuple[float, float]
    px_per_m: float
    wind_m_s: float
    lift: float
    width_m: float
    dense: float
    life_s: float
    haze: float
    white: float = 0.0
    brown: float = 0.0
    speed_m_s: float = 0.0
    reach_m: float = 0.0

    def going(self, t_s: float) -> tuple[float, float]:
        """Return how far the source has gone (metres to the right) and how fast it goes, with its sign."""
        if self.speed_m_s == 0.0:
            return 0.0, 0.0
        lap = ((t_s - self.started_s) * self.speed_m_s) % (4 * self.reach_m)
        ahead = lap < 2 * self.reach_m
        return (lap - self.reach_m if ahead else 3 * self.reach_m - lap), math.copysign(
            self.speed_m_s, 1 if ahead else -1
        )


@dataclass(frozen=True, slots=True, eq=False)
class Depth:
    """Optical depth, float32 (h, w), whose left top corner lies at ``left``, ``top`` of the picture."""

    tau: FloatImage
    left: int
    top: int

    @property
    def opacity(self) -> float:
        """The greatest share of the background that is covered."""
        return float(1 - math.exp(-float(self.tau.max())))

    def box(self, size: tuple[int, int]) -> Box | None:
        """Return the box in [0, 1] of what the eye finds; None where that is next to nothing."""
        x, y, w, h = cv2.boundingRect((self.tau > _SEEN_TAU).astype(np.uint8))
        if w < 2 or h < 2:
            return None
        left, top = (self.left + x) / size[0], (self.top + y) / size[1]
        return (left, top, left + w / size[0], top + h / size[1])


class TowerPlume:
    """One plume, as a function of time."""

    def __init__(self, source: Source, rng: np.random.Generator) -> None:
        """Draw the noise that becomes its turbulence."""
        self.source = source
        self._noise = fbm((_TEXTURE_PX, _TEXTURE_PX), rng, 48, 5, 0.6)
        self._phase = float(rng.uniform(0, 300))

    def depth(self, t_s: float, size: tuple[int, int]) -> Depth | None:
        """Return its optical depth in a picture of ``size`` (width, height); None where nothing is seen."""
        one = self.source
        oldest = min(t_s - one.started_s, one.life_s)
        youngest = max(t_s - one.ended_s, 0.0)
        if oldest <= youngest:
            return None
        gone_m, going = one.going(t_s)
        drift = one.wind_m_s - going
        foot_x = one.foot_px[0] + gone_m * one.px_per_m
        top_m, far_m = one.lift * oldest ** (2 / 3), drift * oldest
        margin = 2.2 * (0.5 * one.width_m + _SPREAD * top_m) + 1.5 / one.px_per_m
        left = max(0, math.floor(foot_x + (min(far_m, 0.0) - margin) * one.px_per_m))
        right = min(size[0], math.ceil(foot_x + (max(far_m, 0.0) + margin) * one.px_per_m))
        top = max(0, math.floor(one.foot_px[1] - (top_m + margin) * one.px_per_m))
        bottom = min(size[1], math.ceil(one.foot_px[1] + 2))
        if right - left < 2 or bottom - top < 2:
            return None
        rows = np.arange(top, bottom, dtype=np.float32)[:, None]
        across = (np.arange(left, right, dtype=np.float32)[None] - np.float32(foot_x)) / one.px_per_m
        height = np.maximum((one.foot_px[1] - rows) / one.px_per_m, 0.02).astype(np.float32)
        tau = self._density(across, height, drift, t_s)
        tau *= smoothstep(one.foot_px[1] + 1.0, one.foot_px[1] - 1.0, rows)
        return Depth(np.asarray(tau, np.float32), left, top)

    def _density(self, across: FloatImage, height: FloatImage, drift: float, t_s: float) -> FloatImage:
        """Return optical depth at metres across (1, w) and above the foot (h, 1)."""
        one = self.source
        age = (height / one.lift) ** 1.5
        lean = drift * 1.5 * age / height  # of the centre line: metres across for one up
        radius = 0.5 * one.width_m + _SPREAD * height
        off = (across - drift * age) / (np.sqrt(1 + lean**2) * radius)
        speed = 1.0 + 0.35 * abs(one.wind_m_s)
        along = (18 * np.log1p(age / 5) - speed * t_s + self._phase).astype(np.float32)
        map_x = np.ascontiguousarray(np.broadcast_to(along * 5.0, off.shape), np.float32)
        map_y = np.asarray(off * 42 + _TEXTURE_PX / 2, np.float32)
        noise = cv2.remap(self._noise, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        shape = np.exp(-1.4 * (off + 0.3 * noise) ** 2) * np.clip(1 + 0.7 * noise, 0.05, None)
        released = t_s - age
        strength = np.clip((released - one.started_s) / one.grow_s, 0, 1) * (released < one.ended_s)
        thin = (0.5 * one.width_m / radius) ** 0.7 * np.exp(-((age / one.life_s) ** 2) * 2.5)
        return np.asarray(one.dense * shape * strength * thin, np.float32)

    def draw(self, picture: FloatImage, depth: Depth, light: Light, haze_bgr: FloatImage) -> None:
        """Put it into a part of a picture, float32 BGR, of the size of ``depth``; in place."""
        one, tau = self.source, depth.tau
        above = np.cumsum(tau, axis=0) * (0.1 / max(one.px_per_m * one.width_m, 1.0))
        lit = np.exp(-above)[:, :, None] * (0.7 + 0.3 * light.sun_dir[2])
        bright = np.asarray(light.ground_factor(), np.float32) * np.asarray([218, 220, 220], np.float32)
        dark = np.asarray(light.sky, np.float32) * np.asarray([198, 194, 190], np.float32)
        colour = dark + lit * (bright - dark)
        colour += one.brown * (np.asarray([118, 152, 178], np.float32) * (0.75 + 0.25 * lit) - colour)
        colour += one.white * (236.0 - colour)
        colour += one.haze * (haze_bgr - colour)
        alpha = (1 - np.exp(-tau))[:, :, None]
        picture += alpha * (np.minimum(colour, _BRIGHTEST) - picture)

"""The camera: from a pixel to a direction in the world and back.

A pinhole with Brown-Conrady distortion (D. C. Brown, "Close-range camera calibration", 1971; coefficients
in OpenCV's order). Pixels are (x, y) with the picture's corner at (0, 0) and its middle at half its size.
A direction is an azimuth, clockwise from north, and a slope: the tangent of its elevation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from towerwatch.geometry.earth import Array, Numbers

UNDISTORT_ROUNDS = 25


@dataclass(frozen=True, slots=True)
class Pose:
    """How a camera looks, in degrees; each a number, or an array of shape (n,) for n cameras at once.

    ``azimuth_deg`` clockwise from true north, ``tilt_deg`` up (negative looks down), ``roll_deg`` clockwise
    about the optical axis as the camera sees, ``hfov_deg`` horizontal and without distortion.
    """

    azimuth_deg: Numbers
    tilt_deg: Numbers
    roll_deg: Numbers
    hfov_deg: Numbers

    def axes(self) -> tuple[Array, Array, Array]:
        """Return the unit vectors right, up and forward in (east, north, up), each (..., 3)."""
        azimuth, tilt, roll = (np.radians(a) for a in (self.azimuth_deg, self.tilt_deg, self.roll_deg))
        sin_a, cos_a, sin_t, cos_t = np.sin(azimuth), np.cos(azimuth), np.sin(tilt), np.cos(tilt)
        forward = _stack(sin_a * cos_t, cos_a * cos_t, sin_t)
        level = _stack(cos_a, -sin_a, 0.0 * sin_t)
        above = _stack(-sin_a * sin_t, -cos_a * sin_t, cos_t)
        sin_r, cos_r = np.sin(roll)[..., None], np.cos(roll)[..., None]
        return cos_r * level - sin_r * above, sin_r * level + cos_r * above, forward


@dataclass(frozen=True, slots=True)
class Lens:
    """Picture size (width, height) and distortion k1, k2, p1, p2, k3, as many as are given."""

    size_px: tuple[int, int]
    distortion: tuple[float, ...] = ()

    def focal_px(self, hfov_deg: Numbers) -> Numbers:
        """Return the focal length in pixels."""
        return self.size_px[0] / 2 / np.tan(np.radians(hfov_deg) / 2)

    def directions(self, pose: Pose, x_px: Numbers, y_px: Numbers) -> tuple[Array, Array]:
        """Return azimuth in degrees, in [0, 360), and slope of what is seen at a pixel."""
        focal_px = self.focal_px(pose.hfov_deg)
        u, v = self._undistorted(
            (np.asarray(x_px) - self.size_px[0] / 2) / focal_px,
            (np.asarray(y_px) - self.size_px[1] / 2) / focal_px,
        )
        right, up, forward = pose.axes()
        ray = forward + right * u[..., None] - up * v[..., None]
        level = np.hypot(ray[..., 0], ray[..., 1])
        return np.degrees(np.arctan2(ray[..., 0], ray[..., 1])) % 360, ray[..., 2] / level

    def project(self, pose: Pose, azimuth_deg: Numbers, slope: Numbers) -> tuple[Array, Array]:
        """Return the pixel (x, y) of a direction; nan for what is behind the camera."""
        azimuth = np.radians(azimuth_deg)
        ray = _stack(np.sin(azimuth), np.cos(azimuth), slope)
        right, up, forward = pose.axes()
        depth = (ray * forward).sum(axis=-1)
        depth = np.where(depth > 0, depth, np.nan)
        u, v = self._distorted((ray * right).sum(axis=-1) / depth, -(ray * up).sum(axis=-1) / depth)
        focal_px = self.focal_px(pose.hfov_deg)
        return self.size_px[0] / 2 + focal_px * u, self.size_px[1] / 2 + focal_px * v

    def _distorted(self, u: Array, v: Array) -> tuple[Array, Array]:
        if not any(self.distortion):
            return u, v
        radial, du, dv = self._terms(u, v)
        return u * radial + du, v * radial + dv

    def _undistorted(self, u: Array, v: Array) -> tuple[Array, Array]:
        """Invert the distortion by iterating on its terms, as OpenCV does."""
        if not any(self.distortion):
            return u, v
        ideal_u, ideal_v = u, v
        for _ in range(UNDISTORT_ROUNDS):
            radial, du, dv = self._terms(ideal_u, ideal_v)
            ideal_u, ideal_v = (u - du) / radial, (v - dv) / radial
        return ideal_u, ideal_v

    def _terms(self, u: Array, v: Array) -> tuple[Array, Array, Array]:
        k1, k2, p1, p2, k3 = (*self.distortion, *(0.0,) * 5)[:5]
        r2 = u * u + v * v
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        return radial, 2 * p1 * u * v + p2 * (r2 + 2 * u * u), p1 * (r2 + 2 * v * v) + 2 * p2 * u * v


def _stack(*parts: Numbers) -> Array:
    return np.stack(np.broadcast_arrays(*parts), axis=-1).astype(np.float64)

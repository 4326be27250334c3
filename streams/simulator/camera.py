"""The simulator's camera: a pinhole over flat ground.

World axes in metres: x to the right, y away from the camera at yaw 0, z up. The camera stands at
``position_m``; yaw turns it to the right, pitch down, roll clockwise.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.simulator.truth import TruthCamera

Array = npt.NDArray[np.float64]


@functools.lru_cache(maxsize=64)
def _axes(yaw_deg: float, pitch_deg: float, roll_deg: float) -> tuple[Array, Array, Array]:
    yaw, pitch, roll = (math.radians(a) for a in (yaw_deg, pitch_deg, roll_deg))
    forward = np.array([math.sin(yaw) * math.cos(pitch), math.cos(yaw) * math.cos(pitch), -math.sin(pitch)])
    level = np.array([math.cos(yaw), -math.sin(yaw), 0.0])
    above = np.cross(level, forward)
    right = math.cos(roll) * level + math.sin(roll) * above
    up = -math.sin(roll) * level + math.cos(roll) * above
    return right, up, forward


@dataclass(frozen=True, slots=True)
class PinholeCamera:
    """A camera with square pixels and no distortion; ``size_px`` is (width, height)."""

    position_m: tuple[float, float, float]
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    hfov_deg: float
    size_px: tuple[int, int]

    @property
    def focal_px(self) -> float:
        """Focal length in pixels."""
        return self.size_px[0] / 2 / math.tan(math.radians(self.hfov_deg) / 2)

    def axes(self) -> tuple[Array, Array, Array]:
        """Return the unit vectors to the right, up and forward of the picture, in the world."""
        return _axes(self.yaw_deg, self.pitch_deg, self.roll_deg)

    def project(self, points_m: Array) -> tuple[Array, Array]:
        """Project points (n, 3) to pixels (n, 2) and their depth in metres (n,)."""
        right, up, forward = self.axes()
        relative = points_m - np.asarray(self.position_m)
        depth = relative @ forward
        safe = np.where(np.abs(depth) < 1e-6, 1e-6, depth)
        width, height = self.size_px
        u = width / 2 + self.focal_px * (relative @ right) / safe
        v = height / 2 - self.focal_px * (relative @ up) / safe
        return np.stack([u, v], axis=1), depth

    def ground_homography(self) -> Array:
        """Return the 3x3 matrix that takes ground (x, y, 1) in metres to pixels."""
        right, up, forward = self.axes()
        rows = np.stack([right, -up, forward])
        moved = rows @ -np.asarray(self.position_m)
        pose = np.column_stack([rows[:, 0], rows[:, 1], moved])
        width, height = self.size_px
        inner = np.array([[self.focal_px, 0, width / 2], [0, self.focal_px, height / 2], [0, 0, 1]])
        return np.asarray(inner @ pose)

    def ground_at(self, u: Array, v: Array) -> tuple[Array, Array, Array]:
        """Return ground x, y and distance in metres of pixels; nan at and above the horizon."""
        right, up, forward = self.axes()
        width, height = self.size_px
        ray = (
            forward[:, None]
            + right[:, None] * ((u.ravel() - width / 2) / self.focal_px)
            - up[:, None] * ((v.ravel() - height / 2) / self.focal_px)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(ray[2] < -1e-5, -self.position_m[2] / ray[2], np.nan)
        x = self.position_m[0] + scale * ray[0]
        y = self.position_m[1] + scale * ray[1]
        distance = scale * np.linalg.norm(ray, axis=0)
        return x.reshape(u.shape), y.reshape(u.shape), distance.reshape(u.shape)

    def polygon_frac(self, ground_m: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
        """Project a ground polygon into [0, 1] of the frame, clamped to it."""
        points, _ = self.project(np.array([(x, y, 0.0) for x, y in ground_m]))
        width, height = self.size_px
        return tuple((float(np.clip(u / width, 0, 1)), float(np.clip(v / height, 0, 1))) for u, v in points)

    def truth(self) -> TruthCamera:
        """Return the pose as it is written beside the video."""
        return TruthCamera(self.position_m[2], self.yaw_deg, self.pitch_deg, self.roll_deg, self.hfov_deg)

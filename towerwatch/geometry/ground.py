"""The ground below lines of sight: level, or a grid of heights; the earth's curvature and refraction in both.

Heights are relative to the ground at the tower's foot; ``height_m`` is the lens's above that. Over an earth
of :data:`~towerwatch.geometry.earth.BENT_RADIUS_M` a line of sight is straight, so ground at a distance d
appears d²/2R lower than its height.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from towerwatch.geometry.earth import BENT_RADIUS_M, Array, Numbers

PROFILES = 9  # cuts through a terrain grid over the spread of one ray's azimuths


class Ground(Protocol):
    """What a line of sight ends at."""

    def distance_m(self, azimuth_deg: Array, slope: Array, height_m: Array) -> Array:
        """Return how far lines of sight, each (n,), reach before they meet the ground; nan for never.

        The azimuths are those of one ray and its errors: they lie close together, and do not wrap at north.
        """
        ...

    def height_at(self, east_m: Numbers, north_m: Numbers) -> Array:
        """Return the ground's height above that at the tower's foot."""
        ...

    def horizon_slope(self, azimuth_deg: float, height_m: float) -> float:
        """Return the slope of the line of sight to the horizon."""
        ...


def apparent_slope(height_m: Numbers, distance_m: Numbers) -> Numbers:
    """Return the slope at which something appears that stands ``height_m`` above the lens's level."""
    return height_m / distance_m - distance_m / (2 * BENT_RADIUS_M)


@dataclass(frozen=True, slots=True)
class LevelGround:
    """A plain on a round earth."""

    def distance_m(self, azimuth_deg: Array, slope: Array, height_m: Array) -> Array:
        """Solve height + slope d + d²/2R = 0 for the nearer root."""
        del azimuth_deg
        root = slope**2 - 2 * height_m / BENT_RADIUS_M
        meets = (slope < 0) & (root >= 0) & (height_m > 0)
        return np.where(meets, 2 * height_m / (-slope + np.sqrt(np.where(meets, root, 1.0))), np.nan)

    def height_at(self, east_m: Numbers, north_m: Numbers) -> Array:
        """Return zeros."""
        return np.zeros(np.broadcast(east_m, north_m).shape)

    def horizon_slope(self, azimuth_deg: float, height_m: float) -> float:
        """Return the dip of the horizon, a negative slope."""
        del azimuth_deg
        return -float(np.sqrt(2 * height_m / BENT_RADIUS_M))


@dataclass(frozen=True, slots=True, eq=False)
class TerrainGrid:
    """Heights on a square grid about the tower, with true distances and azimuths from it.

    Attributes:
        heights_m: (rows, columns), relative to the ground at the tower's foot; the first row is the northern
            one; nan where nothing is known.
        cell_m: side of a cell.
        west_m, north_m: east and north of the middle of the first cell of the first row.

    """

    heights_m: Array
    cell_m: float
    west_m: float
    north_m: float

    def height_at(self, east_m: Numbers, north_m: Numbers) -> Array:
        """Return the height, bilinear between the middles of cells; nan outside."""
        column = (np.asarray(east_m, np.float64) - self.west_m) / self.cell_m
        row = (self.north_m - np.asarray(north_m, np.float64)) / self.cell_m
        rows, columns = self.heights_m.shape
        inside = (column >= 0) & (row >= 0) & (column <= columns - 1) & (row <= rows - 1)
        left = np.clip(np.floor(np.where(inside, column, 0)).astype(int), 0, columns - 2)
        top = np.clip(np.floor(np.where(inside, row, 0)).astype(int), 0, rows - 2)
        across, down = column - left, row - top
        upper = self.heights_m[top, left] * (1 - across) + self.heights_m[top, left + 1] * across
        lower = self.heights_m[top + 1, left] * (1 - across) + self.heights_m[top + 1, left + 1] * across
        return np.where(inside, upper * (1 - down) + lower * down, np.nan)

    def _profile(self, azimuth_deg: float, height_m: float) -> tuple[Array, Array]:
        """Return distances in steps of half a cell, and the slope at which the ground appears at each."""
        reach_m = max(-self.west_m, self.north_m) * np.sqrt(2)
        distance_m = np.arange(self.cell_m / 2, reach_m, self.cell_m / 2)
        azimuth = np.radians(azimuth_deg)
        ground_m = self.height_at(distance_m * np.sin(azimuth), distance_m * np.cos(azimuth))
        slope = np.asarray(apparent_slope(ground_m - height_m, distance_m))
        return distance_m, np.where(np.isnan(slope), -np.inf, slope)

    def distance_m(self, azimuth_deg: Array, slope: Array, height_m: Array) -> Array:
        """Find the first ground that rises into each line of sight, along the nearest of a few profiles."""
        out = np.full(np.shape(slope), np.nan)
        usual_m = float(np.mean(height_m))
        cuts = np.linspace(azimuth_deg.min(), azimuth_deg.max(), PROFILES)
        nearest = np.abs(azimuth_deg[:, None] - cuts).argmin(axis=1)
        for index in np.unique(nearest):
            along_m, ground = self._profile(float(cuts[index]), usual_m)
            mine = nearest == index
            out[mine] = _first_hits(along_m, ground, slope[mine], height_m[mine] - usual_m, usual_m)
        return out

    def horizon_slope(self, azimuth_deg: float, height_m: float) -> float:
        """Return the highest slope at which ground of the grid appears."""
        return float(self._profile(azimuth_deg, height_m)[1].max())


def _first_hits(along_m: Array, ground: Array, slope: Array, raised_m: Array, height_m: float) -> Array:
    """Return where lines of sight first meet a profile.

    A lens that is ``raised_m`` higher sees ground at d lower by raised/d; d is taken from the round before,
    which leaves an error of the second order in raised/height.
    """
    visible = np.maximum.accumulate(ground)
    distance_m = np.full(slope.shape, np.inf)
    for _ in range(3):
        seen = slope + raised_m / distance_m
        index = np.searchsorted(visible, seen)  # the first that appears at least as high
        hit = np.minimum(index, len(along_m) - 1)
        before = np.maximum(hit - 1, 0)
        above_m = np.where(hit > 0, (seen - ground[before]) * along_m[before], height_m)
        below_m = (ground[hit] - seen) * along_m[hit]
        start_m = np.where(hit > 0, along_m[before], 0.0)
        with np.errstate(invalid="ignore"):  # inf beside ground that is unknown
            share = np.where(np.isfinite(above_m), above_m / (above_m + below_m), 1.0)
        distance_m = np.where(index < len(along_m), start_m + share * (along_m[hit] - start_m), np.inf)
    return np.where(np.isfinite(distance_m), distance_m, np.nan)

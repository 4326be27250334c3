"""A view's pose from points that somebody clicked: landmarks whose place is known, and the horizon.

Solved are azimuth, tilt, roll and focal length, and with them, held by what is stated of them, the tower's
position and height: their errors go into the uncertainties that come out. A wrong point is found by consensus
(M. Fischler and R. Bolles, "Random sample consensus", 1981; here over all pairs of landmarks, so that the
answer is always the same), left out and named.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from towerwatch.errors import ConfigError
from towerwatch.geometry.camera import Pose
from towerwatch.geometry.earth import Array, offset
from towerwatch.geometry.ground import apparent_slope
from towerwatch.geometry.station import Station, Uncertainty

Mask = npt.NDArray[np.bool_]

UNKNOWNS = ("azimuth", "tilt", "roll", "field of view")
SPARE = 1  # equations beyond the unknowns, so that a contradiction shows
MAX_PAIRS = 45
OUTLIER_SD = 4.0
STARTS_DEG = np.geomspace(2.0, 110.0, 14)
ROUNDS = 30
# beyond these standard deviations, in degrees (of the field of view: as a share), the points do not say it
LIMITS = (3.0, 1.0, 5.0, 0.1)


@dataclass(frozen=True, slots=True)
class Clicked:
    """A point of the picture, and what is there: a landmark, or (without ``lat_deg``) the horizon.

    Attributes:
        name: for people.
        x_px: in the picture.
        y_px: in the picture.
        click_sd_px: how well it was clicked.
        lat_deg: WGS 84, of a landmark.
        lon_deg: of a landmark.
        height_m: of a landmark's clicked point above the ground at its foot.
        position_sd_m: how well its place is known, east and north each.
        height_sd_m: how well its height above the tower's foot is known.
        horizon_sd_deg: how far trees and rises lift the horizon.

    """

    name: str
    x_px: float
    y_px: float
    click_sd_px: float = 2.0
    lat_deg: float | None = None
    lon_deg: float | None = None
    height_m: float = 0.0
    position_sd_m: float = 2.0
    height_sd_m: float = 0.5
    horizon_sd_deg: float = 0.03

    @property
    def is_horizon(self) -> bool:
        """Whether it lies on the horizon."""
        return self.lat_deg is None


@dataclass(frozen=True, slots=True)
class Residual:
    """How far a point lies from where the solution has it; ``used`` is False for one that was left out."""

    name: str
    miss_px: float
    used: bool


@dataclass(frozen=True, slots=True)
class Calibration:
    """A pose, its standard deviations, and what became of each point, in their order."""

    pose: Pose
    sd: Uncertainty
    residuals: tuple[Residual, ...]

    @property
    def rms_px(self) -> float:
        """Root mean square miss of the points that were used."""
        return float(np.sqrt(np.mean([one.miss_px**2 for one in self.residuals if one.used])))


def calibrate(station: Station, points: Sequence[Clicked]) -> Calibration:
    """Solve a view's pose.

    Args:
        station: where the camera stands and its lens; its pose is not used.
        points: at least two landmarks, and an equation more than there are unknowns.

    Raises:
        ConfigError: too few points; points that contradict each other, or do not determine the pose.

    """
    _enough(points)
    problem = _Problem(station, points)
    best = min((problem.solve(pair) for pair in _pairs(points)), key=problem.cost)
    used = problem.fits(best)
    for _ in range(5):
        _agreeing(points, used, problem, best)
        best = problem.solve(used, best)
        now = problem.fits(best)
        if (now == used).all():
            break
        used = now
    return _answer(problem, best, used)


def _enough(points: Sequence[Clicked]) -> None:
    landmarks = sum(not point.is_horizon for point in points)
    equations = landmarks + len(points)
    if landmarks < 2 or equations < len(UNKNOWNS) + SPARE:
        msg = (
            f"{landmarks} landmarks and {len(points) - landmarks} points on the horizon are too few:"
            f" two landmarks and a third point of either kind are the least, four landmarks are good"
        )
        raise ConfigError(msg)


def _pairs(points: Sequence[Clicked]) -> list[Mask]:
    """Return the pairs of landmarks, at most :data:`MAX_PAIRS`, each as a mask of the points."""
    landmarks = [index for index, point in enumerate(points) if not point.is_horizon]
    pairs = list(itertools.combinations(landmarks, 2))
    every = -(-len(pairs) // MAX_PAIRS)
    return [np.isin(np.arange(len(points)), pair) for pair in pairs[::every]]


def _agreeing(points: Sequence[Clicked], used: Mask, problem: _Problem, best: Array) -> None:
    kept = [point for point, use in zip(points, used, strict=True) if use]
    equations = sum(1 if point.is_horizon else 2 for point in kept)
    landmarks = sum(not point.is_horizon for point in kept)
    if landmarks < 2 or equations < len(UNKNOWNS) + SPARE or 2 * len(kept) <= len(points):
        misses = problem.misses_px(best)
        worst = int(np.nanargmax(np.where(np.isfinite(misses), misses, 1e9)))
        msg = (
            f"the points contradict each other: no pose fits more than {len(kept)} of {len(points)};"
            f" the worst is {points[worst].name!r}. Check its place, height and pixel"
        )
        raise ConfigError(msg)


class _Problem:
    """Residuals in standard deviations, as a function of seven parameters.

    Azimuth, tilt and roll in degrees, logarithm of the focal length in pixels; the tower's offset east, north
    and up from where it is said to stand, in its standard deviations.
    """

    def __init__(self, station: Station, points: Sequence[Clicked]) -> None:
        self.station, self.points = station, points
        self.horizon = np.array([point.is_horizon for point in points])
        self.x_px, self.y_px = np.array([(point.x_px, point.y_px) for point in points], float).T
        marks = [point for point in points if not point.is_horizon]
        self.east_m, self.north_m = offset(
            station.lat_deg,
            station.lon_deg,
            np.array([point.lat_deg for point in marks], float),
            np.array([point.lon_deg for point in marks], float),
        )
        ground_m = station.ground.height_at(self.east_m, self.north_m)
        self.top_m = ground_m + [point.height_m for point in marks]
        self.position_sd_m = np.array([point.position_sd_m for point in marks])
        self.height_sd_m = np.array([point.height_sd_m for point in marks])
        self._skyline = self._horizon_slopes()

    def _horizon_slopes(self) -> Array:
        if not self.horizon.any():
            return np.zeros(0)
        return np.array(
            [self.station.ground.horizon_slope(azimuth, self.station.height_m) for azimuth in range(361)]
        )

    def pose(self, parameters: Array) -> Pose:
        width = self.station.lens.size_px[0]
        hfov = 2 * np.degrees(np.arctan(width / 2 / np.exp(parameters[3])))
        return Pose(parameters[0], parameters[1], parameters[2], float(hfov))

    def offsets_px(self, parameters: Array) -> tuple[Array, Array]:
        """Return misses (n, 2) in pixels and their standard deviations; a horizon point has none across."""
        station, pose, focal_px = self.station, self.pose(parameters), np.exp(parameters[3])
        misses, sds = np.zeros((len(self.points), 2)), np.ones((len(self.points), 2))
        click = np.array([point.click_sd_px for point in self.points])
        east_m = self.east_m - parameters[4] * station.sd.position_m
        north_m = self.north_m - parameters[5] * station.sd.position_m
        away_m = np.hypot(east_m, north_m)
        slope = apparent_slope(self.top_m - station.height_m - parameters[6] * station.sd.height_m, away_m)
        x_px, y_px = station.lens.project(pose, np.degrees(np.arctan2(east_m, north_m)), slope)
        mark, sky = ~self.horizon, self.horizon
        misses[mark] = np.stack([x_px - self.x_px[mark], y_px - self.y_px[mark]], axis=1)
        sds[mark, 0] = np.hypot(click[mark], focal_px * self.position_sd_m / away_m)
        sds[mark, 1] = np.hypot(click[mark], focal_px * self.height_sd_m / away_m)
        if sky.any():
            azimuth_deg, seen = station.lens.directions(pose, self.x_px[sky], self.y_px[sky])
            skyline = np.interp(azimuth_deg, np.arange(361), self._skyline)
            # a horizon seen from higher up dips as the square root of the height
            skyline *= np.sqrt(np.maximum(1 + parameters[6] * station.sd.height_m / station.height_m, 0))
            lifted = np.radians([point.horizon_sd_deg for point in self.points if point.is_horizon])
            misses[sky, 1] = focal_px * (np.arctan(seen) - np.arctan(skyline))
            sds[sky, 1] = np.hypot(click[sky], focal_px * lifted)
        return misses, sds

    def misses_px(self, parameters: Array) -> Array:
        return np.asarray(np.hypot(*self.offsets_px(parameters)[0].T))

    def _in_sds(self, parameters: Array) -> Array:
        misses, sds = self.offsets_px(parameters)
        return np.nan_to_num(misses / sds, nan=1e6)  # behind the camera

    def residuals(self, parameters: Array, used: Mask) -> Array:
        """Return all that is to be made small, in standard deviations, the tower's own errors included."""
        return np.concatenate([self._in_sds(parameters)[used].ravel(), parameters[4:]])

    def cost(self, parameters: Array) -> float:
        """Return the squared misses, those of wrong points cut short."""
        return float(np.minimum((self._in_sds(parameters) ** 2).sum(axis=1), OUTLIER_SD**2).sum())

    def fits(self, parameters: Array) -> Mask:
        return np.asarray(np.hypot(*self._in_sds(parameters).T) <= OUTLIER_SD)

    def start(self, used: Mask) -> Array:
        """Return the best of a few fields of view, level, looking at the first landmark."""
        first = int(np.flatnonzero(used & ~self.horizon)[0])
        mark = int((~self.horizon)[:first].sum())
        azimuth = np.degrees(np.arctan2(self.east_m[mark], self.north_m[mark]))
        away_m = np.hypot(self.east_m[mark], self.north_m[mark])
        slope = apparent_slope(self.top_m[mark] - self.station.height_m, away_m)
        width, height = self.station.lens.size_px
        tries = []
        for focal_px in np.asarray(self.station.lens.focal_px(STARTS_DEG)):
            right = np.degrees(np.arctan((self.x_px[first] - width / 2) / focal_px))
            down = np.degrees(np.arctan((self.y_px[first] - height / 2) / focal_px))
            tries.append([azimuth - right, np.degrees(np.arctan(slope)) + down, 0, np.log(focal_px), 0, 0, 0])
        return np.array(min(tries, key=lambda one: (self.residuals(np.array(one), used) ** 2).sum()), float)

    def solve(self, used: Mask, start: Array | None = None) -> Array:
        """Minimise by Levenberg and Marquardt's method over some of the points."""
        at = self.start(used) if start is None else start
        now, damping = self.residuals(at, used), 1e-3
        for _ in range(ROUNDS):
            slopes = self.jacobian(at, used)
            square = slopes.T @ slopes
            step = np.linalg.solve(square + damping * np.diag(np.diag(square) + 1e-9), -slopes.T @ now)
            step[3] = np.clip(step[3], -0.5, 0.5)  # the focal length by two thirds at once, at most
            tried = self.residuals(at + step, used)
            if (tried**2).sum() < (now**2).sum():
                done = (now**2).sum() - (tried**2).sum() < 1e-9
                at, now, damping = at + step, tried, damping / 5
                if done:
                    break
            else:
                damping *= 5
        return at

    def jacobian(self, at: Array, used: Mask) -> Array:
        columns = []
        for index, step in enumerate((1e-4, 1e-4, 1e-4, 1e-6, 1e-3, 1e-3, 1e-3)):
            nudge = np.zeros(7)
            nudge[index] = step
            columns.append((self.residuals(at + nudge, used) - self.residuals(at - nudge, used)) / (2 * step))
        return np.stack(columns, axis=1)


def _answer(problem: _Problem, best: Array, used: Mask) -> Calibration:
    slopes, left = problem.jacobian(best, used), problem.residuals(best, used)
    square = slopes.T @ slopes
    covariance = np.linalg.pinv(square, hermitian=True)
    spare = max(int(used.sum() + (used & ~problem.horizon).sum()) - len(UNKNOWNS), 1)
    covariance = covariance * max(1.0, float((left**2).sum()) / spare)
    sds = np.sqrt(np.maximum(np.diag(covariance)[:4], 0.0))
    if np.linalg.cond(square) > 1e14 or (sds > LIMITS).any():
        loose = UNKNOWNS[int(np.argmax(sds / LIMITS))]
        msg = (
            f"the points do not determine the {loose}: they lie too close together;"
            " add some far apart across the picture"
        )
        raise ConfigError(msg)
    pose = problem.pose(best)
    hfov_sd = sds[3] * np.degrees(np.sin(np.radians(float(np.asarray(pose.hfov_deg)))))  # d hfov / d ln f
    misses = problem.misses_px(best)
    residuals = tuple(
        Residual(point.name, float(miss), bool(use))
        for point, miss, use in zip(problem.points, misses, used, strict=True)
    )
    turned = Pose(*(float(v) for v in (best[0] % 360, best[1], best[2], pose.hfov_deg)))
    sd = replace(
        problem.station.sd,
        azimuth_deg=float(sds[0]),
        tilt_deg=float(sds[1]),
        roll_deg=float(sds[2]),
        hfov_deg=float(hfov_sd),
    )
    return Calibration(turned, sd, residuals)

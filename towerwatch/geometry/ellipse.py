"""Error ellipses on the ground: the 95 % region of a place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from towerwatch.geometry.earth import Array, moved

LEVEL = 0.95
RADIUS_SD = 2.447746830680816  # sqrt of the 95 % quantile of chi-square with 2 degrees of freedom
MIN_AXIS_M = 0.1
TAIL = (1 - LEVEL) / 2


@dataclass(frozen=True, slots=True)
class Ellipse:
    """A place in WGS 84 with its 95 % error ellipse.

    ``orientation_deg``: of the major axis, clockwise from north, in [0, 180). ``bearing_deg``: from the
    camera to the place, where one camera saw it.
    """

    lat_deg: float
    lon_deg: float
    semi_major_m: float
    semi_minor_m: float
    orientation_deg: float
    bearing_deg: float | None = None

    def covariance_m2(self) -> Array:
        """Return the covariance of (east, north), (2, 2), of a normal error with this ellipse."""
        turn = np.radians(self.orientation_deg)
        axes = np.array([[np.sin(turn), np.cos(turn)], [np.cos(turn), -np.sin(turn)]])
        semi_m = np.maximum([self.semi_major_m, self.semi_minor_m], MIN_AXIS_M)
        return np.asarray(axes.T @ np.diag((semi_m / RADIUS_SD) ** 2) @ axes)


def ellipse_about(
    lat_deg: float, lon_deg: float, centre_m: Array, covariance_m2: Array, bearing_deg: float | None = None
) -> Ellipse:
    """Make the ellipse of a normal error.

    Args:
        lat_deg: of the point that ``centre_m`` is relative to.
        lon_deg: of that point.
        centre_m: (east, north).
        covariance_m2: of (east, north), (2, 2), positive definite.
        bearing_deg: from the camera, where one saw it.

    """
    values, vectors = np.linalg.eigh(covariance_m2)  # ascending
    at_lat, at_lon = moved(lat_deg, lon_deg, *centre_m)
    semi_minor_m, semi_major_m = RADIUS_SD * np.sqrt(np.maximum(values, 0.0))
    turn_deg = float(np.degrees(np.arctan2(*vectors[:, 1]))) % 180
    return Ellipse(
        float(at_lat),
        float(at_lon),
        max(float(semi_major_m), MIN_AXIS_M),
        max(float(semi_minor_m), MIN_AXIS_M),
        0.0 if turn_deg >= 180 else turn_deg,  # -1e-20 % 180 is 180
        bearing_deg,
    )


def enclosing(points_m: Array) -> tuple[Array, Array]:
    """Return centre (2,) and covariance (2, 2) of the ellipse that holds 95 % of a cloud of points (n, 2).

    The cloud need not be normal: a sight at a grazing angle throws it far out on one side. Axes are those of
    its covariance, the centre lies amid its quantiles, and the size is what holds 95 % of the points.
    """
    _, axes = np.linalg.eigh(np.cov(points_m.T))
    along_m = points_m @ axes
    low, high = np.quantile(along_m, [TAIL, 1 - TAIL], axis=0)
    centre, semi_m = (low + high) / 2, np.maximum((high - low) / 2, MIN_AXIS_M)
    stretch = np.quantile(np.hypot(*((along_m - centre) / semi_m).T), LEVEL)
    variances = (stretch * semi_m / RADIUS_SD) ** 2
    return axes @ centre, np.asarray(axes @ np.diag(variances) @ axes.T)

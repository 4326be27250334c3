"""Sights of one thing from several towers: do their error ellipses meet, and where do they cross.

A tower knows the bearing of smoke to metres and its distance to hundreds of metres, so its ellipse is long
and thin along the bearing. Two such ellipses from two sides cross in a small one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from shapely.geometry import Polygon

from towerwatch.geometry.earth import offset
from towerwatch.geometry.ellipse import MIN_AXIS_M, Ellipse, ellipse_about

CORNERS = 72  # of an ellipse's outline: short of it by 0.1 % of its axes at most


def apart_m(one: Ellipse, other: Ellipse) -> float:
    """Return the distance between two ellipses, 0 where they overlap."""
    return float(_outline(one, one).distance(_outline(other, one)))


def _outline(ellipse: Ellipse, about: Ellipse) -> Polygon:
    """Return an ellipse in metres east and north of another one's centre."""
    east_m, north_m = offset(about.lat_deg, about.lon_deg, ellipse.lat_deg, ellipse.lon_deg)
    angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    along_m = max(ellipse.semi_major_m, MIN_AXIS_M) * np.cos(angle)
    across_m = max(ellipse.semi_minor_m, MIN_AXIS_M) * np.sin(angle)
    turn = np.radians(ellipse.orientation_deg)
    east_m = east_m + along_m * np.sin(turn) + across_m * np.cos(turn)
    north_m = north_m + along_m * np.cos(turn) - across_m * np.sin(turn)
    return Polygon(np.stack([east_m, north_m], axis=1))


def crossed(sights: Sequence[Ellipse]) -> Ellipse:
    """Return the place that independent sights of one thing agree on, with its ellipse.

    Least squares weighted by the inverse covariances, the surest sight first; one that does not meet what is
    known by then (another plume, or one that has drifted on) is left out. Parallel bearings do no harm: the
    answer is then as long as the shorter of the two.

    Args:
        sights: one for each camera, at least one.

    """
    first, *others = sorted(sights, key=lambda sight: sight.semi_major_m)
    known = first
    for sight in others:
        if apart_m(known, sight) == 0:
            known = _combined(known, sight)
    return known


def _combined(one: Ellipse, other: Ellipse) -> Ellipse:
    weight, other_weight = (np.linalg.inv(ellipse.covariance_m2()) for ellipse in (one, other))
    away_m = np.stack(offset(one.lat_deg, one.lon_deg, other.lat_deg, other.lon_deg))
    covariance_m2 = np.linalg.inv(weight + other_weight)
    return ellipse_about(one.lat_deg, one.lon_deg, covariance_m2 @ other_weight @ away_m, covariance_m2)

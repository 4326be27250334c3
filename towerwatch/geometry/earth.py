"""The earth, near a tower: geodesic offsets on WGS 84, curvature and refraction.

Offsets are polar about a point: ``east_m`` and ``north_m`` are distance times sine and cosine of the azimuth
of departure, so that their length is the geodesic distance.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Numbers = float | Array

SEMI_MAJOR_M = 6_378_137.0  # WGS 84 (NIMA TR8350.2)
FLATTENING = 1 / 298.257223563
MEAN_RADIUS_M = 6_371_008.8  # IUGG
REFRACTION = 0.13  # Gauss' coefficient: a line of sight bends with 0.13 of the earth's curvature
BENT_RADIUS_M = MEAN_RADIUS_M / (1 - REFRACTION)
"""Radius of an earth over which lines of sight are straight."""

_ECCENTRICITY_2 = FLATTENING * (2 - FLATTENING)


def _radii_m(lat: Numbers) -> tuple[Numbers, Numbers]:
    """Return the radii of curvature in the meridian and across it; ``lat`` in rad."""
    w2 = 1 - _ECCENTRICITY_2 * np.sin(lat) ** 2
    across = SEMI_MAJOR_M / np.sqrt(w2)
    return across * (1 - _ECCENTRICITY_2) / w2, across


def offset(lat_deg: float, lon_deg: float, to_lat_deg: Numbers, to_lon_deg: Numbers) -> tuple[Array, Array]:
    """Return east and north in m of other points as seen from one.

    Gauss' mid-latitude formulae: within 1 mm of the geodesic over 10 km.
    """
    d_lat = np.radians(np.asarray(to_lat_deg, np.float64) - lat_deg)
    d_lon = np.radians((np.asarray(to_lon_deg, np.float64) - lon_deg + 180) % 360 - 180)
    middle = np.radians(lat_deg) + d_lat / 2
    meridian_m, across_m = _radii_m(middle)
    east_m = d_lon * across_m * np.cos(middle)
    north_m = d_lat * meridian_m * np.cos(d_lon / 2)
    turn = d_lon * np.sin(middle) / np.cos(d_lat / 2) / 2  # half the convergence of the meridians
    azimuth = np.arctan2(east_m, north_m) - turn
    distance_m = np.hypot(east_m, north_m)
    return distance_m * np.sin(azimuth), distance_m * np.cos(azimuth)


def moved(lat_deg: float, lon_deg: float, east_m: Numbers, north_m: Numbers) -> tuple[Array, Array]:
    """Return latitude and longitude in degrees of what lies east and north of a point."""
    distance_m, azimuth = np.hypot(east_m, north_m), np.arctan2(east_m, north_m)
    start = np.radians(lat_deg)
    d_lat = d_lon = turn = np.zeros_like(distance_m)
    for _ in range(4):  # the inverse of `offset`, by iterating on the middle of the line
        middle = start + d_lat / 2
        meridian_m, across_m = _radii_m(middle)
        d_lon = distance_m * np.sin(azimuth + turn) / (across_m * np.cos(middle))
        d_lat = distance_m * np.cos(azimuth + turn) / (meridian_m * np.cos(d_lon / 2))
        turn = d_lon * np.sin(middle) / np.cos(d_lat / 2) / 2
    lon = (lon_deg + np.degrees(d_lon) + 180) % 360 - 180
    return np.asarray(lat_deg + np.degrees(d_lat)), np.asarray(lon)

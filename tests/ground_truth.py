"""Where things really are and how a camera really sees them, computed without Towerwatch's geometry.

Geodesics and earth-centred coordinates come from PROJ, the projection with its distortion from OpenCV.
Refraction lifts the line of sight by k d / 2R (Gauss), k = 0.13.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from pyproj import Geod, Transformer

from towerwatch.geometry.ellipse import Ellipse

GEOD = Geod(ellps="WGS84")
TO_ECEF = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
K_REFRACTION = 0.13
R_EARTH_M = 6_371_000.0
Ground = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class TrueCamera:
    """A camera as it really is: WGS 84, height of the lens above the ellipsoid, angles in degrees."""

    lat_deg: float
    lon_deg: float
    altitude_m: float
    azimuth_deg: float
    tilt_deg: float
    roll_deg: float
    hfov_deg: float
    size_px: tuple[int, int] = (1920, 1080)
    distortion: tuple[float, ...] = ()

    def sees(self, lat_deg: float, lon_deg: float, altitude_m: float) -> tuple[float, float]:
        """The pixel of a point; nan behind the camera."""
        ray = self.directions(lat_deg, lon_deg, altitude_m)
        turned = _rotation(self.azimuth_deg, self.tilt_deg, self.roll_deg)
        in_camera = turned @ ray
        if in_camera[2] <= 0:
            return np.nan, np.nan
        width, height = self.size_px
        focal = width / 2 / np.tan(np.radians(self.hfov_deg) / 2)
        matrix = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
        bent = np.zeros(5)
        bent[: len(self.distortion)] = self.distortion
        pixel, _ = cv2.projectPoints(in_camera.reshape(1, 1, 3), np.zeros(3), np.zeros(3), matrix, bent)
        return float(pixel[0, 0, 0]), float(pixel[0, 0, 1])

    def directions(self, lat_deg: np.ndarray, lon_deg: np.ndarray, altitude_m: np.ndarray) -> np.ndarray:
        """Unit vectors (east, north, up), (3, ...), in which points appear."""
        here = np.array(TO_ECEF.transform(self.lon_deg, self.lat_deg, self.altitude_m))
        here = here.reshape(3, *(1,) * np.ndim(lat_deg))
        there = np.array(TO_ECEF.transform(lon_deg, lat_deg, altitude_m))
        lat, lon = np.radians([self.lat_deg, self.lon_deg])
        east = np.array([-np.sin(lon), np.cos(lon), 0])
        up = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
        axes = np.stack([east, np.cross(up, east), up])
        local = np.tensordot(axes, there - here, axes=1)
        level = np.hypot(local[0], local[1])
        elevation = np.arctan2(local[2], level) + K_REFRACTION * level / (2 * R_EARTH_M)
        azimuth = np.arctan2(local[0], local[1])
        return np.array(
            [np.sin(azimuth) * np.cos(elevation), np.cos(azimuth) * np.cos(elevation), np.sin(elevation)]
        )


def _rotation(azimuth_deg: float, tilt_deg: float, roll_deg: float) -> np.ndarray:
    """Matrix from (east, north, up) to camera axes (right, down, forward), as a product of turns."""

    def turn(axis: tuple[float, float, float], angle_deg: float) -> np.ndarray:
        return cv2.Rodrigues(np.array(axis) * np.radians(angle_deg))[0]

    level_north = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    # the scene turns against the camera: about up, about its right, about its axis
    return (
        turn((0, 0, 1), -roll_deg) @ turn((1, 0, 0), -tilt_deg) @ level_north @ turn((0, 0, 1), azimuth_deg)
    )


def visible(camera: TrueCamera, lat_deg: float, lon_deg: float, altitude_m: Ground) -> bool:
    """Whether no ground on the way rises above the line of sight to a point on the ground."""
    azimuth, _, distance = GEOD.inv(camera.lon_deg, camera.lat_deg, lon_deg, lat_deg)
    along = np.linspace(0.02, 1.0, 100) * distance
    start = np.full_like(along, camera.lon_deg), np.full_like(along, camera.lat_deg)
    lon, lat, _ = GEOD.fwd(*start, np.full_like(along, azimuth), along)
    up = camera.directions(lat, lon, altitude_m(lat, lon))[2]
    return bool(up[:-1].max() < up[-1])


def place(lat_deg: float, lon_deg: float, azimuth_deg: float, distance_m: float) -> tuple[float, float]:
    """Latitude and longitude of what lies at a distance along an azimuth."""
    lon, lat, _ = GEOD.fwd(lon_deg, lat_deg, azimuth_deg, distance_m)
    return float(lat), float(lon)


def apart_m(lat_deg: float, lon_deg: float, other_lat_deg: float, other_lon_deg: float) -> float:
    """Distance between two places in m."""
    return float(GEOD.inv(lon_deg, lat_deg, other_lon_deg, other_lat_deg)[2])


def inside(ellipse: Ellipse, lat_deg: float, lon_deg: float) -> bool:
    """Whether a place lies in an ellipse (semi-axes in m, orientation clockwise from north)."""
    azimuth, _, distance = GEOD.inv(ellipse.lon_deg, ellipse.lat_deg, lon_deg, lat_deg)
    off = np.radians(azimuth - ellipse.orientation_deg)
    along, across = distance * np.cos(off), distance * np.sin(off)
    return bool((along / ellipse.semi_major_m) ** 2 + (across / ellipse.semi_minor_m) ** 2 <= 1)

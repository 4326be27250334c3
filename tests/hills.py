"""A hilly country known in closed form, and the GeoTIFF that a survey would make of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio

LAT_DEG, LON_DEG = 31.2, 110.4
METRES_A_DEGREE = 111_195.0
# amplitude in m, wavelength in m, direction in rad, phase
WAVES = ((28.0, 2900.0, 0.3, 0.5), (15.0, 1300.0, 1.4, 2.0), (7.0, 800.0, 2.6, 4.0), (4.0, 620.0, 0.9, 1.0))


def altitude_m(lat_deg: np.ndarray | float, lon_deg: np.ndarray | float) -> np.ndarray:
    """Height of the ground above the ellipsoid."""
    north = (np.asarray(lat_deg) - LAT_DEG) * METRES_A_DEGREE
    east = (np.asarray(lon_deg) - LON_DEG) * METRES_A_DEGREE * np.cos(np.radians(LAT_DEG))
    total = np.full(np.broadcast(north, east).shape, 300.0)
    for amplitude, length, direction, phase in WAVES:
        along = east * np.sin(direction) + north * np.cos(direction)
        total = total + amplitude * np.sin(2 * np.pi * along / length + phase)
    return total


def write_geotiff(path: Path, half_deg: float = 0.05, cell_deg: float = 1 / 3600 / 2) -> Path:
    """Write the country around its middle, a height each half second of arc (15 m)."""
    count = round(2 * half_deg / cell_deg)
    west, north = LON_DEG - half_deg, LAT_DEG + half_deg
    lon = west + (np.arange(count) + 0.5) * cell_deg
    lat = north - (np.arange(count) + 0.5) * cell_deg
    heights = altitude_m(lat[:, None], lon[None, :]).astype(np.float32)
    write(path, heights, "EPSG:4326", rasterio.Affine(cell_deg, 0, west, 0, -cell_deg, north))
    return path


def write(
    path: Path, heights: np.ndarray, crs: str, transform: rasterio.Affine, nodata: float | None = None
) -> None:
    """Write a GeoTIFF of one band, compressed as surveys do."""
    rows, columns = heights.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=columns,
        height=rows,
        count=1,
        dtype="float32",
        crs=crs,
        transform=transform,
        nodata=nodata,
        compress="deflate",
    ) as file:
        file.write(heights, 1)

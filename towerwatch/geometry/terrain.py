"""A terrain grid about a tower, read from a GeoTIFF in whatever projection it has.

Needs the extra ``[terrain]``; rasterio is imported when a grid is read.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np

from towerwatch.errors import ConfigError
from towerwatch.geometry.ground import TerrainGrid

METRES_A_DEGREE = 111_320.0
MAX_CELLS = 2_000  # on a side: 10 km around at 10 m, 32 MB


@functools.lru_cache(maxsize=16)  # the views of a camera, and the cameras of a tower, share one
def read_terrain(path: Path, lat_deg: float, lon_deg: float, reach_m: float) -> TerrainGrid:
    """Read the heights within ``reach_m`` of a tower.

    The file is resampled to true distances and azimuths from the tower (azimuthal equidistant projection), at
    its own resolution.

    Raises:
        ConfigError: rasterio is missing, the file is no georeferenced grid, or has no height at the tower.

    """
    try:
        import rasterio  # noqa: PLC0415 - an extra; only where a terrain grid is used
        from rasterio.errors import RasterioError  # noqa: PLC0415
        from rasterio.vrt import WarpedVRT  # noqa: PLC0415
    except ModuleNotFoundError:
        msg = "a terrain grid needs the package rasterio: pip install 'towerwatch[terrain]'"
        raise ConfigError(msg) from None
    about_tower = f"+proj=aeqd +lat_0={lat_deg} +lon_0={lon_deg} +datum=WGS84 +units=m"
    try:
        with rasterio.open(path) as file:
            if file.crs is None:
                msg = f"{path}: is not georeferenced; give it a coordinate system (gdal_edit -a_srs)"
                raise ConfigError(msg)
            size = abs(file.transform.a) * (METRES_A_DEGREE if file.crs.is_geographic else 1.0)
            cell_m = max(size, 2 * reach_m / MAX_CELLS)
            half = math.ceil(reach_m / cell_m)
            count = 2 * half + 1  # an odd number: the tower stands on the middle of a cell
            west = north = (half + 0.5) * cell_m
            with WarpedVRT(
                file,
                crs=about_tower,
                resampling=rasterio.enums.Resampling.bilinear,
                transform=rasterio.Affine(cell_m, 0, -west, 0, -cell_m, north),
                width=count,
                height=count,
                nodata=np.nan,
                dtype="float64",
            ) as grid:
                heights_m = grid.read(1)
    except RasterioError as error:
        msg = f"{path}: cannot be read as a terrain grid: {' '.join(str(error).split())}"
        raise ConfigError(msg) from None
    foot_m = float(heights_m[half, half])
    if math.isnan(foot_m):
        msg = f"{path}: has no height at the camera ({lat_deg:g}, {lon_deg:g}); it covers another area"
        raise ConfigError(msg)
    heights_m = np.asarray(heights_m - foot_m, np.float64)
    heights_m.flags.writeable = False
    return TerrainGrid(heights_m, cell_m, -half * cell_m, half * cell_m)

"""A GeoTIFF becomes a grid of true distances about the tower, whatever its projection."""

from __future__ import annotations

from pathlib import Path

import hills
import numpy as np
import pytest
import rasterio
from pyproj import Transformer

from towerwatch.errors import ConfigError
from towerwatch.geometry.earth import moved
from towerwatch.geometry.terrain import read_terrain

REACH_M = 2000.0


@pytest.fixture(scope="module")
def geographic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hills.write_geotiff(tmp_path_factory.mktemp("terrain") / "hills.tif")


@pytest.fixture(scope="module")
def projected(geographic: Path) -> Path:
    """The same country in UTM, a height each 20 m."""
    path = geographic.with_name("utm.tif")
    to_utm = Transformer.from_crs("EPSG:4326", "EPSG:32649", always_xy=True)
    middle_east, middle_north = to_utm.transform(hills.LON_DEG, hills.LAT_DEG)
    west, north, count = middle_east - 4000, middle_north + 4000, 400
    across = west + 20 * (np.arange(count) + 0.5)
    down = north - 20 * (np.arange(count) + 0.5)
    lon_deg, lat_deg = to_utm.transform(*np.meshgrid(across, down), direction="INVERSE")
    heights = hills.altitude_m(lat_deg, lon_deg).astype(np.float32)
    heights[:, :10] = -9999.0
    hills.write(path, heights, "EPSG:32649", rasterio.Affine(20, 0, west, 0, -20, north), nodata=-9999.0)
    return path


@pytest.mark.parametrize("which", ["geographic", "projected"])
def test_heights_stand_where_they_are(which, request):
    grid = read_terrain(request.getfixturevalue(which), hills.LAT_DEG, hills.LON_DEG, REACH_M)
    east_m, north_m = np.random.default_rng(0).uniform(-1900, 1900, (2, 500))
    lat_deg, lon_deg = moved(hills.LAT_DEG, hills.LON_DEG, east_m, north_m)
    above = hills.altitude_m(lat_deg, lon_deg) - hills.altitude_m(hills.LAT_DEG, hills.LON_DEG)
    error_m = grid.height_at(east_m, north_m) - above
    assert np.abs(error_m).max() < 0.5
    assert grid.height_at(0.0, 0.0) == pytest.approx(0)


def test_the_rest_of_the_reach_is_unknown(projected):
    grid = read_terrain(projected, hills.LAT_DEG, hills.LON_DEG, 10_000.0)
    assert np.isnan(grid.height_at(0.0, 5000.0))  # beyond the file
    assert np.isnan(grid.height_at(-3900.0, 0.0))  # no data in it
    assert not np.isnan(grid.height_at(3900.0, 0.0))


def bare(folder: Path) -> Path:
    path = folder / "bare.tif"
    with rasterio.open(path, "w", driver="GTiff", width=4, height=4, count=1, dtype="uint8") as file:
        file.write(np.ones((1, 4, 4), np.uint8))
    return path


def no_raster(folder: Path) -> Path:
    path = folder / "text.tif"
    path.write_text("no raster")
    return path


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("make", "lat_deg", "says"),
    [
        (bare, 31.2, "not georeferenced"),
        (no_raster, 31.2, "cannot be read as a terrain grid"),
        (None, 45.0, "no height at the camera"),
    ],
    ids=["no coordinates", "no raster", "elsewhere"],
)
def test_what_cannot_be_used_is_said(make, lat_deg, says, tmp_path, geographic):
    path = make(tmp_path) if make else geographic
    with pytest.raises(ConfigError, match=says) as raised:
        read_terrain(path, lat_deg, hills.LON_DEG, REACH_M)
    assert str(path) in str(raised.value)

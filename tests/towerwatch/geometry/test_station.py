"""Places and their 95 % ellipses against truth from PROJ and OpenCV.

Each case draws a tower, a view and a plume, lets the true camera differ from the stated one by normal errors
of the stated sizes, projects the plume with PROJ and OpenCV, adds a pixel of error, and asks where it is.

``PYTHONPATH=tests python tests/towerwatch/geometry/test_station.py`` prints the table of docs/geometry.md.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import hills
import numpy as np
import pytest
from ground_truth import Ground, TrueCamera, apart_m, inside, place, visible

from alerts.crossing import crossed
from towerwatch.geometry.camera import Lens, Pose
from towerwatch.geometry.ellipse import Ellipse
from towerwatch.geometry.ground import Ground as OurGround
from towerwatch.geometry.ground import LevelGround
from towerwatch.geometry.station import Station, Uncertainty
from towerwatch.geometry.terrain import read_terrain

HEIGHTS_M = (20.0, 35.0, 50.0)
ZOOMED_DEG, WIDE_DEG = 20.0, 54.0
SIZE_PX = (1920, 1080)
FOOT_PX = 1.0


def uncertainty(hfov_deg: float) -> Uncertainty:
    """What `edge calibrate` reaches with some landmarks, on a tower whose height was measured."""
    return Uncertainty(
        azimuth_deg=0.1, tilt_deg=0.02, roll_deg=0.05, hfov_deg=0.003 * hfov_deg, height_m=0.3, position_m=2.0
    )


@dataclass(frozen=True)
class Land:
    """True ground, and what the station is told of it, about a tower."""

    lat_deg: float
    lon_deg: float
    altitude_m: Ground
    told: OurGround


PLAIN = Land(34.0, 113.5, lambda lat, lon: np.zeros(np.broadcast(lat, lon).shape), LevelGround())


def sighting(
    rng: np.random.Generator, land: Land, plume: tuple[float, float], height_m: float, hfov_deg: float
) -> Ellipse | None:
    """One tower's view of a plume's foot; None where the ground hides it."""
    sd = uncertainty(hfov_deg)
    true_lat, true_lon = place(land.lat_deg, land.lon_deg, 0, rng.normal(0, sd.position_m))
    true_lat, true_lon = place(true_lat, true_lon, 90, rng.normal(0, sd.position_m))
    foot_m = float(land.altitude_m(true_lat, true_lon))
    plume_m = float(land.altitude_m(*plume))
    lens_m = foot_m + height_m + rng.normal(0, sd.height_m)
    level = TrueCamera(true_lat, true_lon, lens_m, 0, 0, 0, hfov_deg)
    if land is not PLAIN and not visible(level, *plume, land.altitude_m):
        return None
    east, north, up = level.directions(*plume, plume_m)
    pose = Pose(
        float(np.degrees(np.arctan2(east, north)) + rng.uniform(-0.45, 0.45) * hfov_deg) % 360,
        float(np.degrees(np.arcsin(up)) + rng.uniform(-0.4, 0.4) * hfov_deg * 9 / 16),
        rng.normal(0, 1.0),
        hfov_deg,
    )
    true = TrueCamera(
        true_lat,
        true_lon,
        lens_m,
        pose.azimuth_deg + rng.normal(0, sd.azimuth_deg),
        pose.tilt_deg + rng.normal(0, sd.tilt_deg),
        pose.roll_deg + rng.normal(0, sd.roll_deg),
        hfov_deg + rng.normal(0, sd.hfov_deg),
    )
    x_px, y_px = np.array(true.sees(*plume, plume_m)) + rng.normal(0, FOOT_PX, 2)
    station = Station(
        land.lat_deg, land.lon_deg, height_m, Lens(SIZE_PX), pose, sd, land.told, max_range_m=5000.0
    )
    return station.locate(x_px, y_px, (FOOT_PX, FOOT_PX))


@dataclass(frozen=True)
class Figures:
    """What came of many cases."""

    held_frac: float
    p50_m: float
    p90_m: float
    semi_major_p50_m: float
    semi_minor_p50_m: float


def one_tower(land_of, count, *, seed, heights_m=HEIGHTS_M, ranges_m=(300.0, 3000.0), hfovs_deg) -> Figures:
    """Random plumes seen by one tower."""
    rng = np.random.default_rng(seed)
    rows = []
    while len(rows) < count:
        land = land_of(rng)
        plume = place(land.lat_deg, land.lon_deg, rng.uniform(0, 360), rng.uniform(*ranges_m))
        found = sighting(rng, land, plume, rng.choice(heights_m), rng.choice(hfovs_deg))
        if found is not None:
            rows.append(row(found, plume))
    return figures(rows)


def two_towers(count: int, *, seed: int, hfov_deg: float, height_m: float = 35.0) -> Figures:
    """Plumes 2 km from each of two towers, under bearings that cross at 20 degrees at least."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        plume = (PLAIN.lat_deg, PLAIN.lon_deg)
        bearing = rng.uniform(0, 360)
        sights = []
        for turn in (0.0, rng.choice([-1, 1]) * rng.uniform(20, 160)):
            lat, lon = place(*plume, bearing + turn, 2000.0)
            land = Land(lat, lon, PLAIN.altitude_m, LevelGround())
            sights.append(sighting(rng, land, plume, height_m, hfov_deg))
        rows.append(row(crossed(sights), plume))
    return figures(rows)


def row(found: Ellipse, truth: tuple[float, float]) -> tuple[float, ...]:
    miss_m = apart_m(found.lat_deg, found.lon_deg, *truth)
    return inside(found, *truth), miss_m, found.semi_major_m, found.semi_minor_m


def figures(rows: list[tuple[float, ...]]) -> Figures:
    held, miss_m, major_m, minor_m = np.array(rows, float).T
    p50, p90 = np.quantile(miss_m, [0.5, 0.9])
    return Figures(held.mean(), p50, p90, float(np.median(major_m)), float(np.median(minor_m)))


def plain(_rng: np.random.Generator) -> Land:
    return PLAIN


@functools.cache
def _hill(path: Path, index: int) -> Land:
    lat, lon = place(hills.LAT_DEG, hills.LON_DEG, 360 / 7 * index, 150.0 * index)
    return Land(lat, lon, hills.altitude_m, read_terrain(path, lat, lon, 4000.0))


@pytest.fixture(scope="module")
def hilly(tmp_path_factory):
    path = hills.write_geotiff(tmp_path_factory.mktemp("hills") / "hills.tif")
    return lambda rng: _hill(path, int(rng.integers(7)))


def test_the_true_place_lies_in_the_ellipse_in_95_of_100_cases_on_a_plain():
    found = one_tower(plain, 2000, seed=1, hfovs_deg=(ZOOMED_DEG, WIDE_DEG))
    assert 0.93 <= found.held_frac <= 0.97


def test_the_true_place_lies_in_the_ellipse_in_95_of_100_cases_among_hills(hilly):
    found = one_tower(hilly, 2000, seed=2, hfovs_deg=(ZOOMED_DEG, WIDE_DEG))
    assert 0.93 <= found.held_frac <= 0.97


def test_far_and_unzoomed_the_ellipse_is_long_and_honest():
    found = one_tower(plain, 500, seed=3, heights_m=(20.0,), ranges_m=(2500, 3000), hfovs_deg=(WIDE_DEG,))
    assert 0.92 <= found.held_frac <= 0.98
    assert found.semi_major_p50_m > 500
    assert found.semi_minor_p50_m < 30


def test_one_tower_zoomed_to_20_degrees_misses_by_100_m_at_most_at_2_km():
    found = one_tower(plain, 500, seed=4, heights_m=(35.0,), ranges_m=(2000, 2000), hfovs_deg=(ZOOMED_DEG,))
    assert found.p90_m <= 100


@pytest.mark.parametrize("hfov_deg", [ZOOMED_DEG, WIDE_DEG])
def test_two_bearings_miss_by_50_m_at_most_at_2_km(hfov_deg):
    found = two_towers(200, seed=5, hfov_deg=hfov_deg)
    assert found.p90_m <= 50
    assert 0.90 <= found.held_frac <= 0.99


def test_a_foot_above_the_horizon_is_known_by_its_bearing_alone():
    sd = uncertainty(ZOOMED_DEG)
    station = Station(34.0, 113.5, 35.0, Lens(SIZE_PX), Pose(70, 1.0, 0, ZOOMED_DEG), sd, max_range_m=8000)
    found = station.locate(960, 540, (FOOT_PX, FOOT_PX))
    assert found.bearing_deg == pytest.approx(70)
    assert found.orientation_deg == pytest.approx(70, abs=0.1)
    for distance_m in (500, 2000, 6000):
        assert inside(found, *place(34.0, 113.5, 70.0, distance_m))
    assert not inside(found, *place(34.0, 113.5, 73.0, 4000))


def report(hills_path: Path) -> None:
    """Print a line for each condition."""
    hill = lambda rng: _hill(hills_path, int(rng.integers(7)))  # noqa: E731 - the fixture's
    both = (ZOOMED_DEG, WIDE_DEG)
    rows = {"plain, 20/35/50 m, 0.3-3 km, 20 and 54 deg": one_tower(plain, 2000, seed=1, hfovs_deg=both)}
    rows["hills, 20/35/50 m, 0.3-3 km, 20 and 54 deg"] = one_tower(hill, 2000, seed=2, hfovs_deg=both)
    for height_m in HEIGHTS_M:
        for hfov_deg in both:
            rows[f"plain, {height_m:.0f} m, 2 km, {hfov_deg:.0f} deg"] = one_tower(
                plain, 1000, seed=4, heights_m=(height_m,), ranges_m=(2000, 2000), hfovs_deg=(hfov_deg,)
            )
    far = {"heights_m": (20.0,), "ranges_m": (2500, 3000), "hfovs_deg": (WIDE_DEG,)}
    rows["plain, 20 m, 2.5-3 km, 54 deg"] = one_tower(plain, 1000, seed=3, **far)
    for hfov_deg in both:
        rows[f"two towers, 35 m, 2 km each, {hfov_deg:.0f} deg"] = two_towers(1000, seed=5, hfov_deg=hfov_deg)
    for name, found in rows.items():
        axes = f"{found.semi_major_p50_m:.0f} x {found.semi_minor_p50_m:.0f} m"
        errors = f"{found.p50_m:.0f} m | {found.p90_m:.0f} m"
        print(f"| {name} | {errors} | {axes} | {found.held_frac:.1%} |")  # noqa: T201 - the report


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        report(hills.write_geotiff(Path(folder) / "hills.tif"))

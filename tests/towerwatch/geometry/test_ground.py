"""Lines of sight end where the ground is: on the round earth, at a wall, behind nothing unknown."""

from __future__ import annotations

import numpy as np
import pytest
from ground_truth import TrueCamera, place

from towerwatch.geometry.ground import LevelGround, TerrainGrid, apparent_slope

AZIMUTH = np.array([40.0])


def grid(heights_of, cell_m=10.0, half=200):
    at = (np.arange(2 * half + 1) - half) * cell_m
    heights = heights_of(at[None, :], -at[:, None]) + np.zeros((2 * half + 1, 2 * half + 1))
    return TerrainGrid(heights, cell_m, -half * cell_m, half * cell_m)


def reach(ground, slope, height_m=35.0, azimuth_deg=40.0):
    """How far one line of sight gets."""
    return float(ground.distance_m(np.array([azimuth_deg]), np.array([slope]), np.array([height_m]))[0])


@pytest.mark.parametrize("height_m", [20, 35, 50])
@pytest.mark.parametrize("distance_m", [300, 1000, 2000, 3000])
def test_level_ground_is_met_where_the_round_earth_with_refraction_has_it(height_m, distance_m):
    true = TrueCamera(33.0, 112.0, height_m, 40.0, 0, 0, 60)
    east, north, up = true.directions(*place(33.0, 112.0, 40.0, distance_m), 0.0)
    assert reach(LevelGround(), up / np.hypot(east, north), height_m) == pytest.approx(distance_m, rel=2e-4)


def test_a_sight_above_the_horizon_meets_nothing():
    # 35 m up, the horizon dips by 0.177 degrees with refraction
    horizon = LevelGround().horizon_slope(0.0, 35.0)
    assert np.degrees(np.arctan(horizon)) == pytest.approx(-0.177, abs=0.001)
    assert np.isnan(reach(LevelGround(), horizon * 0.99))
    assert reach(LevelGround(), horizon * 1.0001) == pytest.approx(22_640, rel=0.03)


def test_a_grid_of_zeros_is_level_ground():
    flat = grid(lambda _east, _north: 0.0)
    for slope in (-0.3, -0.1, -0.03, -0.02):
        assert reach(flat, slope) == pytest.approx(reach(LevelGround(), slope), abs=0.01)
    assert np.isnan(reach(flat, -0.005))  # beyond the grid


def test_a_wall_is_met_at_its_face_and_hides_what_is_behind():
    wall = grid(lambda _east, north: np.where(north >= 500, 30.0, 0.0))
    assert reach(wall, -0.02, azimuth_deg=0) == pytest.approx(495, abs=6)
    assert reach(wall, -0.08, azimuth_deg=0) == pytest.approx(35 / 0.08, rel=0.01)
    assert reach(wall, -0.006, azimuth_deg=0) == pytest.approx(5 / 0.006, rel=0.02)
    several = wall.distance_m(np.zeros(3), np.full(3, -0.01), np.array([36.0, 37.0, 38.0]))
    assert several == pytest.approx([600, 700, 800], rel=0.01)


def test_a_slope_is_met_where_it_is():
    rising = grid(lambda _east, north: 0.05 * north)
    assert reach(rising, -0.02, azimuth_deg=0) == pytest.approx(500, rel=0.001)
    assert reach(rising, -0.05, azimuth_deg=90) == pytest.approx(700, rel=0.001)
    assert rising.height_at(12.0, 333.0) == pytest.approx(16.65)


def test_unknown_ground_is_met_by_no_sight():
    hole = grid(lambda east, _north: np.where((east > 600) & (east < 800), np.nan, 0.0))
    assert np.isnan(hole.height_at(700.0, 0.0))
    assert reach(hole, -35 / 500, azimuth_deg=90) == pytest.approx(500, rel=0.01)
    assert reach(hole, -35 / 700, azimuth_deg=90) == pytest.approx(810, abs=15)


def test_the_horizon_of_a_grid_is_its_highest_ridge():
    ridge = grid(lambda _east, north: np.where(abs(north - 1000) < 50, 60.0, 0.0))
    assert ridge.horizon_slope(0.0, 35.0) == pytest.approx(apparent_slope(25.0, 960.0), rel=0.02)

"""Offsets on WGS 84 agree with PROJ's geodesics."""

from __future__ import annotations

import numpy as np
import pytest
from ground_truth import apart_m, place
from hypothesis import given
from hypothesis import strategies as st

from towerwatch.geometry.earth import moved, offset

latitudes = st.floats(-70, 70)
longitudes = st.floats(-180, 180)


@given(latitudes, longitudes, st.floats(0, 360), st.floats(0, 10_000))
def test_an_offset_is_the_geodesic_and_leads_there(lat, lon, azimuth_deg, distance_m):
    there = place(lat, lon, azimuth_deg, distance_m)
    east_m, north_m = offset(lat, lon, *there)
    azimuth = np.radians(azimuth_deg)
    assert np.hypot(east_m - distance_m * np.sin(azimuth), north_m - distance_m * np.cos(azimuth)) < 0.005
    assert apart_m(*map(float, moved(lat, lon, east_m, north_m)), *there) < 0.005


@pytest.mark.parametrize(
    ("start", "there", "east_m", "north_m"),
    [
        ((0.0, 0.0), (0.0, 0.01), 1113.195, 0.0),
        ((0.0, 0.0), (0.01, 0.0), 0.0, 1105.743),
        ((0.0, 179.995), (0.0, -179.995), 1113.195, 0.0),
    ],
    ids=["along the equator", "up the meridian", "over the date line"],
)
def test_lengths_of_a_hundredth_of_a_degree(start, there, east_m, north_m):
    assert np.stack(offset(*start, *there)) == pytest.approx([east_m, north_m], abs=0.001)

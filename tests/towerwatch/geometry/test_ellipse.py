"""Ellipses hold what they say."""

from __future__ import annotations

import numpy as np
import pytest
from ground_truth import inside, place
from hypothesis import given
from hypothesis import strategies as st

from towerwatch.geometry.ellipse import Ellipse, ellipse_about, enclosing

HERE = (33.0, 112.0)


@given(st.floats(1, 2000), st.floats(0.05, 0.95), st.floats(0, 179.9))
def test_an_ellipse_comes_back_from_its_covariance(major_m, thin, orientation_deg):
    one = Ellipse(*HERE, major_m, max(major_m * thin, 0.2), orientation_deg)
    back = ellipse_about(*HERE, np.zeros(2), one.covariance_m2())
    assert back.semi_major_m == pytest.approx(one.semi_major_m)
    assert back.semi_minor_m == pytest.approx(one.semi_minor_m)
    assert (back.orientation_deg - orientation_deg + 90) % 180 - 90 == pytest.approx(0, abs=1e-4)
    assert 0 <= back.orientation_deg < 180


def test_an_ellipse_lies_where_its_centre_is():
    moved = ellipse_about(*HERE, np.array([300.0, 400.0]), np.diag([100.0, 1.0]))
    assert (moved.lat_deg, moved.lon_deg) == pytest.approx(place(*HERE, 36.8699, 500), abs=1e-8)
    assert moved.orientation_deg == pytest.approx(90)
    assert inside(moved, *place(moved.lat_deg, moved.lon_deg, 90, 24.4))
    assert not inside(moved, *place(moved.lat_deg, moved.lon_deg, 90, 24.6))


@pytest.mark.parametrize("skew", [0.0, 0.3, 0.8], ids=["normal", "skew", "very skew"])
def test_the_ellipse_of_a_cloud_holds_95_percent_of_it(skew):
    rng = np.random.default_rng(4)
    along, across = rng.standard_normal((2, 20_000))
    cloud = np.stack(
        [300 * (np.exp(skew * along) - 1) / max(skew, 1e-9) if skew else 300 * along, 20 * across]
    )
    turn = np.radians(30)
    points = (np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ cloud).T
    centre, covariance = enclosing(points)
    off = points - centre
    held = np.einsum("ni,ij,nj->n", off, np.linalg.inv(covariance), off) <= 5.991
    assert held.mean() == pytest.approx(0.95, abs=0.002)
    _, axes = np.linalg.eigh(covariance)
    assert abs(axes[:, 1] @ [np.cos(turn), np.sin(turn)]) > 0.999

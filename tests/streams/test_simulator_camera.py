"""The simulator's camera sees the ground where it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.simulator.camera import PinholeCamera

SIZE = (960, 540)


def camera(yaw: float = 0.0, pitch: float = 20.0, roll: float = 0.0, height: float = 10.0) -> PinholeCamera:
    return PinholeCamera((0.0, 0.0, height), yaw, pitch, roll, 60.0, SIZE)


@given(
    yaw=st.floats(-40, 40),
    pitch=st.floats(12, 45),
    roll=st.floats(-5, 5),
    u=st.floats(0, SIZE[0]),
    v=st.floats(SIZE[1] * 0.6, SIZE[1]),
)
def test_ground_under_a_pixel_projects_back_to_it(
    yaw: float, pitch: float, roll: float, u: float, v: float
) -> None:
    eye = camera(yaw, pitch, roll)
    x, y, distance = eye.ground_at(np.array([u]), np.array([v]))
    assert distance[0] > 0
    pixels, depth = eye.project(np.array([[x[0], y[0], 0.0]]))
    assert depth[0] > 0
    assert pixels[0] == pytest.approx((u, v), abs=1e-3)
    seen = eye.ground_homography() @ np.array([x[0], y[0], 1.0])
    assert seen[:2] / seen[2] == pytest.approx((u, v), abs=1e-3)


def test_sky_has_no_ground() -> None:
    x, y, distance = camera(pitch=5.0).ground_at(np.array([480.0]), np.array([1.0]))
    assert np.isnan([x[0], y[0], distance[0]]).all()


def test_axes_mean_what_the_module_says() -> None:
    eye = camera(pitch=0.0)
    ahead, right, up = eye.project(np.array([[0.0, 50.0, 10.0], [5.0, 50.0, 10.0], [0.0, 50.0, 15.0]]))[0]
    assert ahead == pytest.approx((480, 270))
    assert right[0] > 480
    assert up[1] < 270
    turned = camera(yaw=10.0, pitch=0.0).project(np.array([[0.0, 50.0, 10.0]]))[0][0]
    assert turned[0] < 480, "a camera that turns right sees what was ahead on its left"


def test_polygon_is_clamped_to_the_frame() -> None:
    points = camera().polygon_frac([(-500.0, 30.0), (500.0, 30.0), (0.0, 15.0)])
    assert all(0.0 <= value <= 1.0 for point in points for value in point)

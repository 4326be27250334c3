"""Pixels and directions agree with OpenCV's projection and PROJ's earth."""

from __future__ import annotations

import numpy as np
import pytest
from ground_truth import TrueCamera, place
from hypothesis import given, settings
from hypothesis import strategies as st

from towerwatch.geometry.camera import Lens, Pose
from towerwatch.geometry.earth import offset
from towerwatch.geometry.ground import apparent_slope

HERE = (33.0, 112.0)
BARREL = (-0.21, 0.05, 0.001, -0.0012, 0.01)


@st.composite
def sights(draw):
    """A pose, and a point that lies in its picture."""
    hfov_deg = draw(st.floats(3, 80))
    distance_m, altitude_m = draw(st.floats(300, 5000)), draw(st.floats(-40, 60))
    elevation_deg = np.degrees((altitude_m - 35) / distance_m)
    pose = Pose(
        draw(st.floats(0, 360)),
        elevation_deg + draw(st.floats(-0.35, 0.35)) * hfov_deg * 9 / 16,
        draw(st.floats(-10, 10)),
        hfov_deg,
    )
    return pose, pose.azimuth_deg + draw(st.floats(-0.4, 0.4)) * hfov_deg, distance_m, altitude_m


@pytest.mark.parametrize("distortion", [(), (-0.1,), BARREL], ids=["none", "k1", "all five"])
@given(sights())
@settings(max_examples=60)
def test_a_point_appears_where_opencv_puts_it(distortion, sight):
    pose, bearing_deg, distance_m, altitude_m = sight
    true = TrueCamera(*HERE, 35.0, pose.azimuth_deg, pose.tilt_deg, pose.roll_deg, pose.hfov_deg,
                      distortion=distortion)  # fmt: skip
    there = place(*HERE, bearing_deg, distance_m)
    pixel = true.sees(*there, altitude_m)
    east_m, north_m = offset(*HERE, *there)
    azimuth_deg = np.degrees(np.arctan2(east_m, north_m))
    slope = apparent_slope(altitude_m - 35.0, np.hypot(east_m, north_m))
    lens = Lens((1920, 1080), distortion)
    x_px, y_px = lens.project(pose, azimuth_deg, slope)
    # up to 1e-6 of slope is what the sphere misses of the ellipsoid, at up to 36,000 px of focal length
    assert np.hypot(x_px - pixel[0], y_px - pixel[1]) < 0.05
    back_deg, back_slope = lens.directions(pose, x_px, y_px)
    assert (back_deg - azimuth_deg + 180) % 360 - 180 == pytest.approx(0, abs=1e-5)
    assert back_slope == pytest.approx(slope, abs=1e-7)


@pytest.mark.parametrize(
    ("pose", "pixel", "azimuth_deg", "slope"),
    [
        (Pose(90, 0, 0, 90), (500, 250), 90, 0.0),
        (Pose(350, 0, 0, 90), (1000, 250), 35, 0.0),
        (Pose(0, -45, 0, 90), (500, 250), 0, -1.0),
        (Pose(0, 0, 0, 90), (500, 500), 0, -0.5),
        (Pose(0, 0, 90, 90), (500, 0), 26.565, 0.0),
        (Pose(0, 0, 90, 90), (1000, 250), 0, -1.0),
    ],
    ids=[
        "middle",
        "right edge",
        "looking down",
        "lower edge",
        "rolled: top is right",
        "rolled: right is down",
    ],
)
def test_what_a_pixel_sees(pose, pixel, azimuth_deg, slope):
    found_deg, found_slope = Lens((1000, 500)).directions(pose, *pixel)
    assert (found_deg - azimuth_deg + 180) % 360 - 180 == pytest.approx(0, abs=1e-3)
    assert found_slope == pytest.approx(slope, abs=1e-9)


def test_what_is_behind_the_camera_has_no_pixel():
    assert np.isnan(Lens((1000, 500)).project(Pose(0, 0, 0, 60), 180.0, 0.0)).all()

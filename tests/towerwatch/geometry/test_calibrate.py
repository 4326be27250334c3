"""A view's pose comes back from clicked points, with honest uncertainties; wrong points are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ground_truth import TrueCamera, place

from towerwatch.errors import ConfigError
from towerwatch.geometry.calibrate import Calibration, Clicked, calibrate
from towerwatch.geometry.camera import Lens, Pose
from towerwatch.geometry.station import Station, Uncertainty

TOWER = (33.0, 112.0)
HEIGHT_M = 35.0
SIZE_PX = (1920, 1080)
DIP_DEG = 0.1772  # of the horizon from 35 m, k = 0.13
TRUE = TrueCamera(*TOWER, HEIGHT_M, 140.0, -1.5, 1.2, 22.0)
# bearing off the axis in degrees, distance in m, height in m above the ground
MARKS = {
    "church": (-8.0, 900, 30),
    "mast": (6.5, 2500, 45),
    "silo": (2.0, 1400, 18),
    "barn": (-3.0, 700, 0),
    "bridge": (9.0, 1800, 0),
}
RNG_DEG = (-9.0, 0.0, 9.0)


def station(distortion: tuple[float, ...] = ()) -> Station:
    sd = Uncertainty(0.0, 0.0, 0.0, 0.0, 0.3, 2.0)
    return Station(*TOWER, HEIGHT_M, Lens(SIZE_PX, distortion), Pose(0, 0, 0, 60), sd)


def mark(true: TrueCamera, name: str, off_deg: float, distance_m: float, height_m: float) -> Clicked:
    there = place(*TOWER, true.azimuth_deg + off_deg, distance_m)
    x_px, y_px = true.sees(*there, height_m)
    return Clicked(name, x_px, y_px, lat_deg=there[0], lon_deg=there[1], height_m=height_m)


def horizon(true: TrueCamera, off_deg: float) -> Clicked:
    pose = Pose(true.azimuth_deg, true.tilt_deg, true.roll_deg, true.hfov_deg)
    lens = Lens(true.size_px, true.distortion)
    x_px, y_px = lens.project(pose, true.azimuth_deg + off_deg, -np.tan(np.radians(DIP_DEG)))
    return Clicked(f"horizon {off_deg:+g}", float(x_px), float(y_px))


def all_points(true: TrueCamera = TRUE) -> list[Clicked]:
    return [mark(true, name, *at) for name, at in MARKS.items()] + [horizon(true, off) for off in RNG_DEG]


def errors(found: Calibration, true: TrueCamera) -> np.ndarray:
    """Azimuth, tilt, roll, field of view, in degrees."""
    pose = found.pose
    turn = (pose.azimuth_deg - true.azimuth_deg + 180) % 360 - 180
    return np.array([turn, pose.tilt_deg - true.tilt_deg, pose.roll_deg - true.roll_deg,
                     pose.hfov_deg - true.hfov_deg])  # fmt: skip


def noisy(rng: np.random.Generator, point: Clicked, true: TrueCamera) -> Clicked:
    """The point as somebody would click it, and as a survey would have it, with the stated errors."""
    clicked = replace(point, x_px=point.x_px + rng.normal(0, 2), y_px=point.y_px + rng.normal(0, 2))
    if point.is_horizon:
        lifted_px = station().lens.focal_px(true.hfov_deg) * np.radians(rng.normal(0, 0.03))
        return replace(clicked, y_px=clicked.y_px + lifted_px)
    lat, lon = place(*place(point.lat_deg, point.lon_deg, 0, rng.normal(0, 2)), 90, rng.normal(0, 2))
    return replace(clicked, lat_deg=lat, lon_deg=lon, height_m=point.height_m + rng.normal(0, 0.5))


@pytest.mark.parametrize("hfov_deg", [6.0, 22.0, 58.0])
@pytest.mark.parametrize("distortion", [(), (-0.15, 0.03)], ids=["straight", "barrel"])
def test_exact_points_give_the_pose_back(hfov_deg, distortion):
    true = replace(TRUE, hfov_deg=hfov_deg, tilt_deg=-hfov_deg / 15, azimuth_deg=359.9, distortion=distortion)
    scale = hfov_deg / 22
    points = [mark(true, name, off * scale, *rest) for name, (off, *rest) in MARKS.items()]
    points += [horizon(true, off * scale) for off in RNG_DEG]
    found = calibrate(station(distortion), points)
    assert np.abs(errors(found, true)).max() < 0.005
    assert found.rms_px < 0.5
    assert all(one.used for one in found.residuals)


def test_uncertainties_are_honest():
    """Over noisy points, noisy landmarks and a tower that stands elsewhere, errors are as large as stated."""
    rng = np.random.default_rng(8)
    ratios = []
    for _ in range(25):
        moved = place(*place(*TOWER, 0, rng.normal(0, 2)), 90, rng.normal(0, 2))
        true = replace(
            TRUE,
            lat_deg=moved[0],
            lon_deg=moved[1],
            altitude_m=HEIGHT_M + rng.normal(0, 0.3),
            azimuth_deg=rng.uniform(0, 360),
        )
        found = calibrate(station(), [noisy(rng, point, true) for point in all_points(true)])
        sd = found.sd
        stated = np.array([sd.azimuth_deg, sd.tilt_deg, sd.roll_deg, sd.hfov_deg])
        ratios.append(errors(found, true) / stated)
    rms = np.sqrt(np.mean(np.square(ratios), axis=0))
    assert (rms > 0.5).all()
    assert (rms < 1.4).all()


@pytest.mark.parametrize("name", ["mast", "barn", "horizon +0"])
def test_a_wrong_point_is_left_out_and_named(name):
    wrong = [replace(p, y_px=p.y_px + 300) if p.name == name else p for p in all_points()]
    found = calibrate(station(), wrong)
    assert [one.name for one in found.residuals if not one.used] == [name]
    assert np.abs(errors(found, TRUE)).max() < 0.05


def together(count: int) -> list[Clicked]:
    return [mark(TRUE, f"window {i}", 3.0 + 0.01 * i, 900 + i, 10 + i) for i in range(count)]


def scattered() -> list[Clicked]:
    rng = np.random.default_rng(3)
    return [replace(p, x_px=rng.uniform(0, 1920), y_px=rng.uniform(0, 1080)) for p in all_points()[:5]]


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (all_points()[:1], "1 landmarks and 0 points on the horizon are too few"),
        (all_points()[:2], "2 landmarks and 0 points on the horizon are too few"),
        (all_points()[-3:], "0 landmarks and 3 points on the horizon are too few"),
        (together(4), "do not determine the"),
        (scattered(), "contradict each other"),
    ],
    ids=["one landmark", "two landmarks", "horizon alone", "all together", "anywhere"],
)
def test_what_gives_no_pose_is_said(points, says):
    with pytest.raises(ConfigError, match=says):
        calibrate(station(), points)


def test_two_landmarks_and_the_horizon_are_enough():
    points = [*all_points()[:2], *all_points()[-2:]]
    assert np.abs(errors(calibrate(station(), points), TRUE)).max() < 0.01

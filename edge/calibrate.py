"""What ``edge calibrate`` does: from clicked points to the ``pose:`` block of a view."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import yaml

from edge.config import CameraConfig, ViewConfig
from edge.place import ground_of
from edge.points import read_points
from towerwatch.errors import ConfigError
from towerwatch.geometry.calibrate import Calibration, calibrate
from towerwatch.geometry.camera import Lens, Pose
from towerwatch.geometry.station import Station, Uncertainty

MIN_SD_DEG = 0.001


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The block to paste into the view, and a line for each point."""

    block: str
    lines: tuple[str, ...]


def calibrate_view(
    camera: CameraConfig, view: ViewConfig, points: Path, size_px: tuple[int, int]
) -> Calibrated:
    """Solve a view's pose from a file of points in pictures of a size, (width, height).

    Raises:
        ConfigError: the camera has no mount; the points are wrong, too few, contradict each other, or do not
            determine the pose.

    """
    mount = camera.mount
    if mount is None:
        msg = f"camera {camera.id}: has no mount: (lat_deg, lon_deg, height_m); add it to the configuration"
        raise ConfigError(msg)
    station = Station(
        lat_deg=mount.lat_deg,
        lon_deg=mount.lon_deg,
        height_m=mount.height_m,
        lens=Lens(size_px, mount.distortion),
        pose=Pose(0.0, 0.0, 0.0, 60.0),
        sd=Uncertainty(0.0, 0.0, 0.0, 0.0, mount.height_sd_m, mount.position_sd_m),
        ground=ground_of(mount),
        max_range_m=mount.max_range_m,
    )
    clicked = read_points(points, size_px)
    try:
        found = calibrate(station, clicked)
    except ConfigError as error:
        msg = f"{points}: {error}"
        raise ConfigError(msg) from None
    title = f"# view {view.preset} of camera {camera.id}, in pictures of {size_px[0]}x{size_px[1]}\n"
    return Calibrated(title + pose_block(found), _lines(found))


def pose_block(found: Calibration) -> str:
    """Return the YAML of a view's pose."""
    pose, sd = found.pose, found.sd
    values = {
        "azimuth_deg": round(float(pose.azimuth_deg), 3) % 360,
        "tilt_deg": round(float(pose.tilt_deg), 3),
        "roll_deg": round(float(pose.roll_deg), 3),
        "hfov_deg": round(float(pose.hfov_deg), 3),
        "sd": {
            "azimuth_deg": _two_digits(sd.azimuth_deg),
            "tilt_deg": _two_digits(sd.tilt_deg),
            "roll_deg": _two_digits(sd.roll_deg),
            "hfov_deg": _two_digits(sd.hfov_deg),
        },
    }
    return yaml.safe_dump({"pose": values}, sort_keys=False, default_flow_style=None)


def _two_digits(value: float) -> float:
    """Round up to two significant digits: a standard deviation is never understated."""
    value = max(value, MIN_SD_DEG)
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.3g}")


def _lines(found: Calibration) -> tuple[str, ...]:
    width = max(len(one.name) for one in found.residuals)
    lines = [
        f"{one.name:{width}}  {one.miss_px:7.1f} px{'' if one.used else '  left out: contradicts the others'}"
        for one in found.residuals
    ]
    return (*lines, f"root mean square of the points used: {found.rms_px:.1f} px")

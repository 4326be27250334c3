"""Where an alert lies: the foot of its box, through the view's calibration, down to the ground."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge.config import CameraConfig, ViewConfig
from edge.episode import EpisodeEvent, LabelledBox
from edge.horizon import Rows, known_horizon
from edge.mount import MountConfig, PoseConfig, PoseSd
from edge.shapes import foot_of
from towerwatch.geometry.camera import Lens, Pose
from towerwatch.geometry.ground import Ground, LevelGround
from towerwatch.geometry.station import Station, Uncertainty
from towerwatch.geometry.terrain import read_terrain

Point = tuple[float, float]
CUT_FRAC = 0.998  # a box that ends lower has its foot outside the picture


@dataclass(frozen=True, slots=True)
class Foot:
    """The point of a picture at which something stands on the ground, in px, and its standard deviations."""

    x_px: float
    y_px: float
    sd_px: tuple[float, float]


def foot_point(kind: str, box: LabelledBox, size_px: tuple[int, int], sd: PoseSd) -> Foot | None:
    """Return where what a box shows stands; None where the frame's lower edge cuts it off.

    Smoke rises from the lower edge of its box, leaning: its foot may be anywhere on that edge. A vehicle
    touches the ground about the middle of the lower part of its box.
    """
    x1, y1, x2, y2 = box.box
    if y2 >= CUT_FRAC:
        return None
    width, height = size_px
    down_px = math.hypot(sd.foot_px, sd.foot_frac * (y2 - y1) * height)
    if kind == "smoke":
        spread_px = (x2 - x1) * width / math.sqrt(12)  # of a uniform distribution
        return Foot((x1 + x2) / 2 * width, y2 * height, (math.hypot(sd.foot_px, spread_px), down_px))
    left, top, right, bottom = foot_of(box.box)
    across_px = math.hypot(sd.foot_px, sd.foot_frac * (x2 - x1) * width)
    return Foot((left + right) / 2 * width, (top + bottom) / 2 * height, (across_px, down_px))


@dataclass(frozen=True, slots=True)
class Placer:
    """Places what is seen in one calibrated view."""

    mount: MountConfig
    pose: PoseConfig
    ground: Ground

    def horizon(self, size_px: tuple[int, int]) -> Rows | None:
        """Return where the horizon lies in pictures of a size; None where they do not show it."""
        return known_horizon(station_of(self.mount, self.pose, self.ground, size_px))

    def points_m(self, points: Sequence[Point], size_px: tuple[int, int]) -> list[Point]:
        """Return where points of a picture, in fractions of it, lie on the ground: m east and north.

        Nan where they show no ground. Differences of such places are exact enough for lengths and speeds
        (the errors of a pose move them together).
        """
        station = station_of(self.mount, self.pose, self.ground, size_px)
        return [station.point_m(x * size_px[0], y * size_px[1]) for x, y in points]

    def placed(self, event: EpisodeEvent, size_px: tuple[int, int]) -> EpisodeEvent:
        """Return the event with the place of its first box, or as it is where that has none."""
        if not event.boxes:
            return event
        foot = foot_point(event.kind, event.boxes[0], size_px, self.pose.sd)
        if foot is None:
            return event
        station = station_of(self.mount, self.pose, self.ground, size_px)
        return replace(event, place=station.locate(foot.x_px, foot.y_px, foot.sd_px))


def placer_of(camera: CameraConfig, view: ViewConfig) -> Placer | None:
    """Return what places the alerts of a view, None where it is not calibrated.

    Raises:
        ConfigError: its terrain grid cannot be used.

    """
    if camera.mount is None or view.pose is None:
        return None
    return Placer(camera.mount, view.pose, ground_of(camera.mount))


def ground_of(mount: MountConfig) -> Ground:
    """Return the ground about a camera; raise ConfigError for a terrain grid that cannot be used."""
    if mount.terrain is None:
        return LevelGround()
    return read_terrain(mount.terrain, mount.lat_deg, mount.lon_deg, mount.max_range_m)


def station_of(mount: MountConfig, pose: PoseConfig, ground: Ground, size_px: tuple[int, int]) -> Station:
    """Return a calibrated view for pictures of a size, (width, height)."""
    sd = pose.sd
    return Station(
        lat_deg=mount.lat_deg,
        lon_deg=mount.lon_deg,
        height_m=mount.height_m,
        lens=Lens(size_px, mount.distortion),
        pose=Pose(pose.azimuth_deg, pose.tilt_deg, pose.roll_deg, field_of_view_deg(mount, pose)),
        sd=Uncertainty(
            sd.azimuth_deg, sd.tilt_deg, sd.roll_deg, sd.hfov_deg, mount.height_sd_m, mount.position_sd_m
        ),
        ground=ground,
        max_range_m=mount.max_range_m,
    )


def field_of_view_deg(mount: MountConfig, pose: PoseConfig) -> float:
    """Return a view's horizontal field of view, as given or by its zoom."""
    if pose.zoom is not None:
        return mount.hfov_deg(pose.zoom)
    assert pose.hfov_deg is not None  # noqa: S101 - the validator wants one of the two
    return pose.hfov_deg

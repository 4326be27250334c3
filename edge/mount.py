"""Where a camera stands and how each of its views looks: what placing an alert on the ground needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, Strict, model_validator

from edge.paths import ExistingFile
from towerwatch.errors import ConfigError
from towerwatch.geometry.terrain import read_terrain
from towerwatch.geometry.zoom import hfov_at
from towerwatch.yamlconfig import Location, StrictModel, problems_at

Number = Annotated[float, Strict()]
Latitude = Annotated[float, Strict(), Field(ge=-85, le=85)]
Longitude = Annotated[float, Strict(), Field(ge=-180, le=180)]
Angle = Annotated[float, Strict(), Field(ge=0.1, le=150)]
Zoom = Annotated[float, Strict(), Field(ge=0.5, le=1000)]
Sd = Annotated[float, Strict(), Field(gt=0)]
MAX_DISTORTION = 5


class MountConfig(StrictModel):
    """What all views of a camera share.

    Attributes:
        lat_deg, lon_deg: WGS 84, of the lens.
        height_m: of the lens above the ground at its foot.
        position_sd_m: standard deviation of the position, east and north each.
        height_sd_m: standard deviation of the height above the ground that is looked at: of the
            lens, and of what the ground model misses (a plain is not flat, nor a grid exact).
        hfov_by_zoom: horizontal field of view at zooms of the lens, at least two; between them
            the focal length goes as a power of the zoom.
        distortion: Brown-Conrady k1, k2, p1, p2, k3, as OpenCV has them.
        terrain: GeoTIFF of ground heights in m, in any projection; without it the ground is level.
        max_range_m: nothing is placed farther away.

    """

    lat_deg: Latitude
    lon_deg: Longitude
    height_m: Annotated[float, Strict(), Field(gt=0, le=2000)]
    position_sd_m: Sd = 3.0
    height_sd_m: Sd = 0.5
    hfov_by_zoom: dict[Zoom, Angle] = Field(default_factory=dict)
    distortion: tuple[Number, ...] = Field((), max_length=MAX_DISTORTION)
    terrain: ExistingFile | None = None
    max_range_m: Annotated[float, Strict(), Field(ge=100, le=25_000)] = 10_000.0

    @model_validator(mode="after")
    def _usable_terrain(self) -> MountConfig:
        if self.terrain is not None:
            try:
                read_terrain(self.terrain, self.lat_deg, self.lon_deg, self.max_range_m)
            except ConfigError as error:
                raise problems_at((("terrain",), str(error))) from None
        return self

    @model_validator(mode="after")
    def _table(self) -> MountConfig:
        if len(self.hfov_by_zoom) == 1:
            raise problems_at((("hfov_by_zoom",), "needs at least two zooms, the widest and the narrowest"))
        fields = [self.hfov_by_zoom[zoom] for zoom in sorted(self.hfov_by_zoom)]
        if fields != sorted(set(fields), reverse=True):
            raise problems_at((("hfov_by_zoom",), "a higher zoom must have a narrower field of view"))
        return self

    def hfov_deg(self, zoom: float) -> float:
        """Return the field of view at a zoom within the table."""
        return hfov_at(self.hfov_by_zoom, zoom)


class PoseSd(StrictModel):
    """Standard deviations of a pose, in degrees; ``edge calibrate`` finds them.

    Attributes:
        foot_px: of an object's foot in the picture, in pixels; and beside it
        foot_frac: how far a detector's box misses the foot, as a share of the box's sides. The shipped
            vehicle detector's edges spread by 0.08 on real pictures (``benchmarks.errors``: 0.055 of the
            centre, with half of 0.12 of the size).

    """

    azimuth_deg: Sd
    tilt_deg: Sd
    roll_deg: Sd
    hfov_deg: Sd
    foot_px: Sd = 1.0
    foot_frac: Annotated[float, Strict(), Field(ge=0, le=1)] = 0.08


class PoseConfig(StrictModel):
    """How a view looks; ``edge calibrate`` prints this block.

    Attributes:
        azimuth_deg: of the optical axis, clockwise from true north.
        tilt_deg: of the optical axis above the horizontal; negative looks down.
        roll_deg: of the camera about the optical axis, clockwise as it sees.
        hfov_deg: horizontal field of view without distortion; or
        zoom: at which the mount's ``hfov_by_zoom`` gives it.
        sd: how sure each is.

    """

    azimuth_deg: Annotated[float, Strict(), Field(ge=0, lt=360)]
    tilt_deg: Annotated[float, Strict(), Field(gt=-90, lt=90)]
    roll_deg: Annotated[float, Strict(), Field(ge=-45, le=45)] = 0.0
    hfov_deg: Angle | None = None
    zoom: Zoom | None = None
    sd: PoseSd

    @model_validator(mode="after")
    def _one_field(self) -> PoseConfig:
        if (self.hfov_deg is None) == (self.zoom is None):
            both = "stands beside zoom; keep one" if self.zoom is not None else "is missing; add it, or zoom"
            raise problems_at((("hfov_deg",), both))
        return self


def pose_problems(
    mount: MountConfig | None, poses: Sequence[PoseConfig | None]
) -> list[tuple[Location, str]]:
    """Return what does not fit between a camera's mount and the poses of its views, in their order."""
    problems: list[tuple[Location, str]] = []
    for index, pose in enumerate(poses):
        at: Location = ("views", index, "pose")
        if pose is None:
            continue
        if mount is None:
            problems.append((at, "needs the camera's mount: (lat_deg, lon_deg, height_m)"))
        elif pose.zoom is not None:
            known = sorted(mount.hfov_by_zoom)
            if not known:
                problems.append(((*at, "zoom"), "needs hfov_by_zoom: in the camera's mount"))
            elif not known[0] <= pose.zoom <= known[-1]:
                text = f"lies outside the mount's hfov_by_zoom ({known[0]:g} to {known[-1]:g})"
                problems.append(((*at, "zoom"), text))
    return problems

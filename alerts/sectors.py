"""Where cameras look, as a box's configuration says: a sector on the ground for each calibrated view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from alerts.zones import FIXED
from towerwatch.geometry.zoom import hfov_at

# farmland is guarded to here; a sector is drawn no larger, and smaller where the mount says so
GUARDED_M = 2000.0


@dataclass(frozen=True, slots=True)
class Sector:
    """What a view sees of the ground: the middle clockwise from north and the width in degrees, in metres."""

    preset: str
    azimuth_deg: float
    hfov_deg: float
    range_m: float


def sectors_of(text: str) -> dict[str, tuple[Sector, ...]]:
    """Return the sectors of each camera in a configuration that a box has checked; none where no pose is."""
    document = yaml.safe_load(text)
    return {
        camera["id"]: tuple(
            _sector(view, camera["mount"]) for view in camera.get("views") or () if view.get("pose")
        )
        for camera in document.get("cameras") or ()
        if camera.get("mount")
    }


def _sector(view: Mapping[str, Any], mount: Mapping[str, Any]) -> Sector:
    pose = view["pose"]
    hfov_deg = pose.get("hfov_deg")
    if hfov_deg is None:
        hfov_deg = hfov_at(mount["hfov_by_zoom"], pose["zoom"])
    range_m = min(GUARDED_M, mount.get("max_range_m", GUARDED_M))
    return Sector(view.get("preset", FIXED), float(pose["azimuth_deg"]), float(hfov_deg), float(range_m))

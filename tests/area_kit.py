"""A small town of squares, and its roster."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def square(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    """A polygon of four corners, in degrees."""
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def feature(name: str | None, level: str, geometry: Any, **properties: Any) -> dict[str, Any]:
    """One area."""
    return {
        "type": "Feature",
        "geometry": geometry,
        "properties": {"id": name, "level": level, "zh": f"{name}区", **properties},
    }


def collection(*features: Any) -> dict[str, Any]:
    """All of them."""
    return {"type": "FeatureCollection", "features": list(features)}


def town() -> dict[str, Any]:
    """A city of two counties; the western one has a township, and that a grid cell."""
    return collection(
        feature("city", "city", square(112, 33, 113, 34)),
        feature("west", "county", square(112, 33, 112.5, 34)),
        feature("east", "county", square(112.5, 33, 113, 34)),
        feature("t1", "township", square(112, 33, 112.2, 33.2)),
        feature("g1", "grid", square(112, 33, 112.1, 33.1)),
    )


ROSTER = """\
area,department,person,contact,user,days,hours,first_day,last_day
g1,,Li,wecom:li,li,,,,
t1,police,Wang,13800000001,,mon-fri,08:00-18:00,,
t1,police,Zhao,13800000002,,,18:00-08:00,,
west,fire,Sun,13800000003,,"sat,sun",,2026-06-01,2026-06-30
city,fire,Qian,13800000004,,,,,
"""


def write_roster(path: Path, text: str = ROSTER) -> Path:
    """Write a roster as CSV."""
    path.write_text(text, encoding="utf-8")
    return path

"""Zones and masks: simple polygons in fractions of the frame, and how much of a box they cover."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Self

import shapely
from pydantic import Field, Strict, model_validator
from shapely.geometry import Polygon, box
from shapely.validation import explain_validity

from edge.ids import Id
from edge.observe import Box
from towerwatch.yamlconfig import StrictModel, problems_at

Coordinate = Annotated[float, Strict(), Field(ge=0.0, le=1.0)]
Point = tuple[Coordinate, Coordinate]
MIN_AREA_FRAC = 1e-5  # about 3 px square at 1080p: a slip of the hand, not an area


class Area(StrictModel):
    """A simple polygon; ``points`` in fractions of the frame's width and height, in order."""

    points: tuple[Point, ...] = Field(min_length=3, max_length=200)

    @model_validator(mode="after")
    def _simple(self) -> Self:
        polygon = Polygon(self.points)
        if polygon.convex_hull.area < MIN_AREA_FRAC:
            raise problems_at((("points",), "the corners enclose no area; give three that are no line"))
        if not polygon.is_valid:
            reason = explain_validity(polygon)
            raise problems_at((("points",), f"{_plain(reason)}; list the corners in order around the area"))
        return self

    @cached_property
    def polygon(self) -> Polygon:
        """The polygon, in fractions of the frame."""
        polygon = Polygon(self.points)
        shapely.prepare(polygon)
        return polygon

    def covers_frac(self, of: Box) -> float:
        """Return the share of a box that lies inside, in [0, 1]."""
        left, top, right, bottom = self.polygon.bounds
        if of[2] <= left or of[0] >= right or of[3] <= top or of[1] >= bottom:
            return 0.0  # most boxes of a busy picture; a shape costs a hundred times more than this
        shape = box(*of)
        return float(shape.intersection(self.polygon).area / shape.area) if shape.area > 0 else 0.0


class Zone(Area):
    """An area that rules speak of by its id."""

    id: Id


class Mask(Area):
    """An area in which nothing counts."""

    id: Id | None = None


def _plain(reason: str) -> str:
    """Turn shapely's ``Self-intersection[0.5 0.5]`` into a sentence."""
    kind, _, rest = reason.partition("[")
    if not rest:
        return f"is no simple polygon ({kind.lower()})"
    x, y = (float(part) for part in rest.rstrip("]").split()[:2])
    what = "crosses itself" if "intersection" in kind.lower() else f"is no simple polygon ({kind.lower()})"
    return f"{what} at [{x:.3f}, {y:.3f}]"


def foot_of(of: Box, share: float = 0.35) -> Box:
    """Return the lower ``share`` of a box, narrowed by a tenth at each side: where it meets the ground."""
    x1, y1, x2, y2 = of
    inset = (x2 - x1) * 0.1
    return (x1 + inset, y2 - (y2 - y1) * share, x2 - inset, y2)


def iou(a: Box, b: Box) -> float:
    """Return intersection over union of two boxes, in [0, 1]."""
    both = common(a, b)
    return both / (area(a) + area(b) - both) if both > 0 else 0.0


def overlap_of_smaller(a: Box, b: Box) -> float:
    """Return the intersection over the smaller of two boxes, in [0, 1]."""
    both = common(a, b)
    return both / min(area(a), area(b)) if both > 0 else 0.0


def common(a: Box, b: Box) -> float:
    """Return the area that two boxes have in common; in a busy picture nearly all pairs lie apart."""
    if a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]:
        return 0.0
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def area(of: Box) -> float:
    """Return the area of a box, in squares of its unit."""
    return max(of[2] - of[0], 0.0) * max(of[3] - of[1], 0.0)

"""Zones and masks: simple polygons in fractions of the frame, and how much of a box they cover."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
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

    def covers_fracs(self, boxes: Sequence[Box]) -> list[float]:
        """Return the share of each box that lies inside, all in one go."""
        if not len(boxes):
            return []
        rows = _rows(boxes)
        left, top, right, bottom = self.polygon.bounds
        near = (rows[:, 2] > left) & (rows[:, 0] < right) & (rows[:, 3] > top) & (rows[:, 1] < bottom)
        near &= areas(rows) > 0
        shapes = shapely.box(*rows[near].T)
        shares = np.zeros(len(rows))
        shares[near] = shapely.area(shapely.intersection(shapes, self.polygon)) / shapely.area(shapes)
        return [float(share) for share in shares]


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


Matrix = npt.NDArray[np.float64]
"""float64 (n, m): one number for each box of one list with each of another."""


def _rows(boxes: Sequence[Box]) -> Matrix:
    return np.asarray(boxes, np.float64).reshape(-1, 4)


def areas(rows: Matrix) -> npt.NDArray[np.float64]:
    """Return the area of each box, ``rows`` of shape (n, 4), in squares of its unit."""
    return np.maximum(rows[:, 2] - rows[:, 0], 0.0) * np.maximum(rows[:, 3] - rows[:, 1], 0.0)


def commons(some: Sequence[Box], others: Sequence[Box]) -> Matrix:
    """Return :func:`common` of each pair: a hundred pairs at the price of some twenty alone."""
    if not len(some) or not len(others):  # most calls of a quiet hour
        return np.zeros((len(some), len(others)))
    a, b = _rows(some)[:, None], _rows(others)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    return np.asarray(np.where((sides > 0).all(axis=2), sides[..., 0] * sides[..., 1], 0.0))


def ious(some: Sequence[Box], others: Sequence[Box]) -> Matrix:
    """Return :func:`iou` of each pair."""
    both = commons(some, others)
    if not both.size:
        return both
    either = areas(_rows(some))[:, None] + areas(_rows(others))[None] - both
    return np.divide(both, either, out=np.zeros_like(both), where=both > 0)


def same_vehicles(
    some: Sequence[Box], others: Sequence[Box], least_iou: float = 0.5, least_inside: float = 0.85
) -> npt.NDArray[np.bool_]:
    """Say of each pair, bool (n, m), whether it shows one vehicle.

    It does where the boxes overlap so much, or one of like size lies so far inside the other.
    """
    both = commons(some, others)
    if not both.size:
        return both > 0
    own, other = areas(_rows(some))[:, None], areas(_rows(others))[None]
    small, large = np.minimum(own, other), np.maximum(own, other)
    touching = both > 0
    over = np.divide(both, own + other - both, out=np.zeros_like(both), where=touching)
    inside = np.divide(both, small, out=np.zeros_like(both), where=touching)
    like = np.divide(small, large, out=np.zeros_like(both), where=touching) > 0.35
    return np.asarray((over >= least_iou) | (like & (inside >= least_inside)))

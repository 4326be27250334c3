"""What part of a view a model must see: where its rules' zones lie, and what stands in them reaches.

A vehicle belongs to a zone by its foot, but reaches out of it, by as much as the view has it: that is
learnt from looks at the whole picture, at least one each forced look. A box at the border of a part may
be cut; where its foot lies in a zone, the whole picture is looked at in the same look. So a part costs no
box that a rule goes by. What lies outside of it is told to no rule, whole look or not: rules see
one and the same piece of the world.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edge.observe import Box
from edge.shapes import Zone, areas, commons, foot_of
from models.detections import Detections
from models.detector import Detector, PartDetector
from models.tiles import Tile
from streams.frame import Frame

MARGIN_FRAC = 0.04  # around the zones and what stands in them, of the frame's width and height
IN_ZONE_FRAC = 0.1  # of a foot in a zone: rules ask for a quarter at least
BORDER_FRAC = 0.004  # a box that ends so near to the border of a part may be cut by it: 2 px of the input
GIANT_FRAC = 0.25  # a box over so much of the picture is haze or a slip, and teaches nothing
OF_ZONE_FRAC = 0.15  # a box of which less lies within the part is none of its concern


@dataclass(slots=True)
class Attention:
    """The part of one view that a model is shown.

    Args:
        zones: of all rules that go by its boxes; none where one of them wants the whole view.
        labels: the classes that they want.
        whole_s: a look at the whole picture at least so often, in seconds.

    """

    zones: Sequence[Zone]
    labels: Sequence[str]
    whole_s: float
    _reach: Box = field(init=False)
    _whole_at_s: float | None = None

    def __post_init__(self) -> None:
        """Begin with the zones alone."""
        bounds = [zone.polygon.bounds for zone in self.zones]
        self._reach = _around(bounds) if bounds else (0.0, 0.0, 1.0, 1.0)

    def look(self, detector: Detector, frame: Frame, now_s: float) -> Detections:
        """Show a detector as much of a frame as is needed; return the boxes that matter, in pixels of it."""
        size_px = (frame.width_px, frame.height_px)
        whole = Tile(0, 0, *size_px)
        if not self.zones or not isinstance(detector, PartDetector):
            return detector.detect([frame.image])[0]
        part = detector.part_of(size_px, _tile(self._reach, size_px))
        if part != whole and not self._is_due(now_s):
            found = detector.detect_part(frame.image, part)
            if not self._is_cut(found, part, size_px):
                return found
        found = detector.detect([frame.image])[0]
        self._whole_at_s = now_s
        self._learn(found, size_px)
        return _within(found, detector.part_of(size_px, _tile(self._reach, size_px)))

    def _is_due(self, now_s: float) -> bool:
        return self._whole_at_s is None or now_s - self._whole_at_s >= self.whole_s - 0.5

    def _in_zones(self, boxes: Sequence[Box]) -> list[bool]:
        """Say of each box, in fractions of the frame, whether rules may go by it."""
        feet = [foot_of(box) for box in boxes]
        shares = [zone.covers_fracs(feet) for zone in self.zones]
        return [any(share >= IN_ZONE_FRAC for share in of_box) for of_box in zip(*shares, strict=True)]

    def _is_cut(self, found: Detections, part: Tile, size_px: tuple[int, int]) -> bool:
        """Whether a vehicle in a zone ends at the border of a part, and not at that of the picture."""
        left, top, right, bottom = _fracs(part, size_px)
        inner = (left > 0, top > 0, right < 1, bottom < 1)
        boxes = _boxes(found.with_labels(self.labels), size_px)
        near = [
            box
            for box in boxes
            if any(
                is_inner and abs(side - border) <= BORDER_FRAC
                for is_inner, side, border in zip(inner, box, (left, top, right, bottom), strict=True)
            )
        ]
        return any(self._in_zones(near))

    def _learn(self, found: Detections, size_px: tuple[int, int]) -> None:
        """Widen the part until it holds all that stood in the zones."""
        boxes = _boxes(found.with_labels(self.labels), size_px)
        kept = [box for box, is_in in zip(boxes, self._in_zones(boxes), strict=True) if is_in]
        small = [box for box in kept if (box[2] - box[0]) * (box[3] - box[1]) < GIANT_FRAC]
        wanted = _around([*small, *(zone.polygon.bounds for zone in self.zones)])
        left, top, right, bottom = self._reach
        self._reach = (
            min(left, wanted[0]), min(top, wanted[1]), max(right, wanted[2]), max(bottom, wanted[3])
        )  # fmt: skip


def _around(boxes: Sequence[Box]) -> Box:
    """Return what holds all boxes and a margin, within the frame."""
    rows = np.asarray(boxes, np.float64)
    low = np.maximum(rows[:, :2].min(axis=0) - MARGIN_FRAC, 0.0)
    high = np.minimum(rows[:, 2:].max(axis=0) + MARGIN_FRAC, 1.0)
    return (float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def _tile(box: Box, size_px: tuple[int, int]) -> Tile:
    left, top, right, bottom = (round(v * s) for v, s in zip(box, size_px * 2, strict=True))
    return Tile(left, top, max(right - left, 1), max(bottom - top, 1))


def _fracs(part: Tile, size_px: tuple[int, int]) -> Box:
    width, height = size_px
    right, bottom = part.left + part.width, part.top + part.height
    return (part.left / width, part.top / height, right / width, bottom / height)


def _boxes(found: Detections, size_px: tuple[int, int]) -> list[Box]:
    width, height = size_px
    return [(x1 / width, y1 / height, x2 / width, y2 / height) for x1, y1, x2, y2 in found.xyxy.tolist()]


def _within(found: Detections, part: Tile) -> Detections:
    """Keep the boxes that lie in a part, or so far that it would show them."""
    box = (part.left, part.top, part.left + part.width, part.top + part.height)
    rows = found.xyxy.astype(np.float64)
    inside = commons(rows.tolist(), [box])[:, 0] if len(found) else np.zeros(0)
    return found.select(inside >= OF_ZONE_FRAC * np.maximum(areas(rows), 1e-9))

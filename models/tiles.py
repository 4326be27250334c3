"""Small things far away: the whole frame at the model's size, plus overlapping tiles at full resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.detections import Detections
from models.detector import Detector
from models.nms import nms

MERGE_IOU = 0.45
MERGE_IOS = 0.7
"""Share of the smaller box that lies in the better one: a part cut off by a tile's edge has a small
IoU with the whole, but lies within it."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a frame, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def cut(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the part of the picture, without a copy."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]

    def moved(self, found: Detections) -> Detections:
        """Return what was found in the part, in pixels of the frame."""
        corner = np.array([self.left, self.top] * 2, np.float32)
        return Detections(found.xyxy + corner, found.confidence, found.class_id, found.labels)


def plan_tiles(size_px: tuple[int, int], tile_px: int, overlap_frac: float) -> list[Tile]:
    """Cover a frame with equal tiles that overlap by at least ``overlap_frac`` of their side.

    Args:
        size_px: (width, height) of the frame.
        tile_px: side of a tile; a frame side shorter than it is one tile long.
        overlap_frac: in [0, 0.9]; an object smaller than the overlap is whole in one tile at least.

    Raises:
        ValueError: an argument is out of range.

    """
    if tile_px < 32 or not 0 <= overlap_frac <= 0.9:
        msg = f"tile_px must be at least 32 and overlap_frac in [0, 0.9], got {tile_px} and {overlap_frac}"
        raise ValueError(msg)
    columns, rows = (_starts(side, tile_px, overlap_frac) for side in size_px)
    width, height = (min(side, tile_px) for side in size_px)
    return [Tile(left, top, width, height) for top in rows for left in columns]


def _starts(side_px: int, tile_px: int, overlap_frac: float) -> list[int]:
    if side_px <= tile_px:
        return [0]
    step = tile_px * (1 - overlap_frac)
    count = int(np.ceil((side_px - tile_px) / step)) + 1
    return [int(start) for start in np.linspace(0, side_px - tile_px, count).round()]


def merge(parts: Sequence[Detections], labels: tuple[str, ...]) -> Detections:
    """Join detections of overlapping views of one frame: NMS by class, then drop parts of a better box."""
    if not parts:
        return Detections.empty(labels)
    joined = Detections(
        np.concatenate([part.xyxy for part in parts]),
        np.concatenate([part.confidence for part in parts]),
        np.concatenate([part.class_id for part in parts]),
        labels,
    )
    kept = joined.select(nms(joined.xyxy, joined.confidence, joined.class_id, MERGE_IOU))
    return kept.select(_not_contained(kept))


def _not_contained(found: Detections) -> npt.NDArray[np.bool_]:
    """Mark the boxes (by falling confidence) that do not lie mostly within a better one of their class."""
    xyxy, class_id = found.xyxy, found.class_id
    area = (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])
    keep = np.ones(len(found), np.bool_)
    for index in range(1, len(found)):
        better = np.flatnonzero(keep[:index] & (class_id[:index] == class_id[index]))
        low = np.maximum(xyxy[better, :2], xyxy[index, :2])
        high = np.minimum(xyxy[better, 2:], xyxy[index, 2:])
        shared = np.clip(high - low, 0, None).prod(1)
        keep[index] = not bool((shared > MERGE_IOS * np.minimum(area[better], area[index])).any())
    return keep


def detect_through(detector: Detector, image: npt.NDArray[np.uint8], tiles: Sequence[Tile]) -> Detections:
    """Look at a whole picture, uint8 (height, width, 3) BGR, and at some tiles of it; join what is found."""
    whole, *parts = detector.detect([image, *(tile.cut(image) for tile in tiles)])
    if not tiles:
        return whole
    moved = [tile.moved(part) for tile, part in zip(tiles, parts, strict=True)]
    return merge([whole, *moved], detector.labels)


class TiledDetector:
    """A detector that looks at the whole frame and at its tiles; a :class:`models.detector.Detector`."""

    def __init__(self, detector: Detector, tile_px: int, overlap_frac: float = 0.2) -> None:
        """Wrap ``detector``; ``tile_px`` is best the model's own input side, so that nothing is scaled."""
        plan_tiles((tile_px, tile_px), tile_px, overlap_frac)
        self._detector = detector
        self._tile_px = tile_px
        self._overlap_frac = overlap_frac

    @property
    def name(self) -> str:
        """Name and version of the model."""
        return self._detector.name

    @property
    def precision(self) -> str:
        """Precision of the model."""
        return self._detector.precision

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names of the model."""
        return self._detector.labels

    def detect(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Detections]:
        """See :class:`models.detector.Detector`; one batch for each picture: frame and tiles."""
        return [self._detect_one(image) for image in images]

    def _detect_one(self, image: npt.NDArray[np.uint8]) -> Detections:
        tiles = plan_tiles((image.shape[1], image.shape[0]), self._tile_px, self._overlap_frac)
        return detect_through(self._detector, image, tiles if len(tiles) > 1 else ())

    def close(self) -> None:
        """Release the model."""
        self._detector.close()

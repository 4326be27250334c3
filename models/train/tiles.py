"""Cut training pictures out of source pictures: scale, stretch, crop, seams."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models.train.recipe import Tiles
from models.train.samples import BoxArray

Picture = npt.NDArray[np.uint8]
PAD_VALUE = 114
LEAST_SIDE_PX = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A training picture: uint8 BGR (size, size, 3), boxes (n, 4) in its pixels, labels of length n."""

    picture: Picture
    boxes: BoxArray
    labels: tuple[str, ...]


def read_picture(path: Path) -> Picture:
    """Decode a picture file that the reader has checked; uint8 BGR."""
    decoded = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(decoded, np.uint8)


def cut_tile(
    picture: Picture,
    boxes: BoxArray,
    labels: tuple[str, ...],
    plan: Tiles,
    size_px: int,
    rng: np.random.Generator,
    about: BoxArray | None = None,
) -> Tile:
    """Draw a scale, a stretch and a place, and cut a square of ``size_px`` there.

    ``boxes`` are fractions of the picture. A box of which less than ``plan.min_visible_frac`` is
    inside is painted over with the tile's grey, so that half a car is neither car nor background.
    With ``about``, fractions too, the tile shows one of these boxes.
    """
    low, high = np.log(plan.scale)
    scale = float(np.exp(rng.uniform(low, high)))
    across = scale * float(rng.uniform(1.0, plan.stretch))
    height, width = picture.shape[:2]
    size = (max(8, round(width * across)), max(8, round(height * scale)))
    scaled = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    pixel_boxes = boxes * np.array([*size, *size])
    targets, frac = (boxes, plan.on_object_frac) if about is None else (about, 1.0)
    left, top = _place(targets * np.array([*size, *size]), frac, _region(size, plan), size_px, rng)
    tile = _crop(np.asarray(scaled, np.uint8), left, top, size_px)
    moved = pixel_boxes - np.array([left, top, left, top])
    clipped = moved.clip(0, size_px)
    area = np.prod(moved[:, 2:] - moved[:, :2], axis=1)
    inside = np.prod(clipped[:, 2:] - clipped[:, :2], axis=1)
    sides = (clipped[:, 2:] - clipped[:, :2]).min(axis=1) if len(clipped) else np.zeros(0)
    keep = (inside >= plan.min_visible_frac * area) & (sides >= LEAST_SIDE_PX)
    for index in np.flatnonzero(~keep & (inside > 0)):
        x1, y1, x2, y2 = clipped[index].round().astype(int)
        tile[y1:y2, x1:x2] = PAD_VALUE
    kept = tuple(label for label, flag in zip(labels, keep, strict=True) if flag)
    return Tile(tile, clipped[keep], kept)


def whole(picture: Picture, boxes: BoxArray, labels: tuple[str, ...], size_px: int) -> Tile:
    """Letterbox the whole picture into a square, as it is judged."""
    height, width = picture.shape[:2]
    scale = size_px / max(height, width)
    size = (round(width * scale), round(height * scale))
    scaled = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    left, top = -((size_px - size[0]) // 2), -((size_px - size[1]) // 2)
    moved = boxes * np.array([*size, *size]) - np.array([left, top, left, top])
    return Tile(_crop(scaled, left, top, size_px), moved, labels)


def add_seams(picture: Picture, count: int, rng: np.random.Generator) -> Picture:
    """Inpaint drawn-on rectangles anywhere in a picture, as ``nemo`` was treated around its labels.

    Before a tile is cut and scaled, so that these seams and those around smoke look alike: a model
    that sees them at smoke-free places as often as around smoke cannot learn them as its sign.
    """
    height, width = picture.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    for _ in range(count):
        side = np.exp(rng.uniform(np.log(14), np.log(min(height, width) * 0.5), 2))
        x, y = rng.uniform(0, np.maximum(1, (width, height) - side))
        corner = (int(x + side[0]), int(y + side[1]))
        cv2.rectangle(mask, (int(x), int(y)), corner, 255, int(rng.integers(1, 4)))
    return np.asarray(cv2.inpaint(picture, mask, 3, cv2.INPAINT_TELEA), np.uint8)


def recompress(picture: Picture, rng: np.random.Generator) -> Picture:
    """Blur a little and pass through JPEG at a drawn quality, as cameras do."""
    sigma = float(rng.uniform(0, 1.1))
    soft = cv2.GaussianBlur(picture, (0, 0), sigma) if sigma > 0.3 else picture
    quality = int(rng.integers(45, 95))
    _done, data = cv2.imencode(".jpg", soft, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.asarray(decoded, np.uint8)


def _region(size: tuple[int, int], plan: Tiles) -> tuple[float, float, float, float]:
    """Return what of a picture of ``size`` tiles are cut from: left, top, right, bottom in px."""
    (width, height), (x1, y1, x2, y2) = size, plan.region
    return x1 * width, y1 * height, x2 * width, y2 * height


def _place(
    targets: BoxArray,
    frac: float,
    region: tuple[float, float, float, float],
    tile_px: int,
    rng: np.random.Generator,
) -> tuple[int, int]:
    """Draw a tile's corner: about one of ``targets`` with probability ``frac``, else anywhere; all in px."""
    x1, y1, x2, y2 = region
    if len(targets) and rng.random() < frac:
        box = targets[rng.integers(len(targets))]
        centre = (box[:2] + box[2:]) / 2
        left, top = centre - rng.uniform(0.15, 0.85, 2) * tile_px
    else:
        left = rng.uniform(x1, max(x1, x2 - tile_px))
        top = rng.uniform(y1, max(y1, y2 - tile_px))
    left = _limit(left, x1, x2 - tile_px)
    top = _limit(top, y1, y2 - tile_px)
    return round(left), round(top)


def _limit(value: float, low: float, high: float) -> float:
    """Keep a crop inside; a picture smaller than the crop is centred in it."""
    return (low + high) / 2 if high < low else min(max(value, low), high)


def _crop(picture: Picture, left: int, top: int, size_px: int) -> Picture:
    height, width = picture.shape[:2]
    out = np.full((size_px, size_px, 3), PAD_VALUE, np.uint8)
    x1, y1, x2, y2 = max(0, left), max(0, top), min(width, left + size_px), min(height, top + size_px)
    if x2 > x1 and y2 > y1:
        out[y1 - top : y2 - top, x1 - left : x2 - left] = picture[y1:y2, x1:x2]
    return out

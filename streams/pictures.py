"""Pictures between libraries: from the decoder, from files, to JPEG."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange

from streams.errors import StreamError
from streams.frame import Picture, Pixels

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})


def to_bgr(picture: av.VideoFrame) -> Picture:
    """Convert a decoded picture of any pixel format to BGR, upright.

    Returns:
        uint8, shape (height, width, 3), BGR; turned as the stream's display matrix says.

    """
    # one thread: the reader of each camera converts by itself, and cameras outnumber cores
    image = np.asarray(picture.to_ndarray(format="bgr24", threads=1), np.uint8)
    quarter_turns = round(picture.rotation / 90) % 4
    if quarter_turns:
        image = np.ascontiguousarray(np.rot90(image, quarter_turns))
    return image


class PlanarPixels:
    """A picture with a plane of luminance and two of colour at half its size; see :class:`Pixels`.

    Most pictures of a quiet camera are judged by their luminance alone, and never converted.
    """

    def __init__(self, picture: av.VideoFrame) -> None:
        self._picture = picture
        self.size_px = (picture.width, picture.height)
        # H.264 and H.265 say nothing where they mean 16 to 235 (ITU-T H.264, E.2.1)
        self._is_full = picture.format.name == "yuvj420p" or picture.color_range == ColorRange.JPEG

    def bgr(self) -> Picture:
        """Convert the whole picture."""
        return to_bgr(self._picture)

    def reduced(self, step: int) -> Picture:
        """Average blocks of luminance, in levels of 0 to 255."""
        luma = self._plane(0)
        width, height = luma.shape[1] // step, luma.shape[0] // step
        blocks = luma[: height * step, : width * step]
        small = cv2.resize(blocks, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(small if self._is_full else cv2.LUT(small, _TO_FULL), np.uint8)

    def thinned(self, step: int) -> Picture:
        """Convert single pixels, as the whole picture would be."""
        first = step // 2
        luma = self._plane(0)[first::step, first::step]
        rows, columns = ((first + step * np.arange(side)) // 2 for side in luma.shape)
        planes = [luma, *(self._plane(index)[rows][:, columns] for index in (1, 2))]
        thin = av.VideoFrame.from_ndarray(np.stack(planes), format="yuv444p")
        thin.color_range = ColorRange.JPEG if self._is_full else ColorRange.MPEG
        thin.colorspace = self._picture.colorspace
        return to_bgr(thin)

    def _plane(self, index: int) -> Picture:
        plane = self._picture.planes[index]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        return np.asarray(rows[:, : plane.width], np.uint8)


_TO_FULL = np.clip((np.arange(256) - 16) * (255 / 219) + 0.5, 0, 255).astype(np.uint8)


def pixels_of(picture: av.VideoFrame) -> Picture | Pixels:
    """Return a decoded picture unconverted where that is possible, else as BGR."""
    if picture.format.name in {"yuv420p", "yuvj420p"} and not picture.rotation:
        return PlanarPixels(picture)
    return to_bgr(picture)


def encode_jpeg(image: Picture, quality: int = 90) -> bytes:
    """Encode a BGR picture, uint8 (height, width, 3), as JPEG with ``quality`` in [1, 100]."""
    if not 1 <= quality <= 100:
        msg = f"JPEG quality must be in [1, 100], got {quality}"
        raise ValueError(msg)
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        msg = f"cannot encode a picture of shape {image.shape} as JPEG"
        raise StreamError(msg)
    return bytes(data)


def read_picture(path: Path) -> Picture:
    """Read a picture file as BGR, uint8 (height, width, 3).

    Raises:
        StreamError: the file cannot be read or is no picture; the message names it.

    """
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise StreamError(msg) from error
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        msg = f"{path}: not a readable picture ({data.size} bytes)"
        raise StreamError(msg)
    return np.asarray(image, np.uint8)

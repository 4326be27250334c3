"""Pictures between libraries: from the decoder, from files, to JPEG."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np

from streams.errors import StreamError
from streams.frame import Picture

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

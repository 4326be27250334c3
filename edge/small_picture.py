"""The small JPEG of a live look: what an uplink that is shared with alerts can bear once a second."""

from __future__ import annotations

import cv2

from streams.frame import Picture
from streams.pictures import encode_jpeg

QUALITY = 70


def small_jpeg(image: Picture, width_px: int) -> bytes:
    """Encode a picture, uint8 (height, width, 3) BGR, at most so many pixels wide."""
    height, width = image.shape[:2]
    if width > width_px:
        size = (width_px, max(1, round(height * width_px / width)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return encode_jpeg(image, QUALITY)

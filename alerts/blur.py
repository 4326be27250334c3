"""Blur a picture outside of what the case is about, so that it can be handed on (PIPL, article 26).

What lies outside is made anew from a thumbnail: no filter brings a face or a number plate back from it.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from alerts.services.views import BoxView
from towerwatch.errors import PermanentError

THUMBNAIL_PX = 64  # the long side of what is left of the surroundings
MARGIN_FRAC = 0.1  # of a box's sides, so that its edge can be seen
JPEG_QUALITY = 90


class NoPicture(PermanentError):
    """The bytes are no picture that can be read."""


def blur_outside(picture: bytes, boxes: Iterable[BoxView]) -> bytes:
    """Return a JPEG that is clear inside the boxes and blurred everywhere else; all of it without a box.

    Raises:
        NoPicture: ``picture`` is no JPEG or PNG that can be read.

    """
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)  # BGR, uint8, (height, width, 3)
    if image is None:
        msg = "the bytes are no picture"
        raise NoPicture(msg)
    height, width = image.shape[:2]
    scale = THUMBNAIL_PX / max(height, width)
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    thumbnail = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    blurred = cv2.resize(thumbnail, (width, height), interpolation=cv2.INTER_LINEAR)
    for box in boxes:
        dx, dy = (box.x2 - box.x1) * MARGIN_FRAC, (box.y2 - box.y1) * MARGIN_FRAC
        left, right = (int(np.clip(x, 0, 1) * width) for x in (box.x1 - dx, box.x2 + dx))
        top, bottom = (int(np.clip(y, 0, 1) * height) for y in (box.y1 - dy, box.y2 + dy))
        blurred[top:bottom, left:right] = image[top:bottom, left:right]
    return cv2.imencode(".jpg", blurred, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()

"""Draw detections on a copy of a picture, for people to look at; never for data."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from models.detections import Detections

# Okabe and Ito's palette for colour-blind readers, as BGR
_COLOURS = ((0, 159, 230), (233, 180, 86), (115, 158, 0), (66, 228, 240), (178, 114, 0), (0, 94, 213))
_MIN_LINE_PX = 1
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_detections(image: npt.NDArray[np.uint8], found: Detections) -> npt.NDArray[np.uint8]:
    """Return a copy of ``image`` (uint8 BGR) with each box, its class name and confidence."""
    canvas = image.copy()
    line = max(_MIN_LINE_PX, round(min(canvas.shape[:2]) / 400))
    scale = max(0.35, min(canvas.shape[:2]) / 1000)
    for index in range(len(found)):
        left, top, right, bottom = (round(float(side)) for side in found.xyxy[index])
        colour = _COLOURS[int(found.class_id[index]) % len(_COLOURS)]
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, line)
        text = f"{found.label_of(index)} {found.confidence[index]:.2f}"
        (width, height), base = cv2.getTextSize(text, _FONT, scale, line)
        foot = top - base if top > height + 2 * base else min(bottom + height + base, canvas.shape[0] - base)
        cv2.rectangle(canvas, (left, foot - height - base), (left + width, foot + base), colour, -1)
        cv2.putText(canvas, text, (left, foot), _FONT, scale, (0, 0, 0), line, cv2.LINE_AA)
    return canvas

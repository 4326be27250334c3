"""Zones, masks and boxes drawn on a copy of a picture, for people to look at; never for data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from edge.config import ViewConfig
from edge.episode import LabelledBox
from edge.gate import CELL_PX, Decision
from streams.frame import REDUCED_PX

Image = npt.NDArray[np.uint8]
# Okabe and Ito's palette for colour-blind readers, as BGR
ZONE_COLOUR = (178, 114, 0)
MASK_COLOUR = (40, 40, 40)
BOX_COLOUR = (0, 94, 213)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_view(image: Image, view: ViewConfig, boxes: Sequence[LabelledBox] = ()) -> Image:
    """Return a copy of ``image``, uint8 (height, width, 3) BGR, with zones, masks and boxes."""
    canvas = image.copy()
    height, width = canvas.shape[:2]
    line = max(1, round(min(height, width) / 360))
    veil = canvas.copy()
    for mask in view.masks:
        cv2.fillPoly(veil, [_pixels(mask.points, width, height)], MASK_COLOUR)
    for zone in view.zones:
        cv2.fillPoly(veil, [_pixels(zone.points, width, height)], ZONE_COLOUR)
    canvas = np.asarray(cv2.addWeighted(veil, 0.25, canvas, 0.75, 0), np.uint8)
    outlines = [(mask.points, mask.id or "mask", MASK_COLOUR) for mask in view.masks]
    outlines += [(zone.points, zone.id, ZONE_COLOUR) for zone in view.zones]
    for corners, name, colour in outlines:
        points = _pixels(corners, width, height)
        cv2.polylines(canvas, [points], isClosed=True, color=colour, thickness=line)
        left, top = (int(value) for value in points.reshape(-1, 2).min(axis=0))
        _label(canvas, name, (left, top), colour)
    for one in boxes:
        x1, y1, x2, y2 = (round(v * s) for v, s in zip(one.box, (width, height) * 2, strict=True))
        cv2.rectangle(canvas, (x1, y1), (x2, y2), BOX_COLOUR, line)
        _label(canvas, f"{one.label} {one.confidence:.2f}", (x1, y1), BOX_COLOUR)
    return canvas


def draw_gate(image: Image, decisions: Mapping[str, Decision]) -> Image:
    """Return a copy of ``image`` with the cells that have changed, and what was decided for each model."""
    canvas = image.copy()
    side = CELL_PX * max(1, image.shape[1] // REDUCED_PX)
    for line, (source, decision) in enumerate(decisions.items()):
        for row, column in np.argwhere(decision.cells).tolist():
            corner = (column * side, row * side)
            cv2.rectangle(canvas, corner, (corner[0] + side, corner[1] + side), BOX_COLOUR, 1)
        colour = BOX_COLOUR if decision.look else MASK_COLOUR
        _label(canvas, f"{source}: {decision.why}", (0, (line + 1) * canvas.shape[0] // 20), colour)
    return canvas


def _pixels(points: Sequence[tuple[float, float]], width: int, height: int) -> npt.NDArray[np.int32]:
    scaled = [(round(x * (width - 1)), round(y * (height - 1))) for x, y in points]
    return np.asarray(scaled, np.int32).reshape(-1, 1, 2)


def _label(canvas: Image, text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    scale = max(0.35, min(canvas.shape[:2]) / 1000)
    (width, height), base = cv2.getTextSize(text, _FONT, scale, 1)
    left = min(max(at[0], 0), max(canvas.shape[1] - width, 0))
    foot = max(at[1] - base, height + base)
    cv2.rectangle(canvas, (left, foot - height - base), (left + width, foot + base), colour, -1)
    cv2.putText(canvas, text, (left, foot), _FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)

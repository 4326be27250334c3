"""The worst mistakes of a judgement, as pictures: what was missed, and boxes where nothing is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from models.train.matching import Judged, areas_px
from models.train.sheets import CELL_PX, grid
from models.train.tiles import Picture, read_picture

MOST = 36
CONTEXT = 1.5  # of a box's longer side, on each side of it
LEAST_CONTEXT_PX = 60
STRIP_PX = 17  # for the text below a picture
TRUTH_BGR, FOUND_BGR = (80, 200, 80), (40, 40, 255)


@dataclass(frozen=True, slots=True, eq=False)
class Mistake:
    """A box that was missed, or one where nothing is; ``box`` in px, ``weight`` its rank."""

    kind: Literal["missed", "false"]
    judged: Judged
    box: npt.NDArray[np.float64]
    weight: float


def worst_misses(judged: Sequence[Judged], most: int = MOST) -> list[Mistake]:
    """Return what was missed, the largest share of its picture first."""
    found = []
    for item in judged:
        missed = item.truth[~item.hit]
        shares = areas_px(missed) / (item.size_px[0] * item.size_px[1])
        found += [Mistake("missed", item, *pair) for pair in zip(missed, shares.tolist(), strict=True)]
    return sorted(found, key=lambda mistake: -mistake.weight)[:most]


def worst_false(judged: Sequence[Judged], most: int = MOST) -> list[Mistake]:
    """Return boxes on nothing, the surest first."""
    found = []
    for item in judged:
        wrong = item.sure.select(~item.right)
        boxes = np.asarray(wrong.xyxy, np.float64)
        found += [
            Mistake("false", item, *pair) for pair in zip(boxes, wrong.confidence.tolist(), strict=True)
        ]
    return sorted(found, key=lambda mistake: -mistake.weight)[:most]


def sheet(mistakes: Sequence[Mistake]) -> Picture:
    """Lay mistakes out in a grid, each with its surroundings; true boxes green, found ones red; uint8 BGR."""
    return grid([_cell(mistake) for mistake in mistakes])


def _cell(mistake: Mistake) -> Picture:
    judged = mistake.judged
    x1, y1, x2, y2 = mistake.box
    half = max(x2 - x1, y2 - y1) / 2
    reach = half + max(2 * half * CONTEXT, LEAST_CONTEXT_PX)
    left, top = (x1 + x2) / 2 - reach, (y1 + y2) / 2 - reach
    scale = CELL_PX / (2 * reach)
    move = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    picture = cv2.warpAffine(read_picture(judged.sample.picture), move, (CELL_PX, CELL_PX))
    for boxes, colour in ((judged.truth, TRUTH_BGR), (judged.sure.xyxy, FOUND_BGR)):
        for box in np.asarray(boxes):
            corners = ((box.reshape(2, 2) - (left, top)) * scale).round().astype(int).tolist()
            cv2.rectangle(picture, corners[0], corners[1], colour, 1)
    cv2.rectangle(picture, (0, CELL_PX - STRIP_PX), (CELL_PX, CELL_PX), (0, 0, 0), -1)
    text = f"{mistake.weight:.2g} {judged.sample.picture.stem[-30:]}"
    place = (4, CELL_PX - 5)
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.36, (255, 255, 255), 1, cv2.LINE_AA)
    return np.asarray(picture, np.uint8)

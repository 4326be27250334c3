"""Look at a data set: numbers, and contact sheets as PNG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from models.train.samples import Sample
from models.train.tiles import Picture, read_picture

CELL_PX = 240
BOX_BGR = (40, 40, 255)
AREA_EDGES = (0.0, 0.001, 0.01, 0.1, 1.01)  # shares of the picture: far, small, medium, large


def statistics(samples: Sequence[Sample]) -> dict[str, Any]:
    """Count pictures, groups, empty pictures, boxes by class and by share of the picture's area."""
    areas = np.concatenate([_areas(sample) for sample in samples]) if samples else np.zeros(0)
    counts, _edges = np.histogram(areas, bins=AREA_EDGES)
    return {
        "pictures": len(samples),
        "groups": len({sample.group for sample in samples}),
        "empty": sum(not len(sample.boxes) for sample in samples),
        "boxes": dict(Counter(label for sample in samples for label in sample.labels)),
        "boxes_by_area_frac": {
            f"{low:g} to {min(high, 1):g}": int(count)
            for low, high, count in zip(AREA_EDGES, AREA_EDGES[1:], counts, strict=False)
        },
        "by_source": dict(Counter(sample.source for sample in samples)),
    }


def contact_sheet(samples: Sequence[Sample], columns: int = 6) -> Picture:
    """Lay pictures with their boxes out in a grid, each in a square cell of 240 px; uint8 BGR.

    Raises:
        ValueError: no sample is given.

    """
    if not samples:
        msg = "a contact sheet needs one picture at least"
        raise ValueError(msg)
    return grid([_cell(sample) for sample in samples], columns)


def grid(cells: Sequence[Picture], columns: int = 6) -> Picture:
    """Lay pictures of one size out in rows, the last one filled up with black."""
    full = [*cells, *[np.zeros_like(cells[0])] * (-len(cells) % columns)]
    rows = [np.hstack(full[start : start + columns]) for start in range(0, len(full), columns)]
    return np.asarray(np.vstack(rows), np.uint8)


def _areas(sample: Sample) -> np.ndarray:
    return np.asarray((sample.boxes[:, 2:] - sample.boxes[:, :2]).prod(axis=1))


def _cell(sample: Sample) -> Picture:
    picture = read_picture(sample.picture)
    height, width = picture.shape[:2]
    scale = CELL_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    for box in sample.boxes:
        x1, y1, x2, y2 = (box * np.array([*size, *size])).round().astype(int).tolist()
        cv2.rectangle(small, (x1, y1), (x2, y2), BOX_BGR, 1)
    cell = np.zeros((CELL_PX, CELL_PX, 3), np.uint8)
    cell[: size[1], : size[0]] = small
    text = f"{sample.source} {sample.group}"[:34]
    cv2.putText(cell, text, (4, CELL_PX - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (255, 255, 255), 1, cv2.LINE_AA)
    return cell

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.train.samples import Sample, box_array
from models.train.sheets import BOX_BGR, CELL_PX, contact_sheet, statistics


def sample(folder: Path, name: str, boxes: list[tuple[float, float, float, float]]) -> Sample:
    path = folder / f"{name}.png"
    cv2.imwrite(str(path), np.full((60, 120, 3), 90, np.uint8))
    return Sample(path, box_array(boxes), ("v",) * len(boxes), name, "s")


def test_numbers_of_a_data_set(tmp_path: Path) -> None:
    numbers = statistics(
        [sample(tmp_path, "a", [(0, 0, 0.5, 0.5), (0, 0, 0.01, 0.01)]), sample(tmp_path, "b", [])]
    )
    assert (numbers["pictures"], numbers["groups"], numbers["empty"]) == (2, 2, 1)
    assert numbers["boxes"] == {"v": 2}
    assert numbers["boxes_by_area_frac"]["0.1 to 1"] == 1
    assert numbers["boxes_by_area_frac"]["0 to 0.001"] == 1
    assert statistics([])["pictures"] == 0


def test_a_sheet_shows_every_picture_with_its_box(tmp_path: Path) -> None:
    sheet = contact_sheet([sample(tmp_path, str(i), [(0.1, 0.1, 0.9, 0.9)]) for i in range(3)], columns=2)
    assert sheet.shape == (2 * CELL_PX, 2 * CELL_PX, 3)
    assert (sheet[:CELL_PX, :CELL_PX] == BOX_BGR).all(axis=2).any()
    with pytest.raises(ValueError, match="one picture at least"):
        contact_sheet([])

from __future__ import annotations

import numpy as np
import pytest

from models.train.recipe import Tiles
from models.train.samples import box_array
from models.train.tiles import PAD_VALUE, add_seams, cut_tile, recompress, whole

WHITE = np.full((200, 300, 3), 255, np.uint8)


def marked(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[top:bottom, left:right] = 255
    return picture


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7])
def test_a_box_follows_its_thing_through_scale_stretch_and_crop(scale: float) -> None:
    picture = marked(100, 80, 160, 110)
    box = box_array([(100 / 300, 80 / 200, 160 / 300, 110 / 200)])
    plan = Tiles(scale=(scale, scale), stretch=1.5, on_object_frac=1, min_visible_frac=0.9)
    for seed in range(5):
        tile = cut_tile(picture, box, ("v",), plan, 128, np.random.default_rng(seed))
        if not tile.labels:
            continue
        rows, columns = np.nonzero((tile.picture > 200).all(axis=2))
        seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        np.testing.assert_allclose(tile.boxes[0], seen, atol=2.5)


def test_half_a_thing_is_neither_thing_nor_background() -> None:
    picture = marked(0, 0, 300, 200)
    box = box_array([(0, 0, 1, 1)])
    plan = Tiles(on_object_frac=0, min_visible_frac=0.9)
    tile = cut_tile(picture, box, ("v",), plan, 64, np.random.default_rng(0))
    assert tile.labels == ()
    assert (tile.picture == PAD_VALUE).all()


def test_a_picture_smaller_than_the_tile_is_centred_on_grey() -> None:
    tile = cut_tile(WHITE, box_array([]), (), Tiles(scale=(0.2, 0.2)), 128, np.random.default_rng(0))
    assert (tile.picture[:20] == PAD_VALUE).all()
    assert (tile.picture[60:68, 60:68] == 255).all()


def test_the_whole_picture_is_letterboxed() -> None:
    tile = whole(WHITE, box_array([(0, 0, 1, 1)]), ("v",), 150)
    np.testing.assert_allclose(tile.boxes, [[0, 25, 150, 125]])
    assert (tile.picture[:24] == PAD_VALUE).all()


def test_seams_change_a_small_part_of_a_picture_and_compression_keeps_its_size() -> None:
    rng = np.random.default_rng(1)
    noisy = rng.integers(0, 255, (96, 160, 3), np.uint8)
    changed = (add_seams(noisy, 3, rng) != noisy).any(axis=2)
    assert 0 < changed.mean() < 0.3
    assert recompress(noisy, rng).shape == noisy.shape

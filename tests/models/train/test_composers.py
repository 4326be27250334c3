from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.train.samples import box_array
from models.train.smoke_composer import Plume, blend, compose_lookalike, compose_plume, plume_depth
from models.train.street_composer import compose_street, draw_camera
from models.train.street_scenery import ground_texture
from models.train.tiles import Tile

SIZE = 192


def ground(seed: int) -> Tile:
    dark = ground_texture(SIZE, np.random.default_rng(seed)) // 3  # so that smoke of any grey shows
    return Tile(np.asarray(dark, np.uint8), box_array([]), ())


def test_the_same_seed_composes_the_same_picture() -> None:
    first, again = (compose_street(SIZE, "v", np.random.default_rng(4), []) for _ in range(2))
    np.testing.assert_array_equal(first.picture, again.picture)
    np.testing.assert_array_equal(first.boxes, again.boxes)


def test_streets_hold_vehicles_inside_the_picture(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "bg.png"), ground(0).picture)
    rng = np.random.default_rng(2)
    tiles = [compose_street(SIZE, "v", rng, [tmp_path / "bg.png"]) for _ in range(12)]
    boxes = np.vstack([tile.boxes for tile in tiles])
    assert len(boxes) > 5
    assert boxes.min() >= 0
    assert boxes.max() <= SIZE
    assert (boxes[:, 2:] - boxes[:, :2]).min() >= 5
    assert {label for tile in tiles for label in tile.labels} == {"v"}


@pytest.mark.parametrize("seed", range(5))
def test_the_camera_looks_at_the_ground_in_its_middle(seed: int) -> None:
    camera = draw_camera(SIZE, np.random.default_rng(seed))
    spot = camera.ground_at(SIZE / 2, SIZE / 2)
    assert spot is not None
    np.testing.assert_allclose(camera.project(spot[None])[0, :2], SIZE / 2, atol=1e-6)


def plume() -> Plume:
    return Plume((96, 160), 90, 0.3, 1, 0.2, 2.0, 1.0, 0.3)


def test_a_plumes_box_holds_what_it_changed_and_little_more() -> None:
    tile = ground(1)
    rng = np.random.default_rng(7)
    out, box = blend(tile.picture, plume_depth(plume(), SIZE, rng), plume(), rng)
    assert box is not None
    changed = np.abs(out.astype(int) - tile.picture).mean(axis=2)
    x1, y1, x2, y2 = map(int, box)
    assert changed[y1:y2, x1:x2].sum() > 0.8 * changed.sum()
    rows, columns = np.nonzero(changed > 12)
    assert columns.min() >= x1 - 3
    assert rows.max() <= y2 + 3


def test_a_plume_that_nobody_would_see_has_no_box() -> None:
    tile = ground(1)
    _out, box = blend(
        tile.picture, np.full((SIZE, SIZE), 1e-4, np.float32), plume(), np.random.default_rng(0)
    )
    assert box is None


def test_composed_smoke_is_labelled_and_lookalikes_are_not() -> None:
    rng = np.random.default_rng(3)
    smoky = [compose_plume(ground(seed), "smoke", rng) for seed in range(6)]
    assert sum(len(tile.labels) for tile in smoky) >= 4
    clean = [compose_lookalike(ground(seed), rng) for seed in range(12)]
    assert sum(len(tile.labels) for tile in clean) == 0
    assert all((tile.picture != ground(seed).picture).any() for seed, tile in enumerate(clean))

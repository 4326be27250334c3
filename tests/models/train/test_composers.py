from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.train.plume import Plume, canvas_depth, place
from models.train.samples import box_array
from models.train.smoke_composer import compose_lookalike, compose_plume, seen_box
from models.train.street_composer import compose_street, draw_camera
from models.train.street_scenery import ground_texture
from models.train.tiles import Tile

SIZE = 192


def ground(seed: int) -> Tile:
    rng = np.random.default_rng(seed)
    dark = ground_texture(SIZE, rng) // 3 + rng.integers(0, 12, (SIZE, SIZE, 1))  # smoke of any grey shows
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


def plume(length: float, lean: float = 0.3) -> Plume:
    return Plume(length, lean, 1, 0.5, 0.03, 0.15, 0.6, 1.0, 0.6, 0.5, 2.0)


@pytest.mark.parametrize("length", [24.0, 110.0])
def test_a_plume_rises_from_its_foot_to_its_length(length: float) -> None:
    canvas, foot = canvas_depth(plume(length, lean=0.0), np.random.default_rng(5))
    depth = place(canvas, foot, plume(length, lean=0.0), (96.0, 170.0), SIZE)
    rows, columns = np.nonzero(depth > 0.1 * depth.max())
    assert rows.max() == pytest.approx(170, abs=0.15 * length)
    assert np.ptp(rows) == pytest.approx(length, rel=0.5)
    assert abs(columns.mean() - 96) < 0.35 * length


def test_the_box_holds_what_changed_and_little_more() -> None:
    before = ground(1).picture
    canvas, foot = canvas_depth(plume(90), np.random.default_rng(7))
    alpha = 1 - np.exp(-place(canvas, foot, plume(90), (80, 160), SIZE))
    after = np.asarray(before * (1 - alpha[..., None]) + 220 * alpha[..., None], np.uint8)
    box = seen_box(before, after, alpha)
    assert box is not None
    changed = np.abs(after.astype(int) - before).mean(axis=2)
    x1, y1, x2, y2 = map(int, box)
    assert changed[y1:y2, x1:x2].sum() > 0.8 * changed.sum()
    rows, columns = np.nonzero(changed > 12)
    assert columns.min() >= x1 - 3
    assert rows.max() <= y2 + 3


@pytest.mark.parametrize("scene", ["thin", "bushes"])
def test_a_plume_that_nobody_would_see_has_no_box(scene: str) -> None:
    before, alpha = ground(1).picture, np.zeros((SIZE, SIZE), np.float32)
    alpha[60:120, 60:120] = 0.15 if scene == "bushes" else 0.01
    if scene == "bushes":
        before = np.random.default_rng(0).integers(0, 255, before.shape, np.uint8)
    after = np.asarray(before * (1 - alpha[..., None]) + 220 * alpha[..., None], np.uint8)
    assert seen_box(before, after, alpha) is None


def test_composed_smoke_is_labelled_and_lookalikes_are_not() -> None:
    rng = np.random.default_rng(3)
    smoky = [compose_plume(ground(seed), "smoke", rng) for seed in range(6)]
    assert sum(len(tile.labels) for tile in smoky) >= 4
    clean = [compose_lookalike(ground(seed), rng) for seed in range(12)]
    assert sum(len(tile.labels) for tile in clean) == 0
    assert all((tile.picture != ground(seed).picture).any() for seed, tile in enumerate(clean))


def test_no_smoke_starts_in_a_smooth_sky() -> None:
    sky = Tile(np.full((SIZE, SIZE, 3), 170, np.uint8), box_array([]), ())
    assert compose_plume(sky, "smoke", np.random.default_rng(0)).labels == ()

"""Tiles are cut about what a registered model takes for an object and no label says."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.detections import Detections
from models.train import mined
from models.train.recipe import Mined, Tiles
from models.train.samples import Sample, box_array
from models.train.tiles import cut_tile

LABELLED, LAMP = (0.1, 0.1, 0.3, 0.3), (0.8, 0.8, 0.9, 0.9)


class BoxesBoth:
    """Finds the labelled thing and a lamp in every view of a picture."""

    labels = ("smoke",)
    closed = False

    def detect(self, images: list[np.ndarray]) -> list[Detections]:
        return [self._both(*image.shape[:2]) for image in images]

    def _both(self, height: int, width: int) -> Detections:
        boxes = np.array([LABELLED, LAMP], np.float32) * [width, height, width, height]
        return Detections(
            boxes.astype(np.float32), np.array([0.9, 0.2], np.float32), np.zeros(2, np.int32), self.labels
        )

    def close(self) -> None:
        self.closed = True


def test_what_no_label_covers_is_a_mistake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    detector = BoxesBoth()
    asked: dict[str, object] = {}
    monkeypatch.setattr(mined, "load_detector", lambda name, **how: asked.update(how, name=name) or detector)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((100, 200, 3), np.uint8))
    sample = Sample(tmp_path / "a.png", box_array([LABELLED]), ("smoke",), "g", "s")
    found = mined.mistaken_boxes(Mined(model="smoke@0.2.0", tile_px=640), [sample], tmp_path)
    np.testing.assert_allclose(found[sample.picture], [LAMP], atol=1e-6)
    assert (asked["name"], asked["confidence"]) == ("smoke@0.2.0", 0.1)
    assert detector.closed


def test_a_tile_about_a_mistake_shows_it_and_not_the_labelled_thing() -> None:
    picture = np.zeros((1000, 1000, 3), np.uint8)
    picture[820:880, 820:880] = 255
    for seed in range(5):
        rng = np.random.default_rng(seed)
        plan = Tiles(on_object_frac=1)
        tile = cut_tile(picture, box_array([LABELLED]), ("smoke",), plan, 160, rng, box_array([LAMP]))
        assert tile.labels == ()
        assert (tile.picture == 255).any()

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.detections import Detections
from models.tiles import TiledDetector, merge, plan_tiles

LABELS = ("smoke", "car")


class SquareFinder:
    """Finds a bright square of at least 8 px in what is left of it at 320 px, as a model would."""

    name, precision, labels = "squares@1", "f32", LABELS

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, int]]] = []

    def detect(self, images):
        self.batches.append([(image.shape[1], image.shape[0]) for image in images])
        return [self._one(image) for image in images]

    def _one(self, image):
        factor = max(1.0, max(image.shape[:2]) / 320)
        ys, xs = np.nonzero(image[..., 0] > 128)
        if not len(xs):
            return Detections.empty(LABELS)
        box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        if (box[2] - box[0]) / factor < 8:
            return Detections.empty(LABELS)
        cut = box[0] == 0 or box[2] == image.shape[1]
        return Detections.of([box], [0.5 if cut else 0.9], [0], LABELS)

    def close(self):
        self.batches.append([])


@given(
    width=st.integers(33, 3000),
    height=st.integers(33, 3000),
    tile=st.integers(32, 1280),
    overlap=st.floats(0, 0.9),
    data=st.data(),
)
def test_tiles_cover_the_frame_and_overlap_enough(width, height, tile, overlap, data):
    tiles = plan_tiles((width, height), tile, overlap)
    assert all(item.left >= 0 and item.left + item.width <= width for item in tiles)
    assert all(item.top >= 0 and item.top + item.height <= height for item in tiles)
    # whatever is smaller than the overlap lies whole in a tile; one pixel is lost to rounding
    side = max(0, int(min(tile, width, height) * overlap) - 1)
    x = data.draw(st.integers(0, max(0, width - side - 1)))
    y = data.draw(st.integers(0, max(0, height - side - 1)))
    assert any(
        item.left <= x
        and x + side <= item.left + item.width
        and item.top <= y
        and y + side <= item.top + item.height
        for item in tiles
    )


@pytest.mark.parametrize(
    ("size", "tile", "overlap", "lefts", "tops"),
    [
        pytest.param((1920, 1080), 640, 0.2, [0, 427, 853, 1280], [0, 440], id="1080p"),
        pytest.param((640, 360), 640, 0.2, [0], [0], id="smaller than a tile"),
        pytest.param((1280, 640), 640, 0.0, [0, 640], [0], id="exact, no overlap"),
    ],
)
def test_where_tiles_lie(size, tile, overlap, lefts, tops):
    tiles = plan_tiles(size, tile, overlap)
    assert [(item.left, item.top) for item in tiles] == [(left, top) for top in tops for left in lefts]


@pytest.mark.parametrize(("tile", "overlap"), [(16, 0.2), (640, -0.1), (640, 0.95)])
def test_tiles_that_make_no_sense_are_refused(tile, overlap):
    with pytest.raises(ValueError, match=f"got {tile} and {overlap}"):
        plan_tiles((1920, 1080), tile, overlap)


def test_something_small_is_found_in_a_tile_and_placed_in_the_frame():
    image = np.zeros((1080, 1920, 3), np.uint8)
    image[700:712, 1500:1512] = 255
    finder = SquareFinder()
    assert len(finder.detect([image])[0]) == 0
    detector = TiledDetector(finder, tile_px=320)
    found = detector.detect([image])[0]
    assert found.xyxy.tolist() == [[1500, 700, 1512, 712]]
    assert found.labels == LABELS
    assert finder.batches[-1][0] == (1920, 1080)
    assert set(finder.batches[-1][1:]) == {(320, 320)}
    assert (detector.name, detector.precision, detector.labels) == ("squares@1", "f32", LABELS)
    detector.close()


def test_something_seen_by_frame_and_tiles_is_one_box():
    image = np.zeros((480, 640, 3), np.uint8)
    image[200:280, 280:360] = 255
    found = TiledDetector(SquareFinder(), tile_px=320, overlap_frac=0.1).detect([image])[0]
    assert found.xyxy.tolist() == [[280, 200, 360, 280]]


def test_a_frame_no_larger_than_a_tile_is_looked_at_once():
    finder = SquareFinder()
    TiledDetector(finder, tile_px=320).detect([np.zeros((200, 300, 3), np.uint8)])
    assert finder.batches == [[(300, 200)]]


@pytest.mark.parametrize(
    ("boxes", "kept"),
    [
        pytest.param(
            [(0, 0, 100, 100, 0.9, 0), (60, 10, 100, 50, 0.8, 0)], [0.9], id="a part of a better box"
        ),
        pytest.param(
            [(0, 0, 100, 100, 0.9, 0), (60, 10, 100, 50, 0.8, 1)], [0.9, 0.8], id="of another class"
        ),
        pytest.param([(0, 0, 100, 100, 0.9, 0), (80, 0, 180, 100, 0.8, 0)], [0.9, 0.8], id="neighbours"),
        pytest.param(
            [(60, 10, 100, 50, 0.9, 0), (0, 0, 100, 100, 0.8, 0)], [0.9], id="a whole around a better part"
        ),
        pytest.param([], [], id="nothing"),
    ],
)
def test_merge(boxes, kept):
    rows = np.array(boxes, np.float32).reshape(-1, 6)
    parts = [
        Detections(row[None, :4].copy(), row[4:5].copy(), row[5:6].astype(np.int32), LABELS) for row in rows
    ]
    assert merge(parts, LABELS).confidence.tolist() == pytest.approx(kept)

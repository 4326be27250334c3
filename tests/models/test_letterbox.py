from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.letterbox import Letterbox, Placement

sides = st.integers(min_value=1, max_value=4000)
inputs = st.integers(min_value=32, max_value=1280)


@pytest.mark.parametrize(
    ("source", "target", "placement", "scaled", "left", "top"),
    [
        pytest.param((1920, 1080), (640, 640), "centre", (640, 360), 0, 140, id="landscape"),
        pytest.param((1080, 1920), (640, 640), "centre", (360, 640), 140, 0, id="portrait"),
        pytest.param((640, 360), (416, 416), "top_left", (416, 234), 0, 0, id="yolox"),
        pytest.param((640, 360), (352, 352), "stretch", (352, 352), 0, 0, id="stretched"),
        pytest.param((100, 100), (640, 384), "centre", (384, 384), 128, 0, id="enlarged"),
        pytest.param((640, 481), (640, 640), "centre", (640, 481), 0, 79, id="odd padding goes below"),
        pytest.param((4000, 1), (640, 640), "centre", (640, 1), 0, 319, id="never below one pixel"),
        # 333 * 416/500 = 277.06, 500 * 416/333 would round otherwise: YOLOX truncates
        pytest.param((500, 334), (416, 416), "top_left", (416, 277), 0, 0, id="yolox truncates 277.9"),
        pytest.param((500, 334), (416, 416), "centre", (416, 278), 0, 69, id="ultralytics rounds 277.9"),
    ],
)
def test_fit(source, target, placement, scaled, left, top):
    fit = Letterbox.fit(source, target, placement)
    assert (fit.scaled_px, fit.left_px, fit.top_px) == (scaled, left, top)


def test_a_size_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"picture \(0, 5\)"):
        Letterbox.fit((0, 5), (640, 640), "centre")


@given(
    width=sides,
    height=sides,
    target=st.tuples(inputs, inputs),
    placement=st.sampled_from(["centre", "top_left", "stretch"]),
    corners=st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_a_box_comes_back_the_same(width: int, height: int, target, placement: Placement, corners):
    fit = Letterbox.fit((width, height), target, placement)
    x, y = sorted(corners[:2]), sorted(corners[2:])
    box = np.array([[x[0] * width, y[0] * height, x[1] * width, y[1] * height]], np.float32)
    there = fit.to_input(box)
    back = fit.to_source(there)
    # float32 in the input's pixels is good to 1e-7 of its side, magnified by what one input pixel covers
    tolerance = 1e-4 * max(width / fit.scaled_px[0], height / fit.scaled_px[1], 1)
    np.testing.assert_allclose(back, box, atol=tolerance)
    assert (there >= -1e-3).all()
    assert (there <= np.array([*target, *target]) + 1e-3).all()


def test_boxes_in_the_padding_are_clipped_to_the_picture():
    fit = Letterbox.fit((1920, 1080), (640, 640), "centre")
    back = fit.to_source(np.array([[-10, 0, 700, 640]], np.float32))
    np.testing.assert_array_equal(back, [[0, 0, 1920, 1080]])


@pytest.mark.parametrize("placement", ["centre", "top_left", "stretch"])
def test_pixels_lie_where_boxes_say(placement: Placement):
    image = np.zeros((300, 800, 3), np.uint8)
    image[100:200, 400:600] = 255
    fit = Letterbox.fit((800, 300), (416, 320), placement)
    out = fit.apply(image, pad_value=7)
    assert out.shape == (320, 416, 3)
    ys, xs = np.nonzero(out[..., 0] > 128)
    seen = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    np.testing.assert_allclose(seen, fit.to_input(np.array([[400, 100, 600, 200]], np.float32))[0], atol=0.6)
    if placement != "stretch":
        assert (out[-1, -1] == 7).all()


def test_a_picture_of_the_right_size_is_not_copied():
    image = np.zeros((320, 416, 3), np.uint8)
    assert Letterbox.fit((416, 320), (416, 320), "centre").apply(image, 114) is image

"""A look knows the same car again, and knows when the place was left or taken by another."""

from __future__ import annotations

import numpy as np
import pytest
from edge_scenes import Thing, car, frac, picture

from edge.look import Look, Places, blend, decode, encode
from edge.observe import Box

HERE = car(200)
PLACE = frac(HERE.box)


def take(image: np.ndarray, place: Box) -> Look:
    return Places(image).take(place)


def alike(look: Look, image: np.ndarray, place: Box) -> float:
    return Places(image).alike(look, place)


def likeness(then: list[Thing], now: list[Thing], *, gain: float = 1.0) -> float:
    return alike(take(picture(then), PLACE), picture(now, gain=gain, noise_seed=5), PLACE)


@pytest.mark.parametrize("colour", range(1, 7))
@pytest.mark.parametrize("gain", [0.6, 1.0, 1.3])
def test_the_same_car_looks_alike_in_other_light(colour: int, gain: float) -> None:
    assert likeness([car(200, colour=colour)], [car(200, colour=colour)], gain=gain) > 0.7


@pytest.mark.parametrize("shift", [-4, -2, 2, 4])
def test_a_shake_of_the_camera_is_no_change(shift: int) -> None:
    assert likeness([HERE], [car(200 + shift, 200 + shift / 2)]) > 0.7


@pytest.mark.parametrize("colour", range(1, 7))
def test_an_empty_place_does_not_look_like_a_car(colour: int) -> None:
    assert likeness([car(200, colour=colour)], []) < 0.4


@pytest.mark.parametrize(("one", "other"), [(1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 1)])
def test_another_car_looks_different(one: int, other: int) -> None:
    assert likeness([car(200, colour=one)], [car(200, colour=other)]) < 0.45


def test_a_bright_neighbour_does_not_speak_for_the_place() -> None:
    neighbour = car(180, 165, colour=3)
    assert likeness([neighbour, HERE], [neighbour]) < 0.5


def test_a_flat_place_looks_like_nothing_and_is_no_error() -> None:
    flat = np.full((360, 640, 3), 90, np.uint8)
    look = take(flat, PLACE)
    assert np.isfinite(look).all()
    assert alike(look, picture([HERE]), PLACE) < 0.6
    assert np.isfinite(take(flat, (1.2, 1.2, 1.3, 1.3))).all()
    assert np.isfinite(take(flat, (-0.1, -0.1, 0.05, 0.05))).all()


def test_a_look_is_written_down_without_loss() -> None:
    look = take(picture([HERE]), PLACE)
    assert np.array_equal(decode(encode(look)), look)
    mixed = blend(look, take(picture([car(202)]), PLACE), 0.1)
    assert np.array_equal(decode(encode(mixed)), mixed)
    assert len(encode(look)) < 2400


def test_blending_goes_from_old_to_new() -> None:
    old, new = take(picture([HERE]), PLACE), take(picture([car(200, colour=2)]), PLACE)
    assert np.allclose(blend(old, new, 0.0), old)
    assert np.allclose(blend(old, new, 1.0), new)

"""A judgement of a whole picture holds for the next ones, as long as they lie as it did."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge.stillness import AGAIN_S, Stillness

RNG = np.random.default_rng(1)
PLACE = RNG.integers(40, 200, (30, 40), np.uint8).repeat(4, 0).repeat(4, 1)


def grainy(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.clip(picture + RNG.normal(0, 1.2, picture.shape), 0, 255).astype(np.uint8)


def with_car(
    picture: npt.NDArray[np.uint8], rows: slice = slice(60, 90), columns: slice = slice(40, 80)
) -> npt.NDArray[np.uint8]:
    picture = picture.copy()
    picture[rows, columns] = 250
    return picture


@pytest.mark.parametrize(
    ("now", "after_s", "holds"),
    [
        pytest.param(PLACE, 2.0, True, id="grain alone"),
        pytest.param(with_car(PLACE), 2.0, True, id="a car has come"),
        pytest.param(with_car(PLACE, slice(60, 120), slice(0, 160)), 2.0, True, id="a road full of traffic"),
        pytest.param(PLACE, AGAIN_S, False, id="long ago"),
        pytest.param(PLACE, -1.0, False, id="the clock began anew"),
        pytest.param(np.roll(PLACE, 2, axis=1), 2.0, False, id="turned by two pixels"),
        pytest.param(PLACE // 2, 2.0, False, id="dusk all at once"),
        pytest.param(np.zeros_like(PLACE), 2.0, False, id="black"),
        pytest.param(PLACE[::2, ::2], 2.0, False, id="another size"),
    ],
)
def test_a_judgement_holds(now: npt.NDArray[np.uint8], after_s: float, holds: bool) -> None:
    stillness = Stillness()
    stillness.judged(grainy(PLACE), 100.0)
    assert stillness.holds(grainy(now), 100.0 + after_s) is holds


def test_nothing_holds_before_anything_was_judged() -> None:
    assert not Stillness().holds(PLACE, 0.0)

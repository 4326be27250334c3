from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streams.frame import Frame
from streams.freeze import FreezePolicy, FreezeState, FreezeVerdict, advance, sample_luma
from streams.modes import KEYFRAMES
from streams.sources import open_replay

POLICY = FreezePolicy()
Image = npt.NDArray[np.uint8]


def street(level: int = 120) -> Image:
    """A picture with structure around a mean level."""
    rng = np.random.default_rng(7)
    return np.clip(rng.normal(level, level / 4, (360, 640, 3)), 0, 255).astype(np.uint8)


def frame(image: Image, at_s: float) -> Frame:
    return Frame(image.copy(), datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=at_s), at_s, 0)


def watch(pictures: list[tuple[float, Image]], policy: FreezePolicy = POLICY) -> FreezeState:
    state = None
    for at_s, image in pictures:
        state = advance(state, sample_luma(frame(image, at_s)), policy)
    assert state is not None
    return state


def grain(image: Image, index: int, levels: int) -> Image:
    rng = np.random.default_rng(index)
    noise = rng.integers(-levels, levels + 1, image.shape)
    return np.clip(image.astype(int) + noise, 0, 255).astype(np.uint8)


def repeated(image: Image, seconds: int, step_s: int = 2, levels: int = 0) -> list[tuple[float, Image]]:
    return [(float(s), grain(image, s, levels)) for s in range(0, seconds + 1, step_s)]


def with_clock(image: Image, second: int) -> Image:
    """Draw the digit of a clock, 8 by 12 px, in a corner."""
    marked = image.copy()
    marked[10:22, 600 + 2 * (second % 4) : 608 + 2 * (second % 4)] = 255
    return marked


@pytest.mark.parametrize(
    ("pictures", "verdict"),
    [
        (repeated(street(), 30), FreezeVerdict.FROZEN),
        (repeated(street(), 28), FreezeVerdict.MOVING),
        ([(0.0, street()), (40.0, street())], FreezeVerdict.MOVING),
        (repeated(street(), 400, levels=8), FreezeVerdict.MOVING),
        ([(float(s), with_clock(street(), s)) for s in range(0, 400, 5)], FreezeVerdict.MOVING),
        (repeated(street(10), 60), FreezeVerdict.UNSURE),
        (repeated(np.full((360, 640, 3), 128, np.uint8), 60), FreezeVerdict.UNSURE),
        ([*repeated(street(), 60), (62.0, grain(street(), 1, 9))], FreezeVerdict.MOVING),
        ([*repeated(street(), 60), (62.0, street()[:180])], FreezeVerdict.MOVING),
        ([*repeated(street(), 60), (5.0, street())], FreezeVerdict.MOVING),
    ],
    ids=[
        "equal for 30 s",
        "not yet",
        "too few pictures",
        "noise of a sensor",
        "a running clock",
        "dark",
        "one grey",
        "alive again",
        "another size",
        "time went back",
    ],
)
def test_a_frozen_picture_is_told_from_a_quiet_one(
    pictures: list[tuple[float, Image]], verdict: FreezeVerdict
) -> None:
    assert watch(pictures).verdict is verdict


@pytest.mark.parametrize(
    ("level", "seconds", "verdict"),
    [
        (120, 290, FreezeVerdict.MOVING),
        (120, 300, FreezeVerdict.FROZEN),
        (50, 300, FreezeVerdict.UNSURE),
    ],
    ids=["not yet", "by day", "a denoised camera on a quiet night"],
)
def test_nearly_equal_pictures_need_longer_and_light(
    level: int, seconds: int, verdict: FreezeVerdict
) -> None:
    pictures = []
    for second in range(0, seconds + 1, 5):
        image = street(level).astype(int)
        image[second % 40 :: 40, ::9] += 1  # as an encoder leaves a repeated picture: never quite the same
        pictures.append((float(second), np.clip(image, 0, 255).astype(np.uint8)))
    assert watch(pictures).verdict is verdict


def test_how_long_it_has_been_still_is_told() -> None:
    assert watch(repeated(street(), 44)).still_s == 44


def test_a_real_street_with_parked_cars_is_never_called_frozen(shared_data: Path) -> None:
    state = None
    policy = FreezePolicy(equal_s=4.0, near_s=8.0)
    for picture in open_replay(shared_data / "clips" / "street_parking.mp4", decode=KEYFRAMES):
        state = advance(state, sample_luma(picture), policy)
        assert state.verdict is FreezeVerdict.MOVING

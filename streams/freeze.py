"""Judging from successive frames whether a camera shows the same picture again and again.

Packets come, pictures decode, times advance, and yet nothing new is seen: a hung encoder or a recorder
that repeats its last picture. A live sensor betrays itself by noise and, mostly, by a running clock in
the picture. What does not betray itself is a denoised camera at night whose black is clipped, so a
dark or flat picture is never called frozen, only unsure. The limits are our own judgement, checked on
the clips beside this project; no standard gives them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from streams.frame import Frame

# weights of R, G, B in luma, ITU-R BT.601, in 1/256
_RED, _GREEN, _BLUE = 77, 150, 29


class FreezeVerdict(StrEnum):
    """What can be said of the picture."""

    MOVING = "moving"
    """Something has changed lately."""
    FROZEN = "frozen"
    """Nothing has changed for so long that the picture is not live."""
    UNSURE = "unsure"
    """Nothing has changed, but the picture is too dark or too flat to tell."""


@dataclass(frozen=True, slots=True)
class FreezePolicy:
    """When a picture counts as frozen.

    Attributes:
        equal_s: so long exactly equal.
        near_s: so long nearly equal (a frozen picture that is encoded anew each time).
        pictures: at least so many pictures in that time.
        near_max_levels: nearly equal means that no sample differs by more grey levels than this,
        near_mean_levels: and that on average they differ by no more than this.
        dark_levels: below this mean luma a picture is too dark to tell.
        near_dark_levels: the same for nearly equal pictures, where a quiet night would pass for frozen.
        flat_levels: below this standard deviation of luma a picture is too flat to tell.

    """

    equal_s: float = 30.0
    near_s: float = 300.0
    pictures: int = 4
    near_max_levels: int = 3
    near_mean_levels: float = 0.25
    dark_levels: float = 20.0
    near_dark_levels: float = 60.0
    flat_levels: float = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class LumaSample:
    """Luma of a fixed grid of pixels, uint8, shape (rows, columns), of one instant (monotonic s)."""

    monotonic_s: float
    luma: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class FreezeState:
    """What is remembered between frames: the pictures with which the present stillness began."""

    equal_to: LumaSample
    equal_pictures: int
    near_to: LumaSample
    near_pictures: int
    still_s: float
    verdict: FreezeVerdict


def sample_luma(frame: Frame) -> LumaSample:
    """Take single pixels on a grid, not averages: averaging would remove the noise that shows life."""
    pixels = frame.thinned.astype(np.uint16)
    luma = (pixels[..., 0] * _BLUE + pixels[..., 1] * _GREEN + pixels[..., 2] * _RED) >> 8
    return LumaSample(frame.monotonic_s, luma.astype(np.uint8))


def advance(state: FreezeState | None, sample: LumaSample, policy: FreezePolicy) -> FreezeState:
    """Return the state after one more picture; its ``verdict`` is the answer. Pure.

    Start with None. A picture of another size, or a time that goes back, starts anew.
    """
    if state is None or sample.luma.shape != state.equal_to.luma.shape:
        return FreezeState(sample, 1, sample, 1, 0.0, FreezeVerdict.MOVING)
    equal_to, equal_pictures = state.equal_to, state.equal_pictures + 1
    if sample.monotonic_s < equal_to.monotonic_s or not np.array_equal(sample.luma, equal_to.luma):
        equal_to, equal_pictures = sample, 1
    near_to, near_pictures = state.near_to, state.near_pictures + 1
    if sample.monotonic_s < near_to.monotonic_s or not _nearly_equal(sample, near_to, policy):
        near_to, near_pictures = sample, 1
    equal_s = sample.monotonic_s - equal_to.monotonic_s
    near_s = sample.monotonic_s - near_to.monotonic_s
    mean, deviation = float(sample.luma.mean()), float(sample.luma.std())
    if equal_s >= policy.equal_s and equal_pictures >= policy.pictures:
        blind = mean < policy.dark_levels or deviation < policy.flat_levels
        verdict = FreezeVerdict.UNSURE if blind else FreezeVerdict.FROZEN
    elif near_s >= policy.near_s and near_pictures >= policy.pictures:
        blind = mean < policy.near_dark_levels or deviation < policy.flat_levels
        verdict = FreezeVerdict.UNSURE if blind else FreezeVerdict.FROZEN
    else:
        verdict = FreezeVerdict.MOVING
    return FreezeState(equal_to, equal_pictures, near_to, near_pictures, near_s, verdict)


def _nearly_equal(sample: LumaSample, other: LumaSample, policy: FreezePolicy) -> bool:
    difference = np.abs(sample.luma.astype(np.int16) - other.luma.astype(np.int16))
    return bool(difference.max() <= policy.near_max_levels and difference.mean() <= policy.near_mean_levels)

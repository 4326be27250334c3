"""The size of a vehicle by its row is learnt from what passes, and from nothing that stays."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge.observe import Box
from edge.rules.sizes import SizeByRow


def vehicle(row: float, x: float, scale: float = 1.0) -> Box:
    side = scale * 0.3 * (row - 0.2)
    return (x, row - side, x + side, row)


def learnt() -> SizeByRow:
    sizes, rng = SizeByRow(), np.random.default_rng(0)
    for _ in range(60):
        sizes.learn([vehicle(float(rng.uniform(0.3, 1.0)), float(rng.uniform(0, 0.8))) for _ in range(2)])
    return sizes


@pytest.mark.parametrize(
    ("scale", "plausible"), [(1.0, True), (0.5, True), (0.3, False), (0.1, False), (2.0, True)]
)
@pytest.mark.parametrize("row", [0.35, 0.6, 0.95])
def test_what_is_far_too_small_for_its_row_is_not_plausible(
    row: float, scale: float, *, plausible: bool
) -> None:
    assert learnt().is_plausible(vehicle(row, 0.4, scale)) == plausible


def test_before_enough_has_passed_everything_is_plausible() -> None:
    assert SizeByRow().is_plausible((0.1, 0.1, 0.101, 0.101))


def test_what_stays_teaches_nothing() -> None:
    sizes = SizeByRow()
    for _ in range(200):
        sizes.learn([(0.5, 0.5, 0.52, 0.52)])
    assert len(sizes.dump()["samples"]) == 1


def test_it_goes_on_after_being_written_down() -> None:
    before, after = learnt(), SizeByRow()
    after.load(json.loads(json.dumps(before.dump())))
    assert after.dump() == before.dump()
    assert not after.is_plausible(vehicle(0.6, 0.4, 0.2))

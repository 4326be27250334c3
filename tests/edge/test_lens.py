"""What turns with the head is on the lens: several presets show it at the same place of the picture."""

from __future__ import annotations

import numpy as np
import pytest

from edge.lens import Cells, LensMemory

DROP = (slice(10, 14), slice(20, 26))
AROUND = (slice(5, 19), slice(14, 32))


def new(*places: tuple[slice, slice]) -> Cells:
    cells = np.zeros((45, 80), np.bool_)
    for place in places:
        cells[place] = True
    return cells


def lens(*visits: tuple[str, float, Cells]) -> LensMemory:
    memory = LensMemory()
    for preset, at_s, seen in visits:
        memory.note(preset, at_s, seen)
    return memory


ELSEWHERE = new((slice(30, 34), slice(20, 26)))
EVERYWHERE = np.ones((45, 80), np.bool_)


@pytest.mark.parametrize(
    ("others", "on_lens"),
    [
        pytest.param([("b", 0, new(DROP)), ("c", 15, new(DROP))], True, id="two others show it"),
        pytest.param([("b", 0, new(DROP)), ("a", 15, new(DROP))], False, id="one other, and the view itself"),
        pytest.param([("b", 0, new(DROP)), ("c", 15, ELSEWHERE)], False, id="smoke elsewhere in another"),
        pytest.param(
            [("b", 0, new(DROP)), ("c", 15, new(DROP)), *[(str(one), 20, ELSEWHERE) for one in range(6)]],
            False,
            id="two of eight: fires at the same height",
        ),
        pytest.param([("b", 0, EVERYWHERE), ("c", 15, EVERYWHERE)], False, id="weather in the others"),
        pytest.param([("b", -4000, new(DROP)), ("c", -4000, new(DROP))], False, id="an hour ago"),
        pytest.param([], False, id="a camera that does not turn"),
    ],
)
def test_a_change_is_on_the_lens_where_two_other_presets_show_it(
    others: list[tuple[str, float, Cells]], *, on_lens: bool
) -> None:
    assert lens(*others).shows("a", 30, new(DROP), DROP, AROUND) is on_lens


def test_nothing_new_is_nowhere() -> None:
    assert not lens(("b", 0, new(DROP)), ("c", 15, new(DROP))).shows("a", 30, new(), DROP, AROUND)

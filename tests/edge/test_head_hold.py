"""A head is held once for a candidate, for a bounded time, and rests between holds."""

from __future__ import annotations

import pytest

from edge.head_hold import HOLD_S, REST_S, HeadHold


@pytest.mark.parametrize(
    ("looks", "held"),
    [
        pytest.param([(0, ["a"]), (10, ["a"]), (70, ["a"])], [True] * 3, id="while it waits"),
        pytest.param([(0, ["a"]), (5, [])], [True, False], id="until it is confirmed, or is none"),
        pytest.param(
            [(0, ["a"]), (HOLD_S, ["a"]), (900, ["a"])], [True, False, False], id="once, and not for ever"
        ),
        pytest.param([(0, ["a"]), (5, []), (60, ["b"])], [True, False, False], id="no other soon after"),
        pytest.param(
            [(0, ["a"]), (5, []), (6 + REST_S, ["a", "b"])], [True, False, True], id="another later"
        ),
        pytest.param(
            [(0, ["a"]), (400, []), (500, ["b"])], [True, False, False], id="rest counts from the end"
        ),
        pytest.param([(0, []), (5, [])], [False, False], id="nothing waits"),
    ],
)
def test_a_head_is_held_for_what_waits(looks: list[tuple[float, list[str]]], held: list[bool]) -> None:
    hold = HeadHold()
    assert [hold.until_s(waiting, now_s) is not None for now_s, waiting in looks] == held


def test_it_says_until_when() -> None:
    hold = HeadHold()
    assert [hold.until_s(["a"], now_s) for now_s in (100.0, 120.0)] == [100.0 + HOLD_S] * 2

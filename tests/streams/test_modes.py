from __future__ import annotations

import pytest

from streams.modes import FULL, KEYFRAMES, DecodeMode, every


@pytest.mark.parametrize(
    ("written", "mode"),
    [("keyframes", KEYFRAMES), ("full", FULL), ({"every": 5}, every(5)), (FULL, FULL)],
    ids=["keyframes", "full", "every", "already a mode"],
)
def test_a_mode_is_read_as_a_configuration_spells_it(written: object, mode: DecodeMode) -> None:
    assert DecodeMode.parse(written) == mode


@pytest.mark.parametrize(
    "written",
    ["all", 3, None, {"every": "5"}, {"every": True}, {"each": 5}, {"every": 0}, {"every": 1, "x": 2}],
    ids=str,
)
def test_anything_else_is_refused_with_what_would_be_right(written: object) -> None:
    with pytest.raises(ValueError, match=r"every"):
        DecodeMode.parse(written)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="sometimes"):
        DecodeMode("sometimes")  # type: ignore[arg-type]


def test_a_mode_prints_as_it_is_written() -> None:
    assert [str(mode) for mode in (KEYFRAMES, FULL, every(3))] == ["keyframes", "full", "every: 3"]

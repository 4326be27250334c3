"""When a reader rests: it lets packets pile up, and is awake when a key frame is due."""

from __future__ import annotations

import pytest

from streams.reader import PILE_S, KeyRhythm


@pytest.mark.parametrize(
    ("keys_s", "now_s", "rest_s"),
    [
        pytest.param((), 1.0, PILE_S, id="no key frame yet"),
        pytest.param((0.0,), 1.9, PILE_S, id="no rhythm yet"),
        pytest.param((0.0, 2.0), 2.1, PILE_S, id="long before the next"),
        pytest.param((0.0, 2.0), 3.95, 0.05, id="shortly before the next"),
        pytest.param((0.0, 2.0), 4.02, 0.0, id="it is a little late"),
        pytest.param((0.0, 2.0), 4.5, PILE_S, id="it does not come"),
        pytest.param((0.0, 0.04, 0.08), 0.1, PILE_S, id="every picture is one"),
        pytest.param((0.0, 2.0, 2.1), 4.0, PILE_S, id="one out of turn"),
    ],
)
def test_a_reader_rests_until_the_next_key_frame_is_due(
    keys_s: tuple[float, ...], now_s: float, rest_s: float
) -> None:
    rhythm = KeyRhythm()
    for at_s in keys_s:
        rhythm.came(at_s)
    assert rhythm.rest_s(now_s) == pytest.approx(rest_s)

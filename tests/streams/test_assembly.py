"""Pictures that arrive in pieces are put together; whole ones are not held back."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest

from streams.assembly import whole_pictures
from streams.packets import Stamp
from towerwatch.timebase import utc_now


def packet(pts: int | None, data: bytes, *, key: bool = False) -> av.Packet:
    made = av.Packet(data)
    made.pts = made.dts = pts
    made.time_base = Fraction(1, 90_000)
    made.is_keyframe = key
    return made


def told(packets: list[av.Packet]) -> list[tuple[int | None, bytes, bool]]:
    return [(p.pts, bytes(p), p.is_keyframe) for p, _stamp in whole_pictures(packets)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param([(0, b"a"), (1, b"b"), (2, b"c")], [(0, b"a"), (1, b"b"), (2, b"c")], id="whole"),
        pytest.param(
            [(0, b"a"), (1, b"b"), (1, b"B"), (2, b"c"), (2, b"C"), (2, b"+"), (3, b"d")],
            [(0, b"a"), (1, b"b"), (2, b"cC+"), (3, b"d")],
            id="in-pieces-from-the-second-picture-on",
        ),
        pytest.param([(None, b"a"), (None, b"b")], [(None, b"a"), (None, b"b")], id="no-time-stamps"),
        pytest.param([], [], id="nothing"),
    ],
)
def test_pieces_of_one_time_stamp_are_one_picture(given, expected) -> None:
    got = told([packet(pts, data) for pts, data in given])
    assert [(pts, data) for pts, data, _key in got] == expected


def test_a_picture_with_a_key_piece_is_a_key_picture() -> None:
    pieces = [packet(0, b"x"), packet(0, b"y"), packet(1, b"a", key=True), packet(1, b"b"), packet(2, b"c")]
    assert [key for _pts, _data, key in told(pieces)] == [False, True, False]


def test_a_whole_picture_comes_out_before_the_next_one_arrives() -> None:
    arrived = []

    def live():
        for pts in range(3):
            arrived.append(pts)
            yield packet(pts, b"x")

    for whole, _stamp in whole_pictures(live()):
        assert arrived[-1] == whole.pts


def test_the_time_is_that_of_the_first_piece() -> None:
    pieces = [packet(0, b"x"), packet(0, b"y"), packet(1, b"a"), packet(1, b"b"), packet(2, b"c")]
    stamps = [stamp.monotonic_s for _packet, stamp in whole_pictures(pieces)]
    assert stamps == sorted(stamps)


def test_what_a_parser_held_back_arrived_when_the_picture_before_came_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([0.0, 10.0, 11.0, 12.0])  # the first is asked for before anything is there
    monkeypatch.setattr(Stamp, "now", lambda: Stamp(utc_now(), next(clock)))
    given = [packet(pts, b"x") for pts in range(3)]
    assert [stamp.monotonic_s for _packet, stamp in whole_pictures(given, parsed=True)] == [10.0, 10.0, 11.0]

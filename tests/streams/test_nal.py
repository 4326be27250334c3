from __future__ import annotations

import pytest

from streams.nal import is_annex_b, parameter_sets, split_annex_b

START = b"\x00\x00\x00\x01"
SHORT = b"\x00\x00\x01"
SPS, PPS, SEI, IDR = b"\x67\x64\x00\x1f", b"\x68\xee\x3c", b"\x06\x05\x01", b"\x65\x88\x84"
VPS5, SPS5, PPS5, IDR5 = b"\x40\x01\x0c", b"\x42\x01\x01", b"\x44\x01\xc1", b"\x26\x01\xaf"


@pytest.mark.parametrize(
    ("codec", "data", "sets"),
    [
        ("h264", START + SPS + SHORT + PPS + START + SEI + SHORT + IDR, START + SPS + START + PPS),
        ("h264", START + IDR + START + SPS, b""),
        (
            "hevc",
            START + VPS5 + START + SPS5 + SHORT + PPS5 + START + IDR5,
            START + VPS5 + START + SPS5 + START + PPS5,
        ),
        ("mjpeg", b"\xff\xd8\xff" + START + SPS, b""),
        ("h264", b"", b""),
        ("h264", START, b""),
    ],
    ids=["h264", "after the slice they count no more", "hevc", "other codec", "empty", "start code alone"],
)
def test_parameter_sets_are_found_before_the_first_slice(codec: str, data: bytes, sets: bytes) -> None:
    assert parameter_sets(codec, data) == sets


def test_units_are_split_at_start_codes_of_both_lengths() -> None:
    assert split_annex_b(START + SPS + SHORT + PPS + START + IDR) == [SPS, PPS, IDR]
    assert split_annex_b(b"") == []


@pytest.mark.parametrize(
    ("data", "annex_b"),
    [(START + SPS, True), (SHORT + SPS, True), (b"\x01\x64\x00", False), (b"", False)],
    ids=str,
)
def test_annex_b_is_told_from_lengths(data: bytes, annex_b: bool) -> None:
    assert is_annex_b(data) is annex_b

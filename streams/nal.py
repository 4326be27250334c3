"""The little that must be known of H.264 and H.265 byte streams: their parameter sets.

NAL unit types from ITU-T H.264 table 7-1 (SPS 7, PPS 8) and H.265 table 7-1 (VPS, SPS, PPS 32 to 34).
"""

from __future__ import annotations

_START = b"\x00\x00\x01"
_H264_SETS = frozenset({7, 8})
_H264_LAST_SLICE = 5
_H265_SETS = frozenset({32, 33, 34})
_H265_LAST_SLICE = 31


def is_annex_b(data: bytes) -> bool:
    """Whether the data begin with a start code and not with a length."""
    return data.startswith((_START, b"\x00" + _START))


def split_annex_b(data: bytes) -> list[bytes]:
    """Return the NAL units of an Annex B access unit, without start codes."""
    units = []
    at = data.find(_START)
    while at >= 0:
        after = data.find(_START, at + 3)
        unit = data[at + 3 : after if after >= 0 else len(data)].rstrip(b"\x00")
        if unit:
            units.append(unit)
        at = after
    return units


def parameter_sets(codec: str, data: bytes) -> bytes:
    """Return the parameter sets before the first slice of an Annex B access unit, start codes included.

    Empty where there are none, or where ``codec`` (FFmpeg's name) has none.
    """
    if codec not in {"h264", "hevc"}:
        return b""
    found = []
    at = data.find(_START)
    while 0 <= at < len(data) - 3:
        kind = data[at + 3] & 0x1F if codec == "h264" else (data[at + 3] >> 1) & 0x3F
        if _is_slice(codec, kind):
            break
        after = data.find(_START, at + 3)
        if kind in (_H264_SETS if codec == "h264" else _H265_SETS):
            unit = data[at + 3 : after if after >= 0 else len(data)]
            found.append(b"\x00" + _START + unit.rstrip(b"\x00"))
        at = after
    return b"".join(found)


def _is_slice(codec: str, kind: int) -> bool:
    return 1 <= kind <= _H264_LAST_SLICE if codec == "h264" else kind <= _H265_LAST_SLICE

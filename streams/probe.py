"""Measuring a source: codec, size, frame rate, key-frame interval, bit rate, and a snapshot."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from streams.decode import PictureDecoder
from streams.errors import StreamGarbage
from streams.frame import Picture
from streams.modes import KEYFRAMES
from streams.opening import Source, opened, packets_of
from streams.packets import Stamp
from streams.pictures import to_bgr

_PATIENCE = 3  # a key frame interval is waited for so many times longer than was asked


@dataclass(frozen=True, slots=True)
class Probe:
    """What was measured.

    ``frame_rate_hz``, ``bit_rate_bps`` over ``measured_s`` of the source's own time;
    ``key_interval_s`` None where fewer than two key frames came; ``connect_s`` until packets came.
    """

    source: str
    codec: str
    width_px: int
    height_px: int
    pixel_format: str
    b_frames: bool
    frame_rate_hz: float
    key_interval_s: float | None
    bit_rate_bps: int
    measured_s: float
    packets: int
    connect_s: float


@dataclass(frozen=True, slots=True)
class _Seen:
    """One packet: time in s (None where the stream gives none), arrival, size, kind."""

    at_s: float | None
    arrived_s: float
    size_bytes: int
    is_key: bool


def probe(
    source: Source, seconds: float = 6.0, on_progress: Callable[[float], None] | None = None
) -> tuple[Probe, Picture]:
    """Read a source for about ``seconds`` and return what was measured and its last key picture.

    A live stream whose key frames are farther apart is read up to three times as long. A file is
    read as fast as it goes. ``on_progress`` is given the fraction done.

    Raises:
        StreamError: it cannot be opened, breaks, or shows no picture.

    """
    began_s = time.monotonic()
    with opened(source) as (container, stream):
        connect_s = time.monotonic() - began_s
        decoder = PictureDecoder(stream.codec_context)
        seen: list[_Seen] = []
        picture, keys, began_s = None, 0, time.monotonic()
        for packet in packets_of(container, stream, source):
            stamp = Stamp.now()
            ticks = packet.pts if packet.pts is not None else packet.dts
            at_s = float(ticks * packet.time_base) if ticks is not None else None
            seen.append(_Seen(at_s, stamp.monotonic_s - began_s, packet.size, packet.is_keyframe))
            decoded = decoder.feed(packet, stamp, KEYFRAMES)
            picture = decoded[-1].picture if decoded else picture
            keys += packet.is_keyframe and at_s is not None
            passed_s = seen[-1].arrived_s if source.is_live else _length_s(seen)
            if on_progress is not None:
                on_progress(min(1.0, passed_s / seconds))
            if passed_s >= seconds and (keys > 1 or passed_s >= _PATIENCE * seconds):
                break
        if picture is None:
            msg = f"{source.shown}: {len(seen)} packets came, but no picture could be decoded from them"
            raise StreamGarbage(msg)
        codec = stream.codec_context
        measured = _measure(seen)
        result = Probe(
            source=source.shown,
            codec=codec.name,
            width_px=picture.width,
            height_px=picture.height,
            pixel_format=codec.pix_fmt or "",
            b_frames=_reordered(seen),
            frame_rate_hz=measured.frame_rate_hz,
            key_interval_s=_key_interval_s(seen),
            bit_rate_bps=measured.bit_rate_bps,
            measured_s=round(measured.length_s, 3),
            packets=len(seen),
            connect_s=round(connect_s, 3),
        )
        return result, to_bgr(picture)


@dataclass(frozen=True, slots=True)
class _Measured:
    frame_rate_hz: float
    bit_rate_bps: int
    length_s: float


def _measure(seen: Sequence[_Seen]) -> _Measured:
    timed = [packet for packet in seen if packet.at_s is not None]
    times = sorted({packet.at_s for packet in timed if packet.at_s is not None})
    if len(times) < 2:
        length_s = seen[-1].arrived_s if seen else 0.0
        size = sum(packet.size_bytes for packet in seen[1:])
        rate = (len(seen) - 1) / length_s if length_s > 0 else 0.0
        return _Measured(round(rate, 3), round(size * 8 / length_s) if length_s > 0 else 0, length_s)
    rate = (len(times) - 1) / (times[-1] - times[0])
    length_s = len(times) / rate
    size = sum(packet.size_bytes for packet in timed)
    return _Measured(round(rate, 3), round(size * 8 / length_s), length_s)


def _length_s(seen: Sequence[_Seen]) -> float:
    times = [packet.at_s for packet in (seen[0], seen[-1]) if packet.at_s is not None]
    return max(0.0, times[-1] - times[0]) if times else 0.0


def _key_interval_s(seen: Sequence[_Seen]) -> float | None:
    keys = [packet for packet in seen if packet.is_key]
    times = [packet.at_s for packet in keys if packet.at_s is not None]
    if len(times) < 2:
        times = [packet.arrived_s for packet in keys]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    return round(statistics.median(gaps), 3) if gaps else None


def _reordered(seen: Sequence[_Seen]) -> bool:
    """Whether pictures are shown in another order than they are sent: then there are B-frames."""
    times = [packet.at_s for packet in seen if packet.at_s is not None]
    return any(0 < earlier - later < 1 for earlier, later in pairwise(times))

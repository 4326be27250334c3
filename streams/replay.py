"""Replaying a video file as fast as it decodes, with the file's own times.

Deterministic: the same file and options give the same frames and times, however fast it runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from streams.decode import Decoded, PictureDecoder, Sampler
from streams.errors import StreamError, StreamGarbage
from streams.frame import Frame
from streams.modes import KEYFRAMES, DecodeMode
from streams.opening import Source, opened, packets_of
from streams.packets import Packet, Stamp
from towerwatch.logs import get_logger
from towerwatch.timebase import parse_utc, to_utc

_log = get_logger(__name__)

FIXED_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Start of a video that knows no time of its own, so that replays are repeatable."""
_TRUNCATED_S = 2.0  # so much shorter than its container promises, a file was cut off


@dataclass(slots=True)
class ReplayCounts:
    """What a replay met; pass one in to read it afterwards.

    ``frames`` handed out. ``broken``: pictures of a folder that could not be read, or packets of a
    video that could not be decoded. ``truncated``: the file ended in the middle.
    """

    frames: int = 0
    broken: int = 0
    truncated: bool = False


def video_start(path: Path, start_at: datetime | None, creation_time: str | None) -> datetime:
    """Choose when a video starts: as told, as its container says, else 2000-01-01T00:00Z."""
    if start_at is not None:
        return to_utc(start_at)
    if creation_time:
        try:
            return parse_utc(creation_time)
        except ValueError:
            _log.warning("creation time not understood", file=str(path), value=creation_time)
    return FIXED_EPOCH


class MediaClock:
    """Reads the time stamps of a file as seconds since its first packet."""

    def __init__(self) -> None:
        self._first_s: float | None = None
        self.now_s = 0.0

    def seconds(self, packet: Packet) -> float:
        """Return the packet's time in s since the first; the last one's where it has none."""
        return self._read(packet, packet.pts if packet.pts is not None else packet.dts)

    def decoding_seconds(self, packet: Packet) -> float:
        """Return the time in s at which the packet must be decoded, since the first."""
        return self._read(packet, packet.dts if packet.dts is not None else packet.pts)

    def _read(self, packet: Packet, ticks: int | None) -> float:
        if ticks is not None and packet.time_base is not None:
            media_s = float(ticks * packet.time_base)
            if self._first_s is None:
                self._first_s = media_s
            self.now_s = media_s - self._first_s
        return self.now_s


def replay_video(
    path: Path,
    *,
    decode: DecodeMode = KEYFRAMES,
    interval_s: float = 0.0,
    start_at: datetime | None = None,
    counts: ReplayCounts | None = None,
) -> Iterator[Frame]:
    """Yield the frames of a video file as fast as they decode.

    The first frame has the file's start time (see :func:`video_start`), the others follow by the
    file's own time stamps. A file that ends in the middle ends the replay with what could be read.

    Raises:
        StreamError: the file is missing, or no picture can be decoded from it.

    """
    counts = counts if counts is not None else ReplayCounts()
    with opened(Source(str(path))) as (container, stream):
        start = video_start(path, start_at, container.metadata.get("creation_time"))
        decoder = PictureDecoder(stream.codec_context, interval_s=interval_s)
        sampler = Sampler(0.0 if decode.kind == "keyframes" else interval_s)
        for decoded in _pictures(_cut_off(path, container, stream, counts), decoder, decode, start):
            if sampler.admit(decoded.stamp.monotonic_s):
                counts.frames += 1
                yield replace(decoded, index=counts.frames - 1).to_frame()
        counts.broken += decoder.errors
        if counts.frames == 0:
            msg = f"{path}: no picture could be decoded from it"
            raise StreamGarbage(msg)


def _pictures(
    packets: Iterable[tuple[Packet, float]], decoder: PictureDecoder, decode: DecodeMode, start: datetime
) -> Iterator[Decoded]:
    for packet, at_s in packets:
        yield from decoder.feed(packet, Stamp(start + timedelta(seconds=at_s), at_s), decode)
    yield from decoder.drain()


def _cut_off(
    path: Path, container: InputContainer, stream: VideoStream, counts: ReplayCounts
) -> Iterator[tuple[Packet, float]]:
    """Yield packets with their seconds, and note whether the file ended before its own promise."""
    clock, latest_s = MediaClock(), 0.0
    try:
        for packet in packets_of(container, stream, Source(str(path))):
            at_s = clock.seconds(packet)
            latest_s = max(latest_s, at_s)
            yield packet, at_s
    except StreamError as error:
        counts.truncated = True
        _log.warning("file ends in the middle", file=str(path), after_s=round(latest_s, 1), error=str(error))
        return
    promised_s = _promised_s(container, stream)
    if promised_s is not None and promised_s - latest_s > max(_TRUNCATED_S, 0.02 * promised_s):
        counts.truncated = True
        _log.warning("file ends in the middle", file=str(path), after_s=round(latest_s, 1), of_s=promised_s)


def _promised_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None

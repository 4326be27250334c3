"""Reading one connection from beginning to end, in the thread of its camera."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import av
from av.bitstream import BitStreamFilterContext
from av.video.stream import VideoStream

from streams.assembly import PARSED_OVER_RTP, whole_pictures
from streams.decode import Decoded, PictureDecoder
from streams.errors import StreamGarbage
from streams.folder import replay_folder
from streams.frame import Frame
from streams.modes import NOTHING, DecodeMode
from streams.nal import is_annex_b
from streams.opening import Source, opened, packets_of
from streams.packets import Packet, Stamp
from streams.replay import MediaClock

_GARBAGE_ERRORS = 3  # one broken key frame is a bad line, three without a good one between are garbage
PILE_S = 0.2
_WAITED_S = 1e-3  # a packet that is there already comes in a tenth of that
_SELDOM_S = 2 * PILE_S  # key frames that come more often pile up as all packets do
_LATE_S = 0.1
_PATIENT = frozenset({"keyframes", "none"})
_TO_ANNEX_B = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}


class Sink(ABC):
    """Where a reader takes its orders from and reports to."""

    @property
    @abstractmethod
    def mode(self) -> DecodeMode:
        """The decode mode that is wanted now."""

    @property
    @abstractmethod
    def wanted_from_s(self) -> float:
        """When the next key frame is wanted, on the monotonic clock; earlier ones need not be decoded."""

    @abstractmethod
    def pause(self, seconds: float) -> bool:
        """Wait; tell whether to stop."""

    @abstractmethod
    def on_connected(self, codec: str, extradata: bytes, width_px: int, height_px: int) -> None:
        """Note that a connection stands."""

    @abstractmethod
    def on_packet(self, packet: Packet, stamp: Stamp) -> None:
        """Take a packet (H.264 and H.265 in Annex B form)."""

    @abstractmethod
    def on_picture(self, picture: Decoded | Frame) -> None:
        """Take a decoded picture."""

    @abstractmethod
    def on_skipped(self) -> None:
        """Count a key frame that was not decoded."""

    @abstractmethod
    def on_decode_error(self) -> None:
        """Count a packet that gave no picture."""


def read_video(source: Source, sink: Sink, interval_s: float, garbage_after_s: float) -> None:
    """Read a stream or a file until it ends or the sink says stop; a file is paced in real time.

    Raises:
        StreamError: the stream could not be opened or broke, or nothing in it can be decoded.

    """
    with opened(source) as (container, stream):
        codec = stream.codec_context
        framing = Framing(stream)
        decoder = PictureDecoder(codec, interval_s=interval_s)
        judge = _GarbageJudge(source, decoder, garbage_after_s)
        sink.on_connected(codec.name, framing.extradata, codec.width, codec.height)
        packets = packets_of(container, stream, source)
        if not source.is_live:
            packets = _in_real_time(packets, sink)
        packets = _piled_up(packets, sink)
        for packet, stamp in whole_pictures(packets, parsed=source.is_rtsp and codec.name in PARSED_OVER_RTP):
            if sink.pause(0):
                return
            for kept in framing.annex_b(packet):
                sink.on_packet(kept, stamp)
            if sink.mode == NOTHING:
                continue
            errors, skipped = decoder.errors, decoder.skipped
            pictures = decoder.feed(packet, stamp, sink.mode, from_s=sink.wanted_from_s)
            if decoder.skipped > skipped:
                sink.on_skipped()
            for _ in range(decoder.errors - errors):
                sink.on_decode_error()
            for picture in pictures:
                sink.on_picture(picture)
            judge.look(stamp)
        for picture in decoder.drain():
            sink.on_picture(picture)


class Framing:
    """Gives the packets of a stream in Annex B form, whatever its container uses."""

    def __init__(self, stream: VideoStream) -> None:
        codec = stream.codec_context
        extradata = bytes(codec.extradata or b"")
        filter_name = _TO_ANNEX_B.get(codec.name)
        self._filter: BitStreamFilterContext | None = None
        if filter_name and extradata and not is_annex_b(extradata):
            self._filter = BitStreamFilterContext(filter_name, in_stream=stream)
            extradata = b""  # the filter puts the parameter sets in band
        self.extradata = extradata

    def annex_b(self, packet: Packet) -> list[Packet]:
        """Return the packet as one or more packets in Annex B form, leaving it untouched."""
        if self._filter is None:
            return [packet]
        return self._filter.filter(_copy_of(packet))


def _copy_of(packet: Packet) -> Packet:
    """Copy a packet, because a filter consumes what it is given."""
    copy = cast("Packet", av.Packet(bytes(packet)))
    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
    copy.time_base = packet.time_base
    copy.is_keyframe = packet.is_keyframe
    return copy


class _GarbageJudge:
    """Decides that what comes is no video: packets, but no picture for a time."""

    def __init__(self, source: Source, decoder: PictureDecoder, after_s: float) -> None:
        self._source, self._decoder, self._after_s = source, decoder, after_s
        self._good_s = time.monotonic()
        self._pictures = 0

    def look(self, stamp: Stamp) -> None:
        decoder = self._decoder
        if decoder.pictures != self._pictures:
            self._pictures, self._good_s = decoder.pictures, stamp.monotonic_s
        elif decoder.errors_in_row >= _GARBAGE_ERRORS and stamp.monotonic_s - self._good_s > self._after_s:
            msg = f"{self._source.shown}: packets come, but no picture can be decoded from them"
            raise StreamGarbage(msg)


def _in_real_time(packets: Iterator[Packet], sink: Sink) -> Iterator[Packet]:
    clock, started_s = MediaClock(), time.monotonic()
    for packet in packets:
        at_s = clock.decoding_seconds(packet)
        if sink.pause(started_s + at_s - time.monotonic()):
            return
        yield packet


def _piled_up(packets: Iterator[Packet], sink: Sink) -> Iterator[Packet]:
    """Rest after a packet that had to be waited for, and take those that have come meanwhile in one go.

    Waking for each packet cost 6 ms of CPU for a second of 25 of them, resting in between 3. A live source's
    socket holds what comes meanwhile, or lets the sender wait. Stamps are late by :data:`PILE_S` at most, but
    not those of key frames in a steady rhythm. Where more than key frames is decoded, pictures are wanted
    without delay.
    """
    rhythm = KeyRhythm()
    while True:
        asked_s = time.monotonic()
        packet = next(packets, None)
        if packet is None:
            return
        came_s = time.monotonic()
        if packet.is_keyframe:
            rhythm.came(came_s)
        yield packet
        waited = came_s - asked_s > _WAITED_S
        if waited and sink.mode.kind in _PATIENT and sink.pause(rhythm.rest_s(time.monotonic())):
            return


class KeyRhythm:
    """Says how long a reader may rest, so that it is awake when the next key frame is due.

    All times in seconds of one monotonic clock.
    """

    def __init__(self) -> None:
        self._key_s: float | None = None
        self._next_s: float | None = None

    def came(self, at_s: float) -> None:
        """Note a key frame; the next is due as long after it as it came after the last."""
        last_s, self._key_s = self._key_s, at_s
        seldom = last_s is not None and at_s - last_s > _SELDOM_S
        self._next_s = 2 * at_s - last_s if last_s is not None and seldom else None

    def rest_s(self, now_s: float) -> float:
        """Return :data:`PILE_S`, or until the next key frame; nothing while one is a little late."""
        to_key_s = PILE_S if self._next_s is None else self._next_s - now_s
        if to_key_s < -_LATE_S:
            return PILE_S
        return min(max(to_key_s, 0.0), PILE_S)


def read_folder(folder: Path, sink: Sink) -> None:
    """Play a folder of pictures once in real time, stamped with the time at which each is shown.

    Raises:
        StreamError: no pictures, or times that cannot be read.

    """
    sink.on_connected("pictures", b"", 0, 0)
    started_s = time.monotonic()
    for frame in replay_folder(folder):
        if sink.pause(started_s + frame.monotonic_s - time.monotonic()):
            return
        now = Stamp.now()
        sink.on_picture(replace(frame, captured_at=now.captured_at, monotonic_s=now.monotonic_s))

"""From packets to pictures, with the time at which each packet arrived.

Key frames come out at once: with B-frames FFmpeg holds a key frame back until two more frames have
come, so after each key packet the decoder is drained and reset. The arrival time travels with the
packet through the decoder (``AV_CODEC_FLAG_COPY_OPAQUE``), so reordering cannot mix times up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import av
from av.codec.context import Flags, ThreadType
from av.video.codeccontext import VideoCodecContext

from streams.frame import Frame
from streams.modes import DecodeMode
from streams.packets import Packet, Stamp
from streams.pictures import pixels_of

# a stream that flags no key frame for so long (intra refresh without recovery points) is decoded whole
NO_KEY_PATIENCE_S = 60.0
# key frames come a little early or late; so much of the interval is let through
_EARLY_FRAC = 0.25
_EARLY_MAX_S = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A picture still in the decoder's pixel format; converting waits until somebody wants it."""

    picture: av.VideoFrame
    stamp: Stamp
    index: int
    is_key: bool

    def to_frame(self) -> Frame:
        """Make a :class:`Frame` of it, whose pixels are converted when they are wanted."""
        return Frame(
            pixels_of(self.picture), self.stamp.captured_at, self.stamp.monotonic_s, self.index, self.is_key
        )


class Sampler:
    """Lets one item through per interval, on average, by the items' own times."""

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self._due_s: float | None = None

    def admit(self, at_s: float) -> bool:
        """Tell whether the item at ``at_s`` is due; times that jump back start the schedule again."""
        if self.interval_s <= 0:
            return True
        early_s = min(_EARLY_MAX_S, _EARLY_FRAC * self.interval_s)
        due_s = self._due_s
        if due_s is not None and at_s < due_s - early_s and due_s - at_s <= 2 * self.interval_s:
            return False
        on_schedule = due_s is not None and 0 <= at_s - due_s + early_s < self.interval_s
        self._due_s = (due_s if on_schedule and due_s is not None else at_s) + self.interval_s
        return True


class PictureDecoder:
    """Turns the packets of one connection into the pictures that a mode asks for.

    ``interval_s`` is the least time between two pictures in key-frame mode: where every frame is a
    key frame (MJPEG, all-intra) the rest is not decoded.
    """

    def __init__(self, codec: VideoCodecContext, *, interval_s: float = 0.0) -> None:
        codec.thread_count = 1
        codec.thread_type = ThreadType.SLICE  # frame threads would hold pictures back
        codec.copy_opaque = True
        self._codec = codec
        self._sampler = Sampler(interval_s)
        self._intra_only = bool(codec.codec.intra_only)
        self._following = False  # decoding every packet since a key frame
        self._lenient = False
        self._last_key_s: float | None = None
        self._nth = 1
        self._countdown = 0  # decoded pictures until one is handed out
        self._skip = 0  # packets of an intra codec until one is decoded
        self.errors = 0
        self.errors_in_row = 0
        self.pictures = 0
        self.skipped = 0  # key frames that were not decoded, for nobody wanted them

    def feed(
        self, packet: Packet, stamp: Stamp, mode: DecodeMode, *, from_s: float = float("-inf")
    ) -> list[Decoded]:
        """Decode what ``mode`` wants of one packet; the pictures may belong to earlier packets.

        ``from_s``: key frames that arrived before are not decoded, where ``mode`` is key frames alone.
        """
        is_key = packet.is_keyframe
        self._watch_keys(stamp, is_key=is_key)
        if mode.kind == "keyframes" and not self._lenient:
            if self._following:
                self._reset()
            if not is_key:
                return []
            if stamp.monotonic_s < from_s or not self._sampler.admit(stamp.monotonic_s):
                self.skipped += 1
                return []
            packet.opaque = (stamp, is_key)
            return self._decode_key(packet)
        packet.opaque = (stamp, is_key)
        pictures = self._feed_all(packet, 1 if mode.kind == "keyframes" else mode.nth)
        if mode.kind == "keyframes":
            return [picture for picture in pictures if self._sampler.admit(picture.stamp.monotonic_s)]
        return pictures

    def drain(self) -> list[Decoded]:
        """Return the pictures that the decoder still holds, at the end of a file."""
        if not self._following:
            return []
        pictures = self._decode(None, keep_every=self._nth)
        self._reset()
        return pictures

    def _watch_keys(self, stamp: Stamp, *, is_key: bool) -> None:
        if is_key or self._last_key_s is None:
            self._last_key_s = stamp.monotonic_s
            if is_key and self._lenient:
                self._lenient = False
        elif not self._lenient and stamp.monotonic_s - self._last_key_s > NO_KEY_PATIENCE_S:
            self._lenient = True
            self._codec.flags |= Flags.output_corrupt

    def _decode_key(self, packet: Packet) -> list[Decoded]:
        errors = self.errors
        pictures = self._decode(packet, keep_every=1)
        if not self._intra_only:
            pictures += self._decode(None, keep_every=1)
            self._codec.flush_buffers()
        if not pictures and self.errors == errors:
            self._count_error()
        return pictures[-1:]

    def _feed_all(self, packet: Packet, nth: int) -> list[Decoded]:
        self._nth = nth
        if self._intra_only and nth > 1:
            self._skip -= 1
            if self._skip > 0:
                return []
            self._skip = nth
            return self._decode(packet, keep_every=1)
        if not self._following:
            if not packet.is_keyframe and not self._lenient:
                return []
            self._following, self._countdown = True, 0
        return self._decode(packet, keep_every=nth)

    def _decode(self, packet: Packet | None, *, keep_every: int) -> list[Decoded]:
        try:
            raw = self._codec.decode(packet)
        except av.FFmpegError:
            self._count_error()
            return []
        return self._wrap(raw, keep_every)

    def _wrap(self, raw: Iterable[av.VideoFrame], keep_every: int) -> list[Decoded]:
        kept = []
        for picture in raw:
            if picture.is_corrupt and not self._lenient:
                self._count_error()
                continue
            self.errors_in_row = 0
            self.pictures += 1
            self._countdown -= 1
            if keep_every > 1 and self._countdown > 0:
                continue
            self._countdown = keep_every
            stamp, is_key = cast("tuple[Stamp, bool]", picture.opaque)
            kept.append(Decoded(picture, stamp, self.pictures - 1, is_key))
        return kept

    def _count_error(self) -> None:
        self.errors += 1
        self.errors_in_row += 1

    def _reset(self) -> None:
        self._codec.flush_buffers()
        self._following = False

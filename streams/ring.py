"""The last undecoded packets of one camera, bounded in bytes, from which clips are cut."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path

from streams.clips import TICKS_PER_S, StoredPacket, VideoParameters, write_clip
from streams.nal import parameter_sets
from streams.packets import Packet, Stamp

_OVERHEAD_BYTES = 400  # of the Python objects around one packet


@dataclass(frozen=True, slots=True)
class RingSpan:
    """What a ring holds: first and last capture time (aware UTC), packets and bytes."""

    first_at: datetime
    last_at: datetime
    packets: int
    size_bytes: int


class PacketRing:
    """Undecoded packets, oldest out first, whole groups of pictures at a time.

    One thread appends; any thread may cut. The ring always begins with a key frame. A camera whose
    single group of pictures is larger than the ring has no clips; :meth:`span` then says None.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._packets: deque[StoredPacket] = deque()
        self._size_bytes = 0
        self._parameters: VideoParameters | None = None
        self._wait_for_key = True
        self._tick = Fraction(0)  # of the connection's time stamps, in ours
        self._lock = threading.Lock()

    def begin(self, codec: str, extradata: bytes = b"") -> None:
        """Start a connection: its packets are never mixed with earlier ones of other parameters.

        ``codec`` as FFmpeg names it; ``extradata`` in Annex B form.
        """
        with self._lock:
            connection = self._parameters.connection + 1 if self._parameters else 1
            sets = parameter_sets(codec, extradata) or extradata
            self._parameters = VideoParameters(codec, sets, connection)
            self._wait_for_key = True

    def append(self, packet: Packet, stamp: Stamp) -> None:
        """Keep one packet (H.264 and H.265 in Annex B form) with its time of arrival."""
        data, is_key = bytes(packet), packet.is_keyframe
        with self._lock:
            if self._parameters is None:
                msg = "begin() must come before append()"
                raise RuntimeError(msg)
            if self._wait_for_key and not is_key:
                return
            self._wait_for_key = False
            if is_key:
                self._note_parameters(data)
                self._tick = (packet.time_base or Fraction(0)) * TICKS_PER_S
            stored = StoredPacket(
                data=data,
                pts=self._ticks(packet.pts),
                dts=self._ticks(packet.dts),
                is_key=is_key,
                stamp=stamp,
                parameters=self._parameters,
            )
            self._packets.append(stored)
            self._size_bytes += len(data) + _OVERHEAD_BYTES
            self._evict()

    def span(self) -> RingSpan | None:
        """Return what the ring holds, or None while it is empty."""
        with self._lock:
            if not self._packets:
                return None
            first, last = self._packets[0].stamp, self._packets[-1].stamp
            return RingSpan(first.captured_at, last.captured_at, len(self._packets), self._size_bytes)

    @property
    def size_bytes(self) -> int:
        """Bytes held, overhead included."""
        return self._size_bytes

    def cut(self, start: datetime, end: datetime, path: Path) -> Path | None:
        """Write what was captured from ``start`` to ``end`` (aware UTC) as an MP4; None if nothing was.

        The clip begins at the last key frame at or before ``start`` where the ring still has it.
        Packets of a connection with other parameters are left out: the longest part wins.

        Raises:
            ClipFailed: what is there cannot be decoded or put into MP4.
            OSError: the file cannot be written.

        """
        with self._lock:
            held = list(self._packets)
        wanted = _between(held, start, end)
        if not wanted:
            return None
        return write_clip(_longest_part(wanted, start), path)

    def _ticks(self, value: int | None) -> int | None:
        if value is None or not self._tick:
            return None
        # a fraction's own arithmetic would cost more than all else that is done with a packet
        return value * self._tick.numerator // self._tick.denominator

    def key_near(self, at: datetime) -> StoredPacket | None:
        """Return the key frame that arrived nearest to ``at`` (aware UTC); None while the ring is empty."""
        with self._lock:
            keys = [packet for packet in self._packets if packet.is_key]
        return min(keys, key=lambda packet: abs(packet.stamp.captured_at - at), default=None)

    def _note_parameters(self, data: bytes) -> None:
        """Start new parameters where a camera changes them in the middle of a connection."""
        current = self._parameters
        if current is None:
            return
        sets = parameter_sets(current.codec, data)
        if sets and sets != current.extradata:
            self._parameters = replace(current, extradata=sets)

    def _evict(self) -> None:
        while self._packets and (self._size_bytes > self._capacity_bytes or not self._packets[0].is_key):
            self._size_bytes -= len(self._packets.popleft().data) + _OVERHEAD_BYTES
        if not self._packets:
            self._wait_for_key = True


def _between(held: Sequence[StoredPacket], start: datetime, end: datetime) -> list[StoredPacket]:
    keys = [index for index, packet in enumerate(held) if packet.is_key and packet.stamp.captured_at <= end]
    if not keys:
        return []
    before = [index for index in keys if held[index].stamp.captured_at <= start]
    first = before[-1] if before else keys[0]
    wanted = [packet for packet in held[first:] if packet.stamp.captured_at <= end]
    return wanted if wanted and wanted[-1].stamp.captured_at >= start else []


def _longest_part(packets: Sequence[StoredPacket], start: datetime) -> Sequence[StoredPacket]:
    parts: list[list[StoredPacket]] = []
    for packet in packets:
        if parts and parts[-1][-1].parameters.joins(packet.parameters):
            parts[-1].append(packet)
        else:
            parts.append([packet])

    def overlap_s(part: Sequence[StoredPacket]) -> float:
        begin = max(part[0].stamp.captured_at, start)
        return (part[-1].stamp.captured_at - begin).total_seconds()

    return max(parts, key=overlap_s)

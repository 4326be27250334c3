"""A camera that gives two streams: a small one to analyse, and its main one for evidence.

The main stream is not decoded. Its packets wait in the ring for clips, and a key frame of it is decoded
when somebody wants a picture of a moment: sharp evidence costs its network, and a picture now and then.
"""

from __future__ import annotations

from datetime import timedelta

import av

from streams.clips import decode_key
from streams.errors import ClipFailed
from streams.frame import Frame
from streams.live import LiveCamera
from streams.modes import DecodeMode
from streams.pictures import to_bgr
from streams.ring import PacketRing
from streams.status import StreamStatus
from towerwatch.logs import get_logger

_log = get_logger(__name__)

NEAR = timedelta(seconds=10)  # half the longest distance of key frames that cameras are set to


class StreamPair:
    """Two streams of one camera behind the methods of one :class:`streams.live.LiveCamera`.

    Args:
        small: decoded and analysed; the pair's state is this stream's.
        main: read with :data:`streams.modes.NOTHING`.

    """

    def __init__(self, small: LiveCamera, main: LiveCamera) -> None:
        self._small, self._main = small, main

    @property
    def ring(self) -> PacketRing:
        """The main stream's packets."""
        return self._main.ring

    def start(self) -> None:
        """Start both readers; raises as :meth:`streams.live.LiveCamera.start`."""
        self._main.start()
        self._small.start()

    def stop(self, timeout_s: float) -> bool:
        """End both within ``timeout_s``; tell whether they have."""
        self._main.end()
        ended = self._small.stop(timeout_s / 2)
        return self._main.stop(timeout_s / 2) and ended

    def latest(self, timeout_s: float) -> Frame | None:
        """Return the newest picture of the small stream that nobody has taken."""
        return self._small.latest(timeout_s)

    def set_decode(self, mode: DecodeMode) -> None:
        """Change what is decoded of the small stream."""
        self._small.set_decode(mode)

    def want_from(self, at_s: float) -> None:
        """Say when the next picture of the small stream is wanted."""
        self._small.want_from(at_s)

    def status(self) -> StreamStatus:
        """Return state and counters of the small stream."""
        return self._small.status()

    def sharp(self, frame: Frame) -> Frame:
        """Return the main stream's key frame nearest in time to a frame of the small one.

        The frame itself where the main stream has none so near, or none that can be decoded.
        """
        packet = self._main.ring.key_near(frame.captured_at)
        if packet is None or abs(packet.stamp.captured_at - frame.captured_at) > NEAR:
            return frame
        try:
            image = to_bgr(decode_key(packet))
        except (av.FFmpegError, ClipFailed, ValueError) as error:
            _log.warning("main stream gives no picture", camera=self._main.settings.name, why=str(error))
            return frame
        return Frame(image, packet.stamp.captured_at, packet.stamp.monotonic_s, frame.index)

"""One live camera: a reader thread that connects, decodes, keeps packets and hands over the latest."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import av

from streams.backoff import BackoffPolicy
from streams.decode import Decoded
from streams.errors import (
    StreamError,
    StreamGarbage,
    StreamNotFound,
    StreamRefused,
    StreamSilent,
)
from streams.frame import Frame
from streams.handover import LatestWins
from streams.modes import KEYFRAMES, NOTHING, DecodeMode, Hardware
from streams.opening import Source, check_url
from streams.packets import Packet, Stamp
from streams.reader import Sink, read_folder, read_video
from streams.ring import PacketRing
from streams.status import StreamReason, StreamState, StreamStatus
from towerwatch.logs import get_logger
from towerwatch.secrets import Secret, redact

__all__ = ["LiveCamera", "LiveSettings", "StreamReason", "StreamState", "StreamStatus"]

_log = get_logger(__name__)

_REASONS: tuple[tuple[type[StreamError], StreamReason], ...] = (
    (StreamRefused, StreamReason.REFUSED),
    (StreamNotFound, StreamReason.NOT_FOUND),
    (StreamSilent, StreamReason.SILENT),
    (StreamGarbage, StreamReason.GARBAGE),
)
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """How one camera is read.

    Attributes:
        url: ``rtsp://`` or ``rtsps://`` without a password; or the path of a video file or a folder of
            pictures, which is then played once in real time.
        username, password: credentials, the password by reference.
        decode: which frames are decoded; see :meth:`LiveCamera.set_decode`.
        hardware: where they are decoded, see :func:`streams.hardware.accelerator`.
        min_interval_s: least time between two pictures in key-frame mode, so that MJPEG and all-intra
            streams are not decoded whole; 0 for all key frames.
        open_timeout_s: limit of connecting, and again of looking at the stream.
        read_timeout_s: limit of waiting for a packet; also bounds how long a stop can take.
        tls_ca: whose certificates are trusted, see :class:`streams.opening.Source`.
        ring_mib: size of the packet ring in MiB.
        garbage_after_s: so long without a single decodable picture, while packets come, is garbage.
        backoff: pauses between tries.
        name: camera id for the log.

    """

    url: str
    username: str | None = None
    password: Secret | None = None
    decode: DecodeMode = KEYFRAMES
    hardware: Hardware = "off"
    min_interval_s: float = 0.5
    open_timeout_s: float = 5.0
    read_timeout_s: float = 5.0
    tls_ca: Path | None = None
    ring_mib: float = 16.0
    garbage_after_s: float = 10.0
    backoff: BackoffPolicy = field(default_factory=BackoffPolicy)
    name: str = ""


class LiveCamera(Sink):
    """A camera that is kept connected for as long as it is started.

    One reader thread per camera, owned here; nothing that a camera does or fails to do reaches beyond
    its own object. Its methods may be called from any thread, except the ``on_`` ones, which are the
    reader's.
    """

    def __init__(self, settings: LiveSettings) -> None:
        self.settings = settings
        self.ring = PacketRing(int(settings.ring_mib * _MIB))
        self._mode = settings.decode
        self._wanted_from_s = float("-inf")
        self._skipped = 0  # key frames that passed undecoded
        self._slot: LatestWins[Decoded | Frame] = LatestWins()
        self._status = StreamStatus()
        self._packets = 0  # with the time of the last one; the reader alone writes them, at every packet
        self._last_packet_at: datetime | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        # only jitter is drawn from it
        self._rng = random.Random()  # noqa: S311 - not for secrets
        self._source = Source(
            settings.url,
            settings.username,
            settings.password,
            settings.open_timeout_s,
            settings.read_timeout_s,
            settings.tls_ca,
            settings.hardware,
        )

    def start(self) -> None:
        """Start the reader thread.

        Raises:
            SourceConfigError: the address can never work (a password in it, a strange scheme).

        """
        check_url(self.settings.url)
        if self._thread is not None:
            msg = f"camera {self.settings.name or self._source.shown} was started before"
            raise RuntimeError(msg)
        name = f"camera-{self.settings.name or self._source.shown}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Stop reading, waiting up to ``timeout_s`` for the thread; tell whether it has ended.

        A reader that hangs in the network ends by itself at its own time limit; it does no harm.
        """
        self.end()
        thread = self._thread
        if thread is None:
            return True
        thread.join(timeout_s)
        if thread.is_alive():
            _log.warning("reader still in the network", camera=self.settings.name, waited_s=timeout_s)
        return not thread.is_alive()

    def end(self) -> None:
        """Tell the reader to end, without waiting for it."""
        self._stopping.set()
        self._slot.close()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """Stop within the camera's own time limits."""
        self.stop(2 * self.settings.open_timeout_s + self.settings.read_timeout_s)

    def latest(self, timeout_s: float) -> Frame | None:
        """Return the newest picture nobody has taken yet, waiting up to ``timeout_s`` for one.

        Conversion to BGR happens in the caller's thread, here or when it is first wanted.
        None when none came in time, and at once when the camera was stopped.
        """
        item = self._slot.take(timeout_s)
        if item is None or isinstance(item, Frame):
            return item
        try:
            return item.to_frame()
        except (av.FFmpegError, ValueError) as error:
            self._update(decode_errors=self._status.decode_errors + 1)
            _log.warning("picture not converted", camera=self.settings.name, error=redact(str(error)))
            return None

    def set_decode(self, mode: DecodeMode) -> None:
        """Change what is decoded from the next packet on; a richer mode begins at the next key frame."""
        self._mode = mode

    def want_from(self, at_s: float) -> None:
        """Say when the next picture is wanted; key frames that arrive before are not decoded.

        ``at_s`` on the monotonic clock. It holds where key frames alone are decoded; pictures are numbered
        as if all were.
        """
        self._wanted_from_s = at_s

    def status(self) -> StreamStatus:
        """Return a snapshot of state and counters."""
        with self._lock:
            return replace(
                self._status,
                packets=self._packets,
                last_packet_at=self._last_packet_at,
                dropped=self._slot.dropped,
                ring_bytes=self.ring.size_bytes,
            )

    # what the reader reports, from its thread

    @property
    def mode(self) -> DecodeMode:
        """The decode mode that is wanted now."""
        return self._mode

    @property
    def wanted_from_s(self) -> float:
        """When the next key frame is wanted."""
        return self._wanted_from_s

    def pause(self, seconds: float) -> bool:
        """Wait; tell whether the camera is to stop."""
        return self._stopping.wait(seconds) if seconds > 0 else self._stopping.is_set()

    def on_connected(self, codec: str, extradata: bytes, width_px: int, height_px: int) -> None:
        """Note a connection that stands."""
        self.ring.begin(codec, extradata)
        with self._lock:
            self._status = replace(
                self._status,
                connects=self._status.connects + 1,
                codec=codec,
                width_px=width_px,
                height_px=height_px,
            )
        _log.info(
            "camera connected", camera=self.settings.name, codec=codec, width=width_px, height=height_px
        )

    def on_packet(self, packet: Packet, stamp: Stamp) -> None:
        """Keep a packet in the ring; where nothing is decoded, packets are all there is to a live stream."""
        self.ring.append(packet, stamp)
        if self._mode == NOTHING and self._status.state is not StreamState.LIVE:
            self._update(state=StreamState.LIVE, reason=None, failures_in_row=0)
        self._packets += 1
        self._last_packet_at = stamp.captured_at

    def on_picture(self, picture: Decoded | Frame) -> None:
        """Hand over a picture."""
        stamp = picture if isinstance(picture, Frame) else picture.stamp
        numbered = replace(picture, index=self._status.pictures + self._skipped)
        with self._lock:
            self._status = replace(
                self._status,
                state=StreamState.LIVE,
                reason=None,
                failures_in_row=0,
                pictures=self._status.pictures + 1,
                last_captured_at=stamp.captured_at,
                last_captured_monotonic_s=stamp.monotonic_s,
            )
        self._slot.put(numbered)

    def on_skipped(self) -> None:
        """Count a key frame that was not decoded."""
        self._skipped += 1

    def on_decode_error(self) -> None:
        """Count a packet that gave no picture."""
        self._update(decode_errors=self._status.decode_errors + 1)

    # the thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._update(state=StreamState.CONNECTING, retry_in_s=0.0)
            try:
                self._read()
            except StreamError as error:
                pause_s = self._failed(error)
            except Exception:  # noqa: BLE001 - owns the thread: no fault may make a camera blind for ever
                _log.exception("reader failed", camera=self.settings.name)
                pause_s = self._failed(None)
            else:
                break
            self.pause(pause_s)
        if self._stopping.is_set():
            self._update(state=StreamState.STOPPED, reason=None, retry_in_s=0.0)
        else:
            self._update(state=StreamState.ENDED, reason=StreamReason.END_OF_FILE)
            _log.info("source read to its end", camera=self.settings.name, source=self._source.shown)

    def _read(self) -> None:
        if not self._source.is_live and Path(self.settings.url).is_dir():
            read_folder(Path(self.settings.url), self)
        else:
            read_video(self._source, self, self.settings.min_interval_s, self.settings.garbage_after_s)

    def _failed(self, error: StreamError | None) -> float:
        in_row = self._status.failures_in_row + 1
        refused = isinstance(error, StreamRefused)
        pause_s = self.settings.backoff.pause_s(in_row, refused=refused, rng=self._rng)
        reason, detail = reason_of(error), redact(str(error or "internal fault, see the log"))
        with self._lock:
            self._status = replace(
                self._status,
                state=StreamState.WAITING,
                reason=reason,
                detail=detail,
                failures=self._status.failures + 1,
                failures_in_row=in_row,
                retry_in_s=pause_s,
            )
        if not self._stopping.is_set():
            _log.warning(
                "camera lost",
                camera=self.settings.name,
                reason=str(reason),
                detail=detail,
                retry_in_s=round(pause_s, 1),
            )
        return pause_s

    def _update(self, **changes: Any) -> None:
        with self._lock:
            self._status = replace(self._status, **changes)


def reason_of(error: StreamError | None) -> StreamReason:
    """Name the reason that stands for an error; None is a fault of ours."""
    if error is None:
        return StreamReason.INTERNAL
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), StreamReason.UNREACHABLE)

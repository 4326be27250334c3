"""Publishing the video files of a folder as looping RTSP cameras, for tests and demos.

RTSP, SDP and RTP packing are aio-rtsp-toolkit's. Three things are done here in its place, because as
it stands (0.1.4) a client could not tell its loop from a broken camera:

* presentation times: the toolkit stamps packets in decoding order, which scrambles B-frames;
* the loop: here a file goes on for ever, with time stamps that run on over the seam, and a camera
  that is connected to again has gone on meanwhile, as a real one does;
* the end: the toolkit reads files in threads and waits for its clients; here everything runs in one
  event loop, which is cancelled.
"""

from __future__ import annotations

import asyncio
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
from aio_rtsp_toolkit.server import RtspServer
from aio_rtsp_toolkit.server_media import MediaSourceError, extract_nalus, normalize_codec_name
from aio_rtsp_toolkit.server_session import RtspServerSession

from streams.errors import SourceConfigError
from streams.nal import is_annex_b, split_annex_b
from towerwatch.logs import get_logger

_log = get_logger(__name__)

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".nut", ".ts", ".avi"})
_START_S = 10.0
_STOP_S = 5.0
_TURNS = 20  # of the event loop: accepting or closing a connection takes a handful


class _QuietLog:
    """The toolkit's chatter, for those who ask for it."""

    def debug(self, message: str) -> None:
        _log.debug(message)

    info = debug

    def warning(self, message: str) -> None:
        _log.info(message)

    error = warning


class _LoopingSession(RtspServerSession):  # type: ignore[misc] # the toolkit has no types
    """One client: sends the video track of a file, again and again, in real time."""

    async def _stream_media(self) -> None:
        states = (state for state in self.track_states.values() if state.info.media_type == "video")
        state = next((state for state in states if state.rtp_channel is not None), None)
        try:
            if state is not None:
                await self._play(state)
        except (OSError, av.FFmpegError) as error:
            _log.debug("client gone", peer=str(self.peername), error=type(error).__name__)
        finally:
            with suppress(OSError):
                await self._close_transport()

    async def _play(self, state: Any) -> None:
        loop = asyncio.get_running_loop()
        path = self.media_source.file_path
        from_s = self.server.position_s(path, loop.time())
        begin_s, passed_s = loop.time(), 0.0
        while True:
            length_s = 0.0
            for unit in _units(path, state.info.av_stream_index, from_s):
                await asyncio.sleep(begin_s + passed_s + unit.dts_s - loop.time())
                await self._send_unit(state, unit, passed_s)
                length_s = max(length_s, unit.pts_s + unit.duration_s)
            if length_s <= 0:
                return
            passed_s, from_s = passed_s + length_s, 0.0

    async def _send_unit(self, state: Any, unit: _Unit, passed_s: float) -> None:
        timestamp = round((passed_s + unit.pts_s) * state.info.clock_rate)
        codec = normalize_codec_name(state.info.codec_name)
        nalus = (
            split_annex_b(unit.data)
            if unit.annex_b
            else extract_nalus(codec, unit.data, state.info.nal_length_size)
        )
        if unit.is_key:
            sets = state.info.parameter_sets
            nalus = [sets[name] for name in ("vps", "sps", "pps") if name in sets] + nalus
        for index, nalu in enumerate(nalus):
            last = int(index == len(nalus) - 1)
            for payload, marker in self._packetize_video_nalu(nalu, marker=last, codec_name=codec):
                await self._send_rtp_packet(state, payload, timestamp=timestamp, marker=marker)


class _Unit:
    """One access unit; times in s since the first picture of this round (decoding begins before it)."""

    __slots__ = ("annex_b", "data", "dts_s", "duration_s", "is_key", "pts_s")

    def __init__(self, packet: Any, first: int, *, annex_b: bool) -> None:
        pts = _shown_at(packet)
        dts = packet.dts if packet.dts is not None else pts
        rate = packet.stream.average_rate
        self.data = bytes(packet)
        self.dts_s = float((dts - first) * packet.time_base)
        self.pts_s = float((pts - first) * packet.time_base)
        self.duration_s = (
            float(packet.duration * packet.time_base) if packet.duration else float(1 / (rate or 25))
        )
        self.is_key = bool(packet.is_keyframe)
        self.annex_b = annex_b


def _units(path: Path, stream_index: int, from_s: float) -> Iterator[_Unit]:
    """Yield a file's access units from the key frame at or before ``from_s``."""
    first: int | None = None
    with av.open(str(path)) as container:
        stream = container.streams[stream_index]
        annex_b = (
            is_annex_b(bytes(stream.codec_context.extradata or b"")) or container.format.name == "mpegts"
        )
        if from_s > 0:
            container.seek(int((container.start_time or 0) + from_s * av.time_base), backward=True)
        for packet in container.demux(stream):
            ticks = _shown_at(packet)
            if not packet.size or ticks is None:
                continue
            first = ticks if first is None else first
            yield _Unit(packet, first, annex_b=annex_b)


def _shown_at(packet: Any) -> Any:
    return packet.pts if packet.pts is not None else packet.dts


class _LoopingServer(RtspServer):  # type: ignore[misc] # the toolkit has no types
    """Serves the files of one folder by their names."""

    def __init__(self, folder: Path, host: str, port: int) -> None:
        super().__init__(str(folder), host, port, session_name="towerwatch test camera")
        self.logger = _QuietLog()
        self._clients: dict[asyncio.Task[Any], Any] = {}
        self._epoch_s = 0.0

    async def start(self) -> _LoopingServer:
        self._epoch_s = asyncio.get_running_loop().time()
        await super().start()
        if self._server is not None:
            self.port = self._server.sockets[0].getsockname()[1]
        return self

    def position_s(self, path: Path, now_s: float) -> float:
        """Where the camera of a file stands now; it runs since the server's start."""
        with av.open(str(path)) as container:
            length_s = (container.duration or 0) / av.time_base
        return (now_s - self._epoch_s) % length_s if length_s > 0 else 0.0

    async def _handle_client(self, sock: Any) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - coroutines run in tasks
        self._clients[task] = sock.writer.transport
        session = _LoopingSession(self, sock)
        try:
            await session.run()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away, or the server stops
        finally:
            del self._clients[task]
            sock.writer.transport.abort()

    async def stop(self) -> None:
        """Cut every client off, then close; a client that takes nothing cannot hold this up."""
        await _let_the_loop_turn()  # what knocked a moment ago becomes a client; asyncio leaks it otherwise
        if self._server is not None:
            self._server.close()
        clients = dict(self._clients)
        for task, transport in clients.items():
            transport.abort()
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        await self.close()
        await _let_the_loop_turn()  # it closes the sockets

    def resolve_request_path(self, uri: str) -> Path:
        """Find the file that a client asks for; FileNotFoundError becomes a 404."""
        name = urllib.parse.unquote(urllib.parse.urlsplit(uri).path).strip("/")
        path: Path = self.root_dir / name
        if path.parent != self.root_dir or path.suffix.lower() not in VIDEO_SUFFIXES or not path.is_file():
            raise FileNotFoundError(name)
        return path


async def _let_the_loop_turn() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)


class ServedFolder:
    """Every H.264 and H.265 file of a folder as a looping RTSP camera; a context manager.

    The cameras are at :attr:`urls`; a file put into the folder later is served too. ``port`` 0 takes
    a free one.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        self.folder = folder
        self.host = host
        self.port = port
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: OSError | None = None

    def url(self, name: str) -> str:
        """Return the address of one file, by its name."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"rtsp://{host}:{self.port}/{urllib.parse.quote(name)}"

    @property
    def urls(self) -> dict[str, str]:
        """Addresses by file name, of the files that can be served."""
        return {path.name: self.url(path.name) for path in self._servable()}

    def _servable(self) -> list[Path]:
        server = _LoopingServer(self.folder, self.host, self.port)
        usable = []
        for path in sorted(self.folder.iterdir()):
            if path.suffix.lower() not in VIDEO_SUFFIXES:
                continue
            try:
                tracks = server.load_media_source(path).tracks
            except (MediaSourceError, av.FFmpegError, OSError) as error:
                _log.warning("file not served", file=str(path), error=str(error))
                continue
            if any(track.media_type == "video" for track in tracks):
                usable.append(path)
        return usable

    def start(self) -> None:
        """Start serving.

        Raises:
            SourceConfigError: no folder, nothing in it that can be served, or the port is taken.

        """
        if not self.folder.is_dir():
            msg = f"{self.folder}: no such folder"
            raise SourceConfigError(msg)
        if not self._servable():
            msg = f"{self.folder}: no H.264 or H.265 video files in it ({', '.join(sorted(VIDEO_SUFFIXES))})"
            raise SourceConfigError(msg)
        self._ready, self._failure = threading.Event(), None
        self._loop, self._stopped = None, None
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()), name="rtsp-server", daemon=True
        )
        self._thread.start()
        if not self._ready.wait(_START_S) or self._failure is not None:
            why = self._failure.strerror if self._failure else f"no answer within {_START_S:g} s"
            self.stop()
            msg = f"cannot serve on {self.host}:{self.port}: {why}"
            raise SourceConfigError(msg)

    def stop(self) -> None:
        """Disconnect every client and end the thread."""
        loop, stopped, thread = self._loop, self._stopped, self._thread
        if loop is not None and stopped is not None:
            with suppress(RuntimeError):  # the loop has ended by itself
                loop.call_soon_threadsafe(stopped.set)
        if thread is not None:
            thread.join(_STOP_S)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    async def _serve(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        server = _LoopingServer(self.folder, self.host, self.port)
        try:
            await server.start()
        except OSError as error:
            self._failure = error
            return
        finally:
            self.port = server.port
            self._ready.set()
        try:
            await self._stopped.wait()
        finally:
            await server.stop()

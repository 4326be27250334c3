"""Cameras that misbehave: each a tiny TCP server on loopback, a context manager with a ``url``.

They speak just enough RTSP to fail in one particular way.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from types import TracebackType
from typing import Self

_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=fake\r\nt=0 0\r\na=control:*\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"
    "a=fmtp:96 packetization-mode=1; profile-level-id=42c01e; "
    "sprop-parameter-sets=Z0LAHtkAoD2wFqDAwMgAAAMACAAAAwGUeLFywA==,aMuMsg==\r\n"
)


class FakeCamera:
    """Accepts connections and treats each in a thread of its own, until the block ends."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.connections = 0
        self.requests: list[str] = []
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._peers: list[socket.socket] = []
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/live"

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stopping.set()
        assert self._listener is not None
        for peer in [self._listener, *self._peers]:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
            peer.close()
        for thread in self._threads:
            thread.join(5)

    def _spawn(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(OSError):
            while True:
                peer, _address = self._listener.accept()
                self.connections += 1
                self._peers.append(peer)
                self._spawn(self._serve, peer)

    def _serve(self, peer: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            self.treat(peer)
        peer.close()

    def treat(self, peer: socket.socket) -> None:  # noqa: ARG002 - subclasses speak to it
        """Say nothing, for ever."""
        self.stopping.wait()

    def read_request(self, peer: socket.socket) -> tuple[str, str]:
        """Return the first line and the CSeq of the next request; OSError at the end."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = peer.recv(4096)
            if not more:
                raise OSError
            data += more
        head = data.decode(errors="replace").split("\r\n")
        self.requests.append(head[0])
        cseq = next((line.partition(":")[2].strip() for line in head if line.lower().startswith("cseq")), "0")
        return head[0], cseq


class SilentCamera(FakeCamera):
    """Accepts, and never answers."""


class BabblingCamera(FakeCamera):
    """Accepts, and sends random bytes for ever."""

    def treat(self, peer: socket.socket) -> None:
        while not self.stopping.wait(0.01):
            peer.sendall(os.urandom(2048))


class AnsweringCamera(FakeCamera):
    """Answers every request with one status line, whatever was asked."""

    def __init__(self, status: str, *headers: str, port: int = 0) -> None:
        super().__init__(port)
        self.status, self.headers = status, headers

    def treat(self, peer: socket.socket) -> None:
        while True:
            _line, cseq = self.read_request(peer)
            lines = [f"RTSP/1.0 {self.status}", f"CSeq: {cseq}", *self.headers, "", ""]
            peer.sendall("\r\n".join(lines).encode())


def refusing_camera(port: int = 0) -> AnsweringCamera:
    """A camera that refuses every password."""
    return AnsweringCamera("401 Unauthorized", 'WWW-Authenticate: Digest realm="cam", nonce="abc"', port=port)


class PlayingCamera(FakeCamera):
    """Sets up an H.264 stream in good order; what it plays is up to the subclass."""

    def treat(self, peer: socket.socket) -> None:
        while True:
            line, cseq = self.read_request(peer)
            method = line.split(" ")[0]
            body, extra = "", ["Session: 1;timeout=60"]
            if method == "DESCRIBE":
                body, extra = _SDP, ["Content-Type: application/sdp", f"Content-Base: {self.url}/"]
            elif method == "SETUP":
                extra.append("Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
            elif method == "OPTIONS":
                extra = ["Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"]
            head = ["RTSP/1.0 200 OK", f"CSeq: {cseq}", *extra, f"Content-Length: {len(body)}", "", ""]
            peer.sendall(("\r\n".join(head) + body).encode())
            if method == "PLAY":
                self.play(peer)

    def play(self, peer: socket.socket) -> None:  # noqa: ARG002 - subclasses send to it
        """Send nothing: a stream that is set up and stays silent."""
        self.stopping.wait()


class MutePlayingCamera(PlayingCamera):
    """Sets everything up, and then sends no packet."""


class GarbageCamera(PlayingCamera):
    """Sends well-formed RTP whose H.264 makes no sense."""

    def play(self, peer: socket.socket) -> None:
        for sequence in range(1 << 30):
            if self.stopping.wait(0.02):
                return
            # a NAL unit that says it is a key frame slice, then noise
            payload = b"\x65" + os.urandom(600)
            header = struct.pack(
                "!BBHII", 0x80, 0x80 | 96, sequence & 0xFFFF, sequence * 3600 & 0xFFFFFFFF, 7
            )
            packet = header + payload
            peer.sendall(b"$\x00" + struct.pack("!H", len(packet)) + packet)

"""Opening a stream with FFmpeg, and saying in our own words why it failed.

FFmpeg's messages and exceptions carry the whole URL, password included: none of them leaves this
module. PyAV keeps FFmpeg's log silent unless somebody turns it on; nobody here does.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from streams.errors import (
    SourceConfigError,
    StreamError,
    StreamGarbage,
    StreamNotFound,
    StreamRefused,
    StreamSilent,
    StreamUnavailable,
)
from streams.hardware import accelerator
from streams.modes import Hardware
from streams.packets import Packet
from towerwatch.secrets import Secret, redact, url_with_credentials

LIVE_SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "http", "https"})
_RTSP = frozenset({"rtsp", "rtsps"})
# FFmpeg looks at a stream before it hands out packets, for at most this: enough for MJPEG and for a camera
# that sends its parameter sets in band. With fpsprobesize 0 it looks no longer than it must (0.1 s measured,
# 1 s without), and the packets of that time are the only ones that are stamped late
_ANALYSE_US = 500_000
_SNIFF_S = 1.0


@dataclass(frozen=True, slots=True)
class Source:
    """Where pictures come from: a URL or a path, with credentials by reference.

    Attributes:
        url: a URL without a password, or the path of a video file.
        username, password: for the camera; joined to the URL only inside FFmpeg's call.
        open_timeout_s: limit of connecting and, again, of looking at the stream.
        read_timeout_s: limit of waiting for one packet.
        tls_ca: PEM file of the authorities that may have signed the certificate of an ``rtsps://`` camera, or
            of that certificate itself; None encrypts without asking who answers, for most cameras have
            certificates that nobody signed.
        hardware: where it is decoded, see :func:`streams.hardware.accelerator`.

    """

    url: str
    username: str | None = None
    password: Secret | None = None
    open_timeout_s: float = 5.0
    read_timeout_s: float = 5.0
    tls_ca: Path | None = None
    hardware: Hardware = "off"

    @property
    def is_live(self) -> bool:
        """Whether the address is a network stream and not a file."""
        return scheme_of(self.url) in LIVE_SCHEMES

    @property
    def is_rtsp(self) -> bool:
        """Whether the address is an RTSP camera's."""
        return scheme_of(self.url) in _RTSP

    @property
    def shown(self) -> str:
        """The address for people: without any password."""
        return redact(self.url)


def scheme_of(url: str) -> str:
    """Return the scheme of a URL in lower case; empty for a path."""
    scheme, separator, _rest = url.partition("://")
    return scheme.lower() if separator else ""


def check_url(url: str) -> None:
    """Refuse an address that carries a password or has a scheme that cannot be a camera.

    Raises:
        SourceConfigError: with what would be right, and without the password.

    """
    scheme = scheme_of(url)
    if not scheme:
        return
    if scheme not in LIVE_SCHEMES:
        msg = f"{redact(url)}: a camera's address begins with rtsp:// or rtsps://, or is the path of a file"
        raise SourceConfigError(msg)
    try:
        parts = urlsplit(url)
        has_password, host = parts.password is not None, parts.hostname
        _ = parts.port
    except ValueError as error:
        msg = f"{redact(url)}: not a valid address: {error}"
        raise SourceConfigError(redact(msg)) from None
    if has_password:
        msg = (
            f"{redact(url)}: write the password as a reference (env:NAME or file:/path), not into the address"
        )
        raise SourceConfigError(msg)
    if not host:
        msg = f"{redact(url)}: the address names no host"
        raise SourceConfigError(msg)


@contextmanager
def opened(source: Source) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a source and its first video stream; close it in the end.

    Raises:
        StreamError: one of its branches, by what the caller can do; never with a password in it.

    """
    check_url(source.url)
    container = _open(source)
    try:
        stream = next((stream for stream in container.streams.video if stream.codec_context), None)
        if stream is None:
            msg = f"{source.shown}: no video in it that can be decoded"
            raise StreamGarbage(msg)
        yield container, stream
    finally:
        container.close()


def _open(source: Source) -> InputContainer:
    if not source.is_live and not Path(source.url).is_file():
        what = "is a folder; name a video file" if Path(source.url).is_dir() else "no such file"
        msg = f"{source.url}: {what}"
        raise StreamNotFound(msg)
    try:
        return av.open(
            url_with_credentials(source.url, source.username, source.password),
            mode="r",
            options=_options(source),
            metadata_errors="replace",
            timeout=(source.open_timeout_s, source.read_timeout_s) if source.is_live else None,
            hwaccel=accelerator(source.hardware),
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _open_error(error, source) from None


def _options(source: Source) -> dict[str, str]:
    if not source.is_rtsp:
        return {}
    verification = {} if source.tls_ca is None else {"tls_verify": "1", "ca_file": str(source.tls_ca)}
    return {
        "rtsp_transport": "tcp",
        "allowed_media_types": "video",
        "timeout": str(round(source.read_timeout_s * 1e6)),
        "analyzeduration": str(_ANALYSE_US),
        "fpsprobesize": "0",
        **verification,
    }


def _open_error(error: Exception, source: Source) -> StreamError:
    shown = source.shown
    if not source.is_live:
        return StreamGarbage(f"{shown}: not a readable video ({_words(error)})")
    if isinstance(error, av.HTTPUnauthorizedError | av.HTTPForbiddenError):
        return StreamRefused(f"{shown}: the camera refuses the credentials")
    if isinstance(error, av.HTTPNotFoundError):
        return StreamNotFound(f"{shown}: the server has no such stream (404)")
    answered = _first_answer(source)
    if answered is not None and (not answered.startswith(b"RTSP/") or isinstance(error, av.InvalidDataError)):
        return StreamGarbage(f"{shown}: the answer makes no sense; is it an RTSP camera?")
    if isinstance(error, av.ExitError | av.TimeoutError | av.InvalidDataError):
        return StreamUnavailable(f"{shown}: no answer within {source.open_timeout_s:g} s")
    unvouched = source.tls_ca is not None and getattr(error, "errno", None) == errno.EIO
    why = f"no TLS, or its certificate is not vouched for by {source.tls_ca}" if unvouched else _words(error)
    return StreamUnavailable(f"{shown}: {why}")


def _first_answer(source: Source) -> bytes | None:
    """Ask in plain RTSP and return the first bytes of what answers; None if nothing does.

    FFmpeg says the same of a peer that is silent and of one that talks nonsense for ever; operators
    need to know which.
    """
    parts = urlsplit(source.url)
    if parts.scheme != "rtsp" or not parts.hostname:
        return None
    limit_s = min(_SNIFF_S, source.open_timeout_s)
    try:
        with socket.create_connection((parts.hostname, parts.port or 554), timeout=limit_s) as peer:
            peer.settimeout(limit_s)
            peer.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
            return peer.recv(64) or None
    except OSError:
        return None


def _words(error: Exception) -> str:
    """Describe a foreign error without its file name, which is the URL with the password."""
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number in errno.errorcode:
        return str(getattr(error, "strerror", "") or errno.errorcode[number])
    return redact(str(getattr(error, "strerror", "") or type(error).__name__))


def packets_of(container: InputContainer, stream: VideoStream, source: Source) -> Iterator[Packet]:
    """Yield the packets of one stream; a file ends, a live stream raises when it does.

    Raises:
        StreamError: reading failed, or a live stream ended.

    """
    try:
        for packet in container.demux(stream):
            if packet.size:
                yield packet
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _read_error(error, source) from None
    if source.is_live:
        msg = f"{source.shown}: the server ended the stream"
        raise StreamUnavailable(msg)


def _read_error(error: Exception, source: Source) -> StreamError:
    if isinstance(error, av.ExitError | av.TimeoutError):
        return StreamSilent(f"{source.shown}: no packet for {source.read_timeout_s:g} s")
    if isinstance(error, av.InvalidDataError):
        return StreamGarbage(f"{source.shown}: data that make no sense")
    return StreamUnavailable(f"{source.shown}: {_words(error)}")

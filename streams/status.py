"""What a live camera says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class StreamState(StrEnum):
    """Where a camera stands."""

    IDLE = "idle"
    """Not started yet."""
    CONNECTING = "connecting"
    """A connection is being made, or is made and has not shown a picture yet."""
    LIVE = "live"
    """Pictures come in."""
    WAITING = "waiting"
    """The last connection failed; the next try comes after a pause."""
    ENDED = "ended"
    """A file or folder has been read to its end; nothing more will come."""
    STOPPED = "stopped"
    """Stopped by its owner."""


class StreamReason(StrEnum):
    """Why a camera is not live. A frozen picture is judged by :mod:`streams.freeze`, from frames."""

    UNREACHABLE = "unreachable"
    """No connection, no answer, or the connection was lost."""
    SILENT = "silent"
    """Connected, but no packet came within the read time limit."""
    REFUSED = "refused"
    """The camera refuses the credentials (401, 403)."""
    NOT_FOUND = "not_found"
    """The server answers, but has no such stream (404), or the file is not there."""
    GARBAGE = "garbage"
    """Data come, but no picture can be decoded from them."""
    END_OF_FILE = "end_of_file"
    """A file or folder has been read to its end."""
    INTERNAL = "internal"
    """A fault of ours; the log has the traceback."""


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """A snapshot of one camera's state and counters.

    Attributes:
        state: where it stands.
        reason: why it is not live; None while live, connecting for the first time or stopped.
        detail: the last failure in words, without credentials; empty if none.
        last_packet_at: aware UTC arrival of the newest packet.
        last_captured_at: aware UTC capture time of the newest decoded picture.
        last_captured_monotonic_s: the same on the monotonic clock.
        connects: connections that succeeded, over the camera's life.
        failures: connections that failed or broke, over the camera's life.
        failures_in_row: the same since a picture was last decoded.
        retry_in_s: pause before the next try, as drawn; 0 unless waiting.
        packets, pictures: packets received, pictures decoded.
        dropped: pictures decoded and overwritten before anybody took them.
        decode_errors: packets from which no picture could be decoded.
        codec, width_px, height_px: of the current or last connection; empty or 0 before the first.
        ring_bytes: bytes in the packet ring.

    """

    state: StreamState = StreamState.IDLE
    reason: StreamReason | None = None
    detail: str = ""
    last_packet_at: datetime | None = None
    last_captured_at: datetime | None = None
    last_captured_monotonic_s: float | None = None
    connects: int = 0
    failures: int = 0
    failures_in_row: int = 0
    retry_in_s: float = 0.0
    packets: int = 0
    pictures: int = 0
    dropped: int = 0
    decode_errors: int = 0
    codec: str = ""
    width_px: int = 0
    height_px: int = 0
    ring_bytes: int = 0

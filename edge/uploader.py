"""Evidence to the central side: HTTP PUT by digest, one file after the other, in a thread of its own.

Alerts never wait for it. Pictures go before clips. A file that central has stays here for a while
and is then deleted by the index; one that central will never take is set aside and counted.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from edge.backoff import Backoff
from edge.evidence_index import EvidenceIndex, Upload
from edge.links import CentralLink
from towerwatch.errors import ConfigError, RetryableError
from towerwatch.logs import get_logger

log = get_logger(__name__)

CHUNK_BYTES = 64 * 1024
# what says that this very file will never be taken; all else may heal
PERMANENT_STATUS = frozenset({400, 404, 405, 409, 410, 411, 413, 414, 415, 422})
UNAUTHORISED_STATUS = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class UploaderTerms:
    """Times of the uploader, in seconds."""

    idle_s: float = 2.0
    backoff_first_s: float = 1.0
    backoff_cap_s: float = 300.0
    connect_timeout_s: float = 5.0
    transfer_timeout_s: float = 30.0


class _Stopped(Exception):
    """The box is stopping in the middle of a transfer."""


def central_client(link: CentralLink, *, connect_s: float = 5.0, transfer_s: float = 30.0) -> httpx.Client:
    """Make the HTTP client towards the central side, with the box's token."""
    return httpx.Client(
        base_url=link.url,
        headers={"Authorization": f"Bearer {link.token.reveal()}"},
        verify=link.tls(),
        timeout=httpx.Timeout(transfer_s, connect=connect_s),
        follow_redirects=False,
        trust_env=False,
    )


class Uploader:
    """Sends what is queued. ``start`` and ``stop`` from one thread, the rest from any."""

    def __init__(self, link: CentralLink, index: EvidenceIndex, terms: UploaderTerms | None = None) -> None:
        """Store what is needed; nothing is sent before :meth:`start`."""
        self._link = link
        self._index = index
        self._terms = terms or UploaderTerms()
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self.trouble = ""

    def start(self) -> None:
        """Begin to send."""
        self._thread = threading.Thread(target=self._run, name="uploader", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Break off and end; what was not sent stays queued. Return whether it ended in time."""
        self._stopping.set()
        self._wake.set()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def wake(self) -> None:
        """Say that there is something new to send."""
        self._wake.set()

    def _run(self) -> None:
        backoff = Backoff(self._terms.backoff_first_s, self._terms.backoff_cap_s)
        while not self._stopping.is_set():
            try:
                with central_client(
                    self._link,
                    connect_s=self._terms.connect_timeout_s,
                    transfer_s=self._terms.transfer_timeout_s,
                ) as client:
                    while not self._stopping.is_set():
                        if self._send_next(client):
                            backoff.reset()
                            self.trouble = ""
                        else:
                            self._wake.wait(self._terms.idle_s)
                            self._wake.clear()
            except _Stopped:
                return
            except (httpx.HTTPError, RetryableError, ConfigError, OSError) as error:
                self._pause(backoff, f"{type(error).__name__}: {error}")
            except Exception as error:  # the loop of a thread that must not end; traceback
                log.exception("uploader failed")
                self._pause(backoff, type(error).__name__)

    def _pause(self, backoff: Backoff, why: str) -> None:
        self.trouble = why
        pause_s = backoff.pause_s()
        log.warning("evidence cannot be sent", why=why, retry_in_s=round(pause_s, 1))
        self._stopping.wait(pause_s)

    def _send_next(self, client: httpx.Client) -> bool:
        """Send one file; return False when there is none to send."""
        upload = self._index.next_upload()
        if upload is None:
            return False
        if not _whole(upload):
            log.error("evidence file is gone or cut short", sha256=upload.sha256)
            self._index.settle_upload(upload.sha256, "lost")
            return True
        response = client.put(
            f"/evidence/{upload.sha256}",
            content=self._chunks(upload.path),
            headers={"Content-Type": upload.media_type, "Content-Length": str(upload.bytes)},
        )
        if response.status_code in {httpx.codes.OK, httpx.codes.CREATED, httpx.codes.NO_CONTENT}:
            self._index.settle_upload(upload.sha256, "stored")
            return True
        if response.status_code in PERMANENT_STATUS:
            log.error("central refuses evidence", sha256=upload.sha256, status=response.status_code)
            self._index.settle_upload(upload.sha256, "refused")
            return True
        hint = " (token refused; enrol the box again)" if response.status_code in UNAUTHORISED_STATUS else ""
        msg = f"central answered {response.status_code}{hint}"
        raise RetryableError(msg)

    def _chunks(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                if self._stopping.is_set():
                    raise _Stopped
                yield chunk


def _whole(upload: Upload) -> bool:
    try:
        return upload.path.stat().st_size == upload.bytes
    except OSError:
        return False

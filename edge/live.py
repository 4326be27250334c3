"""Live looks: small pictures of a camera, about one a second, for as long as central keeps asking.

Each request is a lease of some seconds; when nobody renews it, the box stops by itself. Between looks there
is no thread, no picture and nothing on the wire.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import httpx

from edge.links import CentralLink
from edge.records import Snapshot
from edge.uploader import central_client
from towerwatch.errors import ConfigError, RetryableError
from towerwatch.logs import get_logger

log = get_logger(__name__)

WIDTH_PX = 960
PACE_S = 1.0
PICTURE_S = 5.0  # a camera that is looked at every two seconds gives one in two
MAX_CAMERAS = 4
GONE = 410  # nobody looks any more

Look = Callable[[str], Snapshot]


class LiveLooks:
    """Looks at cameras while they are leased, each in a thread of its own that ends with the lease.

    ``lease`` from the command thread, ``stop`` from the supervisor's.
    """

    def __init__(self, look: Look, link: CentralLink, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Store what is needed; ``look`` takes one small picture of a camera."""
        self._look = look
        self._link = link
        self._clock = clock
        self._until_s: dict[str, float] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def lease(self, camera: str, seconds: float) -> None:
        """Look at a camera for so long, or for so long from now on.

        Raises:
            RetryableError: as many cameras are looked at as one box does at a time.

        """
        with self._lock:
            if camera not in self._until_s and len(self._until_s) >= MAX_CAMERAS:
                msg = f"{MAX_CAMERAS} cameras are looked at already"
                raise RetryableError(msg)
            begun = camera in self._until_s
            self._until_s[camera] = self._clock() + seconds
            if not begun and not self._stopping.is_set():
                thread = threading.Thread(
                    target=self._run, args=(camera,), name=f"live-{camera}", daemon=True
                )
                self._threads[camera] = thread
                thread.start()

    def stop(self, timeout_s: float) -> bool:
        """End all looks; return whether that was in time."""
        self._stopping.set()
        end_s = time.monotonic() + timeout_s
        with self._lock:
            threads = list(self._threads.values())
        for thread in threads:
            thread.join(max(0.0, end_s - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _run(self, camera: str) -> None:
        log.info("live look begins", camera=camera)
        sent = 0
        try:
            with central_client(self._link, connect_s=3.0, transfer_s=5.0) as client:
                while self._leased(camera):
                    began_s = time.monotonic()
                    sent += self._show(client, camera)
                    self._stopping.wait(max(0.0, began_s + PACE_S - time.monotonic()))
        except ConfigError as error:
            log.warning("central cannot be reached", why=str(error))
            with self._lock:
                self._forget(camera)
        log.info("live look ends", camera=camera, pictures=sent)

    def _leased(self, camera: str) -> bool:
        """Say whether somebody still looks; who asks after this begins anew."""
        with self._lock:
            if not self._stopping.is_set() and self._clock() < self._until_s[camera]:
                return True
            self._forget(camera)
            return False

    def _forget(self, camera: str) -> None:
        del self._until_s[camera], self._threads[camera]

    def _end(self, camera: str) -> None:
        with self._lock:
            self._until_s[camera] = self._clock()

    def _show(self, client: httpx.Client, camera: str) -> bool:
        """Take a picture and send it; say whether central took it."""
        snapshot = self._look(camera)
        if snapshot.picture is None:
            return False
        headers = {"Content-Type": "image/jpeg"}
        try:
            answer = client.put(f"/live/{camera}", content=snapshot.picture, headers=headers)
        except httpx.HTTPError as error:
            log.warning("live picture not sent", camera=camera, why=str(error) or type(error).__name__)
            return False
        if answer.status_code == GONE:
            self._end(camera)
        return answer.is_success

"""The web server as a part of central: uvicorn in a thread of its own."""

from __future__ import annotations

import gc
import socket
import threading
import time

import uvicorn
from starlette.types import ASGIApp

from alerts.config import ServeSettings
from alerts.parts import BEAT_S, beat
from alerts.store.database import Database
from alerts.tls import check_files
from towerwatch.errors import TowerwatchError

START_S = 30.0
GRACE_S = 2  # for answers under way; live streams are cut


def settle() -> None:
    """Leave what is there by now out of garbage collections.

    Modules and tables stay as long as the process, and a full collection that looks at them all holds
    everybody up for about 0.2 s.
    """
    gc.collect()
    gc.freeze()


class ServeError(TowerwatchError):
    """The web server does not start."""


class WebServer:
    """Serves one application until stopped."""

    name = "serve"

    def __init__(self, app: ASGIApp, settings: ServeSettings, database: Database) -> None:
        """Keep what it needs; :meth:`start` binds the port."""
        self._settings = settings
        self._database = database
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=GRACE_S,
                server_header=False,
                ssl_certfile=str(settings.certificate) if settings.certificate else None,
                ssl_keyfile=str(settings.key) if settings.key else None,
                forwarded_allow_ips="127.0.0.1" if settings.behind_tls_proxy else None,
                proxy_headers=settings.behind_tls_proxy,
            )
        )
        self._ending = threading.Event()
        self._beats: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it listens; known after :meth:`start`."""
        if self._socket is None:
            msg = "the web server has not been started"
            raise ServeError(msg)
        scheme = "https" if self._settings.certificate else "http"
        host, port = self._socket.getsockname()[:2]
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    def start(self) -> None:
        """Bind and serve; raise :class:`ServeError` if that fails, ConfigError for unusable files of TLS."""
        settings = self._settings
        check_files("serve", certificate=settings.certificate, key=settings.key)
        try:
            family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
            self._socket = socket.create_server((settings.host, settings.port), family=family, backlog=512)
        except OSError as error:
            msg = f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"
            raise ServeError(msg) from None
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name=self.name, daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.stop(1.0)
                msg = "the web server ended at its start; the log says why"
                raise ServeError(msg)
            time.sleep(0.02)
        settle()
        # not in the thread that waits for signals: a database that hangs must not hold up the stop
        self._beats = threading.Thread(
            target=self._beat, args=(self.url,), name=f"{self.name}-beat", daemon=True
        )
        self._beats.start()

    def _beat(self, url: str) -> None:
        while True:
            beat(self._database, self.name, {"listening": url})
            if self._ending.wait(BEAT_S):
                return

    def stop(self, timeout_s: float) -> bool:
        """Stop after the answers under way; False if that takes longer."""
        self._server.should_exit = True
        self._ending.set()
        ended, deadline_s = True, time.monotonic() + timeout_s
        for thread in (self._thread, self._beats):
            if thread is not None:
                thread.join(max(0.0, deadline_s - time.monotonic()))
                ended = ended and not thread.is_alive()
        if self._socket is not None:
            self._socket.close()
        return ended

    def alive(self) -> bool:
        """Say whether it serves."""
        return self._thread is not None and self._thread.is_alive()

"""Run parts of central in one process: start in order, watch, stop in order under one deadline."""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy.exc import DBAPIError

from alerts.areas.service import AreaService
from alerts.catalogue.service import CatalogueService
from alerts.config import CentralConfig
from alerts.consume import Consumer
from alerts.handling import Handling, handling_of
from alerts.http.app import create_app
from alerts.http.context import make_context
from alerts.inbox import is_away
from alerts.notices import unknown_channels
from alerts.retention import Keeper
from alerts.services.people import ADMIN, PeopleService
from alerts.store import migrate
from alerts.store.database import Database, sqlite_path
from alerts.ticker import Ticker
from alerts.web import WebServer
from alerts.webhooks import WebhookSender
from alerts.work import Worker
from towerwatch.errors import ConfigError, TowerwatchError
from towerwatch.logs import get_logger

STOP_S = 10.0
WATCH_S = 0.5
DATABASE_WAIT_S = 60.0
# A batch of 500 messages is 10,000 objects without a circle among them: with Python's own threshold, 700,
# the search for circles was a third of the consumer's CPU time.
COLLECT_AFTER = 50_000

log = get_logger(__name__)


class Part(Protocol):
    """What a program is made of."""

    name: str

    def start(self) -> None:
        """Begin; raise what keeps it from beginning."""
        ...

    def stop(self, timeout_s: float) -> bool:
        """End within the time given; False if it does not."""
        ...

    def alive(self) -> bool:
        """Say whether it still does its work."""
        ...


class DatabaseUnreachable(TowerwatchError):
    """The database did not answer in time at the start."""


@dataclass
class Program:
    """Parts, started in the order given and stopped in the reverse."""

    parts: Sequence[Part]
    stop_s: float = STOP_S
    _stop: threading.Event = field(default_factory=threading.Event)
    _started: list[Part] = field(default_factory=list)

    def run(self, on_ready: Callable[[], None] = lambda: None) -> int:
        """Run until SIGTERM, SIGINT or the death of a part; return the exit code."""
        previous = {
            number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)
        }
        collect_after = gc.get_threshold()
        gc.set_threshold(COLLECT_AFTER, *collect_after[1:])
        try:
            self.start()
            on_ready()
            died = self._watch()
        finally:
            stopped = self.stop()
            gc.set_threshold(*collect_after)
            for number, handler in previous.items():
                signal.signal(number, handler)
        return 1 if died or not stopped else 0

    def start(self) -> None:
        """Start every part; if one cannot, those before it are stopped by :meth:`stop`."""
        for part in self.parts:
            part.start()
            self._started.append(part)
            log.info("started", part=part.name)

    def stop(self) -> bool:
        """Stop what was started, in reverse, under one deadline; False if a part would not end."""
        deadline = time.monotonic() + self.stop_s
        good = True
        while self._started:
            part = self._started.pop()
            ended = part.stop(max(0.1, deadline - time.monotonic()))
            good = good and ended
            log.log(20 if ended else 40, "stopped" if ended else "does not stop", part=part.name)
        return good

    def _watch(self) -> bool:
        while not self._stop.wait(WATCH_S):
            for part in self.parts:
                if not part.alive():
                    # better to end and be started again as a whole than to run on with a hole
                    log.error("a part has died", part=part.name)
                    return True
        return False

    def _on_signal(self, _number: int, _frame: Any) -> None:
        self._stop.set()


def open_database(config: CentralConfig, *, wait_s: float = DATABASE_WAIT_S) -> Database:
    """Open the database at its newest schema; wait for a server that is not up yet.

    Raises:
        DatabaseUnreachable: it did not answer within ``wait_s``.

    """
    config.data_dir.mkdir(parents=True, exist_ok=True)
    database = Database(config.database_url())
    file = sqlite_path(config.database_url())
    if file is not None and not file.exists():
        # a mistyped folder would otherwise look like a central that has forgotten everything
        log.warning("there was no database here; a new one is made", database=str(file))
    deadline = time.monotonic() + wait_s
    while True:
        try:
            migrate.upgrade(database)
        except DBAPIError as error:
            if not is_away(error) or time.monotonic() > deadline:
                database.close()
                msg = f"the database does not answer: {error.orig}"
                raise DatabaseUnreachable(msg) from None
            log.warning("waiting for the database", error=str(error.orig))
            time.sleep(min(1.0, wait_s))
        else:
            return database


@contextmanager
def alone(database: Database, *parts: str) -> Iterator[None]:
    """Keep a second central from running the same parts on the same SQLite file, whose writers share a disk.

    Raises:
        ConfigError: another process runs one of them.

    """
    file = sqlite_path(str(database.engine.url)) if database.is_sqlite else None
    if file is None:
        yield
        return
    with ExitStack() as held:
        for part in parts:
            handle = held.enter_context(file.with_suffix(f".{part}.lock").open("a+"))
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.seek(0)
                owner = handle.read().strip() or "unknown"
                msg = f"{file}: process {owner} runs `{part}` on it; stop it, or give another --data-dir"
                raise ConfigError(msg) from None
            handle.truncate(0)
            handle.write(f"{os.getpid()}\n")
            handle.flush()
        yield


def consume_parts(config: CentralConfig, database: Database, workers: Sequence[Worker] = ()) -> list[Part]:
    """Return the consumer; it wakes the workers of its own process."""

    def wake() -> None:
        for worker in workers:
            worker.wake()

    return [Consumer(config, database, on_commit=wake)]


def work_parts(config: CentralConfig, database: Database) -> tuple[list[Worker], list[Part]]:
    """Return the workers (one on SQLite, whose writers take turns anyway), and senders and the ticker."""
    catalogues = CatalogueService(database)
    catalogues.ensure_starter()
    count = 1 if database.is_sqlite else config.work.workers
    handling = handling_of(config)
    workers = [Worker(database, config.work, handling.targets, index=index) for index in range(count)]
    webhooks = [WebhookSender(database, item) for item in config.webhooks]
    told = [target.name for target in handling.targets]
    if unknown := unknown_channels(catalogues.get().catalogue.flows, told):
        log.info("channels that the catalogue names are not in the configuration", channels=unknown)
    return workers, [*webhooks, *_people_senders(config, database, handling), Ticker(database, handling)]


def _people_senders(config: CentralConfig, database: Database, handling: Handling) -> list[Part]:
    if not config.notify:
        return []
    from alerts.notify import PeopleSender  # noqa: PLC0415 - Apprise is loaded only where somebody is told by it

    areas = AreaService(database, handling.calendar.zone)
    return [PeopleSender(database, item, areas, config.console.timezone) for item in config.notify]


def serve_parts(config: CentralConfig, database: Database) -> tuple[WebServer, Keeper]:
    """Return the web server with API and console, and what keeps its evidence within bounds."""
    CatalogueService(database).ensure_starter()
    context = make_context(config, database)
    keeper = Keeper(database, context.evidence, config.evidence, context.player.forget)
    return WebServer(create_app(context), config.serve, database), keeper


def first_password(database: Database) -> str | None:
    """Make the first administrator if there is nobody; return the line that tells the password, once."""
    password = PeopleService(database).ensure_admin()
    if password is None:
        return None
    return f"first start: log in as {ADMIN} with password {password} (shown this once)"

"""Live events: one thread reads the table of changes and hands them to whoever listens.

The table is what joins the processes: ``work`` writes a change in the transaction that makes it, and
every ``serve`` reads it. A slow listener slows nobody: its queue is bounded, and when it overflows it is
told to read everything again (topic ``resync``).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Literal, cast

from sqlalchemy import Row, func, or_, select
from sqlalchemy.exc import DBAPIError

from alerts.services.views import ChangeView
from alerts.store.database import Database
from alerts.store.tables import Change
from towerwatch.logs import get_logger
from towerwatch.timebase import utc_now

POLL_S = 0.4
QUEUE = 256
# PostgreSQL hands out ids before commit, so a lower id can become visible after a higher one:
# numbers that were passed over are asked for again, for so long and so many at most
LOOK_BACK = timedelta(seconds=20)
MAX_MISSING = 5000

log = get_logger(__name__)


class Subscription:
    """One listener's bounded queue, on its own event loop; iterate over it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make an empty queue that belongs to ``loop``."""
        self._loop = loop
        self._queue: asyncio.Queue[ChangeView] = asyncio.Queue(QUEUE)

    def __aiter__(self) -> AsyncIterator[ChangeView]:
        """Iterate for ever."""
        return self

    async def __anext__(self) -> ChangeView:
        """Wait for the next change."""
        return await self._queue.get()

    def offer(self, changes: list[ChangeView]) -> None:
        """Hand over changes from the reading thread; a loop that is closed is ignored."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._put, changes)

    def _put(self, changes: list[ChangeView]) -> None:
        for change in changes:
            if self._queue.full():
                while not self._queue.empty():
                    self._queue.get_nowait()
                self._queue.put_nowait(
                    change.model_copy(update={"topic": "resync", "ref": "", "action": "overflow"})
                )
                return
            self._queue.put_nowait(change)


class LiveService:
    """Fan changes out to listeners."""

    def __init__(self, database: Database) -> None:
        """Keep the database; :meth:`start` begins to read."""
        self._database = database
        self._listeners: set[Subscription] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._missing: dict[int, datetime] = {}  # id -> when it was passed over
        self._after: int | None = None

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """Listen from now on; call it inside a running event loop, iterate with ``async for``."""
        subscription = Subscription(asyncio.get_running_loop())
        with self._lock:
            self._listeners.add(subscription)
        try:
            yield subscription
        finally:
            with self._lock:
                self._listeners.discard(subscription)

    def start(self) -> None:
        """Start the reading thread; what is written from now on is heard of."""
        self._stop.clear()
        with suppress(DBAPIError):  # away for now; the thread finds the end of the table when it is back
            self.poll()
        self._thread = threading.Thread(target=self._run, name="live-changes", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop reading; a second call does nothing."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._thread = None

    def poll(self) -> list[ChangeView]:
        """Read what is new since the last call; the first call only finds the end of the table."""
        now = utc_now()
        with self._database.read() as session:
            if self._after is None:
                ids = session.scalars(select(Change.id).order_by(Change.id.desc()).limit(MAX_MISSING)).all()
                self._pass_over(ids[-1] - 1 if ids else 0, ids[0] if ids else 0, ids, now)
                return []
            rows = session.execute(
                select(Change.id, Change.at, Change.topic, Change.ref, Change.action)
                .where(or_(Change.id > self._after, Change.id.in_(self._missing)))
                .order_by(Change.id)
            ).all()
            if not rows and (session.scalar(select(func.max(Change.id))) or 0) < self._after:
                self._after = 0  # all have been pruned, and SQLite begins anew with its numbers
        if rows:
            self._pass_over(self._after, max(self._after, rows[-1].id), (row.id for row in rows), now)
        return [_view(row) for row in rows]

    def _pass_over(self, after: int, end: int, found: Iterable[int], now: datetime) -> None:
        """Note which ids up to the end, which is read up to from now on, have not been found."""
        here = set(found)
        young = {key: at for key, at in self._missing.items() if key not in here and at > now - LOOK_BACK}
        passed = {key: now for key in range(max(after, end - MAX_MISSING) + 1, end + 1) if key not in here}
        self._missing, self._after = young | passed, end

    def _run(self) -> None:
        while not self._stop.wait(POLL_S):
            try:
                changes = self.poll()
            except DBAPIError as error:
                log.warning("live changes cannot be read", error=str(error.orig))
                continue
            if changes:
                with self._lock:
                    listeners = tuple(self._listeners)
                for listener in listeners:
                    listener.offer(changes)


def _view(row: Row[int, datetime, str, str, str]) -> ChangeView:
    topic = cast("Literal['incident', 'camera', 'edge', 'resync']", row.topic)
    return ChangeView(id=row.id, at=row.at, topic=topic, ref=row.ref, action=row.action)

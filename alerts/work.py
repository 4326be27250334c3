"""``central work``: take rows from the inbox and apply them; poison rows are set aside with a reason.

Several workers, on several machines, share one PostgreSQL (``FOR UPDATE SKIP LOCKED``); SQLite has one.
A row is taken, applied and marked done in one transaction: a worker killed at any moment leaves it pending.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from alerts.apply import Told, apply_messages
from alerts.config import WorkSettings
from alerts.inbox import is_away
from alerts.messages import AlertMessage
from alerts.outbox import Target
from alerts.parts import BEAT_S, beat
from alerts.store.database import Database
from alerts.store.tables import Change, Command, DeadLetter, Delivery, InboxRow
from alerts.thread_part import ThreadPart
from towerwatch.logs import get_logger
from towerwatch.secrets import redact
from towerwatch.timebase import iso_z, utc_now

IDLE_S = 0.2
PRUNE_EVERY_S = 600.0
PRUNE_PIECE = 5000
KEEP_CHANGES = timedelta(hours=1)
KEEP_DELIVERIES = timedelta(days=30)  # commands too
KEEP_LETTERS = timedelta(days=90)
MAX_ERROR = 1024

log = get_logger(__name__)


class Worker(ThreadPart):
    """The thread that applies inbox rows."""

    def __init__(
        self, database: Database, settings: WorkSettings, targets: Sequence[Target] = (), *, index: int = 0
    ) -> None:
        """Keep what it needs; ``targets`` are told of what happens to incidents."""
        super().__init__(f"work-{index}")
        self._database = database
        self._settings = settings
        self._targets = tuple(targets)
        self._awake = threading.Event()
        self._applied = 0
        self._prunes = index == 0

    def wake(self) -> None:
        """Look at the inbox now; the consumer of the same process calls it after a commit."""
        self._awake.set()

    def stop(self, timeout_s: float) -> bool:
        """Stop after the batch that is being applied; False if that takes longer."""
        self._stop.set()
        self._awake.set()
        return super().stop(timeout_s)

    def work_off(self, batch: int | None = None) -> int:
        """Apply one batch of rows in one transaction; return how many it took.

        A row that cannot be applied is found by applying the rows one by one, each behind a savepoint.
        """
        now = utc_now()
        # a time further away than any wait was written by a clock that has been set back since
        beyond = now + timedelta(seconds=2.0**self._settings.max_tries)
        due = (
            select(InboxRow)
            .where(
                InboxRow.state == "pending",
                or_(InboxRow.next_try_at <= now, InboxRow.next_try_at > beyond),
            )
            .order_by(InboxRow.id)
            .limit(batch or self._settings.batch)
        )
        with self._database.read() as session:  # a look that takes no write lock
            if session.scalar(due.with_only_columns(InboxRow.id).limit(1)) is None:
                return 0
        with self._database.write() as session:
            rows = session.scalars(due.with_for_update(skip_locked=True)).all()
            if not self._apply(session, rows):
                session.expire_all()
                for row_id in [row.id for row in rows]:
                    self._apply_alone(session, row_id)
        self._applied += len(rows)
        return len(rows)

    def _apply(self, session: Session, rows: Sequence[InboxRow]) -> bool:
        """Apply rows together; False, and nothing of them, where one of them cannot be."""
        try:
            with self._database.savepoint(session):
                self._apply_rows(session, rows)
        except Exception as error:  # the per-message guard; which one it is shows when each is applied alone
            if isinstance(error, DBAPIError) and is_away(error):
                raise
            return False
        return True

    def _apply_alone(self, session: Session, row_id: int) -> None:
        try:
            with self._database.savepoint(session):
                self._apply_rows(session, [session.get_one(InboxRow, row_id)])
        except Exception as error:  # the per-message guard: one poison row must not stop the others
            if isinstance(error, DBAPIError) and is_away(error):
                raise
            session.expire_all()
            self._set_aside(session, row_id, error)

    def _apply_rows(self, session: Session, rows: Sequence[InboxRow]) -> None:
        told = [Told(AlertMessage.model_validate_json(row.body), row.received_at) for row in rows]
        apply_messages(self._database, session, told, self._targets)
        done = {"state": "done", "done_at": utc_now(), "error": None}
        session.execute(update(InboxRow).where(InboxRow.id.in_([row.id for row in rows])).values(done))

    def _set_aside(self, session: Session, row_id: int, error: Exception) -> None:
        row = session.get_one(InboxRow, row_id)
        row.tries += 1
        row.error = redact(f"{type(error).__name__}: {error}").replace("\0", "\\0")[:MAX_ERROR]
        row.next_try_at = utc_now() + timedelta(seconds=2.0**row.tries)
        if row.tries >= self._settings.max_tries:
            row.state = "parked"
        log.error(
            "inbox row cannot be applied",
            row=row_id,
            tries=row.tries,
            state=row.state,
            error=row.error,
            traceback="".join(traceback.format_exception(error)),
        )

    def _run(self) -> None:
        batch, wait_s = self._settings.batch, IDLE_S
        next_beat = next_prune = time.monotonic()
        while not self._stop.is_set():
            try:
                taken = self.work_off(batch)
                batch, wait_s = self._settings.batch, IDLE_S
                if self._prunes and time.monotonic() >= next_prune:
                    next_prune = time.monotonic() + PRUNE_EVERY_S
                    prune(self._database, utc_now(), self._settings.keep_inbox_days)
            except DBAPIError as error:
                # away, or two workers stood in each other's way: smaller steps, and a pause
                log.warning("batch not applied; it will be tried again", error=str(error.orig))
                taken, batch, wait_s = 0, 1, min(10.0, wait_s * 2)
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + BEAT_S
                beat(self._database, self.name, {"applied": self._applied})
            if not taken:
                self._awake.wait(wait_s)
                self._awake.clear()


def prune(database: Database, now: datetime, keep_inbox_days: int) -> None:
    """Delete inbox rows that are done, deliveries that are sent, old commands, changes that all have seen."""
    while _prune_inbox(database, now - timedelta(days=keep_inbox_days)):
        pass
    with database.write() as session:
        session.execute(delete(Change).where(Change.at < now - KEEP_CHANGES))
        session.execute(
            delete(Delivery).where(Delivery.state == "sent", Delivery.sent_at < now - KEEP_DELIVERIES)
        )
        old = Command.sent_at < now - KEEP_DELIVERIES
        session.execute(
            delete(Command).where(old, or_(Command.incident_id.is_(None), Command.settled_at < now))
        )
        session.execute(delete(DeadLetter).where(DeadLetter.last_at < now - KEEP_LETTERS))


def _prune_inbox(database: Database, before: datetime) -> int:
    """Delete the oldest rows that were done before then, a piece at a time; return how many.

    A city's inbox holds millions: the index leads to the oldest, and no look goes further than a piece.
    """
    oldest = select(InboxRow.id, InboxRow.done_at).where(InboxRow.state == "done").order_by(InboxRow.id)
    with database.write() as session:
        piece = session.execute(oldest.limit(PRUNE_PIECE)).all()
        old = [row_id for row_id, done_at in piece if done_at is not None and done_at < before]
        if old:
            session.execute(delete(InboxRow).where(InboxRow.id.in_(old)))
        return len(old)


def list_parked(database: Database) -> list[dict[str, Any]]:
    """Return inbox rows that were set aside, with their reasons."""
    with database.read() as session:
        return [
            {
                "inbox": row.id,
                "edge": row.edge,
                "alert_id": row.alert_id,
                "phase_seq": row.phase_seq,
                "reason": row.error,
                "received_at": iso_z(row.received_at),
            }
            for row in session.scalars(
                select(InboxRow).where(InboxRow.state == "parked").order_by(InboxRow.id)
            )
        ]


def retry_parked(database: Database) -> int:
    """Give parked rows a new chance, after a repair; return how many."""
    with database.write() as session:
        done = session.execute(
            update(InboxRow)
            .where(InboxRow.state == "parked")
            .values(state="pending", tries=0, next_try_at=utc_now())
            .returning(InboxRow.id)
        )
        return len(done.all())

"""Messages that wait for central's own acknowledgement, bounded in bytes, and what was open.

A row leaves on central's ack alone. When the bound is reached the order of sacrifice is: updates,
oldest first; then closed, oldest first; an opened last of all. What is given up is counted.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from alerts.messages import AlertMessage, OutboxHealth, Phase, encode
from edge.store import Store
from towerwatch.timebase import utc_now

ROW_OVERHEAD_BYTES = 256  # keys, index entries and page slack of a row, rounded up
CLOSED_KEPT = 500  # closed alerts remembered for reconciliation
SACRIFICE = (Phase.UPDATED, Phase.CLOSED, Phase.OPENED)


@dataclass(frozen=True, slots=True)
class Row:
    """One message that waits. ``age_s`` is how long it has been held back, in seconds."""

    seq: int
    age_s: float
    payload: bytes


@cache
def kernel_boot_id() -> str:
    """Return the kernel's id of this boot; empty where it has none. Monotonic times compare within it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class Outbox:
    """The outbox of one box. Methods with a connection run inside the caller's transaction."""

    def __init__(self, store: Store, limit_bytes: int) -> None:
        """Work on an open store; ``limit_bytes`` bounds payloads and their overhead."""
        self._store = store
        self.limit_bytes = limit_bytes

    @property
    def outbox_id(self) -> str:
        """Id of this database; minted once when it was made."""
        return self._store.outbox_id

    def reserve(self, connection: sqlite3.Connection) -> int:
        """Take the next sequence number; see :meth:`edge.store.Store.reserve`."""
        return self._store.reserve(connection)

    def put(self, connection: sqlite3.Connection, message: AlertMessage) -> None:
        """Store one message and remember it as the latest word on its alert.

        Raises:
            ValueError: it exceeds the contract's size; nothing was stored.

        """
        payload = encode(message)
        connection.execute(
            "INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                message.outbox_seq,
                message.alert_id,
                message.phase.value,
                time.time(),
                time.monotonic(),
                kernel_boot_id(),
                payload,
                len(payload) + ROW_OVERHEAD_BYTES,
            ),
        )
        opened = payload if message.phase is Phase.OPENED else None
        connection.execute(
            "INSERT INTO alert VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (alert_id) DO UPDATE SET"
            " phase=excluded.phase, last=excluded.last, updated_at=excluded.updated_at,"
            " opened=coalesce(excluded.opened, alert.opened)",
            (
                message.alert_id,
                message.camera,
                message.kind.value,
                message.phase.value,
                opened,
                payload,
                time.time(),
            ),
        )
        connection.execute(
            "DELETE FROM alert WHERE phase='closed' AND alert_id NOT IN"
            " (SELECT alert_id FROM alert WHERE phase='closed' ORDER BY updated_at DESC LIMIT ?)",
            (CLOSED_KEPT,),
        )
        self._make_room(connection)

    def acknowledge(self, outbox_id: str, sequences: Sequence[int]) -> int:
        """Delete what central has committed; return how many rows that were.

        An ack for another database (set aside since) deletes nothing.
        """
        if outbox_id != self.outbox_id:
            return 0
        with self._store.transaction() as connection:
            before = connection.total_changes
            connection.executemany("DELETE FROM outbox WHERE seq=?", [(seq,) for seq in sequences])
            return connection.total_changes - before

    def sequences(self, limit: int) -> list[int]:
        """Return the oldest sequence numbers that wait."""
        with self._store.reading() as connection:
            return [
                row[0] for row in connection.execute("SELECT seq FROM outbox ORDER BY seq LIMIT ?", (limit,))
            ]

    def row(self, seq: int) -> Row | None:
        """Return one row; None if it has left meanwhile."""
        with self._store.reading() as connection:
            found = connection.execute(
                "SELECT created_at, created_mono, kernel_boot, payload FROM outbox WHERE seq=?", (seq,)
            ).fetchone()
        if found is None:
            return None
        created, mono, boot, payload = found
        same_boot = boot == kernel_boot_id()
        return Row(seq, time.monotonic() - mono if same_boot else time.time() - created, bytes(payload))

    def open_ids(self) -> tuple[str, ...]:
        """Return the ids of alerts that were opened and not closed, oldest word first."""
        with self._store.reading() as connection:
            rows = connection.execute("SELECT alert_id FROM alert WHERE phase<>'closed' ORDER BY updated_at")
            return tuple(row[0] for row in rows)

    def open_of(self, camera: str) -> dict[str, AlertMessage]:
        """Return the latest message of each open alert of a camera, by alert id."""
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT alert_id, last FROM alert WHERE camera=? AND phase<>'closed'", (camera,)
            ).fetchall()
        return {row[0]: AlertMessage.model_validate_json(row[1]) for row in rows}

    def cameras_with_open_alerts(self) -> frozenset[str]:
        """Return the cameras that have an open alert."""
        with self._store.reading() as connection:
            return frozenset(
                row[0]
                for row in connection.execute("SELECT DISTINCT camera FROM alert WHERE phase<>'closed'")
            )

    def resend(self, alert_ids: Iterable[str] | None = None) -> tuple[int, tuple[str, ...]]:
        """Queue the opened and the latest phase of alerts again, under new sequence numbers.

        Args:
            alert_ids: which; None for all that are open.

        Returns:
            how many messages were queued, and the ids that this box does not know.

        """
        wanted = self.open_ids() if alert_ids is None else tuple(dict.fromkeys(alert_ids))
        queued, unknown = 0, []
        for alert_id in wanted:
            with self._store.transaction() as connection:
                row = connection.execute(
                    "SELECT opened, last FROM alert WHERE alert_id=?", (alert_id,)
                ).fetchone()
                if row is None:
                    unknown.append(alert_id)
                    continue
                payloads = dict.fromkeys(bytes(item) for item in row if item is not None)
                for payload in payloads:
                    message = AlertMessage.model_validate_json(payload)
                    again = {"outbox_seq": self.reserve(connection), "outbox_id": self.outbox_id}
                    self.put(connection, message.model_copy(update=again))
                    queued += 1
        return queued, tuple(unknown)

    def health(self, evidence_depth: int, evidence_bytes: int) -> OutboxHealth:
        """Return the outbox's part of the health message."""
        with self._store.reading() as connection:
            # over the covering index: the payloads are not touched
            depth, size, first = connection.execute(
                "SELECT count(*), coalesce(sum(bytes), 0), coalesce(min(seq), 0) FROM outbox"
            ).fetchone()
            row = connection.execute("SELECT created_at FROM outbox ORDER BY seq LIMIT 1").fetchone()
            meta: dict[str, str] = dict(connection.execute("SELECT key, value FROM meta").fetchall())
        return OutboxHealth(
            outbox_id=self.outbox_id,
            depth=depth,
            bytes=size,
            oldest_at=None if row is None else datetime.fromtimestamp(row[0], UTC),
            first_seq=first,
            last_seq=int(meta.get("last_seq", 0)),
            dropped_updates=int(meta.get("dropped_updates", 0)),
            dropped_alerts=int(meta.get("dropped_alerts", 0)),
            evidence_depth=evidence_depth,
            evidence_bytes=evidence_bytes,
        )

    def _make_room(self, connection: sqlite3.Connection) -> None:
        total = connection.execute("SELECT coalesce(sum(bytes), 0) FROM outbox").fetchone()[0]
        for phase in SACRIFICE:
            while total > self.limit_bytes:
                row = connection.execute(
                    "SELECT seq, bytes FROM outbox WHERE phase=? ORDER BY seq LIMIT 1", (phase.value,)
                ).fetchone()
                if row is None:
                    break
                connection.execute("DELETE FROM outbox WHERE seq=?", (row[0],))
                total -= row[1]
                count_up(connection, "dropped_updates" if phase is Phase.UPDATED else "dropped_alerts")


def count_up(connection: sqlite3.Connection, counter: str, by: int = 1) -> None:
    """Add to a counter that survives restarts."""
    connection.execute(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + ?",
        (counter, str(by), by),
    )


def closing(message: AlertMessage, reason: str) -> AlertMessage:
    """Return the closed phase that follows ``message``, for an episode that nothing watches any more."""
    now = utc_now()
    update: dict[str, Any] = {
        "phase": Phase.CLOSED,
        "phase_seq": message.phase_seq + 1,
        "ended_at": max(now, message.started_at),
        "captured_at": now,
        "reason": reason,
        "evidence": (),
        "historical": False,
    }
    return message.model_copy(update=update)


def mark_historical(payload: bytes) -> bytes:
    """Return the message with ``historical`` set; it was held back by an outage."""
    document = json.loads(payload)
    document["historical"] = True
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()

"""The box's database: SQLite in WAL mode, every commit on the disk before it counts.

One process, the supervisor, opens it; its threads share one connection under one lock. What must
survive a power cut together is written in one :meth:`Store.transaction`.

::

    RetryableError
    ├── StoreFull      the disk has no room: nothing was written, try again later
    └── StoreCorrupt   the file is damaged: reopen, which sets it aside and starts afresh
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import uuid
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Self

from edge.watermark import Watermark
from towerwatch.errors import ConfigError, RetryableError
from towerwatch.logs import get_logger
from towerwatch.timebase import utc_now

log = get_logger(__name__)

FILE_NAME = "outbox.sqlite"
SCHEMA_VERSION = 1
KEPT_CORRUPT = 2  # damaged databases kept for an engineer to look at
_SIDECARS = ("", "-wal", "-shm")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS camera_state (
    camera TEXT PRIMARY KEY, state BLOB NOT NULL, saved_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, alert_id TEXT NOT NULL, phase TEXT NOT NULL,
    created_at REAL NOT NULL, created_mono REAL NOT NULL, kernel_boot TEXT NOT NULL,
    payload BLOB NOT NULL, bytes INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS outbox_sacrifice ON outbox (phase, seq, bytes);
CREATE TABLE IF NOT EXISTS alert (
    alert_id TEXT PRIMARY KEY, camera TEXT NOT NULL, kind TEXT NOT NULL, phase TEXT NOT NULL,
    opened BLOB, last BLOB NOT NULL, updated_at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alert_phase ON alert (phase, updated_at);
CREATE TABLE IF NOT EXISTS evidence (
    sha256 TEXT PRIMARY KEY, media_type TEXT NOT NULL, bytes INTEGER NOT NULL, state TEXT NOT NULL,
    first_role TEXT NOT NULL, created_at REAL NOT NULL, stored_at REAL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS evidence_state ON evidence (state, created_at);
CREATE TABLE IF NOT EXISTS evidence_ref (
    alert_id TEXT NOT NULL, role TEXT NOT NULL, sha256 TEXT NOT NULL,
    PRIMARY KEY (alert_id, role, sha256)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS evidence_ref_sha256 ON evidence_ref (sha256);
"""
_CORRUPT_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class StoreFull(RetryableError):
    """The database cannot be written now: disk full, quota, or a passing input/output error."""


class StoreCorrupt(RetryableError):
    """The database file is damaged; reopening sets it aside."""


class Store:
    """The open database. Use as a context manager; every method raises the errors above."""

    def __init__(self, folder: Path) -> None:
        """Remember where the database lies; :meth:`open` opens it."""
        self.folder = folder
        self.path = folder / FILE_NAME
        self._watermark = Watermark(folder)
        self.outbox_id = ""
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._wanted = False  # between open and close: a connection that could not be made is tried again

    def __enter__(self) -> Self:
        """Open."""
        self.open()
        return self

    def __exit__(self, *_exc: object) -> None:
        """Close."""
        self.close()

    def open(self) -> None:
        """Open or create the database; a damaged one is set aside and a fresh one made.

        Raises:
            ConfigError: the folder cannot be used at all.
            StoreFull: there is no room to create or open it.

        """
        with self._lock:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                msg = f"data_dir {self.folder} cannot be made: {error.strerror}"
                raise ConfigError(msg) from None
            try:
                self._connect()
            except StoreCorrupt as error:
                self._set_aside(str(error))
                self._connect()
            self._wanted = True

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        with self._lock:
            self._wanted = False
            self._disconnect()

    def reopen(self) -> None:
        """Close and open again, setting a damaged file aside; without room now, the next use tries again."""
        with self._lock:
            self._disconnect()
            self._set_aside("found damaged while running")
            self._connect()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a block as one transaction, on the disk when it ends; roll back if it raises."""
        with self._lock, _errors():
            connection = self._usable()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Run a block of plain reads under the lock."""
        with self._lock, _errors():
            yield self._usable()

    def states(self) -> Mapping[str, bytes]:
        """Return the stored state of every camera, JSON by camera id."""
        with self.reading() as connection:
            rows = connection.execute("SELECT camera, state FROM camera_state").fetchall()
        return {row[0]: bytes(row[1]) for row in rows}

    def forget_states(self, keys: Collection[str]) -> None:
        """Delete stored states that nothing will continue from."""
        with self.transaction() as connection:
            connection.executemany("DELETE FROM camera_state WHERE camera=?", [(key,) for key in keys])

    def _usable(self) -> sqlite3.Connection:
        if self._connection is None and self._wanted:
            self._connect()
        if self._connection is None:
            raise StoreFull("the database is closed")
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _connect(self) -> None:
        """Connect, check and complete the file; a connection that is not fit for use is not kept."""
        try:
            self._prepare()
        except BaseException:
            self._disconnect()
            raise

    def _prepare(self) -> None:
        # autocommit mode: transactions are the explicit ones alone
        with _errors():
            connection = sqlite3.connect(
                self.path, timeout=5.0, isolation_level=None, check_same_thread=False
            )
            self._connection = connection
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA journal_size_limit=16777216")
            verdict = _verdict(connection)
            if verdict != "ok":
                msg = f"{self.path}: {verdict}"
                raise StoreCorrupt(msg)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in {0, SCHEMA_VERSION}:
                msg = (
                    f"{self.path} was written by another version (schema {version}, here {SCHEMA_VERSION});"
                    " install that version or move the file away"
                )
                raise ConfigError(msg)
            connection.executescript(_SCHEMA)
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            connection.execute("INSERT OR IGNORE INTO meta VALUES ('outbox_id', ?)", (uuid.uuid4().hex,))
            meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
            self.outbox_id = str(meta["outbox_id"])
            if self._last_known() > int(meta.get("last_seq", 0)):
                self._rename_outbox(connection)

    def _last_known(self) -> int:
        try:
            return self._watermark.last_of(self.outbox_id)
        except OSError as error:
            log.warning("last sequence number cannot be read", why=str(error))
            return 0

    def _rename_outbox(self, connection: sqlite3.Connection) -> None:
        """Give a database that is older than what it has sent another id, also in what waits in it."""
        former, self.outbox_id = self.outbox_id, uuid.uuid4().hex
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE meta SET value=? WHERE key='outbox_id'", (self.outbox_id,))
        connection.execute(
            "UPDATE outbox SET payload = CAST(json_set(CAST(payload AS TEXT), '$.outbox_id', ?) AS BLOB)",
            (self.outbox_id,),
        )
        connection.execute("COMMIT")
        log.warning("database was put back from a backup", former=former, outbox_id=self.outbox_id)

    def reserve(self, connection: sqlite3.Connection) -> int:
        """Take the next sequence number; never given twice, whatever is acked, deleted or restored."""
        row = connection.execute("SELECT value FROM meta WHERE key='last_seq'").fetchone()
        seq = int(row[0]) + 1 if row else 1
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('last_seq', ?)", (str(seq),))
        try:
            self._watermark.note(self.outbox_id, seq)
        except OSError as error:
            msg = f"last sequence number cannot be written: {error.strerror}"
            raise StoreFull(msg) from None
        return seq

    def _set_aside(self, why: str) -> None:
        stamp = utc_now().strftime("%Y%m%dT%H%M%S%f")
        aside = self.path.with_name(f"{FILE_NAME}.corrupt-{stamp}")
        log.error(
            "database damaged, set aside; a fresh one takes over, unsent alerts in it are lost to this box",
            path=str(self.path), aside=str(aside), why=why,
        )  # fmt: skip
        for suffix in _SIDECARS:
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self.path}{suffix}", f"{aside}{suffix}")  # noqa: PTH105 - names with suffixes, as text
        old = sorted(self.folder.glob(f"{FILE_NAME}.corrupt-*"))
        names = sorted({path.name.removesuffix("-wal").removesuffix("-shm") for path in old})
        for path in old:
            if not path.name.startswith(tuple(names[-KEPT_CORRUPT:])):
                path.unlink(missing_ok=True)


def _verdict(connection: sqlite3.Connection) -> str:
    """Return ``ok``, or what is wrong with the file.

    The quick check alone is not believed: SQLite 3.40 finds NULL where there is none in a table
    WITHOUT ROWID whose key is not in the order of its columns (seen here on a sound database).
    """
    quick = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    return quick if quick == "ok" else str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Turn SQLite's errors into ours, by what the caller can do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _CORRUPT_CODES:
            msg = f"database damaged: {error}"
            raise StoreCorrupt(msg) from error
        if isinstance(error, sqlite3.OperationalError):
            msg = f"database cannot be written: {error}"
            raise StoreFull(msg) from error
        raise

"""The engine and its transactions: SQLite in WAL mode or PostgreSQL, through the same code."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Table, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from alerts.store import audit
from towerwatch.errors import ConfigError

BUSY_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5
# a server whose machine or cable is gone says nothing: without these a query waits for two hours
SILENT_SERVER = {
    "keepalives_idle": 10,  # s
    "keepalives_interval": 5,  # s
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # ms
}
# and the server must notice within half a minute that a client's machine is gone, whose locks others wait for
SILENT_CLIENT = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
Insert = sqlite.Insert | postgresql.Insert


class Database:
    """One engine and the two kinds of transaction.

    On SQLite a writer takes the write lock at once (``BEGIN IMMEDIATE``), so that a read that turns
    into a write can never fail half way; readers see a snapshot and never wait. ``synchronous`` is
    FULL: what was acknowledged to a box must survive a power cut.
    """

    def __init__(self, url: str) -> None:
        """Make the engine; nothing connects yet."""
        self.engine = _engine(url)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        snapshot = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self._reader = self.engine.execution_options(towerwatch_begin="BEGIN", **snapshot)
        self._writer = self.engine.execution_options(towerwatch_begin="BEGIN IMMEDIATE")

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Run a block in one transaction: commit at its end, roll back on any error.

        What the block recorded for the audit is chained as the last thing before the commit.
        """
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session
            audit.append(session)

    @contextmanager
    def savepoint(self, session: Session) -> Iterator[None]:
        """Run a part of a transaction that may fail by itself: its changes and its audit are taken back."""
        kept = audit.pending(session)
        try:
            with session.begin_nested():
                yield
        except BaseException:
            audit.forget(session, kept)
            raise

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Run a block of queries over one snapshot; nothing is ever committed."""
        with Session(self._reader, expire_on_commit=False) as session:
            yield session  # leaving closes the session, which ends the transaction without expiring rows

    def insert(self, table: type[Any] | Table) -> Insert:
        """Return this database's own INSERT, which knows ``on_conflict_do_…``."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def lock(self, session: Session, name: str) -> None:
        """Hold a named lock until the transaction ends; SQLite's writer is alone anyway."""
        self.lock_all(session, [name])

    def lock_all(self, session: Session, names: Iterable[str]) -> None:
        """Hold several, taken in an order that is the same for everybody, so that none waits in a circle."""
        keys = sorted({lock_key(name) for name in names})
        if keys and not self.is_sqlite:
            query = "SELECT pg_advisory_xact_lock(key) FROM unnest(CAST(:keys AS bigint[])) AS key"
            session.execute(text(query), {"keys": keys})

    def ping(self) -> None:
        """Ask the database for an answer; raise what SQLAlchemy raises if it gives none."""
        with self._reader.connect() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def lock_key(name: str) -> int:
    """Return a signed 64-bit number for PostgreSQL's advisory locks, the same in every process."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)


def sqlite_path(url: str) -> Path | None:
    """Return the file of a SQLite address; None for other databases."""
    parsed = make_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def _engine(url: str) -> Engine:
    backend = make_url(url).get_backend_name()
    if backend == "sqlite":
        engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S}, pool_size=8, max_overflow=32)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if backend == "postgresql":
        # a server restart breaks pooled connections: pre-ping replaces them before they are used
        return create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            pool_size=8,
            max_overflow=32,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_S,
                "options": f"-c timezone=utc {SILENT_CLIENT}",
                **SILENT_SERVER,
            },
        )
    msg = f"database: {backend} is not supported; use sqlite:///FILE or postgresql://HOST/NAME"
    raise ConfigError(msg)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # our own BEGIN below; the driver's implicit one starts too late and breaks savepoints
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={int(BUSY_TIMEOUT_S * 1000)}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("towerwatch_begin", "BEGIN IMMEDIATE"))

"""One of several that run: who holds a lock of the database leads, for as long as it is connected.

PostgreSQL gives the lock back when the leader's connection ends: at once when its process dies, within half a
minute when its machine or cable is gone (keepalives: ``alerts/store/database.py``).
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from alerts.store.database import Database, lock_key


class Leadership:
    """The lock of one name, and the connection that holds it.

    On SQLite, whose file one process alone may consume into, it is always held.
    """

    def __init__(self, database: Database, name: str) -> None:
        """Keep what it needs; nothing is taken yet."""
        self._database = database
        self._key = lock_key(f"lead {name}")
        self._connection: Connection | None = None

    def held(self) -> bool:
        """Say whether we lead, taking the lead if it is free.

        Raises:
            DBAPIError: the database does not answer, so that nobody leads or knows who does.

        """
        if self._database.is_sqlite:
            return True
        if self._connection is not None:
            try:
                self._connection.execute(text("SELECT 1"))
            except DBAPIError:  # it ended, and the lock with it
                self.give_up()
        if self._connection is None:
            self._connection = self._try()
        return self._connection is not None

    def give_up(self) -> None:
        """End the connection, and so the lead."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _try(self) -> Connection | None:
        connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key}):
            return connection
        connection.close()
        return None

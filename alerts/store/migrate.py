"""Bring a database to the newest schema, one process at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import text
from sqlalchemy.engine import Connection

from alerts.store.database import Database, lock_key, sqlite_path
from towerwatch.errors import ConfigError, TowerwatchError

SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(database: Database, revision: str = "head") -> None:
    """Run the migrations that are missing; safe when several parts of central start at once.

    Raises:
        ConfigError: the schema is none that we know: a newer version has been here.

    """
    with _alone(database), database.engine.connect() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        try:
            with _committing(database, connection):
                command.upgrade(config, revision)
        except CommandError as error:
            where = database.engine.url.render_as_string()
            msg = f"{where}: of another version of Towerwatch, newer than this one: {error}"
            raise ConfigError(msg) from None


def alembic_config() -> Config:
    """Return the configuration that finds the migration scripts inside the package."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    return config


@contextmanager
def _committing(database: Database, connection: Connection) -> Iterator[None]:
    """Commit a migration. SQLite changes a table by copying it, which what refers to the table must allow."""
    if not database.is_sqlite:
        yield
        connection.commit()
        return
    raw: Any = connection.connection.dbapi_connection
    raw.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
        if broken := raw.execute("PRAGMA foreign_key_check").fetchone():
            msg = f"not migrated: rows of table {broken[0]} refer to rows of {broken[2]} that are gone"
            raise TowerwatchError(msg)
        connection.commit()
    finally:
        connection.rollback()
        raw.execute("PRAGMA foreign_keys=ON")


@contextmanager
def _alone(database: Database) -> Iterator[None]:
    file = sqlite_path(str(database.engine.url)) if database.is_sqlite else None
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.with_suffix(".migrate.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        return
    key = {"key": lock_key("towerwatch migrate")}
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), key)
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)

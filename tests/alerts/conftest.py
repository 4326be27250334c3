"""Fixtures of the central side: every database test runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from components import Postgres

from alerts.config import CentralConfig, ConsoleSettings
from alerts.services.bundle import Services, open_services
from alerts.store import migrate
from alerts.store.database import Database

_numbers = itertools.count()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file at the newest schema, to copy: migrating for each test would take most of the time."""
    file = tmp_path_factory.mktemp("template") / "central.db"
    database = Database(f"sqlite:///{file}")
    migrate.upgrade(database)
    database.close()
    return file


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Postgres) -> str:
    """Name of a PostgreSQL database at the newest schema, to copy."""
    name = "central_template"
    database = Database(postgres.new_database(name))
    migrate.upgrade(database)
    database.close()
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "central.db")
        return f"sqlite:///{tmp_path / 'central.db'}"
    template = request.getfixturevalue("migrated_postgres")
    cluster = request.getfixturevalue("postgres")
    name = f"t_{next(_numbers)}"
    cluster.sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return f"postgresql+psycopg://towerwatch@127.0.0.1:{cluster.port}/{name}"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty database at the newest schema."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite(migrated_file: Path, tmp_path: Path) -> Iterator[Database]:
    """An empty SQLite database, where the kind of database does not matter."""
    shutil.copy(migrated_file, tmp_path / "central.db")
    opened = Database(f"sqlite:///{tmp_path / 'central.db'}")
    yield opened
    opened.close()


@pytest.fixture
def services(database: Database) -> Services:
    return open_services(database)


@pytest.fixture
def config(tmp_path: Path) -> CentralConfig:
    return CentralConfig(data_dir=tmp_path / "data", console=ConsoleSettings(enabled=False))


@pytest.fixture
def services_of() -> Callable[[Database], Services]:
    """Make services over a database that a test holds itself."""
    return open_services

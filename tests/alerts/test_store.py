import socket
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from central_kit import alert, apply_all
from sqlalchemy import insert, inspect, select, text
from sqlalchemy.exc import IntegrityError, StatementError

from alerts.store import migrate
from alerts.store.base import Base
from alerts.store.database import Database, lock_key, sqlite_path
from alerts.store.tables import Alert, Camera, Change
from towerwatch.errors import ConfigError


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request, tmp_path):
    url = (
        f"sqlite:///{tmp_path}/new/e.db"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_url")
    )
    database = Database(url)
    yield database
    database.close()


def test_the_migrations_make_what_the_tables_say_and_take_it_back(empty):
    migrate.upgrade(empty)
    with empty.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        assert set(inspect(connection).get_table_names()) == {*Base.metadata.tables, "alembic_version"}
        config = migrate.alembic_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        connection.commit()
        assert inspect(connection).get_table_names() == ["alembic_version"]


def test_parts_that_start_together_migrate_once(empty):
    errors = []

    def start():
        try:
            migrate.upgrade(empty)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    with empty.read() as session:
        assert session.scalar(text("SELECT count(*) FROM alembic_version")) == 1


def test_a_database_of_a_newer_version_is_refused_in_one_line(database):
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match=r"newer than this one: Can't locate revision identified by '9999'"):
        migrate.upgrade(database)


def test_foreign_keys_hold(database):
    with pytest.raises(IntegrityError), database.write() as session:
        session.add(Camera(edge="nobody", camera="c", state_since=datetime.now(UTC)))


def test_a_write_that_fails_is_rolled_back_whole(database):
    def fail():
        with database.write() as session:
            session.add(Change(at=datetime.now(UTC), topic="edge", ref="a", action="b"))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with database.read() as session:
        assert session.scalars(select(Change)).all() == []


def test_times_come_back_as_aware_utc(database):
    east = datetime(2026, 1, 1, 8, 30, tzinfo=timezone(timedelta(hours=8)))
    with database.write() as session:
        session.add(Change(at=east, topic="edge", ref="a", action="b"))
    with database.read() as session:
        found = session.scalars(select(Change.at)).one()
    assert found == east
    assert found.utcoffset() == timedelta(0)


def test_a_naive_time_never_gets_in(sqlite):
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - on purpose
    with pytest.raises(StatementError, match="naive"), sqlite.write() as session:
        session.execute(insert(Change).values(at=naive, topic="edge", ref="a", action="b"))


def test_readers_do_not_wait_for_a_writer(sqlite):
    apply_all(sqlite, [alert()])
    with sqlite.write() as writer:
        writer.add(Change(at=datetime.now(UTC), topic="edge", ref="a", action="b"))
        writer.flush()
        with sqlite.read() as reader:
            assert len(reader.scalars(select(Alert)).all()) == 1


def test_what_is_acknowledged_survives_a_power_cut(sqlite):
    with sqlite.engine.connect() as connection:
        values = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")
        ]
    assert values == ["wal", 2]


def test_other_databases_are_refused():
    with pytest.raises(ConfigError, match="mysql is not supported"):
        Database("mysql://a/b")


def test_names_of_locks_and_files():
    assert lock_key("a") == lock_key("a") != lock_key("b")
    assert sqlite_path("postgresql://a/b") is None
    assert sqlite_path("sqlite:////x/y.db").name == "y.db"


def test_a_postgresql_server_that_falls_silent_is_given_up_in_half_a_minute(postgres_url):
    database = Database(postgres_url)
    with database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        with socket.fromfd(driver.fileno(), socket.AF_INET, socket.SOCK_STREAM) as twin:

            def option(name):
                return twin.getsockopt(socket.IPPROTO_TCP, name)

            idle_s, every_s = option(socket.TCP_KEEPIDLE), option(socket.TCP_KEEPINTVL)
            assert idle_s + every_s * option(socket.TCP_KEEPCNT) <= 30
            assert 0 < option(socket.TCP_USER_TIMEOUT) <= 30_000
    database.close()

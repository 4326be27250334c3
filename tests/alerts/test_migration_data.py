"""What lay in a database of the first schema is there after the migration, under its new names."""

import pytest
from alembic import command
from sqlalchemy import text

from alerts.store import migrate
from alerts.store.database import Database

AT = "'2026-06-01 04:00:00+00:00'"
STATES = ("to_verify", "confirmed", "dismissed", "closed")
NOW = {"to_verify": "to_verify", "confirmed": "filed", "dismissed": "dismissed", "closed": "closed"}


@pytest.fixture(params=["sqlite", "postgresql"])
def old(request, tmp_path):
    sqlite = request.param == "sqlite"
    database = Database(f"sqlite:///{tmp_path}/old.db" if sqlite else request.getfixturevalue("postgres_url"))
    migrate.upgrade(database, "0001")
    with database.write() as session:
        for number, state in enumerate(STATES, start=1):
            session.execute(
                text(
                    "INSERT INTO incidents (id, kind, state, open, correlation_key, site, edge, camera, "
                    "started_at, last_seen_at, created_at, updated_at, confidence, alert_count, "
                    f"open_alert_count, historical, version) VALUES ({number}, 'smoke', '{state}', true, "
                    f"'k', 's', 'e', 'c', {AT}, {AT}, {AT}, {AT}, 0.5, 0, 0, false, 3)"
                )
            )
            for action in ("confirm", "close"):
                session.execute(
                    text(
                        "INSERT INTO timeline (incident_id, at, actor, action, to_state, detail) VALUES "
                        f"({number}, {AT}, 'li', '{action}', '{state}', '{{}}')"
                    )
                )
    yield database
    database.close()


def states(database):
    with database.read() as session:
        return session.scalars(text("SELECT state FROM incidents ORDER BY id")).all()


def test_states_are_mapped_there_and_back(old):
    migrate.upgrade(old)
    assert states(old) == [NOW[state] for state in STATES]
    with old.read() as session:
        filed = session.scalars(text("SELECT id FROM incidents WHERE filed_at IS NOT NULL ORDER BY id")).all()
        closed = session.scalars(text("SELECT id FROM incidents WHERE closed_at IS NOT NULL")).all()
        told = session.scalars(text("SELECT DISTINCT to_state FROM timeline WHERE incident_id = 2")).all()
    assert (filed, closed, told) == ([2, 4], [4], ["filed"])
    with old.write() as session:
        session.execute(text("UPDATE incidents SET state = 'on_site' WHERE id = 2"))
        session.execute(text("UPDATE incidents SET state = 'evaluated' WHERE id = 4"))
    with old.engine.connect() as connection:
        if old.is_sqlite:
            connection.connection.dbapi_connection.execute("PRAGMA foreign_keys=OFF")
        config = migrate.alembic_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        connection.commit()
    assert states(old) == list(STATES)

"""The audit: every change is in the chain, and what is done to the chain shows."""

import threading

import pytest
from central_kit import alert, apply_all
from sqlalchemy import delete, func, select, update
from typer.testing import CliRunner

from alerts.cli import app
from alerts.store import audit
from alerts.store.tables import AuditHead, AuditRow, TimelineEntry
from towerwatch.errors import ConfigError, TowerwatchError


def say(database, *words):
    for word in words:
        with database.write() as session:
            audit.record(session, "li", word, "thing 1", {"why": word})


def verified(database, known=None):
    with database.read() as session:
        return audit.verify(session, known)


def test_every_line_of_a_timeline_is_in_the_audit(database, services):
    apply_all(database, [alert("a"), alert("a", "closed", 1)])
    services.incidents.confirm(1, user="li")
    services.incidents.close(1, user="wang", note="拖走")
    with database.read() as session:
        lines = session.scalars(select(TimelineEntry.action).order_by(TimelineEntry.id)).all()
        rows = session.scalars(select(AuditRow).order_by(AuditRow.seq)).all()
    assert [row.action for row in rows] == lines
    assert {row.subject for row in rows} == {"incident 1"}
    assert "拖走" in rows[-1].detail
    assert verified(database).fault is None


def test_what_is_rolled_back_is_not_in_the_chain(database):
    say(database, "one")

    def fail(session):
        audit.record(session, "li", "two", "thing 1")
        raise RuntimeError

    with pytest.raises(RuntimeError), database.write() as session:
        fail(session)
    with database.write() as session:
        audit.record(session, "li", "three", "thing 1")
        with pytest.raises(RuntimeError), database.savepoint(session):
            fail(session)
    with database.read() as session:
        assert session.scalars(select(AuditRow.action).order_by(AuditRow.seq)).all() == ["one", "three"]
    assert verified(database).rows == 2


def test_writers_at_the_same_time_make_one_chain(database):
    start = threading.Barrier(4)

    def write(name):
        start.wait(10)
        say(database, *[name] * 10)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found = verified(database)
    assert (found.rows, found.fault) == (40, None)


def swap(session):
    for seq, other in ((2, 99), (3, 2), (99, 3)):
        session.execute(update(AuditRow).where(AuditRow.seq == seq).values(seq=other))


def rewrite(session):
    """Alter row 2 and give it a hash that fits, as who knows the source would."""
    row = session.get_one(AuditRow, 2)
    row.detail = '{"why":"another"}'
    before = session.get_one(AuditRow, 1).hash
    row.hash = audit.chained(before, 2, audit.Entry(row.at, row.actor, row.action, row.subject, row.detail))


def altered(seq, **values):
    return lambda session: session.execute(update(AuditRow).where(AuditRow.seq == seq).values(**values))


def deleted(seq):
    return lambda session: session.execute(delete(AuditRow).where(AuditRow.seq == seq))


TAMPERED = {
    "a text altered": (altered(2, detail="{}"), 2),
    "an actor altered": (altered(3, actor="x"), 3),
    "a hash altered": (altered(1, hash="0" * 64), 1),
    "a row deleted": (deleted(2), 2),
    "the first row deleted": (deleted(1), 1),
    "the last row deleted": (deleted(4), 4),
    "two rows swapped": (swap, 2),
    "a row rewritten with a hash that fits": (rewrite, 3),
}


@pytest.mark.parametrize(("tamper", "bad"), TAMPERED.values(), ids=TAMPERED)
def test_the_first_bad_row_is_named(sqlite, tamper, bad):
    say(sqlite, "one", "two", "three", "four")
    assert verified(sqlite).fault is None
    with sqlite.write() as session:
        tamper(session)
    assert f"row {bad} " in verified(sqlite).fault


def test_a_chain_that_was_written_anew_does_not_hold_the_end_that_was_noted(sqlite):
    say(sqlite, "one", "two")
    noted = verified(sqlite)
    say(sqlite, "three")
    assert verified(sqlite, (noted.rows, noted.head)).fault is None
    with sqlite.write() as session:
        session.execute(delete(AuditRow))
        session.execute(update(AuditHead).values(seq=0, hash=audit.GENESIS))
    say(sqlite, "uno", "dos", "tres")
    assert verified(sqlite).fault is None
    assert "row 2 is not the one that was noted" in verified(sqlite, (noted.rows, noted.head)).fault


def test_the_command_says_whether_the_chain_holds(sqlite, tmp_path, monkeypatch):
    monkeypatch.setattr("alerts.cli_base.configure_logging", lambda *_args, **_more: None)
    say(sqlite, "one", "two")

    def call(*more):
        arguments = ["audit", "verify", "--data-dir", str(tmp_path), *more]
        return CliRunner().invoke(app, arguments, catch_exceptions=False).output

    said = call()
    assert "2 rows, unbroken" in said
    assert "2 rows" in call("--known", said.split()[-1])
    with pytest.raises(ConfigError, match="SEQ:HASH"):
        call("--known", "two")
    with sqlite.write() as session:
        session.execute(delete(AuditRow).where(AuditRow.seq == 1))
    with pytest.raises(TowerwatchError, match="row 1 is missing"):
        call()


def test_many_changes_of_one_transaction_cost_one_look_at_the_end(sqlite):
    with sqlite.write() as session:
        for number in range(50):
            audit.record(session, "li", "change", f"thing {number}")
    with sqlite.read() as session:
        assert session.scalar(select(func.count()).select_from(AuditRow)) == 50
    assert verified(sqlite).fault is None

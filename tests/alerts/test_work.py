import threading

import pytest
from central_kit import T0, alert, at, hex_id, incoming, whole_life
from components import wait_until
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from alerts import work
from alerts.config import WorkSettings
from alerts.inbox import Inbox
from alerts.store.tables import Alert, Change, Delivery, InboxRow, Incident
from alerts.work import Worker, list_parked, prune, retry_parked
from towerwatch.timebase import utc_now


def put(database, *messages):
    Inbox(database).commit([incoming(message, "alert") for message in messages])


def rows(database):
    with database.read() as session:
        return session.scalars(select(InboxRow).order_by(InboxRow.id)).all()


def due_now(database):
    with database.write() as session:
        session.execute(update(InboxRow).values(next_try_at=T0))


def spoil(database, name):
    with database.write() as session:
        session.execute(update(InboxRow).where(InboxRow.alert_id == hex_id(name)).values(body='{"no": 1}'))


def test_a_poison_row_is_parked_with_its_reason_and_the_others_go_on(database, services):
    put(database, alert("poison"), alert("good", place_key="kerb/2"))
    spoil(database, "poison")
    worker = Worker(database, WorkSettings(max_tries=3))
    for _try in range(3):
        due_now(database)
        worker.work_off()
    poison, good = rows(database)
    assert (poison.state, poison.tries, good.state) == ("parked", 3, "done")
    assert "ValidationError" in poison.error
    assert worker.work_off() == 0
    assert services.incidents.list_incidents().items[0].alert_count == 1
    (parked,) = list_parked(database)
    assert parked["alert_id"] == hex_id("poison")


def test_a_row_that_failed_waits_before_it_is_tried_again(database):
    put(database, alert("poison"))
    spoil(database, "poison")
    worker = Worker(database, WorkSettings())
    assert worker.work_off() == 1
    assert worker.work_off() == 0
    assert rows(database)[0].next_try_at > utc_now()


def test_parked_rows_get_a_new_chance_after_a_repair(database):
    put(database, alert("one"))
    whole = rows(database)[0].body
    spoil(database, "one")
    worker = Worker(database, WorkSettings(max_tries=1))
    worker.work_off()
    assert rows(database)[0].state == "parked"
    with database.write() as session:
        session.execute(update(InboxRow).values(body=whole))
    assert retry_parked(database) == 1
    assert worker.work_off() == 1
    assert rows(database)[0].state == "done"


def test_several_workers_share_the_inbox_and_apply_each_row_once(database, services):
    lives = [whole_life(f"car-{n}", place_key=f"kerb/{n % 7}") for n in range(20)]
    put(database, *[message for life in lives for message in reversed(life)])
    wake = threading.Barrier(3)

    def run(worker):
        wake.wait(10)
        failures = 0
        while failures < 50:
            try:
                if not worker.work_off(5):
                    return
            except OperationalError:  # two stood in each other's way, as _run also takes it
                failures += 1

    threads = [
        threading.Thread(target=run, args=(Worker(database, WorkSettings(), index=n),)) for n in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {row.state for row in rows(database)} == {"done"}
    page = services.incidents.list_incidents()
    assert len(page.items) == 7
    assert sum(item.alert_count for item in page.items) == 20
    with database.read() as session:
        assert set(session.scalars(select(Alert.phase))) == {"closed"}


def test_the_thread_works_when_woken_and_stops(sqlite, services_of):
    worker = Worker(sqlite, WorkSettings())
    worker.start()
    assert worker.alive()
    put(sqlite, alert("one"))
    worker.wake()
    wait_until(lambda: services_of(sqlite).incidents.list_incidents().items, 10)
    wait_until(lambda: "work-0" in services_of(sqlite).fleet.parts(), 10)
    assert worker.stop(5)
    assert not worker.alive()


def test_the_thread_outlives_a_database_that_fails(sqlite, services_of, monkeypatch):
    worker = Worker(sqlite, WorkSettings())
    good, calls = worker.work_off, []

    def flaky(batch):
        calls.append(batch)
        if len(calls) == 1:
            raise OperationalError("select", {}, OSError("gone"))
        return good(batch)

    monkeypatch.setattr(worker, "work_off", flaky)
    monkeypatch.setattr(work, "IDLE_S", 0.01)
    put(sqlite, alert("one"))
    worker.start()
    wait_until(lambda: services_of(sqlite).incidents.list_incidents().items, 10)
    assert worker.stop(5)
    assert calls[:2] == [200, 1]


def test_a_database_that_goes_in_mid_batch_leaves_the_rows_pending(sqlite, monkeypatch):
    def away(*_args):
        raise OperationalError("insert", {}, OSError("gone"))

    put(sqlite, alert("one"))
    monkeypatch.setattr(work, "apply_messages", away)
    with pytest.raises(OperationalError):
        Worker(sqlite, WorkSettings()).work_off()
    assert [(row.state, row.tries) for row in rows(sqlite)] == [("pending", 0)]


def test_a_worker_that_was_never_started_stops_too(sqlite):
    worker = Worker(sqlite, WorkSettings())
    assert worker.stop(1)
    assert not worker.alive()


def test_pruning_deletes_what_is_done_with_and_nothing_else(database, monkeypatch):
    monkeypatch.setattr(work, "PRUNE_PIECE", 2)
    put(database, alert("old"), alert("new", place_key="kerb/2"), alert("pending", place_key="kerb/3"))
    Worker(database, WorkSettings()).work_off(2)
    now = utc_now()
    with database.write() as session:
        session.execute(
            update(InboxRow)
            .where(InboxRow.alert_id == hex_id("old"))
            .values(done_at=now - (at(8 * 86400) - at(0)))
        )
        session.execute(update(Change).values(at=now - (at(3700) - at(0))))
        for key, state in (("a", "sent"), ("b", "pending")):
            session.add(
                Delivery(
                    key=key,
                    target="t",
                    event="e",
                    body="",
                    state=state,
                    created_at=T0,
                    next_try_at=T0,
                    sent_at=T0,
                )
            )
    prune(database, now, 7)
    with database.read() as session:
        assert {row.alert_id for row in session.scalars(select(InboxRow))} == {
            hex_id("new"),
            hex_id("pending"),
        }
        assert session.scalars(select(Change)).all() == []
        assert session.scalars(select(Delivery.key)).all() == ["b"]
        assert len(session.scalars(select(Incident)).all()) == 2

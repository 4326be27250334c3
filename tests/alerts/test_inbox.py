import json

import pytest
from central_kit import OUTBOX, T0, alert, health, hex_id, incoming, status, whole_life
from sqlalchemy import select
from sqlalchemy.exc import DataError, OperationalError

from alerts.config import WorkSettings
from alerts.inbox import (
    Bad,
    DatabaseAway,
    Inbox,
    Incoming,
    list_dead_letters,
    outbox_of,
    read,
    retry_dead_letters,
)
from alerts.messages import MAX_MESSAGE_BYTES, ReplyMessage, encode
from alerts.store.tables import Command, DeadLetter, Edge, InboxRow, OutboxStream
from alerts.work import Worker


def rows(database, table):
    with database.read() as session:
        return session.scalars(select(table)).all()


def broken(**changes):
    """An alert that does not fit the contract, whose outbox place can still be read."""
    return json.dumps({**json.loads(encode(alert(outbox_seq=77))), **changes}).encode()


TOPIC = "towerwatch/v1/riverside/box-1/alert"
UNUSABLE = {
    "not JSON": (TOPIC, b"\xff{", "Invalid JSON", None),
    "a list": (TOPIC, b"[1]", "should be", None),
    "an unknown field": (TOPIC, broken(colour="red"), "colour", (OUTBOX, 77)),
    "a newer contract": (TOPIC, broken(schema_version=2), "schema_version", (OUTBOX, 77)),
    "another box's words": (TOPIC, broken(edge="box-2"), "says it is of riverside/box-2", (OUTBOX, 77)),
    "another site's words": (TOPIC, broken(site="hill"), "says it is of hill/box-1", (OUTBOX, 77)),
    "too large": (TOPIC, b"x" * (MAX_MESSAGE_BYTES + 1), "the contract allows", None),
    "a foreign topic": ("towerwatch/v2/a/b/alert", b"{}", "not a topic of the contract", None),
    "a place that is none": (TOPIC, broken(outbox_seq=0), "outbox_seq", None),
}


@pytest.mark.parametrize(("topic", "payload", "reason", "place"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_cannot_be_used_says_why_and_where_it_lay(topic, payload, reason, place):
    bad = read(Incoming(topic, payload, T0))
    assert isinstance(bad, Bad)
    assert reason in bad.reason
    assert bad.outbox == place


@pytest.mark.parametrize(
    "document",
    [
        {"outbox_id": "A" * 32, "outbox_seq": 1},
        {"outbox_id": OUTBOX, "outbox_seq": True},
        {"outbox_id": OUTBOX, "outbox_seq": "1"},
        {"outbox_id": OUTBOX, "outbox_seq": 2**63},
        {"outbox_id": [], "outbox_seq": 1},
    ],
    ids=["upper case", "a truth", "text", "beyond 64 bit", "a list"],
)
def test_a_place_that_the_outbox_cannot_have_is_not_acknowledged(document):
    assert outbox_of(json.dumps(document).encode()) is None


def test_deeply_nested_json_is_no_reason_to_fall():
    assert outbox_of(b"[" * 100_000) is None


def test_a_batch_is_committed_and_then_acknowledged_per_box(database):
    batch = [
        *(incoming(alert(f"a{n}", outbox_seq=n), "alert") for n in (3, 1, 2)),
        incoming(alert("b", edge="box-2", outbox_seq=9), "alert", edge="box-2"),
        incoming(status(online=True), "status"),
    ]
    acks = {str(ack.address): ack.sequences for ack in Inbox(database).commit(batch)}
    assert acks == {TOPIC: (1, 2, 3), TOPIC.replace("box-1", "box-2"): (9,)}
    assert {(row.edge, row.outbox_seq, row.state) for row in rows(database, InboxRow)} == {
        ("box-1", 1, "pending"),
        ("box-1", 2, "pending"),
        ("box-1", 3, "pending"),
        ("box-2", 9, "pending"),
    }
    assert {(row.id, row.online) for row in rows(database, Edge)} == {("box-1", True), ("box-2", False)}


def test_a_repeat_is_acknowledged_again_and_kept_once(database):
    message = incoming(alert(outbox_seq=5), "alert")
    inbox = Inbox(database)
    first, second = inbox.commit([message, message]), inbox.commit([message])
    assert first == second
    assert second[0].sequences == (5,)
    assert len(rows(database, InboxRow)) == 1


def test_poison_is_buried_once_counted_and_does_not_block_the_outbox(database):
    good, poison = incoming(alert(outbox_seq=78), "alert"), incoming(broken(colour="red"), "alert")
    inbox = Inbox(database)
    (ack,) = inbox.commit([poison, good])
    assert ack.sequences == (77, 78)
    (again,) = inbox.commit([poison])
    assert again.sequences == (77,)
    (letter,) = list_dead_letters(database)
    assert letter["times"] == 2
    assert "colour" in letter["reason"]
    assert letter["topic"] == TOPIC
    assert len(rows(database, InboxRow)) == 1


def test_a_box_stays_in_its_site(database):
    inbox = Inbox(database)
    inbox.commit([incoming(status(online=True), "status")])
    moved = incoming(alert(site="hill", outbox_seq=4), "alert", site="hill")
    (ack,) = inbox.commit([moved])
    assert ack.sequences == (4,)
    assert "belongs to site riverside" in list_dead_letters(database)[0]["reason"]


def test_a_revoked_box_is_neither_heard_nor_acknowledged(database):
    inbox = Inbox(database)
    inbox.commit([incoming(status(online=True), "status")])
    with database.write() as session:
        session.get(Edge, "box-1").revoked_at = T0
    assert inbox.commit([incoming(alert(), "alert")]) == []
    assert "revoked" in list_dead_letters(database)[0]["reason"]
    assert rows(database, InboxRow) == []


def test_what_the_database_refuses_does_not_take_the_batch_along(database, monkeypatch):
    """PostgreSQL takes no NUL in text; a health message may hold one."""
    detail = {"camera": "c", "state": "fresh", "covered_s": 1, "analysed": 1, "dropped": 0, "interval_s": 2}
    poison = health(cameras=({**detail, "detail": "a\0b"},))
    inbox = Inbox(database)
    if database.is_sqlite:  # which takes it: stand in for the refusal
        keep = inbox._apply_other

        def refuse(session, edge, item, bad, now):
            if item.raw.payload == encode(poison):
                raise DataError("insert", {}, ValueError("NUL"))
            keep(session, edge, item, bad, now)

        monkeypatch.setattr(inbox, "_apply_other", refuse)
    acks = inbox.commit([incoming(poison, "health"), incoming(alert(outbox_seq=3), "alert")])
    assert [ack.sequences for ack in acks] == [(3,)]
    assert "refused by the database" in list_dead_letters(database)[0]["reason"]


TOO_MUCH = {
    "a sequence beyond 64 bits": (alert(), "alert", {"outbox_seq": 2**70}),
    "a phase beyond 64 bits": (alert(phase="updated", seq=1), "alert", {"phase_seq": 2**70}),
}


@pytest.mark.parametrize(("message", "channel", "changes"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_a_value_that_no_column_holds_is_buried_and_the_consumer_lives(database, message, channel, changes):
    poison = json.dumps({**json.loads(encode(message)), **changes}).encode()
    acks = Inbox(database).commit([incoming(poison, channel), incoming(alert(outbox_seq=3), "alert")])
    assert 3 in {seq for ack in acks for seq in ack.sequences}
    assert "refused by the database" in list_dead_letters(database)[0]["reason"]
    assert [row.outbox_seq for row in rows(database, InboxRow)] == [3]


def test_a_database_that_is_away_commits_and_acknowledges_nothing(sqlite, monkeypatch):
    def away(*_args):
        raise OperationalError("insert", {}, OSError("gone"))

    inbox = Inbox(sqlite)
    monkeypatch.setattr(inbox, "_insert_alerts", away)
    with pytest.raises(DatabaseAway, match="gone"):
        inbox.commit([incoming(alert(), "alert")])
    assert rows(sqlite, Edge) == []


def test_dead_letters_go_in_after_an_upgrade(database, monkeypatch):
    inbox = Inbox(database)
    newer = incoming(alert("late", outbox_seq=12), "alert")
    with monkeypatch.context() as older:
        older.setattr("alerts.inbox.decode", lambda *_: (_ for _ in ()).throw(ValueError("too new")))
        inbox.commit([newer, incoming(b"never", "alert")])
    assert len(rows(database, DeadLetter)) == 2
    assert retry_dead_letters(database) == (1, 1)
    assert [row.alert_id for row in rows(database, InboxRow)] == [hex_id("late")]
    assert [bytes(row.payload) for row in rows(database, DeadLetter)] == [b"never"]


def test_a_reply_is_kept_with_its_command_and_a_stray_one_buried(database):
    inbox = Inbox(database)
    inbox.commit([incoming(status(online=True), "status")])
    with database.write() as session:
        session.add(Command(id=hex_id("ask"), edge="box-1", name="reconcile", created_at=T0))
    for name in ("ask", "never asked"):
        reply = ReplyMessage(command_id=hex_id(name), at=T0, ok=True, detail="done", result={"resent": 1})
        inbox.commit([incoming(reply, "reply")])
    (command,) = rows(database, Command)
    assert (command.ok, command.detail, command.result) == (True, "done", {"resent": 1})
    assert "never sent" in list_dead_letters(database)[0]["reason"]


def test_gaps_in_the_sequence_are_seen_and_filled(database):
    inbox = Inbox(database)
    inbox.commit([incoming(alert(f"a{n}", outbox_seq=n), "alert") for n in (1, 2, 5)])
    (stream,) = rows(database, OutboxStream)
    assert (stream.highest_seq, stream.missing) == (5, [[3, 4]])
    inbox.commit([incoming(alert("a4", outbox_seq=4), "alert")])
    inbox.commit([incoming(health(depth=1, first_seq=4, last_seq=5), "health")])
    (stream,) = rows(database, OutboxStream)
    assert (stream.missing, stream.lost) == ([], 1)


def test_a_worker_applies_what_the_inbox_holds(database, services):
    Inbox(database).commit([incoming(message, "alert") for message in whole_life()])
    worker = Worker(database, WorkSettings())
    assert worker.work_off() == 3
    assert worker.work_off() == 0
    (incident,) = services.incidents.list_incidents().items
    assert incident.ended_at is not None
    assert {row.state for row in rows(database, InboxRow)} == {"done"}

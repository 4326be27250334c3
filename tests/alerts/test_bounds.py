"""What grows is bounded: dead letters by topic and in all, evidence by age and quota."""

from datetime import timedelta

import pytest
from central_kit import alert, apply_all, at, digest, picture
from sqlalchemy import func, select, update

from alerts import inbox
from alerts.config import EvidenceSettings
from alerts.evidence import BlobStore, keep_picture, media_type_of, note_evidence
from alerts.inbox import Inbox, Incoming, list_dead_letters
from alerts.messages import Kind
from alerts.retention import Keeper
from alerts.store import audit
from alerts.store.tables import AuditRow, Command, DeadLetter, Edge, EvidenceBlob, Incident
from alerts.work import prune
from towerwatch.timebase import utc_now

MINE, OTHER = "towerwatch/v1/riverside/box-1/alert", "towerwatch/v1/riverside/box-2/alert"


def nonsense(topic, *numbers):
    return [Incoming(topic, b"nonsense %d" % number, at(number)) for number in numbers]


def test_a_box_that_sends_nonsense_pushes_out_its_own_letters_alone(database, monkeypatch):
    monkeypatch.setattr(inbox, "MAX_LETTERS_OF_TOPIC", 3)
    Inbox(database).commit(nonsense(OTHER, 1))
    for number in range(8):
        Inbox(database).commit(nonsense(MINE, number))
    topics = [letter["topic"] for letter in list_dead_letters(database)]
    assert (topics.count(MINE), topics.count(OTHER)) == (3, 1)


def test_dead_letters_are_bounded_in_all_and_by_age(sqlite, monkeypatch):
    monkeypatch.setattr(inbox, "MAX_LETTERS", 5)
    for number in range(9):
        Inbox(sqlite).commit(nonsense(f"towerwatch/v1/riverside/box-{number}/alert", number))
    assert len(list_dead_letters(sqlite)) == 5
    with sqlite.write() as session:
        session.execute(update(DeadLetter).values(last_at=utc_now() - timedelta(days=91)))
    prune(sqlite, utc_now(), 7)
    assert list_dead_letters(sqlite) == []


def test_answered_commands_go_after_a_while_and_those_an_incident_waits_for_stay(sqlite):
    apply_all(sqlite, [alert("a")])
    with sqlite.write() as session:
        session.add(Edge(id="box-1", site="riverside", first_seen_at=at(0)))
        session.flush()
        for name, incident_id, sent_at in (("0", None, at(0)), ("1", 1, at(0)), ("2", None, utc_now())):
            session.add(
                Command(
                    id=name * 32,
                    edge="box-1",
                    name="snapshot",
                    created_at=at(0),
                    sent_at=sent_at,
                    incident_id=incident_id,
                )
            )
    prune(sqlite, utc_now(), 7)
    with sqlite.read() as session:
        assert sorted(session.scalars(select(Command.id))) == ["1" * 32, "2" * 32]


@pytest.fixture
def store(tmp_path):
    made = BlobStore(tmp_path / "evidence")
    made.open()
    return made


def keep(database, store, data, received_days_ago):
    sha256 = store.add_bytes(data)
    note_evidence(database, sha256, len(data), "image/jpeg", "box-1")
    with database.write() as session:
        received = utc_now() - timedelta(days=received_days_ago)
        session.execute(
            update(EvidenceBlob).where(EvidenceBlob.sha256 == sha256).values(received_at=received)
        )
    return sha256


def over(database, incident_id, days_ago):
    with database.write() as session:
        when = utc_now() - timedelta(days=days_ago)
        session.execute(
            update(Incident)
            .where(Incident.id == incident_id)
            .values(state="closed", open=False, state_at=when)
        )


def present(database, store, *digests):
    return [store.has(sha256) and media_type_of(database, sha256) is not None for sha256 in digests]


def test_evidence_goes_by_age_once_its_incident_is_over_and_is_known_to_have_gone(database, services, store):
    files = [b"open", b"just closed", b"long closed", b"nobody's"]
    open_, just, long, nobodys = (keep(database, store, data, 400) for data in files)
    apply_all(
        database,
        [
            alert(name, place_key=name, start=60 * number, evidence=(picture(data),))
            for number, (name, data) in enumerate(zip("abc", files, strict=False))
        ],
    )
    over(database, 2, 10)
    over(database, 3, 200)
    forgotten = []
    keeper = Keeper(database, store, EvidenceSettings(keep_days=180), forgotten.append)
    assert keeper.prune(utc_now()) == 2
    assert present(database, store, open_, just, long, nobodys) == [True, True, False, False]
    assert sorted(forgotten) == sorted([long, nobodys])
    (item,) = services.incidents.get_incident(3).alerts[0].evidence
    assert (item.present, item.deleted_at is not None) == (False, True)
    with database.read() as session:
        row = session.scalars(select(AuditRow).where(AuditRow.action == "delete")).one()
        assert long in row.detail
        assert audit.verify(session).fault is None
    assert keeper.prune(utc_now()) == 0


def test_a_kind_may_be_kept_for_longer_or_less_than_the_others(database, store):
    kinds = {Kind.SMOKE: 20, Kind.ILLEGAL_PARKING: 40, Kind.STOPPED_VEHICLE: 40}
    files = {kind: keep(database, store, kind.encode(), 400) for kind in kinds}
    evidence = {kind: (picture(kind.encode()),) for kind in kinds}
    apply_all(database, [alert(kind, kind=kind, place_key=kind, evidence=evidence[kind]) for kind in kinds])
    for number, days_ago in enumerate(kinds.values(), start=1):
        over(database, number, days_ago)
    settings = EvidenceSettings(keep_days=30, keep_days_by_kind={Kind.SMOKE: 10, Kind.ILLEGAL_PARKING: 50})
    assert Keeper(database, store, settings, lambda _sha256: None).prune(utc_now()) == 2
    assert present(database, store, *files.values()) == [False, True, False]


def test_a_quota_takes_the_oldest_but_nothing_of_open_incidents_nor_what_has_just_come(sqlite, store):
    old = [keep(sqlite, store, bytes([n]) * (200 << 10), 30 - n) for n in range(4)]
    fresh = keep(sqlite, store, b"f" * (200 << 10), 0)
    held = keep(sqlite, store, b"h" * (200 << 10), 40)
    apply_all(sqlite, [alert("a", evidence=(picture(b"h" * (200 << 10)),))])
    keeper = Keeper(sqlite, store, EvidenceSettings(quota_gib=850 / 2**20), lambda _sha256: None)
    assert keeper.prune(utc_now()) == 2
    assert present(sqlite, store, *old, fresh, held) == [False, False, True, True, True, True]


def test_what_was_deleted_may_come_again(sqlite, store):
    sha256 = keep(sqlite, store, b"again", 400)
    Keeper(sqlite, store, EvidenceSettings(keep_days=1), lambda _sha256: None).prune(utc_now())
    assert present(sqlite, store, sha256) == [False]
    assert keep_picture(store, sqlite, b"again", "image/jpeg", "li") == digest(b"again") == sha256
    assert present(sqlite, store, sha256) == [True]
    with sqlite.read() as session:
        assert session.scalar(select(func.count()).select_from(EvidenceBlob)) == 1

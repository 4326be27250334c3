"""State, messages and evidence are written together or not at all, and never lost to a full disk."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from edge_kit import event, evidence_file, waiting

from alerts.messages import AlertMessage, ClockState, Kind, Phase, decode
from edge import journal as module
from edge.episode import EpisodePhase, LabelledBox
from edge.evidence_index import EvidenceIndex
from edge.journal import Journal
from edge.outbox import Outbox
from edge.records import CameraRecord, Change, Kept
from edge.store import Store

CANDIDATE, OPENED, UPDATED = EpisodePhase.CANDIDATE, EpisodePhase.OPENED, EpisodePhase.UPDATED
CLOSED, DISSOLVED = EpisodePhase.CLOSED, EpisodePhase.DISSOLVED


@dataclass
class Box:
    store: Store
    outbox: Outbox
    index: EvidenceIndex
    journal: Journal

    def commit(self, *changes: Change, state: bytes = b"{}", kept: tuple[Kept, ...] = ()) -> bool:
        self.journal.add([CameraRecord("cam-1", state, changes, kept)])
        return self.journal.flush()

    def sent(self) -> list[AlertMessage]:
        return [
            one
            for row in waiting(self.outbox)
            if isinstance(one := decode("alert", row.payload), AlertMessage)
        ]

    def evidence(self) -> dict[str, str]:
        with self.store.reading() as connection:
            return dict(connection.execute("SELECT sha256, state FROM evidence").fetchall())


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with Store(tmp_path) as store:
        outbox = Outbox(store, 64 << 20)
        index = EvidenceIndex(store, tmp_path / "evidence", 1 << 30)
        journal = Journal(store, outbox, index, site="riverside", edge="box-1", boot_id="b" * 32)
        journal.clock = lambda: ClockState(synchronised=True, offset_ms=1.5)
        yield Box(store, outbox, index, journal)


def new_id() -> str:
    return uuid.uuid4().hex


def test_an_episode_from_candidate_to_closed(box: Box) -> None:
    alert = new_id()
    t0, mid, now, unused = (
        evidence_file(box.index.folder, data) for data in (b"t0", b"mid", b"now", b"unused")
    )
    assert box.commit(Change(event(alert, CANDIDATE, -1, 0), (t0,)), state=b"1")
    assert box.commit(kept=(Kept(alert, mid), Kept(alert, unused)), state=b"2")
    assert box.sent() == []
    assert set(box.evidence().values()) == {"kept"}
    assert box.commit(Change(event(alert, OPENED, 0, 9), (t0, mid, now)), state=b"3")
    assert box.evidence() == {ref.sha256: "queued" for ref in (t0, mid, now)}
    assert box.commit(Change(event(alert, UPDATED, 1, 20)), Change(event(alert, CLOSED, 2, 30)), state=b"4")
    assert box.store.states() == {"cam-1": b"4"}
    sent = box.sent()
    assert [(one.phase.value, one.phase_seq, one.outbox_seq) for one in sent] == [
        ("opened", 0, 1),
        ("updated", 1, 2),
        ("closed", 2, 3),
    ]
    assert [one.sha256 for one in sent[0].evidence] == [t0.sha256, mid.sha256, now.sha256]
    assert (sent[0].boot_id, sent[0].clock.offset_ms, sent[0].outbox_id) == (
        "b" * 32,
        1.5,
        box.store.outbox_id,
    )
    assert box.outbox.open_ids() == ()


def test_what_dissolves_leaves_nothing(box: Box) -> None:
    alert = new_id()
    t0 = evidence_file(box.index.folder, b"t0")
    box.commit(Change(event(alert, CANDIDATE, -1, 0), (t0,)))
    box.commit(Change(event(alert, DISSOLVED, -1, 5)))
    assert (box.sent(), box.evidence()) == ([], {})


def test_on_a_full_disk_records_wait_and_are_written_when_there_is_room(box: Box) -> None:
    ids = [new_id() for _ in range(40)]
    with box.store.reading() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")
    done = [box.commit(Change(event(alert, OPENED, 0, 9)), state=b"%d" % n) for n, alert in enumerate(ids)]
    assert not done[-1]
    assert "full" in box.journal.trouble
    assert not box.journal.flush(), "still full, still no exception"
    with box.store.reading() as connection:
        connection.execute("PRAGMA max_page_count=100000")
    assert box.journal.flush()
    assert [one.alert_id for one in box.sent()] == ids
    assert box.store.states() == {"cam-1": b"39"}
    assert box.journal.trouble == ""


def test_what_waits_in_memory_is_bounded_and_updates_go_first(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PENDING_CHANGES", 6)
    box.store.close()
    ids = [new_id() for _ in range(5)]
    for alert in ids:
        assert not box.commit(Change(event(alert, OPENED, 0, 1)), Change(event(alert, UPDATED, 1, 2)))
    box.store.open()
    assert box.journal.flush()
    sent = box.sent()
    assert {one.alert_id for one in sent if one.phase is Phase.OPENED} == set(ids)
    assert len(sent) <= 6
    assert box.journal.given_up == 10 - len(sent)


def test_a_database_damaged_while_running_is_replaced_and_open_alerts_open_again(box: Box) -> None:
    alert = new_id()
    box.commit(Change(event(alert, OPENED, 0, 9)))
    former = box.store.outbox_id
    box.store.close()
    size = box.store.path.stat().st_size
    box.store.path.write_bytes(b"\xff" * size)
    box.store.open()
    assert box.store.outbox_id != former
    assert box.commit(Change(event(alert, UPDATED, 1, 20)))
    assert [(one.phase.value, one.phase_seq) for one in box.sent()] == [("opened", 0), ("updated", 1)]
    assert {one.outbox_id for one in box.sent()} == {box.store.outbox_id}


def test_damage_found_in_the_middle_of_work_is_set_aside(box: Box) -> None:
    alert = new_id()
    box.commit(Change(event(alert, OPENED, 0, 9)))
    former = box.store.outbox_id
    with box.store.reading() as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_schema SET rootpage=99999 WHERE name='outbox'")
        connection.execute("PRAGMA writable_schema=RESET")
    results = [box.commit(Change(event(alert, UPDATED, n, 20 + n))) for n in (1, 2)]
    assert results[-1] or box.journal.flush()
    assert box.store.outbox_id != former
    assert [one.phase_seq for one in box.sent()] == [0, 1, 2]


def test_damage_on_a_full_disk_is_mended_as_soon_as_there_is_room(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_connection: sqlite3.Connection) -> str:
        raise sqlite3.OperationalError("database or disk is full")

    alert = new_id()
    box.commit(Change(event(alert, OPENED, 0, 9)))
    with box.store.reading() as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_schema SET rootpage=99999 WHERE name='outbox'")
        connection.execute("PRAGMA writable_schema=RESET")
    with monkeypatch.context() as patch:
        patch.setattr("edge.store._verdict", full)
        assert not box.commit(Change(event(alert, UPDATED, 1, 20)))
        assert not box.journal.flush(), "still full, still no exception"
    assert box.journal.flush()
    assert [one.phase_seq for one in box.sent()] == [0, 1]


def test_what_does_not_fit_the_contract_goes_without_ornaments_or_is_counted(box: Box) -> None:
    odd = event(new_id(), OPENED, 0, 9)
    boxes = (LabelledBox("x" * 500, 0.5, (0.1, 0.1, 0.2, 0.2)),)
    impossible = replace(event(new_id(), OPENED, 0, 9), kind="no such kind")
    good = event(new_id(), OPENED, 0, 9)
    assert box.commit(Change(replace(odd, boxes=boxes)), Change(impossible), Change(good))
    assert [one.alert_id for one in box.sent()] == [odd.alert_id, good.alert_id]
    assert box.sent()[0].boxes == ()
    assert box.outbox.health(0, 0).dropped_alerts == 1


def test_a_record_that_no_database_takes_does_not_hold_up_the_others(box: Box) -> None:
    before, poison, after = new_id(), new_id(), new_id()
    with box.store.transaction() as connection:  # the number that the second message will get is taken
        connection.execute("INSERT INTO outbox VALUES (2, 'x', 'updated', 0, 0, '', x'7b7d', 1)")
    box.journal.add(
        CameraRecord(camera, b"{}", (Change(event(alert, OPENED, 0, 9, camera=camera)),))
        for camera, alert in (("cam-1", before), ("cam-2", poison), ("cam-\udcff", after))
    )
    assert box.journal.flush()
    with box.store.transaction() as connection:
        connection.execute("DELETE FROM outbox WHERE seq=2")
    assert box.commit(Change(event(after, OPENED, 0, 9)))
    assert [one.alert_id for one in box.sent()] == [before, after]
    assert box.outbox.health(0, 0).dropped_alerts == 2
    assert box.store.states().keys() == {"cam-1"}


def test_alerts_that_nothing_follows_any_more_are_closed(box: Box) -> None:
    gone, followed, blind = new_id(), new_id(), new_id()
    blindness = replace(event(blind, OPENED, 0, 9), kind="camera_blind", boxes=())
    box.commit(Change(event(gone, OPENED, 0, 9)), Change(event(followed, OPENED, 0, 9)), Change(blindness))
    box.journal.close_unwatched("cam-1", frozenset({followed}), blindness=False)
    assert set(box.outbox.open_ids()) == {followed, blind}
    box.journal.close_unwatched("cam-1", frozenset(), blindness=True)
    assert set(box.outbox.open_ids()) == {followed}
    last = box.sent()[-1]
    assert (last.kind, last.phase, last.phase_seq, last.reason) == (
        Kind.CAMERA_BLIND,
        Phase.CLOSED,
        1,
        module.NOBODY_WATCHES,
    )
    box.store.close()
    box.journal.close_unwatched("cam-1", frozenset(), blindness=False)

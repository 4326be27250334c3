"""The outbox keeps what it was given: over kill -9, a full disk, a damaged file and a full budget."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from edge_kit import add, waiting
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.messages import AlertMessage, Phase, decode
from edge.outbox import Outbox, closing, mark_historical
from edge.store import Store, StoreFull


def test_a_row_leaves_on_an_ack_for_this_database_alone(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        outbox = Outbox(store, 1 << 20)
        first, second = add(store, outbox), add(store, outbox)
        assert outbox.acknowledge(uuid.uuid4().hex, [first.outbox_seq]) == 0
        assert outbox.acknowledge(store.outbox_id, [first.outbox_seq, 77]) == 1
        assert [row.seq for row in waiting(outbox)] == [second.outbox_seq]
        assert decode("alert", waiting(outbox)[0].payload) == second


def test_sequence_numbers_are_never_given_twice(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        outbox = Outbox(store, 1 << 20)
        seqs = [add(store, outbox).outbox_seq for _ in range(3)]
        outbox.acknowledge(store.outbox_id, seqs)
        outbox_id = store.outbox_id
    with Store(tmp_path) as store:
        assert store.outbox_id == outbox_id
        assert add(store, Outbox(store, 1 << 20)).outbox_seq == 4


def test_a_database_put_back_from_a_backup_gives_no_number_twice(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        outbox = Outbox(store, 1 << 20)
        waits = add(store, outbox)
        former = store.outbox_id
    backup = store.path.read_bytes()
    with Store(tmp_path) as store:
        add(store, Outbox(store, 1 << 20))
        assert store.outbox_id == former, "an ordinary restart is no restoring"
    store.path.write_bytes(backup)
    with Store(tmp_path) as store:
        outbox = Outbox(store, 1 << 20)
        assert store.outbox_id != former
        after = add(store, outbox)
        left = [decode("alert", row.payload) for row in waiting(outbox)]
        assert left == [waits.model_copy(update={"outbox_id": store.outbox_id}), after]
        assert outbox.acknowledge(store.outbox_id, [waits.outbox_seq, after.outbox_seq]) == 2


def test_updates_are_given_up_first_then_closed_and_counted(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        outbox = Outbox(store, 8 * 900)
        ids = [uuid.uuid4().hex for _ in range(4)]
        for alert_id in ids:
            add(store, outbox, alert_id=alert_id)
            add(store, outbox, alert_id=alert_id, phase=Phase.UPDATED, phase_seq=1)
            add(store, outbox, alert_id=alert_id, phase=Phase.CLOSED, phase_seq=2)
        left = [decode("alert", row.payload) for row in waiting(outbox)]
        health = outbox.health(0, 0)
    phases = [one.phase for one in left if isinstance(one, AlertMessage)]
    assert (phases.count(Phase.OPENED), phases.count(Phase.CLOSED)) == (4, 4)
    assert health.dropped_updates >= 3
    assert health.dropped_alerts == 0
    assert health.dropped_updates + health.dropped_alerts + health.depth == 12
    assert health.bytes <= 8 * 900
    assert health.last_seq == 12


def test_open_alerts_are_known_until_closed_and_can_be_sent_again(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        outbox = Outbox(store, 1 << 20)
        opened = add(store, outbox)
        updated = add(store, outbox, alert_id=opened.alert_id, phase=Phase.UPDATED, phase_seq=1)
        outbox.acknowledge(store.outbox_id, [opened.outbox_seq, updated.outbox_seq])
        assert outbox.open_ids() == (opened.alert_id,)
        unknown = uuid.uuid4().hex
        assert outbox.resend([opened.alert_id, unknown]) == (2, (unknown,))
        again = [decode("alert", row.payload) for row in waiting(outbox)]
        assert [(one.phase_seq, one.outbox_seq) for one in again if isinstance(one, AlertMessage)] == [
            (0, 3),
            (1, 4),
        ]
        assert outbox.open_of("cam-1")[opened.alert_id].phase_seq == 1
        assert outbox.cameras_with_open_alerts() == {"cam-1"}
        add(store, outbox, alert_id=opened.alert_id, phase=Phase.CLOSED, phase_seq=2)
        assert outbox.open_ids() == ()
        assert outbox.resend() == (0, ())
        assert outbox.resend([opened.alert_id]) == (2, ())


def test_an_abandoned_alert_can_be_closed_from_its_last_message(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        opened = add(store, Outbox(store, 1 << 20))
    closed = AlertMessage.model_validate(closing(opened, "camera left the configuration").model_dump())
    assert (closed.phase, closed.phase_seq, closed.started_at) == (Phase.CLOSED, 1, opened.started_at)
    assert closed.reason == "camera left the configuration"


def test_a_message_held_back_says_so(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        outbox = Outbox(store, 1 << 20)
        made = add(store, outbox)
        row = waiting(outbox)[0]
    late = decode("alert", mark_historical(row.payload))
    assert late == made.model_copy(update={"historical": True})
    assert 0 <= row.age_s < 30


def test_a_full_disk_is_retryable_and_loses_nothing_written_before(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        outbox = Outbox(store, 64 << 20)
        before = add(store, outbox)
        with store.reading() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count={pages + 1}")
        with pytest.raises(StoreFull):
            [add(store, outbox) for _ in range(200)]
        kept = len(waiting(outbox))
        with store.reading() as connection:
            connection.execute("PRAGMA max_page_count=100000")
        after = add(store, outbox)
        seqs = [row.seq for row in waiting(outbox)]
    assert seqs[0] == before.outbox_seq
    assert seqs[-1] == after.outbox_seq == kept + 1


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("not a database at all", lambda _data: b"garbage" * 1000),
        ("pages in the middle overwritten", lambda data: data[:4096] + b"\xff" * (len(data) - 4096)),
        ("header overwritten", lambda data: b"\0" * 100 + data[100:]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_damaged_database_is_set_aside_and_a_fresh_one_takes_over(
    tmp_path: Path, name: str, damage: object
) -> None:
    for round_no in range(4):
        with Store(tmp_path) as store:
            old_id = store.outbox_id
            add(store, Outbox(store, 1 << 20))
        data = store.path.read_bytes()
        store.path.write_bytes(damage(data))  # type: ignore[operator]
        with Store(tmp_path) as store:
            assert store.outbox_id != old_id
            assert add(store, Outbox(store, 1 << 20)).outbox_seq == 1
        assert len(list(tmp_path.glob("*.corrupt-*"))) >= min(round_no + 1, 2)
    assert len({path.name.split("-wal")[0].split("-shm")[0] for path in tmp_path.glob("*.corrupt-*")}) == 2


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from edge_kit import message
from edge.store import Store
from edge.outbox import Outbox
with Store(Path(sys.argv[1])) as store:
    outbox = Outbox(store, 64 << 20)
    while True:
        with store.transaction() as connection:
            made = message(outbox, outbox.reserve(connection))
            outbox.put(connection, made)
            state = str(made.outbox_seq).encode()
            connection.execute("INSERT OR REPLACE INTO camera_state VALUES ('cam', ?, 0)", (state,))
        print(made.outbox_seq, flush=True)
"""


def test_kill_9_loses_nothing_that_was_committed_and_tears_nothing_apart(tmp_path: Path) -> None:
    said = 0
    for _ in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(Path(__file__).parents[1])],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert child.stdout is not None
        with child.stdout:
            for _line in range(25):
                said = int(child.stdout.readline())
            child.send_signal(signal.SIGKILL)
            rest = child.stdout.read().split()
        child.wait(10)
        said = max([said, *map(int, rest[:-1])])
        with Store(tmp_path) as store:
            seqs = [row.seq for row in waiting(Outbox(store, 64 << 20))]
            state = int(store.states()["cam"])
        assert seqs == list(range(1, len(seqs) + 1)), "no gap, nothing twice"
        assert len(seqs) >= said, "everything that was said to be written is there"
        assert state == seqs[-1], "state and message were written together"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.sampled_from(["open", "update", "close", "ack"]), max_size=40), limit=st.integers(2, 20)
)
def test_the_bound_holds_and_everything_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], limit: int
) -> None:
    with Store(tmp_path_factory.mktemp("outbox")) as store:
        outbox = Outbox(store, limit * 900)
        put = acked = 0
        open_seq: dict[str, int] = {}
        for step in steps:
            if step == "ack":
                acked += outbox.acknowledge(store.outbox_id, outbox.sequences(2))
                continue
            if step == "open" or not open_seq:
                open_seq[add(store, outbox).alert_id] = 0
            else:
                alert_id = next(iter(open_seq))
                open_seq[alert_id] += 1
                phase = Phase.UPDATED if step == "update" else Phase.CLOSED
                add(store, outbox, alert_id=alert_id, phase=phase, phase_seq=open_seq[alert_id])
                if phase is Phase.CLOSED:
                    del open_seq[alert_id]
            put += 1
        health = outbox.health(0, 0)
        assert health.bytes <= limit * 900
        assert health.depth + acked + health.dropped_updates + health.dropped_alerts == put == health.last_seq
        assert set(outbox.open_ids()) == set(open_seq)


FULL_DISK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from edge_kit import add, waiting
from edge.outbox import Outbox
from edge.store import Store, StoreFull
with Store(Path(sys.argv[1])) as store:
    outbox = Outbox(store, 64 << 20)
    before = add(store, outbox)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    try:
        for _ in range(10_000):
            add(store, outbox)
    except StoreFull as error:
        print("full")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    add(store, outbox)
    seqs = [row.seq for row in waiting(outbox)]
    assert seqs == list(range(1, len(seqs) + 1)), seqs
    print(len(seqs))
"""


def test_files_that_cannot_grow_are_survived_by_a_real_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), str(Path(__file__).parents[1])],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    said, count = done.stdout.split()
    assert said == "full"
    with Store(tmp_path) as store:
        assert len(waiting(Outbox(store, 64 << 20))) == int(count)

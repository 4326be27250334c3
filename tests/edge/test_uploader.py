"""Evidence reaches central, whatever central answers first; a stop never waits for a transfer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import components
import pytest
from edge_kit import CentralDouble, central_double, evidence_file

from alerts.messages import EvidenceRole
from edge.evidence_index import EvidenceIndex, evidence_path
from edge.links import CentralLink
from edge.store import Store
from edge.uploader import Uploader, UploaderTerms
from towerwatch.secrets import Secret

FAST = UploaderTerms(idle_s=0.05, backoff_first_s=0.05, backoff_cap_s=0.1, transfer_timeout_s=5)


@pytest.fixture
def central() -> Iterator[CentralDouble]:
    with central_double() as double:
        yield double


@pytest.fixture
def index(tmp_path: Path) -> Iterator[EvidenceIndex]:
    with Store(tmp_path) as store:
        yield EvidenceIndex(store, tmp_path / "evidence", 1 << 30)


def queue(index: EvidenceIndex, *data: bytes, role: EvidenceRole = EvidenceRole.CONTEXT_NOW) -> list[str]:
    refs = [evidence_file(index.folder, one, role) for one in data]
    with index.store.transaction() as connection:
        index.queue(connection, "a", refs)
    return [ref.sha256 for ref in refs]


def states(index: EvidenceIndex) -> dict[str, str]:
    with index.store.reading() as connection:
        return dict(connection.execute("SELECT sha256, state FROM evidence").fetchall())


def uploader(index: EvidenceIndex, url: str, token: str = "box-token-1") -> Uploader:
    return Uploader(CentralLink(url, Secret(token)), index, FAST)


@pytest.mark.parametrize("answers", [[], [503, 500, 429], [401], [408]], ids=str)
def test_a_passing_trouble_is_waited_out(
    index: EvidenceIndex, central: CentralDouble, answers: list[int]
) -> None:
    digests = queue(index, b"one", b"two" * 100_000)
    central.answers = list(answers)
    sender = uploader(index, central.url)
    sender.start()
    components.wait_until(lambda: set(states(index).values()) == {"stored"})
    assert sender.stop(5)
    assert central.stored.keys() == set(digests)
    assert central.stored[digests[0]] == ("image/jpeg", b"one")
    assert central.requests == 2 + len(answers)
    assert sender.trouble == ""


def test_what_central_never_takes_is_set_aside_and_the_rest_goes_on(
    index: EvidenceIndex, central: CentralDouble
) -> None:
    refused, gone, cut, good = queue(index, b"refused", b"gone", b"cut short", b"good")
    evidence_path(index.folder, gone, "image/jpeg").unlink()
    evidence_path(index.folder, cut, "image/jpeg").write_bytes(b"cut")
    central.answers = [415]
    sender = uploader(index, central.url)
    sender.start()
    components.wait_until(lambda: "queued" not in states(index).values())
    assert sender.stop(5)
    assert states(index) == {refused: "refused", gone: "lost", cut: "lost", good: "stored"}
    assert index.dropped() == 3


def test_a_wrong_token_is_said_and_nothing_is_lost(index: EvidenceIndex, central: CentralDouble) -> None:
    queue(index, b"one")
    sender = uploader(index, central.url, token="another-token")
    sender.start()
    components.wait_until(lambda: "token refused" in sender.trouble)
    assert sender.stop(5)
    assert set(states(index).values()) == {"queued"}


def test_central_away_and_back(index: EvidenceIndex) -> None:
    queue(index, b"one")
    sender = uploader(index, f"http://127.0.0.1:{components.free_port()}")
    sender.start()
    components.wait_until(lambda: "ConnectError" in sender.trouble)
    assert sender.stop(5)
    assert set(states(index).values()) == {"queued"}


def test_new_evidence_is_sent_at_once_when_woken(index: EvidenceIndex, central: CentralDouble) -> None:
    sender = Uploader(CentralLink(central.url, Secret("box-token-1")), index, UploaderTerms(idle_s=60))
    sender.start()
    (digest,) = queue(index, b"late")
    sender.wake()
    components.wait_until(lambda: digest in central.stored)
    assert sender.stop(5)


def test_a_stop_breaks_a_transfer_off(index: EvidenceIndex) -> None:
    (digest,) = queue(index, b"x" * (64 << 20))
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and then reads slowly: never
        server.settimeout(10)
        sender = uploader(index, f"http://127.0.0.1:{server.getsockname()[1]}")
        sender.start()
        connection, _ = server.accept()
        with connection:
            assert connection.recv(1024)
            stopping = sender.stop(0.2)
            while not stopping:
                connection.recv(1 << 20)
                stopping = sender.stop(0.01)
    assert states(index) == {digest: "queued"}


def test_stopping_what_never_ran_is_fine(index: EvidenceIndex) -> None:
    assert uploader(index, "http://127.0.0.1:9").stop(1)

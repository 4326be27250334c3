"""What several tests of the edge runtime share: messages, events, records, small servers."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from alerts.messages import AlertMessage, ClockState, EvidenceRole, Kind, Phase
from edge.episode import EpisodeEvent, EpisodePhase, LabelledBox
from edge.evidence_index import evidence_path
from edge.outbox import Outbox, Row
from edge.records import EvidenceRef
from edge.store import Store

T0 = datetime(2026, 5, 1, 8, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def message(
    outbox: Outbox, seq: int, *, alert_id: str = "", phase: Phase = Phase.OPENED, phase_seq: int = 0
) -> AlertMessage:
    return AlertMessage(
        alert_id=alert_id or uuid.uuid4().hex,
        phase=phase,
        phase_seq=phase_seq,
        outbox_id=outbox.outbox_id,
        outbox_seq=seq,
        boot_id=uuid.uuid4().hex,
        site="riverside",
        edge="box-1",
        kind=Kind.SMOKE,
        camera="cam-1",
        place_key="here",
        started_at=T0,
        captured_at=at(phase_seq),
        ended_at=at(phase_seq) if phase is Phase.CLOSED else None,
        clock=ClockState(synchronised=True),
        confidence=0.5,
        rule="smoke/1",
    )


def add(
    store: Store, outbox: Outbox, *, alert_id: str = "", phase: Phase = Phase.OPENED, phase_seq: int = 0
) -> AlertMessage:
    with store.transaction() as connection:
        seq = outbox.reserve(connection)
        made = message(outbox, seq, alert_id=alert_id, phase=phase, phase_seq=phase_seq)
        outbox.put(connection, made)
    return made


def waiting(outbox: Outbox) -> list[Row]:
    return [row for row in map(outbox.row, outbox.sequences(10_000)) if row is not None]


def event(
    alert_id: str, phase: EpisodePhase, phase_seq: int, seconds: float = 0.0, *, camera: str = "cam-1"
) -> EpisodeEvent:
    return EpisodeEvent(
        alert_id=alert_id,
        phase=phase,
        phase_seq=phase_seq,
        kind="illegal_parking",
        camera=camera,
        preset="fixed",
        zone="kerb",
        place_key="kerb:1",
        started_at=T0,
        captured_at=at(seconds),
        ended_at=at(seconds) if phase is EpisodePhase.CLOSED else None,
        confidence=0.9,
        boxes=(LabelledBox("car", 0.9, (0.4, 0.4, 0.5, 0.5)),),
        rule="illegal_parking/1",
        measures={"dwell_s": seconds},
    )


def evidence_file(
    folder: Path, data: bytes, role: EvidenceRole = EvidenceRole.CONTEXT_NOW, media_type: str = "image/jpeg"
) -> EvidenceRef:
    ref = EvidenceRef(role, hashlib.sha256(data).hexdigest(), len(data), media_type, T0)
    path = evidence_path(folder, ref.sha256, media_type)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return ref


@dataclass
class CentralDouble:
    """A small HTTP server with central's contracts: PUT /evidence, PUT /live and GET /artifacts."""

    token: str = "box-token-1"
    stored: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    live: list[tuple[str, bytes]] = field(default_factory=list)  # (camera, picture)
    answers: list[int] = field(default_factory=list)  # status codes to give first
    requests: int = 0
    url: str = ""

    def take(self, path: str, media_type: str, body: bytes) -> int:
        """Take what is PUT; return the status."""
        _, room, name = path.split("/")
        if room == "live":
            self.live.append((name, body))
            return 204
        if hashlib.sha256(body).hexdigest() != name:
            return 422
        known = name in self.stored
        self.stored[name] = (media_type, body)
        return 200 if known else 201

    def publish(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self.artifacts[digest] = data
        return digest


@contextmanager
def central_double() -> Iterator[CentralDouble]:
    double = CentralDouble()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_args: object) -> None:
            pass

        def _answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _refused(self) -> int:
            double.requests += 1
            if double.answers:
                return double.answers.pop(0)
            return 0 if self.headers["Authorization"] == f"Bearer {double.token}" else 401

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if status := self._refused():
                return self._answer(status)
            return self._answer(double.take(self.path, self.headers["Content-Type"], body))

        def do_GET(self) -> None:
            if status := self._refused():
                return self._answer(status)
            body = double.artifacts.get(self.path.removeprefix("/artifacts/"))
            return self._answer(404) if body is None else self._answer(200, body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    double.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()

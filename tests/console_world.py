"""A central database with boxes, cameras and alerts in it, for the tests and the benchmark of the console."""

from __future__ import annotations

import hashlib
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from alerts.apply import apply_message
from alerts.evidence import BlobStore, note_evidence
from alerts.health import apply_health, apply_rounds
from alerts.messages import (
    AlertMessage,
    CameraHealth,
    ClockState,
    Evidence,
    EvidenceRole,
    Freshness,
    HealthMessage,
    Kind,
    NamedBox,
    OutboxHealth,
    Phase,
    Position,
)
from alerts.services.bundle import Services, open_services
from alerts.services.zones import ZoneService
from alerts.store import journal
from alerts.store.database import Database
from alerts.store.migrate import upgrade
from alerts.store.tables import Edge, Incident
from towerwatch.timebase import utc_now

SITE, EDGE, OUTBOX = "riverside", "box-1", "0" * 32
OPERATOR, VIEWER, PASSWORD = "operator", "viewer", "correct horse battery"
WUHAN = (30.59, 114.31)


@dataclass
class World:
    """One SQLite database and what may be done to it as a box would."""

    folder: Path
    database: Database
    services: Services
    evidence: BlobStore
    sequence: int = 0

    @property
    def zones(self) -> ZoneService:
        artifacts = BlobStore(self.folder / "data" / "artifacts")
        artifacts.open()
        return ZoneService(self.database, artifacts)

    @classmethod
    def create(cls, folder: Path) -> World:
        database = Database(f"sqlite:///{folder / 'central.db'}")
        upgrade(database)
        services = open_services(database)
        services.people.create_user(OPERATOR, PASSWORD, "operator")
        services.people.create_user(VIEWER, PASSWORD, "viewer")
        evidence = BlobStore(folder / "data" / "evidence")
        evidence.open()
        world = cls(folder, database, services, evidence)
        world.add_edge(EDGE)
        return world

    def close(self) -> None:
        self.services.live.stop()
        self.database.engine.dispose()

    def session(self, name: str = OPERATOR) -> str:
        return self.services.people.login(name, PASSWORD, "inside the test").token

    def add_edge(self, edge: str) -> None:
        with self.database.write() as session:
            if session.get(Edge, edge) is None:
                session.add(Edge(id=edge, site=SITE, first_seen_at=utc_now(), enrolled_at=utc_now()))

    def alert(self, kind: Kind = Kind.ILLEGAL_PARKING, **fields: Any) -> AlertMessage:
        """Make an opened alert; ``fields`` replace what it would say."""
        self.sequence += 1
        now = utc_now()
        values: dict[str, Any] = {
            "alert_id": uuid.uuid4().hex,
            "phase": Phase.OPENED,
            "phase_seq": 0,
            "outbox_id": OUTBOX,
            "outbox_seq": self.sequence,
            "boot_id": OUTBOX,
            "site": SITE,
            "edge": EDGE,
            "kind": kind,
            "camera": "street-1",
            "zone": "kerb",
            "place_key": f"place-{self.sequence}",
            "started_at": now - timedelta(minutes=6),
            "captured_at": now,
            "clock": ClockState(synchronised=True),
            "confidence": 0.83,
            "measures": {"dwell_s": 361.0},
            "model": "vehicle@1",
            "precision": "f32",
            "rule": "illegal_parking/1",
        }
        return AlertMessage(**(values | fields))

    def send(self, message: AlertMessage) -> int:
        """Apply a message and return its incident's id."""
        with self.database.write() as session:
            apply_message(self.database, session, message, utc_now())
        return self.services.incidents.get_incident(self.incident_of(message.alert_id)).id

    def incident_of(self, alert_id: str) -> int:
        return self.services.incidents.get_alert(alert_id).incident_id

    def again(self, message: AlertMessage, phase: Phase, **fields: Any) -> AlertMessage:
        """Make the next phase of an alert."""
        self.sequence += 1
        now = utc_now()
        changes: dict[str, Any] = {
            "phase": phase,
            "phase_seq": message.phase_seq + 1,
            "outbox_seq": self.sequence,
            "captured_at": now,
            "ended_at": now if phase is Phase.CLOSED else None,
        }
        return message.model_copy(update=changes | fields)

    def store(self, data: bytes, media_type: str, edge: str = EDGE) -> str:
        """Put a file into the evidence store, as a PUT would; return its digest."""
        file = self.folder / "upload"
        file.write_bytes(data)
        digest, size = self.evidence.add_file(file)
        note_evidence(self.database, digest, size, media_type, edge)
        return digest

    def health(self, cameras: Sequence[CameraHealth], edge: str = EDGE) -> None:
        now = utc_now()
        message = HealthMessage(
            boot_id=OUTBOX,
            at=now,
            period_s=30,
            clock=ClockState(synchronised=True, offset_ms=0.4),
            cameras=tuple(cameras),
            outbox=OutboxHealth(outbox_id=OUTBOX, depth=0, bytes=0, first_seq=0, last_seq=0),
            disk_free_bytes=10**10,
            version="0.1.0",
            config_sha256="0" * 64,
        )
        with self.database.write() as session:
            row = session.get_one(Edge, edge)
            apply_health(session, row, now)
            apply_rounds(self.database, session, [(row, message)], now, lost_after=3)

    def touch(self, incident_id: int) -> None:
        """Change an incident as an update would, and say so."""
        with self.database.write() as session:
            row = session.get_one(Incident, incident_id)
            row.version += 1
            row.alert_count += 1
            row.updated_at = utc_now()
            journal.changed(session, "incident", str(incident_id), "alert_updated")


def camera(name: str, state: Freshness = Freshness.FRESH, **fields: Any) -> CameraHealth:
    """Health of one camera."""
    values: dict[str, Any] = {
        "camera": name,
        "state": state,
        "covered_s": 30.0,
        "analysed": 15,
        "dropped": 0,
        "lag_p95_ms": 210.0,
        "interval_s": 2.0,
        "last_captured_at": utc_now(),
    }
    return CameraHealth(**(values | fields))


def street(width: int = 640, height: int = 360, cars: int = 3, shift: int = 0) -> np.ndarray:
    """Draw a street with cars at the kerb, uint8 BGR, deterministic."""
    rng = np.random.default_rng(7)
    image = np.empty((height, width, 3), np.uint8)
    image[:] = np.linspace(150, 190, height, dtype=np.uint8)[:, None, None]
    top, bottom = int(0.35 * height), int(0.9 * height)
    image[top:bottom] = (96, 98, 100)
    image[(top + bottom) // 2 - 2 : (top + bottom) // 2 + 2, ::1] = (200, 205, 205)
    for number in range(cars):
        x = (60 + number * 180 + shift) % (width - 100)
        y = top + 12
        image[y : y + 52, x : x + 96] = rng.integers(30, 220, 3)
        image[y + 8 : y + 26, x + 18 : x + 78] = (60, 50, 40)
    noise = rng.integers(-6, 7, image.shape)
    return np.clip(image.astype(int) + noise, 0, 255).astype(np.uint8)


def picture(image: np.ndarray) -> bytes:
    """Encode a JPEG."""
    import cv2  # noqa: PLC0415 - only where the edge extra is installed

    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 82])
    assert done
    return bytes(data)


def clip(seconds: int = 3, rate: int = 10) -> bytes:
    """Encode an H.264 MP4 of a car that passes."""
    import av  # noqa: PLC0415 - only where the edge extra is installed

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
            stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
            for number in range(seconds * rate):
                frame = av.VideoFrame.from_ndarray(street(shift=4 * number), format="bgr24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path.read_bytes()


BOXES = (
    NamedBox(label="car", confidence=0.91, x1=0.094, y1=0.378, x2=0.244, y2=0.528),
    NamedBox(label="car", confidence=0.64, x1=0.375, y1=0.378, x2=0.525, y2=0.528),
)
KERB = ((0.03, 0.33), (0.97, 0.33), (0.97, 0.56), (0.03, 0.56))


def parked_car(world: World, *, with_files: bool = True, **fields: Any) -> AlertMessage:
    """Make a parking alert with pictures, a clip, boxes, a zone and a place."""
    now = utc_now()
    scene = street()
    files = [
        (EvidenceRole.CONTEXT_T0, picture(street(cars=2)), "image/jpeg", 361),
        (EvidenceRole.CONTEXT_MID, picture(street(shift=0, cars=4)), "image/jpeg", 180),
        (EvidenceRole.CONTEXT_NOW, picture(scene), "image/jpeg", 0),
        (EvidenceRole.CLOSE_UP, picture(scene[130:200, 40:180].repeat(2, 0).repeat(2, 1)), "image/jpeg", 0),
        (EvidenceRole.CLIP, clip(), "video/mp4", 10),
    ]
    evidence = []
    for role, data, media_type, age_s in files:
        digest = world.store(data, media_type) if with_files else hashlib.sha256(data).hexdigest()
        evidence.append(
            Evidence(
                role=role,
                sha256=digest,
                bytes=len(data),
                media_type=media_type,
                captured_at=now - timedelta(seconds=age_s),
            )
        )
    place = Position(lat_deg=WUHAN[0], lon_deg=WUHAN[1], semi_major_m=62, semi_minor_m=18, orientation_deg=35)
    values: dict[str, Any] = {
        "boxes": BOXES,
        "zone_points": KERB,
        "evidence": tuple(evidence),
        "position": place,
        "measures": {"dwell_s": 361.0, "legal_time_s": 300.0, "occupancy_frac": 0.42},
    }
    return world.alert(Kind.ILLEGAL_PARKING, **(values | fields))

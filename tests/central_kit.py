"""Builders for tests of the central side: messages, and a database of either kind."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from alerts.apply import apply_message
from alerts.inbox import Incoming
from alerts.messages import (
    AlertMessage,
    CameraHealth,
    ClockState,
    Evidence,
    Freshness,
    HealthMessage,
    Kind,
    NamedBox,
    OutboxHealth,
    Phase,
    Position,
    StatusMessage,
    encode,
)
from alerts.outbox import Target
from alerts.store.database import Database
from alerts.topics import Address

T0 = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
OUTBOX = "a" * 32
BOOT = "b" * 32


def hex_id(name: str) -> str:
    """An alert id that is the same for the same name."""
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def picture(data: bytes, role: str = "context_t0", when: datetime = T0) -> Evidence:
    return Evidence(
        role=role, sha256=digest(data), bytes=len(data), media_type="image/jpeg", captured_at=when
    )


def place(
    lat_deg: float = 33.0, lon_deg: float = 112.0, major_m: float = 50, minor_m: float = 20
) -> Position:
    return Position(
        lat_deg=lat_deg, lon_deg=lon_deg, semi_major_m=major_m, semi_minor_m=minor_m, orientation_deg=0
    )


_sequence = iter(range(1, 10**9))


def alert(name: str = "one", phase: Phase | str = Phase.OPENED, seq: int = 0, **changes: Any) -> AlertMessage:
    """An alert message; ``start`` and ``end`` in s from T0."""
    start, end = changes.pop("start", 0.0), changes.pop("end", None)
    fields: dict[str, Any] = {
        "alert_id": hex_id(name),
        "phase": phase,
        "phase_seq": seq,
        "outbox_id": OUTBOX,
        "outbox_seq": changes.pop("outbox_seq", None) or next(_sequence),
        "boot_id": BOOT,
        "site": "riverside",
        "edge": "box-1",
        "kind": Kind.ILLEGAL_PARKING,
        "camera": "street-1",
        "zone": "kerb",
        "place_key": "kerb/1",
        "started_at": at(start),
        "captured_at": at(start + 30 * (seq + 1)),
        "ended_at": at(end if end is not None else start + 600) if phase == Phase.CLOSED else None,
        "clock": ClockState(synchronised=True, offset_ms=1.5),
        "confidence": 0.8,
        "boxes": (NamedBox(label="car", confidence=0.8, x1=0.1, y1=0.2, x2=0.3, y2=0.4),),
        "measures": {"dwell_s": 330.0},
        "rule": "illegal_parking/1",
        "model": "vehicle@1.0.0",
        "precision": "f32",
    }
    return AlertMessage.model_validate({**fields, **changes})


def whole_life(name: str = "one", **changes: Any) -> list[AlertMessage]:
    """Opened, updated, closed."""
    return [
        alert(name, Phase.OPENED, 0, **changes),
        alert(name, Phase.UPDATED, 1, **changes),
        alert(name, Phase.CLOSED, 2, **changes),
    ]


def camera_health(camera: str = "street-1", **changes: Any) -> CameraHealth:
    fields: dict[str, Any] = {
        "camera": camera,
        "state": Freshness.FRESH,
        "last_captured_at": T0,
        "covered_s": 30.0,
        "analysed": 15,
        "dropped": 0,
        "lag_p95_ms": 120.0,
        "interval_s": 2.0,
    }
    return CameraHealth.model_validate({**fields, **changes})


def health(**changes: Any) -> HealthMessage:
    """A health message; ``depth`` and ``first_seq`` of the outbox may be given."""
    outbox = OutboxHealth(
        outbox_id=changes.pop("outbox_id", OUTBOX),
        depth=changes.pop("depth", 0),
        bytes=0,
        first_seq=changes.pop("first_seq", 0),
        last_seq=changes.pop("last_seq", 0),
    )
    fields: dict[str, Any] = {
        "boot_id": BOOT,
        "at": T0,
        "period_s": 30.0,
        "clock": ClockState(synchronised=True),
        "cameras": (camera_health(),),
        "outbox": outbox,
        "disk_free_bytes": 10**9,
        "version": "0.1.0",
        "config_sha256": "c" * 64,
    }
    return HealthMessage.model_validate({**fields, **changes})


def status(*, online: bool, **changes: Any) -> StatusMessage:
    fields: dict[str, Any] = {"online": online, "boot_id": BOOT, "at": T0, "version": "0.1.0"}
    return StatusMessage.model_validate({**fields, **changes})


def incoming(message: Any, channel: str, edge: str = "box-1", site: str = "riverside") -> Incoming:
    payload = message if isinstance(message, bytes) else encode(message)
    return Incoming(str(Address(site, edge, channel)), payload, T0)


def apply_all(database: Database, messages: list[AlertMessage], targets: tuple[str, ...] = ()) -> list[bool]:
    """Apply each message in a transaction of its own."""
    done = []
    for message in messages:
        with database.write() as session:
            done.append(apply_message(database, session, message, T0, [Target(name) for name in targets]))
    return done

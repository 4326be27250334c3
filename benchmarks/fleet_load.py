"""What simulated boxes say: the health of their cameras, and alerts by a stated distribution.

71,591 streams on 4,475 boxes: 16 cameras on each, 15 on nine of them. Alert messages: :data:`KINDS` says
of what kind an alert is; four of ten messages open one, two tell more of an open one, four close one.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

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
    encode,
)
from towerwatch.timebase import iso_z, utc_now

BOXES, STREAMS = 4475, 71_591
PERIOD_S = 30.0  # of health
KINDS = {
    Kind.ILLEGAL_PARKING: 0.60,
    Kind.STOPPED_VEHICLE: 0.20,
    Kind.BLOCKED_ROAD: 0.08,
    Kind.CAMERA_BLIND: 0.10,
    Kind.SMOKE: 0.02,
}
OF_ITS_OWN = frozenset({Kind.ILLEGAL_PARKING, Kind.STOPPED_VEHICLE})  # each alert is an incident by itself
PHASES = {Phase.OPENED: 0.4, Phase.UPDATED: 0.2, Phase.CLOSED: 0.4}
TROUBLE_SHARE = 0.01  # of health messages: one camera is stale
MAX_OPEN = 100  # of a box, which must fit into one health message
SITE = "city"
_THEN = datetime(2000, 1, 1, 1, 2, 3, 456789, tzinfo=UTC)
_VERSION = "0.1.0"


def cameras_of(number: int, boxes: int = BOXES) -> int:
    """Return how many cameras box ``number`` has: of the whole fleet, together :data:`STREAMS`."""
    return 16 - (boxes == BOXES and number < 16 * BOXES - STREAMS)


@dataclass(slots=True)
class OpenAlert:
    """An alert that lasts, as its box knows it."""

    first: AlertMessage
    phases: int = 1


@dataclass(slots=True)
class Voice:
    """One box's words, and its outbox: ``waiting`` holds what central has not acknowledged, by sequence."""

    edge: str
    cameras: int
    outbox_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    boot_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    next_seq: int = 1
    waiting: dict[int, bytes] = field(default_factory=dict)
    open: dict[str, OpenAlert] = field(default_factory=dict)
    _template: bytes = b""

    def health(self, *, trouble: bool) -> bytes:
        """Return a health message of this moment; only what changes is written anew."""
        if not self._template:
            self._template = self._health_template()
        text = self._template.replace(iso_z(_THEN).encode(), iso_z(utc_now()).encode())
        if trouble:
            text = text.replace(b'"fresh"', b'"stale"', 1)
        if self.open:
            ids = ",".join(f'"{alert_id}"' for alert_id in self.open)
            text = text.replace(b'"open_alerts":[]', f'"open_alerts":[{ids}]'.encode())
        if self.waiting:
            text = text.replace(b'"depth":0', b'"depth":%d' % len(self.waiting))
            text = text.replace(b'"first_seq":0', b'"first_seq":%d' % min(self.waiting))
        return text.replace(b'"last_seq":0', b'"last_seq":%d' % (self.next_seq - 1))

    def queue(self, message: AlertMessage) -> int:
        """Put an alert message into the outbox; return its sequence."""
        self.waiting[message.outbox_seq] = encode(message)
        self.next_seq = message.outbox_seq + 1
        if message.phase is Phase.CLOSED:
            del self.open[message.alert_id]
        elif message.phase is Phase.OPENED:
            self.open[message.alert_id] = OpenAlert(message)
        else:
            self.open[message.alert_id].phases += 1
        return message.outbox_seq

    def _health_template(self) -> bytes:
        cameras = tuple(
            CameraHealth(
                camera=f"cam-{number:02d}",
                state=Freshness.FRESH,
                last_captured_at=_THEN,
                covered_s=PERIOD_S,
                analysed=15,
                dropped=0,
                lag_p95_ms=120.0 + number,
                interval_s=2.0,
                gap_p95_s=2.2,
                looks=15,
            )
            for number in range(self.cameras)
        )
        message = HealthMessage(
            boot_id=self.boot_id,
            at=_THEN,
            period_s=PERIOD_S,
            clock=ClockState(synchronised=True, offset_ms=1.0),
            cameras=cameras,
            outbox=OutboxHealth(outbox_id=self.outbox_id, depth=0, bytes=0, first_seq=0, last_seq=0),
            disk_free_bytes=200 * 10**9,
            version=_VERSION,
            config_sha256="c" * 64,
        )
        return encode(message)


class Traffic:
    """Draws alert messages."""

    def __init__(self, seed: int) -> None:
        """Make the generator of the draws."""
        self._rng = np.random.default_rng(seed)
        self._kinds = list(KINDS)
        self._number = 0

    def pick(self, count: int) -> int:
        """Draw one of ``count``."""
        return int(self._rng.integers(count))

    def chance(self, share: float) -> bool:
        """Say yes to a share of the questions."""
        return bool(self._rng.random() < share)

    def alert(self, voice: Voice, *, opened: bool = False) -> AlertMessage:
        """Draw the next alert message of a box; ``opened`` asks for a new alert in any case."""
        phase = self._rng.choice(list(PHASES), p=list(PHASES.values()))
        if len(voice.open) >= MAX_OPEN:
            phase, opened = Phase.CLOSED, False
        if opened or phase == Phase.OPENED or not voice.open:
            return self._opened(voice)
        known = voice.open[list(voice.open)[self.pick(len(voice.open))]]
        now = utc_now()
        ended = (
            {"phase": Phase.CLOSED, "ended_at": now} if phase == Phase.CLOSED else {"phase": Phase.UPDATED}
        )
        return known.first.model_copy(
            update={"phase_seq": known.phases, "outbox_seq": voice.next_seq, "captured_at": now, **ended}
        )

    def _opened(self, voice: Voice) -> AlertMessage:
        self._number += 1
        kind = Kind(self._rng.choice(self._kinds, p=list(KINDS.values())))
        now = utc_now()
        picture = Evidence(
            role=EvidenceRole.CONTEXT_T0,
            sha256=uuid.uuid4().hex * 2,
            bytes=200_000,
            media_type="image/jpeg",
            captured_at=now,
        )
        return AlertMessage(
            alert_id=uuid.uuid4().hex,
            phase=Phase.OPENED,
            phase_seq=0,
            outbox_id=voice.outbox_id,
            outbox_seq=voice.next_seq,
            boot_id=voice.boot_id,
            site=SITE,
            edge=voice.edge,
            kind=kind,
            camera=f"cam-{self.pick(voice.cameras):02d}",
            zone=None if kind in {Kind.CAMERA_BLIND, Kind.SMOKE} else f"zone-{self._number}",
            place_key=f"place/{self._number}",
            started_at=now - timedelta(seconds=300),
            captured_at=now,
            clock=ClockState(synchronised=True, offset_ms=1.0),
            confidence=0.8,
            boxes=(NamedBox(label="car", confidence=0.8, x1=0.1, y1=0.2, x2=0.3, y2=0.4),),
            position=self._place(kind),
            measures={"dwell_s": 300.0},
            evidence=(picture,),
            model="vehicle@1.0.0",
            precision="f32",
            rule=f"{kind}/1",
        )

    def _place(self, kind: Kind) -> Position | None:
        if kind is Kind.CAMERA_BLIND:
            return None
        lat_deg, lon_deg = 30.59 + self._rng.normal(0, 0.25), 114.31 + self._rng.normal(0, 0.3)
        long_m = 800.0 if kind is Kind.SMOKE else 5.0
        return Position(
            lat_deg=float(lat_deg),
            lon_deg=float(lon_deg),
            semi_major_m=long_m,
            semi_minor_m=3.0,
            orientation_deg=float(self._rng.uniform(0, 179)),
        )

"""The wire contract between edge boxes and the central side.

Everything on MQTT is one of these models, as UTF-8 JSON, at most :data:`MAX_MESSAGE_BYTES`. The
models are frozen and refuse unknown fields; ``schema_version`` says which contract was spoken.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from alerts.topics import ID_PATTERN

SCHEMA_VERSION: Literal[1] = 1
MAX_MESSAGE_BYTES = 16 * 1024

Id = Annotated[str, Field(pattern=ID_PATTERN)]
AlertId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
ShortText = Annotated[str, Field(min_length=1, max_length=128)]
# a year from either end, so that every time zone can show it
Time = Annotated[
    AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC))
]


class Kind(StrEnum):
    """What an alert is about."""

    SMOKE = "smoke"
    ILLEGAL_PARKING = "illegal_parking"
    BLOCKED_ROAD = "blocked_road"
    STOPPED_VEHICLE = "stopped_vehicle"
    CAMERA_BLIND = "camera_blind"
    EDGE_SILENT = "edge_silent"
    REPORTED = "reported"  # by a person, of an item that no detector sees


class Phase(StrEnum):
    """Where an alert is in its life."""

    OPENED = "opened"
    UPDATED = "updated"
    CLOSED = "closed"


class EvidenceRole(StrEnum):
    """What a piece of evidence shows."""

    CONTEXT_T0 = "context_t0"
    CONTEXT_MID = "context_mid"
    CONTEXT_NOW = "context_now"
    CONTEXT_END = "context_end"
    CLOSE_UP = "close_up"
    CLIP = "clip"


class BlindReason(StrEnum):
    """Why a camera is not seeing; the last two, why it sees no smoke (:attr:`Freshness.NIGHT`)."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    GARBAGE = "garbage"
    FROZEN = "frozen"
    BLACK = "black"
    BLURRED = "blurred"
    STALE = "stale"
    MOVED = "moved"
    MODEL_FAILED = "model_failed"
    DARK = "dark"
    INFRARED = "infrared"


class Freshness(StrEnum):
    """State of a camera in the health message."""

    STARTING = "starting"
    FRESH = "fresh"
    STALE = "stale"
    BLIND = "blind"
    NIGHT = "night"
    """It sees, but no smoke: too dark, or by infrared light. It comes every evening, and is no alert."""


class WireModel(BaseModel):
    """Base of all messages: frozen, no unknown fields, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NamedBox(WireModel):
    """One box, in [0, 1] of the frame."""

    label: ShortText
    confidence: Fraction
    x1: Fraction
    y1: Fraction
    x2: Fraction
    y2: Fraction

    @model_validator(mode="after")
    def _ordered(self) -> NamedBox:
        if self.x1 >= self.x2 or self.y1 >= self.y2:
            msg = "a box needs x1 < x2 and y1 < y2"
            raise ValueError(msg)
        return self


class Evidence(WireModel):
    """A picture or clip that lies, or will lie, in the evidence store under its digest."""

    role: EvidenceRole
    sha256: Sha256
    bytes: Annotated[int, Field(gt=0)]
    media_type: Literal["image/jpeg", "image/png", "video/mp4"]
    captured_at: Time


class Position(WireModel):
    """A place on the ground, WGS 84, with its 95 % error ellipse."""

    lat_deg: Annotated[float, Field(ge=-90, le=90)]
    lon_deg: Annotated[float, Field(ge=-180, le=180)]
    semi_major_m: Annotated[float, Field(ge=0)]
    semi_minor_m: Annotated[float, Field(ge=0)]
    orientation_deg: Annotated[float, Field(ge=0, lt=180)]
    bearing_deg: Annotated[float, Field(ge=0, lt=360)] | None = None


class ClockState(WireModel):
    """How far the box's clock may be trusted."""

    synchronised: bool
    offset_ms: float | None = None


class AlertMessage(WireModel):
    """One phase of one alert. ``alert_id`` and ``phase_seq`` make it idempotent."""

    schema_version: Literal[1] = SCHEMA_VERSION
    alert_id: AlertId
    phase: Phase
    phase_seq: Annotated[int, Field(ge=0)]
    outbox_id: AlertId
    outbox_seq: Annotated[int, Field(ge=1)]
    boot_id: AlertId
    site: Id
    edge: Id
    kind: Kind
    camera: Id
    preset: Id = "fixed"
    zone: Id | None = None
    zone_points: Annotated[tuple[tuple[Fraction, Fraction], ...], Field(max_length=64)] = ()
    place_key: ShortText
    started_at: Time
    captured_at: Time
    ended_at: Time | None = None
    clock: ClockState
    confidence: Fraction
    boxes: Annotated[tuple[NamedBox, ...], Field(max_length=32)] = ()
    position: Position | None = None
    measures: dict[str, float] = Field(default_factory=dict, max_length=32)
    reason: Annotated[str, Field(max_length=256)] | None = None
    evidence: Annotated[tuple[Evidence, ...], Field(max_length=16)] = ()
    model: ShortText | None = None
    precision: Literal["f32", "bf16", "f16", "int8"] | None = None
    rule: ShortText
    historical: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> AlertMessage:
        if (self.phase is Phase.CLOSED) != (self.ended_at is not None):
            msg = "ended_at belongs to phase closed and to no other"
            raise ValueError(msg)
        if (self.phase is Phase.OPENED) != (self.phase_seq == 0):
            msg = "phase_seq 0 is opened, and opened is phase_seq 0"
            raise ValueError(msg)
        if self.ended_at is not None and self.ended_at < self.started_at:
            msg = "ended_at lies before started_at"
            raise ValueError(msg)
        return self


class AckMessage(WireModel):
    """Central has committed these outbox sequences of this box's database to its inbox."""

    schema_version: Literal[1] = SCHEMA_VERSION
    outbox_id: AlertId
    sequences: Annotated[tuple[int, ...], Field(min_length=1, max_length=1000)]


class StatusMessage(WireModel):
    """Retained; the last will says ``online=False``."""

    schema_version: Literal[1] = SCHEMA_VERSION
    online: bool
    boot_id: AlertId
    at: Time
    version: ShortText
    reason: Annotated[str, Field(max_length=256)] | None = None


class CameraHealth(WireModel):
    """State of one camera over the last health period.

    ``gap_p95_s`` beside ``interval_s`` says how far an overloaded box stretches the interval; ``looks``
    and ``spared``: pictures that models were shown, and those in which nothing had changed.
    """

    camera: Id
    state: Freshness
    reason: BlindReason | None = None
    detail: Annotated[str, Field(max_length=160)] = ""
    last_captured_at: Time | None = None
    covered_s: Annotated[float, Field(ge=0)]
    analysed: Annotated[int, Field(ge=0)]
    dropped: Annotated[int, Field(ge=0)]
    lag_p95_ms: Annotated[float, Field(ge=0)] | None = None
    interval_s: Annotated[float, Field(gt=0)]
    gap_p95_s: Annotated[float, Field(ge=0)] | None = None
    looks: Annotated[int, Field(ge=0)] = 0
    spared: Annotated[int, Field(ge=0)] = 0


class OutboxHealth(WireModel):
    """How much waits to be sent, and what had to be given up."""

    outbox_id: AlertId
    depth: Annotated[int, Field(ge=0)]
    bytes: Annotated[int, Field(ge=0)]
    oldest_at: Time | None = None
    first_seq: Annotated[int, Field(ge=0)]
    last_seq: Annotated[int, Field(ge=0)]
    dropped_updates: Annotated[int, Field(ge=0)] = 0
    dropped_alerts: Annotated[int, Field(ge=0)] = 0
    evidence_depth: Annotated[int, Field(ge=0)] = 0
    evidence_bytes: Annotated[int, Field(ge=0)] = 0


class HealthMessage(WireModel):
    """Sent every 30 s. ``part``/``parts`` split a box with many cameras or open alerts.

    ``stretch``: by how much the box stretches the intervals of all cameras alike, 1 where it keeps them.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    boot_id: AlertId
    at: Time
    period_s: Annotated[float, Field(gt=0)]
    part: Annotated[int, Field(ge=0)] = 0
    parts: Annotated[int, Field(ge=1)] = 1
    clock: ClockState
    cameras: Annotated[tuple[CameraHealth, ...], Field(max_length=40)] = ()
    outbox: OutboxHealth
    open_alerts: Annotated[tuple[AlertId, ...], Field(max_length=150)] = ()
    disk_free_bytes: Annotated[int, Field(ge=0, lt=2**63)]
    workers_restarted: Annotated[int, Field(ge=0)] = 0
    version: ShortText
    config_sha256: Sha256
    stretch: Annotated[float, Field(ge=1)] = 1.0

    @model_validator(mode="after")
    def _consistent(self) -> HealthMessage:
        if self.part >= self.parts:
            msg = f"part {self.part} is none of {self.parts} parts, counted from 0"
            raise ValueError(msg)
        return self


class CommandMessage(WireModel):
    """Central asks a box for something; the box answers with a reply of the same id."""

    schema_version: Literal[1] = SCHEMA_VERSION
    command_id: AlertId
    at: Time
    # any name: a box answers one that is newer than itself instead of dropping it as no message
    name: Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,31}$")]
    arguments: dict[str, Any] = Field(default_factory=dict, max_length=16)


class ReplyMessage(WireModel):
    """What came of a command."""

    schema_version: Literal[1] = SCHEMA_VERSION
    command_id: AlertId
    at: Time
    ok: bool
    detail: Annotated[str, Field(max_length=512)] = ""
    result: dict[str, Any] = Field(default_factory=dict, max_length=16)


MESSAGES: dict[str, type[WireModel]] = {
    "alert": AlertMessage,
    "ack": AckMessage,
    "status": StatusMessage,
    "health": HealthMessage,
    "command": CommandMessage,
    "reply": ReplyMessage,
}


def encode(message: WireModel) -> bytes:
    """Return the message as UTF-8 JSON; raise ValueError if it exceeds the contract's size."""
    data = message.model_dump_json(exclude_none=True).encode()
    if len(data) > MAX_MESSAGE_BYTES:
        msg = f"message of {len(data)} bytes; the contract allows {MAX_MESSAGE_BYTES}"
        raise ValueError(msg)
    return data


def decode(channel: str, data: bytes) -> WireModel:
    """Parse what came on a channel; raise ValueError (pydantic's included) if it does not fit."""
    if len(data) > MAX_MESSAGE_BYTES:
        msg = f"message of {len(data)} bytes; the contract allows {MAX_MESSAGE_BYTES}"
        raise ValueError(msg)
    return MESSAGES[channel].model_validate_json(data)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of every message, keyed by channel."""
    return {channel: model.model_json_schema() for channel, model in MESSAGES.items()}

"""The central database: one declarative table a noun, the same on SQLite and PostgreSQL.

::

    edges 1-n cameras          who watches, and how well
          1-n camera_state_changes  since when, for coverage by hour
          1-n certificates     what was issued to boxes, and what of it is revoked
    inbox -> alerts n-1 incidents 1-n timeline
              |            |  tasks              one a department that was called
              |            |  incident_pictures  proof of departments, and the camera's look again
              |  alert_phases       each message as it came
              |  evidence_refs -> evidence_blobs (the file lies in the evidence store)
              |  verdicts           of people, per alert and per box
    deliveries                 transactional outbox of notifications
    audit, audit_head          every change, chained by hashes
    changes                    what live views must hear of
    users 1-n sessions, api_tokens; login_failures
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from alerts.store.base import Base, BigId, Digest, HexId, IdText, NullJson


class Edge(Base):
    """One edge box, as enrolled and as it last reported."""

    __tablename__ = "edges"

    id: Mapped[str] = mapped_column(IdText, primary_key=True)
    site: Mapped[str] = mapped_column(IdText)
    first_seen_at: Mapped[datetime]
    enrolled_at: Mapped[datetime | None]
    token_hash: Mapped[str | None] = mapped_column(Digest, unique=True)
    revoked_at: Mapped[datetime | None]
    online: Mapped[bool] = mapped_column(default=False)
    status_at: Mapped[datetime | None]
    status_received_at: Mapped[datetime | None]
    status_reason: Mapped[str | None] = mapped_column(String(256))
    boot_id: Mapped[str | None] = mapped_column(HexId)
    version: Mapped[str | None] = mapped_column(String(128))
    health_at: Mapped[datetime | None]
    health_received_at: Mapped[datetime | None]
    health_period_s: Mapped[float | None]
    clock_synchronised: Mapped[bool | None]
    clock_offset_ms: Mapped[float | None]
    outbox: Mapped[dict[str, Any]] = mapped_column(default=dict)
    disk_free_bytes: Mapped[int | None] = mapped_column(BigInteger)
    workers_restarted: Mapped[int] = mapped_column(default=0)
    config_sha256: Mapped[str | None] = mapped_column(Digest)
    stretch: Mapped[float | None]  # by how much the box stretches the intervals of all its cameras
    # parts of the health round that is coming in: {"at", "parts", "have": {"0": [alert ids]}}
    health_round: Mapped[dict[str, Any]] = mapped_column(default=dict)
    # open on the box and unknown here: {alert id: complete rounds seen so}
    unknown_open: Mapped[dict[str, Any]] = mapped_column(default=dict)
    silent_alert_id: Mapped[str | None] = mapped_column(HexId)
    silent_since: Mapped[datetime | None]


class Certificate(Base):
    """One certificate that a box was given; those that are revoked make the revocation list."""

    __tablename__ = "certificates"

    serial: Mapped[str] = mapped_column(String(40), primary_key=True)  # hexadecimal, of at most 20 octets
    edge: Mapped[str] = mapped_column(ForeignKey("edges.id"), index=True)
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class Camera(Base):
    """One camera of one box: its last health, and its place if somebody entered it."""

    __tablename__ = "cameras"

    edge: Mapped[str] = mapped_column(ForeignKey("edges.id"), primary_key=True)
    camera: Mapped[str] = mapped_column(IdText, primary_key=True)
    name: Mapped[str | None] = mapped_column(String(128))
    lat_deg: Mapped[float | None]
    lon_deg: Mapped[float | None]
    state: Mapped[str] = mapped_column(String(16), default="starting")
    reason: Mapped[str | None] = mapped_column(String(32))
    detail: Mapped[str] = mapped_column(String(160), default="")
    state_since: Mapped[datetime]
    last_captured_at: Mapped[datetime | None]
    covered_s: Mapped[float] = mapped_column(default=0.0)
    analysed: Mapped[int] = mapped_column(BigInteger, default=0)
    dropped: Mapped[int] = mapped_column(BigInteger, default=0)
    lag_p95_ms: Mapped[float | None]
    interval_s: Mapped[float | None]
    gap_p95_s: Mapped[float | None]  # between two pictures that were analysed
    reported_at: Mapped[datetime | None]


class CameraStateChange(Base):
    """Since when a camera is in a state, or its box (``camera`` is empty then) online or offline."""

    __tablename__ = "camera_state_changes"
    __table_args__ = (Index("ix_camera_state_changes_at", "at"),)

    edge: Mapped[str] = mapped_column(ForeignKey("edges.id"), primary_key=True)
    camera: Mapped[str] = mapped_column(IdText, primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(16))


class OutboxStream(Base):
    """What has been seen of one box's outbox: the highest sequence and what is missing below it."""

    __tablename__ = "outbox_streams"

    edge: Mapped[str] = mapped_column(ForeignKey("edges.id"), primary_key=True)
    outbox_id: Mapped[str] = mapped_column(HexId, primary_key=True)
    highest_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    missing: Mapped[list[Any]] = mapped_column(default=list)  # [[first, last], ...] inclusive
    lost: Mapped[int] = mapped_column(BigInteger, default=0)  # gone for good: no longer in the outbox
    updated_at: Mapped[datetime]


class InboxRow(Base):
    """One alert message, committed before it was acknowledged; a worker applies it."""

    __tablename__ = "inbox"
    __table_args__ = (
        UniqueConstraint("edge", "outbox_id", "outbox_seq"),
        CheckConstraint("state in ('pending', 'done', 'parked')", name="state"),
        Index("ix_inbox_work", "state", "id"),
        Index("ix_inbox_alert_id", "alert_id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    edge: Mapped[str] = mapped_column(IdText)
    outbox_id: Mapped[str] = mapped_column(HexId)
    outbox_seq: Mapped[int] = mapped_column(BigInteger)
    alert_id: Mapped[str] = mapped_column(HexId)
    phase_seq: Mapped[int]
    body: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(8), default="pending")
    tries: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(String(1024))


class DeadLetter(Base):
    """A message that could not be understood, kept with its reason; repeats are counted."""

    __tablename__ = "dead_letters"
    __table_args__ = (Index("ix_dead_letters_topic_last_at", "topic", "last_at"),)

    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    topic: Mapped[str] = mapped_column(String(512))
    reason: Mapped[str] = mapped_column(String(1024))
    payload: Mapped[bytes] = mapped_column(LargeBinary)
    payload_bytes: Mapped[int]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime] = mapped_column(index=True)
    times: Mapped[int] = mapped_column(default=1)


class Incident(Base):
    """What the city handles; one or more alerts."""

    __tablename__ = "incidents"
    __table_args__ = (
        CheckConstraint(
            "state in ('detected', 'to_verify', 'filed', 'dispatched', 'accepted', 'on_site', 'handled', "
            "'to_check', 'dismissed', 'closed', 'evaluated')",
            name="state",
        ),
        Index("ix_incidents_correlate", "kind", "open", "correlation_key"),
        Index("ix_incidents_state_id", "state", "id"),
        Index("ix_incidents_updated_at_id", "updated_at", "id"),
        Index("ix_incidents_open_id", "open", "id"),  # the queue
        Index("ix_incidents_place", "lat_deg", "lon_deg"),  # the map
        Index("ix_incidents_state_at", "state_at"),  # retention: what has been over for how long
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16))
    open: Mapped[bool] = mapped_column(default=True)  # takes more alerts and stands on the wall
    correlation_key: Mapped[str] = mapped_column(String(320))
    site: Mapped[str] = mapped_column(IdText, index=True)
    edge: Mapped[str] = mapped_column(IdText)
    camera: Mapped[str] = mapped_column(IdText)
    zone: Mapped[str | None] = mapped_column(IdText)
    started_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]  # when every alert of it has ended
    last_seen_at: Mapped[datetime]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    closure_proposed_at: Mapped[datetime | None]
    confidence: Mapped[float]
    alert_count: Mapped[int] = mapped_column(default=0)
    open_alert_count: Mapped[int] = mapped_column(default=0)
    historical: Mapped[bool] = mapped_column(default=False)
    position: Mapped[dict[str, Any] | None] = mapped_column(NullJson)
    lat_deg: Mapped[float | None]
    lon_deg: Mapped[float | None]
    dismiss_reason: Mapped[str | None] = mapped_column(String(32))
    state_at: Mapped[datetime]  # since when it is in its state
    filed_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None] = mapped_column(index=True)  # the nearest limit of its tasks
    round: Mapped[int] = mapped_column(default=1)  # of dispatching; sending back and reopening begin another
    score: Mapped[int | None]  # 1 (poor) to 5 (very good), once evaluated
    merged_into: Mapped[int | None] = mapped_column(ForeignKey("incidents.id"))
    catalogue: Mapped[int | None]  # the version of the catalogue, and the flow of it,
    flow: Mapped[str | None] = mapped_column(String(6))  # that it is filed under
    look_at: Mapped[datetime | None] = mapped_column(index=True)  # when its camera is asked to look again
    version: Mapped[int] = mapped_column(default=1)


class Alert(Base):
    """One episode of one box, as its newest phase tells it; it belongs to exactly one incident."""

    __tablename__ = "alerts"
    __table_args__ = (
        CheckConstraint("phase in ('opened', 'updated', 'closed')", name="phase"),
        Index("ix_alerts_edge_phase", "edge", "phase"),
    )

    id: Mapped[str] = mapped_column(HexId, primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id"), index=True)
    site: Mapped[str] = mapped_column(IdText)
    edge: Mapped[str] = mapped_column(IdText)
    camera: Mapped[str] = mapped_column(IdText)
    preset: Mapped[str] = mapped_column(IdText)
    zone: Mapped[str | None] = mapped_column(IdText)
    kind: Mapped[str] = mapped_column(String(32))
    place_key: Mapped[str] = mapped_column(String(128))
    phase: Mapped[str] = mapped_column(String(8))
    phase_seq: Mapped[int]
    started_at: Mapped[datetime]
    captured_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    received_at: Mapped[datetime]
    confidence: Mapped[float]
    boxes: Mapped[list[Any]] = mapped_column(default=list)
    boxes_phase_seq: Mapped[int] = mapped_column(default=0)
    zone_points: Mapped[list[Any]] = mapped_column(default=list)  # [[x, y], ...] in [0, 1] of the frame
    position: Mapped[dict[str, Any] | None] = mapped_column(NullJson)
    measures: Mapped[dict[str, Any]] = mapped_column(default=dict)
    reason: Mapped[str | None] = mapped_column(String(256))
    rule: Mapped[str] = mapped_column(String(128))
    model: Mapped[str | None] = mapped_column(String(128))
    precision: Mapped[str | None] = mapped_column(String(8))
    historical: Mapped[bool] = mapped_column(default=False)
    clock_synchronised: Mapped[bool] = mapped_column(default=True)
    lost: Mapped[bool] = mapped_column(default=False)  # closed here because the box no longer knows it
    missed_rounds: Mapped[int] = mapped_column(default=0)
    reporter: Mapped[str | None] = mapped_column(String(64))  # the person, where no box raised it


class AlertPhase(Base):
    """One message of one alert, as it came; its key is what makes applying idempotent."""

    __tablename__ = "alert_phases"

    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.id"), primary_key=True)
    phase_seq: Mapped[int] = mapped_column(primary_key=True)
    phase: Mapped[str] = mapped_column(String(8))
    captured_at: Mapped[datetime]
    received_at: Mapped[datetime]
    applied_at: Mapped[datetime]
    confidence: Mapped[float]
    boxes: Mapped[list[Any]] = mapped_column(default=list)
    body: Mapped[str] = mapped_column(Text)


class EvidenceRef(Base):
    """An alert points to a picture or clip by digest; the file may come later."""

    __tablename__ = "evidence_refs"
    __table_args__ = (UniqueConstraint("alert_id", "role", "sha256"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.id"), index=True)
    role: Mapped[str] = mapped_column(String(16))
    sha256: Mapped[str] = mapped_column(Digest, index=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    media_type: Mapped[str] = mapped_column(String(32))
    captured_at: Mapped[datetime]
    phase_seq: Mapped[int]


class EvidenceBlob(Base):
    """A file that lies in the evidence store, checked against its digest."""

    __tablename__ = "evidence_blobs"
    # what is kept, oldest first, with its size: retention reads nothing else
    __table_args__ = (Index("ix_evidence_blobs_kept", "deleted_at", "received_at", "sha256", "bytes"),)

    sha256: Mapped[str] = mapped_column(Digest, primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    media_type: Mapped[str] = mapped_column(String(32))
    edge: Mapped[str] = mapped_column(IdText)  # the box or person that it came from
    received_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]  # the file is gone, by the rules of retention


class Task(Base):
    """What one department has to do about an incident, and until when."""

    __tablename__ = "tasks"
    __table_args__ = (
        CheckConstraint(
            "state in ('assigned', 'accepted', 'on_site', 'handled', 'declined', 'withdrawn')", name="state"
        ),
        UniqueConstraint("incident_id", "department", "number"),
        Index("ix_tasks_department_state", "department", "state"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id"))
    department: Mapped[str] = mapped_column(IdText)
    number: Mapped[int]  # the how-many-eth task of this department in this incident
    round: Mapped[int]
    state: Mapped[str] = mapped_column(String(16), default="assigned")
    assigned_at: Mapped[datetime]
    assigned_by: Mapped[str] = mapped_column(String(64))
    accepted_at: Mapped[datetime | None]
    arrived_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]  # handled, declined or withdrawn
    # how long it may take from its assignment, as ``Limit`` writes it; and when that is
    accept_limit: Mapped[str | None] = mapped_column(String(24))
    arrive_limit: Mapped[str | None] = mapped_column(String(24))
    close_limit: Mapped[str | None] = mapped_column(String(24))
    accept_due_at: Mapped[datetime | None]
    arrive_due_at: Mapped[datetime | None]
    close_due_at: Mapped[datetime | None]
    paused_at: Mapped[datetime | None]
    pause_reason: Mapped[str | None] = mapped_column(String(512))
    # reminders: how many of the present stage have gone out, and when the next is due
    reminded: Mapped[int] = mapped_column(default=0)
    remind_at: Mapped[datetime | None] = mapped_column(index=True)
    level: Mapped[int] = mapped_column(default=0)  # the highest level it was escalated to


class IncidentPicture(Base):
    """A picture that is no alert's evidence: proof of a department, or the camera's look again."""

    __tablename__ = "incident_pictures"
    __table_args__ = (
        CheckConstraint("role in ('proof', 'look_again')", name="role"),
        UniqueConstraint("incident_id", "sha256", "task_id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id"))
    task_id: Mapped[int | None] = mapped_column(ForeignKey("tasks.id"))
    role: Mapped[str] = mapped_column(String(16))
    sha256: Mapped[str] = mapped_column(Digest, index=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(64))


class TimelineEntry(Base):
    """One thing that happened to an incident."""

    __tablename__ = "timeline"
    __table_args__ = (UniqueConstraint("incident_id", "key"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id"), index=True)
    key: Mapped[str | None] = mapped_column(String(128))  # makes an entry that a machine writes unique
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(32))
    from_state: Mapped[str | None] = mapped_column(String(16))
    to_state: Mapped[str | None] = mapped_column(String(16))
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Verdict(Base):
    """A person's judgement of an alert (``box_index`` -1) or of one box; the newest counts."""

    __tablename__ = "verdicts"
    __table_args__ = (
        CheckConstraint("verdict in ('true', 'false', 'unsure')", name="verdict"),
        Index("ix_verdicts_of", "alert_id", "phase_seq", "box_index", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.id"))
    phase_seq: Mapped[int] = mapped_column(default=-1)
    box_index: Mapped[int] = mapped_column(default=-1)
    verdict: Mapped[str] = mapped_column(String(8))
    implied: Mapped[bool] = mapped_column(default=False)  # follows from confirm or dismiss
    reason: Mapped[str | None] = mapped_column(String(32))
    note: Mapped[str] = mapped_column(String(512), default="")
    user_name: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]


class Delivery(Base):
    """One notification that is owed; ``key`` goes along so that the receiver can drop repeats."""

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint("state in ('pending', 'sent', 'failed')", name="state"),
        UniqueConstraint("key", "target"),
        Index("ix_deliveries_due", "target", "state", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(64))
    event: Mapped[str] = mapped_column(String(64))
    incident_id: Mapped[int | None] = mapped_column(ForeignKey("incidents.id"))
    body: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(8), default="pending")
    tries: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    next_try_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(String(512))


class Change(Base):
    """What live views must hear of; pruned after an hour."""

    __tablename__ = "changes"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    topic: Mapped[str] = mapped_column(String(16))  # incident, camera, edge
    ref: Mapped[str] = mapped_column(String(130))
    action: Mapped[str] = mapped_column(String(32))


class Command(Base):
    """What central asked of a box, and what came of it."""

    __tablename__ = "commands"
    __table_args__ = (
        Index("ix_commands_unsettled", "incident_id", "settled_at"),
        Index("ix_commands_sent_at", "sent_at"),
    )

    id: Mapped[str] = mapped_column(HexId, primary_key=True)
    edge: Mapped[str] = mapped_column(ForeignKey("edges.id"), index=True)
    name: Mapped[str] = mapped_column(String(32))
    arguments: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    replied_at: Mapped[datetime | None]
    ok: Mapped[bool | None]
    detail: Mapped[str | None] = mapped_column(String(512))
    result: Mapped[dict[str, Any]] = mapped_column(default=dict)
    # a look again that an incident waits for; settled once the incident knows what came of it
    incident_id: Mapped[int | None] = mapped_column(ForeignKey("incidents.id"))
    settled_at: Mapped[datetime | None]


class Artifact(Base):
    """A model or configuration that boxes fetch by digest."""

    __tablename__ = "artifacts"

    sha256: Mapped[str] = mapped_column(Digest, primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    bytes: Mapped[int] = mapped_column(BigInteger)
    added_at: Mapped[datetime]


class User(Base):
    """A person who may log in."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(16))
    area: Mapped[str | None] = mapped_column(IdText)  # sees and handles what lies in it alone
    department: Mapped[str | None] = mapped_column(IdText)  # sees and handles its tasks alone
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]


class UserSession(Base):
    """A browser that has logged in; the cookie's value is kept as its digest alone."""

    __tablename__ = "sessions"

    token_hash: Mapped[str] = mapped_column(Digest, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    csrf: Mapped[str] = mapped_column(Digest)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class ApiToken(Base):
    """A script's key, kept as its digest alone."""

    __tablename__ = "api_tokens"

    token_hash: Mapped[str] = mapped_column(Digest, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    scopes: Mapped[list[Any] | None] = mapped_column(NullJson)  # rights; None is all that its role has
    area: Mapped[str | None] = mapped_column(IdText)
    department: Mapped[str | None] = mapped_column(IdText)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class LoginFailure(Base):
    """A failed login, for the rate limit; pruned after the window."""

    __tablename__ = "login_failures"
    __table_args__ = (Index("ix_login_failures_name_at", "name", "at"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(index=True)


class Part(Base):
    """A running part of central (consume, work, serve) and when it last gave a sign."""

    __tablename__ = "parts"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    beat_at: Mapped[datetime]
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)


class AuditRow(Base):
    """One change, chained to the one before: ``hash`` covers the row and the hash before it."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_subject", "subject", "seq"),)

    seq: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(128))
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(192))
    detail: Mapped[str] = mapped_column(Text)  # JSON, as it was hashed
    hash: Mapped[str] = mapped_column(Digest)


class AuditHead(Base):
    """The end of the chain, one row: who appends holds it, and a cut-off end shows against it."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(Digest)

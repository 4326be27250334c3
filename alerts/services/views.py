"""What the services return: frozen values, JSON-able by pydantic, with times in aware UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from alerts.deadlines import Stage
from alerts.messages import EvidenceRole, Kind, Phase
from alerts.services.rights import Right, Within
from alerts.states import Action, State, TaskAction, TaskState

VerdictValue = Literal["true", "false", "unsure"]


class View(BaseModel):
    """Base of all views: frozen."""

    model_config = ConfigDict(frozen=True)


class BoxView(View):
    """One box, in [0, 1] of the frame; ``index`` within its phase, for verdicts."""

    index: int
    label: str
    confidence: float
    x1: float
    y1: float
    x2: float
    y2: float


class PlaceView(View):
    """A place on the ground, WGS 84, with its 95 % error ellipse where one is known."""

    lat_deg: float
    lon_deg: float
    semi_major_m: float = 0.0
    semi_minor_m: float = 0.0
    orientation_deg: float = 0.0
    bearing_deg: float | None = None


class EvidenceView(View):
    """A picture or clip; ``url`` serves it to who is logged in; ``present`` once and while the file is here.

    ``deleted_at`` is when the rules of retention took it away.
    """

    role: EvidenceRole
    sha256: str
    bytes: int
    media_type: str
    captured_at: datetime
    phase_seq: int
    present: bool
    deleted_at: datetime | None
    url: str


class PictureView(View):
    """A proof of a department, or the camera's look again."""

    sha256: str
    at: datetime
    actor: str
    present: bool
    url: str


class TaskView(View):
    """What one department has to do. ``stage`` is what it waits for, ``due_at`` until when.

    ``actions`` are what the department may do next; ``level`` is how high it has been escalated.
    """

    id: int
    incident_id: int
    department: str
    round: int
    state: TaskState
    stage: Stage | None
    due_at: datetime | None
    assigned_at: datetime
    assigned_by: str
    accepted_at: datetime | None
    arrived_at: datetime | None
    ended_at: datetime | None
    accept_due_at: datetime | None
    arrive_due_at: datetime | None
    close_due_at: datetime | None
    paused_at: datetime | None
    pause_reason: str | None
    level: int
    actions: tuple[TaskAction, ...]
    proofs: tuple[PictureView, ...] = ()


class TaskPage(View):
    """One page of a list of tasks, newest first; ``next_cursor`` is None on the last."""

    items: tuple[TaskView, ...]
    next_cursor: str | None


class VerdictView(View):
    """The newest judgement of an alert (``phase_seq`` and ``box_index`` None) or of one box."""

    alert_id: str
    phase_seq: int | None
    box_index: int | None
    verdict: VerdictValue
    reason: str | None
    note: str
    user: str
    at: datetime


class PhaseView(View):
    """One message of an alert."""

    phase: Phase
    phase_seq: int
    captured_at: datetime
    received_at: datetime
    confidence: float
    boxes: tuple[BoxView, ...]


class AlertView(View):
    """One episode of one box."""

    id: str
    incident_id: int
    kind: Kind
    phase: Phase
    phase_seq: int
    site: str
    edge: str
    camera: str
    preset: str
    zone: str | None
    place_key: str
    started_at: datetime
    captured_at: datetime
    ended_at: datetime | None
    received_at: datetime
    confidence: float
    boxes: tuple[BoxView, ...]
    boxes_phase_seq: int
    zone_points: tuple[tuple[float, float], ...]
    place: PlaceView | None
    measures: dict[str, float]
    reason: str | None
    rule: str
    model: str | None
    precision: str | None
    historical: bool
    clock_synchronised: bool
    lost: bool
    reporter: str | None = None  # the person, where no box raised it
    phases: tuple[PhaseView, ...] = ()
    evidence: tuple[EvidenceView, ...] = ()
    verdicts: tuple[VerdictView, ...] = ()


class TimelineView(View):
    """One thing that happened to an incident; ``actor`` is a user's name or ``system``."""

    at: datetime
    actor: str
    action: str
    from_state: State | None
    to_state: State | None
    detail: dict[str, Any]


class IncidentSummary(View):
    """An incident as lists and maps show it. ``place`` falls back to the camera's entered place."""

    id: int
    kind: Kind
    state: State
    site: str
    edge: str
    camera: str
    camera_name: str | None
    zone: str | None
    started_at: datetime
    ended_at: datetime | None
    last_seen_at: datetime
    created_at: datetime
    updated_at: datetime
    closure_proposed_at: datetime | None
    confidence: float
    alert_count: int
    open_alert_count: int
    historical: bool
    place: PlaceView | None
    dismiss_reason: str | None
    state_at: datetime
    filed_at: datetime | None
    closed_at: datetime | None
    due_at: datetime | None
    score: int | None
    merged_into: int | None
    catalogue: int | None = None
    flow: str | None = None
    version: int
    actions: tuple[Action, ...]


class IncidentView(IncidentSummary):
    """An incident with all that is known of it; ``looks`` are the pictures of its camera's look again."""

    alerts: tuple[AlertView, ...]
    tasks: tuple[TaskView, ...]
    looks: tuple[PictureView, ...]
    timeline: tuple[TimelineView, ...]


class IncidentPage(View):
    """One page of a list, newest first; ``next_cursor`` is None on the last."""

    items: tuple[IncidentSummary, ...]
    next_cursor: str | None


class AuditView(View):
    """One change in the audit; ``detail`` is the JSON text that the hash covers."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: str
    hash: str


class AuditPage(View):
    """One page of the audit, newest first; ``next_before`` is None on the last."""

    items: tuple[AuditView, ...]
    next_before: int | None


class CameraView(View):
    """One camera and its last reported health: ``interval_s`` is wanted between looks, ``gap_p95_s`` was."""

    edge: str
    site: str
    camera: str
    name: str | None
    lat_deg: float | None
    lon_deg: float | None
    state: str
    reason: str | None
    detail: str
    state_since: datetime
    last_captured_at: datetime | None
    covered_s: float
    analysed: int
    dropped: int
    lag_p95_ms: float | None
    interval_s: float | None
    gap_p95_s: float | None = None
    reported_at: datetime | None


class HourView(View):
    """An hour of a camera, in s: seeing; seeing but no smoke (night); blind; away with its box.

    The rest of it is not known.
    """

    start: datetime
    seeing_s: float
    night_s: float
    blind_s: float
    away_s: float


class EdgeView(View):
    """One box; ``silent`` once central has raised an incident over its silence.

    ``stretch`` is by how much it stretches the intervals of all its cameras, 1 where it keeps them.
    """

    id: str
    site: str
    online: bool
    silent: bool
    status_reason: str | None
    enrolled_at: datetime | None
    revoked_at: datetime | None
    boot_id: str | None
    version: str | None
    health_at: datetime | None
    health_received_at: datetime | None
    clock_synchronised: bool | None
    clock_offset_ms: float | None
    outbox: dict[str, Any]
    disk_free_bytes: int | None
    workers_restarted: int
    config_sha256: str | None
    stretch: float | None = None
    missing_messages: int
    lost_messages: int
    cameras: int
    cameras_fresh: int


class ChangeView(View):
    """Something changed; whoever shows it should ask again. ``resync`` means: ask for everything."""

    id: int
    at: datetime
    topic: Literal["incident", "camera", "edge", "resync"]
    ref: str
    action: str


class UserView(View):
    """Who is asking: role, what that role (or the scopes of a token) gives a right to, and where."""

    name: str
    role: str
    rights: tuple[Right, ...]
    area: str | None = None
    department: str | None = None

    @property
    def may_act(self) -> bool:
        """Whether this person may change incidents and give verdicts."""
        return Right.ACT in self.rights

    @property
    def within(self) -> Within:
        """The part of the city that this person sees."""
        return Within(self.area, self.department)


class AccountView(View):
    """A person who may log in."""

    name: str
    role: str
    area: str | None
    department: str | None
    created_at: datetime
    disabled_at: datetime | None


class TokenView(View):
    """A script's key, without the key; ``scopes`` None is all that its role has."""

    name: str
    role: str
    scopes: tuple[Right, ...] | None
    area: str | None
    department: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class SessionView(View):
    """A fresh login: put ``token`` into an HttpOnly cookie, hand ``csrf`` to the page."""

    token: str
    csrf: str
    user: UserView
    expires_at: datetime

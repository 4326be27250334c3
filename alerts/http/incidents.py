"""Incidents, alerts and verdicts."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from alerts.http.auth import Ctx, SomeUser
from alerts.messages import Kind
from alerts.services.errors import Invalid
from alerts.services.incidents import MAX_PAGE, IncidentFilter
from alerts.services.verdicts import MAX_NOTE
from alerts.services.views import (
    AlertView,
    IncidentPage,
    IncidentSummary,
    IncidentView,
    UserView,
    VerdictValue,
    VerdictView,
)
from alerts.states import State

router = APIRouter(prefix="/api/v1", tags=["incidents"])

IncidentId = Annotated[int, Path(ge=1, lt=2**63)]
AlertIdPath = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
Note = Annotated[str, Field(max_length=MAX_NOTE)]


class Act(BaseModel):
    """What goes along with an action; give ``version`` to be refused if somebody was faster."""

    model_config = ConfigDict(extra="forbid")
    note: Note = ""
    version: int | None = None


class Dismissal(Act):
    """Why an incident is none; a reason of ``GET /api/v1/texts``."""

    reason: str = Field(min_length=1, max_length=32)


class Evaluation(Act):
    """How well it was handled, from 1 (very poor) to 5 (very good)."""

    score: int = Field(ge=1, le=5)


class Merge(BaseModel):
    """The incident that takes the alerts over."""

    model_config = ConfigDict(extra="forbid")
    into: int = Field(ge=1, lt=2**63)
    version: int | None = None


class Split(BaseModel):
    """The alerts that become an incident of their own."""

    model_config = ConfigDict(extra="forbid")
    alerts: list[Annotated[str, Field(pattern="^[0-9a-f]{32}$")]] = Field(min_length=1, max_length=500)
    version: int | None = None


class Judgement(BaseModel):
    """A verdict on an alert or on one of its boxes."""

    model_config = ConfigDict(extra="forbid")
    verdict: VerdictValue
    reason: str | None = Field(default=None, max_length=32)
    note: Note = ""


class BoxJudgement(BaseModel):
    """A verdict on box ``box_index`` of phase ``phase_seq``."""

    model_config = ConfigDict(extra="forbid")
    phase_seq: int = Field(ge=0, lt=2**31)
    box_index: int = Field(ge=0, lt=32)
    verdict: VerdictValue
    reason: str | None = Field(default=None, max_length=32)


class Wanted(BaseModel):
    """Which incidents to list. ``bbox`` is west,south,east,north in degrees."""

    model_config = ConfigDict(extra="forbid")
    state: list[State] = Field(default_factory=list)
    kind: list[Kind] = Field(default_factory=list)
    site: str | None = Field(default=None, max_length=64)
    edge: str | None = Field(default=None, max_length=64)
    camera: str | None = Field(default=None, max_length=64)
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    bbox: str | None = Field(default=None, max_length=128)
    area: str | None = Field(default=None, max_length=64)
    cursor: str | None = Field(default=None, max_length=40)
    limit: int = Field(default=50, ge=1, le=MAX_PAGE)

    def to_filter(self, user: UserView) -> IncidentFilter:
        """Return it as the service takes it, for what this person sees."""
        return IncidentFilter(
            states=frozenset(self.state),
            kinds=frozenset(self.kind),
            site=self.site,
            edge=self.edge,
            camera=self.camera,
            since=in_range(self.since),
            until=in_range(self.until),
            bbox=parse_bbox(self.bbox),
            area=self.area,
            within=user.within,
        )


def parse_bbox(text: str | None) -> tuple[float, float, float, float] | None:
    """Read ``west,south,east,north``; raise :class:`Invalid` for anything else."""
    if text is None:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        west = south = east = north = float("nan")
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        msg = f"bbox {text!r}: write west,south,east,north in degrees"
        raise Invalid(msg)
    return west, south, east, north


def in_range(at: datetime | None) -> datetime | None:
    """Return a time that a database can hold; raise :class:`Invalid` for another."""
    if at is not None and not 1970 <= at.year < 9999:
        msg = f"time {at.isoformat()}: from 1970 to 9998"
        raise Invalid(msg)
    return at


@router.get("/incidents")
def list_incidents(wanted: Annotated[Wanted, Query()], context: Ctx, user: SomeUser) -> IncidentPage:
    """List incidents, newest first, a page at a time."""
    return context.services.incidents.list_incidents(wanted.to_filter(user), wanted.cursor, wanted.limit)


@router.get("/incidents/counts")
def count_incidents(wanted: Annotated[Wanted, Query()], context: Ctx, user: SomeUser) -> dict[State, int]:
    """Count incidents by state."""
    return context.services.incidents.count_by_state(wanted.to_filter(user))


@router.get("/incidents/{incident_id}")
def get_incident(incident_id: IncidentId, context: Ctx, _user: SomeUser) -> IncidentView:
    """Return one incident with alerts, evidence, verdicts and timeline."""
    return context.services.incidents.get_incident(incident_id)


@router.post("/incidents/{incident_id}/confirm")
def confirm(incident_id: IncidentId, body: Act, context: Ctx, user: SomeUser) -> IncidentSummary:
    """File an incident: it is real."""
    return context.services.incidents.confirm(incident_id, user=user.name, version=body.version)


@router.post("/incidents/{incident_id}/dismiss")
def dismiss(incident_id: IncidentId, body: Dismissal, context: Ctx, user: SomeUser) -> IncidentSummary:
    """Dismiss an incident, with a reason."""
    return context.services.incidents.dismiss(
        incident_id, body.reason, user=user.name, note=body.note, version=body.version
    )


@router.post("/incidents/{incident_id}/check")
def check(incident_id: IncidentId, body: Act, context: Ctx, user: SomeUser) -> IncidentSummary:
    """Put what is handled up for a check without waiting for the camera's look again."""
    return context.services.incidents.check(incident_id, user=user.name, note=body.note, version=body.version)


@router.post("/incidents/{incident_id}/evaluate")
def evaluate(incident_id: IncidentId, body: Evaluation, context: Ctx, user: SomeUser) -> IncidentSummary:
    """Say how well a closed incident was handled."""
    return context.services.incidents.evaluate(
        incident_id, body.score, user=user.name, note=body.note, version=body.version
    )


@router.post("/incidents/{incident_id}/merge")
def merge(incident_id: IncidentId, body: Merge, context: Ctx, user: SomeUser) -> IncidentSummary:
    """Move all alerts into another incident of the same kind; return that one."""
    return context.services.groups.merge(
        incident_id, body.into, user=user.name, version=body.version, within=user.within
    )


@router.post("/incidents/{incident_id}/split")
def split(incident_id: IncidentId, body: Split, context: Ctx, user: SomeUser) -> IncidentSummary:
    """Make a new incident of some of the alerts; return the new one."""
    return context.services.groups.split(incident_id, body.alerts, user=user.name, version=body.version)


@router.post("/incidents/{incident_id}/close")
def close(incident_id: IncidentId, body: Act, context: Ctx, user: SomeUser) -> IncidentSummary:
    """Close an incident: checked, or filed without anybody having to be sent."""
    return context.services.incidents.close(incident_id, user=user.name, note=body.note, version=body.version)


@router.post("/incidents/{incident_id}/reopen")
def reopen(incident_id: IncidentId, body: Act, context: Ctx, user: SomeUser) -> IncidentSummary:
    """Take a dismissal or closure back."""
    return context.services.incidents.reopen(
        incident_id, user=user.name, note=body.note, version=body.version
    )


@router.get("/alerts/{alert_id}")
def get_alert(alert_id: AlertIdPath, context: Ctx, _user: SomeUser) -> AlertView:
    """Return one alert with phases, evidence and verdicts."""
    return context.services.incidents.get_alert(alert_id)


@router.get("/alerts/{alert_id}/verdicts")
def list_verdicts(alert_id: AlertIdPath, context: Ctx, _user: SomeUser) -> tuple[VerdictView, ...]:
    """Return the verdicts that count, of the alert and of its boxes."""
    return context.services.verdicts.of_alert(alert_id)


@router.post("/alerts/{alert_id}/verdict")
def judge_alert(alert_id: AlertIdPath, body: Judgement, context: Ctx, user: SomeUser) -> VerdictView:
    """Judge an alert."""
    return context.services.verdicts.judge_alert(
        alert_id, body.verdict, user=user.name, reason=body.reason, note=body.note
    )


@router.post("/alerts/{alert_id}/box-verdict")
def judge_box(alert_id: AlertIdPath, body: BoxJudgement, context: Ctx, user: SomeUser) -> VerdictView:
    """Judge one box of an alert."""
    return context.services.verdicts.judge_box(
        alert_id, body.phase_seq, body.box_index, body.verdict, user=user.name, reason=body.reason
    )

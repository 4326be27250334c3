"""From database rows to the values that services return."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from alerts.deadlines import WAITS_FOR
from alerts.messages import EvidenceRole, Kind, Phase
from alerts.moves import due_of
from alerts.services.views import (
    AlertView,
    BoxView,
    EvidenceView,
    IncidentSummary,
    PhaseView,
    PictureView,
    PlaceView,
    TaskView,
    TimelineView,
    VerdictValue,
    VerdictView,
)
from alerts.states import State, TaskState, actions_from, task_actions_from
from alerts.store.tables import (
    Alert,
    AlertPhase,
    Camera,
    EvidenceBlob,
    EvidenceRef,
    Incident,
    IncidentPicture,
    Task,
    TimelineEntry,
    Verdict,
)


def boxes_of(stored: Iterable[dict[str, Any]]) -> tuple[BoxView, ...]:
    """Return the boxes of one phase with their numbers."""
    return tuple(BoxView(index=index, **box) for index, box in enumerate(stored))


def place_of(position: dict[str, Any] | None, camera: Camera | None = None) -> PlaceView | None:
    """Return the measured position, or else the camera's entered place, or else nothing."""
    if position is not None:
        return PlaceView(**position)
    if camera is not None and camera.lat_deg is not None and camera.lon_deg is not None:
        return PlaceView(lat_deg=camera.lat_deg, lon_deg=camera.lon_deg)
    return None


def summary_fields(row: Incident, camera: Camera | None) -> dict[str, Any]:
    """Return the fields of an :class:`IncidentSummary`."""
    state = State(row.state)
    return {
        "id": row.id,
        "kind": Kind(row.kind),
        "state": state,
        "site": row.site,
        "edge": row.edge,
        "camera": row.camera,
        "camera_name": camera.name if camera else None,
        "zone": row.zone,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "last_seen_at": row.last_seen_at,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "closure_proposed_at": row.closure_proposed_at,
        "confidence": row.confidence,
        "alert_count": row.alert_count,
        "open_alert_count": row.open_alert_count,
        "historical": row.historical,
        "place": place_of(row.position, camera),
        "dismiss_reason": row.dismiss_reason,
        "state_at": row.state_at,
        "filed_at": row.filed_at,
        "closed_at": row.closed_at,
        "due_at": row.due_at,
        "score": row.score,
        "merged_into": row.merged_into,
        "catalogue": row.catalogue,
        "flow": row.flow,
        "version": row.version,
        "actions": actions_from(state),
    }


def incident_summary(row: Incident, camera: Camera | None) -> IncidentSummary:
    """Return an incident as lists show it."""
    return IncidentSummary(**summary_fields(row, camera))


def alert_view(
    row: Alert,
    camera: Camera | None,
    phases: Iterable[AlertPhase],
    evidence: Iterable[EvidenceView],
    verdicts: Iterable[VerdictView],
) -> AlertView:
    """Return an alert with all that hangs on it."""
    return AlertView(
        id=row.id,
        incident_id=row.incident_id,
        kind=Kind(row.kind),
        phase=Phase(row.phase),
        phase_seq=row.phase_seq,
        site=row.site,
        edge=row.edge,
        camera=row.camera,
        preset=row.preset,
        zone=row.zone,
        place_key=row.place_key,
        started_at=row.started_at,
        captured_at=row.captured_at,
        ended_at=row.ended_at,
        received_at=row.received_at,
        confidence=row.confidence,
        boxes=boxes_of(row.boxes),
        boxes_phase_seq=row.boxes_phase_seq,
        zone_points=tuple((x, y) for x, y in row.zone_points),
        place=place_of(row.position, camera),
        measures=row.measures,
        reason=row.reason,
        rule=row.rule,
        model=row.model,
        precision=row.precision,
        historical=row.historical,
        clock_synchronised=row.clock_synchronised,
        lost=row.lost,
        reporter=row.reporter,
        phases=tuple(phase_view(phase) for phase in phases),
        evidence=tuple(evidence),
        verdicts=tuple(verdicts),
    )


def phase_view(row: AlertPhase) -> PhaseView:
    """Return one message of an alert."""
    return PhaseView(
        phase=Phase(row.phase),
        phase_seq=row.phase_seq,
        captured_at=row.captured_at,
        received_at=row.received_at,
        confidence=row.confidence,
        boxes=boxes_of(row.boxes),
    )


def evidence_view(row: EvidenceRef, blob: EvidenceBlob | None) -> EvidenceView:
    """Return one reference to a picture or clip; ``blob`` is None until the file has come."""
    return EvidenceView(
        role=EvidenceRole(row.role),
        sha256=row.sha256,
        bytes=row.bytes,
        media_type=row.media_type,
        captured_at=row.captured_at,
        phase_seq=row.phase_seq,
        present=blob is not None and blob.deleted_at is None,
        deleted_at=blob.deleted_at if blob is not None else None,
        url=f"/evidence/{row.sha256}",
    )


def picture_view(row: IncidentPicture, *, present: bool) -> PictureView:
    """Return one proof or look again."""
    return PictureView(
        sha256=row.sha256, at=row.at, actor=row.actor, present=present, url=f"/evidence/{row.sha256}"
    )


def task_view(row: Task, proofs: Iterable[PictureView] = ()) -> TaskView:
    """Return one task with its proofs."""
    state = TaskState(row.state)
    return TaskView(
        id=row.id,
        incident_id=row.incident_id,
        department=row.department,
        round=row.round,
        state=state,
        stage=WAITS_FOR.get(state),
        due_at=due_of(row),
        assigned_at=row.assigned_at,
        assigned_by=row.assigned_by,
        accepted_at=row.accepted_at,
        arrived_at=row.arrived_at,
        ended_at=row.ended_at,
        accept_due_at=row.accept_due_at,
        arrive_due_at=row.arrive_due_at,
        close_due_at=row.close_due_at,
        paused_at=row.paused_at,
        pause_reason=row.pause_reason,
        level=row.level,
        actions=task_actions_from(state),
        proofs=tuple(proofs),
    )


def verdict_view(row: Verdict) -> VerdictView:
    """Return one judgement."""
    return VerdictView(
        alert_id=row.alert_id,
        phase_seq=None if row.phase_seq < 0 else row.phase_seq,
        box_index=None if row.box_index < 0 else row.box_index,
        verdict=cast("VerdictValue", row.verdict),
        reason=row.reason,
        note=row.note,
        user=row.user_name,
        at=row.at,
    )


def timeline_view(row: TimelineEntry) -> TimelineView:
    """Return one line of the timeline."""
    return TimelineView(
        at=row.at,
        actor=row.actor,
        action=row.action,
        from_state=State(row.from_state) if row.from_state else None,
        to_state=State(row.to_state) if row.to_state else None,
        detail=row.detail,
    )

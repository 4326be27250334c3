"""Apply one alert message to the database: idempotent, and right in whatever order messages come.

The newest phase (highest ``phase_seq``) says what an alert is; an older one that comes late only adds its own
message and evidence. So ``closed`` before ``opened`` ends as a closed alert with both phases.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from alerts.areas.placing import place_incident
from alerts.correlate import Facts, key_of, policy_of, same_incident
from alerts.crossing import crossed
from alerts.messages import AlertMessage, Kind, Phase
from alerts.moves import file_unverified, move
from alerts.outbox import Target, owe
from alerts.states import TECHNICAL_KINDS, UNDER_WAY, Action, State
from alerts.store import journal
from alerts.store.database import Database
from alerts.store.tables import Alert, AlertPhase, EvidenceRef, Incident
from towerwatch.geometry.ellipse import Ellipse
from towerwatch.timebase import utc_now

# candidates of another key are looked for 25.5 km to the north and south: two towers that know bearings alone
# (a box's max_range_m is 25 km at most) have the middles of their ellipses no further apart
NEAR_LAT_DEG = 0.23


def apply_message(
    database: Database,
    session: Session,
    message: AlertMessage,
    received_at: datetime,
    targets: Sequence[Target] = (),
    *,
    under: tuple[int, str] | None = None,
) -> bool:
    """Apply one phase within the caller's transaction; False when it had been applied before.

    ``targets`` are told of a new incident, and of one that closes by itself. A new incident is filed
    ``under`` that version of the catalogue and that flow of it; None leaves it to the catalogue.
    """
    database.lock(session, f"alert {message.alert_id}")
    if session.get(AlertPhase, (message.alert_id, message.phase_seq)) is not None:
        return False
    alert = session.get(Alert, message.alert_id)
    if alert is None:
        incident = _incident_for(database, session, message, targets, under)
        alert = Alert(id=message.alert_id, incident_id=incident.id, phase_seq=-1)
        _take_over(alert, message, received_at)
        session.add(alert)
        session.flush()
        detail = {"alert_id": alert.id, "camera": alert.camera, "confidence": alert.confidence}
        journal.entry(session, incident.id, journal.SYSTEM, "alert", detail=detail, key=f"alert {alert.id}")
    else:
        found = session.get(Incident, alert.incident_id, with_for_update=True, populate_existing=True)
        assert found is not None  # noqa: S101 - the foreign key holds it
        incident = found
        if message.phase_seq > alert.phase_seq:
            _take_over(alert, message, received_at)
    _add_phase(session, message, received_at)
    _add_evidence(session, message)
    session.flush()
    refresh_incident(session, incident, targets)
    journal.changed(session, "incident", str(incident.id), f"alert_{message.phase}")
    return True


def facts_of(row: Alert | AlertMessage) -> Facts:
    """Return what correlation needs of an alert, stored or just come."""
    position = row.position if isinstance(row, Alert) else row.position and row.position.model_dump()
    ellipse = Ellipse(**position) if position else None
    return Facts(
        kind=Kind(row.kind),
        edge=row.edge,
        camera=row.camera,
        preset=row.preset,
        zone=row.zone,
        place_key=row.place_key,
        started_at=row.started_at,
        ended_at=row.ended_at,
        ellipse=ellipse,
    )


def refresh_incident(session: Session, incident: Incident, targets: Sequence[Target] = ()) -> None:
    """Bring an incident in line with its alerts; propose closure when the last has ended."""
    alerts = session.scalars(select(Alert).where(Alert.incident_id == incident.id).order_by(Alert.id)).all()
    was_open, was_new = incident.open_alert_count, not incident.alert_count
    still_open = [alert for alert in alerts if alert.phase != Phase.CLOSED]
    incident.alert_count, incident.open_alert_count = len(alerts), len(still_open)
    incident.started_at = min(alert.started_at for alert in alerts)
    incident.last_seen_at = max(alert.ended_at or alert.captured_at for alert in alerts)
    incident.ended_at = None if still_open else max(alert.ended_at or alert.captured_at for alert in alerts)
    incident.confidence = max(alert.confidence for alert in alerts)
    incident.historical = all(alert.historical for alert in alerts)
    incident.updated_at = utc_now()
    incident.version += 1
    before = (incident.lat_deg, incident.lon_deg)
    _take_position(incident, alerts)
    if was_new or before != (incident.lat_deg, incident.lon_deg):
        place_incident(session, incident)
    if still_open:
        incident.closure_proposed_at = None
        if incident.kind in TECHNICAL_KINDS and incident.state == State.CLOSED:
            move(session, incident, Action.REOPEN, journal.SYSTEM, targets=targets)
            file_unverified(session, incident, targets)
    elif was_open or incident.closure_proposed_at is None:
        _propose_closure(session, incident, targets)


def _propose_closure(session: Session, incident: Incident, targets: Sequence[Target]) -> None:
    if not incident.open:
        return
    if incident.kind in TECHNICAL_KINDS:
        move(session, incident, Action.RECOVER, journal.SYSTEM, targets=targets)
        return
    incident.closure_proposed_at = utc_now()
    if incident.state in {State.FILED, *UNDER_WAY}:
        incident.look_at = incident.closure_proposed_at
    journal.entry(session, incident.id, journal.SYSTEM, "closure_proposed")


def _take_position(incident: Incident, alerts: Sequence[Alert]) -> None:
    """Cross the sights of several cameras; of each the surest, since its errors are the same every time."""
    surest: dict[tuple[str, str], Ellipse] = {}
    for alert in alerts:
        if alert.position:
            sight, camera = Ellipse(**alert.position), (alert.edge, alert.camera)
            if camera not in surest or sight.semi_major_m < surest[camera].semi_major_m:
                surest[camera] = sight
    if surest:
        place = crossed(list(surest.values()))
        incident.position = asdict(place)
        incident.lat_deg, incident.lon_deg = place.lat_deg, place.lon_deg


def _incident_for(
    database: Database,
    session: Session,
    message: AlertMessage,
    targets: Sequence[Target],
    under: tuple[int, str] | None,
) -> Incident:
    """Return the open incident that the alert belongs to, locked, or make one."""
    facts = facts_of(message)
    policy, key = policy_of(facts), key_of(facts)
    # who decides whether an incident is new must be alone with the place while deciding
    database.lock(session, f"correlate {facts.kind}" if policy.near else f"correlate {facts.kind} {key}")
    earliest = facts.started_at - timedelta(seconds=policy.gap_s)
    place: Any = Incident.correlation_key == key
    if policy.near is not None and facts.ellipse is not None:
        lat_deg = facts.ellipse.lat_deg
        place = or_(place, Incident.lat_deg.between(lat_deg - NEAR_LAT_DEG, lat_deg + NEAR_LAT_DEG))
    members = session.execute(
        select(Alert, Incident.id)
        .join(Incident, Incident.id == Alert.incident_id)
        .where(
            Incident.kind == facts.kind,
            Incident.open.is_(True),
            or_(Incident.last_seen_at >= earliest, Incident.open_alert_count > 0),
            place,
        )
        .order_by(Incident.id, Alert.id)
    )
    for member, incident_id in members:
        if same_incident(facts, facts_of(member)):
            found = session.get(Incident, incident_id, with_for_update=True, populate_existing=True)
            if found is not None and found.open:
                return found
    return _new_incident(session, message, key, targets, under)


def _new_incident(
    session: Session,
    message: AlertMessage,
    key: str,
    targets: Sequence[Target],
    under: tuple[int, str] | None,
) -> Incident:
    now = utc_now()
    catalogue, flow = under or (None, None)
    incident = Incident(
        kind=message.kind,
        state=State.DETECTED,
        state_at=now,
        open=True,
        correlation_key=key,
        site=message.site,
        edge=message.edge,
        camera=message.camera,
        zone=message.zone,
        started_at=message.started_at,
        last_seen_at=message.ended_at or message.captured_at,
        created_at=now,
        updated_at=now,
        confidence=message.confidence,
        historical=message.historical,
        catalogue=catalogue,
        flow=flow,
        alert_count=0,
        open_alert_count=0,
        version=0,
    )
    session.add(incident)
    session.flush()
    states = (None, State.DETECTED)
    journal.entry(session, incident.id, journal.SYSTEM, "detected", states=states, key="detected")
    move(session, incident, Action.SUBMIT, journal.SYSTEM)
    if message.position is not None:
        incident.position = message.position.model_dump()
    alert = {"alert_id": message.alert_id, "evidence": [item.sha256 for item in message.evidence]}
    owe(session, targets, "incident.created", incident, more=alert)
    file_unverified(session, incident, targets)
    return incident


def _take_over(alert: Alert, message: AlertMessage, received_at: datetime) -> None:
    """Make the alert what its newest phase says; boxes and zone stay when a phase brings none."""
    alert.site, alert.edge, alert.camera = message.site, message.edge, message.camera
    alert.preset, alert.zone, alert.kind = message.preset, message.zone, message.kind
    alert.place_key = message.place_key
    alert.phase, alert.phase_seq = message.phase, message.phase_seq
    alert.started_at, alert.captured_at = message.started_at, message.captured_at
    alert.ended_at, alert.received_at = message.ended_at, received_at
    alert.confidence = max(alert.confidence or 0.0, message.confidence)
    if message.boxes or alert.boxes is None:
        alert.boxes = [box.model_dump() for box in message.boxes]
        alert.boxes_phase_seq = message.phase_seq
    if message.zone_points or alert.zone_points is None:
        alert.zone_points = [list(point) for point in message.zone_points]
    if message.position is not None:
        alert.position = message.position.model_dump()
    alert.measures = dict(message.measures)
    alert.reason = message.reason
    alert.rule, alert.model, alert.precision = message.rule, message.model, message.precision
    alert.historical = message.historical
    alert.clock_synchronised = message.clock.synchronised
    alert.lost, alert.missed_rounds = False, 0


def _add_phase(session: Session, message: AlertMessage, received_at: datetime) -> None:
    session.add(
        AlertPhase(
            alert_id=message.alert_id,
            phase_seq=message.phase_seq,
            phase=message.phase,
            captured_at=message.captured_at,
            received_at=received_at,
            applied_at=utc_now(),
            confidence=message.confidence,
            boxes=[box.model_dump() for box in message.boxes],
            body=json.dumps(message.model_dump(mode="json", exclude_none=True), separators=(",", ":")),
        )
    )


def _add_evidence(session: Session, message: AlertMessage) -> None:
    stored = select(EvidenceRef.role, EvidenceRef.sha256).where(EvidenceRef.alert_id == message.alert_id)
    known = {(role, sha256) for role, sha256 in session.execute(stored)}
    for item in message.evidence:
        if (item.role, item.sha256) in known:
            continue
        known.add((item.role, item.sha256))
        session.add(
            EvidenceRef(
                alert_id=message.alert_id,
                role=item.role,
                sha256=item.sha256,
                bytes=item.bytes,
                media_type=item.media_type,
                captured_at=item.captured_at,
                phase_seq=message.phase_seq,
            )
        )

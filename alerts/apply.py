"""Apply one alert message to the database: idempotent, and right in whatever order messages come.

The newest phase (highest ``phase_seq``) says what an alert is; an older one that comes late only adds its own
message and evidence. So ``closed`` before ``opened`` ends as a closed alert with both phases.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts.areas.placing import hold_areas, place_incident
from alerts.catalogue.filing import hold_catalogue
from alerts.crossing import crossed
from alerts.joining import (
    facts_of,
    find_incidents,
    lock_incidents,
    new_incident,
    place_of,
    place_of_incident,
)
from alerts.messages import AlertMessage, Evidence, Phase
from alerts.moves import file_unverified, move
from alerts.outbox import Target, owe
from alerts.states import TECHNICAL_KINDS, UNDER_WAY, Action, State
from alerts.store import journal
from alerts.store.database import Database
from alerts.store.tables import Alert, AlertPhase, EvidenceRef, Incident
from towerwatch.geometry.ellipse import Ellipse
from towerwatch.timebase import utc_now


@dataclass(frozen=True, slots=True)
class Told:
    """A message, when it came, and the catalogue's version and flow to file a new incident under, if said."""

    message: AlertMessage
    received_at: datetime
    under: tuple[int, str] | None = None


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
    return apply_messages(database, session, [Told(message, received_at, under)], targets) == 1


def apply_messages(
    database: Database, session: Session, told: Sequence[Told], targets: Sequence[Target] = ()
) -> int:
    """Apply phases within the caller's transaction, as if one after the other; return how many were new.

    What touches neither the same alert, nor the same incident, nor the same place goes in one wave, in which
    each table is asked and written once; what does waits for the next.
    """
    session.flush()
    with session.no_autoflush, hold_catalogue(session), hold_areas(session):
        batch = _Batch(database, session, targets, told)
        applied = 0
        while told:
            wave, told = batch.wave(told)
            applied += batch.apply(wave)
        return applied


class _Batch:
    """Phases of one transaction, and the rows that they touch; all their locks are taken at once."""

    def __init__(
        self, database: Database, session: Session, targets: Sequence[Target], told: Sequence[Told]
    ) -> None:
        self._session, self._targets = session, targets
        ids = sorted({item.message.alert_id for item in told})
        database.lock_all(session, [f"alert {alert_id}" for alert_id in ids])
        phases = select(AlertPhase.alert_id, AlertPhase.phase_seq).where(AlertPhase.alert_id.in_(ids))
        self._seen = {(alert_id, seq) for alert_id, seq in session.execute(phases)}
        alerts = session.scalars(
            select(Alert).where(Alert.id.in_(ids)).execution_options(populate_existing=True)
        )
        self._alerts = {alert.id: alert for alert in alerts}
        begins = [item.message for item in told if item.message.alert_id not in self._alerts]
        database.lock_all(session, {place_of(facts_of(message)) for message in begins})
        self._incidents = lock_incidents(session, {alert.incident_id for alert in self._alerts.values()})
        evidence = select(EvidenceRef.alert_id, EvidenceRef.role, EvidenceRef.sha256)
        found = (
            session.execute(evidence.where(EvidenceRef.alert_id.in_(self._alerts))) if self._alerts else ()
        )
        self._evidence = {(alert_id, role, sha256) for alert_id, role, sha256 in found}

    def wave(self, told: Sequence[Told]) -> tuple[list[Told], list[Told]]:
        """Split off what has nothing to do with each other; the rest keeps its order."""
        now: list[Told] = []
        later: list[Told] = []
        taken: set[str] = set()
        for item in told:
            touched = self._touched(item.message)
            (later if touched & taken else now).append(item)
            taken |= touched
        return now, later

    def _touched(self, message: AlertMessage) -> set[str]:
        facts, alert = facts_of(message), self._alerts.get(message.alert_id)
        if alert is None:
            return {message.alert_id, place_of(facts)}
        incident = self._incidents[alert.incident_id]
        return {message.alert_id, f"incident {incident.id}", place_of_incident(facts, incident)}

    def apply(self, wave: Sequence[Told]) -> int:
        """Apply phases that have nothing to do with each other; return how many were new."""
        fresh = [item for item in wave if (item.message.alert_id, item.message.phase_seq) not in self._seen]
        begins = [item for item in fresh if item.message.alert_id not in self._alerts]
        self._begin(begins)
        for item in fresh:
            alert = self._alerts[item.message.alert_id]
            if item.message.phase_seq > alert.phase_seq:
                _take_over(alert, item.message, item.received_at)
        self._session.flush()  # what follows refers to the alerts
        for item in begins:
            self._enter(item.message)
        for item in fresh:
            self._session.add(_phase(item.message, item.received_at))
            self._add_evidence(item.message)
            self._seen.add((item.message.alert_id, item.message.phase_seq))
        self._refresh(fresh)
        self._session.flush()
        return len(fresh)

    def _begin(self, begins: Sequence[Told]) -> None:
        """Give each new alert its incident."""
        joined = find_incidents(self._session, [item.message for item in begins])
        made = [
            (item.message, new_incident(item.message, item.under))
            for item in begins
            if item.message.alert_id not in joined
        ]
        self._session.add_all(incident for _, incident in made)
        self._session.flush()  # what follows needs their numbers
        for message, incident in made:
            self._open(incident, message)
            joined[message.alert_id] = incident
        for item in begins:
            incident = joined[item.message.alert_id]
            self._incidents[incident.id] = incident
            alert = Alert(id=item.message.alert_id, incident_id=incident.id, phase_seq=-1)
            self._session.add(alert)
            self._alerts[alert.id] = alert

    def _open(self, incident: Incident, message: AlertMessage) -> None:
        session, states = self._session, (None, State.DETECTED)
        journal.entry(session, incident.id, journal.SYSTEM, "detected", states=states, key="detected")
        move(session, incident, Action.SUBMIT, journal.SYSTEM)
        about = {"alert_id": message.alert_id, "evidence": [item.sha256 for item in message.evidence]}
        owe(session, self._targets, "incident.created", incident, more=about)
        file_unverified(session, incident, self._targets)

    def _enter(self, message: AlertMessage) -> None:
        alert = self._alerts[message.alert_id]
        detail = {"alert_id": alert.id, "camera": alert.camera, "confidence": alert.confidence}
        key = f"alert {alert.id}"
        journal.entry(self._session, alert.incident_id, journal.SYSTEM, "alert", detail=detail, key=key)

    def _add_evidence(self, message: AlertMessage) -> None:
        for item in message.evidence:
            known = (message.alert_id, item.role, item.sha256)
            if known not in self._evidence:
                self._evidence.add(known)
                self._session.add(_reference(message, item))

    def _refresh(self, fresh: Sequence[Told]) -> None:
        """Bring the incidents of a wave in line with their alerts, which are read together."""
        by_incident: dict[int, list[Alert]] = defaultdict(list)
        touched = {self._alerts[item.message.alert_id].incident_id for item in fresh}
        alerts = select(Alert).where(Alert.incident_id.in_(touched)).order_by(Alert.id)
        for alert in self._session.scalars(alerts) if touched else ():
            by_incident[alert.incident_id].append(alert)
        for item in fresh:
            incident = self._incidents[self._alerts[item.message.alert_id].incident_id]
            _bring_in_line(self._session, incident, by_incident[incident.id], self._targets)
            journal.changed(self._session, "incident", str(incident.id), f"alert_{item.message.phase}")


def refresh_incident(session: Session, incident: Incident, targets: Sequence[Target] = ()) -> None:
    """Bring an incident in line with its alerts; propose closure when the last has ended."""
    alerts = session.scalars(select(Alert).where(Alert.incident_id == incident.id).order_by(Alert.id)).all()
    _bring_in_line(session, incident, alerts, targets)


def _bring_in_line(
    session: Session, incident: Incident, alerts: Sequence[Alert], targets: Sequence[Target]
) -> None:
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
        place_incident(session, incident, new=was_new)
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


def _phase(message: AlertMessage, received_at: datetime) -> AlertPhase:
    return AlertPhase(
        alert_id=message.alert_id,
        phase_seq=message.phase_seq,
        phase=message.phase,
        captured_at=message.captured_at,
        received_at=received_at,
        applied_at=utc_now(),
        confidence=message.confidence,
        boxes=[box.model_dump() for box in message.boxes],
        body=message.model_dump_json(exclude_none=True),
    )


def _reference(message: AlertMessage, item: Evidence) -> EvidenceRef:
    return EvidenceRef(
        alert_id=message.alert_id,
        role=item.role,
        sha256=item.sha256,
        bytes=item.bytes,
        media_type=item.media_type,
        captured_at=item.captured_at,
        phase_seq=message.phase_seq,
    )

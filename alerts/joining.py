"""Which incident an alert belongs to: found among those that are open, or made; for many alerts at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from alerts.correlate import Facts, key_of, policy_of, same_incident
from alerts.messages import AlertMessage, Kind
from alerts.states import State
from alerts.store.tables import Alert, Incident
from towerwatch.geometry.ellipse import Ellipse
from towerwatch.timebase import utc_now

# candidates of another key are looked for 25.5 km to the north and south: two towers that know bearings alone
# (a box's max_range_m is 25 km at most) have the middles of their ellipses no further apart
NEAR_LAT_DEG = 0.23


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


def place_of(facts: Facts) -> str:
    """Name the place that an alert may share with others; of kinds that are joined by nearness, all of it.

    Who decides whether an incident is new must be alone with the place while deciding.
    """
    return _name(facts, key_of(facts))


def place_of_incident(facts: Facts, incident: Incident) -> str:
    """Name the place where alerts like this one are looked for when they might belong to an incident."""
    return _name(facts, incident.correlation_key)


def _name(facts: Facts, key: str) -> str:
    return f"correlate {facts.kind}" if policy_of(facts).near else f"correlate {facts.kind} {key}"


def find_incidents(session: Session, messages: Sequence[AlertMessage]) -> dict[str, Incident]:
    """Return, by alert, the open incidents that new alerts belong to, locked; no two alerts share a place."""
    asked = {message.alert_id: facts_of(message) for message in messages}
    at_keys = _members_at_keys(session, asked.values())
    fitting: dict[str, list[int]] = {}
    for alert_id, facts in asked.items():
        near = policy_of(facts).near is not None and facts.ellipse is not None
        members = _members_near(session, facts) if near else at_keys[facts.kind, key_of(facts)]
        found = [incident.id for member, incident in members if _fits(facts, member, incident)]
        if found:
            fitting[alert_id] = list(dict.fromkeys(found))
    if not fitting:
        return {}
    ids = {incident_id for found in fitting.values() for incident_id in found}
    locked = lock_incidents(session, ids)
    return {
        alert_id: next(locked[one] for one in found if locked[one].open)
        for alert_id, found in fitting.items()
        if any(locked[one].open for one in found)
    }


def lock_incidents(session: Session, ids: Iterable[int]) -> dict[int, Incident]:
    """Return incidents as they are now, locked in one order."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    query = select(Incident).where(Incident.id.in_(wanted)).order_by(Incident.id).with_for_update()
    return {row.id: row for row in session.scalars(query, execution_options={"populate_existing": True})}


def new_incident(message: AlertMessage, under: tuple[int, str] | None) -> Incident:
    """Return the incident that an alert begins, not stored yet."""
    now = utc_now()
    catalogue, flow = under or (None, None)
    return Incident(
        kind=message.kind,
        state=State.DETECTED,
        state_at=now,
        open=True,
        correlation_key=key_of(facts_of(message)),
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
        position=message.position.model_dump() if message.position is not None else None,
    )


Members = list[tuple[Alert, Incident]]


def _members_at_keys(session: Session, asked: Iterable[Facts]) -> dict[tuple[str, str], Members]:
    """Return the alerts of open incidents by kind and key."""
    found: dict[tuple[str, str], Members] = defaultdict(list)
    keys = {(facts.kind, key_of(facts)) for facts in asked}
    if keys:
        kinds, names = {kind for kind, _ in keys}, {key for _, key in keys}
        here = Incident.kind.in_(kinds) & Incident.correlation_key.in_(names)
        for member, incident in session.execute(_open_members(here)):
            found[Kind(incident.kind), incident.correlation_key].append((member, incident))
    return found


def _members_near(session: Session, facts: Facts) -> Members:
    assert facts.ellipse is not None  # noqa: S101 - the caller asks for nothing else
    lat_deg = facts.ellipse.lat_deg
    place = or_(
        Incident.correlation_key == key_of(facts),
        Incident.lat_deg.between(lat_deg - NEAR_LAT_DEG, lat_deg + NEAR_LAT_DEG),
    )
    return [(member, incident) for member, incident in session.execute(_open_members(place, facts))]


def _open_members(where: Any, facts: Facts | None = None) -> Any:
    query = (
        select(Alert, Incident)
        .join(Incident, Incident.id == Alert.incident_id)
        .where(Incident.open.is_(True), where)
        .order_by(Incident.id, Alert.id)
    )
    if facts is None:
        return query
    earliest = facts.started_at - timedelta(seconds=policy_of(facts).gap_s)
    lately = or_(Incident.last_seen_at >= earliest, Incident.open_alert_count > 0)
    return query.where(Incident.kind == facts.kind, lately)


def _fits(facts: Facts, member: Alert, incident: Incident) -> bool:
    earliest = facts.started_at - timedelta(seconds=policy_of(facts).gap_s)
    lately = incident.last_seen_at >= earliest or incident.open_alert_count > 0
    return lately and same_incident(facts, facts_of(member))

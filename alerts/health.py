"""Status and health of boxes: kept, compared with what central believes, and reconciled.

A health round is complete once all its parts have come. Only while the box's outbox is empty does a
difference mean something; otherwise the message that explains it is still on its way.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts import commands, gaps
from alerts.apply import refresh_incident
from alerts.messages import CameraHealth, HealthMessage, Kind, Phase, StatusMessage
from alerts.silence import close_silence
from alerts.store import journal
from alerts.store.database import Database
from alerts.store.tables import Alert, Camera, Edge, InboxRow, Incident, OutboxStream
from towerwatch.logs import get_logger

ASK_AFTER_ROUNDS = 2
ASK_AGAIN_ROUNDS = 10
MAX_ASKED = 100

log = get_logger(__name__)


def apply_status(session: Session, edge: Edge, message: StatusMessage, now: datetime) -> None:
    """Keep whether a box is connected; the broker keeps the order of one topic, so the last one counts.

    The broker repeats its retained copy whenever central subscribes: that is no word of the box.
    """
    repeated = edge.status_at == message.at and edge.online == message.online
    if edge.online != message.online or edge.status_received_at is None:
        edge.status_received_at = now
        journal.changed(session, "edge", edge.id, "online" if message.online else "offline")
    edge.online, edge.status_at = message.online, message.at
    edge.status_reason = message.reason
    edge.boot_id, edge.version = message.boot_id, message.version
    if message.online and not repeated:
        close_silence(session, edge, now)


def apply_health(
    database: Database,
    session: Session,
    edge: Edge,
    message: HealthMessage,
    now: datetime,
    *,
    lost_after: int,
) -> None:
    """Keep one part of a health round; when the round is complete, reconcile open alerts."""
    edge.health_at, edge.health_received_at = message.at, now
    edge.health_period_s = message.period_s
    edge.boot_id, edge.version = message.boot_id, message.version
    edge.clock_synchronised, edge.clock_offset_ms = message.clock.synchronised, message.clock.offset_ms
    edge.outbox = message.outbox.model_dump(mode="json")
    edge.disk_free_bytes = message.disk_free_bytes
    edge.workers_restarted = message.workers_restarted
    edge.config_sha256 = message.config_sha256
    if not edge.online:  # health is proof enough, should the retained status have been lost
        edge.online, edge.status_received_at = True, now
        journal.changed(session, "edge", edge.id, "online")
    close_silence(session, edge, now)
    _keep_cameras(session, edge, message.cameras, now)
    _keep_gaps(session, edge, message, now)
    open_ids = _complete_round(edge, message)
    if open_ids is not None and message.outbox.depth == 0:
        _reconcile(database, session, edge, open_ids, lost_after)


def load_health(session: Session, edges: set[str]) -> list[Camera | OutboxStream]:
    """Read what the health of some boxes will touch, in one query a table.

    Keep what is returned for as long as the session is used: it holds what it loads only weakly.
    """
    if not edges:
        return []
    cameras = session.scalars(select(Camera).where(Camera.edge.in_(edges)))
    streams = session.scalars(select(OutboxStream).where(OutboxStream.edge.in_(edges)))
    return [*cameras, *streams]


def note_sequences(
    session: Session, edge: str, outbox_id: str, numbers: Iterable[int], now: datetime
) -> None:
    """Keep which outbox sequences of a box have come."""
    row = session.get(OutboxStream, (edge, outbox_id))  # its edge is locked
    if row is None:
        row = OutboxStream(edge=edge, outbox_id=outbox_id, highest_seq=0, missing=[], lost=0, updated_at=now)
        session.add(row)
        session.flush()
    _store(row, gaps.note(_seen(row), numbers), now)


def _keep_gaps(session: Session, edge: Edge, message: HealthMessage, now: datetime) -> None:
    row = session.get(OutboxStream, (edge.id, message.outbox.outbox_id))
    if row is None or not row.missing:
        return
    kept_from = message.outbox.first_seq if message.outbox.depth else row.highest_seq + 1
    after = gaps.give_up_below(_seen(row), kept_from)
    if after.lost > row.lost:
        log.warning("a box has given messages up", edge=edge.id, lost=after.lost - row.lost)
    _store(row, after, now)


def _seen(row: OutboxStream) -> gaps.Seen:
    return gaps.Seen(row.highest_seq, tuple((first, last) for first, last in row.missing), row.lost)


def _store(row: OutboxStream, seen: gaps.Seen, now: datetime) -> None:
    row.highest_seq, row.lost, row.updated_at = seen.highest, seen.lost, now
    row.missing = [list(gap) for gap in seen.missing]


def _keep_cameras(session: Session, edge: Edge, cameras: Iterable[CameraHealth], now: datetime) -> None:
    new = False
    for health in cameras:
        row = session.get(Camera, (edge.id, health.camera))
        if row is None:
            row = Camera(edge=edge.id, camera=health.camera, state="", state_since=now)
            session.add(row)
            new = True
        if (row.state, row.reason) != (health.state, health.reason):
            row.state, row.reason, row.state_since = health.state, health.reason, now
            journal.changed(session, "camera", f"{edge.id}/{health.camera}", health.state)
        row.detail = health.detail
        row.last_captured_at = health.last_captured_at
        row.covered_s, row.analysed, row.dropped = health.covered_s, health.analysed, health.dropped
        row.lag_p95_ms, row.interval_s = health.lag_p95_ms, health.interval_s
        row.reported_at = now
    if new:
        session.flush()


def _complete_round(edge: Edge, message: HealthMessage) -> set[str] | None:
    """Add one part; return all open alert ids once the round is complete."""
    stamp = message.at.isoformat()
    have: dict[str, Any] = {}
    if edge.health_round.get("at") == stamp and edge.health_round.get("parts") == message.parts:
        have = dict(edge.health_round["have"])
    have[str(message.part)] = list(message.open_alerts)
    if len(have) < message.parts:
        edge.health_round = {"at": stamp, "parts": message.parts, "have": have}
        return None
    edge.health_round = {}
    return {alert_id for ids in have.values() for alert_id in ids}


def _reconcile(database: Database, session: Session, edge: Edge, on_box: set[str], lost_after: int) -> None:
    here = session.scalars(
        select(Alert).where(
            Alert.edge == edge.id, Alert.phase != Phase.CLOSED, Alert.kind != Kind.EDGE_SILENT
        )
    ).all()
    if not here and not on_box:
        if edge.unknown_open:
            edge.unknown_open = {}
        return
    waiting = _in_inbox(session, on_box | {alert.id for alert in here})
    for alert in here:
        if alert.id in on_box:
            if alert.missed_rounds:
                alert.missed_rounds = 0
        elif alert.id not in waiting:
            _miss(database, session, alert, lost_after)
    known = {alert.id for alert in here} | waiting
    known |= set(session.scalars(select(Alert.id).where(Alert.id.in_(on_box - known), Alert.lost.is_(False))))
    rounds = {alert_id: int(edge.unknown_open.get(alert_id, 0)) + 1 for alert_id in on_box - known}
    ask = [
        alert_id
        for alert_id, count in sorted(rounds.items())
        if count >= ASK_AFTER_ROUNDS and (count - ASK_AFTER_ROUNDS) % ASK_AGAIN_ROUNDS == 0
    ]
    if ask:
        commands.order(session, edge.id, "reconcile", {"alert_ids": ask[:MAX_ASKED]})
        log.warning("alerts open on a box are unknown here", edge=edge.id, alerts=ask[:MAX_ASKED])
    if rounds != edge.unknown_open:
        edge.unknown_open = rounds


def _in_inbox(session: Session, alert_ids: set[str]) -> set[str]:
    """Return which of some alerts still have a message to be applied, or parked."""
    return set(
        session.scalars(
            select(InboxRow.alert_id).where(InboxRow.alert_id.in_(alert_ids), InboxRow.state != "done")
        )
    )


def _miss(database: Database, session: Session, alert: Alert, lost_after: int) -> None:
    """Count one more round in which the box does not know the alert; close it after enough of them."""
    alert.missed_rounds += 1
    if alert.missed_rounds < lost_after:
        return
    database.lock(session, f"alert {alert.id}")
    incident = session.get(Incident, alert.incident_id, with_for_update=True, populate_existing=True)
    if incident is None:
        return
    alert.phase, alert.lost, alert.ended_at = Phase.CLOSED, True, alert.captured_at
    detail = {"alert_id": alert.id, "reason": f"unknown to the box in {alert.missed_rounds} health rounds"}
    journal.entry(session, incident.id, journal.SYSTEM, "alert_lost", detail=detail)
    session.flush()
    refresh_incident(session, incident)
    journal.changed(session, "incident", str(incident.id), "alert_lost")
    log.warning("alert closed as lost", alert_id=alert.id, edge=alert.edge)

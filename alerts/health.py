"""Status and health of boxes: kept, compared with what central believes, and reconciled.

A health round is complete once all its parts have come. Only while the box's outbox is empty does a
difference mean something; otherwise the message that explains it is still on its way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts import commands, gaps
from alerts.apply import refresh_incident
from alerts.messages import HealthMessage, Kind, Phase, StatusMessage
from alerts.silence import close_silence
from alerts.store import journal
from alerts.store.database import Database
from alerts.store.health_rows import keep_boxes, keep_cameras
from alerts.store.seeing import note_box, note_cameras
from alerts.store.tables import Alert, Edge, InboxRow, Incident, OutboxStream
from towerwatch.logs import get_logger

ASK_AFTER_ROUNDS = 2
ASK_AGAIN_ROUNDS = 10
MAX_ASKED = 100

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Round:
    """A complete health round of a box that has nothing left to send."""

    edge: Edge
    on_box: set[str]  # the alerts that are open there


def apply_status(session: Session, edge: Edge, message: StatusMessage, now: datetime) -> None:
    """Keep whether a box is connected; the broker keeps the order of one topic, so the last one counts.

    The broker repeats its retained copy whenever central subscribes: that is no word of the box.
    """
    repeated = edge.status_at == message.at and edge.online == message.online
    if edge.online != message.online or edge.status_received_at is None:
        edge.status_received_at = now
        journal.changed(session, "edge", edge.id, "online" if message.online else "offline")
        note_box(session, edge.id, now, online=message.online)
    edge.online, edge.status_at = message.online, message.at
    edge.status_reason = message.reason
    edge.boot_id, edge.version = message.boot_id, message.version
    if message.online and not repeated:
        close_silence(session, edge, now)


def apply_health(session: Session, edge: Edge, now: datetime) -> None:
    """Hear from a part of a health round that its box lives; :func:`apply_rounds` keeps what it says."""
    if not edge.online:  # health is proof enough, should the retained status have been lost
        edge.online, edge.status_received_at = True, now
        journal.changed(session, "edge", edge.id, "online")
        note_box(session, edge.id, now, online=True)
    close_silence(session, edge, now)


def apply_rounds(
    database: Database,
    session: Session,
    said: Sequence[tuple[Edge, HealthMessage]],
    now: datetime,
    *,
    lost_after: int,
) -> None:
    """Keep what parts of health rounds say; reconcile open alerts where a round is complete.

    The boxes are locked by the caller. Each table is asked and written once for all messages together.
    """
    if not said:
        return
    streams = _streams_of(session, said)
    rounds: list[Round] = []
    for edge, message in said:
        _keep_gaps(streams.get((edge.id, message.outbox.outbox_id)), message, now)
        open_ids = _complete_round(edge, message)
        if open_ids is not None and message.outbox.depth == 0:
            rounds.append(Round(edge, open_ids))
    cameras = ((edge.id, camera) for edge, message in said for camera in message.cameras)
    keep_boxes(database, session, {edge.id: message for edge, message in said}, now)
    changed = keep_cameras(database, session, cameras, now)
    if changed:
        note_cameras(database, session, {box for box, _camera, _state in changed}, now)
    journal.cameras_changed(session, ((f"{box}/{camera}", state) for box, camera, state in changed))
    _reconcile_all(database, session, rounds, lost_after)


def _streams_of(
    session: Session, said: Sequence[tuple[Edge, HealthMessage]]
) -> dict[tuple[str, str], OutboxStream]:
    """Return the outboxes of boxes of which something is missing."""
    of_these = OutboxStream.edge.in_({edge.id for edge, _ in said})
    found = session.scalars(select(OutboxStream).where(of_these, OutboxStream.missing != []))
    return {(row.edge, row.outbox_id): row for row in found}


def note_sequences(session: Session, came: Mapping[tuple[str, str], Iterable[int]], now: datetime) -> None:
    """Keep which sequences have come, by box and outbox; the boxes are locked."""
    boxes = {edge for edge, _ in came}
    known = session.scalars(select(OutboxStream).where(OutboxStream.edge.in_(boxes))) if boxes else ()
    rows = {(row.edge, row.outbox_id): row for row in known}
    for (edge, outbox_id), numbers in sorted(came.items()):
        row = rows.get((edge, outbox_id))
        if row is None:
            start = {"highest_seq": 0, "missing": [], "lost": 0}
            row = OutboxStream(edge=edge, outbox_id=outbox_id, updated_at=now, **start)
            session.add(row)
        _store(row, gaps.note(_seen(row), numbers), now)
    session.flush()


def _keep_gaps(row: OutboxStream | None, message: HealthMessage, now: datetime) -> None:
    if row is None:
        return
    kept_from = message.outbox.first_seq if message.outbox.depth else row.highest_seq + 1
    after = gaps.give_up_below(_seen(row), kept_from)
    if after.lost > row.lost:
        log.warning("a box has given messages up", edge=row.edge, lost=after.lost - row.lost)
    _store(row, after, now)


def _seen(row: OutboxStream) -> gaps.Seen:
    return gaps.Seen(row.highest_seq, tuple((first, last) for first, last in row.missing), row.lost)


def _store(row: OutboxStream, seen: gaps.Seen, now: datetime) -> None:
    row.highest_seq, row.lost, row.updated_at = seen.highest, seen.lost, now
    row.missing = [list(gap) for gap in seen.missing]


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
    if edge.health_round:
        edge.health_round = {}
    return {alert_id for ids in have.values() for alert_id in ids}


def _reconcile_all(database: Database, session: Session, rounds: Sequence[Round], lost_after: int) -> None:
    if not rounds:
        return
    here = _open_here(session, {one.edge.id for one in rounds})
    unsure = {alert_id for one in rounds for alert_id in one.on_box ^ here[one.edge.id].keys()}
    waiting, known = (_in_inbox(session, unsure), _not_lost(session, unsure)) if unsure else (set(), set())
    for one in rounds:
        of_box = here[one.edge.id]
        for alert_id, missed in of_box.items():
            if alert_id in one.on_box:
                if missed:
                    session.get_one(Alert, alert_id).missed_rounds = of_box[alert_id] = 0
            elif alert_id not in waiting:
                of_box[alert_id] += 1
                _miss(database, session, session.get_one(Alert, alert_id), lost_after)
        _ask_for_unknown(session, one, known | waiting | of_box.keys())


def _open_here(session: Session, boxes: set[str]) -> dict[str, dict[str, int]]:
    """Return what central believes to be open on boxes, and how many rounds have not known it."""
    query = select(Alert.edge, Alert.id, Alert.missed_rounds).where(
        Alert.edge.in_(boxes), Alert.phase != Phase.CLOSED, Alert.kind != Kind.EDGE_SILENT
    )
    here: dict[str, dict[str, int]] = defaultdict(dict)
    for edge, alert_id, missed in session.execute(query):
        here[edge][alert_id] = missed
    return here


def _ask_for_unknown(session: Session, one: Round, known: set[str]) -> None:
    """Ask a box for alerts that it says are open and that never came."""
    edge = one.edge
    rounds = {alert_id: int(edge.unknown_open.get(alert_id, 0)) + 1 for alert_id in one.on_box - known}
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


def _not_lost(session: Session, alert_ids: set[str]) -> set[str]:
    return set(session.scalars(select(Alert.id).where(Alert.id.in_(alert_ids), Alert.lost.is_(False))))


def _miss(database: Database, session: Session, alert: Alert, lost_after: int) -> None:
    """Count one more round in which the box does not know the alert; close it after enough of them."""
    alert.missed_rounds += 1
    if alert.missed_rounds < lost_after or alert.phase == Phase.CLOSED:
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

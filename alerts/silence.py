"""The silent box: an alert that central itself opens and closes.

It takes the same path as any other alert, through the inbox, so that it is applied once and correlated,
verified and pushed like the rest. The inbox row and the note in ``edges`` are one transaction.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import Session

from alerts.config import WatchSettings
from alerts.messages import AlertMessage, ClockState, Kind, Phase, encode
from alerts.store import journal
from alerts.store.database import Database
from alerts.store.seeing import note_box
from alerts.store.tables import Edge, InboxRow

CENTRAL = "0" * 32  # the outbox and boot id of what central itself says
RULE = "edge_silent/1"


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of one box when asking whether it is silent."""

    online: bool
    status_received_at: datetime | None
    health_received_at: datetime | None


def silent_since(
    heard: Heard, now: datetime, listening_since: datetime, watch: WatchSettings
) -> tuple[datetime, str] | None:
    """Return since when and why a box is silent, or None.

    A box that has never spoken is not silent, it is not installed yet. Time in which central itself did
    not listen does not count. What was heard at a time that has yet to come was heard before the clock was
    set back, which is when central began to listen anew.
    """
    heard = Heard(
        heard.online,
        *(
            at if at is None or at <= now else listening_since
            for at in (heard.status_received_at, heard.health_received_at)
        ),
    )
    told = [at for at in (heard.status_received_at, heard.health_received_at) if at is not None]
    if not told:
        return None
    went_at = heard.status_received_at
    if not heard.online and went_at is not None:
        if now - max(went_at, listening_since) > timedelta(seconds=watch.offline_grace_s):
            return went_at, "offline"
        return None
    last = max(told)
    if now - max(last, listening_since) > timedelta(seconds=watch.health_missing_s):
        return last, "no_health"
    return None


def open_silences(database: Database, now: datetime, listening_since: datetime, watch: WatchSettings) -> int:
    """Open an alert for each box that has fallen silent; return how many."""
    with database.read() as session:
        quiet = [
            edge.id
            for edge in session.scalars(_watched().where(_perhaps_silent(now, watch)))
            if silent_since(_heard(edge), now, listening_since, watch) is not None
        ]
    opened = 0
    for edge_id in quiet:
        with database.write() as session:
            edge = session.scalar(_watched().where(Edge.id == edge_id).with_for_update())
            found = edge and silent_since(_heard(edge), now, listening_since, watch)
            if edge is None or not found:
                continue
            edge.silent_alert_id, edge.silent_since = uuid.uuid4().hex, found[0]
            _say(session, edge, Phase.OPENED, now, reason=found[1])
            journal.changed(session, "edge", edge.id, "silent")
            note_box(session, edge.id, found[0], online=False)
            opened += 1
    return opened


def close_silence(session: Session, edge: Edge, now: datetime) -> None:
    """Close the alert of a box that is heard again, within the caller's transaction."""
    if edge.silent_alert_id is None:
        return
    _say(session, edge, Phase.CLOSED, now, reason="heard_again")
    edge.silent_alert_id, edge.silent_since = None, None
    journal.changed(session, "edge", edge.id, "heard")
    note_box(session, edge.id, now, online=True)


def _perhaps_silent(now: datetime, watch: WatchSettings) -> ColumnElement[bool]:
    """Leave out, of thousands, the boxes whose health came in time; a time to come says nothing."""
    heard_since = now - timedelta(seconds=watch.health_missing_s)
    in_time = Edge.online & Edge.health_received_at.between(heard_since, now)
    return or_(~in_time, Edge.health_received_at.is_(None))


def _watched() -> Select[Edge]:
    return select(Edge).where(Edge.silent_alert_id.is_(None), Edge.revoked_at.is_(None))


def _heard(edge: Edge) -> Heard:
    return Heard(edge.online, edge.status_received_at, edge.health_received_at)


def _say(session: Session, edge: Edge, phase: Phase, now: datetime, *, reason: str) -> None:
    started = edge.silent_since or now
    message = AlertMessage(
        alert_id=edge.silent_alert_id or "",
        phase=phase,
        phase_seq=0 if phase is Phase.OPENED else 1,
        outbox_id=CENTRAL,
        outbox_seq=max(1, int(now.timestamp() * 1e6)),
        boot_id=CENTRAL,
        site=edge.site,
        edge=edge.id,
        kind=Kind.EDGE_SILENT,
        camera=edge.id,
        place_key=edge.id,
        started_at=started,
        captured_at=now,
        ended_at=max(now, started) if phase is Phase.CLOSED else None,
        clock=ClockState(synchronised=True),
        confidence=1.0,
        reason=reason,
        rule=RULE,
    )
    session.add(
        InboxRow(
            edge=edge.id,
            outbox_id=CENTRAL,
            outbox_seq=message.outbox_seq,
            alert_id=message.alert_id,
            phase_seq=message.phase_seq,
            body=encode(message).decode(),
            received_at=now,
            next_try_at=now,
        )
    )

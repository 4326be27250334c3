"""What every change to an incident writes beside itself, in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from sqlalchemy import insert
from sqlalchemy.orm import Session

from alerts.store import audit
from alerts.store.tables import Change, TimelineEntry
from towerwatch.timebase import utc_now

SYSTEM = "system"


def entry(
    session: Session,
    incident_id: int,
    actor: str,
    action: str,
    *,
    states: tuple[str | None, str | None] = (None, None),
    detail: dict[str, Any] | None = None,
    key: str | None = None,
) -> None:
    """Add a line to an incident's timeline, and to the audit; ``key`` makes a machine's line unique."""
    line = TimelineEntry(
        incident_id=incident_id,
        key=key,
        at=utc_now(),
        actor=actor,
        action=action,
        from_state=states[0],
        to_state=states[1],
        detail=detail or {},
    )
    session.add(line)
    moved = {"from": states[0], "to": states[1]} if states[1] is not None else {}
    audit.record(session, actor, action, f"incident {incident_id}", {**line.detail, **moved}, at=line.at)


def changed(
    session: Session, topic: Literal["incident", "camera", "edge", "resync"], ref: str, action: str
) -> None:
    """Tell live views what to read again; ``resync`` is everything."""
    session.add(Change(at=utc_now(), topic=topic, ref=ref, action=action))


def cameras_changed(session: Session, changes: Iterable[tuple[str, str]]) -> None:
    """Tell live views of cameras and their states; thousands of them at once when a city is switched on."""
    now = utc_now()
    rows = [{"at": now, "topic": "camera", "ref": ref, "action": action} for ref, action in changes]
    if rows:
        session.execute(insert(Change), rows)

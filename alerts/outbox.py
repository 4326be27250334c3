"""Notifications through a transactional outbox: owed in the transaction that makes the change.

An event is owed to every target that wants it, once: its key is the same on every repeat. A sender takes
what is due, tries, and notes the outcome. Delivery is at least once: a sender killed between sending and
noting it sends again, under the same key.
"""

from __future__ import annotations

import json
import random
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, get_args

from sqlalchemy import or_, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from alerts.catalogue.filing import flow_for
from alerts.notices import channels
from alerts.store.database import Database
from alerts.store.tables import Alert, Delivery, Incident
from alerts.thread_part import ThreadPart
from towerwatch.logs import get_logger
from towerwatch.secrets import redact
from towerwatch.timebase import iso_z, utc_now

Event = Literal[
    "incident.created",
    "incident.filed",
    "incident.dismissed",
    "incident.to_check",
    "incident.closed",
    "incident.reopened",
    "task.assigned",
    "task.declined",
    "task.reminder",
    "task.overdue",
]
EVENTS: tuple[Event, ...] = get_args(Event)
FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 600.0
IDLE_S = 0.3
MAX_ERROR = 512

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """One receiver and what it wants to hear; an empty set restricts nothing.

    ``levels`` are those of escalation: 0 for the department itself. A target with departments hears of
    their tasks alone. One with ``flows_only`` hears what flows of the catalogue name it for, and
    nothing else; every other hears that beside what it wants.
    """

    name: str
    events: frozenset[str] = frozenset()
    departments: frozenset[str] = frozenset()
    levels: frozenset[int] = frozenset()
    flows_only: bool = False

    def wants(self, event: Event, department: str | None, level: int) -> bool:
        """Say whether an event is for this target."""
        return (
            not self.flows_only
            and (not self.events or event in self.events)
            and (not self.departments or department in self.departments)
            and (not self.levels or level in self.levels)
        )


@dataclass(frozen=True, slots=True)
class Owed:
    """One delivery that a sender has taken."""

    id: int
    key: str
    event: str
    body: str
    tries: int


def owe(
    session: Session,
    targets: Sequence[Target],
    event: Event,
    incident: Incident,
    *,
    number: str = "",
    department: str | None = None,
    level: int = 0,
    about: dict[str, Any] | None = None,
    more: dict[str, Any] | None = None,
) -> None:
    """Owe one event to every target that wants it or that the incident's flow names, once to each.

    It is owed within the caller's transaction.

    ``number`` tells the events of one incident apart; ``about`` goes into the body beside the incident,
    ``more`` into what it says of the incident.
    """
    flow = flow_for(session, incident) if targets else None
    reporters = _reporters_of(session, incident) if targets else []
    named: frozenset[str] = frozenset()
    if flow is not None:
        named = channels(flow, event, department, reported=bool(reporters))
    wanting = [target for target in targets if target.name in named or target.wants(event, department, level)]
    if not wanting:
        return
    key = f"{event}:{number or incident.id}"
    now = utc_now()
    content = {
        "event": event,
        "key": key,
        "at": iso_z(now),
        "incident": {**_told(incident), "reported_by": reporters, **(more or {})},
        **(about or {}),
    }
    body = json.dumps(content, ensure_ascii=False)
    for target in wanting:
        session.add(
            Delivery(
                key=key,
                target=target.name,
                event=event,
                incident_id=incident.id,
                body=body,
                created_at=now,
                next_try_at=now,
            )
        )


def _told(incident: Incident) -> dict[str, Any]:
    """Return what every event says of its incident, as JSON values."""
    return {
        "id": incident.id,
        "kind": incident.kind,
        "state": incident.state,
        "site": incident.site,
        "edge": incident.edge,
        "camera": incident.camera,
        "zone": incident.zone,
        "started_at": iso_z(incident.started_at),
        "confidence": incident.confidence,
        "position": incident.position,
        "historical": incident.historical,
    }


def _reporters_of(session: Session, incident: Incident) -> list[str]:
    """Return the people who reported an incident; nobody where boxes alone have seen it."""
    reported = (Alert.incident_id == incident.id, Alert.reporter.is_not(None))
    return sorted({name for name in session.scalars(select(Alert.reporter).where(*reported)) if name})


class Sender(ThreadPart):
    """The thread that pays what one target is owed; a slow target delays no other."""

    def __init__(self, database: Database, target: str, *, timeout_s: float, give_up_after_h: float) -> None:
        """Keep what it needs; nothing is opened yet."""
        super().__init__(f"notify-{target}")
        self._database = database
        self._target = target
        self._timeout_s = timeout_s
        self._give_up_at = tries_within(give_up_after_h)

    @abstractmethod
    def _send(self, owed: Owed) -> str | None:
        """Make the call; return what went wrong, or None."""

    def send_due(self) -> bool:
        """Send one delivery that is due; False when there is none."""
        owed = self._take()
        if owed is None:
            return False
        error = self._tried(owed)
        now = utc_now()
        with self._database.write() as session:
            row = session.get(Delivery, owed.id)
            if row is None or row.state != "pending":
                return True
            row.error = error and error[:MAX_ERROR]
            if error is None:
                row.state, row.sent_at = "sent", now
            elif owed.tries >= self._give_up_at:
                row.state = "failed"
                log.error("notification given up", target=self._target, key=owed.key, error=error)
            else:
                row.next_try_at = now + timedelta(seconds=retry_after_s(owed.tries))
                log.warning("notification failed", target=self._target, key=owed.key, error=error)
        return True

    def _tried(self, owed: Owed) -> str | None:
        """Make the call, whatever else goes wrong in it: one notification must not end all of central."""
        try:
            return self._send(owed)
        except Exception as error:
            if isinstance(error, DBAPIError):
                raise
            return redact(f"{type(error).__name__}: {error}")

    def _take(self) -> Owed | None:
        """Lease the oldest due delivery: pushed into the future, so that no other sender takes it too."""
        now = utc_now()
        lease = timedelta(seconds=self._timeout_s + 5)
        # a time further away than any wait was written by a clock that has been set back since
        beyond = now + max(timedelta(seconds=LONGEST_RETRY_S), lease)
        due = (
            select(Delivery)
            .where(
                Delivery.target == self._target,
                Delivery.state == "pending",
                or_(Delivery.next_try_at <= now, Delivery.next_try_at > beyond),
            )
            .order_by(Delivery.id)
            .limit(1)
        )
        with self._database.read() as session:  # a look that takes no write lock
            if session.scalar(due) is None:
                return None
        with self._database.write() as session:
            row = session.scalar(due.with_for_update(skip_locked=True))
            if row is None:
                return None
            row.tries += 1
            row.next_try_at = now + lease
            return Owed(row.id, row.key, row.event, row.body, row.tries)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                busy = self.send_due()
            except DBAPIError as error:
                log.warning("deliveries cannot be read", error=str(error.orig))
                busy = False
            if not busy:
                self._stop.wait(IDLE_S)


def _longest_s(tries: int) -> float:
    return min(LONGEST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(tries, 20))


def retry_after_s(tries: int) -> float:
    """Return the capped, jittered wait after the given number of tries, in s."""
    longest = _longest_s(tries)
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter, not a secret


def tries_within(hours: float) -> int:
    """Return how many tries take about so long, by their mean waits; it trusts no clock that may jump."""
    left_s, tries = hours * 3600, 0
    while left_s > 0:
        tries += 1
        left_s -= 0.75 * _longest_s(tries)
    return tries


def retry_failed(database: Database) -> int:
    """Take up again what had been given up; return how many."""
    with database.write() as session:
        done = session.execute(
            update(Delivery)
            .where(Delivery.state == "failed")
            .values(state="pending", tries=0, next_try_at=utc_now(), created_at=utc_now())
            .returning(Delivery.id)
        )
        return len(done.all())

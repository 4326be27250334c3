"""What happens by the clock: departments are reminded, limits that pass are escalated, cameras look again.

All of it is rows: a message is owed in the transaction that notes that it is, so that a crash neither loses
nor doubles one. Several tickers may run; each incident is locked while one looks after it.

A wall clock that jumps would let every limit pass at once. After a jump the ticker waits for
:data:`HOLD_S`, in which a clock that was set wrong by mistake can be set right.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from alerts import commands
from alerts.clock import JumpWatch
from alerts.deadlines import WAITS_FOR, next_reminder
from alerts.evidence import DIGEST
from alerts.handling import Handling
from alerts.moves import arm, due_of, move
from alerts.parts import BEAT_S, beat
from alerts.services.tasks import announce
from alerts.states import Action, State, TaskState
from alerts.store import journal
from alerts.store.database import Database
from alerts.store.tables import Command, Edge, Incident, IncidentPicture, Task
from alerts.thread_part import ThreadPart
from towerwatch.logs import get_logger
from towerwatch.timebase import utc_now

TICK_S = 1.0
HOLD_S = 60.0
AT_ONCE = 200
LOOK_WAIT = timedelta(seconds=90)  # a box takes at most 15 s for a picture; then it must come over its uplink

log = get_logger(__name__)


class Ticker(ThreadPart):
    """The thread that does what is due."""

    def __init__(self, database: Database, handling: Handling) -> None:
        """Keep what it needs."""
        super().__init__("ticker")
        self._database = database
        self._handling = handling

    def tick(self, now: datetime) -> int:
        """Do what is due; return how many tasks and incidents were looked after."""
        return self._remind_all(now) + self._look_all(now) + self._settle_all(now)

    def _run(self) -> None:
        watch, done = JumpWatch(), 0
        hold_until = next_beat = time.monotonic()
        while not self._stop.wait(TICK_S):
            if jump_s := watch.jumped_s():
                log.warning("the clock has jumped; deadlines wait", jump_s=round(jump_s), hold_s=HOLD_S)
                hold_until = time.monotonic() + HOLD_S
            try:
                if time.monotonic() >= hold_until:
                    done += self.tick(utc_now())
            except DBAPIError as error:
                log.warning("what is due cannot be done yet", error=str(error.orig))
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + BEAT_S
                beat(self._database, self.name, {"done": done})

    @contextmanager
    def _taken(self, incident_id: int) -> Iterator[tuple[Session, Incident | None]]:
        """Hold an incident, or None where somebody else does, who will see to it."""
        query = select(Incident).where(Incident.id == incident_id).with_for_update(skip_locked=True)
        with self._database.write() as session:
            yield session, session.scalar(query)

    # reminders and escalation

    def _remind_all(self, now: datetime) -> int:
        due = select(Task.id, Task.incident_id).where(Task.remind_at <= now).order_by(Task.remind_at)
        with self._database.read() as session:
            found = session.execute(due.limit(AT_ONCE)).all()
        for task_id, incident_id in found:
            with self._taken(incident_id) as (session, row):
                if row is not None:
                    self._remind(session, row, session.get_one(Task, task_id), now)
        return len(found)

    def _remind(self, session: Session, row: Incident, task: Task, now: datetime) -> None:
        how, due = self._handling.escalation, due_of(task)
        while task.remind_at is not None and task.remind_at <= now:
            coming = next_reminder(task.assigned_at, due, task.reminded, how)
            if coming is None:  # there are fewer levels now than when it was set
                task.remind_at = None
                return
            task.reminded = coming.number
            arm(task, how)
            if coming.level == 0 and due is not None and now >= due:
                continue  # too late to remind: it is overdue already
            stage = WAITS_FOR[TaskState(task.state)]
            event = "task.overdue" if coming.level else "task.reminder"
            task.level = max(task.level, coming.level)
            detail = {"task": task.id, "department": task.department, "stage": stage, "level": coming.level}
            action = "overdue" if coming.level else "reminder"
            key = f"{action} {task.id} {stage} {coming.level}"
            journal.entry(session, row.id, journal.SYSTEM, action, detail=detail, key=key)
            journal.changed(session, "incident", str(row.id), action)
            row.version += 1
            number = f"{task.id}:{stage}:{coming.level}"
            announce(session, self._handling, event, row, task, number=number, level=coming.level)

    # the camera looks again

    def _look_all(self, now: datetime) -> int:
        due = select(Incident.id).where(Incident.look_at <= now).order_by(Incident.look_at).limit(AT_ONCE)
        with self._database.read() as session:
            found = session.scalars(due).all()
        for incident_id in found:
            self._look(incident_id)
        return len(found)

    def _look(self, incident_id: int) -> None:
        with self._database.write() as session:
            # the box first, then the incident: the order in which the consumer takes them
            owner = select(Incident.edge).where(Incident.id == incident_id).scalar_subquery()
            edge = session.scalar(select(Edge).where(Edge.id == owner).with_for_update(read=True))
            row = session.get(Incident, incident_id, with_for_update=True, populate_existing=True)
            if row is None or row.look_at is None:
                return
            row.look_at = None
            if edge is None:
                self._looked(session, row, None, "there is no camera")
                return
            if not edge.online or edge.revoked_at is not None:
                self._looked(session, row, None, "the box is away")
                return
            detail = {"camera": row.camera}
            commands.order(session, edge.id, "snapshot", detail, incident_id=row.id)
            journal.entry(session, row.id, journal.SYSTEM, "look_again", detail=detail)

    def _settle_all(self, now: datetime) -> int:
        """Take up pictures that have come, and give those up that do not."""
        asked = select(Command).where(Command.incident_id.is_not(None), Command.settled_at.is_(None))
        with self._database.read() as session:
            commands_ = session.scalars(asked.order_by(Command.created_at).limit(AT_ONCE)).all()
        ready = [c for c in commands_ if c.replied_at is not None or now - c.created_at > LOOK_WAIT]
        for command in ready:
            assert command.incident_id is not None  # noqa: S101 - the query says so
            with self._taken(command.incident_id) as (session, row):
                stored = session.get_one(Command, command.id)
                if row is None or stored.settled_at is not None:
                    continue
                stored.settled_at = now
                named = stored.result.get("sha256") if stored.ok else None
                sha256 = named if isinstance(named, str) and DIGEST.fullmatch(named) else None
                self._looked(session, row, sha256, stored.detail or "no answer in time")
        return len(ready)

    def _looked(self, session: Session, row: Incident, sha256: str | None, why: str) -> None:
        """Keep what the camera saw, or why it did not; what was handled is then up for a check."""
        if sha256 is not None:
            picture = {"incident_id": row.id, "role": "look_again", "sha256": sha256}
            session.add(IncidentPicture(**picture, at=utc_now(), actor=journal.SYSTEM))
        action = "looked_again" if sha256 else "look_failed"
        detail = {"sha256": sha256} if sha256 else {"why": why}
        journal.entry(session, row.id, journal.SYSTEM, action, detail=detail)
        journal.changed(session, "incident", str(row.id), action)
        row.version += 1
        if row.state == State.HANDLED:
            move(session, row, Action.CHECK, journal.SYSTEM, targets=self._handling.targets)

"""An incident or task under a lock, for as long as one change takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts.services.errors import Conflict, NotFound
from alerts.store.database import Database
from alerts.store.tables import Incident, Task


def find_incident(session: Session, incident_id: int, *, lock: bool = False) -> Incident:
    """Return an incident, or raise NotFound."""
    row = session.get(Incident, incident_id, with_for_update=lock)
    if row is None:
        raise NotFound.of("no_incident", incident=incident_id)
    return row


@contextmanager
def changing(
    database: Database, incident_id: int, version: int | None = None
) -> Iterator[tuple[Session, Incident]]:
    """Change one incident in one transaction; Conflict if it is not at ``version`` any more."""
    with database.write() as session:
        row = find_incident(session, incident_id, lock=True)
        if version is not None and row.version != version:
            raise Conflict.of("incident_changed", incident=incident_id, now=row.version, version=version)
        yield session, row


@contextmanager
def changing_task(
    database: Database, task_id: int, version: int | None = None
) -> Iterator[tuple[Session, Incident, Task]]:
    """Change one task in one transaction, its incident locked; ``version`` is the incident's."""
    with database.read() as session:
        incident_id = session.scalar(select(Task.incident_id).where(Task.id == task_id))
    if incident_id is None:
        raise NotFound.of("no_task", task=task_id)
    with changing(database, incident_id, version) as (session, row):
        yield session, row, session.get_one(Task, task_id)

"""Read the audit: what was changed by whom, and whether all of it is still as it was written."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from alerts.services.errors import Invalid
from alerts.services.views import AuditPage, AuditView
from alerts.store import audit
from alerts.store.database import Database
from alerts.store.tables import AuditRow

MAX_PAGE = 500


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows to list, by exact values; an empty one restricts nothing. ``before`` is a row's number."""

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    before: int | None = None


class AuditService:
    """What administrators ask of the audit."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def list_rows(self, wanted: AuditFilter, limit: int = 50) -> AuditPage:
        """Return one page of rows, newest first; raise Invalid for a limit outside 1 to 500."""
        if not 1 <= limit <= MAX_PAGE:
            msg = f"limit {limit}: from 1 to {MAX_PAGE}"
            raise Invalid(msg)
        query = select(AuditRow).order_by(AuditRow.seq.desc()).limit(limit + 1)
        for column, value in (
            (AuditRow.actor, wanted.actor),
            (AuditRow.action, wanted.action),
            (AuditRow.subject, wanted.subject),
        ):
            if value is not None:
                query = query.where(column == value)
        if wanted.before is not None:
            query = query.where(AuditRow.seq < wanted.before)
        with self._database.read() as session:
            rows = session.scalars(query).all()
        items = tuple(AuditView.model_validate(row, from_attributes=True) for row in rows[:limit])
        return AuditPage(items=items, next_before=items[-1].seq if len(rows) > limit else None)

    def verify(self) -> audit.Verified:
        """Read the whole chain."""
        with self._database.read() as session:
            return audit.verify(session)

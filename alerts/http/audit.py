"""The audit, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from alerts.http.auth import Ctx, SomeUser
from alerts.services.views import AuditPage, AuditView
from alerts.store.tables import AuditRow

router = APIRouter(prefix="/api/v1", tags=["audit"])
MAX_PAGE = 500


class WantedRows(BaseModel):
    """Which rows to list: of one subject (``incident 5``), or all; older than row ``before``."""

    model_config = ConfigDict(extra="forbid")
    subject: str | None = Field(default=None, max_length=192)
    before: int | None = Field(default=None, ge=1, lt=2**63)
    limit: int = Field(default=50, ge=1, le=MAX_PAGE)


@router.get("/audit")
def list_audit(wanted: Annotated[WantedRows, Query()], context: Ctx, _user: SomeUser) -> AuditPage:
    """List changes, newest first; pass ``next_before`` back as ``before`` to go on."""
    query = select(AuditRow).order_by(AuditRow.seq.desc()).limit(wanted.limit + 1)
    if wanted.subject is not None:
        query = query.where(AuditRow.subject == wanted.subject)
    if wanted.before is not None:
        query = query.where(AuditRow.seq < wanted.before)
    with context.database.read() as session:
        rows = session.scalars(query).all()
    items = tuple(AuditView.model_validate(row, from_attributes=True) for row in rows[: wanted.limit])
    return AuditPage(items=items, next_before=items[-1].seq if len(rows) > wanted.limit else None)

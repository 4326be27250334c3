"""The audit, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from alerts.http.auth import Ctx, SomeUser
from alerts.services.audit_log import MAX_PAGE, AuditFilter
from alerts.services.views import AuditPage
from alerts.store.audit import Verified

router = APIRouter(prefix="/api/v1", tags=["audit"])


class WantedRows(BaseModel):
    """Which rows to list: of one actor, action or subject (``incident 5``), or all; older than ``before``."""

    model_config = ConfigDict(extra="forbid")
    actor: str | None = Field(default=None, max_length=128)
    action: str | None = Field(default=None, max_length=64)
    subject: str | None = Field(default=None, max_length=192)
    before: int | None = Field(default=None, ge=1, lt=2**63)
    limit: int = Field(default=50, ge=1, le=MAX_PAGE)


@router.get("/audit")
def list_audit(wanted: Annotated[WantedRows, Query()], context: Ctx, _user: SomeUser) -> AuditPage:
    """List changes, newest first; pass ``next_before`` back as ``before`` to go on."""
    which = AuditFilter(**wanted.model_dump(exclude={"limit"}))
    return context.services.audit.list_rows(which, wanted.limit)


@router.get("/audit/verify")
def verify_audit(context: Ctx, _user: SomeUser) -> Verified:
    """Read the whole chain: is every change there, in order, as it was written? ``fault`` says where not."""
    return context.services.audit.verify()

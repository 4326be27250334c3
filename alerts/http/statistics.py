"""Statistics: how a period went, as JSON and as a table for a spreadsheet."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from alerts.http.auth import Ctx, SomeUser
from alerts.http.context import Context
from alerts.http.incidents import in_range
from alerts.services.names import read_names
from alerts.services.statistics import Grouping, StatisticsView
from alerts.services.statistics_table import to_csv
from alerts.services.views import UserView
from alerts.texts import Language
from towerwatch.timebase import utc_now

router = APIRouter(prefix="/api/v1", tags=["statistics"])
USUAL = timedelta(days=30)


class Period(BaseModel):
    """Incidents that began from ``since`` until before ``until``; by itself the last 30 days."""

    model_config = ConfigDict(extra="forbid")
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    area: str | None = Field(default=None, max_length=64)


class WantedTable(Period):
    """Which table."""

    by: Grouping = "kind"
    language: Language = "zh"


@router.get("/statistics")
def get_statistics(wanted: Annotated[Period, Query()], context: Ctx, user: SomeUser) -> StatisticsView:
    """Return the figures of a period, of what this person sees."""
    return _report(wanted, context, user)


@router.get("/statistics.csv")
def get_statistics_table(wanted: Annotated[WantedTable, Query()], context: Ctx, user: SomeUser) -> Response:
    """Return one grouping as CSV."""
    report = _report(wanted, context, user)
    names = read_names(context.services, wanted.language)
    table = to_csv(report.grouped(wanted.by), wanted.by, names, wanted.language)
    file = f"towerwatch-{wanted.by}-{report.since:%Y%m%d}-{report.until:%Y%m%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{file}"'}
    return Response(table, media_type="text/csv; charset=utf-8", headers=headers)


def _report(wanted: Period, context: Context, user: UserView) -> StatisticsView:
    until = in_range(wanted.until) or utc_now()
    since = in_range(wanted.since) or until - USUAL
    return context.services.statistics.report(since, until, within=user.within, area=wanted.area)

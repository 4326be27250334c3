"""What has changed since: incidents in the order of their last change, for whoever copies them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ConfigDict
from sqlalchemy import literal, select, tuple_
from sqlalchemy.orm import Session

from alerts.services.errors import Invalid
from alerts.services.incidents import CAMERA_OF, EVERYTHING, MAX_PAGE, IncidentFilter, conditions
from alerts.services.rows import incident_summary
from alerts.services.views import IncidentSummary
from alerts.store.base import UtcDateTime
from alerts.store.city import IncidentArea
from alerts.store.database import Database
from alerts.store.tables import Camera, Incident
from towerwatch.timebase import utc_now

# a transaction that stamped a change may commit a little later than one that stamped after it: what is
# younger than this waits for the next look, so that a cursor never passes a change by
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SETTLED = timedelta(seconds=2)


class FeedItem(BaseModel):
    """One incident, and the areas that it lies in."""

    model_config = ConfigDict(frozen=True)
    incident: IncidentSummary
    areas: tuple[str, ...]


class FeedPage(BaseModel):
    """Changes in order; ask again with ``cursor``, at once where ``more``, else when you like."""

    model_config = ConfigDict(frozen=True)
    items: tuple[FeedItem, ...]
    cursor: str
    more: bool


class FeedService:
    """Reads changes by cursor: nothing is passed by, and an incident comes again when it changes again."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def read(
        self, wanted: IncidentFilter = EVERYTHING, cursor: str | None = None, limit: int = 100
    ) -> FeedPage:
        """Return the changes after a cursor, from the beginning without one.

        Raises:
            Invalid: the cursor is none of ours, or ``limit`` lies outside 1 to 500.

        """
        if not 1 <= limit <= MAX_PAGE:
            msg = f"limit {limit}: from 1 to {MAX_PAGE}"
            raise Invalid(msg)
        since = _parse(cursor)
        query = select(Incident, Camera).outerjoin(Camera, CAMERA_OF).where(*conditions(wanted))
        after = tuple_(literal(since[0], UtcDateTime()), literal(since[1]))
        query = query.where(
            tuple_(Incident.updated_at, Incident.id) > after,
            Incident.updated_at < utc_now() - SETTLED,
        )
        with self._database.read() as session:
            rows = session.execute(query.order_by(Incident.updated_at, Incident.id).limit(limit + 1)).all()
            areas = _areas_of(session, [row.id for row, _camera in rows[:limit]])
        items = tuple(
            FeedItem(incident=incident_summary(row, camera), areas=tuple(areas[row.id]))
            for row, camera in rows[:limit]
        )
        last = (items[-1].incident.updated_at, items[-1].incident.id) if items else since
        return FeedPage(items=items, cursor=_render(*last), more=len(rows) > limit)


def _areas_of(session: Session, ids: Iterable[int]) -> dict[int, list[str]]:
    found = defaultdict(list)
    query = select(IncidentArea).where(IncidentArea.incident_id.in_(ids)).order_by(IncidentArea.area)
    for row in session.scalars(query):
        found[row.incident_id].append(row.area)
    return found


def _render(at: datetime, incident_id: int) -> str:
    return f"{(at - EPOCH) // timedelta(microseconds=1)}-{incident_id}"


def _parse(cursor: str | None) -> tuple[datetime, int]:
    if cursor is None:
        return EPOCH, 0
    moment, dash, number = cursor.partition("-")
    digits = moment.isascii() and moment.isdigit() and number.isascii() and number.isdigit()
    if not dash or not digits or len(moment) > 17 or len(number) > 18:
        msg = f"cursor {cursor!r} is none of ours"
        raise Invalid(msg)
    return EPOCH + timedelta(microseconds=int(moment)), int(number)

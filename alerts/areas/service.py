"""Areas and rosters in the database: import, and find who is in charge for a place and time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import shapely
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from alerts.areas.geojson import AreaShape, Level
from alerts.areas.placing import areas_now, place_incident, place_of
from alerts.areas.roster import ShiftRow
from alerts.services.errors import Conflict
from alerts.services.views import CameraView
from alerts.store import audit, journal
from alerts.store.city import Area, IncidentArea, Shift
from alerts.store.database import Database
from alerts.store.tables import Incident, User
from towerwatch.timebase import utc_now

PIECE = 500  # incidents that are placed at a time


class AreaView(BaseModel):
    """An area without its polygon."""

    model_config = ConfigDict(frozen=True)
    id: str
    level: Level
    zh: str
    en: str
    parent: str | None


class DutyView(BaseModel):
    """Somebody who is on duty, and for which area; ``department`` None is the grid worker."""

    model_config = ConfigDict(frozen=True)
    area: str
    department: str | None
    person: str
    contact: str
    user: str | None
    days: str
    hours: str
    first_day: date | None
    last_day: date | None


class InCharge(BaseModel):
    """The areas of a place, smallest first, and who is on duty for it."""

    model_config = ConfigDict(frozen=True)
    areas: tuple[AreaView, ...]
    on_duty: tuple[DutyView, ...]


class AreaService:
    """Where things are, and who answers for the place."""

    def __init__(self, database: Database, zone: ZoneInfo) -> None:
        """Keep the database, and the zone that rosters are written in."""
        self._database = database
        self.zone = zone

    def import_areas(self, areas: Iterable[AreaShape], by: str) -> int:
        """Make these the areas that there are; incidents are placed in them anew.

        Raises:
            Conflict: one that is left out still has somebody on duty, or a person that it is the area of.

        """
        wanted = {area.id: area for area in areas}
        with self._database.write() as session:
            self._database.lock(session, "areas")
            _refuse_orphans(session, set(wanted))
            generation = (session.scalar(select(func.max(Area.generation))) or 0) + 1
            known = {row.id: row for row in session.scalars(select(Area))}
            for row in known.values():
                row.parent = None  # so that the order in which rows come and go does not matter
            session.flush()
            gone = sorted(known.keys() - wanted.keys())
            session.execute(delete(Area).where(Area.id.in_(gone)))
            for area in wanted.values():
                row = known.get(area.id) or Area(id=area.id)
                row.level, row.zh, row.en = area.level, area.zh, area.en
                row.generation, row.geometry = generation, area.geometry()
                session.add(row)
            session.flush()
            parents = [{"id": area.id, "parent": area.parent} for area in wanted.values()]
            session.execute(update(Area), parents)
            session.execute(delete(IncidentArea))
            for incident in session.scalars(select(Incident).execution_options(yield_per=PIECE)):
                place_incident(session, incident)
            audit.record(session, by, "areas import", "areas", {"areas": len(wanted), "removed": gone[:50]})
            journal.changed(session, "resync", "", "areas")  # incidents and cameras lie elsewhere now
        return len(wanted)

    def import_roster(self, rows: Iterable[ShiftRow], by: str) -> int:
        """Make these the shifts that there are; raise :class:`Conflict` for an area that there is not."""
        shifts = [Shift(**row.model_dump(exclude={"user"}), user_name=row.user) for row in rows]
        with self._database.write() as session:
            known = set(session.scalars(select(Area.id)))
            unknown = sorted({row.area for row in shifts} - known)
            if unknown:
                msg = f"there is no area {', '.join(unknown[:5])}"
                raise Conflict(msg)
            session.execute(delete(Shift))
            session.add_all(shifts)
            audit.record(session, by, "roster import", "roster", {"shifts": len(shifts)})
        return len(shifts)

    def list_areas(self) -> tuple[AreaView, ...]:
        """List areas, largest first."""
        with self._database.read() as session:
            return tuple(map(_view, areas_now(session).areas))

    def shapes(self) -> tuple[AreaShape, ...]:
        """Return areas with their polygons, largest first."""
        with self._database.read() as session:
            return areas_now(session).areas

    def list_shifts(self) -> tuple[DutyView, ...]:
        """List who is on duty, whenever."""
        with self._database.read() as session:
            return tuple(map(_duty, session.scalars(select(Shift).order_by(Shift.area, Shift.id))))

    def people_called(self, users: Iterable[str]) -> dict[str, str]:
        """Return what the rosters call the people who log in under some names; others are left out."""
        query = select(Shift.user_name, Shift.person).where(Shift.user_name.in_(sorted(set(users))))
        with self._database.read() as session:
            return {user: person for user, person in session.execute(query) if user is not None}

    def cameras_in(self, area: str | None, cameras: Sequence[CameraView]) -> tuple[CameraView, ...]:
        """Return the cameras that stand in an area or on its edge; all of them where it is None."""
        if area is None:
            return tuple(cameras)
        lat, lon = (
            np.array([getattr(camera, name) for camera in cameras], dtype=np.float64)
            for name in ("lat_deg", "lon_deg")
        )
        return tuple(cameras[index] for index in self.inside(area, lat, lon))

    def inside(
        self,
        area: str,
        lat_deg: np.ndarray[Any, np.dtype[np.float64]],
        lon_deg: np.ndarray[Any, np.dtype[np.float64]],
    ) -> np.ndarray[Any, np.dtype[np.intp]]:
        """Return the indices of the places that lie in an area or on its edge; NaN is a place nowhere."""
        shape = next((shape for shape in self.shapes() if shape.id == area), None)
        (placed,) = np.nonzero(~(np.isnan(lat_deg) | np.isnan(lon_deg)))
        if shape is None:
            return placed[:0]
        shapely.prepare(shape.polygon)
        here: np.ndarray[Any, np.dtype[np.bool_]] = shapely.intersects_xy(
            shape.polygon, lon_deg[placed], lat_deg[placed]
        )
        found: np.ndarray[Any, np.dtype[np.intp]] = placed[here]
        return found

    def in_charge(
        self, lat_deg: float, lon_deg: float, at: datetime | None = None, department: str | None = None
    ) -> InCharge:
        """Return the areas of a place, and who is on duty there at a time (now)."""
        with self._database.read() as session:
            areas = areas_now(session).at(lat_deg, lon_deg)
            duty = self.on_duty(session, lat_deg, lon_deg, at or utc_now(), department)
        return InCharge(areas=tuple(map(_view, areas)), on_duty=duty)

    def on_duty_for(
        self, incident_id: int, at: datetime, department: str | None = None
    ) -> tuple[DutyView, ...]:
        """Return who is on duty at a time where an incident is; nobody where that is not known."""
        with self._database.read() as session:
            row = session.get(Incident, incident_id)
            place = place_of(session, row) if row is not None else None
            return self.on_duty(session, *place, at, department) if place is not None else ()

    def everybody(self, lat_deg: float, lon_deg: float, at: datetime | None = None) -> InCharge:
        """Return the areas of a place, and of the grid worker and each department who is on duty there."""
        at = at or utc_now()
        with self._database.read() as session:
            areas = areas_now(session).at(lat_deg, lon_deg)
            known = select(Shift.department).where(Shift.area.in_([area.id for area in areas])).distinct()
            departments = sorted(session.scalars(known), key=lambda name: name or "")
            duty = [row for name in departments for row in self.on_duty(session, lat_deg, lon_deg, at, name)]
        return InCharge(areas=tuple(map(_view, areas)), on_duty=tuple(duty))

    def on_duty(
        self, session: Session, lat_deg: float, lon_deg: float, at: datetime, department: str | None = None
    ) -> tuple[DutyView, ...]:
        """Return who is on duty for a place: those of the smallest area that has anybody.

        ``department`` None asks for the grid worker of the place.
        """
        local = at.astimezone(self.zone)
        for area in areas_now(session).at(lat_deg, lon_deg):
            rows = session.scalars(
                select(Shift).where(Shift.area == area.id, _of(department)).order_by(Shift.id)
            )
            found = tuple(_duty(row) for row in rows if _row(row).covers(local))
            if found:
                return found
        return ()


def _refuse_orphans(session: Session, wanted: set[str]) -> None:
    for what, column in (("a shift", Shift.area), ("a person", User.area)):
        left = sorted({name for name in session.scalars(select(column).distinct()) if name} - wanted)
        if left:
            msg = f"area {left[0]} still has {what}; take that away first, or keep the area"
            raise Conflict(msg)


def _of(department: str | None) -> ColumnElement[bool]:
    return Shift.department.is_(None) if department is None else Shift.department == department


def _view(area: AreaShape) -> AreaView:
    return AreaView(id=area.id, level=area.level, zh=area.zh, en=area.en, parent=area.parent)


def _row(shift: Shift) -> ShiftRow:
    fields = {name: getattr(shift, name) for name in ShiftRow.model_fields if name != "user"}
    return ShiftRow(**fields, user=shift.user_name)


def _duty(shift: Shift) -> DutyView:
    return DutyView(**_row(shift).model_dump())

"""The areas as they are now, held in memory for each database, and the incidents that lie in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from shapely.geometry import shape
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from alerts.areas.geojson import ORDER, AreaIndex, AreaShape, Level
from alerts.store.city import Area, IncidentArea
from alerts.store.tables import Camera, Incident

_HELD = "towerwatch areas"
# the pool of a database's connections -> the generation of its areas, and the tree over them
_INDEXES: WeakKeyDictionary[Any, tuple[int, AreaIndex]] = WeakKeyDictionary()


@contextmanager
def hold_areas(session: Session) -> Iterator[None]:
    """Let all of a block use the areas as they are when they are first asked for."""
    session.info[_HELD] = None
    try:
        yield
    finally:
        del session.info[_HELD]


def areas_now(session: Session) -> AreaIndex:
    """Return the areas; the tree is built once for each import."""
    index: AreaIndex | None = session.info.get(_HELD)
    if index is None:
        index = _newest(session)
        if _HELD in session.info:
            session.info[_HELD] = index
    return index


def _newest(session: Session) -> AreaIndex:
    generation = session.scalar(select(func.max(Area.generation))) or 0
    pool = session.get_bind().engine.pool
    held = _INDEXES.get(pool)
    if held is None or held[0] != generation:
        rows = sorted(session.scalars(select(Area)), key=lambda row: (ORDER[Level(row.level)], row.id))
        held = _INDEXES[pool] = (generation, AreaIndex(map(_shape, rows)))
    return held[1]


def place_of(session: Session, incident: Incident) -> tuple[float, float] | None:
    """Return (latitude, longitude) in degrees of an incident, or else of its camera; None for neither."""
    lat, lon = incident.lat_deg, incident.lon_deg
    if lat is None or lon is None:
        camera = session.get(Camera, (incident.edge, incident.camera))
        lat, lon = (camera.lat_deg, camera.lon_deg) if camera is not None else (None, None)
    return (lat, lon) if lat is not None and lon is not None else None


def place_incident(session: Session, incident: Incident, *, new: bool = False) -> None:
    """Note the areas that an incident lies in, by its position or else by its camera's.

    One that is ``new`` lies in none so far.
    """
    index = areas_now(session)
    if not index.areas:
        return
    place = place_of(session, incident)
    wanted = {area.id for area in index.at(*place)} if place is not None else set()
    mine = IncidentArea.incident_id == incident.id
    known = set() if new else set(session.scalars(select(IncidentArea.area).where(mine)))
    if known - wanted:
        session.execute(delete(IncidentArea).where(mine, IncidentArea.area.in_(known - wanted)))
    session.add_all(IncidentArea(incident_id=incident.id, area=area) for area in sorted(wanted - known))


def _shape(row: Area) -> AreaShape:
    polygon: Any = shape(row.geometry)
    return AreaShape(row.id, Level(row.level), row.zh, row.en, row.parent, polygon)

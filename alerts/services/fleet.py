"""Boxes and cameras: who watches, how well, and what central itself is doing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, case, func, or_, select, tuple_

from alerts.areas.placing import place_incident
from alerts.messages import Freshness
from alerts.services.coverage import hours_of
from alerts.services.errors import Invalid, NotFound
from alerts.services.views import CameraView, EdgeView, HourView
from alerts.store import journal
from alerts.store.database import Database
from alerts.store.tables import Camera, DeadLetter, Edge, InboxRow, Incident, OutboxStream, Part
from towerwatch.timebase import utc_now

MAX_NAME = 128
_AT_ONCE = 2000  # rows of the whole city that are held at a time


class CameraState(NamedTuple):
    """What changes of a camera only with its state or its place; ``state`` as its box says it."""

    edge: str
    camera: str
    name: str | None
    lat_deg: float | None
    lon_deg: float | None
    state: str
    reason: str | None
    state_since: datetime


class FleetService:
    """Read the health of boxes and cameras; enter where a camera stands."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def list_cameras(
        self,
        *,
        edge: str | None = None,
        state: Freshness | None = None,
        only: Collection[tuple[str, str]] | None = None,
    ) -> tuple[CameraView, ...]:
        """Return all cameras, or those of one box, in one state, or ``only`` some, by box and name."""
        columns = [getattr(Camera, name) for name in CameraView.model_fields if name != "site"]
        query = (
            select(Edge.site, *columns)
            .join(Edge, Edge.id == Camera.edge)
            .order_by(Camera.edge, Camera.camera)
        )
        if only is not None:
            query = query.where(tuple_(Camera.edge, Camera.camera).in_(only))
        if edge is not None:
            query = query.where(Camera.edge == edge)
        if state is not None:
            query = query.where(Camera.state == state)
        with self._database.read() as session:
            # tens of thousands, which their own tables hold: nothing is checked again
            return tuple(CameraView.model_construct(**row) for row in session.execute(query).mappings())

    def camera_states(self, only: Collection[tuple[str, str]] | None = None) -> Iterator[CameraState]:
        """Yield the state of all cameras by box and name, or of ``only`` some."""
        query = select(*(getattr(Camera, name) for name in CameraState._fields))
        if only is not None:
            query = query.where(tuple_(Camera.edge, Camera.camera).in_(only))
        ordered = query.order_by(Camera.edge, Camera.camera).execution_options(yield_per=_AT_ONCE)
        with self._database.read() as session:
            for row in session.execute(ordered):
                yield CameraState._make(row)

    def coverage(self, edge: str, camera: str, *, days: int) -> tuple[HourView, ...]:
        """Return how a camera was in each hour (UTC) of the last days, the one that runs last."""
        return hours_of(self._database, edge, camera, utc_now(), days)

    def boxes_away(self, only: Collection[str] | None = None) -> frozenset[str]:
        """Return the boxes that are offline or silent, or which of ``only`` some."""
        query = select(Edge.id).where(or_(~Edge.online, Edge.silent_alert_id.is_not(None)))
        if only is not None:
            query = query.where(Edge.id.in_(only))
        with self._database.read() as session:
            return frozenset(session.scalars(query))

    def list_edges(self) -> tuple[EdgeView, ...]:
        """Return all boxes by id."""
        return self._edges(select(Edge).order_by(Edge.id))

    def find_edges(
        self, text: str = "", *, among: Collection[str] | None = None, start: int = 0, limit: int = 100
    ) -> tuple[tuple[EdgeView, ...], int]:
        """Return a page of the boxes that are called like ``text``, those away first, and their number."""
        query = select(Edge)
        if text:
            query = query.where(
                Edge.id.icontains(text, autoescape=True) | Edge.site.icontains(text, autoescape=True)
            )
        if among is not None:
            query = query.where(Edge.id.in_(among))
        worst = case((Edge.silent_alert_id.is_not(None), 0), (~Edge.online, 1), else_=2)
        with self._database.read() as session:
            count = session.scalar(select(func.count()).select_from(query.subquery())) or 0
        return self._edges(query.order_by(worst, Edge.id).offset(start).limit(limit), few=True), count

    def _edges(self, query: Select[Edge], *, few: bool = False) -> tuple[EdgeView, ...]:
        with self._database.read() as session:
            edges = session.scalars(query).all()
            ids = [edge.id for edge in edges]
            of_cameras, of_streams = select(Camera.edge, Camera.state), select(OutboxStream)
            if few:
                of_cameras = of_cameras.where(Camera.edge.in_(ids))
                of_streams = of_streams.where(OutboxStream.edge.in_(ids))
            states: dict[str, list[str]] = defaultdict(list)
            for edge, state in session.execute(of_cameras):
                states[edge].append(state)
            streams: dict[str, list[OutboxStream]] = defaultdict(list)
            for stream in session.scalars(of_streams):
                streams[stream.edge].append(stream)
            return tuple(_edge_view(edge, states[edge.id], streams[edge.id]) for edge in edges)

    def place_camera(
        self, edge: str, camera: str, *, lat_deg: float, lon_deg: float, name: str | None = None
    ) -> CameraView:
        """Enter where a camera stands (WGS 84) and what people call it.

        Raises:
            NotFound: no such camera has reported.
            Invalid: the place is not on Earth, or the name too long.

        """
        if not (-90 <= lat_deg <= 90 and -180 <= lon_deg <= 180):
            msg = f"latitude {lat_deg}, longitude {lon_deg}: from -90 to 90 and from -180 to 180"
            raise Invalid(msg)
        if name is not None and not 0 < len(name) <= MAX_NAME:
            msg = f"name of {len(name)} characters; from 1 to {MAX_NAME}"
            raise Invalid(msg)
        with self._database.write() as session:
            row = session.get(Camera, (edge, camera))
            owner = session.get(Edge, edge)
            if row is None or owner is None:
                msg = f"no camera {camera} of box {edge} has reported yet"
                raise NotFound(msg)
            row.lat_deg, row.lon_deg = lat_deg, lon_deg
            row.name = name if name is not None else row.name
            journal.changed(session, "camera", f"{edge}/{camera}", "placed")
            session.flush()
            here = (Incident.edge == edge, Incident.camera == camera, Incident.lat_deg.is_(None))
            for incident in session.scalars(select(Incident).where(Incident.open, *here)):
                place_incident(session, incident)
            return _camera_view(row, owner.site)

    def unusable(self) -> int:
        """Return how many messages of boxes could not be used or applied, as far as they are kept."""
        letters = select(func.coalesce(func.sum(DeadLetter.times), 0))
        parked = select(func.count()).select_from(InboxRow).where(InboxRow.state == "parked")
        with self._database.read() as session:
            return int(session.scalar(letters) or 0) + int(session.scalar(parked) or 0)

    def parts(self) -> dict[str, dict[str, Any]]:
        """Return what each running part of central last said of itself, with its age in s."""
        now = utc_now()
        with self._database.read() as session:
            return {
                row.name: {"age_s": max(0.0, (now - row.beat_at).total_seconds()), **row.detail}
                for row in session.scalars(select(Part).order_by(Part.name))
            }


def _camera_view(row: Camera, site: str) -> CameraView:
    return CameraView(
        edge=row.edge,
        site=site,
        camera=row.camera,
        name=row.name,
        lat_deg=row.lat_deg,
        lon_deg=row.lon_deg,
        state=row.state,
        reason=row.reason,
        detail=row.detail,
        state_since=row.state_since,
        last_captured_at=row.last_captured_at,
        covered_s=row.covered_s,
        analysed=row.analysed,
        dropped=row.dropped,
        lag_p95_ms=row.lag_p95_ms,
        interval_s=row.interval_s,
        gap_p95_s=row.gap_p95_s,
        reported_at=row.reported_at,
    )


def _edge_view(row: Edge, camera_states: list[str], streams: list[OutboxStream]) -> EdgeView:
    return EdgeView(
        id=row.id,
        site=row.site,
        online=row.online,
        silent=row.silent_alert_id is not None,
        status_reason=row.status_reason,
        enrolled_at=row.enrolled_at,
        revoked_at=row.revoked_at,
        boot_id=row.boot_id,
        version=row.version,
        health_at=row.health_at,
        health_received_at=row.health_received_at,
        clock_synchronised=row.clock_synchronised,
        clock_offset_ms=row.clock_offset_ms,
        outbox=row.outbox,
        disk_free_bytes=row.disk_free_bytes,
        workers_restarted=row.workers_restarted,
        config_sha256=row.config_sha256,
        stretch=row.stretch,
        missing_messages=sum(last - first + 1 for stream in streams for first, last in stream.missing),
        lost_messages=sum(stream.lost for stream in streams),
        cameras=len(camera_states),
        cameras_fresh=camera_states.count(Freshness.FRESH),
    )

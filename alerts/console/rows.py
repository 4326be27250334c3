"""Pure parts of the live list: rows, filters, differences, and the clustering of the map."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Literal

from alerts.console.formats import local
from alerts.correlate import REPORTS
from alerts.messages import Kind
from alerts.services.rights import EVERYWHERE, Within
from alerts.services.views import IncidentSummary
from alerts.states import OPEN_STATES, State

PAGE = 100
MAX_ROWS = 2000
SEVERITY: dict[Kind, int] = {
    Kind.SMOKE: 1,
    Kind.BLOCKED_ROAD: 2,
    Kind.ILLEGAL_PARKING: 3,
    Kind.STOPPED_VEHICLE: 3,
    Kind.CAMERA_BLIND: 4,
    Kind.EDGE_SILENT: 4,
    Kind.REPORTED: 3,
}
STATE_CHOICES = ("open", *State, "all")
CELL_PX = 56  # two markers nearer than this on the screen become one with a number


@dataclass(frozen=True, slots=True)
class Row:
    """One incident as the list shows it; ``started`` in ms since 1970, ``at`` in local time."""

    id: int
    kind: str
    severity: int
    state: str
    camera: str
    zone: str
    count: int
    started: int
    at: str
    ended: bool
    historical: bool
    version: int


@dataclass(frozen=True, slots=True)
class Spot:
    """Where an incident is, in degrees (WGS 84); ``ellipse`` is (major m, minor m, degrees from north)."""

    lat: float
    lon: float
    ellipse: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """What one operator wants to see, and in which order; equal filters share their work."""

    state: str = "open"
    kind: str = ""
    camera: str = ""
    sort: Literal["severity", "newest"] = "severity"
    limit: int = PAGE
    within: Within = EVERYWHERE  # the part of the city that he sees; nothing from a browser sets it

    @classmethod
    def parse(cls, values: Mapping[str, Any], within: Within = EVERYWHERE) -> QueueFilter:
        """Read a filter from a query string or a browser's event; what is unknown falls back."""
        state, kind = str(values.get("state", "")), str(values.get("kind", ""))
        limit = str(values.get("limit", PAGE))
        return cls(
            state=state if state in STATE_CHOICES else "open",
            kind=kind if kind in set(Kind) else "",
            camera=str(values.get("camera", ""))[:64].strip().lower(),
            sort="newest" if values.get("sort") == "newest" else "severity",
            limit=min(MAX_ROWS, max(1, int(limit))) if limit.isascii() and limit.isdigit() else PAGE,
            within=within,
        )

    def in_state(self, row: Row) -> bool:
        """Say whether a row is in the wanted state and of a wanted camera, whatever its kind."""
        fits = row.state in OPEN_STATES if self.state == "open" else self.state in {"all", row.state}
        return fits and (not self.camera or self.camera in row.camera.lower())

    def wants(self, row: Row) -> bool:
        """Say whether a row belongs on this list."""
        return self.in_state(row) and (not self.kind or row.kind == self.kind)


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows on a list, how many there would be without its limit, and counts by kind."""

    rows: tuple[Row, ...]
    total: int
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Delta:
    """What a list has to change to become the next one."""

    put: list[Row]
    drop: list[int]
    total: int
    counts: dict[str, int]


def row_of(incident: IncidentSummary, zone: tzinfo | None) -> Row:
    """Make the row of an incident."""
    return Row(
        id=incident.id,
        kind=incident.kind,
        severity=SEVERITY[incident.kind],
        state=incident.state,
        camera="" if incident.edge == REPORTS else incident.camera_name or incident.camera or incident.edge,
        zone="" if incident.edge == REPORTS else incident.zone or "",
        count=incident.alert_count,
        started=int(incident.started_at.timestamp() * 1000),
        at=local(incident.started_at, zone),
        ended=incident.ended_at is not None,
        historical=incident.historical,
        version=incident.version,
    )


def spot_of(incident: IncidentSummary) -> Spot | None:
    """Return where an incident is, None where nobody knows."""
    where = incident.place
    if where is None:
        return None
    known = where.semi_major_m > 0
    ellipse = (where.semi_major_m, where.semi_minor_m, where.orientation_deg) if known else None
    return Spot(where.lat_deg, where.lon_deg, ellipse)


def select(rows: Iterable[Row], wanted: QueueFilter) -> Selection:
    """Pick and order the rows of a list; ``counts`` ignores the kind, so that every chip has its number."""
    near = [row for row in rows if wanted.in_state(row)]
    counts = {"": len(near)} | dict.fromkeys(map(str, Kind), 0)
    for row in near:
        counts[row.kind] += 1
    hits = [row for row in near if not wanted.kind or row.kind == wanted.kind]
    if wanted.sort == "newest":
        hits.sort(key=lambda row: (-row.started, -row.id))
    else:
        hits.sort(key=lambda row: (row.severity, -row.started, -row.id))
    return Selection(tuple(hits[: wanted.limit]), len(hits), counts)


def difference(old: Selection, new: Selection) -> Delta | None:
    """Return what leads from one selection to the next, None when nothing does."""
    before = {row.id: row for row in old.rows}
    now = {row.id for row in new.rows}
    put = [row for row in new.rows if before.get(row.id) != row]
    drop = [key for key in before if key not in now]
    if not put and not drop and old.total == new.total and old.counts == new.counts:
        return None
    return Delta(put, drop, new.total, new.counts)


@dataclass(frozen=True, slots=True)
class Viewport:
    """What a map shows: degrees and Web Mercator zoom."""

    west: float
    south: float
    east: float
    north: float
    zoom: int

    @classmethod
    def parse(cls, bbox: str, zoom: int) -> Viewport:
        """Read ``west,south,east,north``; raise ValueError for anything else."""
        west, south, east, north = (float(part) for part in bbox.split(","))
        if not all(map(math.isfinite, (west, south, east, north))) or west >= east or south >= north:
            msg = f"bbox {bbox!r}: west,south,east,north in degrees"
            raise ValueError(msg)
        return cls(west, south, east, north, min(19, max(0, zoom)))

    def holds(self, lat: float, lon: float) -> bool:
        """Say whether a place is in view."""
        return self.south <= lat <= self.north and self.west <= lon <= self.east

    def cell(self, lat: float, lon: float) -> tuple[int, int]:
        """Return the cell of the clustering grid: fixed to the world, so that panning moves no cluster."""
        scale = 256 * 2**self.zoom / CELL_PX
        lat = math.radians(min(85.05, max(-85.05, lat)))
        x = (lon + 180) / 360 * scale
        y = (1 - math.asinh(math.tan(lat)) / math.pi) / 2 * scale
        return int(x), int(y)


def cluster_incidents(
    rows: Mapping[int, Row], spots: Mapping[int, Spot], wanted: QueueFilter, view: Viewport
) -> list[dict[str, Any]]:
    """Gather the wanted incidents in view by cell; a cell is as severe as its worst incident."""
    cells: dict[tuple[int, int], list[int]] = {}
    for key, spot in spots.items():
        if view.holds(spot.lat, spot.lon) and wanted.wants(rows[key]):
            cells.setdefault(view.cell(spot.lat, spot.lon), []).append(key)
    found: list[dict[str, Any]] = []
    for keys in cells.values():
        worst = min((rows[key] for key in keys), key=lambda row: row.severity)
        lat = sum(spots[key].lat for key in keys) / len(keys)
        lon = sum(spots[key].lon for key in keys) / len(keys)
        mark: dict[str, Any] = {
            "n": len(keys),
            "lat": round(lat, 6),
            "lon": round(lon, 6),
            "severity": worst.severity,
        }
        if len(keys) == 1:
            mark |= {"id": worst.id, "kind": worst.kind, "title": worst.camera}
            mark["ellipse"] = spots[worst.id].ellipse
        found.append(mark)
    return found


def bounds(
    spots: Iterable[Spot], cameras: tuple[float, float, float, float] | None
) -> tuple[float, float, float, float] | None:
    """Return (west, south, east, north) of incidents and of the cameras' own bounds, None of nothing."""
    boxes = [(spot.lon, spot.lat, spot.lon, spot.lat) for spot in spots]
    boxes += [cameras] if cameras is not None else []
    if not boxes:
        return None
    west, south, east, north = zip(*boxes, strict=True)
    return min(west), min(south), max(east), max(north)

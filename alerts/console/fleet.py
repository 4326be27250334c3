"""All cameras of the city in memory, as columns, which a garbage collection need not look into.

Only what the wall shows is here; figures that change with every health message are read where they are
shown. All of it belongs to the event loop.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from alerts.console.rows import CELL_PX, Viewport
from alerts.services.fleet import CameraState

# the worst first; a camera is offline when its box is
STATES = ("offline", "blind", "stale", "starting", "night", "fresh")
_RANK = {state: rank for rank, state in enumerate(STATES)}
_NAMED = 3  # cameras that a cluster names
_MAX_LAT_DEG = 85.05  # of Web Mercator
Key: TypeAlias = tuple[str, str]  # box and camera
Indices: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]


@dataclass(frozen=True, slots=True)
class CameraLine:
    """One camera as lists show it; ``state`` is one of :data:`STATES`."""

    edge: str
    camera: str
    name: str
    state: str
    reason: str | None


class Fleet:
    """The cameras by box and name; ``among`` are the indices of a part of them, None all of them."""

    def __init__(self, cameras: Iterable[CameraState] = (), away: Collection[str] = ()) -> None:
        """Take cameras, and the ids of boxes that are offline."""
        known = list(cameras)
        self._keys: list[Key] = [(camera.edge, camera.camera) for camera in known]
        self._at = {key: index for index, key in enumerate(self._keys)}
        self._names = [camera.name or camera.camera for camera in known]
        self._reasons = [camera.reason for camera in known]
        self._own = np.array([_RANK[camera.state] for camera in known], dtype=np.int8)
        self._since = np.array([camera.state_since.timestamp() for camera in known], dtype=np.float64)
        self.lat = np.array([_known(camera.lat_deg) for camera in known], dtype=np.float64)
        self.lon = np.array([_known(camera.lon_deg) for camera in known], dtype=np.float64)
        self._boxes: dict[str, list[int]] = {}
        for index, (edge, _camera) in enumerate(self._keys):
            self._boxes.setdefault(edge, []).append(index)
        self._away = np.array([edge in away for edge, _camera in self._keys], dtype=bool)
        self._settle()

    def __len__(self) -> int:
        """Return how many cameras there are."""
        return len(self._keys)

    def update(self, cameras: Iterable[CameraState]) -> bool:
        """Take what is new of some cameras; False if one of them was not known."""
        for camera in cameras:
            index = self._at.get((camera.edge, camera.camera))
            if index is None:
                return False
            self._names[index] = camera.name or camera.camera
            self._reasons[index] = camera.reason
            self._own[index], self._since[index] = _RANK[camera.state], camera.state_since.timestamp()
            self.lat[index], self.lon[index] = _known(camera.lat_deg), _known(camera.lon_deg)
        self._settle()
        return True

    def set_away(self, edges: Iterable[str], away: Collection[str]) -> None:
        """Say of some boxes which of them are offline now."""
        for edge in edges:
            self._away[self._boxes.get(edge, [])] = edge in away
        self._settle()

    def _settle(self) -> None:
        """Work out states as shown, and places on the map of the world, in [0, 1] from its north-west."""
        self._rank = np.where(self._away, np.int8(0), self._own)
        lat_rad = np.radians(np.clip(self.lat, -_MAX_LAT_DEG, _MAX_LAT_DEG))
        self._x = (self.lon + 180) / 360
        self._y = (1 - np.arcsinh(np.tan(lat_rad)) / np.pi) / 2

    def line(self, index: int) -> CameraLine:
        """Return one camera."""
        edge, camera = self._keys[index]
        state = STATES[self._rank[index]]
        return CameraLine(edge, camera, self._names[index], state, self._reasons[index])

    def find(self, edge: str, camera: str, among: Indices | None = None) -> CameraLine | None:
        """Return a camera by its name, None if there is none such among those."""
        index = self._at.get((edge, camera))
        if index is None or (among is not None and index not in among):
            return None
        return self.line(index)

    def boxes(self, among: Indices) -> frozenset[str]:
        """Return the boxes of some cameras."""
        return frozenset(self._keys[index][0] for index in among)

    def counts(self, among: Indices | None = None) -> dict[str, int]:
        """Return how many are in each state."""
        rank = self._rank if among is None else self._rank[among]
        return dict(zip(STATES, np.bincount(rank, minlength=len(STATES)).tolist(), strict=True))

    def trouble(self, among: Indices | None, limit: int) -> list[CameraLine]:
        """Return those that ought to see and do not, the newest first; night comes every evening."""
        here = np.arange(len(self._keys)) if among is None else among
        bad = here[self._rank[here] < _RANK["night"]]
        return [self.line(index) for index in bad[np.argsort(-self._since[bad], kind="stable")][:limit]]

    def search(
        self, text: str, state: str, among: Indices | None, start: int, limit: int
    ) -> tuple[list[CameraLine], int]:
        """Return a page of the cameras that are called like ``text``, the worst first, and their number."""
        here = np.arange(len(self._keys)) if among is None else among
        if state:
            here = here[self._rank[here] == _RANK[state]]
        if text:
            wanted = text.lower()
            here = np.array([index for index in here.tolist() if self._holds(index, wanted)], dtype=np.intp)
        ordered = here[np.argsort(self._rank[here], kind="stable")]
        return [self.line(index) for index in ordered[start : start + limit]], int(here.size)

    def _holds(self, index: int, text: str) -> bool:
        edge, camera = self._keys[index]
        return text in f"{edge}/{camera}".lower() or text in self._names[index].lower()

    # the map

    def bounds(self, among: Indices | None = None) -> tuple[float, float, float, float] | None:
        """Return (west, south, east, north) in degrees, None where no camera has a place."""
        lat, lon = (self.lat, self.lon) if among is None else (self.lat[among], self.lon[among])
        placed = ~np.isnan(lat)
        if not placed.any():
            return None
        lat, lon = lat[placed], lon[placed]
        return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())

    def in_view(self, view: Viewport, among: Indices | None = None) -> Indices:
        """Return the cameras in view; one without a place is in none."""
        inside = (self.lat >= view.south) & (self.lat <= view.north)
        inside &= (self.lon >= view.west) & (self.lon <= view.east)
        (here,) = np.nonzero(inside)
        return here if among is None else np.intersect1d(here, among, assume_unique=True)

    def places(self, view: Viewport, among: Indices | None, limit: int) -> dict[Key, tuple[float, float]]:
        """Return latitude and longitude of the cameras in view by box and name; of none if too many are."""
        here = self.in_view(view, among)
        if here.size > limit:
            return {}
        return {
            self._keys[index]: (round(float(self.lat[index]), 6), round(float(self.lon[index]), 6))
            for index in here.tolist()
        }

    def cluster(self, view: Viewport, among: Indices | None = None) -> list[dict[str, Any]]:
        """Gather the cameras in view by cell; a cell is as bad as its worst camera."""
        here = self.in_view(view, among)
        if not here.size:
            return []
        scale = 256 * 2**view.zoom / CELL_PX
        x, y = (np.floor(along[here] * scale).astype(np.int64) for along in (self._x, self._y))
        cells = (x << 32) | y
        order = np.argsort(cells, kind="stable")
        here, cells = here[order], cells[order]
        starts = np.flatnonzero(np.r_[True, cells[1:] != cells[:-1]])
        counts = np.diff(np.r_[starts, cells.size])
        worst = np.minimum.reduceat(self._rank[here], starts)
        lat, lon = (np.add.reduceat(along[here], starts) / counts for along in (self.lat, self.lon))
        return [
            {"n": int(count), "lat": round(float(north), 6), "lon": round(float(east), 6)}
            | self._named(here[start : start + _NAMED], int(count), int(rank))
            for start, count, rank, north, east in zip(starts, counts, worst, lat, lon, strict=True)
        ]

    def _named(self, first: Indices, count: int, rank: int) -> dict[str, Any]:
        names = ", ".join(self._names[index] for index in first)
        mark = {
            "state": STATES[rank],
            "title": names + (" …" if count > _NAMED else ""),
        }
        if count == 1:
            mark["edge"], mark["camera"] = self._keys[first[0]]
        return mark


def _known(degrees: float | None) -> float:
    return np.nan if degrees is None else degrees

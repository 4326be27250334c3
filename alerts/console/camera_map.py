"""Cameras on the map as arrays: of a city with tens of thousands, one look takes milliseconds."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Any

import numpy as np

from alerts.console.rows import CELL_PX, Viewport
from alerts.services.views import CameraView

_STATES = ("blind", "stale", "starting", "fresh")  # the worst first
_RANK = {state: rank for rank, state in enumerate(_STATES)}
_NAMED = 3  # cameras that a cluster names
_MAX_LAT_DEG = 85.05  # of Web Mercator


class CameraMap:
    """The cameras that have a place; ``bounds`` is (west, south, east, north) in degrees, None without."""

    def __init__(self, cameras: Iterable[CameraView]) -> None:
        """Place each on the map of the world: x and y in [0, 1], y from the north."""
        known = [camera for camera in cameras if camera.lat_deg is not None and camera.lon_deg is not None]
        placed = [
            (camera.lat_deg, camera.lon_deg, _RANK[camera.state], camera.name or camera.camera)
            for camera in known
        ]
        self._at = {(camera.edge, camera.camera): index for index, camera in enumerate(known)}
        self._names = [name for *_, name in placed]
        self._lat = np.array([lat for lat, *_ in placed], dtype=np.float64)
        self._lon = np.array([lon for _, lon, *_ in placed], dtype=np.float64)
        self._rank = np.array([rank for _, _, rank, _ in placed], dtype=np.int8)
        lat_rad = np.radians(np.clip(self._lat, -_MAX_LAT_DEG, _MAX_LAT_DEG))
        self._x = (self._lon + 180) / 360
        self._y = (1 - np.arcsinh(np.tan(lat_rad)) / np.pi) / 2
        self.bounds = self._bounds() if placed else None

    def _bounds(self) -> tuple[float, float, float, float]:
        lon, lat = self._lon, self._lat
        return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())

    def with_states_of(self, cameras: Iterable[CameraView]) -> CameraMap:
        """Return the same map with the states of some cameras as they are now."""
        rank = self._rank.copy()
        for camera in cameras:
            index = self._at.get((camera.edge, camera.camera))
            if index is not None:
                rank[index] = _RANK[camera.state]
        other = copy(self)
        other._rank = rank  # noqa: SLF001 - a copy of ours
        return other

    def cluster(self, view: Viewport) -> list[dict[str, Any]]:
        """Gather the cameras in view by cell; a cell is as bad as its worst camera."""
        inside = (self._lat >= view.south) & (self._lat <= view.north)
        inside &= (self._lon >= view.west) & (self._lon <= view.east)
        (here,) = np.nonzero(inside)
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
        return [
            self._mark(here[start : start + _NAMED], int(count), int(rank))
            for start, count, rank in zip(starts, counts, worst, strict=True)
        ]

    def _mark(self, first: np.ndarray[Any, np.dtype[np.int64]], count: int, rank: int) -> dict[str, Any]:
        names = ", ".join(self._names[index] for index in first)
        return {
            "n": count,
            "lat": float(self._lat[first[0]]),
            "lon": float(self._lon[first[0]]),
            "state": _STATES[rank],
            "title": names + (" …" if count > _NAMED else ""),
        }

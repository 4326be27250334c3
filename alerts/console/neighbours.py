"""What else goes on around an incident: the open incidents near by, which may be the same thing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from alerts.console.rows import Row, Spot
from alerts.states import OPEN_STATES
from towerwatch.geometry.earth import offset

NEAR_M = 500.0
SHOWN = 8


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another open incident and how far it is."""

    row: Row
    spot: Spot
    distance_m: float


def neighbours(
    incident_id: int, lat: float, lon: float, rows: Iterable[Row], spots: Mapping[int, Spot]
) -> list[Neighbour]:
    """Return the open incidents within :data:`NEAR_M` of a place, the nearest first."""
    others = [
        (row, spots[row.id])
        for row in rows
        if row.id != incident_id and row.id in spots and row.state in OPEN_STATES
    ]
    places = np.array([(spot.lat, spot.lon) for _, spot in others], np.float64).reshape(-1, 2)
    east_m, north_m = offset(lat, lon, places[:, 0], places[:, 1])
    distances_m = np.hypot(east_m, north_m).tolist()
    found = [
        Neighbour(row, spot, distance_m)
        for (row, spot), distance_m in zip(others, distances_m, strict=True)
        if distance_m <= NEAR_M
    ]
    return sorted(found, key=lambda one: one.distance_m)[:SHOWN]

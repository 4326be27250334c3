"""What else goes on around an incident: the open incidents near by, which may be the same thing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from alerts.console.rows import Row, Spot
from alerts.states import OPEN_STATES

NEAR_M = 500.0
SHOWN = 8
_M_PER_DEG = 111_320.0  # of latitude


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
    east_m = _M_PER_DEG * math.cos(math.radians(lat))
    found = []
    for row in rows:
        spot = spots.get(row.id)
        if spot is None or row.id == incident_id or row.state not in OPEN_STATES:
            continue
        distance_m = math.hypot((spot.lat - lat) * _M_PER_DEG, (spot.lon - lon) * east_m)
        if distance_m <= NEAR_M:
            found.append(Neighbour(row, spot, distance_m))
    return sorted(found, key=lambda one: one.distance_m)[:SHOWN]

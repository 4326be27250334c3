"""Who may do what: each role's rights, and what of the city somebody sees.

============== ==== ===== === ====== ====== =====
role           look fleet act handle report admin
============== ==== ===== === ====== ====== =====
administrator  yes  yes   yes yes    yes    yes
operator       yes  yes   yes yes    yes
department     yes            yes    yes
grid_worker    yes                   yes
viewer         yes  yes
============== ==== ===== === ====== ====== =====
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from alerts.store.city import IncidentArea
from alerts.store.tables import Alert, EvidenceRef, Incident, IncidentPicture, Task


class Right(StrEnum):
    """One thing that somebody may do; an API token's scopes are some of these."""

    LOOK = "look"  # at incidents with their evidence, the catalogue, areas and rosters
    FLEET = "fleet"  # see boxes, cameras and how central is
    ACT = "act"  # verify, file, dispatch, close, judge, place cameras
    HANDLE = "handle"  # accept, arrive, handle, decline: what a department does
    REPORT = "report"  # hand in pictures, and incidents seen on the spot
    ADMIN = "admin"  # people, tokens, catalogue, areas, audit


ROLE_RIGHTS: dict[str, frozenset[Right]] = {
    "administrator": frozenset(Right),
    "operator": frozenset(Right) - {Right.ADMIN},
    "department": frozenset({Right.LOOK, Right.HANDLE, Right.REPORT}),
    "grid_worker": frozenset({Right.LOOK, Right.REPORT}),
    "viewer": frozenset({Right.LOOK, Right.FLEET}),
}


@dataclass(frozen=True, slots=True)
class Reach:
    """What makes an incident seen: every area that it lies in, and the departments called to it."""

    areas: frozenset[str] = frozenset()
    departments: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Within:
    """The part of the city that somebody sees: an area, the tasks of a department, or both; None is all."""

    area: str | None = None
    department: str | None = None

    def __bool__(self) -> bool:
        """Say whether there is anything that is not seen."""
        return self.area is not None or self.department is not None

    def incidents(self) -> list[ColumnElement[bool]]:
        """Return the conditions that an incident must meet to be seen."""
        found: list[ColumnElement[bool]] = []
        if self.area is not None:
            lies = select(IncidentArea.incident_id).where(IncidentArea.area == self.area)
            found.append(Incident.id.in_(lies))
        if self.department is not None:
            called = select(Task.incident_id).where(Task.department == self.department)
            found.append(Incident.id.in_(called))
        return found

    def covers(self, reach: Reach) -> bool:
        """Say of an incident in memory what :meth:`incidents` says of one in the database."""
        return (self.area is None or self.area in reach.areas) and (
            self.department is None or self.department in reach.departments
        )


EVERYWHERE = Within()


def sees(session: Session, within: Within, **what: int | str) -> bool:
    """Say whether somebody sees an incident, task, alert or file, by the name of its path parameter.

    What is none of these (``name``, ``edge``) is not looked at: rights guard it.
    """
    if not within:
        return True
    for name, value in what.items():
        query = select(Incident.id).where(*within.incidents())
        if name == "incident_id":
            query = query.where(Incident.id == value)
        elif name == "task_id":
            query = query.join(Task, Task.incident_id == Incident.id).where(Task.id == value)
            if within.department is not None:
                query = query.where(Task.department == within.department)
        elif name == "alert_id":
            query = query.join(Alert, Alert.incident_id == Incident.id).where(Alert.id == value)
        elif name == "sha256":
            of_alert = select(Alert.incident_id).join(EvidenceRef).where(EvidenceRef.sha256 == value)
            of_proof = select(IncidentPicture.incident_id).where(IncidentPicture.sha256 == value)
            query = query.where(Incident.id.in_(of_alert) | Incident.id.in_(of_proof))
        else:
            continue
        if session.scalar(query.limit(1)) is None:
            return False
    return True

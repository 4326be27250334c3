"""All services over one database."""

from __future__ import annotations

from dataclasses import dataclass

from alerts.services.fleet import FleetService
from alerts.services.incidents import IncidentService
from alerts.services.live import LiveService
from alerts.services.people import PeopleService
from alerts.services.verdicts import VerdictService
from alerts.store.database import Database


@dataclass(frozen=True, slots=True)
class Services:
    """What API and console are given."""

    incidents: IncidentService
    verdicts: VerdictService
    fleet: FleetService
    people: PeopleService
    live: LiveService


def open_services(database: Database) -> Services:
    """Make the services; call ``services.live.start()`` where browsers are served."""
    return Services(
        incidents=IncidentService(database),
        verdicts=VerdictService(database),
        fleet=FleetService(database),
        people=PeopleService(database),
        live=LiveService(database),
    )

"""All services over one database."""

from __future__ import annotations

from dataclasses import dataclass

from alerts.areas.service import AreaService
from alerts.catalogue.service import CatalogueService
from alerts.handling import Handling
from alerts.services.audit_log import AuditService
from alerts.services.feed import FeedService
from alerts.services.fleet import FleetService
from alerts.services.groups import GroupService
from alerts.services.incidents import IncidentService
from alerts.services.live import LiveService
from alerts.services.people import PeopleService
from alerts.services.reports import ReportService
from alerts.services.statistics import StatisticsService
from alerts.services.tasks import TaskService
from alerts.services.verdicts import VerdictService
from alerts.store.database import Database


@dataclass(frozen=True, slots=True)
class Services:
    """What API and console are given."""

    incidents: IncidentService
    tasks: TaskService
    groups: GroupService
    verdicts: VerdictService
    fleet: FleetService
    people: PeopleService
    catalogue: CatalogueService
    areas: AreaService
    feed: FeedService
    statistics: StatisticsService
    audit: AuditService
    live: LiveService
    reports: ReportService


def open_services(database: Database, handling: Handling | None = None) -> Services:
    """Make the services; call ``services.live.start()`` where browsers are served."""
    handling = handling or Handling()
    return Services(
        incidents=IncidentService(database, handling.targets),
        tasks=TaskService(database, handling),
        groups=GroupService(database, handling.targets),
        verdicts=VerdictService(database),
        fleet=FleetService(database),
        people=PeopleService(database),
        catalogue=CatalogueService(database),
        areas=AreaService(database, handling.calendar.zone),
        feed=FeedService(database),
        statistics=StatisticsService(database, handling.calendar.zone),
        audit=AuditService(database),
        live=LiveService(database),
        reports=ReportService(database, handling.targets),
    )

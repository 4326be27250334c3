"""How incidents are handled here: who is told, by whose calendar, and how fast; one value for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from alerts.config import CentralConfig
from alerts.deadlines import DEFAULT_LIMITS, Escalation, Limits
from alerts.messages import Kind
from alerts.outbox import Target
from towerwatch.calendars.calendar import Calendar, load_calendar


@dataclass(frozen=True, slots=True)
class Handling:
    """What a configuration says about handling.

    Attributes:
        targets: who is told of incidents and tasks.
        calendar: when departments work.
        limits: how long a department may take, where no catalogue says otherwise.
        escalation: when it is reminded, and when the levels above are told.

    """

    targets: tuple[Target, ...] = ()
    calendar: Calendar = field(default_factory=lambda: load_calendar("china"))
    limits: Mapping[Kind, Limits] = field(default_factory=lambda: DEFAULT_LIMITS)
    escalation: Escalation = field(default_factory=Escalation)


def handling_of(config: CentralConfig) -> Handling:
    """Return what a configuration says; raise ConfigError for a calendar that there is not."""
    settings = config.handling
    return Handling(
        targets=tuple(item.target() for item in (*config.webhooks, *config.notify)),
        calendar=load_calendar(settings.calendar),
        escalation=Escalation(
            remind_frac=settings.remind_frac,
            every=timedelta(minutes=settings.escalate_every_min),
            levels=settings.levels,
        ),
    )

"""Who a flow of the catalogue wants told, and through which channel: functions over values.

A channel is the name of a receiver in the configuration (``webhooks`` or ``notify``). ``console`` is none:
the console shows everything to whoever may see it.
"""

from __future__ import annotations

from collections.abc import Iterable

from alerts.catalogue.model import Flow, Who

CONSOLE = "console"
# what each of those that a flow may name wants to hear; of tasks, a department hears its own alone
HEARS: dict[Who, frozenset[str]] = {
    Who.OPERATOR: frozenset({"incident.created", "incident.to_check", "task.declined", "task.overdue"}),
    Who.DEPARTMENT: frozenset({"task.assigned", "task.reminder", "task.overdue"}),
    Who.ALONG: frozenset({"task.assigned", "task.reminder", "task.overdue"}),
    Who.GRID_WORKER: frozenset({"incident.filed", "incident.closed", "incident.reopened"}),
    Who.REPORTER: frozenset({"incident.filed", "incident.dismissed", "incident.closed"}),
}


def channels(flow: Flow, event: str, department: str | None, *, reported: bool = False) -> frozenset[str]:
    """Return the channels through which a flow wants an event told.

    ``department`` is that of its task; every one that is called beside the one in charge is called along.
    ``reported`` says whether there is a person who reported it.
    """
    silent = {Who.ALONG if department == flow.department else Who.DEPARTMENT}
    if not reported:
        silent.add(Who.REPORTER)
    return frozenset(
        notice.how
        for notice in flow.notify
        if notice.how != CONSOLE and event in HEARS[notice.who] and notice.who not in silent
    )


def unknown_channels(flows: Iterable[Flow], names: Iterable[str]) -> tuple[str, ...]:
    """Return the channels that flows name and the configuration does not have."""
    wanted = {notice.how for flow in flows for notice in flow.notify}
    return tuple(sorted(wanted - set(names) - {CONSOLE}))

"""Steps of an incident and its tasks within the caller's transaction, with all that belongs to a step.

Each step writes the new state, a line in the timeline (and so in the audit), what live views must hear, and
what notifications are owed; one transaction holds all of it or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts.catalogue.filing import file_under, flow_for
from alerts.deadlines import WAITS_FOR, Escalation, next_reminder
from alerts.outbox import Event, Target, owe
from alerts.states import (
    ACTIVE_TASKS,
    OPEN_STATES,
    UNDER_WAY,
    Action,
    IllegalTransition,
    State,
    TaskAction,
    TaskState,
    standing,
    step,
    task_step,
)
from alerts.store import journal
from alerts.store.tables import Incident, Task
from towerwatch.timebase import utc_now

ANNOUNCED: dict[State, Event] = {
    State.FILED: "incident.filed",
    State.DISMISSED: "incident.dismissed",
    State.TO_CHECK: "incident.to_check",
    State.CLOSED: "incident.closed",
}


def move(
    session: Session,
    row: Incident,
    action: Action,
    actor: str,
    *,
    reason: str | None = None,
    note: str = "",
    detail: dict[str, Any] | None = None,
    targets: Sequence[Target] = (),
) -> None:
    """Take one step of an incident's life; raise IllegalTransition if its state does not allow it."""
    before = State(row.state)
    after = step(before, action)
    if action is Action.REOPEN and row.merged_into is not None:
        raise IllegalTransition.of("was_merged", incident=row.id, into=row.merged_into)
    if action in {Action.WITHDRAW, Action.RECOVER}:
        withdraw_tasks(session, row)
    if action in {Action.SEND_BACK, Action.REOPEN}:
        row.round += 1
    _enter(row, after)
    if after is State.FILED:
        file_under(session, row)
    if action is Action.WITHDRAW:
        row.look_at = row.updated_at
    row.dismiss_reason = reason
    if action is Action.REOPEN:
        row.score = None
        row.closure_proposed_at = None if row.open_alert_count else row.updated_at
    told = {"reason": reason, "note": note} | (detail or {})
    told = {key: value for key, value in told.items() if value}
    journal.entry(session, row.id, actor, str(action), states=(before, after), detail=told)
    journal.changed(session, "incident", str(row.id), action)
    event = "incident.reopened" if action is Action.REOPEN else ANNOUNCED.get(after)
    if event is not None:
        about = {"actor": actor, "detail": told}
        owe(session, targets, event, row, number=f"{row.id}:{row.version}", about=about)


def file_unverified(session: Session, row: Incident, targets: Sequence[Target] = ()) -> None:
    """File an incident that waits to be verified by itself, where its flow wants nobody to look first."""
    flow = flow_for(session, row) if row.state == State.TO_VERIFY else None
    if flow is not None and not flow.verify:
        move(session, row, Action.FILE, journal.SYSTEM, detail={"flow": flow.code}, targets=targets)


def follow(session: Session, row: Incident, actor: str, action: str, detail: dict[str, Any]) -> None:
    """Let an incident stand where its tasks say, after one of them has changed."""
    tasks = tasks_of(session, row)
    before, after = State(row.state), standing(TaskState(task.state) for task in tasks)
    _enter(row, after)
    row.due_at = nearest_due(tasks)
    states = (before, after) if after is not before else (None, None)
    journal.entry(session, row.id, actor, action, states=states, detail=detail)
    journal.changed(session, "incident", str(row.id), action)


def tasks_of(session: Session, row: Incident) -> Sequence[Task]:
    """Return the tasks of the present round, oldest first."""
    session.flush()
    found = select(Task).where(Task.incident_id == row.id, Task.round == row.round)
    return session.scalars(found.order_by(Task.id)).all()


def step_task(task: Task, action: TaskAction) -> None:
    """Take one step of a task; raise IllegalTransition if its state does not allow it."""
    task.state = task_step(TaskState(task.state), action)
    now = utc_now()
    if action is TaskAction.ACCEPT:
        task.accepted_at = now
    elif action is TaskAction.ARRIVE:
        task.arrived_at = now
    else:
        task.ended_at, task.paused_at, task.pause_reason = now, None, None
    task.reminded, task.remind_at = 0, None


def arm(task: Task, how: Escalation) -> None:
    """Set when the next message about the stage that a task waits for goes out."""
    coming = next_reminder(task.assigned_at, due_of(task), task.reminded, how)
    task.remind_at = coming.at if coming else None


def withdraw_tasks(session: Session, row: Incident) -> None:
    """End what departments have not done yet."""
    for task in tasks_of(session, row):
        if TaskState(task.state) in ACTIVE_TASKS:
            step_task(task, TaskAction.WITHDRAW)


def due_of(task: Task) -> datetime | None:
    """Return when the stage that a task waits for is due; None for one that waits for nothing."""
    stage = WAITS_FOR.get(TaskState(task.state))
    if stage is None or task.paused_at is not None:
        return None
    return {"accept": task.accept_due_at, "arrive": task.arrive_due_at, "close": task.close_due_at}[stage]


def nearest_due(tasks: Iterable[Task]) -> datetime | None:
    """Return the earliest moment at which one of some tasks is due; None where none is."""
    return min((due for task in tasks if (due := due_of(task)) is not None), default=None)


def _enter(row: Incident, after: State) -> None:
    now = utc_now()
    if row.state != after:
        row.state, row.state_at = after, now
    row.open = after in OPEN_STATES
    row.updated_at = now
    row.version += 1
    if after is State.FILED and row.filed_at is None:
        row.filed_at = now
    row.closed_at = row.closed_at if after is State.EVALUATED else now if after is State.CLOSED else None
    if not row.open or row.open_alert_count:
        row.closure_proposed_at = None
    if after not in UNDER_WAY:
        row.due_at = None
    if after is State.HANDLED:
        row.look_at = now

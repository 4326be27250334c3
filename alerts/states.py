r"""The life of an incident as tables: which action leads from which state to which.

::

    detected -> to_verify -> filed -> dispatched -> accepted -> on_site -> handled
                    |          |          ^  \__________|__________/          |
                    v          |          |             | withdraw: it ended  v
                dismissed      |          |             \------------------> to_check
                 (reason)      |          \-------- send_back ------------------|
                               |                                                v
                               \----- close: nobody had to be sent ---------> closed -> evaluated

What a flow of the catalogue wants filed without anybody looking, the system files by itself (``file``).
Reopening leads back from dismissed, closed and evaluated to to_verify; a technical fault that has healed
leads from everywhere to closed, by the system alone. Once departments are called, each has a task with a
life of its own; between dispatched and handled an incident stands as far as its slowest task.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from alerts.messages import Kind
from alerts.refusals import Refusal
from towerwatch.errors import PermanentError


class State(StrEnum):
    """Where an incident stands."""

    DETECTED = "detected"
    TO_VERIFY = "to_verify"
    FILED = "filed"
    DISPATCHED = "dispatched"
    ACCEPTED = "accepted"
    ON_SITE = "on_site"
    HANDLED = "handled"
    TO_CHECK = "to_check"
    DISMISSED = "dismissed"
    CLOSED = "closed"
    EVALUATED = "evaluated"


class Action(StrEnum):
    """What may be done to an incident as a whole."""

    SUBMIT = "submit"
    CONFIRM = "confirm"
    FILE = "file"
    DISMISS = "dismiss"
    DISPATCH = "dispatch"
    WITHDRAW = "withdraw"
    CHECK = "check"
    SEND_BACK = "send_back"
    CLOSE = "close"
    EVALUATE = "evaluate"
    REOPEN = "reopen"
    MERGE = "merge"
    RECOVER = "recover"


class TaskState(StrEnum):
    """Where one department's task stands."""

    ASSIGNED = "assigned"
    ACCEPTED = "accepted"
    ON_SITE = "on_site"
    HANDLED = "handled"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class TaskAction(StrEnum):
    """What may be done to a task."""

    ACCEPT = "accept"
    ARRIVE = "arrive"
    HANDLE = "handle"
    DECLINE = "decline"
    WITHDRAW = "withdraw"


OVER_STATES = frozenset({State.DISMISSED, State.CLOSED, State.EVALUATED})
OPEN_STATES = frozenset(State) - OVER_STATES
# departments have been called and are not done
UNDER_WAY = frozenset({State.DISPATCHED, State.ACCEPTED, State.ON_SITE})
# faults of the equipment: nobody has to judge a picture, and they close by themselves
TECHNICAL_KINDS = frozenset({Kind.CAMERA_BLIND, Kind.EDGE_SILENT})
SYSTEM_ACTIONS = frozenset({Action.SUBMIT, Action.FILE, Action.RECOVER})

TRANSITIONS: dict[tuple[State, Action], State] = {
    (State.DETECTED, Action.SUBMIT): State.TO_VERIFY,
    (State.TO_VERIFY, Action.CONFIRM): State.FILED,
    (State.TO_VERIFY, Action.FILE): State.FILED,
    (State.TO_VERIFY, Action.DISMISS): State.DISMISSED,
    (State.FILED, Action.DISPATCH): State.DISPATCHED,
    (State.FILED, Action.CLOSE): State.CLOSED,
    **{(state, Action.DISPATCH): State.DISPATCHED for state in State if state in UNDER_WAY},
    **{(state, Action.WITHDRAW): State.TO_CHECK for state in State if state in UNDER_WAY},
    (State.HANDLED, Action.CHECK): State.TO_CHECK,
    (State.TO_CHECK, Action.CLOSE): State.CLOSED,
    (State.TO_CHECK, Action.SEND_BACK): State.DISPATCHED,
    (State.CLOSED, Action.EVALUATE): State.EVALUATED,
    **{(state, Action.REOPEN): State.TO_VERIFY for state in State if state in OVER_STATES},
    (State.TO_VERIFY, Action.MERGE): State.DISMISSED,
    (State.FILED, Action.MERGE): State.DISMISSED,
    **{
        (state, Action.RECOVER): State.CLOSED
        for state in State
        if state in OPEN_STATES and state is not State.DETECTED
    },
}
TASK_TRANSITIONS: dict[tuple[TaskState, TaskAction], TaskState] = {
    (TaskState.ASSIGNED, TaskAction.ACCEPT): TaskState.ACCEPTED,
    (TaskState.ASSIGNED, TaskAction.DECLINE): TaskState.DECLINED,
    (TaskState.ACCEPTED, TaskAction.ARRIVE): TaskState.ON_SITE,
    (TaskState.ON_SITE, TaskAction.HANDLE): TaskState.HANDLED,
    (TaskState.ASSIGNED, TaskAction.WITHDRAW): TaskState.WITHDRAWN,
    (TaskState.ACCEPTED, TaskAction.WITHDRAW): TaskState.WITHDRAWN,
    (TaskState.ON_SITE, TaskAction.WITHDRAW): TaskState.WITHDRAWN,
}
# how far a task is; what has been declined or withdrawn counts for nothing
_FAR: dict[TaskState, State] = {
    TaskState.ASSIGNED: State.DISPATCHED,
    TaskState.ACCEPTED: State.ACCEPTED,
    TaskState.ON_SITE: State.ON_SITE,
    TaskState.HANDLED: State.HANDLED,
}
ACTIVE_TASKS = frozenset({TaskState.ASSIGNED, TaskState.ACCEPTED, TaskState.ON_SITE})


class IllegalTransition(Refusal, PermanentError):
    """The action is not possible in the state of the incident or task."""


def step(state: State, action: Action) -> State:
    """Return the state that ``action`` leads to; raise :class:`IllegalTransition` if it leads nowhere."""
    after = TRANSITIONS.get((state, action))
    if after is None:
        possible = ", ".join(actions_from(state)) or "nothing"
        raise IllegalTransition.of("not_in_state", action=action, state=state, possible=possible)
    return after


def actions_from(state: State) -> tuple[Action, ...]:
    """Return what a person may do in a state, in the order buttons are shown."""
    return tuple(action for (at, action) in TRANSITIONS if at is state and action not in SYSTEM_ACTIONS)


def task_step(state: TaskState, action: TaskAction) -> TaskState:
    """Return the state that ``action`` leads a task to; raise :class:`IllegalTransition` if nowhere."""
    after = TASK_TRANSITIONS.get((state, action))
    if after is None:
        possible = ", ".join(task_actions_from(state)) or "nothing"
        raise IllegalTransition.of("task_not_in_state", action=action, state=state, possible=possible)
    return after


def task_actions_from(state: TaskState) -> tuple[TaskAction, ...]:
    """Return what a department may do with its task; withdrawing is the operator's, for all tasks at once."""
    return tuple(a for (at, a) in TASK_TRANSITIONS if at is state and a is not TaskAction.WITHDRAW)


def standing(tasks: Iterable[TaskState]) -> State:
    """Return where an incident stands by the tasks of its present round: as far as the slowest of them.

    It is filed again when every department has declined.
    """
    far = [_FAR[task] for task in tasks if task in _FAR]
    order = list(_FAR.values())
    return min(far, key=order.index) if far else State.FILED

r"""The life of an incident as one table: which action leads from which state to which.

::

    detected -> to_verify -> confirmed (filed) -> closed
                    |  \-> dismissed (reason)
                    |          (reopen leads back to to_verify)
                    \-> closed, by the system alone, when a technical fault has healed
"""

from __future__ import annotations

from enum import StrEnum

from alerts.messages import Kind
from towerwatch.errors import PermanentError


class State(StrEnum):
    """Where an incident stands."""

    DETECTED = "detected"
    TO_VERIFY = "to_verify"
    CONFIRMED = "confirmed"
    DISMISSED = "dismissed"
    CLOSED = "closed"


class Action(StrEnum):
    """What may be done to an incident."""

    SUBMIT = "submit"
    CONFIRM = "confirm"
    DISMISS = "dismiss"
    CLOSE = "close"
    REOPEN = "reopen"
    RECOVER = "recover"


OPEN_STATES = frozenset({State.DETECTED, State.TO_VERIFY, State.CONFIRMED})
# faults of the equipment: nobody has to judge a picture, and they close by themselves
TECHNICAL_KINDS = frozenset({Kind.CAMERA_BLIND, Kind.EDGE_SILENT})
SYSTEM_ACTIONS = frozenset({Action.SUBMIT, Action.RECOVER})

TRANSITIONS: dict[tuple[State, Action], State] = {
    (State.DETECTED, Action.SUBMIT): State.TO_VERIFY,
    (State.TO_VERIFY, Action.CONFIRM): State.CONFIRMED,
    (State.TO_VERIFY, Action.DISMISS): State.DISMISSED,
    (State.CONFIRMED, Action.CLOSE): State.CLOSED,
    (State.DISMISSED, Action.REOPEN): State.TO_VERIFY,
    (State.CLOSED, Action.REOPEN): State.TO_VERIFY,
    (State.TO_VERIFY, Action.RECOVER): State.CLOSED,
    (State.CONFIRMED, Action.RECOVER): State.CLOSED,
}


class IllegalTransition(PermanentError):
    """The action is not possible in the incident's state."""


def step(state: State, action: Action) -> State:
    """Return the state that ``action`` leads to; raise :class:`IllegalTransition` if it leads nowhere."""
    after = TRANSITIONS.get((state, action))
    if after is None:
        possible = ", ".join(actions_from(state)) or "nothing"
        msg = f"{action} is not possible in state {state}; possible: {possible}"
        raise IllegalTransition(msg)
    return after


def actions_from(state: State) -> tuple[Action, ...]:
    """Return what a person may do in a state, in the order buttons are shown."""
    return tuple(action for (at, action) in TRANSITIONS if at is state and action not in SYSTEM_ACTIONS)

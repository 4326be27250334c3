import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.states import (
    ACTIVE_TASKS,
    OPEN_STATES,
    OVER_STATES,
    TASK_TRANSITIONS,
    TRANSITIONS,
    UNDER_WAY,
    Action,
    IllegalTransition,
    State,
    TaskAction,
    TaskState,
    actions_from,
    standing,
    step,
    task_actions_from,
    task_step,
)

USUAL = (
    (Action.SUBMIT, State.TO_VERIFY),
    (Action.CONFIRM, State.FILED),
    (Action.DISPATCH, State.DISPATCHED),
)


def test_the_usual_way_leads_from_detection_to_evaluation():
    state = State.DETECTED
    for action, after in USUAL:
        state = step(state, action)
        assert state is after
    task = TaskState.ASSIGNED
    for action in (TaskAction.ACCEPT, TaskAction.ARRIVE, TaskAction.HANDLE):
        task = task_step(task, action)
        state = standing([task])
    assert state is State.HANDLED
    for action in (Action.CHECK, Action.CLOSE, Action.EVALUATE):
        state = step(state, action)
    assert state is State.EVALUATED


@given(st.sampled_from(State), st.sampled_from(Action))
def test_what_is_not_in_the_table_is_refused_with_what_is_possible(state, action):
    if (state, action) in TRANSITIONS:
        assert step(state, action) in State
        return
    with pytest.raises(IllegalTransition, match="possible: ") as refused:
        step(state, action)
    for possible in actions_from(state):
        assert possible in str(refused.value)


@given(st.sampled_from(TaskState), st.sampled_from(TaskAction))
def test_what_no_task_may_do_is_refused_with_what_is_possible(state, action):
    if (state, action) in TASK_TRANSITIONS:
        assert task_step(state, action) in TaskState
        return
    with pytest.raises(IllegalTransition, match="possible: "):
        task_step(state, action)


@pytest.mark.parametrize(
    ("state", "actions"),
    [
        (State.DETECTED, ()),
        (State.TO_VERIFY, (Action.CONFIRM, Action.DISMISS, Action.MERGE)),
        (State.FILED, (Action.DISPATCH, Action.CLOSE, Action.MERGE)),
        (State.DISPATCHED, (Action.DISPATCH, Action.WITHDRAW)),
        (State.ACCEPTED, (Action.DISPATCH, Action.WITHDRAW)),
        (State.ON_SITE, (Action.DISPATCH, Action.WITHDRAW)),
        (State.HANDLED, (Action.CHECK,)),
        (State.TO_CHECK, (Action.CLOSE, Action.SEND_BACK)),
        (State.DISMISSED, (Action.REOPEN,)),
        (State.CLOSED, (Action.EVALUATE, Action.REOPEN)),
        (State.EVALUATED, (Action.REOPEN,)),
    ],
)
def test_people_are_offered_what_they_may_do(state, actions):
    assert actions_from(state) == actions


def test_departments_are_offered_what_they_may_do():
    assert task_actions_from(TaskState.ASSIGNED) == (TaskAction.ACCEPT, TaskAction.DECLINE)
    assert task_actions_from(TaskState.HANDLED) == ()


def test_a_state_without_a_way_out_is_none_of_ours():
    for state in State:
        assert any(at is state for at, _action in TRANSITIONS)
    assert set(State) == OPEN_STATES | OVER_STATES


STANDING = {
    "nobody is called": ([], State.FILED),
    "all have declined": (["declined", "declined"], State.FILED),
    "one of two has accepted": (["accepted", "assigned"], State.DISPATCHED),
    "both have accepted": (["accepted", "accepted"], State.ACCEPTED),
    "one is on the spot": (["on_site", "accepted"], State.ACCEPTED),
    "one is done": (["handled", "on_site"], State.ON_SITE),
    "all are done": (["handled", "handled"], State.HANDLED),
    "what was declined does not count": (["handled", "declined"], State.HANDLED),
    "what was withdrawn does not count": (["withdrawn", "accepted"], State.ACCEPTED),
}


@pytest.mark.parametrize(("tasks", "state"), STANDING.values(), ids=STANDING)
def test_an_incident_stands_as_far_as_its_slowest_task(tasks, state):
    assert standing(map(TaskState, tasks)) is state


@given(st.lists(st.sampled_from(TaskState)))
def test_departments_are_under_way_exactly_while_one_has_work(tasks):
    assert (standing(tasks) in UNDER_WAY) == any(task in ACTIVE_TASKS for task in tasks)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.states import OPEN_STATES, TRANSITIONS, Action, IllegalTransition, State, actions_from, step


def test_the_usual_way_leads_from_detection_to_closure():
    state = State.DETECTED
    for action in (Action.SUBMIT, Action.CONFIRM, Action.CLOSE):
        state = step(state, action)
    assert state is State.CLOSED


@given(st.sampled_from(State), st.sampled_from(Action))
def test_what_is_not_in_the_table_is_refused_with_what_is_possible(state, action):
    if (state, action) in TRANSITIONS:
        assert step(state, action) in State
        return
    with pytest.raises(IllegalTransition, match="possible: ") as refused:
        step(state, action)
    for possible in actions_from(state):
        assert possible in str(refused.value)


@pytest.mark.parametrize(
    ("state", "actions"),
    [
        (State.DETECTED, ()),
        (State.TO_VERIFY, (Action.CONFIRM, Action.DISMISS)),
        (State.CONFIRMED, (Action.CLOSE,)),
        (State.DISMISSED, (Action.REOPEN,)),
        (State.CLOSED, (Action.REOPEN,)),
    ],
)
def test_people_are_offered_what_they_may_do(state, actions):
    assert actions_from(state) == actions


def test_a_state_without_a_way_out_is_none_of_ours():
    for state in State:
        assert any(at is state for at, _action in TRANSITIONS)
    assert set(State) > OPEN_STATES

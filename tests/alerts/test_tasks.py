"""Departments: dispatch, limits, proof, pauses, escalation, the camera's look again; merge and split."""

import json
from datetime import timedelta

import pytest
from central_kit import T0, alert, apply_all, at, health, hex_id, incoming, picture
from sqlalchemy import delete, select, update

from alerts.deadlines import Escalation, Limits
from alerts.handling import Handling
from alerts.inbox import Inbox
from alerts.messages import Kind, ReplyMessage
from alerts.outbox import Target
from alerts.services.bundle import open_services
from alerts.services.errors import Conflict, Invalid, NotFound
from alerts.states import IllegalTransition, State, TaskState
from alerts.store.tables import Command, Delivery, EvidenceBlob, Incident, Task
from alerts.ticker import Ticker
from towerwatch.timebase import utc_now

PROOF = "d" * 64
LIMITS = Limits.parse("10 min", "30 min", "2 h")
HANDLING = Handling(
    targets=(
        Target("all"),
        Target("police", frozenset({"task.overdue", "task.reminder"}), frozenset({"police"}), frozenset({0})),
        Target("chief", frozenset({"task.overdue"}), levels=frozenset({2, 3})),
    ),
    limits=dict.fromkeys(Kind, LIMITS),
    escalation=Escalation(levels=3),
)


@pytest.fixture
def city(sqlite):
    """An incident that is filed, and a picture to prove things with."""
    apply_all(sqlite, [alert("a", evidence=(picture(b"now", "context_now"),))])
    with sqlite.write() as session:
        fields = {"bytes": 5, "media_type": "image/jpeg", "edge": "li", "received_at": T0}
        session.add(EvidenceBlob(sha256=PROOF, **fields))
    services = open_services(sqlite, HANDLING)
    services.incidents.confirm(1, user="li")
    return services


def task_to(city, state, department="police"):
    (task,) = city.tasks.dispatch(1, [department], user="li", limits=LIMITS)
    for name in ("accept", "arrive"):
        if task.state == state:
            break
        task = getattr(city.tasks, name)(task.id, user="zhao")
    return task


def deliveries(database, target):
    with database.read() as session:
        keys = select(Delivery.key).where(Delivery.target == target).order_by(Delivery.id)
        return session.scalars(keys).all()


REFUSED = {
    "nobody": (lambda c: c.tasks.dispatch(1, [], user="li"), Invalid),
    "the same twice": (lambda c: c.tasks.dispatch(1, ["a", "a"], user="li"), Invalid),
    "what is no id": (lambda c: c.tasks.dispatch(1, ["No Id"], user="li"), Invalid),
    "an incident that is not there": (lambda c: c.tasks.dispatch(9, ["a"], user="li"), NotFound),
    "somebody was faster": (lambda c: c.tasks.dispatch(1, ["a"], user="li", version=0), Conflict),
    "who is busy": (lambda c: [c.tasks.dispatch(1, ["a"], user="li") for _ in range(2)], Conflict),
    "a task that is not there": (lambda c: c.tasks.accept(9, user="li"), NotFound),
    "arrival before acceptance": (
        lambda c: c.tasks.arrive(task_to(c, "assigned").id, user="li"),
        IllegalTransition,
    ),
    "handling without proof": (lambda c: c.tasks.handle(task_to(c, "on_site").id, [], user="li"), Invalid),
    "a proof that is not here": (
        lambda c: c.tasks.handle(task_to(c, "on_site").id, ["e" * 64], user="li"),
        Invalid,
    ),
    "declining without a word": (
        lambda c: c.tasks.decline(task_to(c, "assigned").id, user="li", note=" "),
        Invalid,
    ),
    "resuming what runs": (lambda c: c.tasks.resume(task_to(c, "assigned").id, user="li"), IllegalTransition),
    "sending back what nobody has done": (
        lambda c: c.tasks.send_back(1, user="li", note="x"),
        IllegalTransition,
    ),
    "a bad cursor": (lambda c: c.tasks.list_tasks(cursor="x"), Invalid),
}


@pytest.mark.parametrize(("act", "error"), REFUSED.values(), ids=REFUSED)
def test_what_departments_cannot_do_is_refused(city, act, error):
    with pytest.raises(error):
        act(city)


def test_limits_run_from_the_call_and_the_nearest_is_the_incidents(city):
    first, second = city.tasks.dispatch(1, ["police", "highways"], user="li", limits=LIMITS)
    assert first.accept_due_at - first.assigned_at == timedelta(minutes=10)
    assert first.close_due_at - first.assigned_at == timedelta(hours=2)
    assert city.incidents.get_incident(1).due_at == first.accept_due_at
    city.tasks.accept(first.id, user="zhao")
    incident = city.incidents.get_incident(1)
    assert (incident.state, incident.due_at) == (State.DISPATCHED, second.accept_due_at)
    city.tasks.decline(second.id, user="sun", note="not ours")
    incident = city.incidents.get_incident(1)
    assert (incident.state, incident.due_at) == (State.ACCEPTED, first.arrive_due_at)
    assert [task.id for task in city.tasks.list_tasks(department="police").items] == [first.id]


def test_a_pause_stops_the_limits_and_gives_back_what_was_left(city, sqlite):
    task = task_to(city, "accepted")
    city.tasks.pause(task.id, user="zhao", note="road closed")
    assert city.incidents.get_incident(1).due_at is None
    with sqlite.write() as session:
        session.execute(update(Task).values(paused_at=utc_now() - timedelta(minutes=20)))
    assert Ticker(sqlite, HANDLING).tick(utc_now() + timedelta(hours=9)) == 0
    again = city.tasks.resume(task.id, user="zhao")
    moved = again.arrive_due_at - task.arrive_due_at
    assert timedelta(minutes=20) <= moved < timedelta(minutes=21)


def test_a_department_is_reminded_and_levels_are_told_one_after_the_other(city, sqlite):
    task = task_to(city, "assigned")
    ticker = Ticker(sqlite, HANDLING)

    def after(minutes):
        ticker.tick(task.assigned_at + timedelta(minutes=minutes))
        return [key for key in deliveries(sqlite, "all") if "reminder" in key or "overdue" in key]

    assert after(7) == []
    assert after(8) == [f"task.reminder:{task.id}:accept:0"]
    assert after(11)[1:] == [f"task.overdue:{task.id}:accept:1"]
    assert after(11.5) == after(11)
    assert after(75)[2:] == [f"task.overdue:{task.id}:accept:{level}" for level in (2, 3)]
    assert len(after(900)) == 4
    assert deliveries(sqlite, "police") == [f"task.reminder:{task.id}:accept:0"]
    assert deliveries(sqlite, "chief") == [f"task.overdue:{task.id}:accept:{level}" for level in (2, 3)]
    view = city.incidents.get_incident(1)
    assert view.tasks[0].level == 3
    assert [line.action for line in view.timeline][-4:] == ["reminder", "overdue", "overdue", "overdue"]
    with sqlite.read() as session:
        found = select(Delivery.body).where(Delivery.key == f"task.overdue:{task.id}:accept:2")
        body = json.loads(session.scalars(found.limit(1)).one())
    assert (body["task"]["department"], body["task"]["stage"], body["task"]["level"]) == (
        "police",
        "accept",
        2,
    )


def test_what_is_overdue_when_it_is_first_looked_at_is_not_reminded_of(city, sqlite):
    task = task_to(city, "assigned")
    Ticker(sqlite, HANDLING).tick(task.assigned_at + timedelta(minutes=15))
    assert [key for key in deliveries(sqlite, "all") if "task.reminder" in key] == []


def handled(city):
    task = task_to(city, "on_site")
    city.tasks.handle(task.id, [PROOF], user="zhao", note="towed")


def command(database):
    with database.read() as session:
        return session.scalars(select(Command)).one()


@pytest.mark.parametrize(
    ("ok", "named", "wait_s", "action"),
    [
        (True, "f" * 64, 1, "looked_again"),
        (True, {"odd": 1}, 1, "look_failed"),
        (False, None, 1, "look_failed"),
        (None, None, 100, "look_failed"),
    ],
    ids=["a picture", "no digest", "refused", "no answer"],
)
def test_the_camera_looks_again_before_a_check_and_its_picture_goes_with_the_closure(
    city, sqlite, ok, named, wait_s, action
):
    Inbox(sqlite).commit([incoming(health(), "health")])
    handled(city)
    ticker = Ticker(sqlite, HANDLING)
    ticker.tick(utc_now())
    asked = command(sqlite)
    assert (asked.name, asked.arguments, asked.incident_id) == ("snapshot", {"camera": "street-1"}, 1)
    assert city.incidents.get_incident(1).state is State.HANDLED
    if ok is not None:
        result = {"sha256": named} if ok else {}
        reply = ReplyMessage(command_id=asked.id, at=at(1), ok=ok, detail="said", result=result)
        Inbox(sqlite).commit([incoming(reply, "reply")])
    for _twice in range(2):
        ticker.tick(asked.created_at + timedelta(seconds=wait_s))
    view = city.incidents.get_incident(1)
    assert view.state is State.TO_CHECK
    assert [line.action for line in view.timeline].count(action) == 1
    assert [look.sha256 for look in view.looks] == (["f" * 64] if action == "looked_again" else [])
    city.incidents.close(1, user="li")
    detail = city.incidents.get_incident(1).timeline[-1].detail
    assert detail["after"] == ("f" * 64 if action == "looked_again" else PROOF)
    assert detail["before"] == view.alerts[0].evidence[0].sha256


def test_what_has_ended_by_itself_is_withdrawn_and_what_is_not_good_enough_is_done_again(city, sqlite):
    first = task_to(city, "assigned")
    city.tasks.withdraw(1, user="li", note="gone")
    (again,) = city.tasks.send_back(1, user="li", note="it is back")
    assert (again.department, again.round, again.state) == ("police", 2, TaskState.ASSIGNED)
    states = {task.id: task.state for task in city.incidents.get_incident(1).tasks}
    assert states == {first.id: TaskState.WITHDRAWN, again.id: TaskState.ASSIGNED}
    with pytest.raises(IllegalTransition):
        city.tasks.accept(first.id, user="zhao")
    apply_all(sqlite, [alert("a", "closed", 1)])
    assert city.incidents.get_incident(1).closure_proposed_at is not None


def two(database, **second):
    apply_all(database, [alert("a"), alert("b", start=60, **{"place_key": "kerb/2", **second})])


def test_merging_moves_the_alerts_and_says_nothing_of_their_truth(database, services):
    two(database)
    kept = services.groups.merge(2, 1, user="li")
    assert (kept.id, kept.alert_count) == (1, 2)
    gone = services.incidents.get_incident(2)
    assert (gone.state, gone.merged_into, gone.alerts) == (State.DISMISSED, 1, ())
    assert services.verdicts.of_alert(hex_id("b")) == ()
    with pytest.raises(IllegalTransition, match="merged into 1"):
        services.incidents.reopen(2, user="li")
    apply_all(database, [alert("b", "closed", 1, start=60, place_key="kerb/2")])
    assert services.incidents.get_incident(1).open_alert_count == 1


def test_splitting_makes_an_incident_of_its_own_to_be_verified(database, services):
    two(database, place_key="kerb/1")
    services.incidents.confirm(1, user="li")
    made = services.groups.split(1, [hex_id("b")], user="li")
    assert (made.id, made.state, made.alert_count) == (2, State.TO_VERIFY, 1)
    assert services.incidents.get_incident(1).alert_count == 1
    assert services.incidents.get_alert(hex_id("b")).incident_id == 2


BAD_GROUPS = {
    "into itself": (lambda g: g.merge(1, 1, user="li"), Invalid),
    "into nothing": (lambda g: g.merge(1, 9, user="li"), NotFound),
    "of two kinds": (lambda g: g.merge(1, 3, user="li"), Invalid),
    "somebody was faster": (lambda g: g.merge(1, 2, user="li", version=0), Conflict),
    "all alerts off": (lambda g: g.split(1, [hex_id("a")], user="li"), Invalid),
    "a strange alert off": (lambda g: g.split(1, [hex_id("b")], user="li"), Invalid),
}


@pytest.mark.parametrize(("act", "error"), BAD_GROUPS.values(), ids=BAD_GROUPS)
def test_groups_that_cannot_be_are_refused(sqlite, services_of, act, error):
    two(sqlite)
    apply_all(sqlite, [alert("c", kind=Kind.BLOCKED_ROAD)])
    with pytest.raises(error):
        act(services_of(sqlite).groups)
    with sqlite.write() as session:
        assert session.scalars(select(Incident.alert_count)).all() == [1, 1, 1]
        session.execute(delete(Delivery))

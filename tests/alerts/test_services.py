import asyncio
import json
from datetime import timedelta

import pytest
from central_kit import alert, apply_all, at, camera_health, digest, health, hex_id, incoming, picture, place
from components import wait_until
from sqlalchemy import delete, update
from sqlalchemy.exc import OperationalError

from alerts import commands
from alerts.inbox import Inbox
from alerts.messages import Kind
from alerts.services import live, people
from alerts.services.errors import Conflict, Invalid, LoginRefused, NotFound, TooManyLogins
from alerts.services.incidents import OPEN, IncidentFilter
from alerts.states import Action, IllegalTransition, State
from alerts.store import journal
from alerts.store.tables import Change, Edge, LoginFailure, User, UserSession
from towerwatch.timebase import utc_now

PASSWORD = "correct horse battery"


def five(database):
    apply_all(database, [alert(f"a{n}", place_key=f"kerb/{n}", start=n * 10) for n in range(5)])


def test_a_list_is_paged_newest_first_without_gaps(database, services):
    five(database)
    seen, cursor = [], None
    while True:
        page = services.incidents.list_incidents(cursor=cursor, limit=2)
        seen += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (IncidentFilter(states=frozenset({State.TO_VERIFY})), 4),
        (IncidentFilter(states=frozenset({State.CLOSED})), 0),
        (OPEN, 4),
        (IncidentFilter(kinds=frozenset({Kind.SMOKE})), 1),
        (IncidentFilter(site="hill"), 0),
        (IncidentFilter(edge="box-1", camera="street-1", site="riverside"), 5),
        (IncidentFilter(since=at(10), until=at(30)), 2),
        (IncidentFilter(bbox=(111, 32, 113, 34)), 1),
        (IncidentFilter(bbox=(0, 0, 1, 1)), 0),
        (IncidentFilter(ids=frozenset({1, 3, 99})), 2),
    ],
)
def test_a_filter_restricts_the_list_and_the_counts(sqlite, services_of, wanted, found):
    services = services_of(sqlite)
    apply_all(sqlite, [alert(f"a{n}", place_key=f"kerb/{n}", start=n * 10) for n in range(4)])
    apply_all(sqlite, [alert("s", kind=Kind.SMOKE, start=40, position=place())])
    services.incidents.dismiss(1, "brief_stop", user="li")
    assert len(services.incidents.list_incidents(wanted).items) == found
    assert sum(services.incidents.count_by_state(wanted).values()) == found


@pytest.mark.parametrize(("cursor", "limit"), [("x", 10), ("-1", 10), ("9" * 30, 10), (None, 0), (None, 501)])
def test_a_page_that_cannot_be_is_refused(sqlite, services_of, cursor, limit):
    with pytest.raises(Invalid):
        services_of(sqlite).incidents.list_incidents(cursor=cursor, limit=limit)


def test_an_incident_goes_its_way_and_the_timeline_tells_it(database, services):
    apply_all(database, [alert("a", evidence=(picture(b"t0"), picture(b"now", "context_now")))])
    services.incidents.confirm(1, user="li")
    done = services.incidents.close(1, user="wang", note="towed")
    assert (done.state, done.actions) == (State.CLOSED, (Action.EVALUATE, Action.REOPEN))
    view = services.incidents.get_incident(1)
    assert [(line.actor, line.action) for line in view.timeline] == [
        ("system", "detected"),
        ("system", "submit"),
        ("system", "alert"),
        ("li", "confirm"),
        ("wang", "close"),
    ]
    assert view.timeline[-1].detail == {"note": "towed", "before": digest(b"now")}
    assert [item.present for item in view.alerts[0].evidence] == [False, False]
    assert view.alerts[0].evidence[0].url == f"/evidence/{view.alerts[0].evidence[0].sha256}"


def test_confirming_and_dismissing_judge_what_nobody_has_judged(database, services):
    apply_all(database, [alert("a"), alert("b", start=60)])
    services.verdicts.judge_alert(hex_id("b"), "unsure", user="li", note="too dark")
    services.incidents.confirm(1, user="li")
    services.incidents.close(1, user="li")
    services.incidents.reopen(1, user="wang")
    services.incidents.dismiss(1, "permitted", user="wang", note="resident")
    (a,) = services.verdicts.of_alert(hex_id("a"))
    (b,) = services.verdicts.of_alert(hex_id("b"))
    assert (a.verdict, a.reason, a.user) == ("false", "permitted", "wang")
    assert (b.verdict, b.note) == ("unsure", "too dark")


def test_dismissing_tells_the_boxes_what_keeps_looking_like_smoke_exactly_once(
    sqlite, services_of, monkeypatch
):
    services = services_of(sqlite)
    smoke = {"kind": Kind.SMOKE, "position": place()}
    with sqlite.write() as session:
        session.add(Edge(id="box-1", site="riverside", first_seen_at=at(0)))
    apply_all(sqlite, [alert("a", camera="tower-1", **smoke), alert("b", camera="tower-2", start=5, **smoke)])

    def killed(*_args, **_more):
        raise OperationalError("commit", {}, OSError("gone"))

    monkeypatch.setattr("alerts.services.incidents.incident_summary", killed)  # ordered, not yet committed
    with pytest.raises(OperationalError):
        services.incidents.dismiss(1, "fog_cloud", user="li")
    monkeypatch.undo()
    assert commands.unsent(sqlite) == []
    services.incidents.dismiss(1, "fog_cloud", user="li")
    with pytest.raises(IllegalTransition):
        services.incidents.dismiss(1, "fog_cloud", user="wang")
    sent = [json.loads(payload) for _topic, payload, _id in commands.unsent(sqlite)]
    assert {one["name"] for one in sent} == {"dismissed"}
    told = sorted((one["arguments"] for one in sent), key=lambda one: one["camera"])
    assert [one["camera"] for one in told] == ["tower-1", "tower-2"]
    assert told[0] == {
        "camera": "tower-1",
        "preset": "fixed",
        "kind": "smoke",
        "box": [0.1, 0.2, 0.3, 0.4],
        "reason": "fog_cloud",
    }


def test_other_reasons_and_other_kinds_teach_nothing(sqlite, services_of):
    services = services_of(sqlite)
    with sqlite.write() as session:
        session.add(Edge(id="box-1", site="riverside", first_seen_at=at(0)))
    apply_all(sqlite, [alert("a"), alert("b", kind=Kind.SMOKE, position=place())])
    services.incidents.dismiss(1, "light_shadow", user="li")
    services.incidents.dismiss(2, "test", user="li")
    assert commands.unsent(sqlite) == []


def test_a_box_gets_a_verdict_of_its_own_and_the_newest_counts(database, services):
    apply_all(database, [alert("a")])
    for verdict in ("true", "false"):
        given = services.verdicts.judge_box(hex_id("a"), 0, 0, verdict, user="li", reason="light_shadow")
    assert services.incidents.get_alert(hex_id("a")).verdicts == (given,)
    assert (given.phase_seq, given.box_index, given.verdict) == (0, 0, "false")
    assert [line.action for line in services.incidents.get_incident(1).timeline].count("verdict") == 2


REFUSED = {
    "no such incident": (lambda s: s.incidents.confirm(9, user="li"), NotFound),
    "no such incident to look at": (lambda s: s.incidents.get_incident(9), NotFound),
    "no such alert": (lambda s: s.incidents.get_alert("0" * 32), NotFound),
    "no verdict on nothing": (lambda s: s.verdicts.judge_alert("0" * 32, "true", user="li"), NotFound),
    "no verdicts of nothing": (lambda s: s.verdicts.of_alert("0" * 32), NotFound),
    "no such phase": (lambda s: s.verdicts.judge_box(hex_id("a"), 3, 0, "true", user="li"), NotFound),
    "no such box": (lambda s: s.verdicts.judge_box(hex_id("a"), 0, 1, "true", user="li"), NotFound),
    "an unknown verdict": (lambda s: s.verdicts.judge_alert(hex_id("a"), "maybe", user="li"), Invalid),
    "an unknown reason": (lambda s: s.incidents.dismiss(1, "boring", user="li"), Invalid),
    "too long a note": (lambda s: s.incidents.close(1, user="li", note="x" * 513), Invalid),
    "close before confirm": (lambda s: s.incidents.close(1, user="li"), IllegalTransition),
    "reopen what is open": (lambda s: s.incidents.reopen(1, user="li"), IllegalTransition),
    "somebody was faster": (lambda s: s.incidents.confirm(1, user="li", version=0), Conflict),
}


@pytest.mark.parametrize(("act", "error"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_refused_and_changes_nothing(sqlite, services_of, act, error):
    services = services_of(sqlite)
    apply_all(sqlite, [alert("a")])
    before = services.incidents.get_incident(1)
    with pytest.raises(error):
        act(services)
    assert services.incidents.get_incident(1) == before


def test_reopening_what_has_ended_proposes_closure_again(database, services):
    apply_all(database, [alert("a"), alert("a", "closed", 1)])
    services.incidents.confirm(1, user="li")
    services.incidents.close(1, user="li")
    assert services.incidents.get_incident(1).closure_proposed_at is None
    assert services.incidents.reopen(1, user="li").closure_proposed_at is not None


def test_a_camera_gets_a_place_that_its_incidents_fall_back_to(database, services):
    Inbox(database).commit([incoming(health(cameras=(camera_health(),)), "health")])
    apply_all(database, [alert("a")])
    assert services.incidents.get_incident(1).place is None
    services.fleet.place_camera("box-1", "street-1", lat_deg=33.1, lon_deg=112.2, name="East Street")
    services.fleet.place_camera("box-1", "street-1", lat_deg=33.1, lon_deg=112.3)
    view = services.incidents.get_incident(1)
    assert (view.camera_name, view.place.lon_deg) == ("East Street", 112.3)
    assert view.alerts[0].place.lat_deg == 33.1


@pytest.mark.parametrize(
    ("camera", "lat_deg", "name", "error"),
    [("street-9", 33, None, NotFound), ("street-1", 91, None, Invalid), ("street-1", 33, "", Invalid)],
)
def test_a_place_that_cannot_be_is_refused(sqlite, services_of, camera, lat_deg, name, error):
    Inbox(sqlite).commit([incoming(health(), "health")])
    with pytest.raises(error):
        services_of(sqlite).fleet.place_camera("box-1", camera, lat_deg=lat_deg, lon_deg=112, name=name)


def test_the_first_start_makes_an_administrator_once(database, services):
    password = services.people.ensure_admin()
    assert services.people.ensure_admin() is None
    session = services.people.login("admin", password, "127.0.0.1")
    assert session.user.role == "administrator"
    with database.read() as read:
        stored = read.query(User).one().password_hash
    assert stored.startswith("$argon2id$")
    assert password not in stored


def test_a_session_lives_until_logout(database, services):
    services.people.create_user("li", PASSWORD)
    session = services.people.login("li", PASSWORD, "10.0.0.1")
    assert services.people.user_of_session(session.token) == session.user
    assert session.user.may_act
    assert services.people.csrf_matches(session.token, session.csrf)
    assert not services.people.csrf_matches(session.token, "other")
    assert not services.people.csrf_matches("other", session.csrf)
    services.people.logout(session.token)
    assert services.people.user_of_session(session.token) is None


def test_a_session_ends_by_time_password_change_and_disabling(database, services):
    services.people.create_user("li", PASSWORD)

    def token():
        return services.people.login("li", PASSWORD, "10.0.0.1").token

    expired, changed = token(), None
    with database.write() as session:
        session.execute(update(UserSession).values(expires_at=utc_now() - timedelta(seconds=1)))
    assert services.people.user_of_session(expired) is None
    changed = token()
    services.people.set_password("li", PASSWORD)
    assert services.people.user_of_session(changed) is None
    disabled = token()
    with database.write() as session:
        session.execute(update(User).values(disabled_at=utc_now()))
    assert services.people.user_of_session(disabled) is None
    with pytest.raises(LoginRefused):
        services.people.login("li", PASSWORD, "10.0.0.1")


@pytest.mark.parametrize(
    ("names", "allowed"),
    [(["li"], people.FAILURES_ALLOWED), (["li", "wang", "zhao"], people.FAILURES_FROM_ADDRESS)],
    ids=["one name", "many names"],
)
def test_guessing_is_slowed_down_where_it_comes_from_and_locks_nobody_out(
    sqlite, services_of, monkeypatch, names, allowed
):
    services = services_of(sqlite)
    services.people.create_user("li", PASSWORD)
    monkeypatch.setattr(people, "FAILURES_FROM_ADDRESS", 12)
    monkeypatch.setattr(services.people, "_matches", lambda _stored, given: given == PASSWORD)
    for number in range(min(allowed, 12)):
        with pytest.raises(LoginRefused):
            services.people.login(names[number % len(names)], "wrong password", "10.0.0.1")
    with pytest.raises(TooManyLogins) as refused:
        services.people.login("li", PASSWORD, "10.0.0.1")
    assert 0 < refused.value.retry_after_s <= people.FAILURE_WINDOW.total_seconds() + 1
    assert services.people.login("li", PASSWORD, "10.0.0.2")
    with pytest.raises(TooManyLogins):
        services.people.login("li", PASSWORD, "10.0.0.1")
    with sqlite.write() as session:
        session.execute(update(LoginFailure).values(at=utc_now() - people.FAILURE_WINDOW))
    assert services.people.login("li", PASSWORD, "10.0.0.1")


BAD_PEOPLE = {
    "a blank in the name": (lambda p: p.create_user("li wang", PASSWORD), Invalid),
    "a short password": (lambda p: p.create_user("li", "short"), Invalid),
    "an unknown role": (lambda p: p.create_user("li", PASSWORD, "king"), Invalid),
    "a taken name": (lambda p: p.create_user("wang", PASSWORD), Conflict),
    "nobody's password": (lambda p: p.set_password("nobody", PASSWORD), NotFound),
    "a taken token name": (lambda p: p.create_token("script"), Conflict),
    "nobody's token": (lambda p: p.revoke_token("nothing"), NotFound),
}


@pytest.mark.parametrize(("act", "error"), BAD_PEOPLE.values(), ids=BAD_PEOPLE)
def test_people_and_tokens_that_cannot_be_are_refused(sqlite, services_of, act, error):
    services = services_of(sqlite)
    services.people.create_user("wang", PASSWORD)
    services.people.create_token("script")
    with pytest.raises(error):
        act(services.people)


def test_a_token_speaks_for_a_script_until_revoked(database, services):
    token = services.people.create_token("script", "viewer")
    user = services.people.user_of_token(token)
    assert (user.name, user.role, user.may_act) == ("token:script", "viewer", False)
    services.people.revoke_token("script")
    assert services.people.user_of_token(token) is None
    assert services.people.user_of_token("twt_unknown") is None


def test_changes_reach_listeners_once_and_in_order(database, services):
    services.live.poll()
    apply_all(database, [alert("a")])
    assert [(c.topic, c.ref, c.action) for c in services.live.poll()] == [
        ("incident", "1", "submit"),
        ("incident", "1", "alert_opened"),
    ]
    assert services.live.poll() == []


def test_a_change_that_is_committed_late_is_heard_once_and_numbers_may_begin_anew(database, services):
    def change(number):
        with database.write() as session:
            session.add(Change(id=number, at=utc_now(), topic="edge", ref=str(number), action="online"))

    services.live.poll()
    heard = []
    for number in (10, 12, 9, 11):
        change(number)
        heard.append([c.ref for c in services.live.poll()])
    assert heard == [["10"], ["12"], ["9"], ["11"]]
    with database.write() as session:
        session.execute(delete(Change))
    assert services.live.poll() == []
    change(1)
    assert [c.ref for c in services.live.poll()] == ["1"]


def test_a_listener_hears_what_happens(sqlite, services_of):
    services = services_of(sqlite)

    async def listen():
        with services.live.subscribe() as changes:
            await asyncio.to_thread(apply_all, sqlite, [alert("a")])
            return await asyncio.wait_for(anext(aiter(changes)), 10)

    services.live.poll()
    services.live.start()
    try:
        assert asyncio.run(listen()).topic == "incident"
    finally:
        services.live.stop()


def test_a_slow_listener_is_told_to_read_everything_again(sqlite, services_of):
    services = services_of(sqlite)
    services.live.poll()
    with sqlite.write() as session:
        for number in range(live.QUEUE + 1):
            journal.changed(session, "camera", str(number), "fresh")
    changes = services.live.poll()

    async def overflow():
        with services.live.subscribe() as heard:
            heard.offer(changes)
            await asyncio.sleep(0)
            return await asyncio.wait_for(anext(heard), 5)

    assert asyncio.run(overflow()).topic == "resync"


def test_reading_changes_outlives_a_database_that_fails(sqlite, services_of, monkeypatch):
    services = services_of(sqlite)
    calls = []

    def away():
        calls.append(1)
        raise OperationalError("select", {}, OSError("gone"))

    monkeypatch.setattr(services.live, "poll", away)
    monkeypatch.setattr(live, "POLL_S", 0.01)
    services.live.start()
    wait_until(lambda: len(calls) > 1, 10)
    services.live.stop()
    services.live.stop()

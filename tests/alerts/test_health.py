import pytest
from central_kit import OUTBOX, alert, apply_all, at, camera_health, health, hex_id, incoming, status
from sqlalchemy import select, update

from alerts import commands
from alerts.config import WatchSettings, WorkSettings
from alerts.inbox import Inbox
from alerts.messages import CommandMessage, Freshness, Kind, decode
from alerts.services.views import EdgeView
from alerts.silence import CENTRAL, Heard, open_silences, silent_since
from alerts.states import State
from alerts.store.tables import Alert, Change, Command, Edge, InboxRow
from alerts.work import Worker
from towerwatch.timebase import utc_now


def say(database, *messages, lost_after=3):
    inbox = Inbox(database, lost_after_rounds=lost_after)
    for message, channel in messages:
        inbox.commit([incoming(message, channel)])


def the_edge(services) -> EdgeView:
    (edge,) = services.fleet.list_edges()
    return edge


def test_status_and_health_show_how_a_box_is(database, services):
    cameras = (
        camera_health("a", gap_p95_s=4.5),
        camera_health("b", state=Freshness.BLIND, reason="frozen", detail="same picture for 40 s"),
    )
    said = health(cameras=cameras, depth=4, first_seq=1, stretch=2.25)
    say(database, (status(online=True), "status"), (said, "health"))
    edge = the_edge(services)
    assert (edge.online, edge.cameras, edge.cameras_fresh, edge.outbox["depth"]) == (True, 2, 1, 4)
    assert (edge.clock_synchronised, edge.health_at, edge.stretch) == (True, said.at, 2.25)
    stretched = services.fleet.list_cameras(state=Freshness.FRESH)
    assert [(c.gap_p95_s, c.last_captured_at) for c in stretched] == [(4.5, cameras[0].last_captured_at)]
    blind = services.fleet.list_cameras(state=Freshness.BLIND)
    assert [(c.camera, c.reason, c.detail) for c in blind] == [("b", "frozen", "same picture for 40 s")]
    assert len(services.fleet.list_cameras(edge="box-1")) == 2
    assert services.fleet.list_cameras(edge="box-9") == ()


def test_a_camera_keeps_since_when_it_is_as_it_is(database, services):
    say(database, (health(), "health"))
    (before,) = services.fleet.list_cameras()
    say(database, (health(cameras=(camera_health(analysed=30),)), "health"))
    (after,) = services.fleet.list_cameras()
    assert after.state_since == before.state_since
    assert after.analysed == 30
    say(database, (health(cameras=(camera_health(state="stale", reason="stale"),)), "health"))
    (worse,) = services.fleet.list_cameras()
    assert worse.state_since > before.state_since


def test_live_views_hear_of_changes_alone(database):
    say(database, (status(online=True), "status"), (health(), "health"), (health(), "health"))
    say(database, (status(online=False, reason="power"), "status"))
    with database.read() as session:
        heard = [(row.topic, row.action) for row in session.scalars(select(Change).order_by(Change.id))]
    assert heard == [("edge", "online"), ("camera", "fresh"), ("edge", "offline")]


def test_an_alert_that_the_box_no_longer_knows_is_closed_as_lost(database, services):
    apply_all(database, [alert("gone"), alert("there", place_key="kerb/2")])
    for _round in range(2):
        say(database, (health(open_alerts=(hex_id("there"),)), "health"))
    assert services.incidents.get_alert(hex_id("gone")).phase == "opened"
    say(database, (health(open_alerts=(hex_id("there"),)), "health"))
    gone = services.incidents.get_alert(hex_id("gone"))
    assert (gone.phase, gone.lost, gone.ended_at) == ("closed", True, at(30))
    incident = services.incidents.get_incident(gone.incident_id)
    assert incident.closure_proposed_at is not None
    assert any(line.action == "alert_lost" for line in incident.timeline)
    assert services.incidents.get_alert(hex_id("there")).phase == "opened"


def test_a_lost_alert_that_speaks_again_is_open_again(database, services):
    apply_all(database, [alert("gone")])
    say(database, (health(), "health"), lost_after=1)
    assert services.incidents.get_alert(hex_id("gone")).lost
    apply_all(database, [alert("gone", "updated", 1)])
    view = services.incidents.get_alert(hex_id("gone"))
    assert (view.phase, view.lost, view.ended_at) == ("updated", False, None)


@pytest.mark.parametrize(
    "message",
    [health(depth=1, first_seq=1), health(part=0, parts=2)],
    ids=["while messages wait on the box", "while the round is not complete"],
)
def test_a_difference_means_nothing_yet(database, services, message):
    apply_all(database, [alert("open")])
    for _round in range(5):
        say(database, (message, "health"), lost_after=1)
    assert services.incidents.get_alert(hex_id("open")).phase == "opened"


def test_a_miss_that_was_none_starts_the_count_again(database, services):
    apply_all(database, [alert("open")])
    for open_alerts in [(), (), (hex_id("open"),), (), ()]:
        say(database, (health(open_alerts=open_alerts), "health"))
    assert services.incidents.get_alert(hex_id("open")).phase == "opened"


def test_a_round_in_parts_is_taken_together(database, services):
    apply_all(database, [alert("a"), alert("b", place_key="kerb/2")])
    for _round in range(3):
        for part, name in enumerate("ab"):
            say(database, (health(part=part, parts=2, open_alerts=(hex_id(name),)), "health"), lost_after=1)
    assert services.incidents.get_alert(hex_id("a")).phase == "opened"
    assert services.incidents.get_alert(hex_id("b")).phase == "opened"


def test_an_alert_whose_message_waits_in_the_inbox_is_not_lost(database, services):
    apply_all(database, [alert("open")])
    say(database, (alert("open", "closed", 1), "alert"))
    say(database, (health(), "health"), lost_after=1)
    assert not services.incidents.get_alert(hex_id("open")).lost


def test_an_alert_unknown_here_is_asked_for(database):
    say(database, *[(health(open_alerts=(hex_id("unknown"),)), "health")] * 3)
    ((topic, payload, command_id),) = commands.unsent(database)
    assert str(topic) == "towerwatch/v1/riverside/box-1/command"
    message = decode("command", payload)
    assert isinstance(message, CommandMessage)
    assert (message.name, message.arguments) == ("reconcile", {"alert_ids": [hex_id("unknown")]})
    commands.mark_sent(database, [command_id])
    assert commands.unsent(database) == []
    say(database, *[(health(open_alerts=(hex_id("unknown"),)), "health")] * 9)
    assert len(commands.unsent(database)) == 1


def test_what_is_known_is_not_asked_for(database):
    apply_all(database, [alert("closed", "closed", 1)])
    say(database, (alert("waiting"), "alert"))
    ids = (hex_id("closed"), hex_id("waiting"))
    say(database, *[(health(open_alerts=ids), "health")] * 4)
    with database.read() as session:
        assert session.scalars(select(Command)).all() == []
        assert session.get(Edge, "box-1").unknown_open == {}


WATCH = WatchSettings(health_missing_s=120, offline_grace_s=20)
SILENT = {
    "never heard": (Heard(False, None, None), None),
    "healthy": (Heard(True, at(0), at(900)), None),
    "offline a moment ago": (Heard(False, at(985), at(980)), None),
    "offline too long": (Heard(False, at(970), at(960)), (at(970), "offline")),
    "online without health": (Heard(True, at(0), at(870)), (at(870), "no_health")),
    "online, never any health": (Heard(True, at(870), None), (at(870), "no_health")),
    "health alone, long ago": (Heard(False, None, at(100)), (at(100), "no_health")),
}


@pytest.mark.parametrize(("heard", "expected"), SILENT.values(), ids=SILENT)
def test_a_box_is_silent_when_nothing_is_heard_of_it(heard, expected):
    assert silent_since(heard, at(1000), at(0), WATCH) == expected


def test_time_in_which_central_did_not_listen_does_not_count():
    assert silent_since(Heard(True, at(0), at(10)), at(1000), at(900), WATCH) is None
    assert silent_since(Heard(False, at(0), at(10)), at(1000), at(990), WATCH) is None


def test_a_silent_box_is_an_incident_that_closes_by_itself(database, services):
    worker = Worker(database, WorkSettings())
    say(database, (status(online=True), "status"), (health(), "health"))
    long_ago = utc_now() - (at(600) - at(0))
    with database.write() as session:
        session.execute(update(Edge).values(health_received_at=long_ago, status_received_at=long_ago))
    assert open_silences(database, utc_now(), long_ago, WATCH) == 1
    assert open_silences(database, utc_now(), long_ago, WATCH) == 0
    assert the_edge(services).silent
    worker.work_off()
    (incident,) = services.incidents.list_incidents().items
    assert (incident.kind, incident.state, incident.started_at) == (
        Kind.EDGE_SILENT,
        State.TO_VERIFY,
        long_ago,
    )
    say(database, (health(), "health"), lost_after=1)
    worker.work_off()
    assert services.incidents.get_incident(incident.id).state is State.CLOSED
    assert not the_edge(services).silent
    with database.read() as session:
        assert {row.outbox_id for row in session.scalars(select(InboxRow))} == {CENTRAL} != {OUTBOX}
        assert session.scalars(select(Alert.reason)).all() == ["heard_again"]


def test_a_retained_status_repeated_by_the_broker_is_no_sign_of_life(database, services):
    """Box and broker lost power together: no last will, and the broker goes on saying online."""
    say(database, (status(online=True), "status"), (health(), "health"))
    long_ago = utc_now() - (at(600) - at(0))
    with database.write() as session:
        session.execute(update(Edge).values(health_received_at=long_ago, status_received_at=long_ago))
    assert open_silences(database, utc_now(), long_ago, WATCH) == 1
    say(database, (status(online=True), "status"))  # central subscribes again
    assert the_edge(services).silent
    assert open_silences(database, utc_now(), long_ago, WATCH) == 0
    say(database, (status(online=True, at=at(900)), "status"))  # the box itself connects again
    assert not the_edge(services).silent


def test_health_is_proof_of_life_for_a_box_said_to_be_offline(database, services):
    say(database, (status(online=False), "status"), (health(), "health"))
    assert the_edge(services).online

import itertools
import threading

import pytest
from central_kit import alert, apply_all, at, hex_id, picture, place, whole_life
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from alerts.messages import Kind, Phase
from alerts.services.incidents import IncidentFilter
from alerts.states import State
from alerts.store.base import Base
from alerts.store.tables import Alert, Delivery, Incident


def count(database, table):
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(table))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_phases_end_right_in_whatever_order_they_come(database, services, order):
    messages = whole_life("one", evidence=(picture(b"t0"),))
    apply_all(database, [messages[index] for index in order])
    (incident,) = services.incidents.list_incidents().items
    view = services.incidents.get_incident(incident.id)
    (one,) = view.alerts
    assert one.phase is Phase.CLOSED
    assert [phase.phase for phase in one.phases] == ["opened", "updated", "closed"]
    assert one.started_at == at(0)
    assert view.ended_at == one.ended_at == at(600)
    assert view.open_alert_count == 0
    assert view.closure_proposed_at is not None
    assert view.state is State.TO_VERIFY
    assert len(one.evidence) == 1


def test_a_message_that_comes_again_changes_nothing(database, services):
    messages = whole_life()
    assert apply_all(database, [*messages, *messages]) == [True] * 3 + [False] * 3
    (incident,) = services.incidents.list_incidents().items
    assert incident.alert_count == 1
    assert len(services.incidents.get_incident(incident.id).alerts[0].phases) == 3


def test_the_newest_phase_moves_the_start_back(database, services):
    apply_all(database, [alert(start=100), alert(phase="updated", seq=1, start=40)])
    apply_all(database, [alert(phase="updated", seq=2, start=40)])
    assert services.incidents.get_alert(hex_id("one")).started_at == at(40)


def test_boxes_and_zone_stay_when_a_phase_brings_none(database, services):
    zone = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9))
    apply_all(database, [alert(zone_points=zone), alert(phase="updated", seq=1, boxes=(), position=place())])
    view = services.incidents.get_alert(hex_id("one"))
    assert len(view.boxes) == 1
    assert view.boxes_phase_seq == 0
    assert view.zone_points == zone
    assert view.place.lat_deg == 33.0


def test_two_cars_are_two_incidents_and_one_spot_is_one(database, services):
    apply_all(
        database,
        [
            alert("a"),
            alert("b", place_key="kerb/2"),
            alert("c", start=60),
        ],
    )
    page = services.incidents.list_incidents()
    assert sorted(item.alert_count for item in page.items) == [1, 2]


def test_smoke_of_two_towers_becomes_one_incident_with_the_better_position(database, services):
    apply_all(
        database,
        [
            alert("a", kind=Kind.SMOKE, edge="tower-1", position=place(major_m=90)),
            alert("b", kind=Kind.SMOKE, edge="tower-2", camera="c2", position=place(33.002, major_m=40)),
            alert("c", kind=Kind.SMOKE, edge="tower-3", camera="c3", position=place(33.08, major_m=40)),
        ],
    )
    items = services.incidents.list_incidents().items
    assert [item.alert_count for item in items] == [1, 2]
    assert items[1].place.semi_major_m == 40
    assert items[1].place.lat_deg == 33.002


def test_an_alert_after_a_decision_begins_a_new_incident(database, services):
    apply_all(database, [alert("a")])
    (first,) = services.incidents.list_incidents().items
    services.incidents.dismiss(first.id, "permitted", user="li")
    apply_all(database, [alert("b", start=60), alert("a", phase="updated", seq=1)])
    newer, older = services.incidents.list_incidents().items
    assert older.state is State.DISMISSED
    assert older.alert_count == newer.alert_count == 1


def test_an_alert_that_opens_again_takes_the_proposal_back(database, services):
    apply_all(database, whole_life("a"))
    apply_all(database, [alert("b", start=605)])
    (incident,) = services.incidents.list_incidents().items
    assert incident.alert_count == 2
    assert incident.closure_proposed_at is None
    assert incident.ended_at is None


def test_a_technical_fault_closes_by_itself_and_a_new_one_is_new(database, services):
    for name, start in (("a", 0), ("b", 700)):
        apply_all(
            database,
            whole_life(name, kind=Kind.CAMERA_BLIND, reason="frozen", start=start, boxes=(), end=start + 60),
        )
    assert [item.state for item in services.incidents.list_incidents().items] == [State.CLOSED] * 2
    line = services.incidents.get_incident(1).timeline[-1]
    assert (line.actor, line.action, line.from_state, line.to_state) == (
        "system",
        "recover",
        State.TO_VERIFY,
        State.CLOSED,
    )


def test_a_technical_fault_said_lost_too_early_opens_again(database, services):
    apply_all(database, [alert("a", kind=Kind.CAMERA_BLIND)])
    with database.write() as session:
        row = session.get(Alert, hex_id("a"))
        row.phase, row.lost, row.ended_at = "closed", True, at(60)
    apply_all(database, [alert("b", kind=Kind.CAMERA_BLIND, phase="closed", seq=1, end=100)])
    assert services.incidents.get_incident(1).state is State.CLOSED
    apply_all(database, [alert("a", kind=Kind.CAMERA_BLIND, phase="updated", seq=1)])
    view = services.incidents.get_incident(1)
    assert view.state is State.TO_VERIFY
    assert not next(item for item in view.alerts if item.id == hex_id("a")).lost


def test_a_new_incident_is_owed_to_every_webhook_once(database):
    apply_all(database, [alert("a"), alert("b", start=60)], targets=("city", "police"))
    with database.read() as session:
        owed = session.scalars(select(Delivery)).all()
    assert sorted(row.target for row in owed) == ["city", "police"]
    assert {row.key for row in owed} == {"incident.created:1"}


def test_one_alert_can_stand_in_one_incident_only(database):
    apply_all(database, [alert("a")])
    with database.read() as session:
        row = session.get(Alert, hex_id("a"))
        again = {column.name: getattr(row, column.name) for column in Alert.__table__.c}
    with pytest.raises(IntegrityError), database.write() as session:
        session.execute(Alert.__table__.insert().values(**again))


def test_many_at_once_make_one_incident_of_one_spot(database, services):
    """Eight threads deliver eight alerts of one place, each with three phases."""
    lives = [whole_life(f"car-{index}") for index in range(8)]
    start = threading.Barrier(8)

    def deliver(messages):
        start.wait(10)
        apply_all(database, messages)

    threads = [threading.Thread(target=deliver, args=(life,)) for life in lives]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    (incident,) = services.incidents.list_incidents().items
    assert incident.alert_count == 8
    assert incident.open_alert_count == 0


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_with_repeats_gives_the_same_alerts(sqlite, data):
    with sqlite.write() as session:
        for table in reversed(Base.metadata.sorted_tables):
            if table.name not in {"audit", "audit_head"}:  # a chain goes on for ever
                session.execute(table.delete())
    messages = [*whole_life("a"), *whole_life("b", place_key="kerb/2"), alert("c", place_key="kerb/3")]
    come = data.draw(st.permutations(messages + data.draw(st.lists(st.sampled_from(messages), max_size=4))))
    apply_all(sqlite, come)
    with sqlite.read() as session:
        rows = {row.id: (row.phase, row.phase_seq) for row in session.scalars(select(Alert))}
        incidents = session.scalars(select(Incident)).all()
    assert rows == {
        hex_id("a"): ("closed", 2),
        hex_id("b"): ("closed", 2),
        hex_id("c"): ("opened", 0),
    }
    assert len(incidents) == 3


def test_nothing_is_kept_of_a_message_that_fails_half_way(database, monkeypatch):
    def broken(*_args):
        raise RuntimeError("half way")

    monkeypatch.setattr("alerts.apply._bring_in_line", broken)
    with pytest.raises(RuntimeError):
        apply_all(database, [alert()])
    assert count(database, Incident) == count(database, Alert) == 0


def test_incidents_are_found_by_what_they_are(database, services):
    apply_all(database, [alert("a"), alert("b", kind=Kind.SMOKE, position=place(), start=50)])
    found = services.incidents.list_incidents(IncidentFilter(kinds=frozenset({Kind.SMOKE})))
    assert [item.kind for item in found.items] == [Kind.SMOKE]

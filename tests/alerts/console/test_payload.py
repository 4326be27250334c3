"""What the incident page shows: evidence with the right boxes, facts, warnings, timeline."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from console_world import OPERATOR, World, parked_car

from alerts.console import payload
from alerts.console.texts import WORDS
from alerts.messages import AlertMessage, BlindReason, EvidenceRole, Kind, NamedBox, Phase, Position
from alerts.services.names import Names
from alerts.services.views import TimelineView
from alerts.states import State

NOW = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)
EN = WORDS["en"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World.create(tmp_path_factory.mktemp("central"))
    yield made
    made.close()


def test_pictures_come_t0_first_then_now_and_the_clip_apart(world: World) -> None:
    alert_id = parked_car(world)
    world.send(alert_id)
    shown = payload.evidence(world.services.incidents.get_alert(alert_id.alert_id), EN, UTC, may_judge=True)
    roles = [picture["role"] for picture in shown["pictures"]]
    assert roles == ["context_t0", "context_now", "context_mid", "close_up"]
    assert [picture["overlay"] for picture in shown["pictures"]] == [True, True, True, False]
    assert [clip["role"] for clip in shown["clips"]] == [EvidenceRole.CLIP]
    assert len(shown["zones"]) == 1
    assert all(picture["present"] for picture in shown["pictures"])


def test_a_picture_shows_the_boxes_of_its_own_phase_and_their_verdicts(world: World) -> None:
    first = parked_car(world)
    world.send(first)
    moved = NamedBox(label="truck", confidence=0.5, x1=0.1, y1=0.1, x2=0.2, y2=0.2)
    world.send(world.again(first, Phase.UPDATED, boxes=(moved,), evidence=()))
    world.services.verdicts.judge_box(first.alert_id, 0, 1, "false", user=OPERATOR)
    shown = payload.evidence(world.services.incidents.get_alert(first.alert_id), EN, UTC, may_judge=False)
    boxes = shown["pictures"][0]["boxes"]
    assert [box["label"] for box in boxes] == ["car", "car"]
    assert [box["verdict"] for box in boxes] == [None, "false"]
    assert shown["pictures"][0]["boxes_seq"] == 0


def test_a_phase_without_boxes_shows_the_newest_known(world: World) -> None:
    first = parked_car(world, boxes=())
    world.send(first)
    box = NamedBox(label="truck", confidence=0.5, x1=0.1, y1=0.1, x2=0.2, y2=0.2)
    world.send(world.again(first, Phase.UPDATED, boxes=(box,), evidence=()))
    shown = payload.evidence(world.services.incidents.get_alert(first.alert_id), EN, UTC, may_judge=False)
    assert [box["label"] for box in shown["pictures"][0]["boxes"]] == ["truck"]
    assert shown["pictures"][0]["boxes_seq"] == 1


def test_facts_name_place_time_measures_and_the_maker(world: World) -> None:
    message = parked_car(world, preset="north", reason=BlindReason.FROZEN)
    incident_id = world.send(message)
    world.services.incidents.dismiss(incident_id, "permitted", user=OPERATOR)
    incident = world.services.incidents.get_incident(incident_id)
    facts = dict(
        payload.facts(incident, incident.alerts[0], EN, UTC, incident.started_at + timedelta(hours=1))
    )
    assert facts["Place"].startswith("30.59000, 114.31000 ±62")
    assert facts["Dwell"] == "6 min 01 s"
    assert facts["Occupancy"] == "42 %"
    assert facts["Model"] == "vehicle@1 · f32"
    assert facts["Rule"] == "illegal_parking/1"
    assert facts["Duration"] == "1 h 00 min · ongoing"
    assert facts["Zone"] == "kerb"
    assert facts["Preset"] == "north"
    assert facts["Reason"] == "Picture frozen"


def test_an_object_on_the_road_is_named(world: World) -> None:
    incident = world.services.incidents.get_incident(world.send(parked_car(world, reason="object")))
    facts = dict(payload.facts(incident, incident.alerts[0], EN, UTC, incident.started_at))
    assert facts["Reason"] == "Object on the road"


def plume(world: World, edge: str, lat_deg: float, orientation_deg: float) -> AlertMessage:
    """Smoke as one tower has it: long and thin along its bearing."""
    position = Position(lat_deg=lat_deg, lon_deg=114.2, semi_major_m=400, semi_minor_m=12,
                        orientation_deg=orientation_deg, bearing_deg=orientation_deg)  # fmt: skip
    return world.alert(Kind.SMOKE, edge=edge, place_key=edge, zone=None, position=position)


def test_crossed_sights_are_shown_beside_the_place_and_each_alert_has_its_bearing(world: World) -> None:
    first = world.send(plume(world, "tower-1", 30.7, 20.0))
    alone = world.services.incidents.get_incident(first)
    assert payload.sights(alone) == []
    assert dict(payload.facts(alone, alone.alerts[0], EN, UTC, NOW))["Bearing"] == "20.0°"
    assert world.send(plume(world, "tower-2", 30.7005, 110.0)) == first
    incident = world.services.incidents.get_incident(first)
    assert incident.place is not None
    assert incident.place.semi_major_m < 20
    assert [sight["ellipse"] for sight in payload.sights(incident)] == [[400, 12, 20], [400, 12, 110]]


def test_an_incident_without_a_known_alert_still_has_facts(world: World) -> None:
    message = world.alert(Kind.SMOKE, model=None, precision=None, zone=None)
    incident = world.services.incidents.get_incident(world.send(message))
    assert "Model" not in dict(payload.facts(incident, incident.alerts[0], EN, UTC, NOW))
    assert "Rule" not in dict(payload.facts(incident, None, EN, UTC, NOW))


def test_warnings_tell_what_the_times_are_worth(world: World) -> None:
    message = world.alert(historical=True, clock={"synchronised": False})
    world.send(message)
    world.send(world.again(message, Phase.CLOSED))
    incident = world.services.incidents.get_incident(world.incident_of(message.alert_id))
    lost = incident.alerts[0].model_copy(update={"lost": True})
    found = payload.warnings(incident, lost, EN)
    assert len(found) == 4
    assert (
        payload.warnings(
            incident.model_copy(update={"closure_proposed_at": None, "historical": False}), None, EN
        )
        == []
    )


@pytest.mark.parametrize(
    ("action", "states", "detail", "text"),
    [
        ("confirm", ("to_verify", "filed"), {}, "Confirm → Filed"),
        (
            "dismiss",
            ("to_verify", "dismissed"),
            {"reason": "dust", "note": "<b>harvester</b>"},
            "Dismiss → Dismissed · Dust · “<b>harvester</b>”",
        ),
        ("verdict", (None, None), {"verdict": "false", "box_index": 1}, "Verdict · False · Boxes 2"),
        ("alert", (None, None), {"reason": "frozen"}, "Alert joined · Picture frozen"),
        ("flow", (None, None), {"flow": "010102", "before": "010101"}, "Flow chosen · 010102"),
        ("reported", (None, None), {"flow": "010101", "note": "heap"}, "Reported · 010101 · “heap”"),
    ],
)
def test_timeline_line(
    action: str, states: tuple[State | None, State | None], detail: dict[str, object], text: str
) -> None:
    entry = TimelineView.model_validate(
        {
            "at": NOW,
            "actor": "system",
            "action": action,
            "from_state": states[0],
            "to_state": states[1],
            "detail": detail,
        }
    )
    assert payload.line(entry, EN, Names()) == text
    assert payload.actor(entry, EN, Names()) == "System"
    assert payload.actor(entry.model_copy(update={"actor": "li"}), EN, Names()) == "li"

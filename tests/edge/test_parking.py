"""One stay is one alert: over missed detections, lorries, light, restarts and the next car."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime

import pytest
from edge_scenes import Scene, Thing, at, camera, car, frac, ids, observations, times
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.episode import EpisodeEvent
from edge.lifecycle import Lifecycle, Terms
from edge.observe import Rule
from edge.rules import build_rule
from edge.shapes import iou

LABELS = ["car", "truck"]


def parking(interval_s: float = 2.0, **more: object) -> Rule:
    config = {
        "kind": "illegal_parking",
        "zone": "road",
        "labels": LABELS,
        "stop_time_s": 8,
        "legal_time_s": 30,
    }
    cam = camera([config | more], interval_s=interval_s)
    return build_rule(cam.views[0].rules[0], cam.views[0], cam)


def story(
    rule: Rule, scene: Scene, stamps: Sequence[float], gain: Callable[[float], float] = lambda _: 1.0
) -> list[EpisodeEvent]:
    life = Lifecycle("cam", "fixed", Terms(rule.name, rule.hold_s, interval_s=2.0), ids())
    events: list[EpisodeEvent] = []
    for seen in observations(scene, stamps, gain):
        events += life.step(seen.captured_at, seen.gap_s, rule(seen))
    return events


def opened(events: Sequence[EpisodeEvent]) -> list[tuple[datetime, datetime]]:
    return [(event.captured_at, event.started_at) for event in events if event.phase == "opened"]


def phases(events: Sequence[EpisodeEvent]) -> list[str]:
    return [event.phase.value for event in events if event.phase != "updated"]


@pytest.mark.parametrize("interval_s", [0.5, 1.0, 2.0, 5.0])
def test_a_parked_car_is_a_candidate_then_an_alert_from_when_it_stopped(interval_s: float) -> None:
    def scene(t: float) -> list[Thing]:
        return [car(min(100 + 40 * t, 300))]

    events = story(parking(interval_s), scene, times(60, interval_s))
    assert phases(events) == ["candidate", "opened"]
    assert events[0].captured_at <= at(5 + 8 + 2 * interval_s)
    ((when, since),) = opened(events)
    assert at(4) <= since <= at(5 + 2 * interval_s)
    assert at(34) <= when <= at(35 + 3 * interval_s)
    alert = events[1]
    assert iou(alert.boxes[0].box, frac(car(300).box)) > 0.8
    assert alert.boxes[0].label == "car"
    assert alert.measures["dwell_s"] >= 30


def test_a_stop_shorter_than_the_legal_time_dissolves() -> None:
    events = story(parking(), lambda t: [car(300)] if t < 20 else [], times(120))
    assert phases(events) == ["candidate", "dissolved"]


def test_boxes_on_empty_ground_that_come_no_more_are_no_parked_car_and_one_found_again_is() -> None:
    def slips(t: float) -> list[Thing]:
        return [car(300, drawn=False, detected=t in {0, 2, 4, 6, 8, 10})]

    def weak(t: float) -> list[Thing]:
        return [car(300, detected=t in {0, 2, 4, 6, 8, 10} or t >= 50)]

    assert phases(story(parking(), slips, times(48))) == ["candidate"]
    events = story(parking(), weak, times(60))
    assert phases(events) == ["candidate", "opened"]
    assert opened(events) == [(at(50), at(0))]


def test_a_car_that_only_passes_is_nothing() -> None:
    assert story(parking(), lambda t: [car(20 + 30 * t)], times(18)) == []


def test_a_stream_of_other_cars_through_one_place_is_no_parked_car() -> None:
    events = story(parking(), lambda t: [car(300, colour=int(t / 2) % 7 + 1)], times(120))
    assert phases(events) == []


def test_a_queue_that_moves_up_is_not_parked() -> None:
    """Six cars stand 20 s, then each takes the place of the one before it."""

    def scene(t: float) -> list[Thing]:
        shift = int(t // 20)
        return [car(20 + 100 * i, colour=1 + (i - shift) % 9) for i in range(6)]

    assert opened(story(parking(), scene, times(200))) == []


@pytest.mark.parametrize("share", [2, 3, 4])
def test_a_weak_detector_is_enough(share: int) -> None:
    def scene(t: float) -> list[Thing]:
        return [car(300, detected=int(t / 2) % share == 0)]

    events = story(parking(), scene, times(100))
    assert phases(events) == ["candidate", "opened"]
    assert opened(events)[0][1] == at(0)


def test_a_shape_that_the_detector_hardly_believes_is_no_alert() -> None:
    def scene(t: float) -> list[Thing]:
        return [car(300, confidence=0.25, detected=int(t / 2) % 2 == 0)]

    assert opened(story(parking(), scene, times(120))) == []


def test_a_lorry_in_front_that_is_found_but_once_ends_nothing() -> None:
    def scene(t: float) -> list[Thing]:
        lorry = car(270, 180, size=(160, 90), colour=5, label="truck", detected=t < 18)
        return [car(300), *([lorry] if 16 <= t < 96 else [])]

    assert [since for _, since in opened(story(parking(), scene, times(140)))] == [at(0)]


@pytest.mark.parametrize("length_s", [20, 100, 300])
@pytest.mark.parametrize("start_s", [16, 50])
def test_a_lorry_in_front_ends_nothing(start_s: float, length_s: float) -> None:
    def scene(t: float) -> list[Thing]:
        hidden = start_s <= t < start_s + length_s
        lorry = car(270, 180, size=(160, 90), colour=5, label="truck")
        return [car(300, detected=not hidden), lorry] if hidden else [car(300)]

    events = story(parking(legal_time_s=40, stop_time_s=8), scene, times(start_s + length_s + 100))
    of_car = [e for e in events if iou(e.boxes[0].box, frac(car(300).box)) > 0.6]
    assert phases(of_car) == ["candidate", "opened"]
    assert opened(of_car)[0][1] == at(0)


def test_a_car_that_one_in_the_second_row_boxes_in_is_told_of_once() -> None:
    def scene(t: float) -> list[Thing]:
        boxed_in = t >= 60
        before = [car(312, 222, colour=5, detected=t % 20 != 0)] if boxed_in else []
        return [car(300, detected=not boxed_in or t % 22 != 0), *before]

    events = story(parking(), scene, times(200))
    starts = [since for _, since in opened(events)]
    assert len(starts) == 2
    assert starts[0] == at(0)
    assert at(58) <= starts[1] <= at(64)


def test_a_car_that_leaves_closes_and_the_next_is_another_alert() -> None:
    def scene(t: float) -> list[Thing]:
        if t < 60:
            return [car(300, colour=1)]
        return [] if t < 70 else [car(302, colour=2)]

    events = story(parking(), scene, times(160))
    assert phases(events) == ["candidate", "opened", "closed", "candidate", "opened"]
    first, second = (e for e in events if e.phase == "opened")
    assert first.alert_id != second.alert_id
    closed = next(e for e in events if e.phase == "closed")
    assert at(56) <= (closed.ended_at or at(0)) <= at(60)
    assert at(68) <= second.started_at <= at(76)


def test_a_car_that_leaves_an_empty_place_closes_after_the_grace() -> None:
    events = story(parking(), lambda t: [car(300)] if t < 60 else [], times(200))
    assert phases(events) == ["candidate", "opened", "closed"]
    assert at(56) <= (events[-1].ended_at or at(0)) <= at(60)


def test_a_sudden_change_of_light_is_not_another_car() -> None:
    events = story(parking(), lambda _t: [car(300)], times(200), gain=lambda t: 1.0 if t < 100 else 0.35)
    assert phases(events) == ["candidate", "opened"]


def test_a_blind_quarter_of_an_hour_keeps_the_episode() -> None:
    stamps = [*times(50), *times(1000, 2, 950)]
    assert phases(story(parking(), lambda _t: [car(300)], stamps)) == ["candidate", "opened"]


def test_six_cars_seen_at_once_are_six_alerts() -> None:
    cars = [car(20 + 100 * i, 100 + 20 * i, colour=i + 1) for i in range(6)]
    events = story(parking(), lambda _t: cars, times(60))
    assert len(opened(events)) == 6
    assert len({event.alert_id for event in events}) == 6


def test_a_car_seen_as_car_and_truck_is_one_alert() -> None:
    both = [car(300, confidence=0.6), car(303, 201, label="truck", confidence=0.5)]
    assert len(opened(story(parking(), lambda _t: both, times(60)))) == 1


def passing(t: float) -> list[Thing]:
    """Cars of the right size cross the picture, far ones and near ones."""
    x = 20 + 130 * (t % 10) / 2
    return [car(x, 60, colour=3, size=(40, 22)), car(600 - x, 300, colour=4, size=(110, 58))]


@pytest.mark.parametrize(("size", "alerts"), [((70, 40), 1), ((14, 10), 0)])
def test_what_is_far_too_small_for_its_row_is_no_vehicle(size: tuple[float, float], alerts: int) -> None:
    events = story(parking(legal_time_s=60), lambda t: [*passing(t), car(300, 200, size=size)], times(160))
    assert len(opened(events)) == alerts


def test_a_sure_detector_that_sees_a_car_seldom_is_enough() -> None:
    events = story(parking(), lambda t: [car(300, detected=int(t / 2) % 9 == 0)], times(160))
    assert phases(events) == ["candidate", "opened"]


def test_outside_the_zone_nothing_counts() -> None:
    config = {"kind": "illegal_parking", "zone": "kerb", "labels": LABELS, "legal_time_s": 30}
    zone = {"id": "kerb", "points": [[0.0, 0.5], [0.4, 0.5], [0.4, 1.0], [0.0, 1.0]]}
    cam = camera([], views=[{"zones": [zone], "rules": [config]}])
    rule = build_rule(cam.views[0].rules[0], cam.views[0], cam)
    things = [car(100, 200, colour=1), car(400, 200, colour=2), car(100, 125, colour=3)]
    events = story(rule, lambda _t: things, times(60))
    # the third only leans into the zone with its roof out: its wheels stand above the line
    assert [iou(e.boxes[0].box, frac(things[0].box)) > 0.8 for e in events if e.phase == "opened"] == [True]


def test_time_counts_only_while_the_rule_is_in_force() -> None:
    windows = {"windows": [{"from": "08:01", "to": "08:03"}]}  # the scene begins at 08:00 UTC
    events = story(parking(schedule=windows), lambda _t: [car(300)], times(300))
    assert phases(events) == ["candidate", "opened", "closed"]
    ((when, since),) = opened(events)
    assert at(90) <= when <= at(94)
    assert since == at(0)
    assert at(178) <= events[-1].captured_at <= at(182)


@pytest.mark.parametrize(
    ("schedule", "opens_s"),
    [
        pytest.param({}, [30], id="always: the car beside the bay alone"),
        pytest.param({"schedule": {"windows": [{"to": "08:01"}]}}, [30, 90], id="until a minute past eight"),
    ],
)
def test_where_it_is_permitted_time_does_not_count(schedule: dict[str, object], opens_s: list[float]) -> None:
    bay = {"id": "bay", "points": [[0.4, 0.4], [0.7, 0.4], [0.7, 0.8], [0.4, 0.8]]}
    rule = parking(permits=[bay | schedule])
    seen = list(observations(lambda _t: [car(300), car(100, colour=2)], times(120)))
    life = Lifecycle("cam", "fixed", Terms(rule.name, rule.hold_s, interval_s=2.0), ids())
    events = []
    for number, one in enumerate(seen):
        if number == 40:  # a restart forgets no permit
            state = json.loads(json.dumps(rule.dump()))
            rule = parking(permits=[bay | schedule])
            rule.load(state)
        events += life.step(one.captured_at, one.gap_s, rule(one))
    assert [when for when, _ in opened(events)] == [at(s) for s in opens_s]


@settings(max_examples=6, deadline=None)
@given(cut=st.integers(1, 40), seed=st.integers(0, 50))
def test_a_restart_changes_nothing(cut: int, seed: int) -> None:
    def scene(t: float) -> list[Thing]:
        hidden = 20 <= t < 30
        return [
            car(300, detected=(int(t) * 7 + seed) % 3 > 0 and not hidden),
            car(20 + 15 * (t % 30), 100, colour=4),
            *([car(280, 180, size=(160, 90), label="truck", colour=6)] if hidden else []),
        ]

    seen = list(observations(scene, times(80)))
    whole, before, after = parking(), parking(), parking()
    expected = [whole(one) for one in seen][cut:]
    for one in seen[:cut]:
        before(one)
    after.load(json.loads(json.dumps(before.dump())))
    assert [after(one) for one in seen[cut:]] == expected
    assert after.dump() == whole.dump()


def test_a_state_without_spots_is_a_fresh_start() -> None:
    rule = parking()
    rule.load({})
    assert rule.dump()["memory"] == {"spots": [], "light": None}
    assert rule.name == "illegal_parking/2"
    assert parking(hold_s=33.0).hold_s == 33.0

"""A blocked road is told from a red light, a kerb of parked cars and one that broke down."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from edge_scenes import Scene, Thing, at, camera, car, frac, ids, observations, times

from edge.episode import EpisodeEvent
from edge.lifecycle import Lifecycle, Terms
from edge.observe import Rule, Track
from edge.rules import build_rule
from edge.rules.blocked_road import level_of
from edge.rules.road import RoadState
from edge.shapes import overlap_of_smaller

LANE = {"id": "road", "points": [[0.0, 0.5], [1.0, 0.5], [1.0, 0.72], [0.0, 0.72]]}


def road(kind: str, **more: object) -> Rule:
    config = {"kind": kind, "zone": "road", "labels": ["car", "truck"]} | more
    cam = camera([], views=[{"zones": [LANE], "rules": [config]}])
    return build_rule(cam.views[0].rules[0], cam.views[0], cam)


def story(rule: Rule, scene: Scene, stamps: Sequence[float]) -> list[EpisodeEvent]:
    life = Lifecycle("cam", "fixed", Terms(rule.name, rule.hold_s, interval_s=2.0), ids())
    events: list[EpisodeEvent] = []
    for seen in observations(scene, stamps):
        events += life.step(seen.captured_at, seen.gap_s, rule(seen))
    return events


def phases(events: Sequence[EpisodeEvent]) -> list[str]:
    return [event.phase.value for event in events if event.phase != "updated"]


def queue(shift: int, number: int = 6) -> list[Thing]:
    """Cars bumper to bumper; each shift brings every car one place on."""
    return [car(10 + 104 * i, 195, colour=1 + (i - shift) % 9, size=(96, 54)) for i in range(number)]


def flowing(t: float, every_s: float = 6.0) -> list[Thing]:
    """One car in ``every_s`` that crosses the picture in 5 s."""
    since = t % every_s
    return [car(-60 + 140 * since, 195, colour=1 + int(t / every_s) % 9)] if 0.5 < since < 4.5 else []


def jam(t: float) -> list[Thing]:
    """Traffic flows for a minute, then stands."""
    return flowing(t) if t < 60 else queue(0)


def test_a_road_that_no_longer_moves_is_blocked_from_when_it_stopped() -> None:
    events = story(road("blocked_road"), jam, times(280))
    assert phases(events) == ["candidate", "opened"]
    opened = next(e for e in events if e.phase == "opened")
    assert at(58) <= opened.started_at <= at(64)
    # nothing is known of this road yet: half as long again as duration_s
    assert at(238) <= opened.captured_at <= at(246)
    assert opened.place_key == "road"
    assert opened.measures["level"] == 3.0
    assert opened.measures["standing"] == 6.0
    assert opened.measures["queue_bl"] > 5
    assert opened.measures["occupancy_frac"] > 0.5
    assert len(opened.boxes) == 6


def test_a_queue_at_a_red_light_is_not_blocked() -> None:
    """Ninety seconds red, thirty green in which every car is replaced."""

    def scene(t: float) -> list[Thing]:
        cycle, phase = divmod(t, 120)
        return queue(int(cycle) * 6) if phase < 90 else flowing(t)

    assert "opened" not in phases(story(road("blocked_road"), scene, times(600)))


def test_a_slow_queue_that_discharges_is_not_blocked() -> None:
    assert "opened" not in phases(story(road("blocked_road"), lambda t: queue(int(t // 40)), times(400)))


def test_parked_cars_beside_flowing_traffic_are_not_a_blocked_road() -> None:
    zone = {"id": "road", "points": [[0.0, 0.25], [1.0, 0.25], [1.0, 0.8], [0.0, 0.8]]}
    config = {"kind": "blocked_road", "zone": "road", "labels": ["car"], "min_occupancy_frac": 0.05}
    cam = camera([], views=[{"zones": [zone], "rules": [config]}])
    rule = build_rule(cam.views[0].rules[0], cam.views[0], cam)
    kerbs = [car(100 + 150 * i, y, colour=3 + i) for i, y in enumerate((110, 240, 110, 240))]
    assert phases(story(rule, lambda t: [*kerbs, *flowing(t)], times(400))) == []


def test_a_block_in_a_waiting_queue_starts_when_those_before_it_have_left() -> None:
    def scene(t: float) -> list[Thing]:
        if t < 60:
            return flowing(t)
        waiting = [car(535 - 104 * k, 195, colour=3 + k, size=(96, 54)) for k in range(6) if t >= 60 + 4 * k]
        return waiting if t < 130 else waiting[1:]

    events = story(road("blocked_road"), scene, times(360))
    (opened,) = (e for e in events if e.phase == "opened")
    assert at(126) <= opened.started_at <= at(134)


def test_a_second_box_of_one_vehicle_that_is_given_up_has_not_left() -> None:
    """The detector sees the first of the queue twice, for a while."""

    def scene(t: float) -> list[Thing]:
        if t < 60:
            return flowing(t) if t < 48 else []
        waiting = [car(430 - 104 * k, 195, colour=3 + k, size=(96, 54)) for k in range(5) if t >= 60 + 4 * k]
        twice = car(430 + (60 if t < 130 else 28), 195, size=(96, 54), drawn=False)
        return [*waiting, twice] if t < 170 else waiting

    events = story(road("blocked_road"), scene, times(300))
    (opened,) = (e for e in events if e.phase == "opened")
    assert at(58) <= opened.started_at <= at(72)


def test_a_blocked_road_closes_when_it_flows_again() -> None:
    def scene(t: float) -> list[Thing]:
        return queue(0) if t < 200 else flowing(t)

    events = story(road("blocked_road"), scene, times(320))
    assert phases(events) == ["candidate", "opened", "closed"]
    assert at(196) <= (events[-1].ended_at or at(0)) <= at(215)


def test_a_signal_s_cycle_is_learnt_and_a_block_after_it_takes_longer() -> None:
    """Red lights of 100 s, and a duration that is shorter: only the jam from 760 s on is told."""

    def scene(t: float) -> list[Thing]:
        cycle, phase = divmod(t, 150)
        return queue(int(min(cycle, 5)) * 6) if phase < 100 or cycle >= 5 else flowing(t)

    events = story(road("blocked_road", duration_s=80), scene, times(1000))
    opened = [event for event in events if event.phase == "opened"]
    assert len(opened) == 1
    assert at(746) <= opened[0].started_at <= at(754)
    assert at(880) <= opened[0].captured_at <= at(900)


def test_one_box_that_nothing_bears_out_is_no_flow() -> None:
    """A slip of the detector in the middle of the queue, twice a minute."""

    def scene(t: float) -> list[Thing]:
        slip = [car(200 + 3 * (t % 100), 190, size=(90, 50), drawn=False)] if t % 30 < 2 else []
        return [*queue(0), *slip]

    assert phases(story(road("blocked_road"), scene, times(260))) == ["candidate", "opened"]


def test_out_of_schedule_a_road_may_be_blocked() -> None:
    closed = {"windows": [{"from": "20:00", "to": "21:00"}]}
    assert story(road("blocked_road", schedule=closed), jam, times(220)) == []
    assert story(road("stopped_vehicle", schedule=closed), breakdown, times(100)) == []


def breakdown(t: float) -> list[Thing]:
    """One car stands at the side while others pass it."""
    stands = [car(500, 196, colour=9)] if t >= 20 else []
    return [*stands, *(one for one in flowing(t, 5.0) if one.box[2] < 490)]


def test_a_vehicle_that_stands_while_others_pass_is_a_stopped_vehicle() -> None:
    events = story(road("stopped_vehicle", stop_time_s=20), breakdown, times(100))
    assert phases(events) == ["candidate", "opened"]
    opened = next(e for e in events if e.phase == "opened")
    assert at(20) <= opened.started_at <= at(22)
    assert at(40) <= opened.captured_at <= at(46)
    assert opened.measures["passed_by"] >= 2


def test_a_jam_is_not_many_stopped_vehicles() -> None:
    events = story(road("stopped_vehicle", stop_time_s=20), lambda _t: queue(0), times(200))
    assert phases(events) == []


def test_one_that_waits_alone_is_reported_only_beyond_a_red_light() -> None:
    events = story(road("stopped_vehicle", stop_time_s=20), lambda _t: [car(300, 196)], times(120))
    assert phases(events) == ["candidate", "opened"]
    assert at(80) <= events[1].captured_at <= at(84)


def test_a_stopped_vehicle_that_drives_on_is_closed() -> None:
    events = story(
        road("stopped_vehicle", stop_time_s=10), lambda t: [car(300, 196)] if t < 80 else [], times(160)
    )
    assert phases(events) == ["candidate", "opened", "closed"]
    assert at(76) <= (events[-1].ended_at or at(0)) <= at(80)


@pytest.mark.parametrize(
    ("speed_bl_s", "occupancy", "blocked", "level"),
    [
        pytest.param(float("nan"), 0.0, False, 0.0, id="nothing there"),
        pytest.param(3.0, 0.5, False, 0.0, id="fast"),
        pytest.param(1.1, 0.5, False, 1.0, id="slow"),
        pytest.param(0.3, 0.5, False, 2.0, id="jam"),
        pytest.param(0.3, 0.05, False, 0.0, id="one that crawls"),
        pytest.param(0.0, 0.5, True, 3.0, id="blocked"),
    ],
)
def test_levels_go_by_speed_and_occupancy(
    speed_bl_s: float, occupancy: float, blocked: bool, level: float
) -> None:
    state = RoadState((), ((0.1, 0.1, 0.2, 0.2),), occupancy, 2.0, speed_bl_s)
    assert level_of(state, blocked=blocked) == level


def test_levels_go_by_metres_where_they_are_known() -> None:
    state = RoadState((), ((0.1, 0.1, 0.2, 0.2),), 0.5, 2.0, 2.0)
    assert [level_of(state, kmh / 3.6, blocked=False) for kmh in (14, 18, 30)] == [2.0, 1.0, 0.0]


def calibrated_road() -> Rule:
    """The road from 10 m above: feet in row 239 lie 22.6 m ahead along the axis of a lens of 554.3 px."""
    sd = {"azimuth_deg": 0.1, "tilt_deg": 0.1, "roll_deg": 0.1, "hfov_deg": 0.1}
    view = {
        "pose": {"azimuth_deg": 30.0, "tilt_deg": -20.0, "roll_deg": 0.0, "hfov_deg": 60.0, "sd": sd},
        "zones": [LANE],
        "rules": [{"kind": "blocked_road", "zone": "road", "labels": ["car"], "duration_s": 30}],
    }
    cam = camera([], views=[view], mount={"lat_deg": 34.5, "lon_deg": 110.9, "height_m": 10.0})
    return build_rule(cam.views[0].rules[0], cam.views[0], cam)


def test_a_calibrated_queue_is_told_in_metres() -> None:
    rule = calibrated_road()
    found = []
    for seen in observations(lambda _t: queue(0), times(100)):
        rolls = Track(1, "car", frac((10, 195, 106, 249)), 0.9, at(0), at(0), 0.9, (0.1, 0.0), None)
        found += rule(replace(seen, tracks=(rolls,)))
    assert found[-1].confirmed
    assert found[-1].measures["queue_m"] == pytest.approx(520 / 554.3 * 22.6 + 4.5, abs=0.7)
    assert found[-1].measures["speed_m_s"] == pytest.approx(64 / 554.3 * 22.6, abs=0.1)


@pytest.mark.parametrize("kind", ["blocked_road", "stopped_vehicle"])
def test_a_restart_changes_nothing(kind: str) -> None:
    def scene(t: float) -> list[Thing]:
        return [*flowing(t), car(500, 196, colour=9)] if t < 60 else queue(0)

    seen = list(observations(scene, times(200)))
    whole, before, after = (road(kind, stop_time_s=10) for _ in range(3))
    expected = [whole(one) for one in seen][45:]
    for one in seen[:45]:
        before(one)
    after.load(json.loads(json.dumps(before.dump())))
    assert [after(one) for one in seen[45:]] == expected
    fresh = road(kind)
    fresh.load({})
    assert fresh.hold_s > 0


def passing(t: float, *, shuns: bool) -> list[Thing]:
    """A vehicle every 3 s in one of two lanes; ``shuns``: all in the farther one from 100 s on."""
    things = []
    for number in (int(t // 3), int(t // 3) - 1):
        x = -60 + 140 * (t - 3 * number) + 37 * number % 140
        y = 182 if number % 2 or (shuns and number >= 33) else 212
        if x < 640:
            things.append(car(x, y, colour=1 + number % 9))
    return things


def lying(t: float, *, shuns: bool = True) -> list[Thing]:
    """From 100 to 260 s something dark lies in the nearer lane."""
    load = Thing((300, 220, 345, 250), colour=4, detected=False)
    return [*([load] if 100 <= t < 260 else []), *passing(t, shuns=shuns)]


def test_what_is_no_vehicle_and_lies_in_a_lane_is_told_as_an_object_until_it_has_gone() -> None:
    events = story(road("blocked_road", object_time_s=60), lying, times(330))
    assert phases(events) == ["candidate", "opened", "closed"]
    candidate, opened, *_ = events
    assert candidate.captured_at < at(150), "half-way, so that there are pictures of the beginning"
    assert opened.reason == "object"
    assert opened.boxes[0].label == "object"
    assert overlap_of_smaller(opened.boxes[0].box, frac((300, 220, 345, 250))) > 0.85
    assert at(98) <= opened.started_at <= at(106)
    assert at(158) <= opened.captured_at <= at(170)
    assert at(258) <= (events[-1].ended_at or at(0)) <= at(270)


def test_what_vehicles_drive_over_is_a_shadow() -> None:
    rule = road("blocked_road", object_time_s=60)
    assert story(rule, lambda t: lying(t, shuns=False), times(250)) == []


def test_objects_are_told_where_the_site_asks_for_them_alone() -> None:
    assert story(road("blocked_road"), lying, times(200)) == []


def test_an_object_is_told_once_over_a_restart() -> None:
    seen = list(observations(lying, times(230)))
    before, after = road("blocked_road", object_time_s=60), road("blocked_road", object_time_s=60)
    told = [one.place_key for now in seen[:90] for one in before(now)]
    after.load(json.loads(json.dumps(before.dump())))
    assert told
    assert {one.place_key for now in seen[90:] for one in after(now)} == set(told)

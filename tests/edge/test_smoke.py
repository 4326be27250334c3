"""Smoke is seen by votes over time, at one picture a minute and at one in two seconds alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from edge_scenes import SIZE, Thing, at, camera, ids, observations, times

from edge.episode import EpisodeEvent
from edge.lifecycle import Lifecycle, Terms
from edge.observe import Rule
from edge.rules import build_rule


def smoke(interval_s: float = 2.0, zones: Sequence[dict[str, object]] = (), **more: object) -> Rule:
    view = {"zones": list(zones), "rules": [{"kind": "smoke"} | more]}
    cam = camera([], views=[view], interval_s=interval_s)
    return build_rule(cam.views[0].rules[0], cam.views[0], cam)


def plume(x: float = 300, y: float = 100, width: float = 40, confidence: float = 0.5) -> Thing:
    return Thing((x, y, x + width, y + 30), "smoke", confidence=confidence, drawn=False)


def story(
    rule: Rule, scene: Callable[[float], Sequence[Thing]], stamps: Sequence[float]
) -> list[EpisodeEvent]:
    life = Lifecycle("cam", "fixed", Terms(rule.name, rule.hold_s, interval_s=2.0), ids())
    events: list[EpisodeEvent] = []
    for seen in observations(scene, stamps):
        events += life.step(seen.captured_at, seen.gap_s, rule(seen))
    return events


def phases(events: Sequence[EpisodeEvent]) -> list[str]:
    return [event.phase.value for event in events if event.phase != "updated"]


@pytest.mark.parametrize(
    ("step_s", "latest_s"),
    [
        pytest.param(2, 30, id="one in two seconds"),
        pytest.param(30, 150, id="two a minute"),
        pytest.param(60, 600, id="one a minute"),
    ],
)
def test_a_plume_that_grows_and_drifts_is_one_alert_in_time(step_s: float, latest_s: float) -> None:
    ignition = 20 * step_s

    def scene(t: float) -> list[Thing]:
        age = (t - ignition) / step_s
        if age < 0:
            return []
        seen = int(age) % 3 != 1  # the detector finds it in two pictures of three
        return [plume(300 + age, 100 - age / 2, 20 + age)] if seen else []

    events = story(smoke(step_s), scene, times(60 * step_s, step_s))
    assert phases(events) == ["candidate", "opened"]
    opened = next(e for e in events if e.phase == "opened")
    assert opened.started_at == at(ignition)
    assert (opened.captured_at - at(ignition)).total_seconds() <= latest_s
    assert opened.measures["votes"] >= 4


@pytest.mark.parametrize(
    "scene",
    [
        pytest.param(lambda t: [plume()] if t == 20 else [], id="a flash"),
        pytest.param(lambda t: [plume((t * 37) % 560)], id="a different place each time"),
        pytest.param(lambda t: [plume()] if t % 6 == 0 else [], id="now and then"),
        pytest.param(lambda _t: [plume(confidence=0.2)], id="hardly believed"),
        pytest.param(lambda _t: [plume(10, 50, 300)], id="as wide as half the frame"),
        pytest.param(lambda _t: [replace(plume(), label="car")], id="not smoke at all"),
    ],
)
def test_what_is_no_smoke_over_time_is_no_alert(scene: Callable[[float], Sequence[Thing]]) -> None:
    assert "opened" not in phases(story(smoke(), scene, times(200)))


def test_it_takes_less_to_stay_than_to_begin() -> None:
    """Seen in two of five once it burns: too few to open, enough to last."""

    def scene(t: float) -> list[Thing]:
        step = int(t / 2)
        return [plume()] if step < 20 or step % 5 in {0, 2} else []

    events = story(smoke(), scene, times(300))
    assert phases(events) == ["candidate", "opened"]
    late = smoke()
    assert "opened" not in phases(story(late, lambda t: scene(t + 40), times(300)))


def test_smoke_that_is_gone_is_closed_after_a_while() -> None:
    events = story(smoke(), lambda t: [plume()] if t < 100 else [], times(300))
    assert phases(events) == ["candidate", "opened", "closed"]


def test_two_fires_are_two_alerts() -> None:
    events = story(smoke(), lambda _t: [plume(100), plume(400)], times(60))
    opened = [e for e in events if e.phase == "opened"]
    assert len({e.alert_id for e in opened}) == len(opened) == 2


def test_a_zone_keeps_to_itself() -> None:
    zone = {"id": "field", "points": [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]}
    events = story(smoke(zones=[zone], zone="field"), lambda _t: [plume(100), plume(400)], times(60))
    (opened,) = [e for e in events if e.phase == "opened"]
    assert opened.zone == "field"
    assert opened.boxes[0].box[2] < 0.5
    assert opened.boxes[0].box[0] == pytest.approx(100 / SIZE[0])


def test_out_of_season_nothing_is_said() -> None:
    closed = {"windows": [{"from": "20:00", "to": "21:00"}]}
    assert story(smoke(schedule=closed), lambda _t: [plume()], times(60)) == []


def test_a_restart_changes_nothing() -> None:
    def scene(t: float) -> list[Thing]:
        return [plume(300 + t / 5), *([plume(100)] if int(t) % 3 else [])]

    seen = list(observations(scene, times(120)))
    whole, before, after = smoke(), smoke(), smoke()
    expected = [whole(one) for one in seen][20:]
    for one in seen[:20]:
        before(one)
    after.load(json.loads(json.dumps(before.dump())))
    assert [after(one) for one in seen[20:]] == expected
    assert after.dump() == whole.dump()
    assert smoke(hold_s=90.0).hold_s == 90.0
    assert smoke().name == "smoke/1"

"""Rendered scenes hold what their truth says, the same for the same seed, and others for others."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import cv2
import numpy as np
import pytest

from streams.errors import SourceConfigError
from streams.simulator import SCENES, SceneTruth, TruthEvent, open_scene, render, simulate
from streams.simulator.names import EVENT_SCENES, SCENE_NAMES

SIZE = (480, 270)
SEEDS = (0, 1)


@cache
def truth_of(scene: str, seed: int) -> SceneTruth:
    """A scene's truth at a picture a second, made once for all tests."""
    return simulate(scene, seed, seconds=100, fps=1, size=SIZE)


def alarms(truth: SceneTruth) -> list[TruthEvent]:
    return [event for event in truth.events if event.alarm]


def foot_inside(truth: SceneTruth, zone_id: str, box: tuple[float, float, float, float]) -> bool:
    zone = next(zone for zone in truth.zones if zone.id == zone_id)
    outline = (np.asarray(zone.points) * truth.size).astype(np.float32)
    x, y = (box[0] + box[2]) / 2 * truth.size[0], (box[3] - 0.03) * truth.size[1]
    return cv2.pointPolygonTest(outline, (float(x), float(y)), measureDist=False) >= 0


def test_names_are_those_of_the_scenes() -> None:
    assert tuple(SCENES) == SCENE_NAMES
    assert set(EVENT_SCENES) <= set(SCENES)


@pytest.mark.parametrize("scene", EVENT_SCENES)
def test_the_same_seed_gives_the_same_pictures_and_another_seed_others(scene: str) -> None:
    first, again, other = (list(render(scene, seed, seconds=1.0, fps=2, size=SIZE)) for seed in (3, 3, 4))
    assert len(first) == 2
    for one, two in zip(first, again, strict=True):
        assert one.image.shape == (270, 480, 3)
        assert one.image.dtype == np.uint8
        assert np.array_equal(one.image, two.image)
        assert one.boxes == two.boxes
    assert not np.array_equal(first[0].image, other[0].image)
    assert 40 < first[0].image.mean() < 215


@pytest.mark.parametrize("scene", SCENE_NAMES)
def test_what_happens_does_not_depend_on_the_frame_rate(scene: str) -> None:
    slow = simulate(scene, 1, seconds=100, fps=0.1, size=SIZE)
    assert slow.frames == truth_of(scene, 1).frames[::10]


@pytest.mark.parametrize("scene", EVENT_SCENES)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_seed_has_its_one_event_early_enough(scene: str, seed: int) -> None:
    truth = truth_of(scene, seed)
    kind, latest_s = {
        "farmland": ("smoke", 22.5),
        "street": ("illegal_parking", 30.0),
        "road": ("blocked_road", 45.0),
    }[scene]
    (event,) = alarms(truth)
    assert event.kind == kind
    assert 5 < event.started_s < latest_s
    assert event.ended_s is None
    assert event.zone in {zone.id for zone in truth.zones}


@pytest.mark.parametrize("scene", sorted(set(SCENE_NAMES) - set(EVENT_SCENES)))
@pytest.mark.parametrize("seed", SEEDS)
def test_lawful_scenes_have_nothing_to_report(scene: str, seed: int) -> None:
    assert not alarms(truth_of(scene, seed))


@pytest.mark.parametrize("scene", ["farmland", "street", "road"])
def test_boxes_lie_in_the_frame(scene: str) -> None:
    truth = truth_of(scene, 1)
    boxes = [box for frame in truth.frames for box in frame.boxes]
    assert boxes
    for one in boxes:
        x1, y1, x2, y2 = one.box
        assert 0 <= x1 < x2 <= 1
        assert 0 <= y1 < y2 <= 1
        assert 0 <= one.visible_frac <= 1
        assert one.label in {"smoke", "car", "van", "truck", "bus"}


@pytest.mark.parametrize("seed", SEEDS)
def test_smoke_comes_after_the_ignition_and_grows(seed: int) -> None:
    truth = truth_of("farmland", seed)
    (event,) = alarms(truth)
    areas = {}
    for frame in truth.frames:
        for one in frame.boxes:
            if one.label == "smoke":
                x1, y1, x2, y2 = one.box
                areas[frame.t_s] = (x2 - x1) * (y2 - y1)
    assert min(areas) >= event.started_s
    assert min(areas) <= event.started_s + 20
    assert areas[99.0] > 4 * areas[min(areas)]
    assert areas[99.0] > 0.002


def test_smoke_is_where_its_box_says_and_nowhere_else() -> None:
    burning = list(render("farmland", 1, seconds=121, fps=1 / 60, size=SIZE))[-1]
    quiet = list(render("farmland-quiet", 1, seconds=121, fps=1 / 60, size=SIZE))[-1]
    change = cv2.absdiff(burning.image, quiet.image).max(axis=2)
    x1, y1, x2, y2 = (round(v) for v in next(b for b in burning.boxes if b.label == "smoke").pixels(SIZE))
    inside = change[y1:y2, x1:x2]
    assert (inside > 12).mean() > 0.2
    change[max(0, y1 - 12) : y2 + 12, max(0, x1 - 12) : x2 + 12] = 0
    assert change.max() <= 12


@pytest.mark.parametrize("seed", SEEDS)
def test_the_car_in_the_zone_stays_and_the_others_do_not(seed: int) -> None:
    truth = truth_of("street", seed)
    (event,) = alarms(truth)
    assert foot_inside(truth, "kerb", event.box)
    for frame in truth.frames:
        box = next((b for b in frame.boxes if b.object_id == event.object_id), None)
        if frame.t_s > event.started_s:
            assert box is not None
            assert box.speed_m_s == 0.0
            assert box.box == pytest.approx(event.box, abs=1e-3)
    stops = [e for e in truth.events if e.kind == "lawful_stop"]
    assert any(e.ended_s is not None and 6 <= e.ended_s - e.started_s < 25 for e in stops)
    standing = {
        one.object_id
        for frame in truth.frames
        for one in frame.boxes
        if one.speed_m_s == 0.0 and foot_inside(truth, "kerb", one.box)
    }
    assert standing <= {event.object_id, *(e.object_id for e in stops)}
    parked = [e for e in truth.events if e.kind == "parked"]
    assert parked
    assert not any(foot_inside(truth, "kerb", e.box) for e in parked)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_blocked_road_lets_nobody_through(seed: int) -> None:
    truth = truth_of("road", seed)
    (event,) = alarms(truth)
    late = [frame for frame in truth.frames if frame.t_s > event.started_s + 45]
    for frame in late:
        inside = [b for b in frame.boxes if foot_inside(truth, "road", b.box)]
        assert len(inside) >= 6
        assert max(b.speed_m_s for b in inside) < 1.0
    same = [{b.object_id for b in frame.boxes if foot_inside(truth, "road", b.box)} for frame in late]
    assert all(len(a ^ b) <= 1 for a, b in pairwise(same))


def test_a_red_light_queue_stands_and_leaves_again() -> None:
    truth = truth_of("road-signal", 1)
    queues = [e for e in truth.events if e.kind == "queue" and e.ended_s is not None]
    assert queues
    queue = queues[0]
    assert queue.ended_s is not None
    assert 15 < queue.ended_s - queue.started_s < 40
    stood = {
        b.object_id
        for frame in truth.frames
        if frame.t_s == int(queue.ended_s)
        for b in frame.boxes
        if b.speed_m_s == 0.0 and foot_inside(truth, "road", b.box)
    }
    later = {
        b.object_id
        for frame in truth.frames
        if frame.t_s == int(queue.ended_s) + 25
        for b in frame.boxes
        if foot_inside(truth, "road", b.box)
    }
    assert len(stood) >= 3
    assert len(stood & later) < len(stood) / 2


def test_vehicles_are_drawn_where_their_boxes_are() -> None:
    scene = open_scene("road", 2, 40, SIZE)
    boxes = scene.boxes(20.0)
    image = scene.picture().astype(int)
    empty = scene.background().astype(int)  # type: ignore[attr-defined]
    change = np.abs(image - empty).max(axis=2) > 25
    checked = 0
    for one in boxes:
        x1, y1, x2, y2 = (round(v) for v in one.pixels(SIZE))
        if one.visible_frac > 0.95 and x2 - x1 > 14:
            checked += 1
            assert change[y1:y2, x1:x2].mean() > 0.3
            assert change[y1 : y1 + 3, x1:x2].any()
            assert change[y2 - 3 : y2, x1:x2].any()
    assert checked >= 3


def test_a_hidden_vehicle_counts_as_hidden() -> None:
    jam = truth_of("road", 1).frames[80].boxes
    shares = [one.visible_frac for one in jam]
    assert min(shares) < 0.8
    assert max(shares) > 0.95


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param({"scene": "moon"}, "no scene 'moon'; there are farmland", id="unknown"),
        pytest.param({"scene": "road", "size": (961, 540)}, "both even", id="odd-size"),
        pytest.param({"scene": "road", "size": (96, 54)}, "at least 160x90", id="tiny"),
        pytest.param({"scene": "road", "seconds": 0}, "more than 0", id="no-time"),
        pytest.param({"scene": "road", "seconds": 1e9}, "at most a day", id="for-ever"),
        pytest.param({"scene": "road", "seed": -1}, "0 or greater", id="negative-seed"),
        pytest.param({"scene": "road", "fps": 0}, "frames a second", id="no-frames"),
        pytest.param({"scene": "road", "fps": 1000}, "at most 60", id="too-many-frames"),
    ],
)
def test_what_cannot_be_rendered_is_said(arguments: dict, said: str) -> None:
    with pytest.raises(SourceConfigError, match=said):
        simulate(**{"size": SIZE, "seconds": 2.0, **arguments})

"""Objects keep their identity at low frame rates, and what stands is told from what moves."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pytest
from edge_scenes import SIZE, Scene, Thing, at, car, detections_of, frac, road_picture, times

from edge.observe import Track
from edge.track import Tracker, TrackSettings
from streams.frame import Frame

ROAD = road_picture()


def follow(scene: Scene, stamps: Sequence[float], tracker: Tracker | None = None) -> list[tuple[Track, ...]]:
    tracker = tracker or Tracker()
    return [
        tracker.update(detections_of(scene(t)), Frame(ROAD, at(t), t, i), t) for i, t in enumerate(stamps)
    ]


@pytest.mark.parametrize(("step_s", "speed_px_s"), [(0.2, 100), (0.5, 60), (1.0, 50), (2.0, 20)])
def test_a_moving_car_keeps_its_id_and_its_speed_is_known(step_s: float, speed_px_s: float) -> None:
    seen = follow(lambda t: [car(20 + speed_px_s * t)], times(8 * step_s, step_s))
    assert {track.track_id for tracks in seen for track in tracks} == {1}
    (last,) = seen[-1]
    assert last.speed_bl_s == pytest.approx(speed_px_s / math.sqrt(80 * 44), rel=0.05)
    assert last.velocity_frac_s[0] == pytest.approx(speed_px_s / SIZE[0], rel=0.05)
    assert last.velocity_frac_s[1] == pytest.approx(0, abs=1e-6)
    assert last.still_since is None or speed_px_s * step_s < 0.25 * 60
    assert last.box == pytest.approx(frac(car(20 + speed_px_s * 8 * step_s).box))


def test_a_standing_car_is_still_since_it_stopped() -> None:
    seen = follow(lambda t: [car(20 + 40 * min(t, 4))], times(20, 1))
    (last,) = seen[-1]
    assert last.still_since == at(4)
    assert last.first_seen_at == at(0)
    assert last.speed_bl_s == pytest.approx(0, abs=0.01)


def test_jitter_of_the_detector_is_no_movement() -> None:
    def scene(t: float) -> list[Thing]:
        return [car(100 + 3 * math.sin(7 * t), 200 + 2 * math.cos(5 * t))]

    (last,) = follow(scene, times(30, 2))[-1]
    assert last.still_since == at(0)


def test_a_car_that_is_missed_for_a_moment_comes_back_as_itself() -> None:
    seen = follow(lambda t: [] if t in {4.0, 6.0} else [car(100)], times(12, 2))
    assert seen[2] == seen[3] == ()
    assert seen[-1][0].track_id == 1
    seen = follow(lambda t: [] if 2 < t < 12 else [car(100)], times(14, 2))
    assert seen[-1][0].track_id == 2


def test_two_cars_that_pass_each_other_are_not_swapped() -> None:
    def scene(t: float) -> list[Thing]:
        return [car(20 + 60 * t, 150), car(500 - 60 * t, 210)]

    seen = follow(scene, times(6, 0.5))
    assert {track.track_id for tracks in seen for track in tracks} == {1, 2}
    first = {track.track_id: track.box[1] for track in seen[0]}
    last = {track.track_id: track.box[1] for track in seen[-1]}
    assert first == pytest.approx(last)


def test_an_unsure_box_continues_a_track_and_starts_none() -> None:
    unsure = follow(lambda _t: [car(100, confidence=0.2)], times(10, 2))
    assert not any(unsure)
    mixed = follow(lambda t: [car(100, confidence=0.9 if t == 0 else 0.2)], times(10, 2))
    assert [tracks[0].track_id for tracks in mixed] == [1] * 6


def test_one_vehicle_seen_as_two_classes_is_one_track_of_the_surer_class() -> None:
    def scene(t: float) -> list[Thing]:
        return [car(100, confidence=0.8), car(101, label="truck", confidence=0.4)]

    seen = follow(scene, times(10, 2))
    assert [len(tracks) for tracks in seen] == [1] * 6
    assert seen[-1][0].label == "car"


def test_things_of_another_size_are_other_things() -> None:
    seen = follow(lambda t: [car(100, size=(80, 44) if t < 1 else (240, 120))], times(2, 2))
    assert seen[-1][0].track_id == 2


def test_the_first_sight_has_no_speed() -> None:
    (track,) = follow(lambda _t: [car(100)], [0.0])[0]
    assert math.isnan(track.speed_bl_s)
    assert track.still_since is None


def test_it_goes_on_from_what_was_written_down() -> None:
    def scene(t: float) -> list[Thing]:
        return [car(20 + 30 * t), car(300, 100)] if t != 10 else [car(320)]

    whole, split = Tracker(), Tracker()
    stamps = times(20, 2)
    expected = follow(scene, stamps, whole)[6:]
    follow(scene, stamps[:6], split)
    resumed = Tracker(TrackSettings())
    resumed.load(json.loads(json.dumps(split.dump())))
    got = [resumed.update(detections_of(scene(t)), Frame(ROAD, at(t), t, 0), t) for t in stamps[6:]]
    assert [[_values(t) for t in tracks] for tracks in got] == [
        [_values(t) for t in tracks] for tracks in expected
    ]


def _values(track: Track) -> tuple[object, ...]:
    return (
        track.track_id,
        track.label,
        track.box,
        track.first_seen_at,
        track.still_since,
        track.velocity_frac_s,
    )

"""A camera's pipeline: frames in, events out; masks, presets, tiles, restarts and reboots."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from edge_scenes import EPOCH, SceneDetector, Thing, at, camera, car, frame_of, ids, times

from edge.config import CameraConfig
from edge.episode import EpisodeEvent
from edge.pipeline import CameraPipeline

PARKING = {
    "kind": "illegal_parking",
    "zone": "road",
    "labels": ["car"],
    "stop_time_s": 8,
    "legal_time_s": 20,
}


def scene(t: float) -> list[Thing]:
    return [car(300), car(20 + 30 * (t % 20), 100, colour=4)]


def run(
    pipeline: CameraPipeline, stamps: Sequence[float], offset_s: float = 0.0, preset: str = "fixed"
) -> list[EpisodeEvent]:
    events: list[EpisodeEvent] = []
    for index, t in enumerate(stamps):
        frame = replace(frame_of(scene(t), t, index), monotonic_s=t + offset_s)
        events += pipeline.process(frame, preset)
    return events


def pipeline(stamps: Sequence[float], config: CameraConfig | None = None) -> CameraPipeline:
    detector = SceneDetector(scene, stamps)
    return CameraPipeline(config or camera([PARKING]), {"vehicle": detector, "smoke": detector}, ids())


def sent(events: Sequence[EpisodeEvent]) -> list[tuple[str, int, str]]:
    return [(e.phase.value, e.phase_seq, e.alert_id) for e in events]


def test_frames_become_events_with_what_decided() -> None:
    stamps = times(30)
    watched = pipeline(stamps)
    assert not watched.awaits_confirmation
    events = run(watched, stamps[:8])
    assert [event.phase.value for event in events] == ["candidate"]
    assert watched.awaits_confirmation
    assert [one.alert_id for one in watched.candidates()] == [f"{1:032x}"]
    events += run(watched, stamps[8:])
    assert [event.phase.value for event in events] == ["candidate", "opened"]
    assert (events[1].model, events[1].precision, events[1].rule) == (
        "truth@1.0.0",
        "f32",
        "illegal_parking/2",
    )
    assert events[1].started_at == EPOCH
    assert [one.alert_id for one in watched.open_alerts()] == [events[1].alert_id]
    assert not watched.awaits_confirmation


def test_what_lies_under_a_mask_does_not_count() -> None:
    mask = {"points": [[0.4, 0.5], [0.7, 0.5], [0.7, 0.75], [0.4, 0.75]]}
    view = {"zones": camera([PARKING]).views[0].model_dump()["zones"], "masks": [mask], "rules": [PARKING]}
    stamps = times(40)
    assert run(pipeline(stamps, camera([], views=[view])), stamps) == []


def test_each_preset_is_a_view_of_its_own_and_others_are_not_judged() -> None:
    view = camera([PARKING]).views[0].model_dump(mode="json", exclude_none=True)
    config = camera([], views=[view | {"preset": "east"}, view | {"preset": "west"}])
    stamps = times(60)
    watched = pipeline(stamps, config)
    assert run(watched, times(58), preset="moving") == []
    assert sent(run(watched, stamps[:16], preset="east"))[-1][0] == "opened"
    assert [one.preset for one in watched.open_alerts()] == ["east"]


def test_a_missing_detector_is_told_at_once() -> None:
    with pytest.raises(KeyError, match="vehicle"):
        CameraPipeline(camera([PARKING]), {}, ids())


def test_a_detector_runs_once_for_all_rules_that_share_it() -> None:
    rules = [PARKING, {"kind": "blocked_road", "zone": "road"}, {"kind": "stopped_vehicle", "zone": "road"}]
    stamps = times(10)
    detector = SceneDetector(scene, stamps)
    run(CameraPipeline(camera(rules), {"vehicle": detector}, ids()), stamps)
    assert detector.calls == len(stamps)


def test_smoke_may_look_through_tiles() -> None:
    rules = [{"kind": "smoke", "tile_px": 320}]
    detector = SceneDetector(lambda _t: [], times(100))
    run(CameraPipeline(camera(rules), {"smoke": detector}, ids()), [0.0])
    assert detector.sizes[0] == (640, 360)
    assert set(detector.sizes[1:]) == {(352, 352)}, "a tenth larger, for two of them cover the width"


@pytest.mark.parametrize(
    "reboot_s", [pytest.param(0.0, id="same clock"), pytest.param(-1e6, id="clock begins anew")]
)
def test_a_restart_in_mid_dwell_goes_on_with_id_and_start(reboot_s: float) -> None:
    stamps = times(40)
    whole = run(pipeline(stamps), stamps)
    first = pipeline(stamps)
    before = run(first, stamps[:7])
    state = json.loads(json.dumps(first.dump()))
    second = CameraPipeline(
        camera([PARKING]), {"vehicle": SceneDetector(scene, stamps[7:])}, lambda: "f" * 32
    )
    second.load(state)
    after = [
        event
        for index, t in enumerate(stamps[7:], 7)
        for event in second.process(replace(frame_of(scene(t), t, index), monotonic_s=t + reboot_s))
    ]
    assert [
        (*row, e.started_at, e.captured_at)
        for row, e in zip(sent(before + after), before + after, strict=True)
    ] == [(*row, e.started_at, e.captured_at) for row, e in zip(sent(whole), whole, strict=True)]


def test_an_hour_without_power_ends_nothing() -> None:
    stamps = [*times(30), *times(3660, 2, 3630)]
    first = pipeline(stamps)
    before = run(first, stamps[:16])
    second = pipeline(stamps[16:])
    second.load(first.dump())
    assert sent(before)[-1][0] == "opened"
    after = run(second, stamps[16:], offset_s=-3600)
    assert [event.phase.value for event in after if event.phase != "updated"] == []
    assert [one.alert_id for one in second.open_alerts()] == [before[-1].alert_id]


def test_a_clock_that_jumps_back_stops_time_and_never_turns_it() -> None:
    stamps = times(40)
    watched = pipeline(stamps)
    events = run(watched, stamps[:8])
    events += run(watched, stamps[8:], offset_s=-100)
    assert [event.phase.value for event in events] == ["candidate", "opened"]


def test_a_state_of_another_configuration_or_version_is_skipped() -> None:
    stamps = times(40)
    full = pipeline(stamps)
    run(full, stamps[:16])
    state = full.dump()
    other = pipeline(stamps, camera([{"kind": "smoke"}]))
    other.load(state)
    assert other.open_alerts() == ()
    view = camera([PARKING]).views[0].model_dump(mode="json", exclude_none=True) | {"preset": "east"}
    east = pipeline(stamps, camera([], views=[view]))
    east.load(state)
    assert east.open_alerts() == ()
    same = pipeline(stamps)
    same.load(state | {"version": 0})
    assert same.open_alerts() == ()
    fresh = pipeline(stamps)
    fresh.load(pipeline(stamps).dump())
    assert fresh.process(frame_of(scene(0), 0.0)) == ()
    assert at(0) == EPOCH


def test_what_was_dismissed_reaches_the_smoke_rules_of_its_view_alone() -> None:
    views = [{"preset": name, "rules": [{"kind": "smoke"}]} for name in ("east", "west")]
    told = pipeline([0.0], camera([], views=views))
    for preset in ("east", "nowhere"):
        told.dismissed(preset, (0.1, 0.1, 0.2, 0.2), "dust", at(0))
    kept = {name: view["rules"]["smoke:"]["rule"] for name, view in told.dump()["views"].items()}
    assert len(kept["east"]["dismissals"]) == 1
    assert kept["west"]["dismissals"] == []

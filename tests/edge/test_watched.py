"""One camera in a worker: when it looks, what it reports, what it refuses to count as watched."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from edge_kit import T0, evidence_file
from edge_rig import camera

from alerts.messages import BlindReason
from edge.config import CameraConfig, EvidenceConfig
from edge.episode import EpisodePhase
from edge.evidence import EvidenceKeeper, EvidenceWriter
from edge.head_hold import HOLD_S, HeadHold
from edge.lifecycle import OpenEpisode
from edge.night import NightWatch
from edge.onvif_client import HeadSight
from edge.pipeline import CameraPipeline
from edge.records import CameraRecord, CameraReport, FromWorker, Resumed, Snapshot, TakeSnapshot
from edge.watched import REST_S, SAVE_EVERY_S, SNAPSHOT_WAIT_S, WatchedCamera
from models.detections import Detections
from streams.errors import SourceConfigError
from streams.frame import Frame
from streams.modes import DecodeMode
from streams.status import StreamReason, StreamState, StreamStatus

LIVE = StreamStatus(state=StreamState.LIVE)


class Detector:
    """Sees one car, always at the same place, unless told to fail."""

    name, precision, labels = "bright@1.0.0", "f32", ("car",)
    fails = False

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        if self.fails:
            raise RuntimeError("the runtime fell over")
        return [Detections.of([[60, 40, 100, 60]], [0.9], [0], self.labels) for _ in images]

    def close(self) -> None:
        pass


class Stream:
    """Hands out what the test puts in."""

    def __init__(self) -> None:
        self.waiting: list[Frame] = []
        self.modes: list[str] = []
        self.now = LIVE
        self.wanted_from_s = float("-inf")
        self.started = self.stopped = 0
        self.bad_address = False

    @property
    def ring(self) -> Any:
        return self

    def cut(self, _start: datetime, _end: datetime, _path: Path) -> Path | None:
        return None

    def start(self) -> None:
        self.started += 1
        if self.bad_address:
            raise SourceConfigError("no such scheme")

    def stop(self, _timeout_s: float) -> bool:
        self.stopped += 1
        return True

    def latest(self, timeout_s: float) -> Frame | None:
        assert timeout_s == 0.0, "a worker never waits for one camera"
        return self.waiting.pop() if self.waiting else None

    def set_decode(self, mode: DecodeMode) -> None:
        self.modes.append(str(mode))

    def want_from(self, at_s: float) -> None:
        self.wanted_from_s = at_s

    def status(self) -> StreamStatus:
        return self.now


NUMBERS = itertools.count()  # a live camera numbers its pictures, those that nobody takes included


def picture(seconds: float, *, kind: str = "street") -> Frame:
    image = np.random.default_rng(1).integers(20, 230, (12, 16, 3), np.uint8).repeat(10, 0).repeat(10, 1)
    if kind == "street":  # the same place, with the noise of a sensor
        noise = np.random.default_rng(round(seconds * 100)).integers(-3, 4, image.shape)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if kind == "dusk":
        image = (image // 6 + np.random.default_rng(round(seconds * 100)).integers(0, 3, image.shape)).astype(
            np.uint8
        )
    if kind == "black":
        image = np.zeros_like(image)
    return Frame(image, T0 + timedelta(seconds=seconds), seconds, next(NUMBERS))


class World:
    """A camera with its stream and detector."""

    def __init__(
        self, folder: Path, *, pipeline: bool = True, interval_s: float = 2.0, trouble: str = ""
    ) -> None:
        document = {**camera("cam-1", "rtsp://127.0.0.1/x", legal_time_s=20.0), "interval_s": interval_s}
        self.config = CameraConfig.model_validate(yaml.safe_load(yaml.safe_dump(document)))
        self.stream, self.detector = Stream(), Detector()
        self.folder = folder
        made = CameraPipeline(self.config, {"bright": self.detector}, new_ids()) if pipeline else None
        writer = EvidenceWriter(folder)
        keeper = EvidenceKeeper(writer, EvidenceConfig(), self.stream.cut)
        self.camera = WatchedCamera(self.config, self.stream, made, keeper, writer, model_trouble=trouble)

    def show(self, seconds: float, *, kind: str = "street", now_s: float | None = None) -> list[FromWorker]:
        self.stream.waiting.append(picture(seconds, kind=kind))
        return self.turn(seconds if now_s is None else now_s)

    def turn(self, now_s: float) -> list[FromWorker]:
        return [*self.camera.look(now_s), *self.camera.tend(now_s)]


def new_ids() -> Any:
    numbers = iter(range(1000))
    return lambda: f"{next(numbers):032x}"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def reports(messages: Sequence[FromWorker]) -> list[CameraReport]:
    return [one for one in messages if isinstance(one, CameraReport)]


@pytest.mark.parametrize(
    ("spacing_s", "interval_s", "wanted"),
    [
        (2.0, 2.0, [0, 2, 4, 6, 8, 10]),
        (1.0, 2.0, [0, 2, 4, 6, 8, 10]),
        (0.5, 2.0, [0, 2, 4, 6, 8, 10]),
        (4.0, 2.0, [0, 4, 8, 12]),
        (1.5, 2.0, [0, 1.5, 3.0, 4.5, 6.0]),
    ],
    ids=[
        "same rhythm",
        "twice as dense",
        "four times as dense",
        "sparser than wanted",
        "between two rhythms",
    ],
)
def test_pictures_are_taken_as_they_arrive_near_the_wanted_interval(
    tmp_path: Path, spacing_s: float, interval_s: float, wanted: list[float]
) -> None:
    world = World(tmp_path, interval_s=interval_s)
    taken, decoded = [], 0
    for step in range(round(wanted[-1] / 0.02) + 1):
        now_s = step * 0.02
        if round(now_s / spacing_s, 6) == round(now_s / spacing_s):
            arrived = picture(now_s)
            if now_s >= world.stream.wanted_from_s:
                world.stream.waiting[:] = [arrived]
                decoded += 1
        taken += [
            (report.last_captured_at - T0).total_seconds()
            for report in reports(world.turn(now_s))
            if report.analysed and report.last_captured_at
        ]
    assert taken == pytest.approx(wanted, abs=0.05)
    assert decoded <= len(taken) + 2, "what is not analysed is not decoded, once the rhythm is known"


def test_a_dense_stream_is_not_looked_at_more_often_than_wanted(tmp_path: Path) -> None:
    world = World(tmp_path, interval_s=2.0)
    taken = [
        step * 0.04 for step in range(500) if any(one.analysed for one in reports(world.show(step * 0.04)))
    ]
    gaps = np.diff(taken)
    assert 1.9 <= gaps.min() <= gaps.max() <= 2.1


def test_a_candidate_is_written_down_at_once_and_quiet_times_every_few_seconds(world: World) -> None:
    records = []
    for second in range(0, 30, 2):
        records += [one for one in world.show(second) if isinstance(one, CameraRecord)]
    phases = [change.event.phase for record in records for change in record.changes]
    assert phases[0] is EpisodePhase.CANDIDATE
    assert EpisodePhase.OPENED in phases
    candidate = next(record for record in records if record.changes)
    assert candidate.changes[0].evidence
    assert all(json.loads(record.state)["version"] == 1 for record in records)
    assert SAVE_EVERY_S > 2
    assert world.camera.save() is not None


def test_a_restart_continues_the_candidate_under_its_id(world: World, tmp_path: Path) -> None:
    state = None
    ids = set()
    for second in range(0, 10, 2):
        for one in world.show(second):
            if isinstance(one, CameraRecord):
                state = one.state
                ids |= {change.event.alert_id for change in one.changes}
    assert state is not None
    again = World(tmp_path)
    assert again.camera.resume(state) == Resumed("cam-1", frozenset())
    opened = []
    for second in range(10, 40, 2):
        for one in again.show(second):
            if isinstance(one, CameraRecord):
                opened += [change for change in one.changes if change.event.phase is EpisodePhase.OPENED]
    assert {change.event.alert_id for change in opened} == ids
    assert opened[0].event.started_at < T0 + timedelta(seconds=4)
    assert {ref.captured_at for ref in opened[0].evidence if ref.role == "context_t0"} <= {
        T0 + timedelta(seconds=second) for second in range(0, 10, 2)
    }


@pytest.mark.parametrize("state", [b"{", b"[]", b'{"version": 1}', b'{"version": 7}', b"\xff"], ids=repr)
def test_a_damaged_state_does_not_stop_the_camera(world: World, state: bytes) -> None:
    assert world.camera.resume(state) == Resumed("cam-1", frozenset())
    assert reports(world.show(0))[0].analysed == 1


@pytest.mark.parametrize(
    ("kind", "reason"), [("black", BlindReason.BLACK), ("still", BlindReason.FROZEN)], ids=["black", "frozen"]
)
def test_what_shows_nothing_new_is_not_analysed_and_shown_once(
    world: World, kind: str, reason: BlindReason
) -> None:
    seen = [report for second in range(0, 60, 2) for report in reports(world.show(second, kind=kind))]
    last = seen[-1]
    assert (last.trouble, last.analysed, last.lag_ms) == (reason, 0, ())
    assert last.detail
    assert len([report.picture for report in seen if report.picture is not None]) == 1
    assert reports(world.show(70))[0].trouble is None
    assert reports(world.show(72))[0].analysed == 1


def test_after_dusk_a_black_picture_is_night_and_morning_ends_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.camera, "_night", NightWatch({"fixed": False}))
    told = {}
    for number, kind in enumerate(["street"] * 3 + ["dusk"] * 4 + ["black"] * 20 + ["street"] * 4):
        told[kind, number] = reports(world.show(2.0 * number, kind=kind))[0]
    assert {one.trouble for one in told.values()} == {None}
    assert all(one.analysed for one in told.values())
    nights = [one.night for one in told.values()]
    assert nights == [None] * 5 + [BlindReason.DARK] * 24 + [None] * 2
    assert told["black", 20].note == "smoke is not watched for: too dark to see smoke"


def test_a_frozen_picture_was_frozen_before_it_was_noticed(world: World) -> None:
    seen = [report for second in range(0, 60, 2) for report in reports(world.show(second, kind="still"))]
    first = next(report for report in seen if report.trouble is BlindReason.FROZEN)
    assert first.lasting_s >= 30


def test_a_model_that_fails_is_blindness_and_heals(world: World) -> None:
    world.detector.fails = True
    assert reports(world.show(0))[0].trouble is BlindReason.MODEL_FAILED
    world.detector.fails = False
    assert reports(world.show(2))[0].trouble is None


def test_a_camera_without_its_model_says_so(tmp_path: Path) -> None:
    world = World(tmp_path, pipeline=False, trouble="model bright: digest differs")
    assert not world.camera.sees_alerts
    assert world.camera.resume(b"{}") == Resumed("cam-1", frozenset())
    report = reports(world.show(0))[0]
    assert (report.trouble, report.detail) == (BlindReason.MODEL_FAILED, "model bright: digest differs")
    assert world.camera.save() is None


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (StreamReason.UNREACHABLE, BlindReason.UNREACHABLE),
        (StreamReason.SILENT, BlindReason.UNREACHABLE),
        (StreamReason.NOT_FOUND, BlindReason.UNREACHABLE),
        (StreamReason.REFUSED, BlindReason.REFUSED),
        (StreamReason.GARBAGE, BlindReason.GARBAGE),
        (StreamReason.END_OF_FILE, BlindReason.STALE),
        (StreamReason.INTERNAL, BlindReason.STALE),
        (None, None),
    ],
    ids=str,
)
def test_each_failure_of_a_stream_has_its_reason(
    world: World, reason: StreamReason | None, expected: BlindReason | None
) -> None:
    world.stream.now = replace(LIVE, state=StreamState.WAITING, reason=reason, detail="why", dropped=7)
    (report,) = world.turn(0.0)
    assert isinstance(report, CameraReport)
    assert (report.trouble, report.dropped) == (expected, 7)
    assert report.detail == ("why" if expected else "")
    assert world.turn(0.5) == [], "once a second"
    (report,) = world.turn(1.1)
    assert isinstance(report, CameraReport)
    assert report.dropped == 0


def test_a_snapshot_is_the_next_picture_or_an_answer_why_not(world: World) -> None:
    world.camera.take_snapshot(TakeSnapshot("one", "cam-1"), 0.0)
    answer = next(message for message in world.show(0) if isinstance(message, Snapshot))
    assert (answer.request_id, answer.detail) == ("one", "")
    assert answer.evidence is not None
    expected = evidence_file(world.folder, b"any")
    assert expected.sha256 != answer.evidence.sha256
    world.stream.now = replace(LIVE, state=StreamState.WAITING, reason=StreamReason.REFUSED, detail="401")
    world.camera.take_snapshot(TakeSnapshot("two", "cam-1"), 1.0)
    assert not [one for one in world.turn(2.0) if isinstance(one, Snapshot)]
    late = [one for one in world.turn(1.5 + SNAPSHOT_WAIT_S) if isinstance(one, Snapshot)]
    assert late == [Snapshot("two", None, "401")]


def test_a_live_look_and_a_snapshot_are_both_answered_by_the_next_picture(world: World) -> None:
    world.camera.take_snapshot(TakeSnapshot("kept", "cam-1"), 0.0)
    world.camera.take_snapshot(TakeSnapshot("live", "cam-1", live_px=32), 0.0)
    kept, live = [message for message in world.show(0) if isinstance(message, Snapshot)]
    assert (kept.request_id, kept.picture) == ("kept", None)
    assert (live.request_id, live.evidence) == ("live", None)
    assert live.picture is not None
    assert live.picture.startswith(b"\xff\xd8\xff")


def test_an_address_that_can_never_work_does_not_stop_the_others(world: World) -> None:
    world.stream.bad_address = True
    world.camera.start()
    assert world.stream.started == 1
    assert world.camera.stop(1.0)


def test_a_waiting_candidate_has_a_stream_of_seldom_key_frames_decoded_whole_for_a_while(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, interval_s=2.0)
    for seconds in range(0, 20, 4):  # a key frame each 4 s: a candidate by then
        world.show(seconds)
    assert world.stream.modes == ["full"]
    since = world.camera._burst_until_s
    assert since is not None
    world.turn(since - 0.1)
    assert world.stream.modes == ["full"]
    world.turn(since)
    assert world.stream.modes == ["full", "keyframes"]
    world.turn(since + REST_S - 1)
    assert world.stream.modes == ["full", "keyframes"], "it rests"


def test_dense_key_frames_are_enough_for_a_candidate(tmp_path: Path) -> None:
    world = World(tmp_path, interval_s=2.0)
    for seconds in range(0, 18, 2):
        world.show(seconds)
    assert world.stream.modes == []


def test_a_report_counts_looks_and_what_the_gate_spared(world: World) -> None:
    told = [one for seconds in range(0, 10, 2) for one in reports(world.show(seconds))]
    assert sum(one.looks + one.spared for one in told) == 5
    assert told[0].looks == 1


def test_a_camera_that_was_turned_is_blind_until_it_looks_back(world: World) -> None:
    """The head turns by a third of the picture: not analysed from the first such picture on."""
    for seconds in range(0, 6, 2):
        world.show(seconds)

    def turned(seconds: float) -> CameraReport:
        frame = picture(seconds)
        world.stream.waiting.append(replace(frame, pixels=np.roll(frame.image, 50, axis=1)))
        return reports(world.turn(seconds))[0]

    told = [turned(seconds) for seconds in range(6, 16, 2)]
    assert [one.analysed for one in told] == [0] * 5
    assert [one.trouble for one in told] == [None, None, *[BlindReason.MOVED] * 3]
    assert "fixed: " in told[-1].detail
    back = reports(world.show(16))[0]
    assert (back.analysed, back.trouble) == (1, None)


class Head:
    """Says what the test tells it to."""

    now: HeadSight | None = None
    said = ""
    held_until_s: float | None = None

    def hold(self, until_s: float | None) -> None:
        self.held_until_s = until_s

    def sight(self, _now_s: float) -> HeadSight | None:
        return self.now

    def note(self, _now_s: float) -> str:
        return self.said


def test_while_the_head_moves_or_rests_elsewhere_nothing_is_judged_and_without_its_word_the_picture_tells(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = Head()
    monkeypatch.setattr(world.camera, "_head", head)
    place, analysed = (0.1, 0.0, 0.2), []
    for number, now in enumerate(
        [HeadSight("fixed", place, moving=False), HeadSight(None, place, moving=True),
         HeadSight(None, place, moving=False), None]
    ):  # fmt: skip
        head.now, head.said = now, "" if now else "ONVIF: no answer"
        found = reports(world.show(2.0 * number))
        analysed.append(sum(one.analysed for one in found))
        assert {one.note for one in found} == {head.said}
    assert analysed == [1, 0, 0, 1]


def test_a_head_that_is_ours_stays_while_smoke_waits_in_the_view_it_shows(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, waiting = Head(), OpenEpisode("a" * 32, "smoke", "cam-1", "fixed", None, "p", False, T0, 0)
    monkeypatch.setattr(world.camera, "_head", head)
    monkeypatch.setattr(world.camera, "_hold", HeadHold())
    held = []
    for number, there in enumerate(
        [(), (replace(waiting, preset="east"),), (replace(waiting, kind="illegal_parking"),), (waiting,), ()]
    ):
        monkeypatch.setattr(CameraPipeline, "candidates", lambda _self, there=there: there)
        world.show(2.0 * number)
        held.append(head.held_until_s)
    assert held == [None] * 3 + [6.0 + HOLD_S, None]

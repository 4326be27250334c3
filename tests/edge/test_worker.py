"""The worker's loop and its supervisor's end of the pipe, without any other process."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import components
import cv2
import pytest
from edge_kit import T0
from edge_rig import MODEL_NAME, Rig, camera, scene
from media import make_video

from alerts.messages import EvidenceRole
from edge import workers as module
from edge.config import load_config
from edge.evidence_index import evidence_path
from edge.pipeline import tile_budget
from edge.records import (
    CameraRecord,
    CameraReport,
    Dismissed,
    FromWorker,
    Heartbeat,
    Resume,
    Resumed,
    Snapshot,
    Stop,
    TakeSnapshot,
)
from edge.spec import WorkerSpec
from edge.tile_plan import TileBudget
from edge.worker import Worker, build_camera, load_detectors
from edge.workers import Inbox, WorkerHandle, WorkerTerms


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene(tmp_path_factory.mktemp("clip") / "street.mp4", seconds=8)


def spec_of(folder: Path, *cameras: dict[str, object]) -> WorkerSpec:
    config = load_config(Rig(folder, list(cameras)).write())
    return WorkerSpec(0, config, tuple(one.id for one in config.cameras), folder / "evidence")


class Running:
    """A worker in a thread, with our end of its pipe."""

    def __init__(self, spec: WorkerSpec, states: dict[str, bytes] | None = None) -> None:
        self.ours, self.theirs = multiprocessing.Pipe()
        self.stopping = threading.Event()
        detectors, troubles = load_detectors(spec)
        budget = tile_budget(spec.config, spec.cameras)
        cameras = [build_camera(spec, one, detectors, troubles, budget) for one in spec.cameras]
        worker = Worker(self.theirs, cameras, self.stopping)
        self.thread = threading.Thread(target=worker.run, args=(states or {},))
        self.thread.start()
        self.got: list[FromWorker] = []

    def until(self, condition: Any, timeout_s: float = 30.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition(self.got):
            assert time.monotonic() < deadline_s, [type(one).__name__ for one in self.got][-20:]
            if self.ours.poll(0.1):
                self.got.append(self.ours.recv())

    def end(self) -> None:
        self.thread.join(10)
        assert not self.thread.is_alive()
        while self.ours.poll(0):
            self.got.append(self.ours.recv())
        self.ours.close()
        self.theirs.close()


def of(messages: list[FromWorker], kind: type) -> list[Any]:
    return [one for one in messages if isinstance(one, kind)]


def test_a_file_is_watched_snapshots_answered_and_the_state_handed_over_at_the_end(
    tmp_path: Path, clip: Path
) -> None:
    smoke = {"kind": "smoke", "model": MODEL_NAME, "labels": ["car"], "tile_px": None}
    second = camera("cam-2", clip)
    second["views"][0]["rules"].append(smoke)
    spec = spec_of(tmp_path, camera("cam-1", clip), second)
    worker = Running(spec)
    worker.ours.send(TakeSnapshot("shot", "cam-2"))
    worker.ours.send(Dismissed("cam-2", "fixed", (0.1, 0.1, 0.2, 0.2), "dust", T0))
    worker.until(lambda got: any(b'"dust"' in one.state for one in of(got, CameraRecord)))
    worker.until(lambda got: of(got, Snapshot) and any(one.changes for one in of(got, CameraRecord)))
    worker.until(
        lambda got: {one.camera for one in of(got, CameraReport) if one.analysed} == {"cam-1", "cam-2"}
    )
    worker.ours.send(Stop())
    worker.end()
    assert worker.got[0] == Resumed("cam-1", frozenset())
    assert of(worker.got, Heartbeat)[0].ready
    (answer,) = of(worker.got, Snapshot)
    assert answer.evidence is not None
    last = {one.camera: one for one in of(worker.got, CameraRecord)}
    assert set(last) == {"cam-1", "cam-2"}
    again = Running(spec, {one.camera: one.state for one in last.values()})
    again.until(lambda got: of(got, Resumed))
    again.ours.send(Stop())
    again.end()


def test_a_camera_with_a_small_stream_has_that_analysed_and_pictures_of_the_main_one(
    tmp_path: Path, clip: Path
) -> None:
    main = make_video(tmp_path / "main.mp4", seconds=8, fps=10, gop=5, size=(640, 480))
    worker = Running(spec_of(tmp_path, camera("cam-1", main, substream=str(clip))))
    worker.until(lambda got: any(one.changes for one in of(got, CameraRecord)))
    worker.ours.send(Stop())
    worker.end()
    change = next(one for record in of(worker.got, CameraRecord) for one in record.changes)
    (picture,) = [ref for ref in change.evidence if ref.role is EvidenceRole.CONTEXT_T0]
    image = cv2.imread(str(evidence_path(tmp_path / "evidence", picture.sha256, picture.media_type)))
    assert image is not None
    assert image.shape == (480, 640, 3)
    assert change.event.boxes, "of the white car, which the small stream alone shows"


def test_a_worker_ends_when_its_supervisor_is_gone(tmp_path: Path, clip: Path) -> None:
    worker = Running(spec_of(tmp_path, camera("cam-1", clip)))
    worker.until(lambda got: of(got, Heartbeat))
    worker.ours.close()
    worker.thread.join(10)
    assert not worker.thread.is_alive()
    worker.theirs.close()


def test_a_model_that_cannot_be_loaded_blinds_its_cameras_and_no_others(tmp_path: Path, clip: Path) -> None:
    spec = spec_of(tmp_path, camera("cam-1", clip))
    model = tmp_path / "models" / "bright" / "1.0.0" / "model.onnx"
    model.write_bytes(model.read_bytes() + b"\0")
    detectors, troubles = load_detectors(spec)
    assert detectors == {}
    assert "model bright" in troubles["bright"]
    watched = build_camera(spec, spec.cameras[0], detectors, troubles, TileBudget(8.0, 1))
    assert not watched.sees_alerts


# --- the supervisor's side -------------------------------------------------------------------------


def good(connection: Connection, _spec: WorkerSpec) -> None:
    assert isinstance(connection.recv(), Resume)
    connection.send(Heartbeat(ready=True))
    while not isinstance(connection.recv(), Stop):
        pass


def crashing(connection: Connection, _spec: WorkerSpec) -> None:
    connection.recv()
    connection.send(Heartbeat(ready=False))
    os.kill(os.getpid(), signal.SIGSEGV)


def deaf(connection: Connection, _spec: WorkerSpec) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    connection.recv()
    connection.send(Heartbeat(ready=True))
    while True:
        time.sleep(60)


def half_a_letter(connection: Connection, _spec: WorkerSpec) -> None:
    connection.recv()
    os.write(connection.fileno(), b"\0\0\0\x20half a letter")
    while True:
        time.sleep(60)


def nonsense(connection: Connection, _spec: WorkerSpec) -> None:
    connection.recv()
    connection.send_bytes(b"not a pickle")


@pytest.fixture
def make(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made: list[WorkerHandle] = []
    spec = spec_of(tmp_path, camera("cam-1", clip))

    def start(target: Any) -> tuple[WorkerHandle, Inbox]:
        monkeypatch.setattr(module, "_enter", target)
        inbox: Inbox = queue.Queue(maxsize=100)
        handle = WorkerHandle(spec, inbox, WorkerTerms(silent_s=0.3, start_s=10, restart_cap_s=0.3))
        made.append(handle)
        handle.start({"cam-1": b"{}", "elsewhere": b"{}"})
        return handle, inbox

    yield start
    for handle in made:
        handle.finish(time.monotonic())


def hear(handle: WorkerHandle, inbox: Inbox) -> FromWorker | None:
    letter = inbox.get(timeout=30)
    assert (letter.worker, letter.life) == (0, handle.life)
    if letter.message is not None:
        handle.heard(letter.message, time.monotonic())
    return letter.message


def test_a_good_worker_gets_ready_and_ends_when_told(make: Any) -> None:
    handle, inbox = make(good)
    assert hear(handle, inbox) == Heartbeat(ready=True)
    assert handle.ready
    assert not handle.snapshot(TakeSnapshot("r", "elsewhere"))
    assert handle.snapshot(TakeSnapshot("r", "cam-1"))
    dismissed = Dismissed("cam-1", "fixed", (0.1, 0.1, 0.2, 0.2), "dust", T0)
    assert handle.dismissed(dismissed)
    assert not handle.dismissed(replace(dismissed, camera="elsewhere"))
    handle.order_stop()
    handle.finish(time.monotonic() + 10)
    assert handle.pid is None
    assert not handle.ask(Stop())


def test_a_crash_is_named_and_the_next_life_planned(make: Any) -> None:
    handle, inbox = make(crashing)
    assert hear(handle, inbox) == Heartbeat(ready=False)
    assert hear(handle, inbox) is None
    now_s = time.monotonic()
    handle.ended(now_s)
    assert (handle.last_exit, handle.restarts) == ("signal 11", 1)
    assert handle.restart_at_s is not None
    assert now_s < handle.restart_at_s <= now_s + 1


@pytest.mark.parametrize("target", [deaf, half_a_letter], ids=["silent", "stuck in the middle of a letter"])
def test_a_worker_that_hangs_is_killed(make: Any, target: Any) -> None:
    handle, inbox = make(target)
    if target is deaf:
        hear(handle, inbox)
    else:
        handle.heard(Heartbeat(ready=True), time.monotonic())
    assert not handle.kill_if_hanging(time.monotonic())
    components.wait_until(lambda: handle.kill_if_hanging(time.monotonic()))
    assert hear(handle, inbox) is None
    handle.ended(time.monotonic())
    assert handle.last_exit == "signal 9"


def test_a_worker_that_ignores_the_stop_is_killed_at_the_deadline(make: Any) -> None:
    handle, inbox = make(deaf)
    hear(handle, inbox)
    handle.order_stop()
    began_s = time.monotonic()
    handle.finish(began_s + 0.5)
    assert time.monotonic() - began_s < 5
    assert not handle.alive


def test_a_letter_that_cannot_be_read_ends_the_life_and_nothing_else(make: Any) -> None:
    handle, inbox = make(nonsense)
    assert hear(handle, inbox) is None
    handle.ended(time.monotonic())
    assert handle.restarts == 1


def test_an_inbox_that_nobody_empties_does_not_hold_up_the_burial(make: Any) -> None:
    handle, inbox = make(good)
    hear(handle, inbox)
    while not inbox.full():
        inbox.put(module.Letter(9, 9, None))
    began_s = time.monotonic()
    handle.order_stop()
    handle.finish(began_s + 5)
    assert time.monotonic() - began_s < 8

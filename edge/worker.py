"""The worker process: owns some cameras, analyses them in turn, and tells the supervisor by a pipe.

It holds decoders and runtimes, so it may crash; nothing that must last lives here alone. It ends
when the supervisor does, by the pipe's end and by the kernel's parent-death signal.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection

from edge.config import CameraConfig, EdgeConfig
from edge.detectors import open_detector, tune_if_new
from edge.evidence import EvidenceKeeper, EvidenceWriter
from edge.pipeline import CameraPipeline, tile_budget
from edge.records import Dismissed, FromWorker, Heartbeat, Resume, Stop, TakeSnapshot
from edge.spec import WorkerSpec
from edge.tile_plan import TileBudget
from edge.turns import Turns
from edge.watched import WatchedCamera
from models.detector import Detector
from streams.live import LiveCamera, LiveSettings
from streams.modes import NOTHING
from streams.pair import StreamPair
from towerwatch.logs import configure_logging, get_logger

log = get_logger(__name__)

HEARTBEAT_S = 1.0
LOOK_S = 0.03  # cameras are asked for pictures this often; a look without a picture costs microseconds
TEND_S = 0.25  # and whether there is anything else to say or do
RESUME_WAIT_S = 60.0
STOP_CAMERAS_S = 3.0
PR_SET_PDEATHSIG = 1


def worker_main(connection: Connection, spec: WorkerSpec) -> None:
    """Be a worker until told to stop or until the supervisor is gone. The process's entry point."""
    _die_with_parent()
    configure_logging(f"worker-{spec.index}", level=spec.log_level)
    stopping = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the group; the supervisor orders the stop
    signal.signal(signal.SIGTERM, lambda _number, _frame: stopping.set())
    try:
        if not connection.poll(RESUME_WAIT_S):
            return
        resume = connection.recv()
        if not isinstance(resume, Resume):
            return
        connection.send(Heartbeat(ready=False))
        detectors, troubles = load_detectors(spec)
        budget = tile_budget(spec.config, spec.cameras)
        cameras = [build_camera(spec, camera, detectors, troubles, budget) for camera in spec.cameras]
        left = Worker(connection, cameras, stopping).run(resume.states)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the supervisor is gone; what it did not commit never happened
    if left:
        # readers that hang in native code would hold up, or crash, the interpreter's own shutdown
        log.warning("camera readers left behind", cameras=left)
        os._exit(0)


def _die_with_parent() -> None:
    parent = os.getppid()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died in between
        os._exit(1)


def load_detectors(spec: WorkerSpec) -> tuple[dict[str, Detector], dict[str, str]]:
    """Load each model that this worker's cameras use, once; return what failed and why beside them."""
    names = sorted({name for camera in spec.cameras for name in spec.config.model_names(camera)})
    detectors: dict[str, Detector] = {}
    troubles: dict[str, str] = {}
    for name in names:
        try:
            if spec.config.tune:
                tune_if_new(spec.config, name)
            detectors[name] = open_detector(spec.config, name, tuned=True)
        except Exception as error:  # guard of one model: cameras with other models go on
            log.exception("model cannot be loaded", model=name)
            troubles[name] = f"model {name}: {error}"
    return detectors, troubles


def build_camera(
    spec: WorkerSpec,
    camera: CameraConfig,
    detectors: Mapping[str, Detector],
    troubles: Mapping[str, str],
    budget: TileBudget,
) -> WatchedCamera:
    """Put stream, pipeline and evidence of one camera together."""
    live = open_streams(spec.config, camera)
    trouble = "; ".join(troubles[name] for name in spec.config.model_names(camera) if name in troubles)
    pipeline = None if trouble else CameraPipeline(camera, detectors, lambda: uuid.uuid4().hex, budget)
    writer = EvidenceWriter(spec.evidence_folder, spec.config.evidence.jpeg_quality)
    sharp = live.sharp if isinstance(live, StreamPair) else None
    keeper = EvidenceKeeper(writer, spec.config.evidence, live.ring.cut, sharp)
    return WatchedCamera(camera, live, pipeline, keeper, writer, model_trouble=trouble)


def open_streams(config: EdgeConfig, camera: CameraConfig) -> LiveCamera | StreamPair:
    """Make what reads a camera: its one stream, or its small one and, for evidence, its main one."""
    main = LiveSettings(
        url=camera.url,
        username=camera.username,
        password=camera.password,
        decode=camera.decode,
        hardware=config.hardware_decode,
        min_interval_s=min(0.5, camera.interval_s / 2),
        open_timeout_s=camera.open_timeout_s,
        read_timeout_s=camera.read_timeout_s,
        tls_ca=camera.tls_ca,
        ring_mib=config.limits.ring_mib,
        name=camera.id,
    )
    if camera.substream is None:
        return LiveCamera(main)
    small = replace(main, url=camera.substream, ring_mib=0.0)
    evidence = replace(main, decode=NOTHING, hardware="off", name=f"{camera.id} main")
    return StreamPair(LiveCamera(small), LiveCamera(evidence))


class Worker:
    """The loop over cameras. One slow, dead or hostile camera never delays another's turn."""

    def __init__(
        self, connection: Connection, cameras: Sequence[WatchedCamera], stopping: threading.Event
    ) -> None:
        """Store the parts."""
        self._connection = connection
        self._cameras = {camera.config.id: camera for camera in cameras}
        self._turns = Turns({name: camera.config.interval_s for name, camera in self._cameras.items()})
        self._stopping = stopping
        self._beat_s = self._tended_s = float("-inf")

    def run(self, states: Mapping[str, bytes]) -> list[str]:
        """Resume, start, watch until stopped; return the ids of cameras whose readers hang."""
        for camera in self._cameras.values():
            resumed = camera.resume(states.get(camera.config.id))
            if camera.sees_alerts:
                self._send(resumed)
            camera.start()
        try:
            while not self._stopping.is_set():
                self._turn()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return self._stop_cameras()
        left = self._stop_cameras()
        for camera in self._cameras.values():
            if (record := camera.save()) is not None:
                self._send(record)
        return left

    def _turn(self) -> None:
        now_s = time.monotonic()
        if now_s - self._beat_s >= HEARTBEAT_S:
            self._beat_s = now_s
            self._send(Heartbeat(ready=True))
        if now_s - self._tended_s >= TEND_S:
            self._tended_s = now_s
            for camera in self._cameras.values():
                self._send_all(camera.tend(now_s))
        self._obey(0.0 if self._look(now_s) else LOOK_S)

    def _look(self, now_s: float) -> bool:
        """Give the turn to the most urgent camera that has a picture; tell whether there was one."""
        for name in self._turns.order(now_s):
            if messages := self._cameras[name].look(now_s):
                self._turns.looked(name, now_s)
                self._send_all(messages)
                return True
        return False

    def _obey(self, wait_s: float) -> None:
        while self._connection.poll(wait_s):
            order = self._connection.recv()
            if isinstance(order, Stop):
                self._stopping.set()
            elif isinstance(order, TakeSnapshot) and order.camera in self._cameras:
                self._cameras[order.camera].take_snapshot(order, time.monotonic())
            elif isinstance(order, Dismissed) and order.camera in self._cameras:
                self._send_all(self._cameras[order.camera].dismissed(order))
            wait_s = 0.0

    def _send(self, message: FromWorker) -> None:
        self._connection.send(message)

    def _send_all(self, messages: Sequence[FromWorker]) -> None:
        for message in messages:
            self._send(message)

    def _stop_cameras(self) -> list[str]:
        """Stop all readers at once; return the ids of cameras whose readers did not end in time."""
        left: list[str] = []

        def stop(camera: WatchedCamera) -> None:
            if not camera.stop(STOP_CAMERAS_S):
                left.append(camera.config.id)

        stoppers = [threading.Thread(target=stop, args=(camera,)) for camera in self._cameras.values()]
        for stopper in stoppers:
            stopper.start()
        for stopper in stoppers:
            stopper.join()
        return left

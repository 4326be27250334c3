"""The whole box, in real processes: RTSP in, a real ONNX model, alerts out by MQTT, evidence by HTTP."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socketserver
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import av
import components
import cv2
import numpy as np
import pytest
import yaml
from edge_kit import CentralDouble, add, central_double
from edge_rig import Rig, camera, running, scene
from mqtt_peer import Peer

from alerts.messages import AlertMessage, BlindReason, CommandMessage, Phase, ReplyMessage
from edge import workers as edge_workers
from edge.blind import BlindTerms
from edge.config import load_config
from edge.links import resolve_links
from edge.outbox import Outbox
from edge.records import CameraRecord, Resumed
from edge.spec import WorkerSpec
from edge.store import Store
from edge.supervisor import BoxPaths, Supervisor, SupervisorTerms
from edge.trial import Trial
from edge.workers import Inbox, Letter, WorkerTerms
from streams.serve import ServedFolder
from towerwatch.timebase import utc_now


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    scene(folder / "street.mp4")
    return folder


@pytest.fixture
def cameras(clips: Path) -> Iterator[ServedFolder]:
    with ServedFolder(clips) as served:
        yield served


@pytest.fixture
def central() -> Iterator[CentralDouble]:
    with central_double() as double:
        yield double


def edge(rig: Rig) -> components.Program:
    return components.Program(
        components.towerwatch("edge", "run", rig.write()), rig.folder / "edge.log", stop_s=10.0
    )


def children(pid: int) -> list[int]:
    """Worker processes of a supervisor (multiprocessing's resource tracker left out)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z" and b"spawn_main" in command:
            found.append(int(entry.name))
    return found


def phases(alerts: list[AlertMessage]) -> list[tuple[str, int]]:
    unique = {one.phase_seq: one.phase.value for one in alerts}
    return [(unique[seq], seq) for seq in sorted(unique)]


def test_a_parked_car_becomes_one_alert_with_pictures_and_a_clip_that_plays(
    tmp_path: Path, cameras: ServedFolder, mosquitto: components.Mosquitto, central: CentralDouble
) -> None:
    rig = Rig(tmp_path / "box", [camera("street-1", cameras.url("street.mp4"))], mosquitto.port, central.url)
    with closing(Peer(mosquitto.port, acks=True)) as peer, edge(rig) as box:
        components.wait_until(
            lambda: any(one.phase is Phase.UPDATED and one.evidence for one in peer.alerts()),
            40,
            "an update with the clip",
        )
        components.wait_until(
            lambda: {e.sha256 for one in peer.alerts() for e in one.evidence} <= central.stored.keys(),
            what="evidence at central",
        )
        began = time.monotonic()
        assert box.stop() == 0
        assert time.monotonic() - began < 8
    opened = next(one for one in peer.alerts() if one.phase is Phase.OPENED)
    assert {one.alert_id for one in peer.alerts()} == {opened.alert_id}
    assert (opened.captured_at - opened.started_at).total_seconds() >= 4
    roles = [one.role.value for one in opened.evidence]
    assert {"context_t0", "context_now", "close_up", "clip"} <= set(roles)
    assert opened.model == "bright@1.0.0"
    for one in opened.evidence:
        media_type, data = central.stored[one.sha256]
        assert (media_type, len(data)) == (one.media_type, one.bytes)
        if media_type == "video/mp4":
            path = tmp_path / "clip.mp4"
            path.write_bytes(data)
            with av.open(str(path)) as container:
                assert sum(1 for _ in container.decode(video=0)) >= 10
        else:
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            assert picture is not None
    log = [json.loads(line) for line in box.output().splitlines() if line.startswith("{")]
    assert log[-1]["event"] == "edge stopped"
    assert log[-1]["threads_left"] == []
    assert not log[-1]["unwritten"]
    assert "box-token-1" not in box.output()


def test_a_kill_of_everything_in_mid_dwell_changes_nothing(
    tmp_path: Path, cameras: ServedFolder, mosquitto: components.Mosquitto
) -> None:
    """Worker SIGSEGV, supervisor kill -9 twice, broker kill -9: one alert, first seen before all."""
    parked = camera("street-1", cameras.url("street.mp4"), stop_time_s=1.0, legal_time_s=20.0)
    rig = Rig(tmp_path / "box", [parked], mosquitto.port, blind_after_s=60.0)
    peer = Peer(mosquitto.port, acks=False)
    started = utc_now()
    box = edge(rig)
    database = f"file:{rig.data_dir / 'outbox.sqlite'}?mode=ro"

    def candidates() -> list[str]:
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(database, uri=True)) as connection:
            rows = connection.execute("SELECT alert_id FROM evidence_ref WHERE role='context_t0'")
            return [row[0] for row in rows]
        return []

    try:
        box.start()
        components.wait_until(candidates, 40, "a candidate")
        alert_id, *others = candidates()
        assert not others
        first_seen_by = utc_now()

        (worker,) = children(box.pid)
        os.kill(worker, signal.SIGSEGV)
        components.wait_until(lambda: (now := children(box.pid)) and now != [worker], 20, "a new worker")

        box.kill(signal.SIGKILL)
        components.wait_until(lambda: not children(box.pid), what="workers end with their supervisor")
        box.start()
        components.wait_until(lambda: peer.statuses()[-1:] == [True], what="online again")
        assert mosquitto.program is not None
        mosquitto.program.kill(signal.SIGKILL)
        box.kill(signal.SIGKILL)
        peer.close()
        box.start()
        mosquitto.start()
        peer = Peer(mosquitto.port, acks=False)
        components.wait_until(peer.alerts, 60, "the alert")
        time_of_opening = peer.alerts()[0].captured_at
        components.wait_until(
            lambda: any(one.phase is Phase.UPDATED for one in peer.alerts()), 40, "an update"
        )
        peer.acks = True
        assert box.stop() == 0
    finally:
        if box.running():
            box.stop()
        peer.close()
    alerts = peer.alerts()
    assert {one.alert_id for one in alerts} == {alert_id}, "the candidate's own id, and no second alert"
    assert started <= alerts[0].started_at <= first_seen_by, "first seen before the kills"
    assert (time_of_opening - alerts[0].started_at).total_seconds() >= 20
    sequence = phases(alerts)
    assert sequence[0] == ("opened", 0)
    assert [seq for _phase, seq in sequence] == list(range(len(sequence)))


def test_a_worker_that_hangs_is_killed_and_the_other_one_goes_on(
    tmp_path: Path, cameras: ServedFolder
) -> None:
    rig = Rig(tmp_path / "box", [camera(f"cam-{n}", cameras.url("street.mp4")) for n in range(2)], workers=2)
    config = load_config(rig.write())
    terms = SupervisorTerms(workers=WorkerTerms(silent_s=3.0, restart_first_s=0.1, restart_cap_s=0.2))
    box = Supervisor(config, resolve_links(config), BoxPaths(rig.config_file, "0" * 64), terms=terms)
    with running(box):
        components.wait_until(
            lambda: len(box.workers) == 2 and all(one.ready for one in box.workers), 40, "ready"
        )
        first, second = box.workers
        frozen = first.pid
        assert frozen is not None
        os.kill(frozen, signal.SIGSTOP)
        components.wait_until(lambda: first.restarts == 1, 20, "killed")
        assert first.last_exit == "signal 9"
        components.wait_until(lambda: first.ready and first.pid != frozen, 40, "restarted")
        assert (second.restarts, second.ready) == (0, True)


IMPORTS = """
import sys
import edge.run, edge.supervisor, edge.commands, edge.publisher, edge.uploader
heavy = {"av", "cv2", "onnxruntime", "openvino", "torch", "fastapi", "nicegui", "sqlalchemy", "edge.worker"}
print(sorted(heavy & set(sys.modules)))
"""


def test_the_supervisor_imports_no_decoder_runtime_or_web_stack() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.timeout(300)  # a camera may be bad for some time before it is called blind
def test_bad_cameras_become_alerts_with_their_own_reason_and_a_good_one_does_not_suffer(
    tmp_path: Path,
    clips: Path,
    cameras: ServedFolder,
    mosquitto: components.Mosquitto,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = "pw-Very%Secret/1"
    monkeypatch.setenv("STREET_PASSWORD", secret)
    blind_clips = tmp_path / "clips"
    blind_clips.mkdir()
    black(blind_clips / "black.mp4")
    dead_port = components.free_port()
    patient = {"legal_time_s": 3600.0}  # nothing but blindness is asked about here
    credentials = {"username": "viewer", "password": "env:STREET_PASSWORD"}
    with (
        ServedFolder(blind_clips) as blind,
        garbage_server() as garbage,
        components.gst_server(tmp_path, "--user", "viewer", "--password", "another") as refusing,
    ):
        rig = Rig(
            tmp_path / "box",
            [
                camera("good", cameras.url("street.mp4"), **patient),
                camera("dead", f"rtsp://127.0.0.1:{dead_port}/street.mp4", **credentials, **patient),
                camera("black", blind.url("black.mp4")),
                camera("garbage", f"rtsp://127.0.0.1:{garbage}/x"),
                camera("refused", f"rtsp://127.0.0.1:{refusing}/test", **credentials),
            ],
            mosquitto.port,
        )
        with closing(Peer(mosquitto.port, acks=True)) as peer, edge(rig) as box:
            bad = {"dead", "black", "garbage", "refused"}
            components.wait_until(lambda: blind_cameras(peer) == bad, 120, "all bad cameras blind")
            components.wait_until(lambda: told(peer, "good") == "fresh", 40, "health")
            components.wait_until(lambda: told(peer, "dead") == "blind", 40, "health")
            lines = process_list()
            with ServedFolder(clips, port=dead_port):
                components.wait_until(
                    lambda: blind_cameras(peer) == bad - {"dead"}, 120, "the dead one sees again"
                )
            assert box.stop() == 0
    reasons = {one.camera: one.reason for one in peer.alerts() if one.phase is Phase.OPENED}
    assert reasons == {"dead": "unreachable", "black": "black", "garbage": "garbage", "refused": "refused"}
    assert {one.kind.value for one in peer.alerts()} == {"camera_blind"}
    full = next(one for one in peer.healths() if one.period_s > 25)
    good = next(one for one in full.cameras if one.camera == "good")
    assert good.covered_s > 20
    assert good.lag_p95_ms is not None
    assert good.lag_p95_ms < 500
    messages = "".join(message.model_dump_json() for _channel, message in peer.seen)
    for place, text in (("log", box.output()), ("messages", messages), ("processes", lines)):
        assert "pw-Very" not in text, place


def told(peer: Peer, camera_id: str) -> str:
    """Return the state of a camera in the last health message."""
    cameras = peer.healths()[-1].cameras if peer.healths() else ()
    return next((one.state.value for one in cameras if one.camera == camera_id), "")


def blind_cameras(peer: Peer) -> set[str]:
    last = {one.alert_id: one for one in sorted(peer.alerts(), key=lambda one: one.phase_seq)}
    return {one.camera for one in last.values() if one.phase is not Phase.CLOSED}


def black(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.gop_size = 5
        for _ in range(100):
            frame = av.VideoFrame.from_ndarray(np.full((240, 320, 3), 3, np.uint8), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@contextmanager
def garbage_server() -> Iterator[int]:
    """A peer that answers every line with noise."""

    class Handler(socketserver.StreamRequestHandler):
        timeout = 5

        def handle(self) -> None:
            with suppress(OSError):
                self.rfile.readline()
                self.wfile.write(os.urandom(4096))

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join(5)


def process_list() -> str:
    return subprocess.run(
        ["ps", "-eww", "-o", "args"], capture_output=True, text=True, timeout=10, check=True
    ).stdout


def test_commands_over_the_broker_snapshot_and_a_new_configuration(
    tmp_path: Path, cameras: ServedFolder, mosquitto: components.Mosquitto, central: CentralDouble
) -> None:
    patient = {"legal_time_s": 3600.0}
    first = camera("street-1", cameras.url("street.mp4"), **patient)
    rig = Rig(tmp_path / "box", [first], mosquitto.port, central.url)
    with closing(Peer(mosquitto.port, acks=True)) as peer, edge(rig) as box:

        def ask(name: str, **arguments: object) -> ReplyMessage:
            command = CommandMessage.model_validate(
                {"command_id": uuid.uuid4().hex, "at": utc_now(), "name": name, "arguments": arguments}
            )
            peer.send("command", command)
            found: list[ReplyMessage] = []
            components.wait_until(
                lambda: (
                    found.extend(one for one in peer.replies() if one.command_id == command.command_id)
                    or found
                ),
                40,
                f"reply to {name}",
            )
            return found[0]

        components.wait_until(lambda: "camera connected" in box.output(), 40, "camera connected")
        shot = ask("snapshot", camera="street-1")
        assert shot.ok, shot.detail
        components.wait_until(lambda: shot.result["sha256"] in central.stored, what="snapshot at central")
        assert ask("live", camera="street-1", seconds=3).ok
        components.wait_until(lambda: len(central.live) > 1, 40, "live pictures at central")
        name, picture = central.live[0]
        assert (name, picture[:3]) == ("street-1", b"\xff\xd8\xff")
        assert hashlib.sha256(picture).hexdigest() not in central.stored
        second = camera("street-2", cameras.url("street.mp4"), **patient)
        document = {**rig.document(), "cameras": [first, second], "workers": 2}
        new = yaml.safe_dump(document).encode()
        applied = ask("apply_config", sha256=central.publish(new))
        assert applied.ok, applied.detail
        assert rig.config_file.read_bytes() == new
        assert len(children(box.pid)) == 2
        assert ask("snapshot", camera="street-2").ok
        assert not ask("apply_config", sha256="0" * 64).ok
        components.wait_until(
            lambda: peer.healths() and len(peer.healths()[-1].cameras) == 2, 40, "health of two"
        )
        assert peer.healths()[-1].config_sha256 == hashlib.sha256(new).hexdigest()
        assert peer.healths()[-1].workers_restarted == 0
        assert box.stop() == 0


def test_a_second_box_on_the_same_data_is_refused_in_one_line(tmp_path: Path, clips: Path) -> None:
    rig = Rig(tmp_path / "box", [camera("street-1", clips / "street.mp4")])
    with edge(rig) as box:
        components.wait_until(lambda: "edge runs" in box.output(), 40, "running")
        second = subprocess.run(
            components.towerwatch("edge", "run", rig.config_file),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert second.returncode == 2
        assert "is in use by another" in second.stderr
        assert "Traceback" not in second.stderr
        assert box.stop() == 0


def test_alerts_of_a_camera_that_left_the_configuration_are_closed(
    tmp_path: Path, clips: Path, mosquitto: components.Mosquitto
) -> None:
    rig = Rig(tmp_path / "box", [camera("here", clips / "street.mp4")], mosquitto.port)
    rig.write()
    with Store(rig.data_dir) as store:
        opened = add(store, Outbox(store, 1 << 20))  # of cam-1, which the file does not name
    with closing(Peer(mosquitto.port, acks=True)) as peer, edge(rig) as box:
        components.wait_until(lambda: len({one.outbox_seq for one in peer.alerts()}) == 2, 40, "both phases")
        assert box.stop() == 0
    assert phases([one for one in peer.alerts() if one.alert_id == opened.alert_id]) == [
        ("opened", 0),
        ("closed", 1),
    ]


def test_a_blind_camera_that_left_and_comes_back_still_blind_is_a_new_alert(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "box", [])
    terms = SupervisorTerms(blind=BlindTerms(open_after_s=0.0))

    def blind_now(*names: str) -> tuple[str, ...]:
        """Run a box without workers for one step, its camera "away" in trouble; return what is open."""
        rig.cameras = [camera(name, "rtsp://127.0.0.1:1/none") for name in names]
        config = load_config(rig.write())
        box = Supervisor(config, resolve_links(config), BoxPaths(rig.config_file, "0" * 64), terms=terms)
        with box.store:
            box._take_up_cameras()
            box._resume_cameras()
            if "away" in names:
                box._watches["away"].in_trouble(BlindReason.UNREACHABLE, "", time.monotonic() - 1.0)
            box._tick()
            return box.outbox.open_ids()

    first = blind_now("here", "away")
    assert len(first) == 1
    assert blind_now("here", "away") == first, "a restart goes on with it"
    assert blind_now("here") == ()
    again = blind_now("here", "away")
    assert len(again) == 1
    assert again != first


class Idle:
    """A worker without a process."""

    def __init__(self, spec: WorkerSpec, inbox: Inbox, terms: WorkerTerms | None = None) -> None:
        del inbox, terms
        self.spec, self.index = spec, spec.index
        self.life = self.restarts = 0
        self.ready = self.alive = self.stopping = False
        self.ended_s: float | None = None
        self.restart_at_s: float | None = None

    def start(self, states: object) -> None:
        del states
        self.life, self.ready, self.restart_at_s = next(edge_workers._LIVES), True, None

    def heard(self, *_: object) -> None:
        pass

    def kill_if_hanging(self, now_s: float) -> None:
        pass

    def order_stop(self) -> None:
        self.stopping = True

    def finish(self, deadline_s: float) -> None:
        pass

    def ended(self, now_s: float) -> None:
        self.ended_s = now_s


@pytest.fixture
def idle_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    monkeypatch.setattr("edge.supervisor.WorkerHandle", Idle)
    rig = Rig(tmp_path / "box", [camera("street-1", "rtsp://127.0.0.1:1/none")])
    config = load_config(rig.write())
    box = Supervisor(config, resolve_links(config), BoxPaths(rig.config_file, "0" * 64))
    with box.store:
        box._take_up_cameras()
        box._start_workers()
        yield box


def test_letters_of_a_worker_that_was_replaced_reach_no_other(idle_box: Supervisor) -> None:
    (former,) = idle_box.workers
    late = Letter(former.index, former.life, None)
    idle_box._swap(idle_box.config, "1" * 64)
    (worker,) = idle_box.workers
    idle_box._inbox.put(late)
    idle_box._drain(0.0)
    assert worker is not former
    assert worker.ended_s is None, "the end of another"


def test_what_a_stopped_worker_has_left_is_read_to_its_end(idle_box: Supervisor) -> None:
    (worker,) = idle_box.workers
    for number in range(1200):
        record = CameraRecord("street-1", b"%d" % number)
        idle_box._inbox.put(Letter(worker.index, worker.life, record))
    idle_box._stop_workers(time.monotonic())
    assert idle_box.store.states() == {"street-1": b"1199"}


def test_a_letter_that_cannot_be_read_does_not_end_the_box_nor_hold_up_others(idle_box: Supervisor) -> None:
    (worker,) = idle_box.workers
    with idle_box.store.transaction() as connection:
        connection.execute(
            "INSERT INTO alert VALUES ('x', 'street-1', 'smoke', 'opened', NULL, 'no message', 0)"
        )
    for message in (Resumed("street-1", frozenset()), CameraRecord("street-1", b"{}")):
        idle_box._inbox.put(Letter(worker.index, worker.life, message))
    idle_box._drain(0.0)
    assert idle_box.store.states() == {"street-1": b"{}"}


def test_a_database_that_cannot_be_read_keeps_no_worker_away(idle_box: Supervisor) -> None:
    idle_box.store.close()
    idle_box._begin_trial(Trial(idle_box.config, "1" * 64), time.monotonic())
    (worker,) = idle_box.workers
    assert (worker.ready, worker.restart_at_s is None) == (False, False), "it waits for its states"
    worker.restart_at_s = 0.0
    idle_box.store.open()
    idle_box._tick()
    assert worker.ready


@pytest.mark.parametrize("broken", ["certificate", "data_dir"])
def test_what_can_never_work_ends_with_2_and_a_line(tmp_path: Path, clips: Path, broken: str) -> None:
    rig = Rig(tmp_path / "box", [camera("street-1", clips / "street.mp4")])
    rig.write()
    document = rig.document()
    if broken == "certificate":
        (rig.folder / "ca.pem").write_text("no certificate")
        document["broker"] = {"host": "127.0.0.1", "port": 1, "tls": {"ca": "ca.pem"}}
    else:
        document["data_dir"] = "token.txt/data"
    rig.config_file.write_text(yaml.safe_dump(document))
    done = subprocess.run(
        components.towerwatch("edge", "run", rig.config_file),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr

"""Central's commands: validated, done, answered exactly once; what is fetched is what was asked for."""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import components
import pytest
import yaml
from edge_kit import T0, CentralDouble, central_double
from edge_rig import Rig, bright_model, camera

from alerts.messages import CommandMessage, EvidenceRole, ReplyMessage, decode
from edge import commands as module
from edge.commands import CommandRunner
from edge.config import EdgeConfig, load_config
from edge.links import CentralLink
from edge.records import Dismissed, EvidenceRef, Snapshot
from edge.supervisor import BoxPaths
from edge.trial import Trial
from models.load import load_detector
from towerwatch.errors import RetryableError
from towerwatch.secrets import Secret
from towerwatch.timebase import utc_now


@dataclass
class Box:
    """A supervisor that only notes what it is asked."""

    config: EdgeConfig
    paths: BoxPaths
    asked: list[Any] = field(default_factory=list)
    keeps: bool = True
    picture: bool = True
    busy: bool = False
    wait: threading.Event | None = None

    def resend(self, alert_ids: tuple[str, ...] | None) -> tuple[int, tuple[str, ...]]:
        self.asked.append(alert_ids)
        if self.wait is not None:
            assert self.wait.wait(10)
        if self.busy:
            raise RetryableError("database cannot be read")
        return 3, ("f" * 32,)

    def snapshot(self, camera_id: str, timeout_s: float, *, live_px: int | None = None) -> Snapshot:
        self.asked.append(camera_id)
        assert timeout_s > 0
        if live_px is not None:
            return Snapshot("r", None, picture=b"a small picture")
        ref = EvidenceRef(EvidenceRole.CONTEXT_NOW, "a" * 64, 9, "image/jpeg", T0)
        return Snapshot("r", ref) if self.picture else Snapshot("r", None, "no picture came")

    def dismissed(self, order: Dismissed) -> bool:
        self.asked.append(order)
        return not self.busy

    def try_configuration(self, trial: Trial) -> bool:
        self.asked.append(trial.config)
        if self.busy:
            return False
        trial.former, trial.former_sha256 = self.config, self.paths.config_sha256
        if self.keeps:
            trial.settle()
        else:
            trial.roll_back("workers did not come up (exit code 1)")
        return True


@dataclass
class World:
    box: Box
    rig: Rig
    central: CentralDouble
    runner: CommandRunner
    replies: list[ReplyMessage] = field(default_factory=list)

    def ask(self, command_name: str, **arguments: Any) -> ReplyMessage:
        before = len(self.replies)
        command = CommandMessage.model_validate(
            {"command_id": uuid.uuid4().hex, "at": utc_now(), "name": command_name, "arguments": arguments}
        )
        self.runner.submit(command)
        self.runner.submit(command)  # QoS 1 may bring it twice
        components.wait_until(lambda: len(self.replies) > before)
        reply = self.replies[-1]
        assert reply.command_id == command.command_id
        return reply


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    rig = Rig(tmp_path / "box", [camera("cam-1", "rtsp://127.0.0.1/x")])
    config = load_config(rig.write())
    with central_double() as central:
        box = Box(config, BoxPaths(rig.config_file, "0" * 64))
        runner = CommandRunner(box, CentralLink(central.url, Secret("box-token-1")))
        world = World(box, rig, central, runner)

        def reply(payload: bytes) -> None:
            message = decode("reply", payload)
            assert isinstance(message, ReplyMessage)
            world.replies.append(message)

        runner.reply_with(reply)
        runner.start()
        yield world
        assert runner.stop(5)
        assert len({one.command_id for one in world.replies}) == len(world.replies), "one reply each"


def test_reconcile_says_what_was_queued_and_what_is_unknown(world: World) -> None:
    assert world.ask("reconcile").result == {"resent": 3, "unknown": ["f" * 32]}
    assert world.ask("reconcile", alert_ids=["e" * 32]).ok
    assert world.box.asked == [None, ("e" * 32,)]
    world.box.busy = True
    reply = world.ask("reconcile")
    assert (reply.ok, reply.detail) == (False, "database cannot be read")


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("reconcile", {"alert_ids": ["short"]}, "alert_ids"),
        ("reconcile", {"alerts": []}, "alerts"),
        ("snapshot", {}, "camera"),
        ("snapshot", {"camera": "../../etc"}, "camera"),
        ("apply_config", {"sha256": "../x"}, "sha256"),
        ("fetch_model", {"name": "../x", "version": "1", "manifest_sha256": "0" * 64}, "name"),
        ("fetch_model", {"name": "x", "version": "../1", "manifest_sha256": "0" * 64}, "version"),
    ],
)
def test_arguments_that_do_not_fit_are_named(
    world: World, name: str, arguments: dict[str, Any], says: str
) -> None:
    reply = world.ask(name, **arguments)
    assert not reply.ok
    assert says in reply.detail
    assert world.box.asked == []


def test_a_snapshot_is_answered_with_its_digest_or_why_not(world: World) -> None:
    assert world.ask("snapshot", camera="cam-1").result == {
        "sha256": "a" * 64,
        "bytes": 9,
        "captured_at": "2026-05-01T08:00:00.000Z",
    }
    world.box.picture = False
    reply = world.ask("snapshot", camera="cam-1")
    assert (reply.ok, reply.detail) == (False, "cam-1: no picture came")


def new_config(world: World, **changes: Any) -> tuple[str, bytes]:
    document = {**world.rig.document(), **changes}
    data = yaml.safe_dump(document).encode()
    return world.central.publish(data), data


def test_a_configuration_that_proves_itself_replaces_the_file(world: World) -> None:
    before = world.rig.config_file.read_bytes()
    sha256, data = new_config(world, workers=2)
    reply = world.ask("apply_config", sha256=sha256)
    assert (reply.ok, reply.result) == (True, {"sha256": sha256})
    assert world.rig.config_file.read_bytes() == data
    assert world.rig.config_file.with_name("edge.yaml.previous").read_bytes() == before
    assert world.box.asked[0].workers == 2


@pytest.mark.parametrize(
    "how", ["rolled back", "busy", "broken", "moved", "unknown", "not what was asked for", "model changed"]
)
def test_a_configuration_that_does_not_leaves_everything_as_it_was(world: World, how: str) -> None:
    before = world.rig.config_file.read_bytes()
    changes: dict[str, Any] = {"workers": 2}
    if how == "broken":
        changes = {"workers": "many"}
    if how == "moved":
        changes = {"site": "elsewhere", "broker": {"host": "evil.example"}}
    sha256, data = new_config(world, **changes)
    world.box.keeps = how != "rolled back"
    world.box.busy = how == "busy"
    if how == "unknown":
        sha256 = "1" * 64
    if how == "not what was asked for":
        world.central.artifacts[sha256] = data + b"\n"
    if how == "model changed":
        (world.rig.folder / "models" / "bright" / "1.0.0" / "model.onnx").write_bytes(b"other")
    reply = world.ask("apply_config", sha256=sha256)
    assert not reply.ok
    says = {
        "rolled back": "rolled back: workers did not come up (exit code 1)",
        "busy": "another configuration is on trial",
        "broken": "workers",
        "moved": "site, broker: can be changed on the box alone",
        "unknown": "central answered 404",
        "not what was asked for": "does not have the digest",
        "model changed": "bright@1.0.0: ",
    }
    assert says[how] in reply.detail
    assert world.rig.config_file.read_bytes() == before
    assert [path.name for path in world.rig.folder.iterdir() if path.suffix in {".next", ".former"}] == []


def test_a_disk_without_room_for_the_former_file_tries_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.shutil, "copy2", full)
    reply = world.ask("apply_config", sha256=new_config(world, workers=2)[0])
    assert (reply.ok, world.box.asked) == (False, [])
    assert "No space left" in reply.detail


def test_a_configuration_that_cannot_be_kept_does_not_go_on_running(world: World) -> None:
    before = world.rig.config_file.read_bytes()
    world.rig.config_file.with_name("edge.yaml.previous").mkdir()
    reply = world.ask("apply_config", sha256=new_config(world, workers=2)[0])
    assert not reply.ok
    assert "the former configuration runs again" in reply.detail
    assert [config.workers for config in world.box.asked] == [2, 1]
    assert world.rig.config_file.read_bytes() == before


def model(world: World, tmp_path: Path, **changes: Any) -> tuple[str, bytes]:
    source = bright_model(tmp_path / "source")
    manifest = json.loads((source / "manifest.json").read_text())
    manifest["version"] = "2.0.0"
    world.central.publish((source / "model.onnx").read_bytes())
    data = json.dumps({**manifest, **changes}).encode()
    return world.central.publish(data), data


def test_a_model_is_fetched_with_its_files_and_can_be_loaded(world: World, tmp_path: Path) -> None:
    digest, _data = model(world, tmp_path)
    reply = world.ask("fetch_model", name="bright", version="2.0.0", manifest_sha256=digest)
    assert reply.ok, reply.detail
    detector = load_detector("bright", models_dir=world.box.config.models_dir)
    assert detector.name == "bright@2.0.0"
    detector.close()
    again = world.ask("fetch_model", name="bright", version="2.0.0", manifest_sha256=digest)
    assert "here already" in again.detail


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": "3.0.0"}, "the manifest is of bright@3.0.0"),
        ({"files": []}, "names no usable file"),
        ({"files": [{"path": "../../x", "sha256": "0" * 64, "bytes": 1}]}, "cannot be read"),
        ({"files": [{"path": "manifest.json", "sha256": "0" * 64, "bytes": 1}]}, "names no usable file"),
        ({"files": [{"path": "model.onnx", "sha256": "0" * 64, "bytes": 1}]}, "central answered 404"),
        (
            {"files": [{"path": "m", "sha256": hashlib.sha256(b"longer").hexdigest(), "bytes": 1}]},
            "larger than 1",
        ),
        ({"files": "none"}, "cannot be read"),
    ],
    ids=[
        "another version",
        "no file",
        "outside",
        "the manifest itself",
        "file missing",
        "too large",
        "no list",
    ],
)
def test_a_model_that_is_not_as_said_leaves_nothing(
    world: World, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    world.central.publish(b"longer")
    digest, _data = model(world, tmp_path, **changes)
    models_dir = world.box.config.models_dir
    assert models_dir is not None
    before = sorted(models_dir.rglob("*"))
    reply = world.ask("fetch_model", name="bright", version="2.0.0", manifest_sha256=digest)
    assert not reply.ok
    assert says in reply.detail
    assert sorted(models_dir.rglob("*")) == before


def test_without_room_or_a_folder_for_models_nothing_is_fetched(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, _data = model(world, tmp_path)
    monkeypatch.setattr(module, "free_bytes", lambda _folder: 0)
    assert (
        "no room" in world.ask("fetch_model", name="bright", version="2.0.0", manifest_sha256=digest).detail
    )
    world.box.config = world.box.config.model_copy(update={"models_dir": None})
    assert (
        "models_dir"
        in world.ask("fetch_model", name="bright", version="2.0.0", manifest_sha256=digest).detail
    )


def test_too_many_commands_at_once_are_refused_and_a_stop_does_not_wait_for_the_rest(world: World) -> None:
    world.box.wait = threading.Event()
    for _ in range(module.QUEUE_SIZE + 3):
        world.runner.submit(CommandMessage(command_id=uuid.uuid4().hex, at=utc_now(), name="reconcile"))
    components.wait_until(lambda: world.replies)
    assert {reply.detail for reply in world.replies} == {"busy, ask again later"}
    assert not world.runner.stop(0.01)
    world.box.wait.set()
    assert world.runner.stop(5)


PLACE = {"camera": "cam-1", "preset": "fixed", "kind": "smoke", "box": [0.1, 0.2, 0.3, 0.4], "reason": "dust"}


def test_what_was_dismissed_is_handed_to_the_cameras_worker_once(world: World) -> None:
    assert world.ask("dismissed", **PLACE).ok
    (order,) = world.box.asked
    assert (order.camera, order.preset, order.box, order.reason) == (
        "cam-1",
        "fixed",
        (0.1, 0.2, 0.3, 0.4),
        "dust",
    )
    world.box.busy = True
    refused = world.ask("dismissed", **PLACE)
    assert (refused.ok, refused.detail) == (False, "cam-1: no worker watches this camera now")
    assert "box.0" in world.ask("dismissed", **PLACE | {"box": [-1, 0, 1, 1]}).detail


def test_a_command_newer_than_the_box_is_refused_by_name(world: World) -> None:
    reply = world.ask("make_coffee", cups=2)
    assert (reply.ok, reply.detail) == (False, "this box does not know the command make_coffee")

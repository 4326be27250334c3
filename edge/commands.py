"""What central may ask of a box: a new configuration, a model, a picture, its open alerts again.

Commands run one after the other in a thread of their own; each gets exactly one reply. What is
fetched comes by its digest and is checked before anything uses it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import httpx
from pydantic import Field, ValidationError

from alerts.messages import AlertId, CommandMessage, ReplyMessage, Sha256, encode
from alerts.topics import ID_PATTERN
from edge.config import EdgeConfig, load_config
from edge.files import free_bytes, sync_folder, write_atomic
from edge.links import CentralLink
from edge.live import PICTURE_S, WIDTH_PX, LiveLooks
from edge.records import Dismissed, Snapshot
from edge.trial import Trial
from edge.uploader import central_client
from models.registry import find_model, verify
from towerwatch.errors import ConfigError, PermanentError, RetryableError, TowerwatchError
from towerwatch.logs import get_logger
from towerwatch.timebase import iso_z, utc_now
from towerwatch.yamlconfig import StrictModel

log = get_logger(__name__)

QUEUE_SIZE = 8
MAX_CONFIG_BYTES = 1 << 20
MAX_MODEL_BYTES = 2 << 30
DISK_RESERVE_BYTES = 256 << 20
SNAPSHOT_TIMEOUT_S = 15.0
_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,47}$")
_VERSION = re.compile(r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,31}$")
_FILE = re.compile(r"^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$")
# a box that is told another broker, side or name could not be reached to take it back
FIXED_SECTIONS = ("site", "edge", "data_dir", "broker", "central", "enrolment", "models_dir")


Side = Annotated[float, Field(ge=0, le=1)]


class ReconcileArguments(StrictModel):
    """Which alerts to send again; None for all that are open."""

    alert_ids: Annotated[tuple[AlertId, ...], Field(max_length=200)] | None = None


class SnapshotArguments(StrictModel):
    """Of which camera."""

    camera: Annotated[str, Field(pattern=ID_PATTERN)]


class LiveArguments(StrictModel):
    """Of which camera, and for how long if nobody asks again."""

    camera: Annotated[str, Field(pattern=ID_PATTERN)]
    seconds: Annotated[float, Field(gt=0, le=60)]


class DismissedArguments(StrictModel):
    """Where an operator has dismissed what; ``box`` is (x1, y1, x2, y2) in [0, 1] of the frame."""

    camera: Annotated[str, Field(pattern=ID_PATTERN)]
    preset: Annotated[str, Field(pattern=ID_PATTERN)]
    kind: Literal["smoke"]
    box: tuple[Side, Side, Side, Side]
    reason: Annotated[str, Field(max_length=32)]


class ApplyConfigArguments(StrictModel):
    """The digest of a YAML file."""

    sha256: Sha256


class FetchModelArguments(StrictModel):
    """The digest of a manifest; the files come by the digests in it."""

    name: Annotated[str, Field(pattern=_NAME.pattern)]
    version: Annotated[str, Field(pattern=_VERSION.pattern)]
    manifest_sha256: Sha256


class ManifestFile(StrictModel):
    """What the fetch needs of a manifest's file entry; the loader checks the rest before each load."""

    path: Annotated[str, Field(pattern=_FILE.pattern)]
    sha256: Sha256
    bytes: Annotated[int, Field(ge=1, le=MAX_MODEL_BYTES)]


class Paths(Protocol):
    """Where the configuration file lies."""

    @property
    def config_file(self) -> Path:
        """The file that the box was started with."""
        ...


class Box(Protocol):
    """What commands need of the supervisor."""

    config: EdgeConfig

    @property
    def paths(self) -> Paths:
        """Where the configuration lies."""
        ...

    def resend(self, alert_ids: tuple[str, ...] | None) -> tuple[int, tuple[str, ...]]:
        """Queue alerts again."""
        ...

    def snapshot(self, camera_id: str, timeout_s: float, *, live_px: int | None = None) -> Snapshot:
        """Have a picture taken; for a live look a small one, which is not kept."""
        ...

    def dismissed(self, order: Dismissed) -> bool:
        """Hand on what was dismissed."""
        ...

    def try_configuration(self, trial: Trial) -> bool:
        """Put a configuration on trial."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a command."""

    detail: str
    result: dict[str, Any] = field(default_factory=dict)


class CommandRunner:
    """Takes commands from the publisher's thread and works them off in its own."""

    def __init__(self, box: Box, link: CentralLink) -> None:
        """Store what is needed."""
        self._box = box
        self._link = link
        self._queue: queue.Queue[CommandMessage] = queue.Queue(maxsize=QUEUE_SIZE)
        self._reply: Callable[[bytes], None] = lambda _payload: None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._seen: dict[str, None] = {}
        self._live = LiveLooks(self._look, link)

    def reply_with(self, reply: Callable[[bytes], None]) -> None:
        """Say how encoded replies leave the box."""
        self._reply = reply

    def start(self) -> None:
        """Begin to work."""
        self._thread = threading.Thread(target=self._run, name="commands", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """End after the command at hand; return whether that was in time."""
        self._stopping.set()
        end_s = time.monotonic() + timeout_s
        ended = self._live.stop(timeout_s)
        if self._thread is None:
            return ended
        self._thread.join(max(0.0, end_s - time.monotonic()))
        return ended and not self._thread.is_alive()

    def submit(self, command: CommandMessage) -> None:
        """Take a command in; a repeated one (QoS 1) is ignored, one too many is refused at once."""
        if command.command_id in self._seen:
            return
        self._seen[command.command_id] = None
        while len(self._seen) > 100:
            self._seen.pop(next(iter(self._seen)))
        try:
            self._queue.put_nowait(command)
        except queue.Full:
            self._answer(command, ok=False, answer=Answer("busy, ask again later"))

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                command = self._queue.get(timeout=0.2)
            except queue.Empty:
                continue
            self._handle(command)

    def _handle(self, command: CommandMessage) -> None:
        log.info("command", name=command.name, id=command.command_id)
        try:
            answer = self._execute(command)
        except ValidationError as error:
            self._answer(command, ok=False, answer=Answer(_first_problem(error)))
        except (TowerwatchError, httpx.HTTPError, OSError) as error:
            self._answer(command, ok=False, answer=Answer(str(error) or type(error).__name__))
        except Exception as error:  # guard of one command; traceback
            log.exception("command failed", name=command.name)
            self._answer(command, ok=False, answer=Answer(f"internal error: {type(error).__name__}"))
        else:
            self._answer(command, ok=True, answer=answer)

    def _answer(self, command: CommandMessage, *, ok: bool, answer: Answer) -> None:
        log.info("reply", name=command.name, id=command.command_id, ok=ok, detail=answer.detail)
        reply = ReplyMessage(
            command_id=command.command_id,
            at=utc_now(),
            ok=ok,
            detail=answer.detail[:512],
            result=answer.result,
        )
        self._reply(encode(reply))

    def _execute(self, command: CommandMessage) -> Answer:
        if command.name == "reconcile":
            queued, unknown = self._box.resend(ReconcileArguments.model_validate(command.arguments).alert_ids)
            return Answer(f"{queued} messages queued again", {"resent": queued, "unknown": list(unknown)})
        if command.name == "snapshot":
            return self._snapshot(SnapshotArguments.model_validate(command.arguments))
        if command.name == "live":
            asked = LiveArguments.model_validate(command.arguments)
            self._live.lease(asked.camera, asked.seconds)
            return Answer("looking")
        if command.name == "apply_config":
            return self._apply_config(ApplyConfigArguments.model_validate(command.arguments))
        if command.name == "fetch_model":
            return self._fetch_model(FetchModelArguments.model_validate(command.arguments))
        if command.name == "dismissed":
            return self._dismissed(DismissedArguments.model_validate(command.arguments), command.at)
        raise PermanentError(f"this box does not know the command {command.name}")  # noqa: EM102 - names it

    def _look(self, camera: str) -> Snapshot:
        return self._box.snapshot(camera, PICTURE_S, live_px=WIDTH_PX)

    def _dismissed(self, arguments: DismissedArguments, at: datetime) -> Answer:
        order = Dismissed(arguments.camera, arguments.preset, arguments.box, arguments.reason, at)
        if not self._box.dismissed(order):
            raise RetryableError(f"{arguments.camera}: no worker watches this camera now")  # noqa: EM102 - names it
        return Answer("learnt")

    def _snapshot(self, arguments: SnapshotArguments) -> Answer:
        snapshot = self._box.snapshot(arguments.camera, SNAPSHOT_TIMEOUT_S)
        if snapshot.evidence is None:
            raise RetryableError(f"{arguments.camera}: {snapshot.detail}")  # noqa: EM102 - names the camera
        ref = snapshot.evidence
        return Answer(
            "picture taken",
            {"sha256": ref.sha256, "bytes": ref.bytes, "captured_at": iso_z(ref.captured_at)},
        )

    # --- configurations -----------------------------------------------------------------------

    def _apply_config(self, arguments: ApplyConfigArguments) -> Answer:
        target = self._box.paths.config_file
        data = self._fetch(arguments.sha256, MAX_CONFIG_BYTES)
        # beside the file it would replace: relative paths in it mean the same
        candidate = target.with_name(f".{target.name}.{arguments.sha256[:12]}.next")
        former = candidate.with_suffix(".former")
        try:
            write_atomic(candidate, data, mode=0o600)
            shutil.copy2(target, former)  # all that needs room on the disk comes before the trial
            config = load_config(candidate)
            if moved := [
                name for name in FIXED_SECTIONS if getattr(config, name) != getattr(self._box.config, name)
            ]:
                msg = f"{', '.join(moved)}: can be changed on the box alone"
                raise PermanentError(msg)
            _check_models(config)
            trial = Trial(config, arguments.sha256)
            if not self._box.try_configuration(trial):
                raise RetryableError("another configuration is on trial")
            self._await(trial)
            if not trial.kept:
                raise PermanentError(f"rolled back: {trial.why}")  # noqa: EM102 - carries the reason
            self._keep(trial, candidate, former)
        except ConfigError as error:
            raise PermanentError(str(error).replace(str(candidate), "configuration")) from None
        finally:
            candidate.unlink(missing_ok=True)
            former.unlink(missing_ok=True)
        return Answer("applied", {"sha256": arguments.sha256})

    def _keep(self, trial: Trial, candidate: Path, former: Path) -> None:
        """Put the file in its place; a box runs what its file says, or the former one again."""
        target = self._box.paths.config_file
        try:
            former.replace(target.with_name(f"{target.name}.previous"))
            candidate.replace(target)
        except OSError as error:
            self._box.try_configuration(Trial(trial.former, trial.former_sha256))
            msg = f"cannot be kept on the disk ({error.strerror}); the former configuration runs again"
            raise RetryableError(msg) from None
        with contextlib.suppress(OSError):
            sync_folder(target.parent)

    def _await(self, trial: Trial) -> None:
        while not trial.done.wait(0.2):
            if self._stopping.is_set():
                raise RetryableError("the box is stopping; the former configuration stays")

    # --- models -------------------------------------------------------------------------------

    def _fetch_model(self, arguments: FetchModelArguments) -> Answer:
        models_dir = self._box.config.models_dir
        if models_dir is None:
            raise PermanentError("this box has no models_dir in its configuration")
        manifest = self._fetch(arguments.manifest_sha256, MAX_CONFIG_BYTES)
        files = _files_of(manifest, arguments)
        needed = sum(file.bytes for file in files)
        if free_bytes(models_dir) < needed + DISK_RESERVE_BYTES:
            raise RetryableError(f"no room for {needed >> 20} MiB of models")  # noqa: EM102 - names the need
        target = models_dir / arguments.name / arguments.version
        if target.exists():
            msg = f"{arguments.name}@{arguments.version} is here already; a version never changes"
            raise PermanentError(msg)
        temporary = models_dir / f".fetch-{uuid.uuid4().hex}"
        try:
            temporary.mkdir()
            for file in files:
                self._fetch_file(file, temporary / file.path)
            write_atomic(temporary / "manifest.json", manifest)
            target.parent.mkdir(exist_ok=True)
            temporary.rename(target)
            sync_folder(target.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return Answer(f"{arguments.name}@{arguments.version} is here", {"bytes": needed, "files": len(files)})

    def _fetch(self, sha256: str, limit: int) -> bytes:
        out = bytearray()
        self._stream(sha256, limit, out.extend)
        return bytes(out)

    def _fetch_file(self, file: ManifestFile, path: Path) -> None:
        with path.open("wb") as stream:
            self._stream(file.sha256, file.bytes, stream.write)
            stream.flush()
            os.fsync(stream.fileno())

    def _stream(self, sha256: str, limit: int, write: Callable[[bytes], Any]) -> None:
        """Download an artifact by its digest, at most ``limit`` bytes, and check it."""
        digest, size = hashlib.sha256(), 0
        with central_client(self._link) as client, client.stream("GET", f"/artifacts/{sha256}") as response:
            if response.status_code != httpx.codes.OK:
                msg = f"central answered {response.status_code} for artifact {sha256[:12]}"
                raise RetryableError(msg)
            for chunk in response.iter_bytes():
                size += len(chunk)
                if size > limit:
                    msg = f"artifact {sha256[:12]} is larger than {limit} bytes"
                    raise PermanentError(msg)
                if self._stopping.is_set():
                    raise RetryableError("the box is stopping")
                digest.update(chunk)
                write(chunk)
        if digest.hexdigest() != sha256:
            msg = f"artifact {sha256[:12]} does not have the digest that was asked for"
            raise PermanentError(msg)


def _files_of(manifest: bytes, wanted: FetchModelArguments) -> list[ManifestFile]:
    try:
        document = json.loads(manifest)
        if (document["name"], document["version"]) != (wanted.name, wanted.version):
            msg = f"the manifest is of {document['name']}@{document['version']}"
            raise PermanentError(msg)
        files = [
            ManifestFile.model_validate({key: item[key] for key in ("path", "sha256", "bytes")})
            for item in document["files"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        msg = f"the manifest cannot be read: {type(error).__name__}"
        raise PermanentError(msg) from None
    if not files or "manifest.json" in {file.path for file in files}:
        raise PermanentError("the manifest names no usable file")
    return files


def _check_models(config: EdgeConfig) -> None:
    """Refuse a configuration with a model whose files are not the ones that its manifest names.

    A worker does not load such a model either, but its cameras would be blind until somebody looks.
    """
    for name in config.model_names():
        found = find_model(config.model_config_of(name).model or name, config.models_dir)
        if wrong := verify(found):
            msg = f"{found.manifest.reference}: {'; '.join(wrong)}"
            raise PermanentError(msg)


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"arguments.{'.'.join(map(str, first['loc']))}: {first['msg']}"

"""The supervisor process: owns database, publisher, uploader, health and the worker processes.

It imports no decoder and no runtime, so no native crash of theirs can take it along. One loop in
the main thread writes everything; the threads beside it only send. Stop is ordered and under one
deadline: workers, last commit, goodbye to the broker, database.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec

from alerts.messages import encode
from edge.blind import BlindTerms, BlindWatch
from edge.clock import clock_state
from edge.commands import CommandRunner
from edge.config import EdgeConfig
from edge.evidence_index import FOLDER_NAME, EvidenceIndex
from edge.files import free_bytes
from edge.health import PERIOD_S, BoxFacts, CameraTally, health_messages, stretched
from edge.journal import Journal
from edge.links import Links
from edge.outbox import Outbox
from edge.publisher import Publisher, PublisherTerms
from edge.records import (
    CameraRecord,
    CameraReport,
    Change,
    Dismissed,
    EvidenceRef,
    Resumed,
    Snapshot,
    TakeSnapshot,
)
from edge.sdnotify import Notifier
from edge.spec import WorkerSpec
from edge.store import Store
from edge.trial import Trial, note_model_failure
from edge.turns import shared_out, stretch_of, wanted_workers
from edge.uploader import Uploader, UploaderTerms
from edge.workers import Inbox, Letter, WorkerHandle, WorkerTerms
from towerwatch import __version__
from towerwatch.errors import ConfigError, RetryableError
from towerwatch.logs import get_logger
from towerwatch.timebase import utc_now

log = get_logger(__name__)

MIB = 1 << 20
TICK_S = 0.5
FIRST_HEALTH_S = 5.0
TIDY_EVERY_S = 60.0
BATCH = 500
BLIND_KEY = "blind:"  # beside camera ids, which hold no colon
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class SupervisorTerms:
    """Times of the box, in seconds; what the parts need beside."""

    health_s: float = PERIOD_S
    stop_s: float = 8.0
    retention_s: float = 24 * 3600.0
    orphan_age_s: float = 600.0
    blind: BlindTerms | None = None
    workers: WorkerTerms = field(default_factory=WorkerTerms)
    publisher: PublisherTerms = field(default_factory=PublisherTerms)
    uploader: UploaderTerms = field(default_factory=UploaderTerms)


@dataclass(frozen=True, slots=True)
class BoxPaths:
    """Where the configuration lies, and its digest as read."""

    config_file: Path
    config_sha256: str


class Supervisor:
    """One box. :meth:`run` returns after :meth:`stop`, which may come from a signal handler."""

    def __init__(
        self,
        config: EdgeConfig,
        links: Links,
        paths: BoxPaths,
        *,
        terms: SupervisorTerms | None = None,
        notifier: Notifier | None = None,
        log_level: str = "INFO",
    ) -> None:
        """Store what is needed; nothing is opened or started before :meth:`run`."""
        self.config = config
        self._links = links
        self.paths = paths
        self._terms = terms or SupervisorTerms()
        self._notifier = notifier or Notifier(None, None)
        self._log_level = log_level
        self._boot_id = uuid.uuid4().hex
        self._stopping = threading.Event()
        self._inbox: Inbox = queue.Queue(maxsize=10_000)
        self._requests: queue.Queue[Trial] = queue.Queue(maxsize=4)
        self.workers: list[WorkerHandle] = []
        self._restarts = 0
        self._watches: dict[str, BlindWatch] = {}
        self._tallies: dict[str, CameraTally] = {}
        self._blind_pictures: dict[str, EvidenceRef] = {}
        self._snapshots: dict[str, queue.Queue[Snapshot]] = {}
        self._model_failures: dict[str, str] = {}
        self._trial: Trial | None = None
        self._health_due_s = self._health_said_s = 0.0
        self._evidence_folder = config.data_dir / FOLDER_NAME
        self.store = Store(config.data_dir)
        self.outbox = Outbox(self.store, config.limits.outbox_mib * MIB)
        self.index = EvidenceIndex(self.store, self._evidence_folder, config.limits.evidence_mib * MIB)
        self._journal = Journal(
            self.store, self.outbox, self.index, site=config.site, edge=config.edge, boot_id=self._boot_id
        )
        self._journal.clock = clock_state
        self._commands = CommandRunner(self, links.central)
        self._publisher = Publisher(
            links.broker,
            config.site,
            config.edge,
            self.outbox,
            boot_id=self._boot_id,
            version=__version__,
            on_command=self._commands.submit,
            terms=self._terms.publisher,
        )
        self._commands.reply_with(lambda payload: self._publisher.post("reply", payload, qos=1))
        self._uploader = Uploader(links.central, self.index, self._terms.uploader)

    # --- life ---------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask for the ordered stop; safe in a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Run the box until :meth:`stop`.

        Raises:
            ConfigError: another supervisor owns the data folder, or the folder cannot be used.
            RetryableError: the database cannot be opened, for lack of room.

        """
        with _sole_owner(self.config.data_dir), self.store:
            try:
                self.index.tidy(self._terms.retention_s, orphan_age_s=0.0)
                self._take_up_cameras()
                self._resume_cameras()
                self._publisher.start()
                self._uploader.start()
                self._commands.start()
                self._start_workers()
                self._notifier.send("READY=1", "STATUS=watching")
                log.info(
                    "edge runs",
                    site=self.config.site,
                    edge=self.config.edge,
                    cameras=len(self.config.cameras),
                )
                self._loop()
            finally:
                self._shut_down()

    def _loop(self) -> None:
        next_tick_s = next_tidy_s = next_beat_s = time.monotonic()
        # the first one soon: central compares its open alerts with ours
        self._health_due_s = next_tick_s + min(FIRST_HEALTH_S, self._terms.health_s)
        self._health_said_s = next_tick_s
        watchdog_s = (self._notifier.watchdog_s or 20.0) / 4
        while not self._stopping.is_set():
            self._guarded(self._drain, TICK_S / 2)
            now_s = time.monotonic()
            if now_s >= next_tick_s:
                next_tick_s = now_s + TICK_S
                self._guarded(self._tick)
            if now_s >= self._health_due_s:
                self._health_due_s = max(self._health_due_s + self._terms.health_s, now_s)
                self._guarded(self._say_health)
            if now_s >= next_tidy_s:
                next_tidy_s = now_s + TIDY_EVERY_S
                self._guarded(self._tidy)
            if now_s >= next_beat_s:
                next_beat_s = now_s + watchdog_s
                self._notifier.send("WATCHDOG=1")

    def _guarded(self, step: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            step(*args, **kwargs)
        except RetryableError as error:
            log.warning("step put off", step=step.__name__, why=str(error))
        except Exception:  # the supervisor's loop must not end for one failed step; traceback
            log.exception("step failed", step=step.__name__)

    def _shut_down(self) -> None:
        self._notifier.send("STOPPING=1")
        deadline_s = time.monotonic() + self._terms.stop_s
        self._stop_workers(deadline_s - 3.0)
        self._journal.flush()
        left = [
            name
            for name, ended in (
                ("commands", self._commands.stop(max(0.1, deadline_s - time.monotonic() - 2.0))),
                ("publisher", self._publisher.stop(max(0.1, deadline_s - time.monotonic() - 0.5))),
                ("uploader", self._uploader.stop(max(0.1, deadline_s - time.monotonic()))),
            )
            if not ended
        ]
        log.info("edge stopped", threads_left=left, unwritten=not self._journal.flush())

    # --- cameras and workers ------------------------------------------------------------------

    def _take_up_cameras(self) -> None:
        terms = self._terms.blind or BlindTerms(open_after_s=self.config.limits.blind_after_s)
        self._watches, self._tallies = {}, {}
        for camera in self.config.cameras:
            stale_s = max(terms.stale_after_s, 5 * camera.interval_s)
            watch = BlindWatch(camera.id, BlindTerms(terms.open_after_s, terms.close_after_s, stale_s))
            self._watches[camera.id] = watch
            self._tallies[camera.id] = CameraTally(camera.id, camera.interval_s)

    def _resume_cameras(self) -> None:
        """Go on with what the database knows of the cameras, and close what nothing follows any more."""
        states = self.store.states()
        for camera_id, watch in self._watches.items():
            with contextlib.suppress(ValueError, KeyError):
                watch.load(json.loads(states.get(BLIND_KEY + camera_id, b"null")))
            followed = frozenset({watch.alert_id} if watch.alert_id else ())
            self._journal.close_unwatched(camera_id, followed, blindness=True)
        known = self._watches.keys()
        for camera_id in self.outbox.cameras_with_open_alerts() - known:
            for blindness in (True, False):
                self._journal.close_unwatched(camera_id, frozenset(), blindness=blindness)
        # a camera that comes back later must not go on with an alert that was closed here
        gone = [key for key in states if key.removeprefix(BLIND_KEY) not in known]
        if gone:
            with contextlib.suppress(RetryableError):  # a full disk: at the next start
                self.store.forget_states(gone)

    def _start_workers(self) -> None:
        intervals_s = {camera.id: camera.interval_s for camera in self.config.cameras}
        count = self.config.workers or wanted_workers(len(intervals_s), len(os.sched_getaffinity(0)))
        self.workers = [
            WorkerHandle(
                WorkerSpec(index, self.config, share, self._evidence_folder, self._log_level),
                self._inbox,
                self._terms.workers,
            )
            for index, share in enumerate(shared_out(intervals_s, count))
        ]
        for worker in self.workers:
            self._start(worker)

    def _start(self, worker: WorkerHandle) -> None:
        # what the last life has sent must be in the database before the next one continues from it
        if not self._journal.flush():
            worker.restart_at_s = time.monotonic() + 1.0
            return
        try:
            worker.start(self.store.states())
        except (OSError, RetryableError) as error:
            log.warning("worker cannot be started", worker=worker.index, why=str(error))
            worker.restart_at_s = time.monotonic() + 5.0

    def _stop_workers(self, deadline_s: float) -> None:
        for worker in self.workers:
            worker.order_stop()
        while any(worker.alive for worker in self.workers) and time.monotonic() < deadline_s:
            self._guarded(self._drain, 0.05)
        for worker in self.workers:
            worker.finish(deadline_s)
        while not self._inbox.empty():
            self._guarded(self._drain, 0.0)
        self.workers = []

    # --- what workers say ---------------------------------------------------------------------

    def _drain(self, wait_s: float) -> None:
        """Take what has come, at most a batch, and write it in one transaction."""
        letters = []
        with contextlib.suppress(queue.Empty):
            letters.append(self._inbox.get(timeout=wait_s) if wait_s else self._inbox.get_nowait())
            while len(letters) < BATCH:
                letters.append(self._inbox.get_nowait())
        ended = []
        for letter in letters:
            worker = next((one for one in self.workers if one.index == letter.worker), None)
            if worker is None or letter.life != worker.life:
                continue
            if letter.message is None:
                ended.append(worker)
            else:
                self._guarded(self._read, worker, letter)
        if self._journal.flush() and letters:
            self._publisher.wake()
            self._uploader.wake()
        for worker in ended:
            if not worker.stopping:
                worker.ended(time.monotonic())
                self._restarts += 1

    def _read(self, worker: WorkerHandle, letter: Letter) -> None:
        message, now_s = letter.message, time.monotonic()
        if message is None:
            return
        worker.heard(message, now_s)
        if isinstance(message, CameraRecord):
            self._journal.add([message])
        elif isinstance(message, CameraReport):
            self._note(message, now_s)
        elif isinstance(message, Resumed):
            self._journal.flush()
            self._journal.close_unwatched(message.camera, message.open_ids, blindness=False)
        elif isinstance(message, Snapshot):
            waiting = self._snapshots.pop(message.request_id, None)
            if waiting is not None:
                self._queue_snapshot(message)
                waiting.put(message)

    def _note(self, report: CameraReport, now_s: float) -> None:
        watch, tally = self._watches.get(report.camera), self._tallies.get(report.camera)
        if watch is None or tally is None:
            return
        tally.add(report)
        note_model_failure(self._model_failures, report)
        if self._trial is not None:
            self._trial.hear(report)
        if report.picture is not None:
            self._blind_pictures[report.camera] = report.picture
        if report.trouble is not None:
            watch.in_trouble(report.trouble, report.detail, now_s - report.lasting_s)
        elif report.analysed:
            self._blind_pictures.pop(report.camera, None)
            watch.saw(now_s)

    # --- every half second --------------------------------------------------------------------

    def _tick(self) -> None:
        now_s, now = time.monotonic(), utc_now()
        for worker in self.workers:
            worker.kill_if_hanging(now_s)
            if worker.restart_at_s is not None and now_s >= worker.restart_at_s:
                self._start(worker)
        records = []
        for camera_id, watch in self._watches.items():
            changes = tuple(
                Change(event, self._evidence_of_blindness(camera_id)) for event in watch.step(now_s, now)
            )
            if changes:
                state = json.dumps(watch.dump()).encode()
                records.append(CameraRecord(BLIND_KEY + camera_id, state, changes))
        if records:
            self._journal.add(records)
            if self._journal.flush():
                self._publisher.wake()
        self._try_configuration(now_s)

    def _evidence_of_blindness(self, camera_id: str) -> tuple[EvidenceRef, ...]:
        picture = self._blind_pictures.pop(camera_id, None)
        return () if picture is None else (picture,)

    def _say_health(self) -> None:
        now_s = time.monotonic()
        period_s = max(now_s - self._health_said_s, 0.001)
        self._health_said_s = now_s
        cameras = [
            self._tallies[camera.id].close(
                self._watches[camera.id].freshness(now_s, camera.interval_s), period_s
            )
            for camera in self.config.cameras
        ]
        facts = BoxFacts(
            boot_id=self._boot_id,
            at=utc_now(),
            period_s=round(period_s, 3),
            clock=clock_state(),
            outbox=self.outbox.health(*self.index.waiting()),
            disk_free_bytes=free_bytes(self.config.data_dir),
            workers_restarted=self._restarts,
            version=__version__,
            config_sha256=self.paths.config_sha256,
            stretch=stretch_of([ratio for one in self._tallies.values() if (ratio := one.ratio) is not None]),
        )
        for message in health_messages(facts, cameras, self.outbox.open_ids()):
            self._publisher.post("health", encode(message), qos=0)
        if slow := stretched(cameras):
            log.warning(
                "cameras are looked at less often than configured",
                cameras=len(slow),
                first=slow[:5],
                stretch=facts.stretch,
            )
        fresh = sum(camera.state == "fresh" for camera in cameras)
        self._notifier.send(f"STATUS=watching, {fresh} of {len(cameras)} cameras fresh")

    def _tidy(self) -> None:
        self.index.tidy(self._terms.retention_s, orphan_age_s=self._terms.orphan_age_s)

    # --- what commands ask for (called from the command thread) -------------------------------

    def snapshot(self, camera_id: str, timeout_s: float, *, live_px: int | None = None) -> Snapshot:
        """Have a picture of a camera taken and queued for upload, or given back at once for a live look."""
        request_id = uuid.uuid4().hex
        answer: queue.Queue[Snapshot] = queue.Queue(maxsize=1)
        self._snapshots[request_id] = answer
        try:
            request = TakeSnapshot(request_id, camera_id, live_px)
            if not any(worker.snapshot(request) for worker in list(self.workers)):
                return Snapshot(request_id, None, "no worker watches this camera now")
            return answer.get(timeout=timeout_s)
        except queue.Empty:
            return Snapshot(request_id, None, "no answer from the worker")
        finally:
            self._snapshots.pop(request_id, None)

    def _queue_snapshot(self, snapshot: Snapshot) -> None:
        if snapshot.evidence is None:
            return
        with contextlib.suppress(RetryableError), self.store.transaction() as connection:
            self.index.queue(connection, snapshot.request_id, [snapshot.evidence])
        self._uploader.wake()

    def dismissed(self, order: Dismissed) -> bool:
        """Hand on what was dismissed; False when no worker watches the camera now."""
        return any(worker.dismissed(order) for worker in list(self.workers))

    def resend(self, alert_ids: tuple[str, ...] | None) -> tuple[int, tuple[str, ...]]:
        """Queue open alerts again; see :meth:`edge.outbox.Outbox.resend`."""
        done = self.outbox.resend(alert_ids)
        self._publisher.wake()
        return done

    def try_configuration(self, trial: Trial) -> bool:
        """Hand a configuration to the main loop; False when it is busy with another."""
        try:
            self._requests.put_nowait(trial)
        except queue.Full:
            return False
        return True

    # --- a new configuration on trial ---------------------------------------------------------

    def _try_configuration(self, now_s: float) -> None:
        if self._trial is None:
            with contextlib.suppress(queue.Empty):
                self._begin_trial(self._requests.get_nowait(), now_s)
            return
        trial = self._trial
        if why := trial.failure(self.workers, self._model_failures, now_s):
            self._trial = None
            self._swap(trial.former, trial.former_sha256)
            trial.roll_back(why)
            log.error("configuration rolled back", sha256=trial.sha256, why=why)
        elif trial.proved(self.workers, now_s):
            self._trial = None
            trial.settle()
            self._health_due_s = now_s  # central sees at once which configuration runs
            log.info("configuration applied", sha256=trial.sha256)

    def _begin_trial(self, trial: Trial, now_s: float) -> None:
        trial.former, trial.former_sha256 = self.config, self.paths.config_sha256
        trial.began_s, trial.failing_before = now_s, frozenset(self._model_failures)
        self._swap(trial.config, trial.sha256)
        self._trial = trial  # only now: what the former workers still say is not of this configuration

    def _swap(self, config: EdgeConfig, sha256: str) -> None:
        self._stop_workers(time.monotonic() + 5.0)
        self._journal.flush()
        self.config = config
        self.outbox.limit_bytes = config.limits.outbox_mib * MIB
        self.index.limit_bytes = config.limits.evidence_mib * MIB
        self.paths = BoxPaths(self.paths.config_file, sha256)
        self._model_failures.clear()
        self._take_up_cameras()
        self._guarded(self._resume_cameras)  # a database that cannot be read now keeps no worker away
        self._start_workers()


@contextlib.contextmanager
def _sole_owner(data_dir: Path) -> Iterator[None]:
    """Hold the data folder for this process alone; the kernel lets go when the process dies."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        handle = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        msg = f"data_dir {data_dir} cannot be written: {error.strerror}"
        raise ConfigError(msg) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            msg = f"data_dir {data_dir} is in use by another towerwatch edge run"
            raise ConfigError(msg) from None
        yield
    finally:
        os.close(handle)

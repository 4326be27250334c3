"""Worker processes as the supervisor sees them: started, listened to, judged, ended."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from edge.backoff import Backoff
from edge.records import Dismissed, FromWorker, Heartbeat, Resume, Stop, TakeSnapshot, ToWorker
from edge.spec import WorkerSpec
from towerwatch.logs import get_logger

log = get_logger(__name__)

STABLE_S = 300.0  # a worker that lived so long is no longer counted as failing in a row
_LIVES = itertools.count(1)  # over all workers, those of a former configuration included


@dataclass(frozen=True, slots=True)
class WorkerTerms:
    """Limits in seconds.

    Attributes:
        silent_s: without a heartbeat for so long, a running worker hangs and is killed.
        start_s: as above while it loads its models (a first compilation for a GPU takes minutes).
        restart_first_s, restart_cap_s: bounds of the pause before a restart.

    """

    silent_s: float = 30.0
    start_s: float = 300.0
    restart_first_s: float = 1.0
    restart_cap_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Letter:
    """One message of a worker; ``message`` is None when its pipe has ended.

    ``life`` is never given twice: letters of a former life, or of a worker that was replaced, are history.
    """

    worker: int
    life: int
    message: FromWorker | None


Inbox = queue.Queue[Letter]


def _enter(connection: Connection, spec: WorkerSpec) -> None:
    """Run in the new process: only there are decoders and runtimes imported."""
    from edge.worker import worker_main  # noqa: PLC0415 - the supervisor must never import it

    worker_main(connection, spec)


class WorkerHandle:
    """One worker over all its lives. Owned by the supervisor's main loop."""

    def __init__(self, spec: WorkerSpec, inbox: Inbox, terms: WorkerTerms | None = None) -> None:
        """Store what the worker is told; letters go to ``inbox``."""
        self.spec = spec
        self.index = spec.index
        self.life = 0
        self.ready = False
        self.restarts = 0
        self.last_exit = ""
        self._inbox = inbox
        self._terms = terms or WorkerTerms()
        self._backoff = Backoff(self._terms.restart_first_s, self._terms.restart_cap_s, floor_s=0.2)
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._reader: threading.Thread | None = None
        self._abandon = threading.Event()
        self._started_s = 0.0
        self._heard_s = 0.0
        self.restart_at_s: float | None = None
        self.stopping = False

    @property
    def pid(self) -> int | None:
        """Process id; None while there is no process."""
        return None if self._process is None else self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.is_alive()

    def start(self, states: Mapping[str, bytes]) -> None:
        """Start a new life, which continues from ``states``."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self.life = next(_LIVES)
        self.ready = False
        self.restart_at_s = None
        self._abandon = threading.Event()
        self._started_s = self._heard_s = time.monotonic()
        self._connection = ours
        self._process = context.Process(
            target=_enter, args=(theirs, self.spec), name=f"worker-{self.index}", daemon=True
        )
        self._process.start()
        theirs.close()
        self._reader = threading.Thread(
            target=self._read,
            args=(
                ours,
                self.life,
                self._abandon,
                Resume({camera: states[camera] for camera in self._known(states)}),
            ),
            name=f"worker-{self.index}-pipe",
            daemon=True,
        )
        self._reader.start()
        log.info("worker started", worker=self.index, pid=self._process.pid, life=self.life)

    def _known(self, states: Mapping[str, bytes]) -> list[str]:
        return [camera for camera in self.spec.camera_ids if camera in states]

    def _read(self, connection: Connection, life: int, abandon: threading.Event, resume: Resume) -> None:
        """Hand letters on until the pipe ends; a worker stuck in a half-written letter stalls us alone."""
        try:
            connection.send(resume)
            while not abandon.is_set():
                if connection.poll(0.2):
                    self._post(Letter(self.index, life, connection.recv()), abandon)
        except (EOFError, OSError):
            pass
        except Exception:  # a letter that cannot be unpickled: the worker was cut off while writing
            log.exception("letter of a worker cannot be read", worker=self.index)
        self._post(Letter(self.index, life, None), abandon)

    def _post(self, letter: Letter, abandon: threading.Event) -> None:
        while not abandon.is_set():
            with contextlib.suppress(queue.Full):
                self._inbox.put(letter, timeout=0.2)
                return

    def heard(self, message: FromWorker, now_s: float) -> None:
        """Note a letter; any letter is a sign of life."""
        self._heard_s = now_s
        if isinstance(message, Heartbeat) and message.ready:
            self.ready = True

    def ask(self, order: ToWorker) -> bool:
        """Send an order; return False when nobody takes it."""
        if self._connection is None or not self.alive:
            return False
        try:
            self._connection.send(order)
        except (OSError, ValueError):
            return False
        return True

    def snapshot(self, request: TakeSnapshot) -> bool:
        """Ask for a picture; return False when the camera is another worker's, or nobody takes the order."""
        return request.camera in self.spec.camera_ids and self.ask(request)

    def dismissed(self, order: Dismissed) -> bool:
        """Tell what was dismissed; return False when the camera is another worker's, or nobody takes it."""
        return order.camera in self.spec.camera_ids and self.ask(order)

    def kill_if_hanging(self, now_s: float) -> bool:
        """End a worker that has been silent for too long; return whether that was done."""
        limit_s = self._terms.silent_s if self.ready else self._terms.start_s
        if not self.alive or now_s - self._heard_s <= limit_s or self._process is None:
            return False
        log.error("worker hangs, killed", worker=self.index, silent_s=round(now_s - self._heard_s, 1))
        self._process.kill()
        return True

    def ended(self, now_s: float) -> None:
        """Bury a life whose pipe has ended, and plan the next one."""
        code = self._bury(timeout_s=1.0)
        if now_s - self._started_s > STABLE_S:
            self._backoff.reset()
        self.restarts += 1
        pause_s = self._backoff.pause_s()
        self.restart_at_s = now_s + pause_s
        self.last_exit = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        log.error("worker ended", worker=self.index, how=self.last_exit, restart_in_s=round(pause_s, 1))

    def order_stop(self) -> None:
        """Ask it to end in good order; no restart follows."""
        self.stopping = True
        self.restart_at_s = None
        self.ask(Stop())

    def finish(self, deadline_s: float) -> None:
        """Wait for the end until ``deadline_s`` (monotonic), then kill."""
        if self._process is not None:
            self._process.join(max(0.0, deadline_s - time.monotonic()))
        self._bury(timeout_s=0.0)

    def _bury(self, timeout_s: float) -> int | None:
        process, self._process = self._process, None
        self.ready = False
        if process is None:
            return None
        process.join(timeout_s)
        if process.is_alive():
            process.kill()
            process.join(2.0)
        code = process.exitcode
        if self._reader is not None:
            # the pipe has ended with the process; letters still in it are handed on first
            self._reader.join(2.0)
            self._abandon.set()
            self._reader.join(1.0)
            self._reader = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        with contextlib.suppress(ValueError):
            process.close()
        return code

"""A new configuration on trial: kept once every worker runs it and the model of every camera loads."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from alerts.messages import BlindReason
from edge.config import EdgeConfig
from edge.records import CameraReport
from edge.workers import WorkerHandle

LIMIT_S = 180.0
SETTLE_S = 5.0


@dataclass(slots=True)
class Trial:
    """A configuration that must prove itself, and what has been heard of it.

    Attributes:
        config, sha256: what is tried.
        limit_s: it must have proved itself by then.
        settle_s: and not before, for a worker may crash a moment after it is ready.
        former, former_sha256: what runs again if it fails.
        failing_before: cameras whose model did not work with the former one either; not this one's fault.
        began_s: ``time.monotonic()`` of its start.
        kept, why: how it ended.
        done: set at its end.

    """

    config: EdgeConfig
    sha256: str
    limit_s: float = LIMIT_S
    settle_s: float = SETTLE_S
    former: EdgeConfig = field(init=False)
    former_sha256: str = ""
    failing_before: frozenset[str] = frozenset()
    began_s: float = 0.0
    kept: bool = False
    why: str = ""
    done: threading.Event = field(default_factory=threading.Event)
    _heard: set[str] = field(default_factory=set)

    def hear(self, report: CameraReport) -> None:
        """Note that a camera has spoken under this configuration."""
        self._heard.add(report.camera)

    def failure(self, workers: Iterable[WorkerHandle], failures: Mapping[str, str], now_s: float) -> str:
        """Return why it has failed; empty while it has not.

        Args:
            workers: those that run it.
            failures: what is wrong with a model, by camera id.
            now_s: ``time.monotonic()``.

        """
        new = sorted(set(failures) - self.failing_before)
        if new:
            return f"camera {new[0]}: {failures[new[0]]}"
        if any(worker.restarts for worker in workers):
            how = next((worker.last_exit for worker in workers if worker.last_exit), "restarted")
            return f"workers did not come up ({how})"
        if now_s - self.began_s > self.limit_s:
            return f"workers did not come up (not ready within {self.limit_s:g} s)"
        return ""

    def proved(self, workers: Iterable[WorkerHandle], now_s: float) -> bool:
        """Say whether all workers are ready, all cameras have spoken and the time to settle is over."""
        return (
            all(worker.ready for worker in workers)
            and self._heard >= {camera.id for camera in self.config.cameras}
            and now_s - self.began_s >= self.settle_s
        )

    def settle(self) -> None:
        """Say that it has proved itself."""
        self.kept = True
        self.done.set()

    def roll_back(self, why: str) -> None:
        """Say that the former one runs again, and why."""
        self.why = why
        self.done.set()


def note_model_failure(failures: dict[str, str], report: CameraReport) -> None:
    """Keep, by camera id, what each camera last said of a model that does not work."""
    if report.trouble is BlindReason.MODEL_FAILED:
        failures[report.camera] = report.detail
    else:
        failures.pop(report.camera, None)

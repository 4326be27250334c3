"""What a worker process is told at its start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.config import CameraConfig, EdgeConfig


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """Travels over multiprocessing's own pipe, never by argument: it holds secrets."""

    index: int
    config: EdgeConfig
    camera_ids: tuple[str, ...]
    evidence_folder: Path
    log_level: str = "INFO"

    @property
    def cameras(self) -> tuple[CameraConfig, ...]:
        """The cameras that this worker owns."""
        return tuple(camera for camera in self.config.cameras if camera.id in self.camera_ids)

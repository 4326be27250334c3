"""A whole box for the density benchmark, supervisor and workers, and what it uses and says meanwhile.

``python -m benchmarks.density_box CONFIG HEALTH_S`` runs it as ``towerwatch edge run CONFIG`` does, but
for how often it speaks of its health. Its broker is the embedded one, in a process that is not counted.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from alerts.broker import EmbeddedBroker, free_port
from alerts.messages import CameraHealth, HealthMessage
from benchmarks.machine import Usage
from edge.health import percentile
from edge.run import run_edge
from edge.supervisor import SupervisorTerms
from streams.simulator import TruthZone
from towerwatch.demosite import write_yaml
from towerwatch.errors import RetryableError

SITE, EDGE = "density", "box-1"
INTERVAL_S = 2.0
RULES = ("illegal_parking", "blocked_road", "stopped_vehicle")  # all that the vehicle model serves
READY_S = 240.0
STOP_S = 30.0
SAMPLE_S = 10.0
_TOKEN = "TOWERWATCH_DENSITY_TOKEN"


class BoxFailed(RetryableError):
    """The box ended, or did not come to see through all its cameras in time."""


@dataclass(frozen=True, slots=True)
class BoxFigures:
    """What a box used and said over ``seconds`` of wall clock.

    ``gaps``: p95 of the gap between two analyses in intervals, of each camera and health period;
    ``mean_gaps``: of each camera over the whole run, in intervals;
    ``looked_frac``: pictures analysed over those that the interval asks for, of what health spoke of: below
    0.95 the box was overloaded, and its cost is that of fewer looks; ``looks``, ``spared``: pictures that
    the model was shown, or spared; ``restarts`` of workers. ``rss_warm_mib``: resident memory in the second
    fifth of the run, ``rss_mib`` in the last. ``beside_cpu_s``: what ran beside the box used.
    """

    cameras: int
    seconds: float
    cpu_s: float
    rss_warm_mib: float
    rss_mib: float
    processes: int
    gaps: tuple[float, ...]
    mean_gaps: tuple[float, ...]
    looked_frac: float
    looks: int
    spared: int
    stretch: float
    restarts: int
    beside_cpu_s: float = 0.0

    @property
    def cpu_s_per_camera_s(self) -> float:
        """CPU seconds of all processes for one second of one camera."""
        return self.cpu_s / self.seconds / self.cameras

    @property
    def gap_p95_intervals(self) -> float | None:
        """The gap that 95 % of all cameras' periods do not exceed, in intervals."""
        return percentile(self.gaps, 0.95)

    @property
    def slowest_over_median(self) -> float:
        """How much longer the slowest camera waits than the median one, on average."""
        return max(self.mean_gaps, default=1.0) / statistics.median(self.mean_gaps or (1.0,))


def cameras_of(files: Mapping[str, Sequence[Path]], zones: Mapping[str, TruthZone], count: int) -> list[Any]:
    """Return the configuration of ``count`` cameras that take the streams in turn, all rules on each."""
    names = sorted(files)
    cameras = []
    for index in range(count):
        name = names[index % len(names)]
        own = files[name]
        zone = {"id": "road", "points": [list(point) for point in zones[name].points]}
        cameras.append(
            {
                "id": f"{name}-{index:03d}",
                "url": str(own[index // len(names) % len(own)]),
                "interval_s": INTERVAL_S,
                "views": [{"zones": [zone], "rules": [{"kind": kind, "zone": "road"} for kind in RULES]}],
            }
        )
    return cameras


@dataclass(slots=True)
class Ear:
    """Hears a box's health, from ``open`` to ``close``."""

    port: int
    parts: list[HealthMessage] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _client: mqtt.Client = field(init=False)

    def open(self) -> None:
        """Subscribe."""
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe("towerwatch/v1/+/+/health")
        self._client.on_message = lambda _client, _user, message: self._take(bytes(message.payload))
        self._client.connect("127.0.0.1", self.port)
        self._client.loop_start()

    def _take(self, payload: bytes) -> None:
        with self._lock:
            self.parts.append(HealthMessage.model_validate_json(payload))

    def take(self) -> list[HealthMessage]:
        """Return what was said since the last call."""
        with self._lock:
            taken, self.parts = self.parts, []
        return taken

    def close(self) -> None:
        """End."""
        self._client.disconnect()
        self._client.loop_stop()


def family_usage(pid: int) -> tuple[Usage, int]:
    """Return CPU seconds and resident MiB of a process with all its children, and how many they are."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it may end meanwhile
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    usages = [Usage.of(member) for member in family]
    return Usage(sum(one.cpu_s for one in usages), sum(one.rss_mib for one in usages)), len(family)


@dataclass(frozen=True, slots=True)
class BoxTerms:
    """For how long a box is measured, how often it says its health, and whether it tunes its model first."""

    seconds: float
    health_s: float
    tune: bool = True


def run_box(
    cameras: Sequence[Any], terms: BoxTerms, folder: Path, beside_cpu_s: Callable[[], float] = float
) -> BoxFigures:
    """Run a box until it sees through all cameras, then measure it.

    ``beside_cpu_s`` tells the CPU seconds that a server beside it has used.

    Raises:
        BoxFailed: it did not get there; the message names its log.

    """
    folder.mkdir(parents=True)
    broker = EmbeddedBroker(free_port())
    broker.start()
    ear = Ear(broker.port)
    document = {
        "site": SITE,
        "edge": EDGE,
        "data_dir": str(folder / "data"),
        "tune": terms.tune,
        "broker": {"host": "127.0.0.1", "port": broker.port},
        "central": {"url": f"http://127.0.0.1:{free_port()}", "token": f"env:{_TOKEN}"},
        "cameras": list(cameras),
    }
    config = write_yaml(folder / "edge.yaml", document)
    log = (folder / "box.log").open("wb")
    command = [sys.executable, "-m", "benchmarks.density_box", str(config), str(terms.health_s)]
    box = subprocess.Popen(command, env={**os.environ, _TOKEN: "none"}, stdout=log, stderr=log)
    try:
        ear.open()
        _await_sight(box, ear, {camera["id"] for camera in cameras}, folder / "box.log")
        beside_s = beside_cpu_s()
        figures = _measure(box, ear, len(cameras), terms.seconds)
        return replace(figures, beside_cpu_s=beside_cpu_s() - beside_s)
    finally:
        box.send_signal(signal.SIGTERM)
        try:
            box.wait(STOP_S)
        except subprocess.TimeoutExpired:
            box.kill()
            box.wait()
        log.close()
        ear.close()
        broker.stop()


def _await_sight(box: subprocess.Popen[bytes], ear: Ear, wanted: set[str], log: Path) -> None:
    seen: set[str] = set()
    deadline = time.monotonic() + READY_S
    while not wanted <= seen:
        seen |= {one.camera for part in ear.take() for one in part.cameras if one.analysed}
        if box.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            msg = f"the box sees through {len(seen)} of {len(wanted)} cameras; its log {log} ends:\n{tail}"
            raise BoxFailed(msg)
        time.sleep(0.2)


def _measure(box: subprocess.Popen[bytes], ear: Ear, cameras: int, seconds: float) -> BoxFigures:
    ear.take()
    before, _ = family_usage(box.pid)
    at_s, step_s = time.monotonic(), min(SAMPLE_S, seconds / 5)
    rss_mib = []
    while time.monotonic() < at_s + seconds:
        time.sleep(max(0.0, min(step_s, at_s + seconds - time.monotonic())))
        after, processes = family_usage(box.pid)
        rss_mib.append(after.rss_mib)
    passed_s = time.monotonic() - at_s
    parts = ear.take()
    said: list[CameraHealth] = [camera for part in parts for camera in part.cameras]
    fifth = max(1, len(rss_mib) // 5)
    return BoxFigures(
        cameras=cameras,
        seconds=passed_s,
        cpu_s=after.cpu_s - before.cpu_s,
        rss_warm_mib=statistics.fmean(rss_mib[fifth : 2 * fifth] or rss_mib),
        rss_mib=statistics.fmean(rss_mib[-fifth:]),
        processes=processes,
        gaps=tuple(one.gap_p95_s / one.interval_s for one in said if one.gap_p95_s and one.interval_s),
        mean_gaps=_mean_gaps(parts),
        looked_frac=sum(one.analysed for one in said) * INTERVAL_S / max(_told_s(parts), INTERVAL_S),
        looks=sum(one.looks or 0 for one in said),
        spared=sum(one.spared or 0 for one in said),
        stretch=max((part.stretch or 1.0 for part in parts), default=1.0),
        restarts=max((part.workers_restarted for part in parts), default=0),
    )


def _mean_gaps(parts: Sequence[HealthMessage]) -> tuple[float, ...]:
    """Return each camera's seconds over its looks, in intervals."""
    told_s: defaultdict[str, float] = defaultdict(float)
    looks: defaultdict[str, int] = defaultdict(int)
    for part in parts:
        for one in part.cameras:
            told_s[one.camera] += part.period_s
            looks[one.camera] += one.analysed
    return tuple(told_s[name] / max(1, looks[name]) / INTERVAL_S for name in told_s)


def _told_s(parts: Sequence[HealthMessage]) -> float:
    """Return the camera-seconds of which health spoke."""
    return sum(part.period_s * len(part.cameras) for part in parts)


if __name__ == "__main__":
    run_edge(Path(sys.argv[1]), log_level="WARNING", terms=SupervisorTerms(health_s=float(sys.argv[2])))

"""Which process of a fleet's run spends the machine's CPU time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.report import Row
from benchmarks.site import Site

BOXES = "boxes"  # this process: the simulated boxes, and who watches


@dataclass(slots=True)
class Spent:
    """CPU seconds by process, children included, and how long it was measured."""

    cpu_s: dict[str, float] = field(default_factory=dict)
    wall_s: float = 0.0

    def shares(self, names: tuple[str, ...]) -> dict[str, float]:
        """Return the part of a core that each of these took."""
        return {name: round(self.cpu_s[name] / self.wall_s, 3) for name in names}

    def per_message(self, messages: float) -> Row:
        """Return CPU ms a message, by process and ``all`` together, for so many that were handled."""
        each = {name: round(1000 * cpu_s / messages, 3) for name, cpu_s in self.cpu_s.items()}
        return each | {"all": round(1000 * sum(self.cpu_s.values()) / messages, 3)}


@contextmanager
def spending(site: Site) -> Iterator[Spent]:
    """Measure what all processes of a site, and this one, spend while a block runs."""
    pids = {BOXES: os.getpid()} | {name: child.process.pid for name, child in site.children.items()}
    before, begun = _all_cpu_s(pids), time.monotonic()
    spent = Spent()
    yield spent
    spent.wall_s = time.monotonic() - begun
    spent.cpu_s = {name: cpu_s - before[name] for name, cpu_s in _all_cpu_s(pids).items()}


def _all_cpu_s(pids: Mapping[str, int]) -> dict[str, float]:
    return {name: _cpu_s(pid, alone=name == BOXES) for name, pid in pids.items()}


def _cpu_s(pid: int, *, alone: bool) -> float:
    """Return the CPU time of a process, and unless ``alone`` of its children: those that ended included."""
    user, system, ended_user, ended_system = _times(pid)
    if alone:
        return user + system
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return user + system + ended_user + ended_system + sum(sum(_times(int(child))[:2]) for child in children)


def _times(pid: int) -> tuple[float, ...]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:  # ended a moment ago: its parent counts it
        return 0.0, 0.0, 0.0, 0.0
    return tuple(int(ticks) / os.sysconf("SC_CLK_TCK") for ticks in fields[11:15])

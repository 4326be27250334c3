"""Whose turn it is: one worker's cameras, the earliest deadline first.

A camera's deadline is its last look plus its interval. When the box cannot keep all deadlines, all
intervals are stretched by one factor, the least by which the latest camera is just in time; with
deadlines stretched so, the earliest is that of the camera that has waited longest in its own
intervals. So under overload a camera that wants a look every half second is slowed down as much as
one that wants one every ten, and neither starves. Plain deadlines would add the same seconds to both.
"""

from __future__ import annotations

import heapq
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

NEVER_S = float("-inf")
CAMERAS_A_WORKER = 16  # at 0.03 CPU s a camera-second, half a core; each worker loads its own models


@dataclass(slots=True)
class Turns:
    """The order of looks. All times in seconds of one monotonic clock.

    Args:
        intervals_s: wanted seconds between two looks, by camera.

    """

    intervals_s: Mapping[str, float]
    _looked_s: dict[str, float] = field(default_factory=dict)

    def order(self, now_s: float) -> list[str]:
        """Return all cameras, the most urgent first; the first that has a picture has the turn."""

        def urgency(camera: str) -> tuple[float, float]:
            interval_s = self.intervals_s[camera]
            since_s = now_s - self._looked_s.get(camera, NEVER_S)
            return (-max(since_s / interval_s, 1.0), interval_s - since_s)

        return sorted(self.intervals_s, key=urgency)

    def looked(self, camera: str, now_s: float) -> None:
        """Note that a camera's turn began at ``now_s``."""
        self._looked_s[camera] = now_s


def shared_out(intervals_s: Mapping[str, float], workers: int) -> list[tuple[str, ...]]:
    """Give each camera to one worker, so that all have about the same number of looks to do a second.

    Cameras of one interval are dealt out by a checksum of their names, not in the order of the
    configuration: where busy and quiet cameras are listed in turn (a road, a hill, a road, ...), dealing
    in that order would give all busy ones to one of two workers.

    Args:
        intervals_s: seconds between two looks, by camera.
        workers: at least 1; never more are used than there are cameras.

    """

    def busiest_first(camera: str) -> tuple[float, int]:
        return (intervals_s[camera], zlib.crc32(camera.encode()))

    shares: list[list[str]] = [[] for _ in range(max(1, min(workers, len(intervals_s))))]
    loads = [(0.0, index) for index in range(len(shares))]
    for camera in sorted(intervals_s, key=busiest_first):
        load, index = heapq.heappop(loads)
        shares[index].append(camera)
        heapq.heappush(loads, (load + 1.0 / intervals_s[camera], index))
    return [tuple(share) for share in shares]


def wanted_workers(cameras: int, cores: int) -> int:
    """Return how many workers a box wants: a second model in memory must be worth it."""
    return max(1, min(cores, math.ceil(cameras / CAMERAS_A_WORKER)))


def stretch_of(ratios: Sequence[float]) -> float:
    """Return by how much a box stretches intervals: the median camera's gap in intervals, at least 1."""
    return max(1.0, sorted(ratios)[len(ratios) // 2]) if ratios else 1.0

"""A wall clock that jumps: seen by holding it against the clock that cannot."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from towerwatch.timebase import utc_now

JUMP_S = 5.0  # more than any correction by slewing between two looks


class JumpWatch:
    """Says by how much the wall clock was moved since the last look."""

    def __init__(
        self, wall: Callable[[], datetime] = utc_now, steady: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the first look."""
        self._wall, self._steady = wall, steady
        self._seen = (wall(), steady())

    def jumped_s(self) -> float:
        """Return the jump in s, forward positive; 0.0 for less than :data:`JUMP_S`."""
        now = (self._wall(), self._steady())
        moved_s = (now[0] - self._seen[0]).total_seconds() - (now[1] - self._seen[1])
        self._seen = now
        return moved_s if abs(moved_s) > JUMP_S else 0.0

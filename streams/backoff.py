"""How long to wait before a camera is tried again.

Capped exponential back-off with full jitter (AWS Architecture Blog, "Exponential Backoff And
Jitter", 2015): cameras that went down together do not come back in step. Fixed intervals have
poisoned recorders with thousands of reconnects.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """Bounds of the pause, in seconds.

    ``first_s`` bounds the pause after the first failure; the bound doubles up to ``cap_s``. After a
    refusal of credentials the pause lies between half of ``refused_s`` and ``refused_s``: cameras
    lock accounts after a few wrong passwords.
    """

    first_s: float = 1.0
    cap_s: float = 30.0
    refused_s: float = 300.0

    def pause_s(self, failures_in_row: int, *, refused: bool, rng: random.Random) -> float:
        """Draw the pause after the ``failures_in_row``-th failure in a row (from 1)."""
        if refused:
            return rng.uniform(self.refused_s / 2, self.refused_s)
        doublings = min(max(failures_in_row - 1, 0), 32)
        return rng.uniform(0.0, min(self.cap_s, self.first_s * 2**doublings))

"""Capped exponential back-off with full jitter.

Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (2015): boxes that lost the same
broker together do not come back in step.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Pauses after failures in a row, in seconds; :meth:`reset` after a success."""

    first_s: float
    cap_s: float
    floor_s: float = 0.05
    rng: random.Random = field(default_factory=random.Random)
    failures: int = 0

    def pause_s(self) -> float:
        """Count a failure and draw the pause that follows it."""
        bound_s = min(self.cap_s, self.first_s * 2 ** min(self.failures, 32))
        self.failures += 1
        return max(self.floor_s, self.rng.uniform(0.0, bound_s))

    def reset(self) -> None:
        """Begin anew."""
        self.failures = 0

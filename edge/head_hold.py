"""When a head that is ours is held where it is: smoke that waits to be confirmed is looked at longer.

Confirming takes a rule up to a minute of looking, on a patrol three visits of a few seconds. Held for
no longer than that, once for each candidate, and not again for a while: the other views wait meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

HOLD_S = 75.0  # smoke of which the detector is never sure needs 60 s (edge.rules.smoke)
REST_S = 600.0
KEPT = 200  # candidates that are remembered


@dataclass(slots=True)
class HeadHold:
    """The holds of one head; times in monotonic seconds."""

    _held: tuple[str, float] | None = None  # the candidate, and since when
    _ended_s: float = float("-inf")
    _known: list[str] = field(default_factory=list)

    def until_s(self, waiting: Collection[str], now_s: float) -> float | None:
        """Return until when the head shall stay, None where it may go on.

        Args:
            waiting: ids of the candidates in the view that is shown.
            now_s: when it was looked at.

        """
        if self._held is not None:
            candidate, since_s = self._held
            if candidate in waiting and now_s - since_s < HOLD_S:
                return since_s + HOLD_S
            self._held, self._ended_s = None, now_s
        new = [one for one in waiting if one not in self._known]
        if not new or now_s - self._ended_s < REST_S:
            return None
        self._held, self._known = (new[0], now_s), [*self._known, new[0]][-KEPT:]
        return now_s + HOLD_S

"""Which numbers of a sequence have not been seen: ranges, as a value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MAX_RANGES = 500
Range = tuple[int, int]
"""First and last missing number, inclusive."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What has been seen of a sequence.

    Attributes:
        highest: the highest number seen; 0 before the first.
        missing: ranges below it that have not been seen, ascending.
        lost: how many numbers will never come.

    """

    highest: int = 0
    missing: tuple[Range, ...] = ()
    lost: int = 0

    @property
    def missing_count(self) -> int:
        """How many numbers are missing and may still come."""
        return sum(last - first + 1 for first, last in self.missing)


def note(seen: Seen, numbers: Iterable[int]) -> Seen:
    """Return what has been seen once ``numbers`` have come, in whatever order, repeats included.

    The first number ever seen begins the sequence: what lies before it was acknowledged by a central
    that is no more, or shows in the box's health.
    """
    highest, missing, lost = seen.highest, list(seen.missing), seen.lost
    for number in sorted(set(numbers)):
        if number > highest:
            if highest and number > highest + 1:
                missing.append((highest + 1, number - 1))
            highest = number
        else:
            missing = [part for gap in missing for part in _without(gap, number)]
    while len(missing) > MAX_RANGES:
        first, last = missing.pop(0)
        lost += last - first + 1
    return Seen(highest, tuple(missing), lost)


def give_up_below(seen: Seen, first_kept: int) -> Seen:
    """Count as lost what is missing below ``first_kept``: the box no longer holds it."""
    missing, lost = [], seen.lost
    for first, last in seen.missing:
        gone = min(last, first_kept - 1) - first + 1
        lost += max(0, gone)
        if last >= first_kept:
            missing.append((max(first, first_kept), last))
    return Seen(seen.highest, tuple(missing), lost)


def _without(gap: Range, number: int) -> list[Range]:
    first, last = gap
    if not first <= number <= last:
        return [gap]
    return [part for part in ((first, number - 1), (number + 1, last)) if part[0] <= part[1]]

"""What each part of the benchmark of events offers: ``run(seed, folder, quick=...)`` gives a result.

A part is a module: streets and roads (:mod:`benchmarks.events_traffic`), and whatever else
``benchmarks.events.PARTS`` names. It keeps what it has run in ``folder`` and runs only what is not there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from edge.score import Judged, JudgedEvent
from edge.score_rows import ScoreRow, rows_of


@dataclass(frozen=True, slots=True)
class PartResult:
    """What one part has found.

    Attributes:
        rows: figures for each kind and condition; the page tables them by kind.
        silent: how many events of each kind there were that had to stay silent.
        missed: the events that no alert told of.
        facts: figures that fit no row, JSON-able; they stand in the document under their own names.
        page: Markdown that the part adds to ``docs/accuracy.md``, headings of level 2, or nothing.

    """

    rows: tuple[ScoreRow, ...]
    silent: Counter[str] = field(default_factory=Counter)
    missed: tuple[JudgedEvent, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    page: str = ""


class Part(Protocol):
    """A module with scenes of its own."""

    def run(self, seed: int, folder: Path, *, quick: bool) -> PartResult:
        """Run the scenes that ``folder`` does not hold; ``quick``: a stated part of them."""
        ...


def result_of(judged: Judged) -> PartResult:
    """Return the figures of one comparison."""
    missed = tuple(one for one in judged.events if one.alert is None)
    return PartResult(rows_of(judged), judged.silent, missed)

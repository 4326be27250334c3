"""What each part of the benchmark of events offers: ``run(seed, folder, quick=...)`` gives a result.

A part is a module: streets and roads (:mod:`benchmarks.events_traffic`), and whatever else
``benchmarks.events.PARTS`` names. It keeps what it has run in ``folder`` and runs only what is not there.
A folder is good for one state of the code, and of the figures of the error model, which it keeps.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import yaml
from rich.console import Console
from rich.progress import Progress

from benchmarks.machine import usable_cores
from edge.score import Judged, JudgedEvent
from edge.score_rows import ScoreRow
from towerwatch.errors import ConfigError

Plan = TypeVar("Plan")


@dataclass(frozen=True, slots=True)
class PartResult:
    """What one part has found.

    Attributes:
        rows: figures for each kind and condition; the page tables them by kind.
        silent: how many events of each kind there were that had to stay silent.
        missed: the events that no alert told of.
        facts: figures that fit no row, JSON-able; they stand in the document under their own names.
        page: Markdown that the part adds to ``docs/accuracy.md``, headings of level 2, or nothing.
        scenes: how many scenes are in it, of how many that make the set.

    """

    rows: tuple[ScoreRow, ...]
    scenes: tuple[int, int]
    silent: Counter[str] = field(default_factory=Counter)
    missed: tuple[JudgedEvent, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    page: str = ""


class Part(Protocol):
    """A module with scenes of its own.

    ``FIGURES`` names the figures of the error model that it plays, ``configs/errors/<name>.yaml``.
    """

    FIGURES: str | None

    def run(self, seed: int, folder: Path, *, quick: bool, kept: bool = False) -> PartResult:
        """Run the scenes that ``folder`` does not hold; ``quick``: a stated part of them.

        ``kept``: run none, and take those that it holds.
        """
        ...


def missed_of(judged: Judged) -> tuple[JudgedEvent, ...]:
    """Return the events that no alert told of."""
    return tuple(one for one in judged.events if one.alert is None)


@dataclass(frozen=True, slots=True)
class Figures:
    """Whose errors were played: the detector as its figures name it, and the digest of the file."""

    name: str
    model: str
    sha256: str

    @classmethod
    def current(cls, name: str) -> Self:
        """Read ``configs/errors/<name>.yaml`` as it is now."""
        data = files("configs").joinpath("errors", f"{name}.yaml").read_bytes()
        return cls(name, str(yaml.safe_load(data)["model"]), hashlib.sha256(data).hexdigest())


def played_with(name: str, folder: Path) -> Figures:
    """Return the figures that ``folder`` was played with; those of now where it is new, and keep them.

    Raises:
        ConfigError: they were others; what is played now would not go with what lies there.

    """
    now, path = Figures.current(name), folder / f"figures-{name}.json"
    if not path.exists():
        path.write_text(json.dumps(asdict(now)), encoding="utf-8")
        return now
    kept = Figures(**json.loads(path.read_text(encoding="utf-8")))
    if kept.sha256 != now.sha256:
        msg = (
            f"{folder} was played with figures of {kept.model}, configs/errors/{name}.yaml holds others"
            f" now, of {now.model}; name another folder"
        )
        raise ConfigError(msg)
    return kept


def play_all(
    what: str, plans: Sequence[Plan], done_or_run: Callable[[Plan, Path], object], folder: Path
) -> None:
    """Play plans on all cores, each unless its result lies in ``folder``, with progress on the terminal."""
    jobs = max(1, min(usable_cores(), len(plans)))
    with (
        Progress(console=Console(stderr=True), transient=True) as progress,
        ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool,
    ):
        task = progress.add_task(what, total=len(plans))
        for _ in pool.map(done_or_run, plans, [folder] * len(plans)):
            progress.advance(task)

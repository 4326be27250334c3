"""Which version of a model is active: promoted once it is not worse than its parent, and back again.

The choice is the file ``active`` beside a model's versions (see :mod:`models.registry`); how it came
about is ``history.jsonl`` beside it, one line a promotion or rollback, never rewritten. What gates look
at are reports that ``models evaluate CANDIDATE --against PARENT --json REPORT`` wrote: both judged on
the same pictures, each entry with the digests of the files that were judged.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from models.errors import ModelConfigError
from models.registry import ACTIVE_FILE, FoundModel, find_model, shelf_of, verify
from towerwatch.errors import PermanentError, Problem
from towerwatch.timebase import utc_now
from towerwatch.yamlconfig import StrictModel, dotted

HISTORY_FILE = "history.jsonl"
LOWER_IS_BETTER = frozenset({"empty_frames_with_box_frac", "false_boxes_per_picture"})
GATES = ("map50", "recall", "precision", "empty_frames_with_box_frac")
KNOWN = frozenset({*GATES, "map50_95", "false_boxes_per_picture"})


class Refused(PermanentError):
    """A candidate is worse than its parent, or a version cannot be made active."""


@dataclass(frozen=True, slots=True)
class Gate:
    """A figure in which a candidate may be worse than its parent by ``allowance`` at most."""

    figure: str
    allowance: float = 0.0


class Outcome(StrictModel):
    """What one gate said. A figure that neither model has (None) is passed."""

    gate: str
    allowance: float
    report: str
    candidate: float | None
    parent: float | None
    passed: bool

    def __str__(self) -> str:
        """Render as one line."""
        verdict = "ok" if self.passed else "WORSE"
        more = f", {self.allowance:g} allowed" if self.allowance else ""
        return f"{self.gate}: {self.candidate} against {self.parent}{more}: {verdict} ({self.report})"


class Change(StrictModel):
    """One line of the history: what a bare name meant before and after, and why."""

    at: datetime
    action: Literal["promote", "rollback"]
    version: str
    before: str | None
    gates: tuple[Outcome, ...] = ()
    forced: bool = False
    reason: str = ""


def parse_gate(text: str) -> Gate:
    """Read ``map50`` or ``map50:0.01``.

    Raises:
        ModelConfigError: there is no such figure, or the allowance is no number from 0 on.

    """
    figure, _, allowance = text.partition(":")
    if figure not in KNOWN:
        msg = f"--gate {text!r}: one of {', '.join(sorted(KNOWN))}, with an allowance as in map50:0.01"
        raise ModelConfigError(msg)
    try:
        value = float(allowance or 0)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        msg = f"--gate {text!r}: the allowance is a number from 0 to 1"
        raise ModelConfigError(msg)
    return Gate(figure, value)


def parent_of(candidate: FoundModel, models_dir: Path) -> FoundModel | None:
    """Return what a candidate must not be worse than: its parent, else what its name means now.

    None where the name means nothing else, as for a site's first model of its own.

    Raises:
        ModelConfigError: the parent that its manifest names is not here.

    """
    if candidate.manifest.parent is not None:
        return find_model(candidate.manifest.parent, models_dir)
    meant = _meant(candidate.manifest.name, models_dir)
    same = meant is None or meant.manifest.version == candidate.manifest.version
    return None if same else meant


def judge_gates(
    candidate: FoundModel, parent: FoundModel, reports: Sequence[Path], gates: Sequence[Gate]
) -> tuple[Outcome, ...]:
    """Compare both models, each in its default precision, in every report.

    Raises:
        ModelConfigError: a report cannot be read, lacks one of the models, or judged other files.

    """
    outcomes = []
    for path in reports:
        entries = _entries(path)
        new, old = (_entry(entries, found, path) for found in (candidate, parent))
        outcomes += [_compare(gate, new, old, path) for gate in gates]
    return tuple(outcomes)


def promote(
    candidate: FoundModel, models_dir: Path, outcomes: Sequence[Outcome], *, forced: bool, reason: str
) -> Change:
    """Make a version the one that its bare name means, and note why.

    Raises:
        Refused: a file of it is not the one in its manifest, or a gate failed and it is not forced.

    """
    manifest = candidate.manifest
    _check_files(candidate)
    worse = [outcome for outcome in outcomes if not outcome.passed]
    if worse and not forced:
        lines = "".join(f"\n  {outcome}" for outcome in worse)
        msg = f"{manifest.reference}: not promoted, it is worse than its parent{lines}"
        raise Refused(msg)
    meant = _meant(manifest.name, models_dir)
    change = Change(
        at=utc_now(),
        action="promote",
        version=manifest.version,
        before=None if meant is None else meant.manifest.version,
        gates=tuple(outcomes),
        forced=forced,
        reason=reason,
    )
    _settle(models_dir / manifest.name, change)
    return change


def rollback(name: str, models_dir: Path, reason: str = "") -> Change:
    """Make the version active that the last promotion replaced; again goes one further back.

    Raises:
        ModelConfigError: nothing was promoted, or the version before is not here any more.
        Refused: a file of that version is not the one in its manifest.

    """
    replaced: list[Change] = []
    for change in history(name, models_dir):
        if change.action == "promote":
            replaced.append(change)
        elif replaced:
            replaced.pop()
    if not replaced or replaced[-1].before is None:
        msg = f"model {name!r}: no promotion to take back in {models_dir / name / HISTORY_FILE}"
        raise ModelConfigError(msg)
    last = replaced[-1]
    target = find_model(f"{name}@{last.before}", models_dir)
    _check_files(target)
    change = Change(
        at=utc_now(),
        action="rollback",
        version=target.manifest.version,
        before=last.version,
        reason=reason,
    )
    _settle(models_dir / name, change)
    return change


def history(name: str, models_dir: Path) -> list[Change]:
    """Read what was promoted and rolled back, oldest first.

    Raises:
        ModelConfigError: a line of the file does not fit; file, line and key.

    """
    path = models_dir / name / HISTORY_FILE
    if not path.exists():
        return []
    changes = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            changes.append(Change.model_validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            raise ModelConfigError([Problem(str(path), number, dotted(first["loc"]), first["msg"])]) from None
    return changes


def _meant(name: str, models_dir: Path) -> FoundModel | None:
    """Return what a bare name means now, None where it means nothing yet."""
    if all(found.is_candidate for found in shelf_of(name, models_dir).found):
        active = models_dir / name / ACTIVE_FILE
        return find_model(name, models_dir) if active.exists() else None
    return find_model(name, models_dir)


def _settle(folder: Path, change: Change) -> None:
    """Write the history first: a choice without its reason must not be."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / HISTORY_FILE).open("a", encoding="utf-8") as stream:
        stream.write(change.model_dump_json() + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    partial = folder / f".{ACTIVE_FILE}.part"
    partial.write_text(f"{change.version}\n", encoding="utf-8")
    partial.replace(folder / ACTIVE_FILE)


def _check_files(found: FoundModel) -> None:
    wrong = verify(found)
    if wrong:
        msg = f"{found.manifest.reference}: cannot be made active: {'; '.join(wrong)}"
        raise Refused(msg)


def _entries(path: Path) -> list[Mapping[str, Any]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ModelConfigError(msg) from None
    except ValueError:
        msg = f"{path}: is not valid JSON"
        raise ModelConfigError(msg) from None
    entries = document.get("models", [document]) if isinstance(document, dict) else []
    if not entries or not all(isinstance(entry, dict) and "model" in entry for entry in entries):
        msg = f"{path}: is no report of models evaluate"
        raise ModelConfigError(msg)
    return list(entries)


def _entry(entries: Sequence[Mapping[str, Any]], found: FoundModel, path: Path) -> Mapping[str, Any]:
    """Find a model's entry, in its default precision, of the very files that it has now."""
    manifest = found.manifest
    wanted = (manifest.reference, manifest.default_precision)
    entry = next((item for item in entries if (item["model"], item.get("numeric")) == wanted), None)
    if entry is None:
        have = ", ".join(f"{item['model']} {item.get('numeric')}" for item in entries)
        msg = f"{path}: says nothing about {' '.join(wanted)}; it judges {have}"
        raise ModelConfigError(msg)
    files = {file.path: file.sha256 for file in manifest.files}
    if entry.get("sha256") not in files.values():
        msg = f"{path}: judged another file of {manifest.reference} than the one that is here; judge it again"
        raise ModelConfigError(msg)
    return entry


def _compare(gate: Gate, new: Mapping[str, Any], old: Mapping[str, Any], path: Path) -> Outcome:
    values: list[float | None] = []
    for entry in (new, old):
        value = entry.get(gate.figure)
        values.append(None if value is None else float(value))
    candidate, parent = values
    if parent is None:
        passed = True  # the data have no such figure, such as empty frames
    elif candidate is None:
        passed = False  # no box at all is no precision
    else:
        loss = candidate - parent if gate.figure in LOWER_IS_BETTER else parent - candidate
        passed = loss <= gate.allowance + 1e-9
    return Outcome(
        gate=gate.figure,
        allowance=gate.allowance,
        report=path.name,
        candidate=candidate,
        parent=parent,
        passed=passed,
    )

"""Read what ``towerwatch central export-verdicts --out FOLDER`` wrote: operators' judgements as labels.

What a judgement says about a picture:

- a confirmed alert, or a dismissed one whose reason grants that the thing is there (parking permitted,
  a queue at a red light, ...): its boxes are right, but for those that were judged false one by one;
- an alert dismissed because nothing of the kind is there (cloud, dust, a shadow, ...), or whose boxes
  were all judged false: a picture without a box, the hard negatives;
- any other (unsure, a test, no reason given): nothing, so its pictures are left out and named.

Boxes belong to the picture of their own moment alone. Smoke is rare, so a frame whose smoke was none is
free of smoke as a whole. A street is full of vehicles that no alert is about: of a dismissed vehicle
only the close-up serves, and a confirmed one wants a ``teacher`` in the recipe that labels the others.
The group is the camera: what one camera saw stands on one side of a split.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from models.train.layouts import Layout, Reading, Row, row_of, usable
from models.train.samples import DataProblem, Sample, box_array
from towerwatch.errors import ConfigError
from towerwatch.yamlconfig import dotted

VERDICTS_FILE = "verdicts.jsonl"
THING_IS_THERE = frozenset({"permitted", "brief_stop", "red_light", "wrong_zone", "duplicate"})
NOTHING_IS_THERE = frozenset({"fog_cloud", "dust", "known_source", "light_shadow", "no_object"})
WHOLE_FRAME_KINDS = frozenset({"smoke"})
BEFORE_THE_END = frozenset({"context_t0", "context_mid", "context_now"})


class _Exported(BaseModel):
    """Base of what is read of the export; ``central schema verdicts`` prints all of it."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Judgement(_Exported):
    verdict: Literal["true", "false", "unsure"]
    reason: str | None


class _Box(_Exported):
    captured_at: datetime
    label: str
    x1: float
    y1: float
    x2: float
    y2: float
    verdict: _Judgement | None


class _Evidence(_Exported):
    role: str
    captured_at: datetime
    file: str | None


class _Alert(_Exported):
    schema_version: Literal[1]
    alert_id: str
    kind: str
    site: str
    edge: str
    camera: str
    verdict: _Judgement | None
    boxes: tuple[_Box, ...]
    evidence: tuple[_Evidence, ...]

    @property
    def group(self) -> str:
        return f"{self.site}/{self.edge}/{self.camera}"


@dataclass(slots=True)
class _Labelled:
    """A picture, and the boxes that all alerts together put on it."""

    group: str
    rows: list[Row] = field(default_factory=list)


def read_verdicts(layout: Layout) -> Reading:
    """Read the folder of an export; alerts without a box of a class in ``layout.classes`` are not ours.

    Raises:
        ConfigError: there is no ``verdicts.jsonl``.

    """
    reading = Reading()
    pictures: dict[Path, _Labelled] = {}
    for line, alert in _alerts(layout.folder / VERDICTS_FILE, reading):
        if not any(box.label in layout.classes for box in alert.boxes):
            continue
        found = list(_labelled(alert, layout, reading, line))
        if not found:
            message = f"alert {alert.alert_id}: its verdict says nothing about its pictures; left out"
            reading.problems.append(DataProblem(layout.folder / VERDICTS_FILE, line, message))
        for path, rows in found:  # alerts of one moment share a picture
            pictures.setdefault(path, _Labelled(alert.group)).rows.extend(rows)
    for path, labelled in sorted(pictures.items()):
        if usable(path, reading):
            boxes = box_array([box for _label, box in labelled.rows])
            labels = tuple(label for label, _box in labelled.rows)
            reading.samples.append(Sample(path, boxes, labels, labelled.group, layout.source))
    return reading


def _alerts(path: Path, reading: Reading) -> Iterator[tuple[int, _Alert]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}; name the folder of central export-verdicts"
        raise ConfigError(msg) from None
    for number, line in enumerate(lines, 1):
        try:
            yield number, _Alert.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            message = f"{dotted(first['loc'])}: {first['msg']}; left out"
            reading.problems.append(DataProblem(path, number, message))


def _labelled(alert: _Alert, layout: Layout, reading: Reading, line: int) -> Iterator[tuple[Path, list[Row]]]:
    """Yield each picture that the judgement speaks about, with its true boxes."""
    right = [_is_right(box, alert) for box in alert.boxes]
    if all(flag is False for flag in right):
        whole = alert.kind in WHOLE_FRAME_KINDS
        roles = BEFORE_THE_END if whole else frozenset({"close_up"})
        yield from (
            (layout.folder / item.file, []) for item in alert.evidence if item.role in roles and item.file
        )
        return
    for item in alert.evidence:
        now = [n for n, box in enumerate(alert.boxes) if box.captured_at == item.captured_at]
        if item.role not in BEFORE_THE_END or not now or not item.file:
            continue
        if any(right[n] is None for n in now) or not any(right[n] for n in now):
            continue
        yield (
            layout.folder / item.file,
            _rows([alert.boxes[n] for n in now if right[n]], layout, reading, line),
        )


def _rows(boxes: list[_Box], layout: Layout, reading: Reading, line: int) -> list[Row]:
    rows = []
    for box in boxes:
        try:
            row = row_of(box.label, (box.x1, box.y1, box.x2, box.y2), layout.classes)
        except ValueError as error:
            reading.problems.append(DataProblem(layout.folder / VERDICTS_FILE, line, str(error)))
            continue
        if row is not None:
            rows.append(row)
    return rows


def _is_right(box: _Box, alert: _Alert) -> bool | None:
    """Tell whether a box holds its thing: by its own verdict, else by its alert's; None if neither says."""
    said = box.verdict or alert.verdict
    if said is None or said.verdict == "unsure":
        return None
    if said.verdict == "true" or said.reason in THING_IS_THERE:
        return True
    if said.reason in NOTHING_IS_THERE or (box.verdict is not None and said.reason is None):
        return False
    return None

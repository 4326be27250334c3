"""Statistics as a table of text: the same columns on the page and in the file for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from alerts import texts
from alerts.services.names import Names
from alerts.services.statistics import Grouping, GroupView, Spread
from alerts.texts import LANGUAGES, Language

HEADINGS: dict[Grouping, tuple[str, str]] = {
    "kind": ("类型", "Kind"),
    "area": ("区域", "Area"),
    "department": ("部门", "Department"),
    "camera": ("摄像机", "Camera"),
}
COLUMNS: tuple[tuple[str, str], ...] = (
    ("事件", "Incidents"),
    ("处理中", "Open"),
    ("属实", "Confirmed"),
    ("误报", "False"),
    ("误报率", "False share"),
    ("核实中位 (分钟)", "Verify median (min)"),
    ("核实 P90 (分钟)", "Verify p90 (min)"),
    ("到场中位 (分钟)", "Arrive median (min)"),
    ("到场 P90 (分钟)", "Arrive p90 (min)"),
    ("结案中位 (分钟)", "Close median (min)"),
    ("结案 P90 (分钟)", "Close p90 (min)"),
    ("到期任务", "Tasks due"),
    ("按时率", "On time"),
)


def name_of(group: GroupView, by: Grouping, names: Names, language: Language) -> str:
    """Return what people call a group."""
    if by == "kind":
        return texts.text(texts.KINDS, group.key, language)
    if by == "area":
        return names.area(group.key)
    if by == "department":
        return names.department(group.key)
    return group.name or group.key


def to_csv(groups: Iterable[GroupView], by: Grouping, names: Names, language: Language) -> str:
    """Return a table with its heading; it begins with the mark by which spreadsheets know UTF-8."""
    at = LANGUAGES.index(language)
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow([HEADINGS[by][at], "id", *(column[at] for column in COLUMNS)])
    for group in groups:
        named = (name_of(group, by, names, language), group.key)
        writer.writerow([*map(_no_formula, named), *_values(group)])
    return "\ufeff" + stream.getvalue()


def _no_formula(text: str) -> str:
    """Keep a spreadsheet from running what somebody called a camera: text is marked as such."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _values(group: GroupView) -> list[str]:
    spreads = (group.to_verify, group.to_arrive, group.to_close)
    minutes = [_minutes(value) for spread in spreads for value in _both(spread)]
    judged, on_time = group.false_share, group.on_time_share
    return [
        *map(str, (group.incidents, group.open, group.confirmed, group.refuted)),
        "" if judged is None else f"{judged:.3f}",
        *minutes,
        str(group.due),
        "" if on_time is None else f"{on_time:.3f}",
    ]


def _both(spread: Spread) -> tuple[float | None, float | None]:
    return spread.median_s, spread.p90_s


def _minutes(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds / 60:.1f}"

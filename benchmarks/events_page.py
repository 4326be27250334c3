"""``docs/accuracy.md``: the figures of the event benchmark as a page, with what fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
NAMES = {
    "illegal_parking": "Illegal parking",
    "blocked_road": "Blocked road",
    "road_object": "Object on a road",
    "smoke": "Smoke",
}
DEMANDS: dict[str, tuple[tuple[str, str, float, bool], ...]] = {  # (what, field, limit, at least)
    "illegal_parking": (
        ("parked", "events", 200, True),
        ("detected", "detected_frac", 0.95, True),
        ("false share", "false_share", 0.05, False),
        ("mean delay after the legal time, s", "delay_s_mean", 10, False),
        ("alarmed twice", "repeated_alerts", 0, False),
    ),
    "blocked_road": (
        ("blocks", "events", 100, True),
        ("F1", "f1", 0.95, True),
        ("RMSE of the start, s", "start_rmse_s", 10, False),
    ),
    "smoke": (
        ("plumes", "events", 100, True),
        ("detected", "detected_frac", 0.95, True),
        ("false alarms a camera-day", "false_alerts_per_camera_day", 0.2, False),
    ),
}
HEAD = """\
# Accuracy of the rules

Written by `python -m benchmarks.events --json OUT --page docs/accuracy.md`; do not edit. Simulated
scenes with exact truth. The rules see truth boxes through an error model whose figures were measured
on real pictures (`configs/errors`, by `python -m benchmarks.errors`), and pictures that are schematic
(streets) or rendered (towers); tracker, rules and lifecycle are the edge's own, thresholds are the
defaults (legal time 300 s, no discharge for 120 s). Night and rain are real pictures that were
darkened, or blurred and streaked: no labelled real ones are at hand. Brackets hold 95 % intervals. An
alert about an event that was told already counts as false.

An event begins where the anomaly begins: parking with the standstill, a blocked road when the first
vehicle stands for good and nothing passes it any more, smoke with the ignition. Not judged is what
nobody could tell in time: a block that ends within 120 s, and what could first be told in the last
60 s of its scene (parking after 300 s, a blocked road after 120 s).
"""
REAL = """\
## Beside it, the real clips

With the third-party YOLOX-Nano in place of the played detector, looped for three minutes
(`tests/edge/test_real_clips.py`, which holds them): `street_parking.mp4` has six parked cars; at least
the four that the detector sees are alerted, each once, and nothing else is. `junction.mp4`, a crowded
junction that moves, gives no alert of any rule.
"""


def write_page(content: Mapping[str, Any], path: Path) -> None:
    """Write the page from a benchmark's document."""
    rows: list[Row] = content["rows"]
    played: dict[str, Any] = content["parts"]
    parts = [HEAD, "\n".join(_how(name, part) for name, part in played.items()) + "\n"]
    for kind in sorted({row["kind"] for row in rows}):
        own = [row for row in rows if row["kind"] == kind]
        parts += [f"## {NAMES.get(kind, kind)}\n", _table(own), _demands(kind, own[0]), _fails(own[0])]
    silent = sum((Counter(part["silent"]) for part in played.values()), Counter[str]())
    parts += [*(part["page"] for part in played.values()), _silent(silent), _missed(content["missed"]), REAL]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(part for part in parts if part), encoding="utf-8")


def _how(name: str, part: Mapping[str, Any]) -> str:
    form = "quick" if part["quick"] else "full"
    scenes, planned = part["scenes"], part["scenes_of_set"]
    much = f"the {form} set" if scenes == planned else f"**{scenes} of {planned} scenes** of the {form} set"
    text = f"- {name}: {much}, seed {part['seed']}, on {part['cores']} cores of {part['cpu']}"
    if part["figures"] is not None:
        ships = part["shipped"]
        now = "which ships" if part["figures"].startswith(f"{ships} ") else f"**{ships} ships now**"
        text += f"; errors of {part['figures']}, {now}"
    return text + "."


def _cell(row: Row, name: str, digits: int) -> str:
    value = row[name]
    if value is None:
        return "-"
    low, high = row[f"{name}_95"]
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _table(rows: Sequence[Row]) -> str:
    head = ("condition", "camera-hours", "events", "detected", "false alerts", "false share",
            "false a camera-day", "delay, s", "RMSE of the start, s")  # fmt: skip
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        cells = (
            row["condition"],
            f"{row['camera_days'] * 24:.1f}",
            str(row["events"]),
            _cell(row, "detected_frac", 3),
            f"{row['false_alerts']} ({row['repeated_alerts']} repeated)",
            _cell(row, "false_share", 3),
            _cell(row, "false_alerts_per_camera_day", 2),
            _cell(row, "delay_s_mean", 1),
            _cell(row, "start_rmse_s", 1),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _demands(kind: str, row: Row) -> str:
    lines = []
    for what, name, limit, at_least in DEMANDS.get(kind, ()):
        value = row[name]
        met = value is not None and (value >= limit if at_least else value <= limit)
        shown = "none" if value is None else f"{value:.4g}"
        lines.append(
            f"- {what}: {shown}, asked {'at least' if at_least else 'at most'} {limit:g}: "
            f"{'met' if met else '**not met**'}"
        )
    return "\n".join(lines) + "\n" if lines else ""


def _fails(row: Row) -> str:
    if not row["false_causes"]:
        return ""
    causes = ", ".join(f"{count} on {cause}" for cause, count in row["false_causes"].items())
    return f"False alerts were {causes}.\n"


def _silent(silent: Mapping[str, int]) -> str:
    told = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in silent.items())
    return f"## What had to stay silent\n\n{told}.\n" if told else ""


def _missed(missed: Sequence[Mapping[str, Any]]) -> str:
    if not missed:
        return ""
    by_camera = Counter((one["kind"], one["camera"]) for one in missed)
    lines = [f"- {kind}: {count} in {camera}" for (kind, camera), count in sorted(by_camera.items())]
    return "## Missed events, by scene\n\n" + "\n".join(lines) + "\n"

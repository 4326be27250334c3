"""Truth and alerts from files, and the table of their comparison."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from alerts.messages import AlertMessage
from edge.score import AlertRecord
from edge.score_rows import Estimate, ScoreRow
from edge.score_sequence import names_ignition, sequence_truth
from streams.simulator.truth import SceneTruth, TruthError, read_truth
from towerwatch.errors import ConfigError
from towerwatch.timebase import iso_z

TRUTH_SUFFIX = ".truth.json"


def record_of(first: AlertMessage) -> AlertRecord:
    """Return what the first message of an alert tells."""
    position = first.position
    return AlertRecord(
        alert_id=first.alert_id,
        kind=first.kind.value,
        camera=first.camera,
        zone=first.zone,
        opened_at=first.captured_at,
        started_at=first.started_at,
        boxes=tuple((box.x1, box.y1, box.x2, box.y2) for box in first.boxes),
        lat_lon_deg=None if position is None else (position.lat_deg, position.lon_deg),
    )


def read_alerts(path: Path) -> list[AlertRecord]:
    """Read alert messages, one a line, as ``edge replay`` writes them; the first of each alert counts.

    Raises:
        ConfigError: the file cannot be read, or a line is no alert message; names the line.

    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        msg = f"--alerts {path}: cannot be read: {error.strerror}"
        raise ConfigError(msg) from None
    first: dict[str, AlertMessage] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            message = _parsed(line, f"{path}:{number}")
            known = first.get(message.alert_id)
            if known is None or message.phase_seq < known.phase_seq:
                first[message.alert_id] = message
    return [record_of(message) for message in first.values()]


def _parsed(line: bytes, where: str) -> AlertMessage:
    try:
        return AlertMessage.model_validate_json(line)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join(map(str, problem["loc"]))
        msg = f"{where}: is no alert message: {key + ': ' if key else ''}{problem['msg']}"
        raise ConfigError(msg) from None


def read_truths(path: Path, start_at: datetime | None = None) -> list[SceneTruth]:
    """Read a truth file, all ``*.truth.json`` of a folder, or a folder of pictures named by their ignition.

    ``start_at`` is the time of the first picture, where the alerts' is not the file's own.

    Raises:
        ConfigError: there is none, one cannot be read, or of several one does not name its camera.

    """
    if names_ignition(path):
        return [sequence_truth(path)]
    paths = sorted(path.glob(f"*{TRUTH_SUFFIX}")) if path.is_dir() else [path]
    if not paths:
        msg = f"--truth {path}: holds no *{TRUTH_SUFFIX}"
        raise ConfigError(msg)
    try:
        truths = [read_truth(one) for one in paths]
    except TruthError as error:
        raise ConfigError(str(error)) from None
    for one, truth in zip(paths, truths, strict=True):
        if len(truths) > 1 and not truth.camera_id:
            msg = f"{one}: camera_id: is missing; of several scenes each must name its camera"
            raise ConfigError(msg)
    if start_at is None:
        return truths
    return [replace(truth, start_at=iso_z(start_at)) for truth in truths]


def write_rows(rows: Sequence[ScoreRow], path: Path) -> None:
    """Write the figures as JSON: ``{"rows": [...]}``, one object for each kind and condition."""
    content = {"rows": [row.as_json() for row in rows]}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        msg = f"--json {path}: cannot be written: {error.strerror}"
        raise ConfigError(msg) from None


def _cell(value: Estimate | float | None, digits: int) -> str:
    if value is None:
        return "-"
    if isinstance(value, Estimate):
        return f"{value.value:.{digits}f} ({value.low:.{digits}f} to {value.high:.{digits}f})"
    return f"{value:.{digits}f}"


def print_rows(rows: Sequence[ScoreRow]) -> None:
    """Print the figures with their 95 % intervals."""
    table = Table(title="95 % intervals in brackets")
    for name in (
        "kind", "condition", "events", "detected", "false alerts", "of them repeated", "false share",
        "false a camera-day", "delay s", "start rmse s", "position p90 m",
    ):  # fmt: skip
        table.add_column(name)
    for row in rows:
        table.add_row(
            row.kind,
            row.condition or "-",
            str(row.events),
            _cell(row.detected_frac, 3),
            str(row.false_alerts),
            str(row.repeated_alerts),
            _cell(row.false_share, 3),
            _cell(row.false_alerts_per_camera_day, 2),
            _cell(row.delay_s_mean, 1),
            _cell(row.start_rmse_s, 1),
            _cell(row.position_error_m_p90, 0),
        )
    Console(highlight=False, width=max(190, Console().width)).print(table)

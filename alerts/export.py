"""Verdicts out, in a stated schema: one JSON object a line for each alert that somebody judged.

The schema is :class:`VerdictRecord` (``towerwatch central schema verdicts``). Pictures are clean pixels;
boxes and verdicts are data beside them.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, select

from alerts.evidence import BlobStore, copy_to
from alerts.messages import Kind
from alerts.services.incidents import IncidentService
from alerts.services.views import AlertView, EvidenceView, VerdictValue, VerdictView
from alerts.store.database import Database
from alerts.store.tables import Alert, Verdict

SCHEMA_VERSION: Literal[1] = 1
LINES_IN_MEMORY = 16 << 20  # bytes; more go through the disk
EXTENSIONS = {"image/jpeg": ".jpg", "image/png": ".png", "video/mp4": ".mp4"}


class Record(BaseModel):
    """Base of the export's models."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Judged(Record):
    """What a person said."""

    verdict: VerdictValue
    reason: str | None
    note: str
    user: str
    at: datetime


class JudgedBox(Record):
    """One box in [0, 1] of the frame, with the verdict on it if it got one of its own."""

    phase_seq: int
    box_index: int
    captured_at: datetime
    label: str
    confidence: float
    x1: float
    y1: float
    x2: float
    y2: float
    verdict: Judged | None


class JudgedEvidence(Record):
    """A picture or clip; ``file`` relative to the export's folder, None where it was not copied."""

    role: str
    sha256: str
    bytes: int
    media_type: str
    captured_at: datetime
    phase_seq: int
    file: str | None


class VerdictRecord(Record):
    """One judged alert. Times are UTC; ``verdict`` is None where only boxes were judged."""

    schema_version: Literal[1] = SCHEMA_VERSION
    alert_id: str
    incident_id: int
    kind: Kind
    site: str
    edge: str
    camera: str
    preset: str
    zone: str | None
    zone_points: tuple[tuple[float, float], ...]
    started_at: datetime
    ended_at: datetime | None
    confidence: float
    measures: dict[str, float]
    rule: str
    model: str | None
    precision: str | None
    verdict: Judged | None
    boxes: tuple[JudgedBox, ...]
    evidence: tuple[JudgedEvidence, ...]


def export_verdicts(database: Database, store: BlobStore, out: Path) -> int:
    """Write all judged alerts; return how many.

    A name that ends in ``.jsonl`` gets the lines alone; any other is a folder that gets
    ``verdicts.jsonl`` and the pictures and clips in ``evidence/``.
    """
    folder = None if out.suffix == ".jsonl" else out
    file = out if folder is None else out / "verdicts.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + ".partial")
    count = 0
    with partial.open("w", encoding="utf-8") as stream:
        for alert in _judged_alerts(database):
            stream.write(record_of(alert, _copied(store, alert, folder)).model_dump_json() + "\n")
            count += 1
    partial.replace(file)
    return count


def export_zip(
    database: Database, store: BlobStore, target: BinaryIO, since: datetime, until: datetime
) -> int:
    """Write the alerts judged from ``since`` until before ``until`` into a ZIP; return how many.

    It holds what :func:`export_verdicts` writes into a folder; pictures go in as they are, uncompressed.
    """
    count, written = 0, set()
    with zipfile.ZipFile(target, "w") as archive, tempfile.SpooledTemporaryFile(LINES_IN_MEMORY) as lines:
        for alert in _judged_alerts(database, Verdict.at >= since, Verdict.at < until):
            files = {item.sha256: _name(item) for item in alert.evidence if store.has(item.sha256)}
            for sha256, name in files.items():
                if name not in written:
                    written.add(name)
                    archive.write(store.path(sha256), name)
            lines.write(record_of(alert, files).model_dump_json().encode() + b"\n")
            count += 1
        lines.seek(0)
        with archive.open("verdicts.jsonl", "w", force_zip64=True) as stream:
            shutil.copyfileobj(lines, stream)
    return count


def record_of(alert: AlertView, files: dict[str, str]) -> VerdictRecord:
    """Return the record of one alert; ``files`` maps digests to what was copied."""
    said = {(verdict.phase_seq, verdict.box_index): _judged(verdict) for verdict in alert.verdicts}
    boxes = tuple(
        JudgedBox(
            phase_seq=phase.phase_seq,
            box_index=box.index,
            captured_at=phase.captured_at,
            verdict=said.get((phase.phase_seq, box.index)),
            **box.model_dump(exclude={"index"}),
        )
        for phase in alert.phases
        for box in phase.boxes
    )
    evidence = tuple(
        JudgedEvidence(
            file=files.get(item.sha256),
            **item.model_dump(include=set(JudgedEvidence.model_fields) - {"file"}),
        )
        for item in alert.evidence
    )
    fields = set(VerdictRecord.model_fields) & set(AlertView.model_fields)
    return VerdictRecord(
        alert_id=alert.id,
        verdict=said.get((None, None)),
        boxes=boxes,
        evidence=evidence,
        **alert.model_dump(include=fields - {"boxes", "evidence"}),
    )


def _judged_alerts(database: Database, *when: ColumnElement[bool]) -> Iterator[AlertView]:
    with database.read() as session:
        judged = select(Verdict.alert_id).join(Alert, Alert.id == Verdict.alert_id).where(*when)
        by_boxes = judged.where(Alert.reporter.is_(None))  # what people photograph is no camera's picture
        ids = session.scalars(by_boxes.distinct().order_by(Verdict.alert_id)).all()
    incidents = IncidentService(database)
    for alert_id in ids:
        yield incidents.get_alert(alert_id)


def _copied(store: BlobStore, alert: AlertView, folder: Path | None) -> dict[str, str]:
    if folder is None:
        return {}
    files = {}
    for item in alert.evidence:
        name = _name(item)
        if copy_to(store, item.sha256, folder / name):
            files[item.sha256] = name
    return files


def _name(item: EvidenceView) -> str:
    return f"evidence/{item.sha256}{EXTENSIONS[item.media_type]}"


def _judged(view: VerdictView) -> Judged:
    return Judged(verdict=view.verdict, reason=view.reason, note=view.note, user=view.user, at=view.at)

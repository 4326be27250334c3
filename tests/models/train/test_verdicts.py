"""Verdicts as a source of data: read from what central's own exporter wrote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from models.train.layouts import Layout, Reading
from models.train.verdicts import read_verdicts
from towerwatch.errors import ConfigError

T0 = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
BOX = {"label": "car", "confidence": 0.8, "x1": 0.1, "y1": 0.2, "x2": 0.3, "y2": 0.4}


def said(verdict: str, reason: str | None = None) -> dict[str, Any]:
    return {"verdict": verdict, "reason": reason, "note": "", "user": "li", "at": T0}


class Export:
    """A folder as central writes it; every line passes its schema."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "evidence").mkdir()
        self.lines: list[str] = []

    def picture(self, role: str, name: str, seconds: float = 0) -> dict[str, Any]:
        file = f"evidence/{name}.jpg"
        cv2.imwrite(str(self.folder / file), np.full((40, 60, 3), 90, np.uint8))
        about = {"sha256": "a" * 64, "bytes": 9, "media_type": "image/jpeg", "phase_seq": 0, "file": file}
        return {"role": role, "captured_at": T0 + timedelta(seconds=seconds), **about}

    def alert(self, verdict: dict[str, Any] | None, boxes: list, evidence: list, **more: Any) -> None:
        from alerts.export import VerdictRecord  # noqa: PLC0415 - a training environment lacks the database

        record = {
            "alert_id": f"{len(self.lines):032x}", "incident_id": 1, "kind": "illegal_parking",
            "site": "riverside", "edge": "box-1", "camera": "street-1", "preset": "fixed", "zone": "kerb",
            "zone_points": [], "started_at": T0, "ended_at": None, "confidence": 0.8, "measures": {},
            "rule": "illegal_parking/1", "model": "vehicle@0.1.0", "precision": "f32", "verdict": verdict,
            "boxes": boxes, "evidence": evidence, **more,
        }  # fmt: skip
        self.lines.append(VerdictRecord.model_validate(record).model_dump_json())

    def read(self, classes: dict[str, str] | None = None) -> Reading:
        (self.folder / "verdicts.jsonl").write_text("".join(f"{line}\n" for line in self.lines))
        return read_verdicts(Layout("city", self.folder, classes or {"car": "vehicle"}, str))


@pytest.fixture
def export(tmp_path: Path) -> Export:
    return Export(tmp_path)


def box(index: int = 0, seconds: float = 0, verdict: dict[str, Any] | None = None, **more: Any) -> dict:
    when = T0 + timedelta(seconds=seconds)
    return {**BOX, "phase_seq": 0, "box_index": index, "captured_at": when, "verdict": verdict, **more}


@pytest.mark.parametrize(
    ("verdict", "boxes"),
    [
        (said("true"), [box()]),
        (said("false", "permitted"), [box()]),
        (said("true"), [box(), box(1, verdict=said("false"))]),
        (None, [box(verdict=said("true"))]),
        (said("unsure"), [box(verdict=said("true"))]),
    ],
    ids=["confirmed", "thing there, no offence", "one box false", "box alone judged", "box decides"],
)
def test_what_is_right_becomes_a_box_on_the_picture_of_its_moment(export: Export, verdict, boxes) -> None:
    pictures = [export.picture("context_t0", "before", -60), export.picture("context_now", "now")]
    export.alert(verdict, boxes, [*pictures, export.picture("close_up", "close")])
    (sample,) = export.read().samples
    assert sample.picture.name == "now.jpg"
    assert sample.labels == ("vehicle",)
    np.testing.assert_allclose(sample.boxes, [[0.1, 0.2, 0.3, 0.4]])
    assert (sample.group, sample.source) == ("riverside/box-1/street-1", "city")


def test_of_a_vehicle_that_was_none_the_close_up_alone_is_a_negative(export: Export) -> None:
    pictures = [export.picture("context_now", "now"), export.picture("close_up", "close")]
    export.alert(said("false", "light_shadow"), [box()], pictures)
    (sample,) = export.read().samples
    assert (sample.picture.name, sample.labels) == ("close.jpg", ())


def test_of_smoke_that_was_none_whole_frames_are_negatives_but_for_the_end(export: Export) -> None:
    roles = ("context_t0", "context_mid", "context_now", "context_end", "close_up")
    pictures = [export.picture(role, role, index) for index, role in enumerate(roles)]
    export.alert(said("false", "fog_cloud"), [box(label="smoke")], pictures, kind="smoke")
    samples = export.read({"smoke": "smoke"}).samples
    assert [sample.picture.stem for sample in samples] == ["context_mid", "context_now", "context_t0"]
    assert not any(len(sample.boxes) for sample in samples)


def test_alerts_of_one_moment_share_their_picture(export: Export) -> None:
    shared = export.picture("context_now", "now")
    export.alert(said("true"), [box()], [shared])
    export.alert(said("true"), [box(x1=0.5, x2=0.7)], [shared])
    (sample,) = export.read().samples
    assert len(sample.boxes) == 2


@pytest.mark.parametrize(
    ("verdict", "boxes"),
    [
        (said("unsure"), [box()]),
        (said("false", "test"), [box()]),
        (said("false"), [box()]),
        (None, [box(), box(1, verdict=said("true"))]),
    ],
    ids=["unsure", "a test", "no reason", "one of two boxes unjudged"],
)
def test_what_says_nothing_is_left_out_and_named(export: Export, verdict, boxes) -> None:
    export.alert(verdict, boxes, [export.picture("context_now", "now"), export.picture("close_up", "close")])
    reading = export.read()
    assert reading.samples == []
    (problem,) = reading.problems
    assert "verdicts.jsonl:1: alert" in str(problem)
    assert "says nothing" in str(problem)


def test_other_classes_are_no_concern_and_broken_things_are_named(export: Export) -> None:
    export.alert(said("true"), [box(label="smoke")], [export.picture("context_now", "smoke")])
    export.alert(said("true"), [box()], [export.picture("context_now", "broken")])
    (export.folder / "evidence" / "broken.jpg").write_bytes(b"\xff\xd8 cut off")
    export.lines.append('{"schema_version": 2}')
    reading = export.read()
    assert reading.samples == []
    assert [str(problem).removeprefix(f"{export.folder}/") for problem in reading.problems] == [
        "verdicts.jsonl:3: schema_version: Input should be 1; left out",
        "evidence/broken.jpg: is a truncated JPEG; left out",
    ]


def test_a_folder_that_is_no_export_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"verdicts\.jsonl: cannot be read: No such file.*export-verdicts"):
        read_verdicts(Layout("city", tmp_path, {}, str))

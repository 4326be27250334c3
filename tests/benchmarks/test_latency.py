from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import central_kit as kit
import pytest

from alerts.store.database import Database
from alerts.store.migrate import upgrade
from benchmarks import latency
from edge.config import CameraConfig
from towerwatch import demosite

TRUTH = '{"zones": [{"id": "%s", "points": [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]}]}'


@pytest.mark.parametrize(("share", "value"), [(0.5, 10), (0.95, 19), (0.99, 20), (1.0, 20)])
def test_a_quantile_is_a_value_that_was_seen(share: float, value: float) -> None:
    assert latency.quantile([float(number) for number in range(20, 0, -1)], share) == value


def test_one_value_is_every_quantile() -> None:
    assert latency.quantile([3.0], 0.95) == 3.0


def test_the_cameras_are_what_a_box_takes(tmp_path: Path) -> None:
    for scene, zone in (("farmland", "none"), ("street", "kerb"), ("road", "road")):
        (tmp_path / f"{scene}.truth.json").write_text(TRUTH % zone)
    cameras = [*latency.analysis_cameras(8554), *latency.FULL.cameras(8554, tmp_path, 30)]
    parsed = [CameraConfig.model_validate(camera) for camera in cameras]
    assert len({camera.id for camera in parsed}) == latency.STREAMS + 30
    scenes = [camera.url.rpartition("/")[2] for camera in parsed[latency.STREAMS :]]
    assert {scene: scenes.count(f"{scene}.mp4") for scene in demosite.SCENES.values()} == {
        "farmland": 10,
        "street": 10,
        "road": 10,
    }


def test_the_quick_form_shows_the_street_alone_and_a_shorter_patience(tmp_path: Path) -> None:
    (tmp_path / "street.truth.json").write_text(TRUTH % "kerb")
    cameras = latency.QUICK.cameras(8554, tmp_path, 3)
    assert [camera["id"] for camera in cameras] == ["street-00", "street-01", "street-02"]
    rule = CameraConfig.model_validate(cameras[0]).views[0].rules[0]
    assert rule.model_dump()["legal_time_s"] == latency.QUICK.legal_s


def test_what_is_asked_of_opened_messages_is_judged() -> None:
    phases = [{"phase": "closed", "p95_s": 9.0}, {"phase": "opened", "p95_s": 1.8}]
    assert [one["ok"] for one in latency.asked_of(phases)] == [True]
    assert [one["ok"] for one in latency.asked_of([{"phase": "opened", "p95_s": 2.1}])] == [False]


def test_each_message_counts_once_from_the_capture_of_its_picture(tmp_path: Path) -> None:
    database, seen = Database(f"sqlite:///{tmp_path / 'central.db'}"), latency.Seen()
    upgrade(database)
    message = kit.alert("a", captured_at=datetime.now(UTC) - timedelta(seconds=7))
    kit.apply_all(database, [message])
    seen.look(database)
    seen.look(database)
    database.close()
    (row,) = seen.rows()
    assert (row["phase"], row["messages"]) == ("opened", 1)
    assert 7 <= row["p50_s"] == row["max_s"] < 60
    assert seen.opened == {message.camera}

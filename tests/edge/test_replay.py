"""A replay is the same pipeline over a file: repeatable to the byte, with messages of the contract."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from edge_scenes import LABELS, SceneDetector, Thing, car, picture, times, write_model
from typer.testing import CliRunner

from alerts.messages import AlertMessage, decode
from edge import replay as replay_module
from edge.config import EdgeConfig, load_config
from edge.replay import ReplayOptions, counted_ids, load_detectors, replay
from models.detector import Detector
from towerwatch.cli import app
from towerwatch.errors import ConfigError

CONFIG = """\
site: riverside
edge: box-1
models_dir: models
cameras:
  - id: street-1
    url: pictures
    interval_s: 2
    gate: {enabled: false}
    views:
      - preset: fixed
        zones: [{id: road, points: [[0, 0], [1, 0], [1, 1], [0, 1]]}]
        rules: [{kind: illegal_parking, zone: road, stop_time_s: 8, legal_time_s: 20, grace_s: 20}]
  - id: ptz-1
    url: pictures
    gate: {enabled: false}
    views:
      - {preset: east, rules: [{kind: smoke, model: vehicle, labels: [smoke]}]}
      - {preset: west, rules: [{kind: smoke, model: vehicle, labels: [smoke]}]}
"""
STAMPS = times(90)


def scene(t: float) -> list[Thing]:
    return [car(300), *([car(100, 100, colour=3)] if t < 40 else [])]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_model(tmp_path / "models", "vehicle", LABELS)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index, t in enumerate(STAMPS):
        image = picture(scene(t), noise_seed=index)
        cv2.imwrite(str(pictures / f"{1777622400 + int(t)}_{index}.png"), image)
    (tmp_path / "edge.yaml").write_text(CONFIG)
    return tmp_path


def run(folder: Path, name: str = "alerts.jsonl", **more: object) -> tuple[bytes, replay_module.ReplayResult]:
    options = ReplayOptions("street-1", folder / "pictures", **more)  # type: ignore[arg-type]
    detectors = {"vehicle": SceneDetector(scene, STAMPS)}
    result = replay(load_config(folder / "edge.yaml"), options, folder / name, detectors=detectors)
    return (folder / name).read_bytes(), result


def messages(data: bytes) -> list[AlertMessage]:
    decoded = [decode("alert", line) for line in data.splitlines()]
    return [message for message in decoded if isinstance(message, AlertMessage)]


def test_a_replay_writes_messages_of_the_contract_with_the_source_s_own_times(folder: Path) -> None:
    data, result = run(folder)
    told = messages(data)
    assert [(m.phase, m.phase_seq) for m in told] == [
        ("opened", 0), ("opened", 0), ("closed", 1), ("updated", 1),
    ]  # fmt: skip
    assert [m.outbox_seq for m in told] == [1, 2, 3, 4]
    assert told[0].started_at.isoformat() == "2026-05-01T08:00:00+00:00"
    assert told[0].site == "riverside"
    assert not told[0].clock.synchronised
    assert result.frames == len(STAMPS)
    assert result.source_s == 90
    assert [episode.opened for episode in result.still_open] == [True]


def test_two_replays_are_the_same_to_the_byte(folder: Path) -> None:
    assert (
        run(folder, "one.jsonl", evidence_dir=folder / "e1")[0]
        == (run(folder, "two.jsonl", evidence_dir=folder / "e2")[0])
    )


def test_evidence_and_drawings_are_written_when_asked_for(folder: Path) -> None:
    data, _ = run(folder, evidence_dir=folder / "evidence", draw_dir=folder / "drawn")
    opened = messages(data)[0]
    assert {one.role for one in opened.evidence} >= {"context_t0", "context_now", "close_up"}
    for one in opened.evidence:
        (file,) = (folder / "evidence").rglob(f"{one.sha256}*")
        assert file.stat().st_size == one.bytes
    drawn = sorted(path.name for path in (folder / "drawn").iterdir())
    assert len(drawn) == 4
    assert drawn[0].startswith("20260501T0800")
    assert cv2.imread(str(folder / "drawn" / drawn[0])).shape == (360, 640, 3)


def test_on_frame_hears_of_every_picture(folder: Path) -> None:
    heard: list[int] = []
    options = ReplayOptions("street-1", folder / "pictures")
    detectors = {"vehicle": SceneDetector(scene, STAMPS)}
    config = load_config(folder / "edge.yaml")
    replay(
        config, options, folder / "a.jsonl", detectors=detectors, on_frame=lambda r: heard.append(r.frames)
    )
    assert heard == list(range(1, len(STAMPS) + 1))


def test_a_replay_that_fails_leaves_no_half_written_alerts(folder: Path) -> None:
    options = ReplayOptions("street-1", folder / "pictures")
    detectors = {"vehicle": SceneDetector(scene, STAMPS[:5])}
    with pytest.raises(IndexError):
        replay(load_config(folder / "edge.yaml"), options, folder / "a.jsonl", detectors=detectors)
    assert list(folder.glob("a.jsonl*")) == []


def test_alerts_into_a_folder_are_refused_before_any_work(folder: Path) -> None:
    options = ReplayOptions("street-1", folder / "pictures")
    with pytest.raises(ConfigError, match="is a folder; name a file"):
        replay(load_config(folder / "edge.yaml"), options, folder, detectors={})


def test_a_replay_without_alerts_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = {"vehicle": SceneDetector(lambda _t: [], STAMPS)}
    monkeypatch.setattr(replay_module, "load_detectors", lambda _config, _camera: nothing)
    result = CliRunner().invoke(app, command(folder))
    assert result.exit_code == 0, result.output
    assert "no alerts" in result.stderr


@pytest.mark.parametrize(
    ("camera", "preset", "part"),
    [
        pytest.param("street-9", None, "there are: street-1, ptz-1", id="camera"),
        pytest.param("ptz-1", None, "name one of: east, west", id="which preset"),
        pytest.param("ptz-1", "north", "there are: east, west", id="preset"),
    ],
)
def test_what_is_not_in_the_configuration_is_told(
    folder: Path, camera: str, preset: str | None, part: str
) -> None:
    options = ReplayOptions(camera, folder / "pictures", preset)
    with pytest.raises(ConfigError, match=part):
        replay(load_config(folder / "edge.yaml"), options, folder / "a.jsonl", detectors={})


def test_the_preset_that_is_named_is_watched(folder: Path) -> None:
    options = ReplayOptions("ptz-1", folder / "pictures", "west")
    # where the second car was, the view has changed by then: smoke is what is new
    detectors = {"vehicle": SceneDetector(lambda t: [car(100, 100, label="smoke")] * (t >= 40), STAMPS)}
    replay(load_config(folder / "edge.yaml"), options, folder / "a.jsonl", detectors=detectors)
    assert {message.preset for message in messages((folder / "a.jsonl").read_bytes())} == {"west"}


def test_counted_ids_depend_on_scope_and_number() -> None:
    one, same, other = counted_ids("a"), counted_ids("a"), counted_ids("b")
    first = one()
    assert first == same() != other()
    assert one() != first
    assert len(first) == 32


def command(folder: Path, *more: str) -> list[str]:
    return [
        "edge", "replay", str(folder / "edge.yaml"), "--camera", "street-1",
        "--source", str(folder / "pictures"), "--alerts", str(folder / "out.jsonl"), *more,
    ]  # fmt: skip


def test_the_command_says_what_came_of_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scripted(_config: EdgeConfig, _camera: object) -> dict[str, Detector]:
        return {"vehicle": SceneDetector(scene, STAMPS)}

    monkeypatch.setattr(replay_module, "load_detectors", scripted)
    result = CliRunner().invoke(app, command(folder))
    assert result.exit_code == 0, result.output
    assert f"{len(STAMPS)} pictures" in result.stderr
    assert "illegal_parking opened: 2" in result.stderr
    assert "still open at the end of the source: 1" in result.stderr
    lines = (folder / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["camera"] for line in lines] == ["street-1"] * 4


UNUSABLE = {
    ("--start", "2026-05-01T08:00:00"): "append Z",
    ("--start", "9999-12-31T23:59:59-10:00"): "--start 9999-12-31T23:59:59-10:00: ",
    ("--source", "nowhere.mp4"): "--source nowhere.mp4: no such file or folder",
}


def test_an_option_that_cannot_be_used_is_named(folder: Path) -> None:
    for option, says in UNUSABLE.items():
        result = CliRunner().invoke(app, command(folder, *option))
        assert result.exit_code == 2
        assert says in result.stderr


def test_a_model_whose_file_is_not_there_is_one_line(folder: Path) -> None:
    config = load_config(folder / "edge.yaml")
    with pytest.raises(Exception, match=r"model\.onnx"):
        load_detectors(config, config.camera("street-1"))
    result = CliRunner().invoke(app, command(folder))
    assert result.exit_code in {1, 2}
    assert "Traceback" not in result.output
    assert len(result.stderr.strip().splitlines()) == 1

"""Detectors of a box: tuned where it watches, the manifest's own way where it replays."""

from __future__ import annotations

from pathlib import Path

import pytest
from edge_rig import Rig, camera

from edge.config import EdgeConfig, load_config
from edge.detectors import kept_way, open_detector, tune_if_new
from models.tune import Way

FOUND = Way(runtime="onnxruntime", precision="f32", threads=2, batch=4)


@pytest.fixture
def config(tmp_path: Path) -> EdgeConfig:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"")
    return load_config(Rig(tmp_path / "box", [camera("cam-1", clip)], tune=True).write())


def test_a_box_measures_a_new_model_once_in_a_process_of_its_own(
    config: EdgeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kept_way(config, "bright") is None
    tune_if_new(config, "bright")
    found = kept_way(config, "bright")
    assert found is not None
    assert (found.runtime, found.precision) == ("onnxruntime", "f32")
    monkeypatch.setattr("subprocess.run", lambda *_args, **_more: pytest.fail("measured again"))
    tune_if_new(config, "bright")


def test_a_model_that_cannot_be_measured_runs_in_the_manifests_way(
    config: EdgeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    tune_if_new(config, "bright")
    assert kept_way(config, "bright") is None
    detector = open_detector(config, "bright", tuned=True)
    assert detector.precision == "f32"
    detector.close()


def test_a_replay_does_not_run_what_this_machine_found(
    config: EdgeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr("edge.detectors.load_detector", lambda _name, **options: opened.append(options))
    monkeypatch.setattr("edge.detectors.kept_way", lambda _config, _name: FOUND)
    for tuned, box in ((True, config), (False, config), (True, config.model_copy(update={"tune": False}))):
        open_detector(box, "bright", tuned=tuned)
    assert [(one["threads"], one["batch"]) for one in opened] == [(2, 4), (1, 1), (1, 1)]

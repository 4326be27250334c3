"""A configuration that does not prove itself leaves the box as it was."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import components
import edge_rig
import pytest
from edge_rig import Rig, camera, running, scene

from edge import workers as edge_workers
from edge.config import EdgeConfig, ModelConfig, load_config
from edge.links import resolve_links
from edge.supervisor import BoxPaths, Supervisor
from edge.trial import Trial
from streams.serve import ServedFolder


@pytest.fixture
def cameras(tmp_path: Path) -> Iterator[ServedFolder]:
    (tmp_path / "clips").mkdir()
    scene(tmp_path / "clips" / "street.mp4")
    with ServedFolder(tmp_path / "clips") as served:
        yield served


def test_a_configuration_whose_workers_do_not_come_up_is_rolled_back(
    tmp_path: Path, cameras: ServedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path / "box", [camera("street-1", cameras.url("street.mp4"), legal_time_s=3600.0)])
    config = load_config(rig.write())
    box = Supervisor(config, resolve_links(config), BoxPaths(rig.config_file, "0" * 64))
    sound = edge_workers._enter
    with running(box):
        components.wait_until(lambda: box.workers and all(one.ready for one in box.workers), 40, "ready")
        monkeypatch.setattr(edge_workers, "_enter", crashes)
        trial = Trial(config.model_copy(update={"workers": 1}), "1" * 64, settle_s=0.1)
        assert box.try_configuration(trial)
        components.wait_until(lambda: box.workers and box.workers[0].spec.config is trial.config)
        monkeypatch.setattr(edge_workers, "_enter", sound)
        assert trial.done.wait(30)
        assert not trial.kept
        assert "exit code 3" in trial.why
        assert (box.config, box.paths.config_sha256) == (config, "0" * 64)
        components.wait_until(
            lambda: box.workers and all(one.ready for one in box.workers), 40, "ready again"
        )
        # a model whose digest is right and which no runtime can load
        edge_rig.put_model(rig.folder / "models", b"no network", name="hollow")
        blind = Trial(with_model(config, "hollow"), "2" * 64, settle_s=0.1)
        assert box.try_configuration(blind)
        assert blind.done.wait(40)
        assert not blind.kept
        assert "street-1" in blind.why
        assert "hollow" in blind.why
        assert box.config == config


def with_model(config: EdgeConfig, model: str) -> EdgeConfig:
    """Let the rules' detector be another model."""
    return config.model_copy(update={"models": {edge_rig.MODEL_NAME: ModelConfig(model=model)}})


def crashes(_connection: object, _spec: object) -> None:
    sys.exit(3)

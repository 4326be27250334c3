from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from models.train.mean import write_mean
from models.train.start import FitPlaces
from towerwatch.errors import ConfigError


@pytest.fixture
def checkpoint(tmp_path: Path) -> Any:
    """Return what writes the checkpoint of a run whose every parameter is one number."""
    torch = pytest.importorskip("torch", reason="needs the [train] extra")
    from ultralytics.nn.tasks import DetectionModel  # noqa: PLC0415 - in the [train] extra alone

    def write(run: str, value: float) -> Path:
        model = DetectionModel("yolov5n.yaml", nc=1, verbose=False)
        for parameter in model.parameters():
            torch.nn.init.constant_(parameter, value)
        path = tmp_path / "runs" / run / "fit" / "weights" / "best.pt"
        path.parent.mkdir(parents=True)
        torch.save({"model": model.half(), "ema": None}, path)
        return path

    return write


@pytest.mark.train
def test_each_network_has_its_share_in_the_mean(checkpoint: Any, tmp_path: Path) -> None:
    from ultralytics.nn.tasks import load_checkpoint  # noqa: PLC0415 - as above

    best = checkpoint("later", 1.0)
    checkpoint("first", 0.0)
    checkpoint("second", 3.0)
    places = FitPlaces(tmp_path, tmp_path / "runs")
    mean = write_mean(best, {"first": 0.5, "second": 0.25}, places, [])
    weight = load_checkpoint(str(mean))[0].state_dict()["model.5.conv.weight"]
    assert weight.unique().tolist() == [0.25 * 1 + 0.5 * 0 + 0.25 * 3]


@pytest.mark.train
def test_a_network_that_is_not_there_is_named(checkpoint: Any, tmp_path: Path) -> None:
    best = checkpoint("later", 1.0)
    with pytest.raises(ConfigError, match="train first first"):
        write_mean(best, {"first": 0.5}, FitPlaces(tmp_path, tmp_path / "runs"), [])
    assert not (best.parent / "mean.pt").exists()

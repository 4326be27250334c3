from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import ModelConfigError
from models.registry import find_model
from models.train.start import FitPlaces, load_start
from models.train.street_scenery import ground_texture
from towerwatch.errors import ConfigError

PICTURES = [ground_texture(128, np.random.default_rng(seed)) for seed in range(8)]


@pytest.fixture
def network() -> Any:
    pytest.importorskip("torch", reason="needs the [train] extra")
    from ultralytics.nn.tasks import DetectionModel  # noqa: PLC0415 - in the [train] extra alone

    return DetectionModel("yolov5n.yaml", nc=1, verbose=False).eval()


@pytest.fixture
def places(tmp_path: Path) -> FitPlaces:
    return FitPlaces(tmp_path / "weights", tmp_path / "runs")


def output(network: Any, blob: np.ndarray) -> np.ndarray:
    import torch  # noqa: PLC0415 - in the [train] extra alone

    with torch.no_grad():
        return network(torch.from_numpy(blob))[0].numpy()


@pytest.mark.train
def test_a_registered_model_computes_in_training_what_it_computes_at_the_edge(
    network: Any, places: FitPlaces
) -> None:
    import onnxruntime  # noqa: PLC0415 - loaded where it is used

    found = find_model("vehicle")
    load_start(network, found.manifest.reference, places, PICTURES)
    blob = np.random.default_rng(0).random((1, 3, 640, 640), np.float32)
    session = onnxruntime.InferenceSession(str(found.folder / "model.onnx"))
    want = session.run(None, {found.manifest.input.name: blob})[0]
    got = output(network, blob)
    np.testing.assert_allclose(got[:, 4:], want[:, 4:], atol=1e-4)
    np.testing.assert_allclose(got[:, :4], want[:, :4], atol=0.05)


@pytest.mark.train
def test_normalising_by_the_batch_changes_nothing_at_first(network: Any, places: FitPlaces) -> None:
    load_start(network, find_model("vehicle").manifest.reference, places, PICTURES)
    blob = np.stack([picture[..., ::-1].transpose(2, 0, 1) for picture in PICTURES]).astype(np.float32) / 255
    network.eval()
    want = output(network, blob)
    network.train()
    network.model[-1].eval()  # the head decodes boxes in evaluation alone; it has its own normalisations
    np.testing.assert_allclose(output(network, blob)[:, 4:], want[:, 4:], atol=1e-3)


@pytest.mark.parametrize(
    ("start", "error", "message"),
    [
        ("absent.safetensors", ConfigError, "no such file"),
        ("earlier", ConfigError, "train earlier first"),
        ("vehicle@99.0.0", ModelConfigError, "no version"),
    ],
    ids=["file", "recipe", "model"],
)
def test_a_start_that_is_not_there_is_named(
    places: FitPlaces, start: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_start(None, start, places, PICTURES)

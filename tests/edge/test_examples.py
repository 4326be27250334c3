"""Every example configuration loads, with models of the names it asks for."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import pytest
from edge_scenes import write_model

from edge.config import EdgeConfig, load_config

FOLDER = Path(str(resources.files("configs") / "examples"))
EXAMPLES = [path for path in sorted(FOLDER.glob("*.yaml")) if "\ncameras:" in path.read_text()]


def load(path: Path, folder: Path) -> EdgeConfig:
    write_model(folder / "models", "vehicle", ["vehicle"])
    write_model(folder / "models", "smoke", ["smoke"])
    copy = Path(shutil.copy(path, folder))
    copy.write_text(copy.read_text() + "\nmodels_dir: models\n")
    return load_config(copy)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_loads(path: Path, tmp_path: Path) -> None:
    config = load(path, tmp_path)
    assert all(camera.is_live for camera in config.cameras)


def test_the_street_example_holds_by_local_time(tmp_path: Path) -> None:
    (street,) = [path for path in EXAMPLES if path.name == "street.yaml"]
    rule = load(street, tmp_path).cameras[0].views[0].rules[0]
    assert rule.schedule is not None
    assert [len(window.days) for window in rule.schedule.windows] == [5, 2]

"""Every example configuration loads, with models of the names it asks for."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import pytest
import yaml
from edge_scenes import write_model

from edge.calibrate import calibrate_view
from edge.config import EdgeConfig, load_config
from edge.mount import PoseConfig

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


def test_the_tower_example_has_the_pose_that_its_points_give(tmp_path: Path) -> None:
    (tower,) = [path for path in EXAMPLES if path.name == "tower.yaml"]
    camera = load(tower, tmp_path).cameras[0]
    found = calibrate_view(camera, camera.views[0], FOLDER / "tower-points.csv", (1920, 1080))
    pose = camera.views[0].pose
    assert pose is not None
    assert PoseConfig.model_validate(yaml.safe_load(found.block)["pose"]) == pose
    assert not any("left out" in line for line in found.lines)

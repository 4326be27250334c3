"""Every example configuration loads, with models of the names it asks for."""

from __future__ import annotations

import shutil
from datetime import datetime
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


@pytest.mark.parametrize(
    ("local", "in_force"),
    [
        pytest.param("2025-10-01T08:00", False, id="a holiday before nine"),
        pytest.param("2025-10-01T21:00", True, id="a holiday's evening"),
        pytest.param("2025-10-11T08:00", True, id="a Saturday that is worked"),
        pytest.param("2025-10-13T21:00", False, id="a Monday's evening"),
    ],
)
def test_the_street_example_knows_holidays(tmp_path: Path, local: str, in_force: bool) -> None:
    (street,) = [path for path in EXAMPLES if path.name == "street.yaml"]
    camera = load(street, tmp_path).cameras[0]
    schedule = camera.views[0].rules[0].schedule
    assert schedule is not None
    at = datetime.fromisoformat(local).replace(tzinfo=camera.tz)
    assert schedule.in_force(at, camera.tz) is in_force


def test_the_tower_example_has_the_pose_that_its_points_give(tmp_path: Path) -> None:
    (tower,) = [path for path in EXAMPLES if path.name == "tower.yaml"]
    camera = load(tower, tmp_path).cameras[0]
    found = calibrate_view(camera, camera.views[0], FOLDER / "tower-points.csv", (1920, 1080))
    pose = camera.views[0].pose
    assert pose is not None
    assert PoseConfig.model_validate(yaml.safe_load(found.block)["pose"]) == pose
    assert not any("left out" in line for line in found.lines)

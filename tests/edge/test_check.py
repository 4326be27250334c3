"""``edge check --draw`` shows each camera with its zones, and says which cannot be reached."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from edge_scenes import LABELS, car, picture, write_model
from typer.testing import CliRunner

from edge.check import draw_all, snapshot
from edge.config import load_config
from edge.draw import draw_view
from edge.episode import LabelledBox
from streams.errors import StreamError, StreamUnavailable
from towerwatch.cli import app

CONFIG = """\
site: riverside
edge: box-1
models_dir: models
cameras:
  - id: file-1
    url: pictures
    views:
      - preset: east
        zones: [{id: road, points: [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]}]
        masks: [{points: [[0, 0], [0.05, 0], [0.05, 0.05]]}]
        rules: [{kind: smoke, model: vehicle}]
      - {preset: west, rules: [{kind: smoke, model: vehicle}]}
  - id: dead-1
    url: rtsp://127.0.0.1:9/none
    open_timeout_s: 1
    views: [{rules: [{kind: smoke, model: vehicle}]}]
"""


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    write_model(tmp_path / "models", "vehicle", LABELS)
    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures" / "1777622400.png"), picture([car(300)]))
    path = tmp_path / "edge.yaml"
    path.write_text(CONFIG)
    return path


def test_a_good_configuration_is_said_to_be_good(config_path: Path) -> None:
    result = CliRunner().invoke(app, ["edge", "check", str(config_path)])
    assert result.exit_code == 0
    assert "good; 2 cameras, 3 views" in result.stderr


def test_views_are_drawn_and_a_dead_camera_is_named(config_path: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["edge", "check", str(config_path), "--draw", str(tmp_path / "drawn")])
    assert result.exit_code == 1
    assert "dead-1: no picture" in result.stderr
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == [
        "file-1_east.jpg",
        "file-1_west.jpg",
    ]


def test_reachable_cameras_are_enough_for_success(config_path: Path, tmp_path: Path) -> None:
    config = load_config(config_path)
    drawn = list(draw_all(config, tmp_path / "drawn", lambda _camera: picture([])))
    assert [one.problem for one in drawn] == [None, None]
    assert len(drawn[0].pictures) == 2


def test_a_problem_is_one_line(config_path: Path, tmp_path: Path) -> None:
    def refuse(_camera: object) -> np.ndarray:
        msg = "no\nanswer"
        raise StreamUnavailable(msg)

    drawn = list(draw_all(load_config(config_path), tmp_path / "drawn", refuse))
    assert [one.problem for one in drawn] == ["no answer"] * 2


def test_an_empty_folder_is_no_camera(config_path: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures" / "1777622400.png").unlink()
    with pytest.raises(StreamError):
        snapshot(load_config(config_path).cameras[0])


def test_drawing_leaves_the_picture_itself_clean(config_path: Path) -> None:
    image = picture([car(300)])
    before = image.copy()
    view = load_config(config_path).cameras[0].views[0]
    drawn = draw_view(image, view, [LabelledBox("car", 0.8, (0.4, 0.5, 0.6, 0.7))])
    assert np.array_equal(image, before)
    assert drawn.shape == image.shape
    assert (drawn != image).any(axis=2)[100, 300]  # inside the zone
    assert tuple(drawn[round(0.6 * 359), round(0.4 * 640)]) == (0, 94, 213)  # the box's left side

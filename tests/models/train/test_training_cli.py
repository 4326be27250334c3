from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from models.errors import ModelConfigError
from models.train.cli import app
from models.train.judge_cli import app as judging
from models.train.readers import READERS
from towerwatch.errors import ConfigError, TowerwatchError

RECIPE = """name: tiny
labels: [vehicle]
sources:
  - {id: a, reader: yolo, path: a, licence: CC0-1.0, classes: {"0": vehicle}, hold_out: [p1]}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for kind in ("images", "labels"):
        (tmp_path / "a" / kind).mkdir(parents=True)
    for index in range(3):
        grey = np.full((40, 60, 3), 60 * index, np.uint8)
        cv2.imwrite(str(tmp_path / "a" / "images" / f"p{index}.png"), grey)
        (tmp_path / "a" / "labels" / f"p{index}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "a" / "labels" / "p2.txt").write_text("0 0.9 0.5 0.5 0.5\n")
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    return tmp_path


def run(*arguments: str, group: typer.Typer = app) -> None:
    result = CliRunner().invoke(group, list(arguments), standalone_mode=False)
    if result.exception is not None:
        raise result.exception


def test_inspect_writes_numbers_problems_and_sheets(data: Path) -> None:
    out = data / "out"
    run("inspect", str(data / "tiny.yaml"), "--data", str(data), "--into", str(out))
    numbers = json.loads((out / "statistics.json").read_text())
    assert numbers["a/train"]["pictures"] == 2
    assert numbers["a/held_out"]["boxes"] == {"vehicle": 1}
    assert "p2.txt:1: box" in (out / "problems.txt").read_text()
    assert cv2.imread(str(out / "a-train.png")) is not None


def test_a_missing_package_is_named_with_its_extra(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_layout: object) -> None:
        raise ModuleNotFoundError(name="torch")

    monkeypatch.setitem(READERS, "yolo", absent)
    with pytest.raises(TowerwatchError, match=r"torch: pip install 'towerwatch\[train\]'"):
        run("inspect", str(data / "tiny.yaml"), "--data", str(data), "--into", str(data / "out"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--rename", "car"], "write name=name"),
        (["--classes", "=x"], "write name=name"),
        (["--runtime", "x"], "one of auto"),
        (["--reader", "x"], "one of yolo"),
    ],
    ids=["rename", "classes", "runtime", "reader"],
)
def test_wrong_options_say_what_would_be_right(data: Path, more: list[str], message: str) -> None:
    arguments = ["evaluate", "m", "--data", str(data / "a"), "--json", str(data / "r.json"), *more]
    with pytest.raises(ModelConfigError, match=message):
        run(*arguments, group=judging)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "m", "--data", "none", "--json", "r.json"], "none: no such folder or recipe"),
        (["quantise", "--model", "m", "--pictures", "none"], "none: no such picture or folder"),
        (["quantise", "--model", "m", "--pictures", ".", "--runtime", "x"], "one of onnxruntime, openvino"),
    ],
    ids=["data", "pictures", "runtime"],
)
def test_missing_folders_are_named(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(*arguments, group=judging)

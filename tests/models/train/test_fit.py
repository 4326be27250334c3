from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.train.fit import fit
from models.train.prepare import Prepared
from models.train.recipe import Recipe, load_recipe
from models.train.start import FitPlaces
from models.train.street_scenery import ground_texture
from towerwatch.errors import ConfigError

EPOCHS = 4
RECIPE = """name: tiny
labels: [vehicle]
tile_px: 64
sources:
  - {id: a, reader: yolo, path: a, licence: CC0-1.0, classes: {"0": vehicle}, hold_out: [p0, p1]}
fit: {image_px: 64, batch: 4, epochs: 4, threads: 1, mosaic: 0, close_mosaic: 0, warmup_epochs: 0}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twenty good pictures, and one of each kind of bad one."""
    images, labels = (tmp_path / "a" / kind for kind in ("images", "labels"))
    for path in (images, labels):
        path.mkdir(parents=True)
    for index in range(20):
        cv2.imwrite(str(images / f"p{index}.jpg"), ground_texture(64, np.random.default_rng(index)))
        (labels / f"p{index}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (images / "copy.jpg").write_bytes((images / "p0.jpg").read_bytes())
    (images / "cut.jpg").write_bytes((images / "p2.jpg").read_bytes()[:-60])
    (images / "empty.jpg").write_bytes(b"")
    for name in ("copy", "cut", "empty"):
        (labels / f"{name}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (labels / "p5.txt").write_text("0 0.5 0.5 0.5 0.5\n0 0.9 0.5 0.5 0.5\n")
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    return tmp_path


def start(data: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "towerwatch", "models", "train", str(data / "tiny.yaml")]
    command += ["--data", str(data), "--weights", str(data), "--runs", str(data / "runs")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)


@pytest.mark.train
@pytest.mark.timeout(300)
def test_a_training_killed_in_mid_epoch_goes_on_from_its_last_checkpoint(data: Path) -> None:
    pytest.importorskip("ultralytics", reason="needs the [train] extra")
    first = start(data)
    assert first.stdout is not None
    seen = b""
    while b"2/4" not in seen:  # the second of four epochs has begun
        chunk = os.read(first.stdout.fileno(), 65536)
        assert chunk, seen.decode()
        seen += chunk
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    fit_folder = data / "runs" / "tiny" / "fit"
    before = (fit_folder / "results.csv").read_text().splitlines()
    digest = json.loads((fit_folder / "run.json").read_text())["data_digest"]

    again = start(data)
    out, _ = again.communicate()
    assert again.returncode == 0, out.decode()
    assert f"tiny: continues, data {digest[:12]}" in out.decode()
    record = json.loads((fit_folder / "run.json").read_text())
    assert record["data_digest"] == digest
    assert record["finished"]
    after = (fit_folder / "results.csv").read_text().splitlines()
    assert [int(row["epoch"]) for row in csv.DictReader(after)] == list(range(1, EPOCHS + 1))
    assert after[: len(before)] == before

    problems = (data / "runs" / "tiny" / "data" / "problems.txt").read_text()
    for part in (
        "cut.jpg: is a truncated JPEG; left out",
        "empty.jpg: is empty; left out",
        "p5.txt:2: box",
        "copy.jpg: near-duplicate (0 bits) of held-out p0.jpg; left out of training",
    ):
        assert part in problems
        assert part in seen.decode()
    assert len(list((data / "runs" / "tiny" / "data" / "images" / "train").iterdir())) == 18


@pytest.fixture
def tiny(tmp_path: Path) -> Recipe:
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    return load_recipe(tmp_path / "tiny.yaml")


def recorded(tmp_path: Path, **more: object) -> FitPlaces:
    folder = tmp_path / "runs" / "tiny" / "fit"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"data_digest": "a" * 64, **more}))
    return FitPlaces(tmp_path, tmp_path / "runs")


def test_a_run_is_not_continued_on_other_data(tiny: Recipe, tmp_path: Path) -> None:
    places = recorded(tmp_path)
    with pytest.raises(ConfigError, match="was started on data aaaaaaaaaaaa, not bbbbbbbbbbbb"):
        fit(tiny, Prepared(tmp_path, "b" * 64, {}), places, print)


def test_a_finished_run_is_left_as_it_is(tiny: Recipe, tmp_path: Path) -> None:
    said: list[str] = []
    best = fit(tiny, Prepared(tmp_path, "a" * 64, {}), recorded(tmp_path, finished=True), said.append)
    assert best.name == "best.pt"
    assert said == ["tiny: already finished"]

"""One whole round: verdicts out of a running central, a model trained on them, judged, and on a box again.

The commands are those of ``docs/retraining.md``. Training needs torch, so they run in an environment of
its own: ``make setup-train``, or the Python that ``TOWERWATCH_TRAIN_PYTHON`` names.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import edge_rig
import httpx
import numpy as np
import pytest
import yaml
from city import Box, City, until
from components import (
    REPOSITORY,
    Program,
    free_port,
    missing,
    port_open,
    run_command,
    towerwatch,
    wait_until,
)

from models.registry import find_model

pytestmark = pytest.mark.e2e

SIDE = 160
NEW = "99.0.0"
RECIPE = """
name: round
labels: [vehicle]
seed: 3
tile_px: 96
sources:
  - {id: verdicts, reader: verdicts, path: verdicts, licence: own, classes: {car: vehicle}}
  - id: drawn
    reader: yolo
    path: drawn
    licence: CC0-1.0
    classes: {"0": vehicle}
    group: '^(g[0-9])_'
    hold_out_count: 2
    tiles: {scale: [0.4, 0.8]}
fit: {start: PARENT, image_px: 96, batch: 8, epochs: 1, threads: 1, mosaic: 0, close_mosaic: 0}
"""


@dataclass
class Workshop:
    """Where an engineer retrains: a folder, and an environment with the [train] extra."""

    folder: Path
    python: str

    def run(self, *arguments: str | Path, code: int = 0) -> str:
        done = subprocess.run(
            [self.python, "-m", "towerwatch", "models", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=self.folder,
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


def train_python() -> str:
    """Return the Python of the training environment, or skip/fail."""
    named = os.environ.get("TOWERWATCH_TRAIN_PYTHON")
    python = Path(named) if named else REPOSITORY / ".venv-train" / "bin" / "python"
    probe = "import torch, ultralytics, pycocotools, onnx"
    if (
        not python.exists()
        or subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode
    ):
        missing("an environment with the [train] extra", "make setup-train")
    return str(python)


@contextmanager
def street(tmp_path: Path) -> Iterator[tuple[City, Box]]:
    """A city with one box and two cameras above a street with a standing car."""
    clips = tmp_path / "clips"
    clips.mkdir()
    edge_rig.scene(clips / "scene.mp4", seconds=30)
    edge_rig.bright_model(tmp_path / "box-models")
    port = free_port()
    server = Program(towerwatch("streams", "serve", clips, "--port", str(port)), tmp_path / "serve.log")
    city = City(tmp_path / "city")
    with city, server:
        wait_until(lambda: port_open(port), what="RTSP server listening")
        url = f"rtsp://127.0.0.1:{port}/scene.mp4"
        cameras = [edge_rig.camera(name, url) for name in ("kerb-1", "kerb-2")]
        with city.box("box-1", cameras, models_dir=str(tmp_path / "box-models")) as box:
            yield city, box


def judge(city: City) -> None:
    """Confirm what the first camera saw and dismiss what the second did, once their pictures are here."""

    def pictured() -> dict[str, dict[str, Any]] | None:
        found = {
            alert["camera"]: alert
            for alert in city.alerts()
            if {"context_now", "close_up"} <= {item["role"] for item in alert["evidence"] if item["present"]}
        }
        return found if len(found) == 2 else None

    alerts = until(pictured, 90, "an alert of each camera, with its pictures")
    assert isinstance(alerts, dict)
    said = {"kerb-1": {"verdict": "true"}, "kerb-2": {"verdict": "false", "reason": "light_shadow"}}
    for camera, body in said.items():
        url = f"http://127.0.0.1:{city.port}/api/v1/alerts/{alerts[camera]['id']}/verdict"
        httpx.post(url, json=body, headers=city.headers, timeout=20).raise_for_status()


def draw(folder: Path) -> None:
    """Draw what an engineer has beside the verdicts: twelve labelled pictures of six places."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for index in range(12):
        rng = np.random.default_rng(index)
        picture = rng.integers(50, 130, (12, 20, 3), np.uint8).repeat(20, 0).repeat(16, 1)
        x, y = int(rng.integers(10, 240)), int(rng.integers(10, 180))
        picture[y : y + 40, x : x + 60] = 255
        name = f"g{index % 6}_{index}"
        cv2.imwrite(str(folder / "images" / f"{name}.jpg"), picture)
        box = ((x + 30) / 320, (y + 20) / 240, 60 / 320, 40 / 240)
        (folder / "labels" / f"{name}.txt").write_text("0 " + " ".join(map(str, box)) + "\n")


def train_and_promote(workshop: Workshop, parent: str) -> None:
    """Train on verdicts and drawings, export, judge against the parent, promote as the gates say."""
    (workshop.folder / "round.yaml").write_text(RECIPE.replace("PARENT", parent))
    said = workshop.run("train", "round.yaml", "--data", "data")
    assert "verdicts: 2 to train on" in said
    workshop.run("export", "round.yaml", "--version", NEW, "--side", str(SIDE))
    candidate = f"vehicle@{NEW}"
    judged = ["--data", "round.yaml", "--data-root", "data", "--json", "report.json"]
    workshop.run("evaluate", candidate, "--against", parent, *judged)

    new, old = json.loads((workshop.folder / "report.json").read_text())["models"]
    worse = new["map50"] < old["map50"]
    gate = ["promote", candidate, "--report", "report.json", "--gate", "map50"]
    said = workshop.run(*gate, code=1 if worse else 0)
    assert ("WORSE" in said) is worse
    if worse:
        workshop.run(*gate, "--force", "--reason", "a test of one epoch")
    assert (workshop.folder / "site-models" / "vehicle" / "active").read_text() == f"{NEW}\n"


def with_model(box: Box, name: str, label: str) -> Path:
    """Write the box's configuration anew, with another model in its rules."""
    document = yaml.safe_load(box.config_file.read_text())
    for camera in document["cameras"]:
        rule = camera["views"][0]["rules"][0]
        rule.update(model=name, labels=[label])
    path = box.folder / f"{label}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def roll_out_and_back(city: City, box: Box, version: Path) -> None:
    """Send the version to the box; it runs once its digest is right, and not before; then take it back."""
    before = box.config_file.read_bytes()
    sent = ("--edge", "box-1", "--config", city.config)
    run_command("central", "rollout", "model", version, *sent, timeout_s=120)
    there = box.folder.parent.parent / "box-models" / "vehicle" / NEW / "model.onnx"
    assert there.read_bytes() == (version / "model.onnx").read_bytes()

    config = with_model(box, f"vehicle@{NEW}", "vehicle")
    there.write_bytes(there.read_bytes()[:-1] + b"x")
    refused = subprocess.run(
        towerwatch("central", "rollout", "config", config, *sent),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert "not loaded: its sha256 is" in refused.stdout
    assert box.config_file.read_bytes() == before

    there.write_bytes((version / "model.onnx").read_bytes())
    assert "box-1: ok: applied" in run_command("central", "rollout", "config", config, *sent, timeout_s=300)
    assert box.config_file.read_bytes() == config.read_bytes()
    until(lambda: states(city) == {"fresh"}, 60, "both cameras seeing with the new model")

    former = box.config_file.with_name("edge.yaml.previous")
    assert "box-1: ok: applied" in run_command("central", "rollout", "config", former, *sent, timeout_s=300)
    assert box.config_file.read_bytes() == before


def states(city: City) -> set[str]:
    return {camera["state"] for camera in city.get("/api/v1/cameras")}


@pytest.mark.timeout(600)
def test_a_round_of_retraining(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path / "workshop", train_python())
    draw(workshop.folder / "data" / "drawn")
    parent = find_model("vehicle").manifest.reference
    with street(tmp_path) as (city, box):
        judge(city)
        out = workshop.folder / "data" / "verdicts"
        assert "wrote 2 judged alerts" in run_command(
            "central", "export-verdicts", "--out", out, "--config", city.config
        )
        train_and_promote(workshop, parent)
        roll_out_and_back(city, box, workshop.folder / "site-models" / "vehicle" / NEW)
    assert f"vehicle@{parent.partition('@')[2]} is active" in workshop.run("rollback", "vehicle")
    assert workshop.run("verify").count(": ok") >= 2

from __future__ import annotations

import json
from pathlib import Path

from models.registry import find_model
from models.train.card import card_text, read_figure
from models.train.gate import table
from models.train.recipe import Card, Recipe

METRICS = {
    "pictures": 9,
    "map50_95": 0.5,
    "recall": 0.9,
    "precision": 0.8,
    "empty_frames_with_box_frac": None,
}


def written(path: Path, title: str, document: dict) -> Path:
    command = f"towerwatch models any --data /here/data --title '{title}' --json {path}"
    path.write_text(json.dumps({"title": title, "command": command, "document": document}))
    return path


def test_a_card_shows_each_figure_with_the_command_that_makes_it_again(tmp_path: Path) -> None:
    rows = table(
        {
            ("f32", "openvino"): METRICS | {"map50": 0.88, "cpu_ms": 84.0},
            ("int8", "openvino"): METRICS | {"map50": 0.87, "cpu_ms": 35.0},
        }
    )
    judged = METRICS | {"model": "vehicle@1", "numeric": "int8", "threshold": 0.25, "iou": 0.5, "map50": 0.87}
    judged |= {"intervals_95": {"recall": [0.8, 0.95]}}
    seen = {"model": "vehicle@1", "numeric": "int8", "frames": 74, "other_boxes_per_frame": 3.9}
    paths = [
        written(tmp_path / "ways.json", "Precisions", {"model": "vehicle@1", "ways": rows}),
        written(tmp_path / "judged.json", "Clips", judged),
        written(tmp_path / "places.json", "A street", seen | {"seen_frac": {"red": 0.51}}),
    ]
    recipe = Recipe(
        name="tiny", labels=("vehicle",), sources=(), card=Card(purpose="Finds.", fails=("Night.",))
    )
    figures = [read_figure(path, {"/here/data": "DATA"}) for path in paths]
    text = card_text(find_model("vehicle").manifest, recipe, figures, ["towerwatch models train tiny.yaml"])
    assert "| int8 | openvino | 9 | 0.87 | 0.5 | 35.0 | 2.4 |" in text
    assert "| vehicle@1 int8 | 0.25, IoU 0.5 | 9 | 0.87 | 0.5 | 0.9 (0.8 to 0.95) | 0.8 | - | - |" in text
    assert "| red | 0.51 |" in text
    assert "vehicle@1 int8. Frames judged: 74; other boxes a frame: 3.9." in text
    assert text.count("`towerwatch models any --data DATA --json OUT.json`") == 3

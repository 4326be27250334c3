from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import tiny_onnx as tiny
from typer.testing import CliRunner

from models import registry
from towerwatch.cli import app


@pytest.fixture(autouse=True)
def nothing_shipped(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "shipped_dir", lambda: tmp_path / "none")


def run(*arguments, models_dir=None):
    more = [] if models_dir is None else ["--models-dir", str(models_dir)]
    return CliRunner().invoke(app, ["models", *map(str, arguments), *more])


def words(result) -> str:
    return " ".join(result.output.split())


@pytest.fixture
def pictures(tmp_path, picture):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        cv2.imwrite(str(folder / name), picture)
    return folder


def test_import_list_verify_predict(tmp_path, models_dir, pictures):
    file = tiny.write(tmp_path / "a.onnx", {"output0": tiny.yolov8()}, batch="n")
    imported = run(
        "import",
        file,
        "--name",
        "town",
        "--labels",
        "car,bus,smoke",
        "--confidence",
        "0.6",
        models_dir=models_dir,
    )
    assert imported.exit_code == 0, imported.output
    assert "yolov8" in imported.output
    assert "126 anchors" in words(imported)

    listed = run("list", "--json", models_dir=models_dir)
    assert [
        (row["name"], row["version"], row["active"], row["labels"]) for row in json.loads(listed.output)
    ] == [("town", "1.0.0", True, list(tiny.LABELS))]
    assert "town@1.0.0" in run("list", models_dir=models_dir).output

    assert run("verify", models_dir=models_dir).output.startswith("town@1.0.0: ok")

    out = tmp_path / "out" / "boxes.json"
    drawn = tmp_path / "drawn"
    predicted = run("predict", "town", pictures, "--json", out, "--draw", drawn, models_dir=models_dir)
    assert predicted.exit_code == 0, predicted.output
    assert "2 pictures, 4 boxes, 0 failed (town@1.0.0)" in predicted.output
    document = json.loads(out.read_text())
    assert [item["path"] for item in document["pictures"]] == ["a.jpg", "b.jpg"]
    assert document["pictures"][0]["detections"][0] == {
        "label": "car",
        "class_id": 0,
        "confidence": 0.9,
        "xyxy_px": pytest.approx([20.0, 10.0, 68.0, 42.0], abs=0.01),
    }
    assert sorted(item.name for item in drawn.iterdir()) == ["a.jpg", "b.jpg"]
    assert (cv2.imread(str(drawn / "a.jpg")).astype(int) - 90).max() > 50


def test_predict_goes_on_after_a_broken_picture_and_says_so(add_model, models_dir, pictures, tmp_path):
    add_model()
    (pictures / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    out = tmp_path / "boxes.json"
    result = run("predict", "tiny", pictures, "--json", out, models_dir=models_dir)
    assert result.exit_code == 1
    assert "broken.jpg: is no picture that can be decoded" in result.output
    assert "2 pictures, 6 boxes, 1 failed" in result.output
    assert [item["path"] for item in json.loads(out.read_text())["failed"]] == ["broken.jpg"]


def test_predict_takes_one_picture_and_tiles(add_model, models_dir, pictures):
    add_model()
    assert "1 pictures, 3 boxes" in run("predict", "tiny", pictures / "a.jpg", models_dir=models_dir).output
    tiled = run("predict", "tiny", pictures / "a.jpg", "--tiles", "96", models_dir=models_dir)
    assert tiled.exit_code == 0
    assert int(tiled.output.split(", ")[1].split()[0]) > 3  # every tile holds the planted boxes


def test_verify_fails_for_a_changed_file(add_model, models_dir):
    folder = add_model()
    add_model(version="2.0.0")
    (folder / "model.onnx").write_bytes(b"other")
    result = run("verify", "tiny", models_dir=models_dir)
    assert result.exit_code == 1
    assert "tiny@2.0.0: ok" in result.output
    assert "tiny@1.0.0: WRONG" in result.output
    assert "its sha256 is" in result.output
    assert run("verify", "tiny@2.0.0", models_dir=models_dir).exit_code == 0


def test_predict_never_loads_a_changed_file(add_model, models_dir, pictures):
    (add_model() / "model.onnx").write_bytes(b"other")
    result = run("predict", "tiny", pictures, models_dir=models_dir)
    assert result.exit_code == 1
    assert "not loaded: its sha256 is" in words(result)


def test_nothing_to_verify_is_said(models_dir):
    assert run("verify", models_dir=models_dir).output == "no models\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["verify", "nope"], 2, "no model 'nope'", id="verify"),
        pytest.param(["predict", "nope", "."], 2, "holds no picture", id="predict nothing"),
        pytest.param(
            ["import", "x.onnx", "--name", "x", "--labels", "a"], 2, "x.onnx: cannot be read", id="import"
        ),
        pytest.param(
            ["import", "x.onnx", "--name", "x", "--labels", "none.txt"], 2, "no such labels file", id="labels"
        ),
        pytest.param(["predict", "nope", "x.jpg"], 2, "x.jpg: no such picture", id="predict picture"),
        pytest.param(["promote", "nope"], 2, "name the version", id="promote a bare name"),
        pytest.param(["promote", "nope@1", "--force"], 2, "--force needs --reason", id="force"),
        pytest.param(["promote", "nope@1"], 2, "no model 'nope'", id="promote"),
        pytest.param(["rollback", "nope"], 2, "no promotion to take back", id="rollback"),
        pytest.param(["import", "x.onnx", "--name", "x", "--size", "big"], 2, "write WxH", id="size"),
        pytest.param(
            ["import", "x.onnx", "--name", "x", "--probe", "p.jpg"], 2, "--probe p.jpg: cannot", id="probe"
        ),
    ],
)
def test_errors_are_one_line_with_an_exit_code(models_dir, tmp_path, monkeypatch, arguments, code, said):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments, models_dir=models_dir)
    assert result.exit_code == code
    assert said in words(result)
    assert "Traceback" not in result.output


def test_import_takes_size_and_probe(tmp_path, models_dir):
    file = tiny.write(tmp_path / "a.onnx", {"output0": tiny.yolov8()}, batch="n", size=None)
    cv2.imwrite(str(tmp_path / "p.png"), np.full((64, 96, 3), 90, np.uint8))
    result = run(
        "import", file, "--name", "a", "--labels", "car,bus,smoke", "--size", "96x64",
        "--probe", tmp_path / "p.png", models_dir=models_dir,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "3 boxes of at least 0.25" in words(result)


def test_a_broken_manifest_is_named_and_the_others_are_still_listed_and_verified(add_model, models_dir):
    add_model()
    (add_model("other") / "manifest.json").write_text('{"name": "other"}')
    listed = run("list", models_dir=models_dir)
    assert listed.exit_code == 1
    assert "tiny@1.0.0" in listed.output
    assert "other/1.0.0/manifest.json: version: Field required" in words(listed)
    verified = run("verify", models_dir=models_dir)
    assert verified.exit_code == 1
    assert "tiny@1.0.0: ok" in verified.output
    assert "other/1.0.0/manifest.json: version: Field required" in words(verified)
    assert run("verify", "tiny", models_dir=models_dir).exit_code == 0

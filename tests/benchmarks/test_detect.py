from __future__ import annotations

import json

import pytest
import tiny_onnx as tiny
from typer.testing import CliRunner

from benchmarks import detect
from models import registry


@pytest.fixture(autouse=True)
def nothing_shipped(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "shipped_dir", lambda: tmp_path / "none")
    monkeypatch.setattr(detect, "shipped_dir", lambda: tmp_path / "none")


def run(*arguments):
    app = detect.typer.Typer()
    app.command()(detect.main)
    return CliRunner().invoke(app, [str(item) for item in arguments])


@pytest.mark.parametrize("quick", [True, False], ids=["quick", "full"])
def test_every_way_is_timed_or_named_with_its_reason(tmp_path, monkeypatch, quick):
    monkeypatch.setattr(detect, "QUICK_TOTAL_S", 0.2)
    monkeypatch.setattr(detect, "FULL_TOTAL_S", 0.2)
    monkeypatch.setattr(detect, "usable_cores", lambda: 2)
    file = tiny.write(tmp_path / "Tiny Model.onnx", {"output0": tiny.yolov8()}, batch="n")
    out = tmp_path / "out" / "detect.json"
    result = run("--model", file, "--json", out, *(["--quick"] if quick else []))
    assert result.exit_code == 0, result.output
    content = json.loads(out.read_text())
    assert (content["benchmark"], content["quick"]) == ("detect", quick)
    timed = {
        (row["runtime"], row["provider"], row["precision"], row["batch"], row["threads"])
        for row in content["results"]
    }
    skipped = {(row["runtime"], row["provider"], row["precision"]) for row in content["skipped"]}
    threads = (1,) if quick else (1, 2)
    for runtime in ("onnxruntime", "openvino"):
        assert {(runtime, "cpu", "f32", batch, count) for batch in (1, 4) for count in threads} <= timed
    assert ("openvino", "cpu", "bf16") in skipped | {item[:3] for item in timed}
    assert all(row["reason"] for row in content["skipped"])
    for row in content["results"]:
        assert row["model"] == "tiny-model@0"
        assert row["boxes"] == 3
        assert row["fps"] == pytest.approx(1000 / row["ms_per_picture"])
    reference = [row for row in content["results"] if row["ratio_to_reference"] == 1.0]
    assert {(row["runtime"], row["batch"], row["threads"]) for row in reference} == {("onnxruntime", 1, 1)}
    if not content["machine"]["gpus"]:
        assert "no GPU on this machine: CUDA and TensorRT are not measured" in result.output


def test_a_graph_that_takes_any_size_is_timed_at_several(tmp_path):
    """Planted outputs fit one size alone, so sizes that the graph fails on are left out."""
    file = tiny.write(tmp_path / "a.onnx", {"output0": tiny.yolov8()})
    (found,) = detect.chosen_models([file], tmp_path / "m")
    assert [item.manifest.input.width_px for item in detect.resized(found)] == [96]


def test_nothing_to_time_is_an_error(tmp_path):
    result = run("--quick", "--json", tmp_path / "x.json")
    assert result.exit_code == 2
    assert "--model FILE.onnx" in result.output

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import DigestMismatch, ModelConfigError, ModelFileError
from models.manifest import Manifest, natural_key, read_manifest, read_verified, sha256_of, write_manifest
from towerwatch.errors import ConfigError, PermanentError

SHA = "0" * 64


def document(**changes):
    file = {"path": "model.onnx", "precision": "f32", "sha256": SHA, "bytes": 10}
    return {
        "name": "smoke",
        "version": "1.2.0",
        "labels": ["smoke"],
        "input": {"name": "images", "width_px": 640, "height_px": 384},
        "decoder": {"kind": "yolov8", "outputs": ["output0"]},
        "files": [file],
        **changes,
    }


def file_of(precision, path, runtimes=("onnxruntime", "openvino")):
    return {"path": path, "precision": precision, "sha256": SHA, "bytes": 1, "runtimes": list(runtimes)}


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    manifest = Manifest.model_validate(
        document(
            passed=["f32", "bf16"],
            trained_on=["nemo, Apache-2.0"],
            metrics={"f32": {"map50": 0.8, "interval": [0.7, 0.9]}},
            parent="smoke@1.1.0",
        )
    )
    path = write_manifest(manifest, tmp_path)
    assert read_manifest(path) == manifest
    assert manifest.reference == "smoke@1.2.0"
    assert [item.name for item in tmp_path.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"labels": []}, "labels:", id="no labels"),
        pytest.param({"labels": ["a", "a"]}, "labels: each may stand once", id="label twice"),
        pytest.param({"name": "Smoke!"}, "name:", id="bad name"),
        pytest.param({"version": "../1"}, "version:", id="version that leaves the folder"),
        pytest.param({"files": []}, "files:", id="no files"),
        pytest.param(
            {"files": [file_of("f32", "../model.onnx")]}, "files[0].path: must be", id="file outside"
        ),
        pytest.param(
            {"files": [file_of("f32", "/model.onnx")]}, "files[0].path: must be", id="file absolute"
        ),
        pytest.param({"files": [file_of("bf16", "m.onnx")]}, "files[0].precision", id="bf16 is no file"),
        pytest.param(
            {"files": [file_of("f32", "a.onnx"), file_of("f32", "b.onnx", ["openvino"])]},
            "two files of one precision",
            id="ambiguous files",
        ),
        pytest.param(
            {"passed": ["int8"], "default_precision": "int8"}, "no file has precision int8", id="no file"
        ),
        pytest.param({"default_precision": "bf16"}, "bf16 is not among passed", id="default has not passed"),
        pytest.param({"treshold": 1}, "treshold:", id="unknown key"),
        pytest.param({"thresholds": {"confidence": 1.5}}, "thresholds.confidence:", id="out of range"),
        pytest.param(
            {"input": {"name": "i", "width_px": 640, "height_px": 640, "std": [1, 0, 1]}},
            "input.std:",
            id="std 0",
        ),
        pytest.param(
            {"decoder": {"kind": "yolov99", "outputs": ["o"]}}, "decoder.kind:", id="unknown decoder"
        ),
    ],
)
def test_what_does_not_fit_is_named_with_its_key(tmp_path, changes, said):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(document(**changes)), encoding="utf-8")
    with pytest.raises(ModelConfigError) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert isinstance(caught.value, ConfigError)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"], ids=["empty", "cut", "list", "binary"])
def test_what_is_no_manifest_is_a_config_error(tmp_path, text):
    path = tmp_path / "manifest.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ModelConfigError, match=r"manifest\.json"):
        read_manifest(path)


def test_an_absent_manifest_is_a_config_error(tmp_path):
    with pytest.raises(ModelConfigError, match="cannot be read: No such file"):
        read_manifest(tmp_path / "manifest.json")


def test_the_file_follows_from_precision_and_runtime():
    manifest = Manifest.model_validate(
        document(
            files=[
                file_of("f32", "a.onnx"),
                file_of("int8", "ort.onnx", ["onnxruntime"]),
                file_of("int8", "ov.onnx", ["openvino"]),
            ],
            passed=["f32", "bf16", "int8"],
        )
    )
    path = {
        (precision, runtime): getattr(manifest.file_for(precision, runtime), "path", None)
        for precision in ("f32", "bf16", "int8", "f16")
        for runtime in ("onnxruntime", "openvino")
    }
    assert path == {
        ("f32", "onnxruntime"): "a.onnx",
        ("f32", "openvino"): "a.onnx",
        ("bf16", "onnxruntime"): "a.onnx",
        ("bf16", "openvino"): "a.onnx",
        ("int8", "onnxruntime"): "ort.onnx",
        ("int8", "openvino"): "ov.onnx",
        ("f16", "onnxruntime"): None,
        ("f16", "openvino"): None,
    }


def test_a_file_whose_digest_differs_is_not_returned(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"0123456789")
    file = Manifest.model_validate(document()).files[0]
    with pytest.raises(DigestMismatch) as caught:
        read_verified(file, tmp_path)
    assert isinstance(caught.value, PermanentError)
    assert sha256_of(tmp_path / "model.onnx") in str(caught.value)
    assert SHA in str(caught.value)
    right = file.model_copy(update={"sha256": sha256_of(tmp_path / "model.onnx")})
    assert read_verified(right, tmp_path) == b"0123456789"


def test_an_absent_file_is_named(tmp_path):
    file = Manifest.model_validate(document()).files[0]
    with pytest.raises(ModelFileError, match=r"model\.onnx: cannot be read"):
        read_verified(file, tmp_path)
    with pytest.raises(ModelFileError, match=r"model\.onnx: cannot be read"):
        sha256_of(tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.9", "1.10"),
        ("1.0-rc1", "1.0"),
        ("1.0.0", "1.0.1"),
        ("1.0", "1.0.1"),
        ("1.0-rc1", "1.0-rc2"),
        ("9", "10"),
    ],
)
def test_versions_are_ordered_as_people_order_them(older, newer):
    assert natural_key(older) < natural_key(newer)


@given(st.lists(st.text("0123456789abz.-+_", max_size=12), min_size=2, max_size=6))
def test_any_versions_can_be_ordered(versions):
    keys = sorted(natural_key(version) for version in versions)
    assert all(older <= newer for older, newer in itertools.pairwise(keys))

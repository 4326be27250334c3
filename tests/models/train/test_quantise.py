from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.manifest import InputSpec, read_manifest, write_manifest
from models.registry import find_model
from models.train import quantise
from models.train.quantise import add_int8, float_nodes, unsigned_activations
from models.train.ranges import SILU_FLOOR, range_overrides


def graph(
    nodes: list, constants: dict[str, np.ndarray], shape: list, outputs: list[str], source: str = "x"
) -> onnx.ModelProto:
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def test_the_head_stays_float_but_not_the_features_whose_size_it_asks_for(tmp_path: Path) -> None:
    weights = {name: np.ones((1, 1, 1, 1), np.float32) for name in ("w0", "w1", "w2")}
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], name="features"),
        helper.make_node("Shape", ["a"], ["size"], name="size"),
        helper.make_node("Conv", ["a", "w1"], ["b"], name="branch"),
        helper.make_node("Conv", ["b", "w2"], ["c"], name="last"),
        helper.make_node("Reshape", ["c", "size"], ["y"], name="decode"),
    ]
    path = tmp_path / "m.onnx"
    onnx.save(graph(nodes, weights, [1, 1, 4, 4], ["y"]), str(path))
    assert float_nodes(path) == ["decode", "last"]


def test_a_range_is_that_of_most_pictures_and_ends_where_silu_is_flat(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["images", "w"], ["a"], name="features"),
        helper.make_node("Sigmoid", ["a"], ["s"], name="gate"),
        helper.make_node("Mul", ["a", "s"], ["y"], name="silu"),
        helper.make_node("Conv", ["y", "w"], ["z"], name="last"),
    ]
    weights = {"w": np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1) * 255}
    path = tmp_path / "m.onnx"
    onnx.save(graph(nodes, weights, [1, 3, 32, 32], ["z"], "images"), str(path))
    spec = InputSpec(name="images", width_px=32, height_px=32, mean=(0.5,) * 3)
    usual = [np.full((32, 32, 3), (100, 130, 140), np.uint8)] * 18  # less half of 255: -27.5 to 12.5
    odd = [np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)]
    found = range_overrides(path, [*usual, *odd], spec, ["last"])
    assert set(found) == {"a", "y"}
    assert found["a"][0]["rmin"] == SILU_FLOOR
    assert found["a"][0]["rmax"] == pytest.approx(12.5, abs=0.1)
    assert found["y"][0]["rmin"] == pytest.approx(0.0, abs=0.1)


def test_unsigned_activations_are_the_same_numbers() -> None:
    constants = {
        "scale": np.float32(0.05).reshape(()),
        "zero": np.int8(-90).reshape(()),
        "w": np.arange(-2, 2, dtype=np.int8).reshape(1, 4),
        "w_scale": np.float32(0.1).reshape(()),
        "w_zero": np.int8(0).reshape(()),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["wd"]),
        helper.make_node("Mul", ["d", "wd"], ["y"]),
    ]
    model = graph(nodes, constants, [1, 4], ["y"])
    values = np.array([[-5.0, -1.234, 0.26, 9.9]], np.float32)
    before = run(model, values)
    unsigned_activations(model)
    types = {item.name: item.data_type for item in model.graph.initializer}
    assert (types["zero"], types["w_zero"]) == (TensorProto.UINT8, TensorProto.INT8)
    np.testing.assert_array_equal(run(model, values), before)


def test_a_version_whose_default_is_int8_can_be_quantised_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("quantise_onnxruntime", "quantise_openvino"):
        monkeypatch.setattr(quantise, name, lambda _source, target, *_more: target.write_bytes(b"int8"))
    gated = find_model("vehicle").manifest
    assert gated.default_precision == "int8"
    write_manifest(gated, tmp_path)
    add_int8(tmp_path, [], ["openvino"])
    manifest = read_manifest(tmp_path / "manifest.json")
    assert (manifest.passed, manifest.default_precision) == (("f32",), "f32")
    made = {file.path: file.runtimes for file in manifest.files if file.precision == "int8"}
    assert made == {"model.int8.openvino.onnx": ("openvino",)}
    assert (tmp_path / "model.int8.openvino.onnx").is_file()


def run(model: onnx.ModelProto, values: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": values})[0]

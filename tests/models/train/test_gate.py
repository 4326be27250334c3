from __future__ import annotations

import pytest

from models.train.gate import fastest, passing


@pytest.mark.parametrize(
    ("int8", "want"),
    [
        ({"onnxruntime": 0.89, "openvino": 0.886}, ("f32", "int8")),
        ({"onnxruntime": 0.89, "openvino": 0.87}, ("f32",)),
        ({"openvino": 0.91}, ("f32", "int8")),
    ],
    ids=["little lost", "lost in one runtime", "one runtime alone"],
)
def test_a_precision_passes_if_it_loses_little_in_every_runtime(int8: dict, want: tuple) -> None:
    measured = {("f32", runtime): {"map50": 0.9} for runtime in ("onnxruntime", "openvino")}
    measured |= {("int8", runtime): {"map50": value} for runtime, value in int8.items()}
    assert passing(measured) == want


def test_the_default_is_the_fastest_that_passed_and_that_every_cpu_has() -> None:
    rows = {
        ("f32", "onnxruntime"): (0.9, 80.0),
        ("f32", "openvino"): (0.9, 78.0),
        ("bf16", "openvino"): (0.9, 30.0),
        ("int8", "onnxruntime"): (0.89, 45.0),
        ("int8", "openvino"): (0.89, 40.0),
    }
    measured = {way: {"map50": map50, "cpu_ms": ms} for way, (map50, ms) in rows.items()}
    assert fastest(measured) == ("int8", "openvino")
    measured["int8", "openvino"]["map50"] = 0.5
    assert fastest(measured) == ("f32", "openvino")

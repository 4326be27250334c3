from __future__ import annotations

import pytest

from models.train.gate import passing


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

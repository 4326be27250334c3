"""Ranges of activations for INT8 in ONNX Runtime: without what a few pictures or SiLU's flat side blow up.

The extremes over all calibration pictures are set by outliers: in smoke@0.1.0 the second convolution
spans -86 to 102, and 0.9999 of its values lie in -24 to 20. Eight bits over all of that lost nearly
every plume (mAP50 0.09 of 0.41). Two things cure it. The range is that of nine pictures out of ten, a
quantile of each picture's own extremes. And a convolution's output is cut off at -8 where SiLU follows,
whose value there is -0.003.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.manifest import InputSpec
from models.train.export import INPUT, to_blobs
from models.train.tiles import Picture

TAPPED = ("Conv", "Mul", "Add")
PICTURES_INSIDE = 0.9  # share of the pictures whose extremes lie within a range, below and above
SILU_FLOOR = -8.0
LEAST_RANGE = 1e-3

Extremes = dict[str, npt.NDArray[np.float32]]


def range_overrides(
    path: Path, pictures: Sequence[Picture], spec: InputSpec, kept_float: Collection[str]
) -> dict[str, list[dict[str, Any]]]:
    """Return ``TensorQuantOverrides`` for ONNX Runtime's quantiser; ``kept_float`` names nodes left out."""
    import onnx  # noqa: PLC0415 - in the [train] and [dev] extras alone

    model = onnx.load(str(path))
    nodes = [node for node in model.graph.node if node.op_type in TAPPED and node.name not in kept_float]
    names = [node.output[0] for node in nodes]
    seen = picture_extremes(model, names, pictures, spec)
    into_sigmoid = {name for node in model.graph.node if node.op_type == "Sigmoid" for name in node.input}
    floors = {node.output[0]: SILU_FLOOR if node.output[0] in into_sigmoid else -np.inf for node in nodes}
    return {name: [limits(seen[name], floors[name])] for name in names}


def limits(extremes: npt.NDArray[np.float32], floor: float = -np.inf) -> dict[str, Any]:
    """Return the range that holds ``extremes`` (n, 2: least and greatest of a picture) of most pictures."""
    low = float(np.quantile(extremes[:, 0], 1 - PICTURES_INSIDE))
    high = float(np.quantile(extremes[:, 1], PICTURES_INSIDE))
    return {"rmin": np.float32(min(max(low, floor), 0.0)), "rmax": np.float32(max(high, LEAST_RANGE))}


def picture_extremes(
    model: Any, names: Sequence[str], pictures: Sequence[Picture], spec: InputSpec
) -> Extremes:
    """Run ``model`` on each picture and return the least and greatest value of each named tensor."""
    import onnx  # noqa: PLC0415 - as above
    import onnxruntime  # noqa: PLC0415 - loaded where it is used

    known = {item.name for item in model.graph.output}
    for name in names:
        if name not in known:
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        tapped = Path(folder) / "tapped.onnx"
        onnx.save(model, str(tapped))
        session = onnxruntime.InferenceSession(str(tapped), providers=["CPUExecutionProvider"])
        for picture in pictures:
            found = session.run(list(names), {INPUT: to_blobs([picture], spec)})
            for name, value in zip(names, found, strict=True):
                rows[name].append((float(value.min()), float(value.max())))
    return {name: np.array(items, np.float32) for name, items in rows.items()}

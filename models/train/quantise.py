"""INT8 by static quantisation, once for each runtime in its own way; what must stay float stays float.

ONNX Runtime: QDQ, signed weights per channel, unsigned activations in the ranges of
:mod:`models.train.ranges`; all that lies between convolutions is quantised too, because each step out
of INT8 and back costs a pass over memory (measured on vehicle@0.1.0, one Zen 4 core: f32 78 ms of CPU
a picture, convolutions alone 46, all 41). OpenVINO: NNCF on the same ONNX graph. In both the last
convolutions of the head, its distribution-focal part and the decoding stay float: their outputs are
box distances and class logits, whose few wide values set the scale for all.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.manifest import (
    InputSpec,
    Manifest,
    ModelFile,
    RuntimeName,
    read_manifest,
    sha256_of,
    write_manifest,
)
from models.train.export import INPUT, to_blobs
from models.train.ranges import range_overrides
from models.train.tiles import Picture

BETWEEN = ("Sigmoid", "Mul", "Add", "Concat", "MaxPool", "Resize")
FILES: dict[RuntimeName, str] = {"onnxruntime": "model.int8.onnx", "openvino": "model.int8.openvino.onnx"}


Quantiser = Callable[[Path, Path, Sequence[Picture], InputSpec], None]


class _Blobs:
    """Calibration pictures one by one, in the shape ONNX Runtime asks for."""

    def __init__(self, pictures: Sequence[Picture], spec: InputSpec) -> None:
        self._items: Iterator[dict[str, npt.NDArray[np.float32]]] = (
            {INPUT: to_blobs([picture], spec)} for picture in pictures
        )

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        """Return the next input, None at the end."""
        return next(self._items, None)


def float_nodes(path: Path) -> list[str]:
    """Name the nodes that stay float: the head's last convolutions and all that follows them."""
    import onnx  # noqa: PLC0415 - in the [train] and [dev] extras alone

    graph = onnx.load(str(path)).graph
    makers = {output: node for node in graph.node for output in node.output}
    kept: set[str] = set()
    ends = [item.name for item in graph.output]
    while ends:
        node = makers.get(ends.pop())
        if node is None or node.name in kept:
            continue
        if node.op_type == "Shape":  # of the feature map it asks for the size alone
            continue
        kept.add(node.name)
        if node.op_type != "Conv" or _is_projection(node):
            ends += list(node.input)
    return sorted(kept)


def _is_projection(node: Any) -> bool:
    """Tell the fixed 1x1 convolution that turns a distribution into a distance (DFL) from a learnt one."""
    return "dfl" in node.name or any("dfl" in name for name in node.input)


def quantise_onnxruntime(source: Path, target: Path, pictures: Sequence[Picture], spec: InputSpec) -> None:
    """Write a QDQ file for ONNX Runtime."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static  # noqa: PLC0415
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415 - as above

    logging.getLogger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        clean = Path(folder) / "clean.onnx"
        quant_pre_process(str(source), str(clean), skip_symbolic_shape=True)
        kept = float_nodes(clean)
        quantize_static(
            str(clean),
            str(target),
            _Blobs(pictures, spec),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", *BETWEEN],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=kept,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"TensorQuantOverrides": range_overrides(clean, pictures, spec, kept)},
        )


def quantise_openvino(source: Path, target: Path, pictures: Sequence[Picture], spec: InputSpec) -> None:
    """Write a file for OpenVINO, by NNCF's post-training quantisation of the ONNX graph."""
    import nncf  # noqa: PLC0415 - in the [train] extra alone
    import onnx  # noqa: PLC0415 - as above

    model = onnx.load(str(source))
    data = nncf.Dataset(list(pictures), lambda picture: {INPUT: to_blobs([picture], spec)})
    done = nncf.quantize(
        model,
        data,
        subset_size=len(pictures),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(names=float_nodes(source), validate=False),
    )
    unsigned_activations(done)
    onnx.save(done, str(target))


def unsigned_activations(model: Any) -> None:
    """Turn signed zero points of activations into unsigned ones, 128 higher: the same numbers.

    NNCF writes asymmetric activations as INT8. OpenVINO 2026.4 computes such convolutions wrongly on
    the CPU: vehicle@0.1.0 had mAP50 0.09 there and 0.87 in ONNX Runtime from one file; with UINT8 it
    has 0.87 in both.
    """
    from onnx import numpy_helper  # noqa: PLC0415 - see above

    graph = model.graph
    signed = {node.input[2] for node in graph.node if node.op_type == "QuantizeLinear"}
    for item in graph.initializer:
        value = numpy_helper.to_array(item)
        if item.name in signed and value.dtype == np.int8:
            item.CopyFrom(numpy_helper.from_array((value.astype(np.int16) + 128).astype(np.uint8), item.name))
    del graph.value_info[:]  # it names the old types; readers infer them


def add_int8(folder: Path, pictures: Sequence[Picture], runtimes: Sequence[RuntimeName]) -> Manifest:
    """Quantise a model version for ``runtimes`` and enter the files in its manifest; older INT8 goes.

    INT8 does not count as passed by that: a gate decides it.
    """
    manifest = read_manifest(folder / "manifest.json")
    source = folder / next(file.path for file in manifest.files if file.precision == "f32")
    makers: dict[RuntimeName, Quantiser] = {
        "onnxruntime": quantise_onnxruntime,
        "openvino": quantise_openvino,
    }
    files = [file for file in manifest.files if file.precision != "int8"]
    for name in FILES.values():
        (folder / name).unlink(missing_ok=True)
    for runtime in runtimes:
        name = FILES[runtime]
        target = folder / name
        makers[runtime](source, target, pictures, manifest.input)
        size = target.stat().st_size
        entry = ModelFile(
            path=name, precision="int8", sha256=sha256_of(target), bytes=size, runtimes=(runtime,)
        )
        files.append(entry)
    changed = manifest.model_copy(
        update={
            "files": tuple(files),
            "passed": ("f32",),
            "default_precision": "f32",
            "default_runtime": None,
        }
    )
    write_manifest(changed, folder)
    return changed

"""A foreign ONNX file, opened to look at it: what goes in, what comes out, what its maker wrote in it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.detections import FloatArray
from models.errors import ModelFileError
from models.letterbox import Letterbox
from models.manifest import InputSpec
from models.network import to_blob
from models.runtimes import TensorInfo, first_line, ort_tensor

# TensorProto.external_data's key and NodeProto.op_type as they stand in the file (protobuf: field tag,
# length, text); reading them so needs no onnx package on an edge box
_EXTERNAL_WEIGHTS = b"\x0a\x08location\x12"
_QUANTISED_NODE = b"\x22\x10DequantizeLinear"
_BATCH_TOLERANCE = 1e-2
_ORT_FATAL_ONLY = 4


class GraphFile:
    """An ONNX file read whole and opened on the CPU.

    Attributes:
        path, data: where it lies and its bytes.
        inputs, outputs: tensors in, and names of those that come out, in the graph's order.
        metadata: what its maker wrote; Ultralytics names classes, stride, task and size there.

    Raises:
        ModelFileError: it cannot be read or loaded, or keeps its weights in another file.

    """

    def __init__(self, path: Path) -> None:
        import onnxruntime as ort  # noqa: PLC0415 - an edge box that only runs OpenVINO imports nothing

        self.path = path
        try:
            self.data = path.read_bytes()
        except OSError as error:
            msg = f"{path}: cannot be read: {error.strerror}"
            raise ModelFileError(msg) from None
        if _EXTERNAL_WEIGHTS in self.data:
            msg = f"{path}: keeps its weights in another file; export it as one file"
            raise ModelFileError(msg)
        settings = ort.SessionOptions()
        settings.log_severity_level = _ORT_FATAL_ONLY
        try:
            self.session: Any = ort.InferenceSession(self.data, settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - its exceptions share no base below Exception
            msg = f"{path}: is no ONNX model that can be loaded: {first_line(error)}"
            raise ModelFileError(msg) from None
        self.inputs = tuple(ort_tensor(item) for item in self.session.get_inputs())
        self.outputs = tuple(item.name for item in self.session.get_outputs())
        self.metadata: dict[str, str] = self.session.get_modelmeta().custom_metadata_map

    @property
    def quantised(self) -> bool:
        """Whether the graph holds quantised values."""
        return _QUANTISED_NODE in self.data

    def run(self, blob: FloatArray) -> dict[str, FloatArray]:
        """Run a batch, float32 (n, 3, height, width); outputs by name, float32, batch axis first.

        Raises:
            ModelFileError: the graph fails on it.

        """
        dtype = np.float16 if self.inputs[0].dtype == "tensor(float16)" else np.float32
        try:
            results = self.session.run(None, {self.inputs[0].name: blob.astype(dtype)})
        except Exception as error:  # noqa: BLE001 - its exceptions share no base below Exception
            msg = f"{self.path}: fails on an input of {shape_words(blob.shape)}: {first_line(error)}"
            raise ModelFileError(msg) from None
        return {
            name: np.asarray(result, np.float32) for name, result in zip(self.outputs, results, strict=True)
        }


def picture_input(graph: GraphFile) -> TensorInfo:
    """Return the one input, N x 3 x H x W of floats; refuse any other."""
    seen = ", ".join(f"{item.name} {item.dtype} {shape_words(item.shape)}" for item in graph.inputs)
    if len(graph.inputs) != 1:
        msg = f"{graph.path}: needs exactly one input, the picture; saw {seen}"
        raise ModelFileError(msg)
    tensor = graph.inputs[0]
    if len(tensor.shape) != 4 or tensor.shape[1] not in (3, None):
        hint = "; channels last is not supported, export channels first" if tensor.shape[-1:] == (3,) else ""
        msg = f"{graph.path}: input must be N x 3 x height x width; saw {seen}{hint}"
        raise ModelFileError(msg)
    if tensor.dtype not in ("tensor(float)", "tensor(float16)"):
        msg = f"{graph.path}: input must be float32 or float16; saw {seen}"
        raise ModelFileError(msg)
    return tensor


def refuse_other_tasks(graph: GraphFile) -> None:
    """Refuse segmentation, pose and the like, where the metadata says so."""
    task = graph.metadata.get("task", "detect")
    if task != "detect":
        msg = f"{graph.path}: its metadata says task {task!r}; only detection models can be imported"
        raise ModelFileError(msg)


def metadata_value(metadata: Mapping[str, str], key: str) -> Any:
    """Read a Python literal as Ultralytics writes them as text; None where absent or unreadable."""
    try:
        return ast.literal_eval(metadata.get(key, "None"))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def metadata_names(metadata: Mapping[str, str]) -> tuple[str, ...] | None:
    """Read class names as Ultralytics writes them: a Python dict or list as text; None if absent."""
    names = metadata_value(metadata, "names")
    if isinstance(names, dict):
        names = [
            names[key] for key in sorted(names, key=str if any(isinstance(k, str) for k in names) else None)
        ]
    return tuple(str(name) for name in names) if isinstance(names, list | tuple) and names else None


def shape_words(shape: tuple[int | None, ...]) -> str:
    """Render a shape as 1x3x640x640, ? for a free side."""
    return "x".join("?" if side is None else str(side) for side in shape)


def run_one(
    graph: GraphFile, spec: InputSpec, picture: npt.NDArray[np.uint8], fixed_batch: int | None
) -> dict[str, FloatArray]:
    """Run one picture and return the outputs without the batch axis."""
    blob = np.zeros((fixed_batch or 1, 3, spec.height_px, spec.width_px), np.float32)
    _fill(blob, spec, picture)
    results = graph.run(blob).items()
    return {name: result[0] if result.shape[:1] > (0,) else result for name, result in results}


def _fill(blob: FloatArray, spec: InputSpec, picture: npt.NDArray[np.uint8]) -> None:
    fit = Letterbox.fit((picture.shape[1], picture.shape[0]), (spec.width_px, spec.height_px), spec.placement)
    to_blob(fit.apply(picture, spec.pad_value), spec, blob[0])


def batch_works(graph: GraphFile, spec: InputSpec, picture: npt.NDArray[np.uint8]) -> bool:
    """Prove a free batch axis: many exports name one and reshape to a batch of one inside."""
    one = np.zeros((1, 3, spec.height_px, spec.width_px), np.float32)
    _fill(one, spec, picture)
    try:
        alone, both = graph.run(one), graph.run(np.concatenate([one, one[..., ::-1]]))
    except ModelFileError:
        return False
    return all(
        both[name].shape[:1] == (2,)
        and both[name].shape[1:] == alone[name].shape[1:]
        and bool(np.allclose(both[name][0], alone[name][0], rtol=1e-2, atol=_BATCH_TOLERANCE))
        for name in alone
    )

"""Take a foreign ONNX file in: work its decoder out, prove it on a picture, write its manifest."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from models.coco import COCO80
from models.decoders import DecoderKind, HeadShape, Size, decode
from models.detections import Detections, FloatArray
from models.errors import ModelConfigError, ModelFileError
from models.identify import Family, Reading, identify
from models.letterbox import Letterbox
from models.manifest import (
    NAME_PATTERN,
    VERSION_PATTERN,
    InputSpec,
    Manifest,
    ModelFile,
    Precision,
    Thresholds,
    write_manifest,
)
from models.network import NetworkDetector, to_blob
from models.runtimes import OnnxRuntime, RuntimeOptions, TensorInfo, first_line, ort_tensor

DEFAULT_SIDE_PX = 640
MODEL_FILE = "model.onnx"
# NodeProto.op_type and the key of TensorProto.external_data as they stand in the file (protobuf:
# field tag, length, text); reading them so needs no onnx package on an edge box
_QUANTISED_NODE = b"\x22\x10DequantizeLinear"
_EXTERNAL_WEIGHTS = b"\x0a\x08location\x12"
_BATCH_TOLERANCE = 1e-2
_NANODET_MEAN, _NANODET_STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)

Colour = Literal["rgb", "bgr"]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the caller states; None is worked out.

    ``labels``: class names, None takes them from the file's metadata. ``size_px``: (width, height)
    for a graph that takes any size. ``scale``: factor on 0-255 pixels. ``probe``: a BGR picture.
    """

    labels: tuple[str, ...] | None = None
    size_px: Size | None = None
    decoder: DecoderKind | None = None
    scale: float | None = None
    colour: Colour | None = None
    confidence: float | None = None
    precision: Precision | None = None
    probe: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What was found out about a file: a manifest that works, why, and what it saw on the probe."""

    manifest: Manifest
    evidence: tuple[str, ...]
    seen: Detections


class _Graph:
    """An ONNX graph opened to look at it."""

    def __init__(self, path: Path) -> None:
        import onnxruntime as ort  # noqa: PLC0415 - an edge box that only runs OpenVINO imports nothing

        try:
            self.data = path.read_bytes()
        except OSError as error:
            msg = f"{path}: cannot be read: {error.strerror}"
            raise ModelFileError(msg) from None
        if _EXTERNAL_WEIGHTS in self.data:
            msg = f"{path}: keeps its weights in another file; export it as one file"
            raise ModelFileError(msg)
        settings = ort.SessionOptions()
        settings.log_severity_level = 4
        try:
            self.session: Any = ort.InferenceSession(self.data, settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - its exceptions share no base below Exception
            msg = f"{path}: is no ONNX model that can be loaded: {first_line(error)}"
            raise ModelFileError(msg) from None
        self.inputs = tuple(ort_tensor(item) for item in self.session.get_inputs())
        self.outputs = tuple(item.name for item in self.session.get_outputs())
        self.metadata: dict[str, str] = self.session.get_modelmeta().custom_metadata_map

    def run(self, blob: FloatArray) -> dict[str, FloatArray]:
        dtype = np.float16 if self.inputs[0].dtype == "tensor(float16)" else np.float32
        try:
            results = self.session.run(None, {self.inputs[0].name: blob.astype(dtype)})
        except Exception as error:  # noqa: BLE001 - its exceptions share no base below Exception
            msg = f"the graph fails on an input of {'x'.join(map(str, blob.shape))}: {first_line(error)}"
            raise ModelFileError(msg) from None
        return {
            name: np.asarray(result, np.float32) for name, result in zip(self.outputs, results, strict=True)
        }


def inspect_file(path: Path, name: str, version: str, options: ImportOptions) -> Finding:
    """Work out how to run an ONNX file, and prove it on a picture.

    Raises:
        ModelFileError: it is corrupt, no detector, or of a kind that cannot be told; says what was seen.
        ModelConfigError: labels, name or another option do not fit it.

    """
    _check_name(name, version)
    graph = _Graph(path)
    tensor = _picture_input(graph, path)
    _refuse_other_tasks(graph.metadata, path)
    labels, label_note = _labels(graph.metadata, options.labels)
    size = _input_size(tensor, graph.metadata, options.size_px, path)
    picture = generated_picture() if options.probe is None else options.probe

    # the head is read once with the most common input; its own input follows from what it is
    first_look = InputSpec(name=tensor.name, width_px=size[0], height_px=size[1])
    outputs = _run_one(graph, first_look, picture, tensor.shape[0])
    try:
        reading = identify(outputs, size, None if labels is None else len(labels))
    except ModelFileError as error:
        msg = f"{path}: {error}"
        raise ModelFileError(msg) from None
    if options.decoder not in (None, reading.spec.kind):
        msg = f"{path}: --decoder {options.decoder} does not fit: its outputs read as {reading.spec.kind}"
        raise ModelConfigError(msg)
    names = labels or tuple(f"class_{index}" for index in range(reading.classes))
    spec = _input_for(reading.family, first_look, options)
    spec, scale_note = _settle_scale(graph, reading, spec, picture, options)
    dynamic = tensor.shape[0] is None and _batch_works(graph, spec, picture)
    manifest = Manifest(
        name=name,
        version=version,
        labels=names,
        input=spec.model_copy(update={"dynamic_batch": dynamic}),
        decoder=reading.spec,
        thresholds=Thresholds(confidence=0.25 if options.confidence is None else options.confidence),
        files=(_file_entry(graph, tensor, options.precision),),
        passed=(precision := _precision(graph, tensor, options.precision),),
        default_precision=precision,
        licence=graph.metadata.get("license", "not stated"),
        note=f"imported from {path.name}",
    )
    seen, proof = _prove(graph.data, manifest, picture, path)
    about_input = _input_words(tensor, manifest.input)
    evidence = (*reading.evidence, label_note, about_input, scale_note, proof)
    return Finding(manifest, evidence, seen)


def import_model(path: Path, name: str, version: str, options: ImportOptions, models_dir: Path) -> Finding:
    """Inspect a file and put it with its manifest into ``models_dir/name/version``.

    Raises:
        As :func:`inspect_file`; ModelConfigError also where that version exists already.

    """
    finding = inspect_file(path, name, version, options)
    folder = models_dir / name / version
    if folder.exists():
        msg = f"{folder}: exists already; choose another --version, a version never changes"
        raise ModelConfigError(msg)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # a reader sees the whole version or none: written aside, then renamed
    with tempfile.TemporaryDirectory(prefix=".import-", dir=folder.parent) as aside:
        staged = Path(aside) / version
        staged.mkdir()
        (staged / MODEL_FILE).write_bytes(path.read_bytes())
        write_manifest(finding.manifest, staged)
        if hashlib.sha256((staged / MODEL_FILE).read_bytes()).hexdigest() != finding.manifest.files[0].sha256:
            msg = f"{path}: changed while it was imported"
            raise ModelFileError(msg)
        os.rename(staged, folder)  # noqa: PTH104 - Path.rename would say no more
    return finding


def parse_labels(text: str) -> tuple[str, ...]:
    """Read ``coco80``, ``a,b,c``, or a text file with one name a line.

    Raises:
        ModelConfigError: no names, or one twice.

    """
    if text == "coco80":
        return COCO80
    path = Path(text)
    if path.is_file():
        try:
            parts = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{path}: labels cannot be read: {error}"
            raise ModelConfigError(msg) from None
    else:
        if text.endswith((".txt", ".names")) or "/" in text:
            msg = f"{path}: no such labels file"
            raise ModelConfigError(msg)
        parts = text.split(",")
    labels = tuple(part.strip() for part in parts if part.strip())
    if not labels or len(set(labels)) != len(labels):
        msg = f"labels {text!r}: give each name once, at least one"
        raise ModelConfigError(msg)
    return labels


def generated_picture() -> npt.NDArray[np.uint8]:
    """Make the probe used where none is given: 640x480 BGR, shapes on a textured ground."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(60, 200, (12, 16, 3)).astype(np.uint8)
    picture = np.asarray(cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC), np.uint8)
    cv2.rectangle(picture, (80, 260), (260, 380), (40, 40, 200), -1)
    cv2.circle(picture, (130, 385), 28, (20, 20, 20), -1)
    cv2.circle(picture, (215, 385), 28, (20, 20, 20), -1)
    cv2.ellipse(picture, (450, 200), (40, 120), 0, 0, 360, (210, 220, 225), -1)
    noise = rng.normal(0, 6, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def _check_name(name: str, version: str) -> None:
    if not re.match(NAME_PATTERN, name):
        msg = f"name {name!r}: small letters, digits, - and _ only, at most 48"
        raise ModelConfigError(msg)
    if not re.match(VERSION_PATTERN, version):
        msg = f"version {version!r}: letters, digits and . + _ - only, at most 32"
        raise ModelConfigError(msg)


def _picture_input(graph: _Graph, path: Path) -> TensorInfo:
    """Return the one input, N x 3 x H x W of floats; refuse any other."""
    seen = ", ".join(f"{item.name} {item.dtype} {_shape(item.shape)}" for item in graph.inputs)
    if len(graph.inputs) != 1:
        msg = f"{path}: needs exactly one input, the picture; saw {seen}"
        raise ModelFileError(msg)
    tensor = graph.inputs[0]
    if len(tensor.shape) != 4 or tensor.shape[1] not in (3, None):
        hint = "; channels last is not supported, export channels first" if tensor.shape[-1:] == (3,) else ""
        msg = f"{path}: input must be N x 3 x height x width; saw {seen}{hint}"
        raise ModelFileError(msg)
    if tensor.dtype not in ("tensor(float)", "tensor(float16)"):
        msg = f"{path}: input must be float32 or float16; saw {seen}"
        raise ModelFileError(msg)
    return tensor


def _refuse_other_tasks(metadata: Mapping[str, str], path: Path) -> None:
    task = metadata.get("task", "detect")
    if task != "detect":
        msg = f"{path}: its metadata says task {task!r}; only detection models can be imported"
        raise ModelFileError(msg)


def _labels(metadata: Mapping[str, str], given: tuple[str, ...] | None) -> tuple[tuple[str, ...] | None, str]:
    own = metadata_names(metadata)
    if given is None:
        return own, f"{len(own)} labels from the file's metadata" if own else "no labels: numbered"
    if own is not None and len(own) != len(given):
        msg = (
            f"{len(given)} labels given, but the file's metadata names {len(own)}: {', '.join(own[:5])}, ..."
        )
        raise ModelConfigError(msg)
    return given, f"{len(given)} labels given"


def metadata_names(metadata: Mapping[str, str]) -> tuple[str, ...] | None:
    """Read class names as Ultralytics writes them: a Python dict or list as text; None if absent."""
    try:
        names = ast.literal_eval(metadata.get("names", "None"))
    except (ValueError, SyntaxError):
        return None
    if isinstance(names, dict):
        names = [names[key] for key in sorted(names)]
    return tuple(str(name) for name in names) if names else None


def _input_size(tensor: TensorInfo, metadata: Mapping[str, str], wanted: Size | None, path: Path) -> Size:
    height, width = tensor.shape[2:]
    if wanted is not None:
        if width not in (None, wanted[0]) or height not in (None, wanted[1]):
            msg = f"{path}: its input is fixed at {width}x{height}, not {wanted[0]}x{wanted[1]}"
            raise ModelConfigError(msg)
        return wanted
    try:
        own = ast.literal_eval(metadata.get("imgsz", "None"))
    except (ValueError, SyntaxError):
        own = None
    default_height, default_width = (
        own if isinstance(own, list | tuple) and len(own) == 2 else [DEFAULT_SIDE_PX] * 2
    )
    return (width or int(default_width), height or int(default_height))


def _input_for(family: Family, base: InputSpec, options: ImportOptions) -> InputSpec:
    """Apply the conventions of a family, then what the caller states."""
    conventions: dict[Family, dict[str, Any]] = {
        "ultralytics": {},
        "yolox": {"colour": "bgr", "scale": 1.0, "placement": "top_left"},
        "fastestdet": {"colour": "bgr", "placement": "stretch"},
        "nanodet": {
            "colour": "bgr",
            "scale": 1.0,
            "mean": _NANODET_MEAN,
            "std": _NANODET_STD,
            "pad_value": 0,
        },
    }
    update = conventions[family]
    if options.colour is not None and options.colour != update.get("colour", base.colour):
        update = {**update, "colour": options.colour}
        for key in ("mean", "std"):
            if key in update:
                update[key] = update[key][::-1]
    if options.scale is not None:
        update = {**update, "scale": options.scale}
    return InputSpec.model_validate({**base.model_dump(), **update})


def _settle_scale(
    graph: _Graph, reading: Reading, spec: InputSpec, picture: npt.NDArray[np.uint8], options: ImportOptions
) -> tuple[InputSpec, str]:
    """Tell 0-1 from 0-255 input where a real picture was given and the family leaves it open."""
    words = f"{spec.colour.upper()}, pixels times {spec.scale:.4g}"
    if options.scale is not None:
        return spec, f"{words}: as stated"
    open_question = reading.family == "ultralytics" and "stride" not in graph.metadata
    if not open_question or options.probe is None:
        return spec, f"{words}: the convention of {reading.family} exports"
    other = spec.model_copy(update={"scale": 1.0})
    scores = [_top_score(graph, reading, item, picture) for item in (spec, other)]
    better = other if scores[1] > 2 * scores[0] and scores[1] > 0.3 else spec
    saw = f"best score {scores[0]:.2f} with 0-1 input, {scores[1]:.2f} with 0-255"
    return better, f"{better.colour.upper()}, pixels times {better.scale:.4g}: {saw}"


def _top_score(graph: _Graph, reading: Reading, spec: InputSpec, picture: npt.NDArray[np.uint8]) -> float:
    """Mean of the five best scores on a picture; a network fed wrongly is sure of nothing."""
    size = (spec.width_px, spec.height_px)
    outputs = _run_one(graph, spec, picture, graph.inputs[0].shape[0])
    found = decode(
        [outputs[name] for name in reading.spec.outputs], reading.spec, HeadShape(size, reading.classes), 0
    )
    best = np.sort(found.confidence)[-5:]
    return float(best.mean()) if len(best) else 0.0


def _run_one(
    graph: _Graph, spec: InputSpec, picture: npt.NDArray[np.uint8], fixed_batch: int | None
) -> dict[str, FloatArray]:
    """Run one picture and return the outputs without the batch axis."""
    blob = np.zeros((fixed_batch or 1, 3, spec.height_px, spec.width_px), np.float32)
    _fill(blob, spec, picture)
    return {name: result[0] if result.ndim else result for name, result in graph.run(blob).items()}


def _fill(blob: FloatArray, spec: InputSpec, picture: npt.NDArray[np.uint8]) -> None:
    fit = Letterbox.fit((picture.shape[1], picture.shape[0]), (spec.width_px, spec.height_px), spec.placement)
    to_blob(fit.apply(picture, spec.pad_value), spec, blob[0])


def _batch_works(graph: _Graph, spec: InputSpec, picture: npt.NDArray[np.uint8]) -> bool:
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


def _precision(graph: _Graph, tensor: TensorInfo, stated: Precision | None) -> Precision:
    if stated is not None:
        return stated
    if _QUANTISED_NODE in graph.data:
        return "int8"
    return "f16" if tensor.dtype == "tensor(float16)" else "f32"


def _file_entry(graph: _Graph, tensor: TensorInfo, stated: Precision | None) -> ModelFile:
    return ModelFile(
        path=MODEL_FILE,
        precision=_precision(graph, tensor, stated),
        sha256=hashlib.sha256(graph.data).hexdigest(),
        bytes=len(graph.data),
    )


def _prove(
    data: bytes, manifest: Manifest, picture: npt.NDArray[np.uint8], path: Path
) -> tuple[Detections, str]:
    """Run the finished manifest as the edge will, and look at what comes out."""
    precision = manifest.default_precision
    options = RuntimeOptions("f32" if precision == "bf16" else precision, 1, "cpu")
    runtime = OnnxRuntime(data, manifest.decoder.outputs, options, str(path))
    loose = manifest.thresholds.model_copy(update={"confidence": 0.001})
    detector = NetworkDetector(manifest, runtime, precision, loose)
    try:
        found = detector.detect([picture])[0]
    except ValueError as error:
        msg = f"{path}: {error}"
        raise ModelFileError(msg) from None
    finally:
        detector.close()
    seen = found.select(found.confidence >= manifest.thresholds.confidence)
    best = float(found.confidence.max(initial=0))
    return seen, (
        f"on the probe: {len(seen)} boxes of at least {manifest.thresholds.confidence:.2f}, "
        f"{len(found)} of at least 0.001, best {best:.2f}, all within the picture"
    )


def _shape(shape: tuple[int | None, ...]) -> str:
    return "x".join("?" if side is None else str(side) for side in shape)


def _input_words(tensor: TensorInfo, spec: InputSpec) -> str:
    batch = "any batch" if spec.dynamic_batch else f"batch of {tensor.shape[0] or 1}"
    kind = "float16" if tensor.dtype == "tensor(float16)" else "float32"
    size = f"{spec.width_px}x{spec.height_px}"
    return f"input {tensor.name} {_shape(tensor.shape)} {kind}: {size}, {batch}, {spec.placement}"

"""Take a foreign ONNX file in: work its decoder out, prove it on a picture, write its manifest."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from models.coco import COCO80
from models.decoders import Candidates, DecoderKind, DecoderSpec, HeadShape, Size, decode
from models.detections import Detections
from models.errors import ModelConfigError, ModelFileError
from models.graph_file import (
    GraphFile,
    batch_works,
    metadata_names,
    metadata_value,
    picture_input,
    refuse_other_tasks,
    run_one,
    shape_words,
)
from models.identify import Family, Reading, identify
from models.manifest import (
    MAX_SIDE_PX,
    MIN_SIDE_PX,
    NAME_PATTERN,
    VERSION_PATTERN,
    InputSpec,
    Manifest,
    ModelFile,
    StoredPrecision,
    Thresholds,
    write_manifest,
)
from models.network import NetworkDetector
from models.runtimes import OnnxRuntime, RuntimeOptions, TensorInfo

DEFAULT_SIDE_PX = 640
# what each family's own demo uses; FastestDet's scores are inflated by their root (0.65 in its test.py)
USUAL_CONFIDENCE: dict[Family, float] = {
    "ultralytics": 0.25,
    "yolox": 0.25,
    "fastestdet": 0.65,
    "nanodet": 0.35,
}
_BEST_LOOKED_AT = 100
_SOUND_FRAC = 0.9
MODEL_FILE = "model.onnx"
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
    precision: StoredPrecision | None = None
    probe: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What was found out about a file: a manifest that works, why, and what it saw on the probe."""

    manifest: Manifest
    evidence: tuple[str, ...]
    seen: Detections


def inspect_file(path: Path, name: str, version: str, options: ImportOptions) -> Finding:
    """Work out how to run an ONNX file, and prove it on a picture.

    Raises:
        ModelFileError: it is corrupt, no detector, or of a kind that cannot be told; says what was seen.
        ModelConfigError: labels, name or another option do not fit it.

    """
    _check_name(name, version)
    graph = GraphFile(path)
    tensor = picture_input(graph)
    refuse_other_tasks(graph)
    labels, label_note = _labels(graph, options.labels)
    size = _input_size(graph, tensor, options.size_px)
    picture = generated_picture() if options.probe is None else options.probe

    # the head is read from one run with the commonest input; the right input follows from the head
    first_look = InputSpec(name=tensor.name, width_px=size[0], height_px=size[1])
    outputs = run_one(graph, first_look, picture, tensor.shape[0])
    try:
        reading = identify(outputs, size, None if labels is None else len(labels), options.decoder)
    except ModelFileError as error:
        msg = f"{path}: {error}"
        raise ModelFileError(msg) from None
    names = labels or tuple(f"class_{index}" for index in range(reading.classes))
    spec = _input_for(reading.family, first_look, options)
    spec, scale_note = _settle_scale(graph, reading, spec, picture, options)
    dynamic = tensor.shape[0] is None and batch_works(graph, spec, picture)
    spec = spec.model_copy(update={"dynamic_batch": dynamic})
    manifest = _manifest(graph, reading, f"{name}@{version}", names, spec, options)
    seen, proof = _prove(graph, manifest, picture)
    about_input = _input_words(tensor, spec)
    return Finding(manifest, (*reading.evidence, label_note, about_input, scale_note, proof), seen)


def _manifest(
    graph: GraphFile,
    reading: Reading,
    reference: str,
    labels: tuple[str, ...],
    spec: InputSpec,
    options: ImportOptions,
) -> Manifest:
    name, _, version = reference.partition("@")
    precision = options.precision or _precision(graph)
    usual = USUAL_CONFIDENCE[reading.family]
    return Manifest(
        name=name,
        version=version,
        labels=labels,
        input=spec,
        decoder=reading.spec,
        thresholds=Thresholds(confidence=usual if options.confidence is None else options.confidence),
        files=(
            ModelFile(
                path=MODEL_FILE,
                precision=precision,
                sha256=hashlib.sha256(graph.data).hexdigest(),
                bytes=len(graph.data),
            ),
        ),
        passed=(precision,),
        default_precision=precision,
        licence=graph.metadata.get("license", "not stated"),
        note=f"imported from {graph.path.name}",
    )


def import_model(path: Path, name: str, version: str, options: ImportOptions, models_dir: Path) -> Finding:
    """Inspect a file and put it with its manifest into ``models_dir/name/version``.

    Raises:
        As :func:`inspect_file`; ModelConfigError also where that version exists already.

    """
    finding = inspect_file(path, name, version, options)
    if options.labels is None and metadata_names(GraphFile(path).metadata) is None:
        msg = f"{path}: names no classes in its metadata; give --labels"
        raise ModelConfigError(msg)
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
    try:
        in_file = path.is_file()
    except OSError:  # a long list is no file name
        in_file = False
    if in_file:
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


def _labels(graph: GraphFile, given: tuple[str, ...] | None) -> tuple[tuple[str, ...] | None, str]:
    own = metadata_names(graph.metadata)
    if given is None:
        if own is not None and len(set(own)) != len(own):
            msg = f"{graph.path}: its metadata names a class twice; give --labels"
            raise ModelConfigError(msg)
        return own, f"{len(own)} labels from the file's metadata" if own else "no labels: numbered"
    if own is not None and len(own) != len(given):
        shown = ", ".join(own[:5])
        msg = f"{graph.path}: {len(given)} labels given, but its metadata names {len(own)}: {shown}, ..."
        raise ModelConfigError(msg)
    return given, f"{len(given)} labels given"


def _input_size(graph: GraphFile, tensor: TensorInfo, wanted: Size | None) -> Size:
    height, width = tensor.shape[2:]
    if wanted is not None and (width not in (None, wanted[0]) or height not in (None, wanted[1])):
        msg = f"{graph.path}: its input is fixed at {width}x{height}, not {wanted[0]}x{wanted[1]}"
        raise ModelConfigError(msg)
    own = metadata_value(graph.metadata, "imgsz")
    usual = own if isinstance(own, list | tuple) and len(own) == 2 else (DEFAULT_SIDE_PX, DEFAULT_SIDE_PX)
    size = wanted or (width or int(usual[1]), height or int(usual[0]))
    if min(size) < MIN_SIDE_PX or max(size) > MAX_SIDE_PX:
        msg = f"{graph.path}: an input of {size[0]}x{size[1]} is not within {MIN_SIDE_PX} to {MAX_SIDE_PX} px"
        raise ModelConfigError(msg)
    return size


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
    graph: GraphFile,
    reading: Reading,
    spec: InputSpec,
    picture: npt.NDArray[np.uint8],
    options: ImportOptions,
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


def _top_score(graph: GraphFile, reading: Reading, spec: InputSpec, picture: npt.NDArray[np.uint8]) -> float:
    """Mean of the five best scores on a picture; a network fed wrongly is sure of nothing."""
    found = _candidates(graph, reading.spec, spec, reading.classes, picture)
    best = np.sort(found.confidence)[-5:]
    return float(best.mean()) if len(best) else 0.0


def _candidates(
    graph: GraphFile,
    decoder: DecoderSpec,
    spec: InputSpec,
    classes: int,
    picture: npt.NDArray[np.uint8],
) -> Candidates:
    outputs = run_one(graph, spec, picture, graph.inputs[0].shape[0])
    head = HeadShape((spec.width_px, spec.height_px), classes)
    try:
        return decode([outputs[name] for name in decoder.outputs], decoder, head, 0)
    except ValueError as error:
        msg = f"{graph.path}: {error}"
        raise ModelFileError(msg) from None


def _precision(graph: GraphFile) -> StoredPrecision:
    if graph.quantised:
        return "int8"
    return "f16" if graph.inputs[0].dtype == "tensor(float16)" else "f32"


def _prove(graph: GraphFile, manifest: Manifest, picture: npt.NDArray[np.uint8]) -> tuple[Detections, str]:
    """Run the finished manifest as the edge will, and look at what comes out.

    Raises:
        ModelFileError: the best candidates are no boxes of this picture.

    """
    outputs = _candidates(graph, manifest.decoder, manifest.input, len(manifest.labels), picture)
    best = np.argsort(-outputs.confidence)[:_BEST_LOOKED_AT]
    size = np.array([manifest.input.width_px, manifest.input.height_px], np.float32)
    centre = (outputs.xyxy[best, :2] + outputs.xyxy[best, 2:]) / 2 / size
    extent = (outputs.xyxy[best, 2:] - outputs.xyxy[best, :2]) / size
    sound = ((centre > -0.1) & (centre < 1.1) & (extent >= 0) & (extent < 2)).all(1)
    if len(best) and float(sound.mean()) < _SOUND_FRAC:
        msg = (
            f"{graph.path}: read as {manifest.decoder.kind}, only {int(sound.sum())} of the best {len(best)} "
            "candidates lie within the picture; another --decoder or --size may be right"
        )
        raise ModelFileError(msg)
    runtime = OnnxRuntime(
        graph.data,
        manifest.decoder.outputs,
        RuntimeOptions(manifest.default_precision, 1, "cpu"),
        str(graph.path),
    )
    detector = NetworkDetector(manifest, runtime, manifest.default_precision, manifest.thresholds)
    seen = detector.detect([picture])[0]
    detector.close()
    top = float(outputs.confidence.max(initial=0))
    return seen, (
        f"on the probe: {int(sound.sum())} of the best {len(best)} candidates are boxes within the picture, "
        f"best score {top:.2f}, {len(seen)} boxes of at least {manifest.thresholds.confidence:.2f}"
    )


def _input_words(tensor: TensorInfo, spec: InputSpec) -> str:
    batch = "any batch" if spec.dynamic_batch else f"batch of {tensor.shape[0] or 1}"
    kind = "float16" if tensor.dtype == "tensor(float16)" else "float32"
    size = f"{spec.width_px}x{spec.height_px}"
    return f"input {tensor.name} {shape_words(tensor.shape)} {kind}: {size}, {batch}, {spec.placement}"

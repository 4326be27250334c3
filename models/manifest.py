"""The manifest: everything that must be known about a model beside its ONNX file."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, JsonValue, ValidationError, field_validator, model_validator

from models.decoders import DecoderSpec
from models.errors import DigestMismatch, ModelConfigError, ModelFileError
from models.letterbox import Placement
from towerwatch.errors import Problem
from towerwatch.yamlconfig import StrictModel, dotted

Precision = Literal["f32", "bf16", "f16", "int8"]
StoredPrecision = Literal["f32", "f16", "int8"]
RuntimeName = Literal["onnxruntime", "openvino"]
Fraction = Annotated[float, Field(ge=0, le=1)]
Triple = tuple[float, float, float]

MANIFEST_FILE = "manifest.json"
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,47}$"
VERSION_PATTERN = r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,31}$"
MIN_SIDE_PX = 32
MAX_SIDE_PX = 8192
_CHUNK_BYTES = 1 << 20


class InputSpec(StrictModel):
    """What the model's input wants: ``(pixel * scale - mean) / std``, channels first.

    ``width_px`` and ``height_px`` are the size used, also where the graph takes any size.
    ``mean`` and ``std`` are in the units after ``scale`` and in the order of ``colour``.
    ``dynamic_batch``: the graph was proven to take more than one picture at a time.
    ``dynamic_sides``: it was proven to take less than that size, by multiples of 32 px, so that no more is
    padded than must be.
    """

    name: str
    width_px: int = Field(ge=MIN_SIDE_PX, le=MAX_SIDE_PX)
    height_px: int = Field(ge=MIN_SIDE_PX, le=MAX_SIDE_PX)
    colour: Literal["rgb", "bgr"] = "rgb"
    scale: float = Field(default=1 / 255, gt=0)
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    pad_value: int = Field(default=114, ge=0, le=255)
    placement: Placement = "centre"
    dynamic_batch: bool = False
    dynamic_sides: bool = False

    @field_validator("std")
    @classmethod
    def _no_zero(cls, value: Triple) -> Triple:
        if min(value) <= 0:
            msg = "must be above 0"
            raise ValueError(msg)
        return value


class Thresholds(StrictModel):
    """What counts as a box: lowest confidence, overlap that suppresses, most boxes a picture."""

    confidence: Fraction = 0.25
    nms_iou: Fraction = 0.45
    max_detections: int = Field(default=300, ge=1, le=3000)


class ModelFile(StrictModel):
    """One ONNX file of the model, in one precision, for the runtimes it was made for."""

    path: str
    precision: StoredPrecision
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=1)
    runtimes: tuple[RuntimeName, ...] = Field(default=("onnxruntime", "openvino"), min_length=1)

    @field_validator("path")
    @classmethod
    def _inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or not value or "\\" in value:
            msg = "must be a file beside the manifest"
            raise ValueError(msg)
        return value


class Manifest(StrictModel):
    """One version of one model.

    Attributes:
        files: by precision (and, where they differ, by runtime); bf16 is a way to run the f32 file.
        passed: precisions that passed the model's gate; no other may be chosen.
        default_precision: the one used where none is asked for; must be among ``passed``.
        default_runtime: the one ``auto`` means where it is installed; None leaves it to the loader.
        trained_on: one line a source, with its licence.
        metrics: by precision; what ``towerwatch models evaluate`` measured.
        parent: ``name@version`` that it was trained from.

    """

    schema_version: Literal[1] = 1
    name: str = Field(pattern=NAME_PATTERN)
    version: str = Field(pattern=VERSION_PATTERN)
    labels: tuple[str, ...] = Field(min_length=1)
    input: InputSpec
    decoder: DecoderSpec
    thresholds: Thresholds = Thresholds()
    files: tuple[ModelFile, ...] = Field(min_length=1)
    passed: tuple[Precision, ...] = ("f32",)
    default_precision: Precision = "f32"
    default_runtime: RuntimeName | None = None
    licence: str = "not stated"
    trained_on: tuple[str, ...] = ()
    metrics: dict[Precision, dict[str, JsonValue]] = Field(default_factory=dict)
    parent: str | None = None
    note: str = ""

    @property
    def reference(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        if len(set(self.labels)) != len(self.labels):
            msg = "labels: each may stand once"
            raise ValueError(msg)
        if self.default_precision not in self.passed:
            msg = f"default_precision: {self.default_precision} is not among passed {list(self.passed)}"
            raise ValueError(msg)
        have = {(file.precision, runtime) for file in self.files for runtime in file.runtimes}
        if len(have) != sum(len(file.runtimes) for file in self.files):
            msg = "files: two files of one precision for one runtime"
            raise ValueError(msg)
        missing = [item for item in self.passed if not self._has_file(item)]
        if missing:
            msg = f"passed: no file has precision {', '.join(missing)}"
            raise ValueError(msg)
        return self

    def _has_file(self, precision: Precision) -> bool:
        stored = "f32" if precision == "bf16" else precision
        return any(file.precision == stored for file in self.files)

    def file_for(self, precision: Precision, runtime: RuntimeName) -> ModelFile | None:
        """Return the file to run in ``precision`` on ``runtime``, None where there is none."""
        stored = "f32" if precision == "bf16" else precision
        fits = (file for file in self.files if file.precision == stored and runtime in file.runtimes)
        return next(fits, None)


def natural_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key by which 1.10 is newer than 1.9, and 1.0 newer than 1.0-rc1."""
    parts = re.findall(r"\d+|[a-zA-Z]+", version)
    key = tuple((1, int(part), "") if part.isdigit() else (-1, 0, part) for part in parts)
    return (*key, (0, 0, ""))


def read_manifest(path: Path) -> Manifest:
    """Read and validate a manifest file.

    Raises:
        ModelConfigError: it cannot be read or does not fit; one problem a line, each with its key.

    """
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelConfigError([Problem(str(path), None, "", f"cannot be read: {error.strerror}")]) from None
    except ValidationError as error:
        problems = [
            Problem(str(path), None, dotted(item["loc"]), item["msg"].removeprefix("Value error, "))
            for item in error.errors()
        ]
        raise ModelConfigError(problems) from None


def write_manifest(manifest: Manifest, folder: Path) -> Path:
    """Write ``manifest.json`` into ``folder`` and return its path."""
    path = folder / MANIFEST_FILE
    partial = path.with_suffix(".part")
    partial.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits.

    Raises:
        ModelFileError: it cannot be read.

    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ModelFileError(msg) from None
    return digest.hexdigest()


def read_verified(file: ModelFile, folder: Path) -> bytes:
    """Read a model file whole and return it only if its digest is the manifest's.

    What is checked is what is loaded: the bytes in memory, not a file that may change in between.

    Raises:
        DigestMismatch: the digest differs; both are named.
        ModelFileError: it cannot be read.

    """
    path = folder / file.path
    try:
        data = path.read_bytes()
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ModelFileError(msg) from None
    found = hashlib.sha256(data).hexdigest()
    if found != file.sha256:
        msg = f"{path}: not loaded: its sha256 is {found}, the manifest names {file.sha256}"
        raise DigestMismatch(msg)
    return data

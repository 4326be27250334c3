"""Load a detector by name: find its manifest, check its digest, start its runtime, warm it up."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast, get_args

from models.errors import ModelConfigError
from models.manifest import ModelFile, Precision, RuntimeName, read_verified
from models.network import NetworkDetector
from models.registry import FoundModel, find_model
from models.runtimes import DEFAULT_BATCH, Provider, RuntimeOptions, installed, open_runtime

RuntimeChoice = Literal["auto", "onnxruntime", "openvino"]


def load_detector(
    name_or_path: str,
    *,
    models_dir: Path | None = None,
    runtime: RuntimeChoice = "auto",
    precision: str | None = None,
    threads: int = 1,
    provider: Provider = "auto",
    batch: int = DEFAULT_BATCH,
    confidence: float | None = None,
) -> NetworkDetector:
    """Load and warm up a detector; it satisfies :class:`models.detector.Detector`.

    Args:
        name_or_path: ``name``, ``name@version``, or the path of a manifest or its folder.
        models_dir: a site's own models, beside the shipped ones.
        runtime: ``auto`` is the manifest's default, else OpenVINO, else ONNX Runtime; a GPU
            provider means ONNX Runtime.
        precision: ``f32``, ``bf16``, ``f16`` or ``int8``; None is the manifest's default. Only one
            in which the model passed its gate.
        threads: for one operator.
        provider: where to run; ``auto`` is CUDA with the [edge-cuda] extra, the CPU otherwise.
        batch: most pictures that go through the model at once.
        confidence: lowest confidence of a box, in place of the manifest's.

    Raises:
        ModelConfigError: no such model, or an option that cannot be met on this machine.
        DigestMismatch: a file is not the one in its manifest; it is not loaded.
        ModelFileError: a file cannot be read, or is not what its manifest says.

    """
    found = find_model(name_or_path, models_dir)
    wanted = precision_of(precision) or found.manifest.default_precision
    if wanted not in found.manifest.passed:
        msg = (
            f"{found.manifest.reference}: has not passed its gate in {wanted}, so it may not run in it; "
            f"passed: {', '.join(found.manifest.passed)}"
        )
        raise ModelConfigError(msg)
    options = RuntimeOptions(wanted, threads, provider, batch)
    return build_detector(found, runtime=runtime, options=options, confidence=confidence)


def build_detector(
    found: FoundModel, *, runtime: RuntimeChoice, options: RuntimeOptions, confidence: float | None = None
) -> NetworkDetector:
    """Load a detector in any precision it has a file for, passed or not: for gates and benchmarks.

    Raises:
        As :func:`load_detector`.

    """
    if confidence is not None and not 0 <= confidence <= 1:
        msg = f"confidence {confidence} is not in [0, 1]"
        raise ModelConfigError(msg)
    if options.threads < 1:
        msg = f"threads {options.threads} is below 1"
        raise ModelConfigError(msg)
    chosen, file = choose_file(found, runtime, options)
    data = read_verified(file, found.folder)
    source = f"{found.manifest.reference} ({found.folder / file.path})"
    loaded = open_runtime(chosen, data, found.manifest.decoder.outputs, options, source)
    thresholds = found.manifest.thresholds
    if confidence is not None:
        thresholds = thresholds.model_copy(update={"confidence": confidence})
    detector = NetworkDetector(found.manifest, loaded, options.precision, thresholds, batch=options.batch)
    detector.warm_up()
    return detector


def precision_of(text: str | None) -> Precision | None:
    """Check the name of a precision; None stays None.

    Raises:
        ModelConfigError: there is none of that name.

    """
    if text is None or text in get_args(Precision):
        return cast("Precision | None", text)
    msg = f"precision {text!r} is none of {', '.join(get_args(Precision))}"
    raise ModelConfigError(msg)


def choose_file(
    found: FoundModel, runtime: RuntimeChoice, options: RuntimeOptions
) -> tuple[RuntimeName, ModelFile]:
    """Say which file of a model runs in ``options.precision``, and in which runtime.

    Raises:
        ModelConfigError: there is none, or its runtime is not installed.

    """
    tried = []
    for name in _order(found, runtime, options):
        file = found.manifest.file_for(options.precision, name)
        if file is None:
            tried.append(f"no {options.precision} file for {name}")
        elif not installed(name):
            tried.append(f"{name} is not installed")
        else:
            return name, file
    msg = f"{found.manifest.reference}: cannot run in {options.precision}: {'; '.join(tried)}"
    raise ModelConfigError(msg)


def _order(found: FoundModel, runtime: RuntimeChoice, options: RuntimeOptions) -> list[RuntimeName]:
    if runtime != "auto":
        if runtime not in get_args(RuntimeName):
            msg = f"runtime {runtime!r} is none of auto, {', '.join(get_args(RuntimeName))}"
            raise ModelConfigError(msg)
        return [runtime]
    if options.provider in ("cuda", "tensorrt"):
        return ["onnxruntime"]
    # OpenVINO takes float16 only on CPUs that compute in it, ONNX Runtime widens it where need be
    order: list[RuntimeName] = ["openvino", "onnxruntime"]
    default = found.manifest.default_runtime or ("onnxruntime" if options.precision == "f16" else "openvino")
    return sorted(order, key=lambda name: name != default)

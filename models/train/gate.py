"""The gate: a precision may be used once it was measured to lose little against f32, in every runtime."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import ModelConfigError
from models.load import build_detector
from models.manifest import Manifest, Precision, RuntimeName, read_manifest, write_manifest
from models.network import NetworkDetector
from models.registry import FoundModel, find_model
from models.runtimes import RuntimeOptions
from models.train.evaluate import LOWEST
from models.train.judge import JudgePlan, judge_detector
from models.train.samples import Sample

MOST_LOST = 0.015  # of mAP50
KEPT = ("pictures", "map50", "map50_95", "recall", "precision", "empty_frames_with_box_frac", "cpu_ms")
SPEED_ROUNDS = 12
# computed by CPUs of recent years alone, so never a default that ships
NOT_EVERYWHERE: tuple[Precision, ...] = ("bf16",)

Way = tuple[Precision, RuntimeName]
Measured = Mapping[Way, Mapping[str, Any]]


def measure(folder: Path, samples: Sequence[Sample], plan: JudgePlan) -> dict[Way, dict[str, Any]]:
    """Judge a model version in every precision and runtime that it has a file for.

    Adds ``cpu_ms``, the CPU time of one picture, as the median over rounds in which all take turns:
    it says the same on a busy machine, where the wall clock would not.
    """
    found = find_model(str(folder / "manifest.json"))
    detectors = dict(_ways(found, plan.threads))
    times: dict[Way, list[float]] = {way: [] for way in detectors}
    grey = np.full((found.manifest.input.height_px, found.manifest.input.width_px, 3), 114, np.uint8)
    for _ in range(SPEED_ROUNDS):
        for way, detector in detectors.items():
            start = time.process_time()
            detector.detect([grey])
            times[way].append(time.process_time() - start)
    out = {}
    for way, detector in detectors.items():
        document, _judged = judge_detector(detector, found.manifest, samples, plan)
        out[way] = document | {"cpu_ms": round(1000 * float(np.median(times[way])), 1)}
    return out


def _ways(found: FoundModel, threads: int) -> Iterator[tuple[Way, NetworkDetector]]:
    """Load a model in each precision and runtime it has a file for; bf16 where this CPU has it."""
    for file in found.manifest.files:
        for runtime in file.runtimes:
            options = RuntimeOptions(file.precision, threads)
            yield (
                (file.precision, runtime),
                build_detector(found, runtime=runtime, options=options, confidence=LOWEST),
            )
    options = RuntimeOptions("bf16", threads)
    with contextlib.suppress(ModelConfigError):
        yield (
            ("bf16", "openvino"),
            build_detector(found, runtime="openvino", options=options, confidence=LOWEST),
        )


def passing(measured: Measured) -> tuple[Precision, ...]:
    """Name the precisions whose mAP50 is at most 1.5 points below f32 in each runtime they have."""
    best = {runtime: row["map50"] for (precision, runtime), row in measured.items() if precision == "f32"}
    lost: dict[Precision, float] = {}
    for (precision, runtime), row in measured.items():
        lost[precision] = max(lost.get(precision, 0.0), best[runtime] - row["map50"])
    return tuple(precision for precision, loss in lost.items() if loss <= MOST_LOST)


def fastest(measured: Measured) -> Way:
    """Name the fastest way to run that has passed and that every CPU has."""
    passed = passing(measured)
    ways = [way for way in measured if way[0] in passed and way[0] not in NOT_EVERYWHERE]
    return min(ways, key=lambda way: float(measured[way]["cpu_ms"]))


def table(measured: Measured) -> list[dict[str, Any]]:
    """Return one row a way to run, with its speed as a multiple of f32 in the same runtime."""
    return [
        {
            "numeric": precision,
            "runtime": runtime,
            **{key: row[key] for key in KEPT},
            "times_as_fast": round(measured["f32", runtime]["cpu_ms"] / row["cpu_ms"], 2),
        }
        for (precision, runtime), row in measured.items()
    ]


def enter(folder: Path, measured: Measured) -> Manifest:
    """Write what was measured, which precisions passed, and the default into the manifest."""
    manifest = read_manifest(folder / "manifest.json")
    metrics: dict[Precision, dict[str, Any]] = {}
    for (precision, runtime), row in measured.items():
        metrics.setdefault(precision, {})[runtime] = {key: row[key] for key in KEPT}
    precision, runtime = fastest(measured)
    changed = manifest.model_copy(
        update={
            "metrics": metrics,
            "passed": passing(measured),
            "default_precision": precision,
            "default_runtime": runtime,
        }
    )
    write_manifest(changed, folder)
    return changed

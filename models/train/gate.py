"""The gate: a precision may be used once it was measured to lose little against f32, in every runtime."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.load import build_detector
from models.manifest import Manifest, Precision, RuntimeName, read_manifest, write_manifest
from models.registry import find_model
from models.runtimes import RuntimeOptions
from models.train.evaluate import LOWEST
from models.train.judge import JudgePlan, judge_detector
from models.train.samples import Sample

MOST_LOST = 0.015  # of mAP50
KEPT = ("pictures", "map50", "map50_95", "recall", "precision", "empty_frames_with_box_frac")
RUNTIMES: tuple[RuntimeName, ...] = ("onnxruntime", "openvino")
SPEED_RUNS = 12

Measured = Mapping[tuple[Precision, RuntimeName], Mapping[str, Any]]


def measure(
    folder: Path, samples: Sequence[Sample], plan: JudgePlan
) -> dict[tuple[Precision, RuntimeName], dict[str, Any]]:
    """Judge every file of a model version in its own runtimes; adds ``median_ms`` of one picture."""
    found = find_model(str(folder / "manifest.json"))
    out: dict[tuple[Precision, RuntimeName], dict[str, Any]] = {}
    for file in found.manifest.files:
        for runtime in file.runtimes:
            options = RuntimeOptions(file.precision, plan.threads)
            detector = build_detector(found, runtime=runtime, options=options, confidence=LOWEST)
            grey = np.full((found.manifest.input.height_px, found.manifest.input.width_px, 3), 114, np.uint8)
            times = []
            for _ in range(SPEED_RUNS):
                start = time.perf_counter()
                detector.detect([grey])
                times.append(time.perf_counter() - start)
            document, _judged = judge_detector(detector, found.manifest, samples, plan)
            out[file.precision, runtime] = document | {"median_ms": round(1000 * float(np.median(times)), 1)}
    return out


def passing(measured: Measured) -> tuple[Precision, ...]:
    """Name the precisions whose mAP50 is at most 1.5 points below f32 in each runtime they have."""
    best = {runtime: row["map50"] for (precision, runtime), row in measured.items() if precision == "f32"}
    lost: dict[Precision, float] = {}
    for (precision, runtime), row in measured.items():
        lost[precision] = max(lost.get(precision, 0.0), best[runtime] - row["map50"])
    return tuple(precision for precision, loss in lost.items() if loss <= MOST_LOST)


def enter(folder: Path, measured: Measured) -> Manifest:
    """Write what was measured, and which precisions passed, into the manifest."""
    manifest = read_manifest(folder / "manifest.json")
    metrics: dict[Precision, dict[str, Any]] = {}
    for (precision, runtime), row in measured.items():
        metrics.setdefault(precision, {})[runtime] = {key: row[key] for key in (*KEPT, "median_ms")}
    changed = manifest.model_copy(update={"metrics": metrics, "passed": passing(measured)})
    write_manifest(changed, folder)
    return changed

"""Pictures a second by model, size, batch, runtime, provider and precision.

``python -m benchmarks.detect [--quick] [--model FILE.onnx]... --json OUT``

A picture is 1920x1080; what is timed is all that a camera's picture goes through: letterbox,
network, decoder, NMS. All combinations take turns, several rounds long, so that a change of the
machine's load meets all alike; a combination's figures are the medians of its rounds.

JSON: ``results``, one object a combination::

    model, precision, runtime, provider, size_px [w, h], batch, threads
    fps                  pictures a second, wall clock
    ms_per_picture       wall clock
    cpu_s_per_picture    CPU time of all threads
    boxes                on the benchmark's picture, so that a network that sees nothing shows
    ratio_to_reference   fps over that of the same model at its own size, f32, onnxruntime, cpu,
                         batch 1, one thread, in this run
    cpu_ratio_to_reference   cpu_s_per_picture over the reference's; the steadier of the two where
                         the machine is shared

and ``skipped``: combinations that cannot run here, each with its reason.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import numpy.typing as npt
import typer

from benchmarks.command import run_command
from benchmarks.machine import usable_cores
from benchmarks.report import Row, document, print_machine, print_table, write_json
from models.errors import ModelConfigError, ModelError
from models.importer import ImportOptions, generated_picture, import_model, inspect_file
from models.load import build_detector
from models.manifest import Precision, RuntimeName
from models.network import NetworkDetector
from models.registry import FoundModel, find_model, list_models, shipped_dir
from models.runtimes import Provider, RuntimeOptions

QUICK_TOTAL_S = 25.0
FULL_TOTAL_S = 300.0
ROUNDS = 3
EXTRA_SIDES_PX = (416, 640)


@dataclass(frozen=True, slots=True)
class Combination:
    """One thing to be timed."""

    found: FoundModel
    runtime: RuntimeName
    options: RuntimeOptions
    batch: int

    def row(self) -> Row:
        """Return the part of the JSON that says what it is."""
        spec = self.found.manifest.input
        return {
            "model": self.found.manifest.reference,
            "precision": self.options.precision,
            "runtime": self.runtime,
            "provider": self.options.provider,
            "size_px": [spec.width_px, spec.height_px],
            "batch": self.batch,
            "threads": self.options.threads,
        }


@dataclass(slots=True)
class Timed:
    """A loaded combination and its rounds."""

    combination: Combination
    detector: NetworkDetector
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    boxes: int = 0


def combinations(found: FoundModel, *, quick: bool, cores: int) -> Iterator[Combination]:
    """Yield what is worth timing of one model, whether or not it can run here."""
    manifest = found.manifest
    stored: list[Precision] = [file.precision for file in manifest.files]
    extra: list[Precision] = ["bf16"] if "f32" in stored else []
    precisions = list(dict.fromkeys([*stored, *extra]))
    batches = (1, 4) if manifest.input.dynamic_batch else (1,)
    threads = (1,) if quick or cores == 1 else (1, cores)
    places: list[tuple[RuntimeName, Provider]] = [
        ("onnxruntime", "cpu"),
        ("openvino", "cpu"),
        ("onnxruntime", "cuda"),
        ("onnxruntime", "tensorrt"),
    ]
    for precision, (runtime, provider), batch, count in itertools.product(
        precisions, places, batches, threads
    ):
        if manifest.file_for(precision, runtime) is None or (
            runtime == "onnxruntime" and precision == "bf16"
        ):
            continue
        yield Combination(found, runtime, RuntimeOptions(precision, count, provider), batch)


def resized(found: FoundModel) -> list[FoundModel]:
    """Return the model at its own size and, where its graph takes any, at others."""
    manifest, out = found.manifest, [found]
    for side in EXTRA_SIDES_PX:
        if side in (manifest.input.width_px, manifest.input.height_px):
            continue
        other = manifest.input.model_copy(update={"width_px": side, "height_px": side})
        out.append(replace(found, manifest=manifest.model_copy(update={"input": other})))
    return out if _takes_any_size(found) else out[:1]


def _takes_any_size(found: FoundModel) -> bool:
    path = found.folder / found.manifest.files[0].path
    options = ImportOptions(labels=found.manifest.labels, size_px=(EXTRA_SIDES_PX[0], EXTRA_SIDES_PX[0]))
    try:
        inspect_file(path, found.manifest.name, found.manifest.version, options)
    except ModelError:
        return False
    return True


def street_picture() -> npt.NDArray[np.uint8]:
    """Make the 1920x1080 picture that is looked at."""
    return np.asarray(cv2.resize(generated_picture(), (1920, 1080), interpolation=cv2.INTER_CUBIC), np.uint8)


def open_all(wanted: Sequence[Combination]) -> tuple[list[Timed], list[Row]]:
    """Load what can run here; return it, and what cannot with the reason."""
    timed, skipped = [], []
    for item in wanted:
        try:
            detector = build_detector(item.found, runtime=item.runtime, options=item.options)
        except ModelError as error:
            skipped.append({**item.row(), "reason": str(error)})
            continue
        timed.append(Timed(item, detector))
    return timed, skipped


def measure(timed: Sequence[Timed], total_s: float) -> None:
    """Let the combinations take turns for ``total_s`` in all."""
    picture = street_picture()
    slice_s = total_s / max(1, len(timed)) / ROUNDS
    for _ in range(ROUNDS):
        for item in timed:
            _one_round(item, picture, slice_s)


def _one_round(item: Timed, picture: npt.NDArray[np.uint8], slice_s: float) -> None:
    batch = [picture] * item.combination.batch
    item.boxes = len(item.detector.detect(batch)[0])
    count, cpu_at, at = 0, time.process_time(), time.perf_counter()
    while (passed := time.perf_counter() - at) < slice_s or not count:
        item.detector.detect(batch)
        count += len(batch)
    item.wall_s.append(passed / count)
    item.cpu_s.append((time.process_time() - cpu_at) / count)


def rows_of(timed: Sequence[Timed]) -> list[Row]:
    """Turn measurements into result objects, with ratios to each model's reference."""
    rows = []
    for item in timed:
        wall_s = statistics.median(item.wall_s)
        figures = {
            "fps": 1 / wall_s,
            "ms_per_picture": wall_s * 1000,
            "cpu_s_per_picture": statistics.median(item.cpu_s),
            "boxes": item.boxes,
        }
        rows.append({**item.combination.row(), **figures})
    reference: dict[str, float] = {}
    cpu_reference: dict[str, float] = {}
    for row in rows:
        key = (row["precision"], row["runtime"], row["provider"], row["batch"], row["threads"])
        if key == ("f32", "onnxruntime", "cpu", 1, 1):
            reference.setdefault(row["model"], row["fps"])  # its own size comes first
            cpu_reference.setdefault(row["model"], row["cpu_s_per_picture"])
    for row in rows:
        own, own_cpu = reference.get(row["model"]), cpu_reference.get(row["model"])
        row["ratio_to_reference"] = row["fps"] / own if own else None
        row["cpu_ratio_to_reference"] = row["cpu_s_per_picture"] / own_cpu if own_cpu else None
    return rows


def chosen_models(files: Sequence[Path], models_dir: Path) -> list[FoundModel]:
    """Return the shipped models and the files given, these imported into ``models_dir``."""
    for file in files:
        name = "".join(c if c.isalnum() else "-" for c in file.stem.lower()).strip("-")[:40] or "model"
        name += "-given" if (shipped_dir() / name).exists() else ""
        labels = inspect_file(file, name, "0", ImportOptions()).manifest.labels
        import_model(file, name, "0", ImportOptions(labels=labels), models_dir)
    names = dict.fromkeys(found.manifest.name for found in list_models(models_dir))
    if not names:
        msg = "no shipped models in this checkout; give one with --model FILE.onnx"
        raise ModelConfigError(msg)
    return [find_model(name, models_dir) for name in names]


def skipped_words(skipped: Sequence[Row]) -> list[str]:
    """Say once for each way of running why it cannot be measured here."""
    first: dict[str, str] = {}
    for row in skipped:
        place = f"{row['runtime']} {row['provider']} {row['precision']}"
        first.setdefault(place, row["reason"])
    return [f"not measured: {place}: {reason.strip()}" for place, reason in first.items()]


def main(
    json_path: Annotated[Path, typer.Option("--json", help="Where to write the results.")],
    quick: Annotated[bool, typer.Option("--quick", help="Within a minute.")] = False,  # noqa: FBT002 - a flag
    model: Annotated[list[Path] | None, typer.Option(help="An ONNX file beside the shipped ones.")] = None,
) -> None:
    """Time every model in every way that this machine can run it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            models = chosen_models(model or [], Path(folder))
        except ModelError as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(2) from None
        sized = models if quick else [item for found in models for item in resized(found)]
        wanted = [item for found in sized for item in combinations(found, quick=quick, cores=usable_cores())]
        timed, skipped = open_all(wanted)
        content: dict[str, Any] = document("detect", quick=quick, skipped=skipped)
        measure(timed, QUICK_TOTAL_S if quick else FULL_TOTAL_S)
        content["results"] = rows_of(timed)
        for item in timed:
            item.detector.close()
    print_machine(content)
    if not content["machine"]["gpus"]:
        print("no GPU on this machine: CUDA and TensorRT are not measured")
    shown = (
        "model",
        "size_px",
        "precision",
        "runtime",
        "provider",
        "batch",
        "threads",
        "fps",
        "cpu_s_per_picture",
    )
    print_table(
        "pictures of 1920x1080 a second",
        content["results"],
        (*shown, "ratio_to_reference", "cpu_ratio_to_reference"),
    )
    for line in skipped_words(skipped):
        print(line)
    write_json(json_path, content)


if __name__ == "__main__":
    run_command(main)

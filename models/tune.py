"""How a model runs best on this machine: a short measurement, kept beside what it depends on.

Measured are the runtimes, the precisions in which the model passed its gate, threads and batches: one
after the other, each on top of the best before it, for all combinations would take minutes. What
costs the fewest seconds a picture wins, CPU seconds on a CPU, where cameras share the cores, and wall
seconds on a GPU. The manifest's own way keeps its place unless another is clearly cheaper.

What was found holds for these very files, this CPU, these runtimes and these wishes; where one
differs it is measured anew. Replays do not read it: they run the manifest's way, everywhere the same.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import Field, ValidationError

from models.errors import ModelConfigError, ModelError
from models.importer import generated_picture
from models.load import RuntimeChoice, build_detector, choose_file
from models.manifest import Precision, RuntimeName
from models.registry import FoundModel
from models.runtimes import DEFAULT_BATCH, Provider, RuntimeOptions
from towerwatch.yamlconfig import StrictModel

TUNING_FILE = "tuning.json"
LIMIT_S = 10.0
SLICE_S = 0.4  # of one candidate; at least two runs
CLEARLY = 0.9  # of the manifest's own cost: less is noise
BATCHES, GPU_BATCHES = (1, 4), (1, 4, 16)
_LIKELY: tuple[Precision, ...] = ("int8", "bf16", "f16", "f32")  # the quickest first, should time run out
_PACKAGES = ("onnxruntime", "onnxruntime-gpu", "openvino")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a configuration asks for; None and ``auto`` are left to the measurement."""

    runtime: RuntimeChoice = "auto"
    provider: Provider = "auto"
    precision: Precision | None = None
    threads: int | None = None


class Way(StrictModel):
    """One way of running a model; ``batch``: pictures that go through at once."""

    runtime: RuntimeName
    precision: Precision
    threads: int = Field(default=1, ge=1)
    batch: int = Field(default=DEFAULT_BATCH, ge=1)


class Measured(StrictModel):
    """What a picture of 640x480 costs in one way, letterbox to boxes, in ms."""

    way: Way
    cpu_ms: float
    wall_ms: float
    on_gpu: bool = False

    @property
    def cost_ms(self) -> float:
        """What is compared."""
        return self.wall_ms if self.on_gpu else self.cpu_ms


class Entry(StrictModel):
    """What was found for one model, and all that it depends on."""

    facts: dict[str, Any]
    way: Way
    measured: tuple[Measured, ...]


class Tuning(StrictModel):
    """The file in the box's data folder."""

    entries: tuple[Entry, ...] = ()


def default_way(found: FoundModel, wish: Wish) -> Way:
    """Return how a model runs where nothing was measured.

    Raises:
        ModelConfigError: it cannot run as wished.

    """
    options = RuntimeOptions(
        wish.precision or found.manifest.default_precision, wish.threads or 1, wish.provider
    )
    runtime, _ = choose_file(found, wish.runtime, options)
    return Way(runtime=runtime, precision=options.precision, threads=options.threads)


def measure(found: FoundModel, wish: Wish, limit_s: float = LIMIT_S) -> list[Measured]:
    """Measure one way after another for about ``limit_s`` seconds; the manifest's own comes first.

    Raises:
        ModelError: not even that one can run.

    """
    deadline_s = time.monotonic() + limit_s
    first = default_way(found, wish)
    done = [_measured(found, first, wish.provider)]
    for stage in (_other_files, _other_threads, _other_batches):
        for way in stage(found, wish, best(done).way):
            if time.monotonic() < deadline_s:
                with suppress(ModelError):  # a precision that this CPU lacks, a runtime that is not there
                    done.append(_measured(found, way, wish.provider))
    return done


def best(measured: Sequence[Measured]) -> Measured:
    """Return the cheapest way; the first one unless another is clearly cheaper."""
    cheapest = min(measured, key=lambda one: one.cost_ms)
    return cheapest if cheapest.cost_ms < CLEARLY * measured[0].cost_ms else measured[0]


def _other_files(found: FoundModel, wish: Wish, way: Way) -> Iterator[Way]:
    precisions = sorted(
        found.manifest.passed if wish.precision is None else (wish.precision,), key=_LIKELY.index
    )
    runtimes: tuple[RuntimeName, ...] = get_args(RuntimeName) if wish.runtime == "auto" else (wish.runtime,)
    for precision in precisions:
        for runtime in runtimes:
            other = way.model_copy(update={"precision": precision, "runtime": runtime})
            if other != way and found.manifest.file_for(precision, runtime) is not None:
                yield other


def _other_threads(_found: FoundModel, wish: Wish, way: Way) -> Iterator[Way]:
    cores = len(os.sched_getaffinity(0))
    if wish.threads is None and cores > 1:
        yield way.model_copy(update={"threads": cores})


def _other_batches(found: FoundModel, wish: Wish, way: Way) -> Iterator[Way]:
    if found.manifest.input.dynamic_batch:
        for batch in GPU_BATCHES if wish.provider != "cpu" and _has_gpu() else BATCHES:
            if batch != way.batch:
                yield way.model_copy(update={"batch": batch})


def _has_gpu() -> bool:
    return _version("onnxruntime-gpu") is not None


def _measured(found: FoundModel, way: Way, provider: Provider) -> Measured:
    options = RuntimeOptions(way.precision, way.threads, provider, way.batch)
    detector = build_detector(found, runtime=way.runtime, options=options)
    pictures = [generated_picture()] * way.batch
    try:
        detector.detect(pictures)  # a batch of this size, too, pays its start-up cost once
        count, cpu_s, wall_s = 0, time.process_time(), time.perf_counter()
        while count < 2 * way.batch or time.perf_counter() - wall_s < SLICE_S:
            detector.detect(pictures)
            count += way.batch
        cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    finally:
        detector.close()
    on_gpu = not detector.runtime_description.split()[2].startswith("cpu")
    return Measured(way=way, cpu_ms=cpu_s / count * 1e3, wall_ms=wall_s / count * 1e3, on_gpu=on_gpu)


def facts_of(found: FoundModel, wish: Wish) -> dict[str, Any]:
    """Return all that a measurement depends on, as JSON values."""
    return {
        "model": found.manifest.reference,
        "files": sorted(file.sha256 for file in found.manifest.files),
        "passed": list(found.manifest.passed),
        "input_px": [found.manifest.input.width_px, found.manifest.input.height_px],
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "wish": asdict(wish),
    }


def kept(data_dir: Path, found: FoundModel, wish: Wish) -> Entry | None:
    """Return what was found here before, None where nothing was, or where it holds no longer."""
    facts = facts_of(found, wish)
    return next((entry for entry in _read(data_dir).entries if entry.facts == facts), None)


def tune(data_dir: Path, found: FoundModel, wish: Wish, limit_s: float = LIMIT_S) -> Entry:
    """Measure how a model runs best here, and keep it in ``data_dir``, one process at a time.

    Raises:
        ModelError: the model cannot run at all.
        ModelConfigError: the folder cannot be written.

    """
    try:
        with _alone(data_dir) as waited:
            if waited and (entry := kept(data_dir, found, wish)) is not None:
                return entry  # of whoever measured the same meanwhile
            done = measure(found, wish, limit_s)
            entry = Entry(facts=facts_of(found, wish), way=best(done).way, measured=tuple(done))
            others = [one for one in _read(data_dir).entries if not _supersedes(entry, one)]
            _write(data_dir, Tuning(entries=(*others, entry)))
            return entry
    except OSError as error:
        msg = f"{data_dir}: cannot be written: {error.strerror}"
        raise ModelConfigError(msg) from None


def _supersedes(new: Entry, old: Entry) -> bool:
    return all(new.facts[key] == old.facts.get(key) for key in ("model", "wish"))


@contextmanager
def _alone(data_dir: Path) -> Iterator[bool]:
    """Let one process measure at a time, for two would measure each other; tell whether we had to wait."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / f"{TUNING_FILE}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            waited = False
        except BlockingIOError:
            fcntl.flock(lock, fcntl.LOCK_EX)
            waited = True
        yield waited


def _read(data_dir: Path) -> Tuning:
    try:
        return Tuning.model_validate_json((data_dir / TUNING_FILE).read_bytes())
    except (OSError, ValidationError):
        return Tuning()  # nothing yet, or damaged: it is measured anew


def _write(data_dir: Path, tuning: Tuning) -> None:
    partial = data_dir / f"{TUNING_FILE}.part"
    partial.write_text(tuning.model_dump_json(indent=1) + "\n", encoding="utf-8")
    partial.replace(data_dir / TUNING_FILE)


def _cpu() -> str:
    """Name the CPU and digest what it can do: two of one name may differ in a virtual machine."""
    with suppress(OSError):
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
        pairs = {
            key.strip(): value.strip()
            for key, _, value in (line.partition(":") for line in first.splitlines())
        }
        flags = pairs.get("flags", pairs.get("Features", ""))
        name = pairs.get("model name") or platform.machine()
        return f"{name} {hashlib.sha256(flags.encode()).hexdigest()[:12]}"
    return platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None

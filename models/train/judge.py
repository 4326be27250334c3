"""Judge models on a data set through the edge's own runtime, and write what was found as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.detections import Detections
from models.detector import Detector
from models.load import RuntimeChoice, build_detector, choose_file, precision_of
from models.manifest import Manifest
from models.nms import nms
from models.predict import RunningDetector
from models.registry import find_model
from models.runtimes import RuntimeOptions
from models.tiles import TiledDetector
from models.train.evaluate import LOWEST, report, run
from models.train.layouts import Layout
from models.train.matching import Judged
from models.train.prepare import read_source
from models.train.readers import READERS
from models.train.recipe import load_recipe
from models.train.samples import DataProblem, Sample
from models.train.split import group_by_pattern
from towerwatch.errors import ConfigError

MERGE_IOU = 0.5


@dataclass(frozen=True, slots=True)
class JudgePlan:
    """How models are judged.

    ``label_map`` renames a model's classes (car -> vehicle) so that models with other class names
    can be compared; classes of a model that are neither in it nor among the data's are dropped.
    """

    models_dir: Path | None = None
    runtime: RuntimeChoice = "auto"
    precision: str | None = None
    threads: int = 1
    iou: float = 0.5
    tile_px: int | None = None
    threshold: float | None = None
    label_map: Mapping[str, str] = field(default_factory=dict)


class Relabelled:
    """A detector whose classes are renamed, joined by NMS across what has become one class."""

    def __init__(self, detector: Detector, label_map: Mapping[str, str], labels: tuple[str, ...]) -> None:
        """``labels`` are the classes that remain."""
        self._detector = detector
        self._to = [label_map.get(name, name) for name in detector.labels]
        self.labels = labels

    @property
    def name(self) -> str:
        """Name and version of the model."""
        return self._detector.name

    @property
    def precision(self) -> str:
        """Precision of the model."""
        return self._detector.precision

    def detect(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Detections]:
        """See :class:`models.detector.Detector`."""
        return [self._rename(found) for found in self._detector.detect(images)]

    def _rename(self, found: Detections) -> Detections:
        names = [self._to[index] for index in found.class_id]
        keep = np.array([name in self.labels for name in names], np.bool_)
        ids = np.array([self.labels.index(name) for name in names if name in self.labels], np.int32)
        kept = Detections(found.xyxy[keep], found.confidence[keep], ids, self.labels)
        return kept.select(nms(kept.xyxy, kept.confidence, kept.class_id, MERGE_IOU))

    def close(self) -> None:
        """Release the model."""
        self._detector.close()


def samples_of(
    data: Path, root: Path | None, classes: Mapping[str, str], group: str, reader: str = "yolo"
) -> tuple[list[Sample], list[DataProblem]]:
    """Collect what is to be judged on.

    ``data`` is a folder in the layout that ``reader`` reads, with ``classes`` and ``group`` as in a
    recipe; or it is a recipe: then the pictures that it holds out, under ``root``.

    Raises:
        ConfigError: nothing to judge on is there.

    """
    if data.is_dir():
        reading = READERS[reader](Layout(data.name, data, classes, group_by_pattern(group)))
        samples, problems = reading.samples, reading.problems
    else:
        if not data.exists():
            msg = f"{data}: no such folder or recipe"
            raise ConfigError(msg)
        if root is None:
            msg = f"{data}: is a recipe: --data-root must say where its sources lie"
            raise ConfigError(msg)
        recipe = load_recipe(data)
        samples, problems = [], []
        for source in recipe.sources:
            split, found = read_source(source, root, recipe.seed)
            samples += split.held_out
            problems += found
    if not samples:
        msg = f"{data}: holds no picture to judge on"
        raise ConfigError(msg)
    return samples, problems


def judge(model: str, samples: Sequence[Sample], plan: JudgePlan) -> tuple[dict[str, Any], list[Judged]]:
    """Judge one model as the edge would load it; the JSON document and the pictures behind it.

    A precision that has not passed its gate may be judged too.

    Raises:
        ModelConfigError: no such model, or it cannot run like that on this machine.

    """
    found = find_model(model, plan.models_dir)
    options = RuntimeOptions(precision_of(plan.precision) or found.manifest.default_precision, plan.threads)
    runtime, file = choose_file(found, plan.runtime, options)
    inner = build_detector(found, runtime=runtime, options=options, confidence=LOWEST)
    document, judged = judge_detector(inner, found.manifest, samples, plan)
    return document | {"sha256": file.sha256}, judged


def judge_detector(
    inner: RunningDetector, manifest: Manifest, samples: Sequence[Sample], plan: JudgePlan
) -> tuple[dict[str, Any], list[Judged]]:
    """Judge a detector that was loaded with the confidence :data:`LOWEST`, and close it."""
    threshold = manifest.thresholds.confidence if plan.threshold is None else plan.threshold
    detector = inner if plan.tile_px is None else TiledDetector(inner, plan.tile_px)
    wanted = tuple(sorted({label for sample in samples for label in sample.labels})) or manifest.labels
    judged = run(Relabelled(detector, plan.label_map, wanted), samples, threshold, plan.iou)
    document = {
        "model": inner.name,
        "numeric": inner.precision,
        "runtime": inner.runtime_description,
        "threshold": threshold,
        "iou": plan.iou,
        "tile_px": plan.tile_px,
        **report(judged),
    }
    detector.close()
    return document, judged

"""What a judgement looks like: precision over recall, and pictures of the worst mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.train.coco_figures import CocoFigures
from models.train.matching import Judged
from models.train.worst import sheet, worst_false, worst_misses


def draw_all(judged: Sequence[Judged], document: Mapping[str, Any], folder: Path, name: str) -> list[Path]:
    """Write ``NAME-precision-recall.png``, ``NAME-missed.png`` and ``NAME-false.png`` where there is any."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [precision_recall(judged, document, folder / f"{name}-precision-recall.png")]
    for kind, mistakes in (("missed", worst_misses(judged)), ("false", worst_false(judged))):
        if mistakes:
            written.append(folder / f"{name}-{kind}.png")
            cv2.imwrite(str(written[-1]), sheet(mistakes))
    return written


def precision_recall(judged: Sequence[Judged], document: Mapping[str, Any], target: Path) -> Path:
    """Draw COCO's curve of each class at IoU 0.5, and where the threshold puts the model."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - in the [train] extra alone

    figure = Figure(figsize=(6, 5), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for label, precision in CocoFigures(judged).curves().items():
        axes.plot(np.linspace(0, 1, len(precision)), precision, label=label)
    if document["recall"] is not None and document["precision"] is not None:
        words = f"threshold {document['threshold']}, IoU {document['iou']}"
        axes.plot(document["recall"], document["precision"], "o", color="black", label=words)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01))
    axes.set_title(f"{document['model']} {document['numeric']}: mAP50 {document['map50']}")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    figure.savefig(target)
    return target

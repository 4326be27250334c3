"""Average precision by pycocotools: over all boxes, by their size, as curves, and with intervals by group."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.train.matching import Judged

SIZES_PX = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e12)}  # COCO's areas
MOST_BOXES = 300  # of one picture
RESAMPLES = 300
AT_50 = 0  # index of IoU 0.5 among COCO's ten

Curve = npt.NDArray[np.float64]


class CocoFigures:
    """COCO's evaluator over judged pictures, run once; every figure is read from it.

    Figures are None where no labelled box is there, and 0 where nothing was found.
    """

    def __init__(self, judged: Sequence[Judged]) -> None:
        """Evaluate; ``judged`` keeps its order, which :meth:`interval` refers to."""
        truth, results = coco_documents(judged)
        self.labels = [item["name"] for item in truth["categories"]]
        self._boxes = len(truth["annotations"])
        self._pictures = len(judged)
        self._evaluator: Any = _evaluate(truth, results) if self._boxes and results else None

    def map50(self) -> float | None:
        """Mean over classes of the average precision at IoU 0.5."""
        return self._mean(self._precision()[AT_50, :, :, 0, -1])

    def map50_95(self) -> float | None:
        """Mean over classes of the average precision, over IoU 0.50, 0.55, ... 0.95."""
        return self._mean(self._precision()[:, :, :, 0, -1])

    def map50_by_size(self) -> dict[str, float | None]:
        """``map50`` of small, medium and large boxes alone; None where none is labelled."""
        precision = self._precision()
        return {name: self._mean(precision[AT_50, :, :, n, -1]) for n, name in enumerate(SIZES_PX, 1)}

    def curves(self) -> dict[str, Curve]:
        """Precision at recall 0.00, 0.01, ... 1.00 by class, at IoU 0.5; shape (101,)."""
        precision = self._precision()[AT_50, :, :, 0, -1]
        return {
            label: precision[:, index].clip(0)
            for index, label in enumerate(self.labels)
            if precision.shape[1] and precision[:, index].max() > -1
        }

    def interval(self, groups: Sequence[str], seed: int) -> list[float] | None:
        """95 % interval of ``map50``, by drawing whole groups with replacement.

        ``groups`` names the group of each picture. None where it cannot be told: one group, no figure.
        """
        members: dict[str, list[int]] = {}
        for index, group in enumerate(groups):
            members.setdefault(group, []).append(index)
        if self._evaluator is None or len(members) < 2:
            return None
        rng = np.random.default_rng(seed)
        keys = sorted(members)
        drawn = []
        for _ in range(RESAMPLES):
            picked = [index for n in rng.integers(len(keys), size=len(keys)) for index in members[keys[n]]]
            value = self._mean(self._of_pictures(picked))
            if value is not None:
                drawn.append(value)
        return [round(float(edge), 4) for edge in np.quantile(drawn, [0.025, 0.975])] if drawn else None

    def _precision(self) -> npt.NDArray[np.float64]:
        """COCO's array: IoU, recall, class, area range, most boxes; -1 where nothing is labelled."""
        if self._evaluator is not None:
            return np.asarray(self._evaluator.eval["precision"])
        return np.full((10, 101, len(self.labels), 1 + len(SIZES_PX), 1), 0.0 if self._boxes else -1.0)

    def _of_pictures(self, picked: Sequence[int]) -> npt.NDArray[np.float64]:
        """Accumulate over a choice of pictures, each as often as it is named, at all sizes."""
        own = self._evaluator
        areas = len(own.params.areaRng)
        now = copy.copy(own)
        now.params = copy.deepcopy(own.params)
        now.params.imgIds = list(range(len(picked)))
        now.params.areaRng, now.params.areaRngLbl = own.params.areaRng[:1], own.params.areaRngLbl[:1]
        now._paramsEval = now.params  # noqa: SLF001 - it checks that nothing changed since it evaluated
        start = [label * areas * self._pictures for label in range(len(self.labels))]
        now.evalImgs = [own.evalImgs[first + index] for first in start for index in picked]
        with contextlib.redirect_stdout(io.StringIO()):
            now.accumulate()
        return np.asarray(now.eval["precision"])[AT_50, :, :, 0, -1]

    @staticmethod
    def _mean(precision: npt.NDArray[np.float64]) -> float | None:
        known = precision[precision > -1]
        return round(float(known.mean()), 4) if known.size else None


def _evaluate(truth: dict[str, Any], results: list[dict[str, Any]]) -> Any:
    from pycocotools.coco import COCO  # noqa: PLC0415 - in the [train] extra alone
    from pycocotools.cocoeval import COCOeval  # noqa: PLC0415 - as above

    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = truth
        known.createIndex()
        evaluator = COCOeval(known, known.loadRes(results), "bbox")
        evaluator.params.maxDets = [MOST_BOXES]
        evaluator.evaluate()
        evaluator.accumulate()
    return evaluator


def coco_documents(judged: Sequence[Judged]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write truth and results as COCO does; picture n of ``judged`` has id n + 1."""
    labels = sorted({label for item in judged for label in (*item.sample.labels, *item.found.labels)})
    number = {label: index + 1 for index, label in enumerate(labels)}
    truth: dict[str, Any] = {"info": {}, "images": [], "annotations": []}
    truth["categories"] = [{"id": index, "name": label} for label, index in number.items()]
    results = []
    for image, item in enumerate(judged, 1):
        truth["images"].append({"id": image, "width": item.size_px[0], "height": item.size_px[1]})
        for box, label in zip(item.truth, item.sample.labels, strict=True):
            entry = {"image_id": image, "category_id": number[label], "bbox": _xywh(box), "iscrowd": 0}
            entry |= {"id": len(truth["annotations"]) + 1, "area": float(np.prod(box[2:] - box[:2]))}
            truth["annotations"].append(entry)
        for index, (box, score) in enumerate(zip(item.found.xyxy, item.found.confidence, strict=True)):
            entry = {"image_id": image, "category_id": number[item.found.label_of(index)]}
            results.append(entry | {"bbox": _xywh(box), "score": float(score)})
    return truth, results


def _xywh(box: npt.NDArray[Any]) -> list[float]:
    left, top, right, bottom = (float(edge) for edge in box)
    return [left, top, right - left, bottom - top]

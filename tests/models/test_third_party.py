"""Models that the runtime was not built for, on real pictures with truth: COCO128 and a street clip."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.importer import ImportOptions, import_model, parse_labels
from models.load import load_detector
from models.predict import read_picture

CONFIDENCE = 0.3
PERSON, CAR = 0, 2
PICTURES = 64  # the first half of COCO128, so that three models take seconds


@pytest.fixture(scope="module")
def imported(shared_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site-models")
    for name in ("yolox_nano", "fastestdet", "nanodet_m"):
        options = ImportOptions(labels=parse_labels("coco80"))
        import_model(shared_weights / f"{name}.onnx", name, "1.0.0", options, folder)
    return folder


@pytest.fixture(scope="module")
def coco(shared_data: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures with their truth: rows of class, left, top, right, bottom in pixels."""
    root = shared_data / "vehicles" / "coco128"
    out = []
    for path in sorted((root / "images").glob("*.jpg"))[:PICTURES]:
        image = read_picture(path)
        label = root / "labels" / f"{path.stem}.txt"
        text = label.read_text() if label.exists() else ""
        rows = np.array([line.split() for line in text.splitlines()], np.float64).reshape(-1, 5)
        scale = np.array([image.shape[1], image.shape[0]])
        low, high = (rows[:, 1:3] - rows[:, 3:5] / 2) * scale, (rows[:, 1:3] + rows[:, 3:5] / 2) * scale
        out.append((image, np.hstack([rows[:, :1], low, high])))
    return out


def iou(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    low = np.maximum(boxes[:, None, :2], truth[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], truth[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    return shared / (
        (boxes[:, 2:] - boxes[:, :2]).prod(1)[:, None] + (truth[:, 2:] - truth[:, :2]).prod(1) - shared
    )


def judge(detector, coco, classes: tuple[int, ...] | None) -> tuple[float, float, float]:
    """Recall and precision at IoU 0.5, and the mean IoU of the hits."""
    hits, found_count, truth_count, overlaps = 0, 0, 0, []
    for image, truth in coco:
        found = detector.detect([image])[0]
        if classes is not None:
            truth = truth[np.isin(truth[:, 0], classes)]  # noqa: PLW2901 - narrowed, not replaced
            found = found.select(np.isin(found.class_id, classes))
        table = iou(found.xyxy.astype(float), truth[:, 1:])
        table[found.class_id[:, None] != truth[None, :, 0]] = 0
        for row in table:
            if row.size and row.max() >= 0.5:
                hits += 1
                overlaps.append(row.max())
                table[:, row.argmax()] = 0
        found_count, truth_count = found_count + len(found), truth_count + len(truth)
    return hits / truth_count, hits / found_count, float(np.mean(overlaps))


# recall, precision and mean IoU of the hits, a little below what was measured on these pictures (yolox 0.362,
# 0.690, 0.821; 0.458, 0.770, 0.815; fastestdet 0.207, 0.644, 0.791; nanodet 0.358, 0.688, 0.802); a wrong
# colour order falls below the first of them for every model
FLOORS = [
    pytest.param("yolox_nano", 0.3, None, (0.35, 0.67, 0.81), id="yolox all classes"),
    pytest.param("yolox_nano", 0.3, (PERSON, CAR), (0.44, 0.75, 0.80), id="yolox person and car"),
    pytest.param("fastestdet", 0.65, None, (0.195, 0.62, 0.77), id="fastestdet all classes"),
    pytest.param("nanodet_m", 0.35, None, (0.345, 0.67, 0.79), id="nanodet all classes"),
]


@pytest.mark.parametrize(("name", "confidence", "classes", "floors"), FLOORS)
def test_boxes_agree_with_the_truth(imported, coco, name, confidence, classes, floors):
    detector = load_detector(name, models_dir=imported, runtime="onnxruntime", confidence=confidence)
    measured = judge(detector, coco, classes)
    detector.close()
    assert all(have >= floor for have, floor in zip(measured, floors, strict=True)), measured


@pytest.mark.parametrize("name", ["yolox_nano", "fastestdet", "nanodet_m"])
def test_both_runtimes_see_the_same(imported, coco, name):
    """f32 against f32: scores within 0.001 and corners within a tenth of a pixel."""
    results = []
    for runtime in ("onnxruntime", "openvino"):
        detector = load_detector(name, models_dir=imported, runtime=runtime, precision="f32")
        results.append(detector.detect([image for image, _ in coco[:12]]))
        detector.close()
    for one, other in zip(*results, strict=True):
        assert len(one) == len(other)
        order = [
            np.lexsort((item.xyxy[:, 0], item.class_id, -item.confidence.round(2))) for item in (one, other)
        ]
        np.testing.assert_allclose(one.confidence, other.confidence, atol=1e-3)
        np.testing.assert_allclose(one.xyxy[order[0]], other.xyxy[order[1]], atol=0.1)


def test_parked_cars_of_the_street_are_seen(imported, shared_data):
    """The four that DESIGN's end-to-end test counts on, on frames out of the clip, one a second."""
    truth = json.loads((shared_data / "clips" / "street_parking.truth.json").read_text())
    capture = cv2.VideoCapture(str(shared_data / "clips" / "street_parking.mp4"))
    frames = []
    while len(frames) < 40 and capture.grab():
        if int(capture.get(cv2.CAP_PROP_POS_FRAMES)) % 10 == 0:
            frames.append(capture.retrieve()[1])
    capture.release()
    detector = load_detector("yolox_nano", models_dir=imported)
    found = [item.with_labels(("car", "truck", "bus")) for item in detector.detect(frames)]
    detector.close()
    for name in ("upper-silver", "upper-dark", "lower-yellow", "lower-silver"):
        box = np.array([_box_of(truth, name)], np.float64)
        seen = [len(item) > 0 and iou(item.xyxy.astype(float), box).max() >= 0.4 for item in found]
        assert np.mean(seen) >= 0.5, f"{name} seen in {np.mean(seen):.0%} of the frames"


def _box_of(truth, name: str) -> list[float]:
    return next(item["box_px"] for item in truth["parked"] if item["id"] == name)

"""Detections are checked once, cannot be changed, and select by mask, index and name."""

from __future__ import annotations

import numpy as np
import pytest

from models.detections import Detections

LABELS = ("car", "truck")
TWO = Detections.of([[0, 0, 10, 10], [5, 5, 20, 30]], [0.9, 0.4], [0, 1], LABELS)


def floats(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


IDS = np.zeros(2, np.int32)


@pytest.mark.parametrize(
    ("xyxy", "confidence", "class_id", "says"),
    [
        pytest.param(floats(2, 5), floats(2), IDS, r"float32 \(2, 4\), got float32 \(2, 5\)", id="columns"),
        pytest.param(np.zeros((2, 4)), floats(2), IDS, "got float64", id="dtype"),
        pytest.param(floats(2, 4), floats(3), IDS, r"confidence: .*\(2,\), got float32 \(3,\)", id="lengths"),
        pytest.param(floats(2, 4), floats(2), IDS + 7, "class_id 7 has no label among 2", id="label"),
        pytest.param(floats(), floats(1), IDS, r"got float32 \(\)", id="scalar"),
    ],
)
def test_wrong_arrays_are_refused_with_both_shapes(xyxy, confidence, class_id, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Detections(xyxy, confidence, class_id, LABELS)


def test_arrays_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        TWO.xyxy[0, 0] = 3


def test_selection_by_mask_index_and_name() -> None:
    assert TWO.select(np.array([False, True])).confidence.tolist() == pytest.approx([0.4])
    assert TWO.select(np.array([1, 0])).class_id.tolist() == [1, 0]
    assert [TWO.with_labels(["truck", "ship"]).label_of(0)] == ["truck"]
    assert len(TWO.with_labels([])) == 0


def test_empty_is_empty() -> None:
    assert len(Detections.empty(LABELS)) == 0
    assert len(Detections.of([], [], [])) == 0

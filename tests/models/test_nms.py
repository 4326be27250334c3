from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.nms import MAX_CANDIDATES, nms

IOU = 0.4567  # no ratio of small whole numbers, so that no overlap lies exactly on it


def naive(xyxy, confidence, class_id, iou):
    kept = []
    for i in np.argsort(-confidence, kind="stable"):
        for k in kept:
            if class_id[i] != class_id[k]:
                continue
            low, high = np.maximum(xyxy[i, :2], xyxy[k, :2]), np.minimum(xyxy[i, 2:], xyxy[k, 2:])
            shared = np.prod(np.clip(high - low, 0, None))
            union = np.prod(xyxy[i, 2:] - xyxy[i, :2]) + np.prod(xyxy[k, 2:] - xyxy[k, :2]) - shared
            if shared / union > iou:
                break
        else:
            kept.append(i)
    return kept


boxes = st.lists(
    st.tuples(
        st.integers(-60, 60), st.integers(-60, 60), st.integers(1, 50), st.integers(1, 50), st.integers(0, 2)
    ),
    max_size=40,
)


@settings(deadline=None)
@given(boxes=boxes, seed=st.integers(0, 1000))
def test_it_keeps_what_the_naive_algorithm_keeps(boxes, seed):
    rows = np.array(boxes, np.float32).reshape(-1, 5)
    xyxy = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], 1)
    confidence = np.random.default_rng(seed).permutation(len(rows)).astype(np.float32) / 100
    class_id = rows[:, 4].astype(np.int32)
    assert nms(xyxy, confidence, class_id, IOU).tolist() == naive(xyxy, confidence, class_id, IOU)


@pytest.mark.parametrize(
    ("class_id", "kept"),
    [pytest.param([0, 0], [1], id="same class"), pytest.param([0, 79], [1, 0], id="other class")],
)
def test_only_the_same_class_suppresses(class_id, kept):
    xyxy = np.array([[0, 0, 10, 10], [1, 0, 11, 10]], np.float32)
    assert nms(xyxy, np.array([0.5, 0.9], np.float32), np.array(class_id, np.int32), 0.45).tolist() == kept


def test_the_worst_of_too_many_candidates_are_left_out():
    count = MAX_CANDIDATES + 10
    left = np.arange(count, dtype=np.float32)[:, None] * 20
    xyxy = np.concatenate([left, left * 0, left + 10, left * 0 + 10], 1)
    confidence = np.linspace(0.1, 0.9, count, dtype=np.float32)
    kept = nms(xyxy, confidence, np.zeros(count, np.int32), 0.5)
    assert kept.tolist() == list(range(count - 1, 9, -1))


def test_nothing_in_nothing_out():
    assert nms(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32), 0.5).shape == (
        0,
    )

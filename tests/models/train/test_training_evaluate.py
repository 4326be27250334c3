from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.detections import Detections
from models.train.coco_figures import CocoFigures
from models.train.evaluate import figures, intervals, report, run
from models.train.judge import Relabelled
from models.train.matching import iou_matrix, match
from models.train.samples import Sample, box_array
from models.train.worst import sheet, worst_false, worst_misses


@pytest.mark.parametrize(
    ("left", "right", "want"),
    [
        ([(0, 0, 2, 2)], [(0, 0, 2, 2)], 1.0),
        ([(0, 0, 2, 2)], [(1, 0, 3, 2)], 1 / 3),
        ([(0, 0, 1, 1)], [(2, 2, 3, 3)], 0.0),
    ],
    ids=["same", "third", "apart"],
)
def test_iou(left: list, right: list, want: float) -> None:
    assert iou_matrix(box_array(left), box_array(right))[0, 0] == pytest.approx(want)


def test_each_truth_is_hit_once_and_by_the_surest_box() -> None:
    truth = box_array([(0, 0, 10, 10)])
    hit, right = match(truth, box_array([(0, 0, 10, 9), (0, 0, 10, 10)]), 0.5)
    assert hit.tolist() == [True]
    assert right.tolist() == [True, False]


class Fake:
    """Finds a fixed list a picture, in order."""

    name = "fake@1"
    precision = "f32"
    labels = ("car", "truck", "cat")

    def __init__(self, found: Sequence[Detections]) -> None:
        self.found = list(found)
        self.closed = False

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        return [self.found.pop(0) for _ in images]

    def close(self) -> None:
        self.closed = True


def sample(folder: Path, name: str, boxes: list[tuple[float, float, float, float]]) -> Sample:
    path = folder / f"{name}.png"
    cv2.imwrite(str(path), np.zeros((100, 100, 3), np.uint8))
    return Sample(path, box_array(boxes), ("vehicle",) * len(boxes), name, "s")


def judged(folder: Path) -> list:
    samples = [
        sample(folder, "a", [(0, 0, 0.5, 0.5), (0.6, 0.6, 0.9, 0.9)]),
        sample(folder, "b", []),
        sample(folder, "c", []),
    ]
    labels = ("vehicle",)
    found = [
        Detections.of([(0, 0, 50, 50), (0, 60, 20, 90)], [0.9, 0.2], [0, 0], labels),
        Detections.of([(5, 5, 20, 20)], [0.8], [0], labels),
        Detections.empty(labels),
    ]
    return run(Fake(found), samples, 0.5, 0.5)


def test_figures_at_the_threshold(tmp_path: Path) -> None:
    now = figures(judged(tmp_path))
    assert now["recall"] == 0.5
    assert now["precision"] == 0.5
    assert now["empty_frames"] == 2
    assert now["empty_frames_with_box_frac"] == 0.5


def test_intervals_hold_the_figure(tmp_path: Path) -> None:
    low, high = intervals(judged(tmp_path), 0)["empty_frames_with_box_frac"]
    assert low <= 0.5 <= high


@pytest.mark.train
def test_the_report_has_coco_figures(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="needs the [train] extra")
    document = report(judged(tmp_path))
    # two precision levels of the 101: recall up to 0.5 is reached at precision 1
    assert document["map50"] == pytest.approx(51 / 101, abs=1e-3)
    assert document["by_size"]["medium"]["boxes"] == 1
    assert document["by_source"]["s"]["boxes"] == 2


@pytest.mark.train
def test_the_interval_of_map50_holds_the_figure_and_needs_two_groups(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="needs the [train] extra")
    samples = [sample(tmp_path, str(index), [(0.1, 0.1, 0.5, 0.5)]) for index in range(6)]
    hit = Detections.of([(10, 10, 50, 50)], [0.9], [0], ("vehicle",))
    missed = Detections.of([(52, 52, 92, 92)], [0.95], [0], ("vehicle",))
    items = run(Fake([hit, hit, hit, missed, hit, missed]), samples, 0.5, 0.5)
    coco = CocoFigures(items)
    low, high = coco.interval([item.sample.group for item in items], 0)
    assert low < coco.map50() < high <= 1
    assert coco.interval(["one"] * 6, 0) is None
    assert coco.map50_by_size() == {"small": None, "medium": pytest.approx(coco.map50()), "large": None}


def test_a_box_of_another_class_is_no_partner(tmp_path: Path) -> None:
    found = Detections.of([(0, 0, 50, 50)], [0.9], [0], ("bus",))
    (item,) = run(Fake([found]), [sample(tmp_path, "a", [(0, 0, 0.5, 0.5)])], 0.5, 0.5)
    assert not item.hit.any()
    assert not item.right.any()


def test_the_worst_mistakes_come_first_and_are_drawn(tmp_path: Path) -> None:
    items = judged(tmp_path)
    misses, false = worst_misses(items), worst_false(items)
    assert [mistake.box.tolist() for mistake in misses] == [[60, 60, 90, 90]]
    assert [mistake.weight for mistake in false] == pytest.approx([0.8])
    picture = sheet([*misses, *false])
    assert picture.shape == (240, 6 * 240, 3)
    green, red = (80, 200, 80), (40, 40, 255)
    assert (picture[:, :240] == green).all(axis=2).any()
    assert (picture[:, 240:480] == red).all(axis=2).any()


def test_renamed_classes_are_joined_and_others_dropped() -> None:
    found = Detections.of(
        [(0, 0, 10, 10), (0, 0, 10, 10), (50, 50, 60, 60)], [0.9, 0.8, 0.7], [0, 1, 2], Fake.labels
    )
    inner = Fake([found])
    detector = Relabelled(inner, {"car": "vehicle", "truck": "vehicle"}, ("vehicle",))
    (renamed,) = detector.detect([np.zeros((4, 4, 3), np.uint8)])
    assert len(renamed) == 1
    assert renamed.label_of(0) == "vehicle"
    assert (detector.name, detector.precision) == ("fake@1", "f32")
    detector.close()
    assert inner.closed

from __future__ import annotations

import numpy as np
import pytest
import tiny_onnx as tiny

from models import network
from models.load import load_detector
from models.manifest import InputSpec, Manifest, ModelFile, Thresholds
from models.network import NetworkDetector, to_blob
from models.runtimes import TensorInfo
from models.tiles import Tile


def spec(**changes) -> InputSpec:
    return InputSpec.model_validate({"name": "i", "width_px": 32, "height_px": 32, **changes})


@pytest.mark.parametrize(
    ("given", "planes"),
    [
        pytest.param(spec(), [150 / 255, 100 / 255, 50 / 255], id="rgb 0-1"),
        pytest.param(spec(colour="bgr", scale=1.0), [50, 100, 150], id="bgr 0-255"),
        pytest.param(
            spec(colour="bgr", scale=1.0, mean=(50, 90, 100), std=(1, 2, 5)),
            [0, 5, 10],
            id="bgr mean and std",
        ),
        pytest.param(
            spec(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
            [(150 / 255 - 0.485) / 0.229, (100 / 255 - 0.456) / 0.224, (50 / 255 - 0.406) / 0.225],
            id="ImageNet",
        ),
    ],
)
def test_pixels_become_what_the_model_wants(given, planes):
    picture = np.empty((32, 32, 3), np.uint8)
    picture[:] = (50, 100, 150)
    blob = np.zeros((3, 32, 32), np.float32)
    to_blob(picture, given, blob)
    np.testing.assert_allclose(
        blob, np.broadcast_to(np.reshape(planes, (3, 1, 1)), blob.shape), rtol=1e-5, atol=1e-5
    )


class Scripted:
    """A runtime that gives the same rows for every picture and notes its batches."""

    description = "scripted cpu f32"
    input = TensorInfo("images", (None, 3, tiny.SIZE[1], tiny.SIZE[0]), "tensor(float)")

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows.astype(np.float32)
        self.batches: list[int] = []
        self.sizes: list[tuple[int, ...]] = []

    def infer(self, batch):
        self.batches.append(len(batch))
        self.sizes.append(batch.shape[2:])
        return [np.repeat(self.rows[None], len(batch), 0)]

    def close(self):
        pass


def detector_of(
    rows: np.ndarray, *, dynamic_batch: bool = True, dynamic_sides: bool = False, **thresholds
) -> tuple[NetworkDetector, Scripted]:
    manifest = Manifest.model_validate(
        {
            "name": "scripted",
            "version": "1",
            "labels": tiny.LABELS,
            "input": {
                "name": "images",
                "width_px": tiny.SIZE[0],
                "height_px": tiny.SIZE[1],
                "dynamic_batch": dynamic_batch,
                "dynamic_sides": dynamic_sides,
            },
            "decoder": {"kind": "yolov8", "outputs": ["o"]},
            "files": [ModelFile(path="m", precision="f32", sha256="0" * 64, bytes=1)],
        }
    )
    runtime = Scripted(rows)
    return NetworkDetector(manifest, runtime, "f32", Thresholds(**thresholds), batch=4), runtime


@pytest.mark.parametrize(
    ("dynamic_batch", "batches"),
    [pytest.param(True, [4, 4, 3], id="batched"), pytest.param(False, [1] * 11, id="looped")],
)
def test_pictures_go_in_batches_of_bounded_size(picture, dynamic_batch, batches):
    detector, runtime = detector_of(tiny.yolov8(), dynamic_batch=dynamic_batch)
    assert len(detector.detect([picture] * 11)) == 11
    assert runtime.batches == batches


def test_a_graph_of_free_sides_sees_no_more_padding_than_it_must():
    wide, tall = np.zeros((100, 960, 3), np.uint8), np.zeros((640, 96, 3), np.uint8)
    seen = [tiny.Box((1, 13, 20, 19), 0, 0.9)]  # the wide picture lies in rows 11 to 21 of 32
    detector, runtime = detector_of(tiny.yolov8(seen), dynamic_sides=True)
    found = detector.detect([wide])[0]
    assert found.xyxy[0].tolist() == pytest.approx([10, 20, 200, 80])
    detector.detect([tall])
    detector.detect([wide, tall])  # of one batch, all must fit
    assert runtime.sizes == [(32, 96), (64, 32), (64, 96)]


def test_a_part_is_seen_at_the_scale_of_the_whole_and_boxes_come_back_in_its_pixels(monkeypatch):
    monkeypatch.setattr(network, "PART_STEPS_PX", (32, 32))
    seen = [tiny.Box((1, 13, 20, 19), 0, 0.9)]
    detector, runtime = detector_of(tiny.yolov8(seen), dynamic_sides=True)
    picture = np.zeros((640, 960, 3), np.uint8)  # ten pixels of it are one of the input
    part = detector.part_of((960, 640), Tile(500, 300, 200, 100))
    assert (part.width, part.height) == (320, 320), "32 pixels of the input"
    assert part.left <= 500
    assert part.top <= 300
    assert part.left + part.width >= 700
    assert part.top + part.height >= 400
    found = detector.detect_part(picture, part)
    assert runtime.sizes == [(32, 32)]
    corner = [part.left, part.top, part.left, part.top]
    assert (found.xyxy[0] - corner).tolist() == pytest.approx([10, 130, 200, 190])


def test_a_part_nearly_as_large_as_the_picture_and_one_of_a_fixed_graph_is_the_whole():
    free, _ = detector_of(tiny.yolov8(), dynamic_sides=True)
    assert free.part_of((960, 640), Tile(100, 100, 700, 500)) == Tile(0, 0, 960, 640)
    fixed, runtime = detector_of(tiny.yolov8())
    part = fixed.part_of((960, 640), Tile(500, 300, 50, 50))
    assert part == Tile(0, 0, 960, 640)
    fixed.detect_part(np.zeros((640, 960, 3), np.uint8), part)
    assert runtime.sizes == [(64, 96)]


def test_overlapping_boxes_of_one_class_become_one(picture):
    box = tiny.Box((10, 10, 50, 50), 0, 0.9)
    other_class = tiny.Box((20, 11, 51, 51), 1, 0.8)
    rows = tiny.yolov8([box, other_class])
    rows[:, 0] = [30, 30, 40, 40, 0.7, 0, 0]
    detector, _ = detector_of(rows)
    assert detector.detect([picture])[0].confidence.tolist() == pytest.approx([0.9, 0.8])


def test_no_more_boxes_than_wanted_and_the_best_of_them(picture):
    detector, _ = detector_of(tiny.yolov8(), max_detections=2)
    assert detector.detect([picture])[0].confidence.tolist() == pytest.approx([0.9, 0.75])


def test_a_box_in_the_padding_alone_is_dropped():
    tall = np.zeros((640, 96, 3), np.uint8)  # lies in columns 43 to 53 of the input
    detector, _ = detector_of(
        tiny.yolov8([tiny.Box((1, 1, 20, 20), 0, 0.9), tiny.Box((40, 30, 60, 50), 1, 0.8)])
    )
    found = detector.detect([tall])[0]
    assert found.class_id.tolist() == [1]
    assert found.xyxy[0, [0, 2]].tolist() == [0, 96]


def test_scores_above_one_by_rounding_are_clipped(picture):
    rows = tiny.yolov8(tiny.BOXES[:1])
    rows[4, tiny.index_of(tiny.BOXES[0])] = 1.0002
    detector, _ = detector_of(rows)
    assert detector.detect([picture])[0].confidence.tolist() == [1.0]


def test_end_to_end_models_get_no_second_suppression(add_model, models_dir, picture):
    twins = [tiny.Box((10, 10, 50, 50), 0, 0.9), tiny.Box((11, 10, 51, 50), 0, 0.8)]
    add_model(outputs={"o": tiny.end2end(twins)})
    detector = load_detector("tiny", models_dir=models_dir)
    assert len(detector.detect([picture])[0]) == 2
    detector.close()

from __future__ import annotations

import numpy as np
import pytest
import tiny_onnx as tiny

from models.decoders import Candidates, DecoderSpec, HeadShape, decode, grid_centres

HEAD = HeadShape(tiny.SIZE, tiny.CLASSES)
FRACTION = np.array([*tiny.SIZE, *tiny.SIZE])


def fractions(array: np.ndarray, axis: int, count: int = 4) -> np.ndarray:
    out = np.moveaxis(array.copy(), axis, 0)
    out[:count] = (out[:count].T / FRACTION).T
    return np.moveaxis(out, 0, axis)


def transposed_raw() -> list[np.ndarray]:
    return [raw.transpose(0, 3, 1, 2).reshape(-1, *raw.shape[1:3]) for raw in tiny.yolov5_raw().values()]


LAYOUTS = [
    pytest.param(DecoderSpec(kind="yolov5", outputs=("o",)), [tiny.yolov5()], id="yolov5"),
    pytest.param(
        DecoderSpec(kind="yolov5", outputs=("o",), units="fraction"),
        [fractions(tiny.yolov5(), 1)],
        id="yolov5 in fractions",
    ),
    pytest.param(
        DecoderSpec(kind="yolov5_raw", outputs=("a", "b", "c")),
        list(tiny.yolov5_raw().values()),
        id="yolov5_raw",
    ),
    pytest.param(
        DecoderSpec(kind="yolov5_raw", outputs=("a", "b", "c")), transposed_raw(), id="yolov5_raw as maps"
    ),
    pytest.param(DecoderSpec(kind="yolov8", outputs=("o",)), [tiny.yolov8()], id="yolov8"),
    pytest.param(
        DecoderSpec(kind="yolov8", outputs=("o",), anchors_first=True),
        [tiny.yolov8().T],
        id="yolov8 transposed",
    ),
    pytest.param(
        DecoderSpec(kind="yolov8", outputs=("o",), units="fraction"),
        [fractions(tiny.yolov8(), 0)],
        id="yolov8 in fractions",
    ),
    pytest.param(DecoderSpec(kind="end2end", outputs=("o",), nms=False), [tiny.end2end()], id="end2end"),
    pytest.param(
        DecoderSpec(kind="end2end", outputs=("o",), units="fraction", nms=False),
        [fractions(tiny.end2end(), 1)],
        id="end2end in fractions",
    ),
    pytest.param(DecoderSpec(kind="yolox", outputs=("o",)), [tiny.yolox()], id="yolox"),
    pytest.param(
        DecoderSpec(kind="fastestdet", outputs=("o",), strides=(16,)), [tiny.fastestdet()], id="fastestdet"
    ),
    pytest.param(
        DecoderSpec(kind="nanodet", outputs=tuple(tiny.nanodet())),
        list(tiny.nanodet().values()),
        id="nanodet",
    ),
]


def run(spec: DecoderSpec, outputs: list[np.ndarray], confidence: float = 0.25) -> Candidates:
    return decode([output.astype(np.float32) for output in outputs], spec, HEAD, confidence)


@pytest.mark.parametrize(("spec", "outputs"), LAYOUTS)
def test_planted_boxes_are_recovered(spec, outputs):
    found = run(spec, outputs)
    order = np.argsort(-found.confidence)
    truth = sorted(tiny.BOXES, key=lambda box: -box.score)
    assert len(order) == len(truth)
    np.testing.assert_allclose(found.xyxy[order], [box.xyxy for box in truth], atol=2e-3)
    np.testing.assert_allclose(found.confidence[order], [box.score for box in truth], atol=1e-5)
    assert found.class_id[order].tolist() == [box.class_id for box in truth]
    assert (found.xyxy.dtype, found.confidence.dtype, found.class_id.dtype) == (
        np.float32,
        np.float32,
        np.int32,
    )


@pytest.mark.parametrize(("spec", "outputs"), LAYOUTS)
def test_what_lies_below_the_confidence_is_dropped(spec, outputs):
    assert sorted(run(spec, outputs, 0.7).confidence.tolist()) == pytest.approx([0.75, 0.9], abs=1e-5)
    assert len(run(spec, outputs, 0.99).confidence) == 0


@pytest.mark.parametrize(
    ("spec", "outputs"), [case for case in LAYOUTS if not str(case.id).startswith("end2end")]
)
def test_another_class_count_is_an_error_that_names_both_shapes(spec, outputs):
    with pytest.raises(ValueError, match=r"expected an output of shape \(.*\), got \("):
        decode([output.astype(np.float32) for output in outputs], spec, HeadShape(tiny.SIZE, 4), 0.25)


def test_end2end_wants_rows_of_six():
    with pytest.raises(ValueError, match=r"end2end: expected .*\(any, 6\), got \(20, 7\)"):
        run(DecoderSpec(kind="end2end", outputs=("o",)), [np.zeros((20, 7))])


def test_end2end_drops_classes_without_a_label():
    rows = tiny.end2end([tiny.Box((1, 1, 9, 9), 3, 0.9), tiny.Box((2, 2, 9, 9), 2, 0.8)])
    assert run(DecoderSpec(kind="end2end", outputs=("o",)), [rows]).class_id.tolist() == [2]


def test_a_product_of_objectness_and_class_must_reach_the_confidence():
    rows = tiny.yolov5([])
    rows[5, 4:] = [0.5, 0.4, 0.1, 0.1]
    spec = DecoderSpec(kind="yolov5", outputs=("o",))
    assert len(run(spec, [rows], 0.21).confidence) == 0
    assert run(spec, [rows], 0.19).confidence.tolist() == pytest.approx([0.2])


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=["nan", "inf"])
@pytest.mark.parametrize("column", [0, 3, 4], ids=["centre", "height", "score"])
def test_what_is_no_number_gives_no_box_and_spoils_no_other(value, column):
    rows = tiny.yolov8(tiny.BOXES[:1])
    broken = tiny.index_of(tiny.BOXES[1])
    rows[4:, broken] = 0.8
    rows[column, broken] = value
    found = run(DecoderSpec(kind="yolov8", outputs=("o",)), [rows])
    np.testing.assert_allclose(found.xyxy, [tiny.BOXES[0].xyxy], atol=1e-3)


def test_grid_of_an_input_that_is_no_multiple_of_the_stride():
    centres, strides = grid_centres((20, 9), (8, 16))
    assert centres.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12], [8, 8], [24, 8]]
    assert strides[:, 0].tolist() == [8] * 6 + [16] * 2

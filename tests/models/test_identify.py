from __future__ import annotations

import numpy as np
import pytest
import tiny_onnx as tiny

from models.errors import ModelFileError
from models.identify import identify


def outside() -> dict[str, np.ndarray]:
    rows = tiny.end2end()
    rows[:3, :4] += 5000
    return {"o": rows}


def not_finite() -> dict[str, np.ndarray]:
    rows = tiny.yolov8()
    rows[4, 3] = np.nan
    return {"o": rows}


def centres_not_finite() -> dict[str, np.ndarray]:
    rows = tiny.yolov8()
    rows[0, 3] = np.inf
    return {"o": rows}


def negative_sizes() -> dict[str, np.ndarray]:
    rows = tiny.yolov8()
    rows[2:4] *= -1
    return {"o": rows}


def no_softmax() -> dict[str, np.ndarray]:
    maps = tiny.fastestdet()
    maps[5:] /= 2
    return {"o": maps}


def few_bins() -> dict[str, np.ndarray]:
    return {name: array[:, :16] if "dis" in name else array for name, array in tiny.nanodet().items()}


def nanodet_logits() -> dict[str, np.ndarray]:
    return {name: array * 9 if "cls" in name else array for name, array in tiny.nanodet().items()}


def uneven_heads() -> dict[str, np.ndarray]:
    heads = tiny.yolov5_raw()
    heads["head8"] = heads["head8"][..., :7]
    return heads


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        pytest.param(outside(), "boxes lie outside the input", id="end-to-end outside"),
        pytest.param(not_finite(), "scores are not finite", id="score no number"),
        pytest.param(centres_not_finite(), "boxes do not lie at their cells", id="centre no number"),
        pytest.param(negative_sizes(), "boxes do not lie at their cells", id="negative sizes"),
        pytest.param(no_softmax(), "class maps do not add up to 1", id="maps that are no FastestDet"),
        pytest.param(few_bins(), "no known detection head|values an anchor", id="NanoDet with 4 bins"),
        pytest.param(nanodet_logits(), "no known detection head|values an anchor", id="NanoDet logits"),
        pytest.param(uneven_heads(), "no known detection head", id="heads of unlike width"),
        pytest.param({"o": np.zeros((1, 2, 3, 4))}, "no known detection head", id="something else"),
        pytest.param({"o": np.zeros((8, 3, 3))}, "no known detection head", id="maps of another grid"),
        pytest.param({"o": tiny.fastestdet()[:7]}, "7 maps, so 2 classes", id="FastestDet of two classes"),
    ],
)
def test_what_fits_nothing_says_what_was_seen(outputs, said):
    arrays = {name: array.astype(np.float32) for name, array in outputs.items()}
    with pytest.raises(ModelFileError, match=said) as caught:
        identify(arrays, tiny.SIZE, tiny.CLASSES)
    for name, array in arrays.items():
        assert f"{name} {'x'.join(map(str, array.shape))}" in str(caught.value)
    assert "3 labels" in str(caught.value)


def test_end_to_end_without_a_box_says_that_units_are_assumed():
    reading = identify({"o": np.zeros((20, 6), np.float32)}, tiny.SIZE, tiny.CLASSES)
    assert (reading.spec.kind, reading.spec.units) == ("end2end", "pixels")
    assert any("pixels are assumed" in line for line in reading.evidence)


@pytest.mark.parametrize(
    ("outputs", "kind", "classes"),
    [
        pytest.param({"o": tiny.yolov5()}, "yolov5", 3, id="yolov5"),
        pytest.param({"o": tiny.yolov8()}, "yolov8", 3, id="yolov8"),
        pytest.param({"o": tiny.yolox()}, "yolox", 3, id="yolox"),
        pytest.param({"o": tiny.fastestdet()}, "fastestdet", 3, id="fastestdet"),
        pytest.param(tiny.nanodet(), "nanodet", 3, id="nanodet"),
        pytest.param(tiny.yolov5_raw(), "yolov5_raw", 3, id="yolov5 raw"),
    ],
)
def test_without_labels_the_layout_says_how_many_classes(outputs, kind, classes):
    arrays = {name: array.astype(np.float32) for name, array in outputs.items()}
    reading = identify(arrays, tiny.SIZE, None)
    assert (reading.spec.kind, reading.classes) == (kind, classes)

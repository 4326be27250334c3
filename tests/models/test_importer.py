from __future__ import annotations

import hashlib

import numpy as np
import onnx
import pytest
import tiny_onnx as tiny
from onnx import TensorProto, helper

from models.coco import COCO80
from models.errors import ModelConfigError, ModelFileError
from models.importer import ImportOptions, generated_picture, import_model, inspect_file, parse_labels
from models.load import load_detector

FRACTION = np.array([*tiny.SIZE, *tiny.SIZE])
LONGEST = tuple(f"class {index}" for index in range(1000))
GIVEN = ImportOptions(labels=tiny.LABELS)


def v8_fraction() -> np.ndarray:
    out = tiny.yolov8()
    out[:4] = (out[:4].T / FRACTION).T
    return out


def end2end_fraction() -> np.ndarray:
    out = tiny.end2end()
    out[:, :4] /= FRACTION
    return out


READINGS = [
    pytest.param({"output0": tiny.yolov5()}, "yolov5", {}, "rgb", "centre", id="yolov5"),
    pytest.param(
        {"output0": tiny.yolov5(), **tiny.yolov5_raw()},
        "yolov5",
        {},
        "rgb",
        "centre",
        id="yolov5 with raw heads",
    ),
    pytest.param(tiny.yolov5_raw(), "yolov5_raw", {}, "rgb", "centre", id="yolov5 raw"),
    pytest.param({"output0": tiny.yolov8()}, "yolov8", {}, "rgb", "centre", id="yolov8"),
    pytest.param(
        {"output0": tiny.yolov8().T},
        "yolov8",
        {"anchors_first": True},
        "rgb",
        "centre",
        id="yolov8 transposed",
    ),
    pytest.param(
        {"output0": v8_fraction()}, "yolov8", {"units": "fraction"}, "rgb", "centre", id="yolov8 fractions"
    ),
    pytest.param({"output0": tiny.end2end()}, "end2end", {"nms": False}, "rgb", "centre", id="end2end"),
    pytest.param(
        {"output0": tiny.end2end(rows=126)},
        "end2end",
        {"nms": False},
        "rgb",
        "centre",
        id="end2end as many as cells",
    ),
    pytest.param(
        {"output0": end2end_fraction()},
        "end2end",
        {"units": "fraction"},
        "rgb",
        "centre",
        id="end2end fractions",
    ),
    pytest.param({"output": tiny.yolox()}, "yolox", {}, "bgr", "top_left", id="yolox"),
    pytest.param({"output": tiny.yolov5(per_cell=1)}, "yolov5", {}, "bgr", "top_left", id="yolox decoded"),
    pytest.param(
        {"758": tiny.fastestdet()}, "fastestdet", {"strides": (16,)}, "bgr", "stretch", id="fastestdet"
    ),
    pytest.param(tiny.nanodet(), "nanodet", {}, "bgr", "centre", id="nanodet"),
]


@pytest.mark.parametrize(("outputs", "kind", "details", "colour", "placement"), READINGS)
def test_the_head_is_worked_out_and_the_boxes_are_right(
    tmp_path, outputs, kind, details, colour, placement, picture
):
    file = tiny.write(tmp_path / "a.onnx", outputs)
    options = ImportOptions(labels=tiny.LABELS, confidence=0.25)
    manifest = import_model(file, "a", "1.0.0", options, tmp_path / "m").manifest
    assert manifest.decoder.kind == kind
    assert {key: getattr(manifest.decoder, key) for key in details} == details
    assert (manifest.input.colour, manifest.input.placement) == (colour, placement)
    detector = load_detector("a", models_dir=tmp_path / "m", runtime="onnxruntime")
    found = detector.detect([picture])[0]
    truth = sorted(tiny.BOXES, key=lambda box: -box.score)
    np.testing.assert_allclose(found.xyxy, np.array([box.xyxy for box in truth]) * 2, atol=0.02)
    np.testing.assert_allclose(found.confidence, [box.score for box in truth], atol=1e-4)
    assert found.class_id.tolist() == [box.class_id for box in truth]
    detector.close()


def test_eighty_five_columns_are_told_apart_by_label_count(tmp_path):
    """85 values an anchor: 80 classes and objectness, or 81 classes without it."""
    rows = tiny.yolov5([], per_cell=1, classes=80)
    file = tiny.write(tmp_path / "a.onnx", {"o": rows})
    with_objectness = inspect_file(file, "a", "1", ImportOptions(labels=COCO80)).manifest
    without = inspect_file(file, "a", "1", ImportOptions(labels=(*COCO80, "smoke"))).manifest
    assert (with_objectness.decoder.kind, without.decoder.kind) == ("yolov5", "yolov8")
    assert without.decoder.anchors_first
    with pytest.raises(
        ModelFileError, match="85 values an anchor, so 81 classes, or 80 with objectness, and 79 labels"
    ):
        inspect_file(file, "a", "1", ImportOptions(labels=COCO80[:79]))


def test_metadata_of_an_ultralytics_export_are_used(tmp_path):
    file = tiny.write(
        tmp_path / "a.onnx",
        {"output0": tiny.yolov8()},
        batch="b",
        size=None,
        metadata=tiny.ultralytics_metadata(),
    )
    finding = import_model(file, "a", "1.0.0", ImportOptions(), tmp_path / "m")
    manifest = finding.manifest
    assert manifest.labels == tiny.LABELS
    assert (manifest.input.width_px, manifest.input.height_px) == tiny.SIZE
    assert manifest.input.dynamic_batch
    assert manifest.licence == "AGPL-3.0"
    assert any("3 labels from the file's metadata" in line for line in finding.evidence)


def test_the_manifest_names_the_file_it_was_made_from(tmp_path):
    file = tiny.write(tmp_path / "a.onnx", {"output0": tiny.yolov8()})
    manifest = import_model(file, "a", "1.0.0", GIVEN, tmp_path / "m").manifest
    copy = tmp_path / "m" / "a" / "1.0.0" / "model.onnx"
    assert manifest.files[0].sha256 == hashlib.sha256(copy.read_bytes()).hexdigest()
    assert copy.read_bytes() == file.read_bytes()
    assert manifest.files[0].bytes == file.stat().st_size
    assert [item.name for item in (tmp_path / "m" / "a").iterdir()] == ["1.0.0"]


def test_a_version_never_changes(tmp_path):
    file = tiny.write(tmp_path / "a.onnx", {"output0": tiny.yolov8()})
    import_model(file, "a", "1.0.0", GIVEN, tmp_path / "m")
    with pytest.raises(ModelConfigError, match=r"1\.0\.0: exists already"):
        import_model(file, "a", "1.0.0", GIVEN, tmp_path / "m")


def test_a_batch_axis_that_is_free_in_name_only_is_found_out(tmp_path):
    file = tiny.write(tmp_path / "a.onnx", {"output0": tiny.yolov8()}, batch="b")
    model = onnx.load(file)
    for tensor in model.graph.initializer:
        if tensor.name == "output0_ones":  # the reshape inside is for one picture
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array([1, 1, 1], np.int64), tensor.name))
    onnx.save(model, file)
    assert not inspect_file(file, "a", "1", GIVEN).manifest.input.dynamic_batch


@pytest.mark.parametrize(
    ("float16", "node", "precision"),
    [(False, None, "f32"), (True, None, "f16"), (False, "Dequantize", "int8")],
)
def test_precision_follows_from_the_file(tmp_path, float16, node, precision):
    file = tiny.write(tmp_path / "a.onnx", {"output0": tiny.yolov8()}, float16=float16)
    if node:
        model = onnx.load(file)
        add = model.graph.node[-1]
        scale = onnx.numpy_helper.from_array(np.array(0.5, np.float32), "scale")
        points = onnx.numpy_helper.from_array(np.array([0], np.int8), "points")
        model.graph.initializer.extend([scale, points])
        target = add.output[0]
        add.output[0] = "before"
        model.graph.node.extend(
            [
                helper.make_node("DequantizeLinear", ["points", "scale"], ["shift"]),
                helper.make_node("Add", ["before", "shift"], [target]),
            ]
        )
        onnx.save(model, file)
    manifest = inspect_file(file, "a", "1", GIVEN).manifest
    assert (manifest.files[0].precision, manifest.default_precision, manifest.passed) == (
        precision,
        precision,
        (precision,),
    )


def test_what_the_caller_states_wins(tmp_path):
    file = tiny.write(tmp_path / "a.onnx", tiny.nanodet())
    options = ImportOptions(labels=tiny.LABELS, colour="rgb", scale=0.5, confidence=0.6, precision="int8")
    manifest = inspect_file(file, "a", "1", options).manifest
    assert manifest.input.colour == "rgb"
    assert manifest.input.mean == (123.675, 116.28, 103.53)
    assert manifest.input.scale == 0.5
    assert manifest.thresholds.confidence == 0.6
    assert manifest.default_precision == "int8"


@pytest.mark.parametrize(
    ("full_at", "scale", "metadata"),
    [
        pytest.param(80, 1.0, {}, id="made for 0-255"),
        pytest.param(0.3, 1 / 255, {}, id="made for 0-1"),
        pytest.param(80, 1 / 255, tiny.ultralytics_metadata(), id="an Ultralytics export is not doubted"),
    ],
)
def test_the_input_scale_is_found_on_a_picture_with_objects(tmp_path, full_at, scale, metadata):
    """The graph is sure of its boxes once the mean of its input reaches ``full_at``."""
    boxes, scores = tiny.yolov8(), tiny.yolov8()
    boxes[4:], scores[:4] = 0, 0
    file = tiny.write(tmp_path / "a.onnx", {"output0": scores}, responsive=True, metadata=metadata)
    model = onnx.load(file)
    model.graph.initializer.extend(
        [
            onnx.numpy_helper.from_array(boxes[None].astype(np.float32), "boxes"),
            onnx.numpy_helper.from_array(np.array([full_at], np.float32), "full_at"),
            onnx.numpy_helper.from_array(np.array(1, np.float32), "one"),
        ]
    )
    mean, tie, join = model.graph.node
    tie.input[0], join.output[0] = "sure", "scores"
    del model.graph.node[:]
    model.graph.node.extend(
        [
            mean,
            helper.make_node("Div", ["mean", "full_at"], ["share"]),
            helper.make_node("Min", ["share", "one"], ["sure"]),
            tie,
            join,
            helper.make_node("Add", ["scores", "boxes"], ["output0"]),
        ]
    )
    onnx.save(model, file)
    probe = np.full((64, 96, 3), 100, np.uint8)
    found = inspect_file(file, "a", "1", ImportOptions(labels=tiny.LABELS, probe=probe)).manifest
    assert found.input.scale == pytest.approx(scale)


def classification(path):
    return tiny.write(path, {"probs": np.full(1000, 0.001)})


def segmentation(path):
    rows = np.vstack([tiny.yolov8(), np.zeros((32, 126))])
    return tiny.write(path, {"output0": rows, "output1": np.zeros((32, 16, 24))})


def oriented(path):
    """Boxes with an angle: one value more, which is no objectness."""
    return tiny.write(path, {"output0": np.vstack([tiny.yolov8(), np.zeros((1, 126))])})


def task_pose(path):
    return tiny.write(path, {"output0": tiny.yolov8()}, metadata=tiny.ultralytics_metadata(task="pose"))


def logits(path):
    rows = tiny.yolov8()
    rows[4:] = -5
    return tiny.write(path, {"output0": rows})


def shifted(path):
    rows = tiny.yolov8()
    rows[:2] += 500
    return tiny.write(path, {"output0": rows})


def two_readings(path):
    return tiny.write(path, {"one": tiny.yolov8(), "two": tiny.end2end()})


def class_beyond(path):
    return tiny.write(path, {"o": tiny.end2end([tiny.Box((1, 1, 9, 9), 7, 0.9)])})


def corrupt(path):
    path.write_bytes(tiny.write(path, {"o": tiny.yolov8()}).read_bytes()[:-500])
    return path


def no_onnx(path):
    path.write_bytes(b"PK\x03\x04 something else")
    return path


def empty(path):
    path.write_bytes(b"")
    return path


def absent(path):
    return path


def external(path):
    tiny.write(path, {"output0": tiny.yolov8()})
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (path.parent / "weights.bin").unlink()
    return path


def channels_last(path):
    model = onnx.load(tiny.write(path, {"o": tiny.yolov8()}))
    for dim, value in zip(model.graph.input[0].type.tensor_type.shape.dim, (1, 64, 96, 3), strict=True):
        dim.dim_value = value
    onnx.save(model, path)
    return path


def two_inputs(path):
    model = onnx.load(tiny.write(path, {"o": tiny.yolov8()}))
    model.graph.input.append(helper.make_tensor_value_info("sizes", TensorProto.INT64, [1, 2]))
    onnx.save(model, path)
    return path


def bytes_in(path):
    model = onnx.load(tiny.write(path, {"o": tiny.yolov8()}))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    model.graph.node.insert(0, helper.make_node("Cast", ["images"], ["cast"], to=TensorProto.FLOAT))
    model.graph.node[1].input[0] = "cast"
    onnx.save(model, path)
    return path


def fails_inside(path):
    model = onnx.load(tiny.write(path, {"o": tiny.yolov8()}, size=None))
    shape = onnx.numpy_helper.from_array(np.array([1, 3, 5, 5], np.int64), "five")
    model.graph.initializer.append(shape)
    model.graph.node.insert(0, helper.make_node("Reshape", ["images", "five"], ["reshaped"]))
    model.graph.node[1].input[0] = "reshaped"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(
            classification, "probs 1000 .* 1000 numbers, as a classification model gives", id="classes"
        ),
        pytest.param(segmentation, "39 values an anchor.*3 labels.*segmentation", id="segmentation"),
        pytest.param(oriented, "8 values an anchor.*oriented-box", id="oriented boxes"),
        pytest.param(task_pose, "task 'pose'", id="pose by metadata"),
        pytest.param(logits, r"scores reach from -5 to -5, not within \[0, 1\]", id="logits"),
        pytest.param(shifted, "boxes do not lie at their cells", id="boxes elsewhere"),
        pytest.param(two_readings, r"more than one way \(yolov8, end2end\).*--decoder", id="ambiguous"),
        pytest.param(class_beyond, "gives class 7, beyond the last label", id="class without label"),
        pytest.param(corrupt, "is no ONNX model that can be loaded", id="cut off"),
        pytest.param(no_onnx, "is no ONNX model that can be loaded", id="something else"),
        pytest.param(empty, "is no ONNX model that can be loaded", id="empty"),
        pytest.param(absent, "cannot be read: No such file", id="absent"),
        pytest.param(external, "keeps its weights in another file", id="external weights"),
        pytest.param(
            channels_last, "saw images .*1x64x96x3; channels last is not supported", id="channels last"
        ),
        pytest.param(two_inputs, "needs exactly one input.*saw images .* sizes", id="two inputs"),
        pytest.param(bytes_in, r"must be float32 or float16; saw images tensor\(uint8\)", id="bytes"),
        pytest.param(fails_inside, "fails on an input of 1x3x640x640", id="fails inside"),
    ],
)
def test_what_cannot_be_told_is_refused_with_what_was_seen(tmp_path, make, said):
    file = make(tmp_path / "a.onnx")
    with pytest.raises(ModelFileError, match=rf"(?s)a\.onnx: .*{said}"):
        import_model(file, "a", "1.0.0", GIVEN, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_decoder_settles_what_is_ambiguous(tmp_path):
    file = two_readings(tmp_path / "a.onnx")
    for kind in ("yolov8", "end2end"):
        options = ImportOptions(labels=tiny.LABELS, decoder=kind)
        assert inspect_file(file, "a", "1", options).manifest.decoder.kind == kind
    with pytest.raises(
        ModelFileError, match="decoder yolox was asked for, but the outputs read as yolov8, end2end"
    ):
        inspect_file(file, "a", "1", ImportOptions(labels=tiny.LABELS, decoder="yolox"))


@pytest.mark.parametrize(
    ("name", "version", "options", "said"),
    [
        pytest.param("A b", "1", GIVEN, "name 'A b'", id="name"),
        pytest.param("a", "1/2", GIVEN, "version '1/2'", id="version"),
        pytest.param(
            "a", "1", ImportOptions(labels=("x",)), "1 labels given, but its metadata names 3", id="labels"
        ),
        pytest.param(
            "a",
            "1",
            ImportOptions(labels=tiny.LABELS, size_px=(64, 64)),
            "fixed at 96x64, not 64x64",
            id="size",
        ),
    ],
)
def test_options_that_do_not_fit_are_named(tmp_path, name, version, options, said):
    file = tiny.write(tmp_path / "a.onnx", {"output0": tiny.yolov8()}, metadata=tiny.ultralytics_metadata())
    with pytest.raises(ModelConfigError, match=said):
        inspect_file(file, name, version, options)


def test_a_model_without_names_needs_labels(tmp_path):
    file = tiny.write(tmp_path / "a.onnx", {"output0": tiny.yolov8()})
    with pytest.raises(ModelConfigError, match="give --labels"):
        import_model(file, "a", "1", ImportOptions(), tmp_path / "m")
    assert inspect_file(file, "a", "1", ImportOptions()).manifest.labels == ("class_0", "class_1", "class_2")


@pytest.mark.parametrize(
    "names",
    ["{0: 'car', 1: 'car', 2: 'bus'}", "not python(", "[" * 5000],
    ids=["class twice", "not readable", "hostile"],
)
def test_metadata_that_cannot_be_used_ask_for_labels(tmp_path, names):
    metadata = tiny.ultralytics_metadata(names=names)
    file = tiny.write(tmp_path / "a.onnx", {"output0": tiny.yolov8()}, metadata=metadata)
    with pytest.raises(ModelConfigError, match="give --labels"):
        import_model(file, "a", "1", ImportOptions(), tmp_path / "m")


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        pytest.param("coco80", COCO80, id="coco80"),
        pytest.param("car, bus ,smoke", ("car", "bus", "smoke"), id="list"),
        pytest.param("vehicle", ("vehicle",), id="one"),
        pytest.param(",".join(COCO80), COCO80, id="longer than a file name"),
        pytest.param(",".join(LONGEST), LONGEST, id="longer than a path"),
    ],
)
def test_labels_are_read(text, labels):
    assert parse_labels(text) == labels


def test_labels_are_read_from_a_file(tmp_path):
    path = tmp_path / "names"
    path.write_text("car\n\ntraffic light\n", encoding="utf-8")
    assert parse_labels(str(path)) == ("car", "traffic light")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ModelConfigError, match="labels cannot be read"):
        parse_labels(str(path))


@pytest.mark.parametrize("text", ["", "a,a", "missing.txt", "x/y"])
def test_labels_that_are_none_are_refused(text):
    with pytest.raises(ModelConfigError, match="labels"):
        parse_labels(text)


def test_the_generated_probe_is_always_the_same():
    assert generated_picture().shape == (480, 640, 3)
    assert (generated_picture() == generated_picture()).all()

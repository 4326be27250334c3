from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.train.layouts import Layout, Reading, check_picture
from models.train.readers import READERS
from towerwatch.errors import ConfigError

GREY = np.full((40, 80, 3), 128, np.uint8)


def write_picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), GREY)
    return path


def layout(folder: Path, classes: dict[str, str]) -> Layout:
    return Layout("s", folder, classes, lambda path: path.stem.partition("_")[0])


def yolo(folder: Path, text: str | None, picture: bytes | None = None) -> Reading:
    path = write_picture(folder / "images" / "a_1.jpg")
    if picture is not None:
        path.write_bytes(picture)
    if text is not None:
        (folder / "labels").mkdir()
        (folder / "labels" / "a_1.txt").write_text(text)
    return READERS["yolo"](layout(folder, {"0": "vehicle", "7": "vehicle"}))


def test_yolo_boxes_become_corners_with_mapped_names(tmp_path: Path) -> None:
    reading = yolo(tmp_path, "0 0.5 0.5 0.5 0.2\n3 0.1 0.1 0.1 0.1\n7 0.25 0.5 0.5 1\n\n")
    (sample,) = reading.samples
    assert sample.labels == ("vehicle", "vehicle")
    np.testing.assert_allclose(sample.boxes, [[0.25, 0.4, 0.75, 0.6], [0, 0, 0.5, 1]])
    assert sample.group == "a"
    assert reading.problems == []
    assert reading.ignored == {"3": 1}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("0 0.5 0.5 0.5", 1, "expected 5 numbers, got 4"),
        ("0 0.5 0.5 0.2 0.2\n0 x 0.5 0.2 0.2", 2, "not a number"),
        ("0 0.9 0.5 0.5 0.2", 1, "reaches outside the picture"),
        ("0 nan 0.5 0.5 0.2", 1, "has no area"),
        ("0 0.5 inf 0.5 0.2", 1, "reaches outside the picture"),
        ("-1 0.5 0.5 0.5 0.2", 1, "class '-1' is no whole number"),
        ("car 0.5 0.5 0.5 0.2", 1, "class 'car' is no whole number"),
        ("0 0.5 0.5 0 0.2", 1, "has no area"),
    ],
    ids=["too few", "text", "outside", "nan", "inf", "negative class", "class by name", "no area"],
)
def test_a_bad_label_line_is_named_and_the_rest_goes_on(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    reading = yolo(tmp_path, text)
    assert len(reading.samples) == 1
    (problem,) = reading.problems
    assert problem.line == line
    assert message in problem.message
    assert str(problem).startswith(f"{tmp_path / 'labels' / 'a_1.txt'}:{line}: ")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (cv2.imencode(".jpg", GREY)[1].tobytes()[:-40], "truncated JPEG"),
        (b"no picture at all", "cannot"),
    ],
    ids=["empty", "truncated", "text"],
)
def test_a_broken_picture_is_left_out_by_name(tmp_path: Path, data: bytes, message: str) -> None:
    reading = yolo(tmp_path, "", picture=data)
    assert reading.samples == []
    assert message in str(reading.problems[0]) or "not a picture" in str(reading.problems[0])
    assert "a_1.jpg" in str(reading.problems[0])


def test_a_picture_without_a_label_file_is_reported_and_an_empty_one_is_a_negative(tmp_path: Path) -> None:
    assert "no label file" in str(yolo(tmp_path / "x", None).problems[0])
    (sample,) = yolo(tmp_path / "y", "").samples
    assert sample.boxes.shape == (0, 4)


def test_labels_that_are_no_text_leave_their_picture_out(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a_1.txt").write_bytes(b"\xff\xfe0 0.5")
    write_picture(tmp_path / "images" / "a_1.jpg")
    reading = READERS["yolo"](layout(tmp_path, {"0": "vehicle"}))
    assert reading.samples == []
    assert "a_1.txt: is no text file" in str(reading.problems[0])


def test_a_picture_that_is_gone_is_said_to_be() -> None:
    assert "cannot be read" in (check_picture(Path("/no/such/picture.jpg")) or "")


def test_a_folder_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        READERS["yolo"](layout(tmp_path, {}))


def test_coco_boxes_names_and_crowds(tmp_path: Path) -> None:
    write_picture(tmp_path / "a_1.jpg")
    document = {
        "categories": [{"id": 3, "name": "car"}, {"id": 4, "name": "cat"}],
        "images": [
            {"id": 9, "file_name": "a_1.jpg", "width": 80, "height": 40},
            {"id": 10, "file_name": "gone.jpg", "width": 1, "height": 1},
            {"id": 11, "file_name": "a_1.jpg", "width": 0},
            {"id": 12},
        ],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 3, "bbox": [8, 4, 16, 20]},
            {"id": 2, "image_id": 9, "category_id": 4, "bbox": [0, 0, 4, 4]},
            {"id": 3, "image_id": 9, "category_id": 3, "bbox": [0, 0, 800, 4]},
            {"id": 4, "image_id": 9, "category_id": 3, "bbox": [0, 0, 8, 4], "iscrowd": 1},
            {"id": 5, "image_id": 9, "category_id": 77, "bbox": [0, 0, 8, 4]},
            {"id": 6, "image_id": 9, "category_id": 3, "bbox": [0, 0, 8]},
            {"id": 7, "image_id": 9, "category_id": 3},
        ],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    reading = READERS["coco"](layout(tmp_path, {"car": "vehicle"}))
    (sample,) = reading.samples
    np.testing.assert_allclose(sample.boxes, [[0.1, 0.1, 0.3, 0.6]])
    named = "\n".join(map(str, reading.problems))
    assert len(reading.problems) == 7
    for part in (
        "gone.jpg",
        "annotation 3: box",
        "annotation 5: category 77",
        "annotation 6: bbox [0, 0, 8] is not four numbers",
        "annotation 7: bbox None",
        "image a_1.jpg: has no size",
    ):
        assert part in named


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not valid JSON"), ("[]", "expected a COCO object"), (None, "cannot be read")],
    ids=["cut off", "list", "absent"],
)
def test_a_coco_file_that_is_none_is_a_configuration_error(
    tmp_path: Path, text: str | None, message: str
) -> None:
    if text is not None:
        (tmp_path / "annotations.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        READERS["coco"](layout(tmp_path, {}))


VOC = """<annotation><filename>a_1.jpg</filename><size><width>80</width><height>40</height></size>
<object><name>car</name><bndbox><xmin>8</xmin><ymin>4</ymin><xmax>24</xmax><ymax>24</ymax></bndbox></object>
<object><name>cat</name><bndbox><xmin>8</xmin><ymin>4</ymin><xmax>24</xmax><ymax>24</ymax></bndbox></object>
{more}</annotation>"""


def voc(folder: Path, text: str) -> Reading:
    write_picture(folder / "JPEGImages" / "a_1.jpg")
    (folder / "Annotations").mkdir()
    (folder / "Annotations" / "a_1.xml").write_text(text)
    return READERS["voc"](layout(folder, {"car": "vehicle"}))


def test_voc_boxes(tmp_path: Path) -> None:
    (sample,) = voc(tmp_path, VOC.format(more="")).samples
    np.testing.assert_allclose(sample.boxes, [[0.1, 0.1, 0.3, 0.6]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (VOC.format(more="<object><name>car</name></object>"), "no complete bndbox"),
        (VOC.format(more="").replace("<width>80</width>", ""), "size is missing"),
        (VOC.format(more="").replace("<width>80</width>", "<width>wide</width>"), "size is missing"),
        (VOC.format(more="").replace("<xmax>24</xmax>", "<xmax>?</xmax>", 1), "no complete bndbox"),
        ("<annotation>", "not valid XML"),
        (VOC.format(more="").replace("a_1.jpg", "b.jpg"), "cannot be read"),
    ],
    ids=["no box", "no size", "size in words", "box in words", "broken", "no picture"],
)
def test_what_is_wrong_in_voc_is_named(tmp_path: Path, text: str, message: str) -> None:
    assert any(message in str(problem) for problem in voc(tmp_path, text).problems)


def test_rendered_scenes_come_with_their_truth(tmp_path: Path) -> None:
    for name in ("20000101T000000.000Z.jpg", "20000101T000001.000Z.jpg"):
        write_picture(tmp_path / "7" / "street" / name)
    seen = {"label": "car", "box": [0.1, 0.1, 0.3, 0.6], "visible_frac": 1.0}
    frames = [{"t_s": 0, "boxes": [seen, {**seen, "visible_frac": 0.1}]}, {"t_s": 1, "boxes": []}]
    document = {"scene": "street", "seed": 7, "frames": frames}
    (tmp_path / "7" / "street.truth.json").write_text(json.dumps(document))
    reading = READERS["scenes"](layout(tmp_path, {"car": "vehicle"}))
    assert [len(sample.boxes) for sample in reading.samples] == [1, 0]
    assert {sample.group for sample in reading.samples} == {"street-7"}
    (tmp_path / "7" / "street.truth.json").write_text(json.dumps({**document, "frames": frames[:1]}))
    assert "1 frames, but 2 pictures" in str(READERS["scenes"](layout(tmp_path, {})).problems[0])

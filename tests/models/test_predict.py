from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.detections import Detections
from models.draw import draw_detections
from models.errors import ModelConfigError
from models.predict import pictures_in, predict, read_picture, report


class Fake:
    name, precision, labels, runtime_description = "fake@1", "f32", ("car", "bus"), "fake cpu f32"

    def detect(self, images):
        return [Detections.of([[1, 2, 30.126, 40]], [0.9], [1], self.labels) for _ in images]

    def close(self):
        pass


def write_pictures(folder):
    (folder / "sub").mkdir(parents=True)
    picture = np.full((60, 80, 3), 90, np.uint8)
    cv2.imwrite(str(folder / "b.jpg"), picture)
    cv2.imwrite(str(folder / "sub" / "a.png"), picture)
    whole = (folder / "b.jpg").read_bytes()
    (folder / "a.jpg").write_bytes(b"")
    (folder / "c.jpeg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not looked at")
    return whole


def test_a_broken_picture_is_named_and_the_rest_go_on(tmp_path):
    write_pictures(tmp_path / "p")
    results = list(predict(Fake(), pictures_in(tmp_path / "p")))
    assert report(Fake(), results, tmp_path / "p") == {
        "schema_version": 1,
        "model": "fake@1",
        "precision": "f32",
        "runtime": "fake cpu f32",
        "labels": ["car", "bus"],
        "pictures": [
            {
                "path": path,
                "width_px": 80,
                "height_px": 60,
                "detections": [
                    {"label": "bus", "class_id": 1, "confidence": 0.9, "xyxy_px": [1.0, 2.0, 30.13, 40.0]}
                ],
            }
            for path in ("b.jpg", "sub/a.png")
        ],
        "failed": [
            {"path": "a.jpg", "reason": "is empty"},
            {"path": "c.jpeg", "reason": "is no picture that can be decoded"},
        ],
    }


@pytest.mark.parametrize("what", ["nothing", "empty", "missing.jpg"])
def test_nothing_to_look_at_is_an_error(tmp_path, what):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelConfigError, match="no such picture" if what != "empty" else "holds no picture"):
        pictures_in(tmp_path / what)


def test_a_picture_that_cannot_be_opened_says_so(tmp_path):
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        read_picture(tmp_path / "gone.jpg")


def test_drawing_leaves_the_picture_clean():
    image = np.full((240, 320, 3), 90, np.uint8)
    found = Detections.of([[50, 60, 150, 160], [0, 0, 320, 240]], [0.9, 0.5], [0, 1], ("car", "bus"))
    drawn = draw_detections(image, found)
    assert (image == 90).all()
    assert (drawn[60, 50:150] != 90).any(axis=1).mean() > 0.95
    assert (drawn[110, 60:140] == 90).all()

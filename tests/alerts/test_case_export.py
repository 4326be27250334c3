import json

import cv2
import numpy as np
import pytest
from central_kit import alert, apply_all, picture

from alerts.blur import NoPicture, blur_outside
from alerts.case_export import export_case
from alerts.evidence import BlobStore, keep_picture
from alerts.messages import Evidence
from alerts.services.errors import NotFound
from alerts.services.views import BoxView
from alerts.store.tables import AuditRow


def noise():
    """A picture in which every pixel differs from its neighbours; what is blurred loses its contrast."""
    image = np.random.default_rng(1).integers(0, 256, (360, 640, 3), np.uint8)
    return cv2.imencode(".png", image)[1].tobytes()


def contrast(data, box):
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    height, width = image.shape[:2]
    x1, y1, x2, y2 = box
    return float(image[int(y1 * height) : int(y2 * height), int(x1 * width) : int(x2 * width)].std())


CASE = BoxView(index=0, label="car", confidence=0.8, x1=0.1, y1=0.2, x2=0.3, y2=0.4)
INSIDE, OUTSIDE = (0.1, 0.2, 0.3, 0.4), (0.5, 0.5, 0.9, 0.9)


def test_the_case_stays_clear_and_all_else_is_gone():
    blurred = blur_outside(noise(), [CASE])
    assert contrast(blurred, INSIDE) > 40
    assert contrast(blurred, OUTSIDE) < 12
    assert contrast(blur_outside(noise(), []), INSIDE) < 12


def test_bytes_that_are_no_picture_are_refused():
    with pytest.raises(NoPicture):
        blur_outside(b"nothing", [CASE])


def test_a_case_goes_out_blurred_without_its_clip_and_the_audit_knows(database, services, tmp_path):
    store = BlobStore(tmp_path / "evidence")
    store.open()
    scene, clip = noise(), b"\0\0\0\x18ftypisom" + b"\0" * 64
    film = Evidence(**{**picture(clip, "clip").model_dump(), "media_type": "video/mp4"})
    scenes = (picture(scene), film)
    apply_all(database, [alert("a", evidence=scenes)])
    keep_picture(store, database, scene, "image/png", "li")
    keep_picture(store, database, clip, "video/mp4", "li")
    assert export_case(database, store, 1, tmp_path / "clear", blurred=False, by="li") == (2, 0)
    assert export_case(database, store, 1, tmp_path / "out", blurred=True, by="li") == (1, 1)
    (file,) = (tmp_path / "out").glob("*.jpg")
    assert contrast(file.read_bytes(), INSIDE) > 40
    assert contrast(file.read_bytes(), OUTSIDE) < 12
    assert json.loads((tmp_path / "out" / "incident.json").read_text(encoding="utf-8"))["id"] == 1
    with database.read() as session:
        details = [json.loads(row.detail) for row in session.query(AuditRow) if row.action == "export"]
    assert [detail["blurred"] for detail in details] == [False, True]
    with pytest.raises(NotFound):
        export_case(database, store, 9, tmp_path / "none", blurred=True, by="li")
    assert not (tmp_path / "none").exists()

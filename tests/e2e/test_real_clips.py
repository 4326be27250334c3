"""Real clips, a third-party model, real processes: parked cars alert once, a moving junction never."""

from __future__ import annotations

import io
import json
import shutil
import time
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from city import City, import_yolox, until
from components import Program, free_port, port_open, towerwatch, wait_until

pytestmark = pytest.mark.e2e

MUST = {"upper-silver", "upper-dark", "lower-yellow", "lower-silver"}
WATCH_S = 180
WHOLE = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
# the road and both kerbs of street_parking.mp4, in fractions of its frame
ROAD_AND_KERBS = [[0.0, 0.2], [0.5, 0.15], [1.0, 0.3], [1.0, 0.95], [0.0, 0.85]]
# the carriageways of junction.mp4
JUNCTION = [[0.0, 0.25], [1.0, 0.25], [1.0, 1.0], [0.0, 1.0]]
COCO_VEHICLES = ["car", "truck", "bus", "motorcycle"]


def rule(kind: str, zone: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "zone": zone, "model": "yolox_nano", "labels": COCO_VEHICLES, **more}


def cameras(port: int) -> list[dict[str, Any]]:
    street = {
        "id": "street",
        "url": f"rtsp://127.0.0.1:{port}/street_parking.mp4",
        "interval_s": 1.0,
        "views": [
            {
                "zones": [{"id": "road", "points": ROAD_AND_KERBS}],
                "rules": [rule("illegal_parking", "road", legal_time_s=30)],
            }
        ],
    }
    junction = {
        "id": "junction",
        "url": f"rtsp://127.0.0.1:{port}/junction.mp4",
        "interval_s": 1.0,
        "views": [
            {
                "zones": [{"id": "road", "points": JUNCTION}],
                "rules": [
                    rule("blocked_road", "road", stop_time_s=8),
                    rule("illegal_parking", "road", stop_time_s=8, legal_time_s=30),
                ],
            }
        ],
    }
    return [street, junction]


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def parked_car(alert: dict[str, Any], truth: dict[str, Any]) -> str | None:
    """Return the id of the parked car that the alert's first box shows (IoU >= 0.4)."""
    width, height = truth["frame_size_px"]
    box = alert["boxes"][0]
    shown = (box["x1"] * width, box["y1"] * height, box["x2"] * width, box["y2"] * height)
    best = max(truth["parked"], key=lambda car: overlap(shown, tuple(car["box_px"])))
    return best["id"] if overlap(shown, tuple(best["box_px"])) >= 0.4 else None


def plays(clip: bytes) -> bool:
    with av.open(io.BytesIO(clip)) as container:
        frames = list(container.decode(video=0))
    return len(frames) > 10 and frames[0].width == 640


@pytest.mark.timeout(420)
def test_each_parked_car_becomes_one_incident_and_the_moving_junction_none(
    tmp_path: Path, shared_data: Path, shared_weights: Path
) -> None:
    truth = json.loads((shared_data / "clips" / "street_parking.truth.json").read_text())
    port = free_port()
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in ("street_parking.mp4", "junction.mp4"):
        shutil.copy(shared_data / "clips" / name, clips)
    import_yolox(shared_weights, tmp_path / "models")
    server = Program(towerwatch("streams", "serve", clips, "--port", str(port)), tmp_path / "serve.log")
    with City(tmp_path / "city") as city, server:
        wait_until(lambda: port_open(port), what="RTSP server listening")
        with city.box("box-1", cameras(port), models_dir=str(tmp_path / "models")) as box:
            started = time.monotonic()
            until(lambda: found_cars(city, truth) >= MUST, WATCH_S, "the four cars")
            time.sleep(max(0.0, started + WATCH_S - time.monotonic()))  # over the clip's loop seams
            incidents = city.incidents()
        assert "Traceback" not in box.program.output()
    alerts = [alert for incident in incidents for alert in incident["alerts"]]
    cars = [parked_car(alert, truth) for alert in alerts if alert["kind"] == "illegal_parking"]
    assert {alert["camera"] for alert in alerts} == {"street"}, [(a["camera"], a["kind"]) for a in alerts]
    assert set(cars) >= MUST
    assert None not in cars, "an alert shows none of the six parked cars"
    assert len(set(cars)) == len(cars) == len(incidents), (
        "a car alerted twice, or alerts and incidents differ"
    )


def found_cars(city: City, truth: dict[str, Any]) -> set[str | None]:
    """Return which parked cars are incidents by now, with pictures and a clip that are really there."""
    found = set()
    for incident in city.incidents(kind="illegal_parking"):
        alert = incident["alerts"][0]
        present = [item for item in alert["evidence"] if item["present"]]
        pictures = [item for item in present if item["media_type"] == "image/jpeg"]
        clips = [item for item in present if item["media_type"] == "video/mp4"]
        if len(pictures) < 3 or not clips:
            continue
        for item in pictures:
            decoded = cv2.imdecode(np.frombuffer(city.fetch(item["url"]), np.uint8), cv2.IMREAD_COLOR)
            assert decoded is not None, item
        assert plays(city.fetch(clips[0]["url"]))
        found.add(parked_car(alert, truth))
    return found

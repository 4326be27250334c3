"""The real clips as cameras of a box: parked cars with their truth, and a junction that moves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CLIPS = ("street_parking.mp4", "junction.mp4")
# the cars of the street that YOLOX-Nano sees well; the other two may or may not come
MUST = {"upper-silver", "upper-dark", "lower-yellow", "lower-silver"}
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


def street_truth(shared_data: Path) -> dict[str, Any]:
    """Return the truth of street_parking.mp4: the frame's size and the box of each parked car, in px."""
    truth: dict[str, Any] = json.loads((shared_data / "clips" / "street_parking.truth.json").read_text())
    return truth


def assert_each_parked_car_once(alerts: list[dict[str, Any]], truth: dict[str, Any]) -> None:
    """Of the alerts of both clips: the four cars are there, each car at most once, and nothing else."""
    seen = [(alert["camera"], alert["kind"]) for alert in alerts]
    assert set(seen) == {("street", "illegal_parking")}, seen
    cars = [parked_car(alert, truth) for alert in alerts]
    assert set(cars) >= MUST
    assert None not in cars, "an alert shows none of the six parked cars"
    assert len(set(cars)) == len(cars), "a car alerted twice"

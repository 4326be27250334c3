"""Real clips, a third-party model, real processes: parked cars alert once, a moving junction never."""

from __future__ import annotations

import io
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
from street_clips import CLIPS, MUST, assert_each_parked_car_once, cameras, parked_car, street_truth

pytestmark = pytest.mark.e2e

WATCH_S = 180


def plays(clip: bytes) -> bool:
    with av.open(io.BytesIO(clip)) as container:
        frames = list(container.decode(video=0))
    return len(frames) > 10 and frames[0].width == 640


@pytest.mark.timeout(420)
def test_each_parked_car_becomes_one_incident_and_the_moving_junction_none(
    tmp_path: Path, shared_data: Path, shared_weights: Path
) -> None:
    truth = street_truth(shared_data)
    port = free_port()
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in CLIPS:
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
    assert_each_parked_car_once(alerts, truth)
    assert len(alerts) == len(incidents)


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

"""Every process is killed in turn; every alert opened on the box is one alert of one incident at the end.

Where the real clips are beside the checkout, a street and a junction with a third-party detector are among
the cameras: the kills fall into the dwell of real parked cars, and at the end each is still one incident.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import edge_rig
import pytest
import street_clips
from city import Box, City, import_yolox, until
from components import SHARED, Postgres, Program, free_port, port_open, towerwatch, wait_until

pytestmark = pytest.mark.e2e

CAMERAS = 24
QUEUED = 1500
LATE_LEGAL_S = 45.0  # long enough that a kill falls into the dwell
REAL_CLIPS = SHARED.is_dir()


def drawn_cameras(port: int) -> list[dict[str, Any]]:
    """Many cameras whose car alerts at once and is reported every second; two whose dwell is long."""
    url = f"rtsp://127.0.0.1:{port}/scene.mp4"
    chatty = [edge_rig.camera(f"chatty-{index:02d}", url) for index in range(CAMERAS)]
    for item in chatty:
        item["views"][0]["rules"][0]["update_s"] = 1.0
    late = [edge_rig.camera(f"late-{index}", url, legal_time_s=LATE_LEGAL_S) for index in range(2)]
    return [*chatty, *late]


def rows(box: Box, query: str) -> list[tuple[Any, ...]]:
    path = box.data_dir / "outbox.sqlite"
    log = box.log_lines()
    if not any(line["event"] == "worker started" for line in log):
        return []  # the tables are made before
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
        return database.execute(query).fetchall()


def queued(box: Box) -> int:
    return sum(count for (count,) in rows(box, "SELECT count(*) FROM outbox"))


def opened_on_the_box(box: Box) -> dict[str, dict[str, Any]]:
    """Return the opened message of every alert that the box ever opened, by alert id."""
    found = rows(box, "SELECT alert_id, opened FROM alert WHERE opened IS NOT NULL")
    return {alert_id: json.loads(opened) for alert_id, opened in found}


def dwelling(box: Box) -> dict[str, str]:
    """Return alert id -> camera of what stands, on disk, and is not yet an alert."""
    found = {}
    for camera, state in rows(
        box, "SELECT camera, state FROM camera_state WHERE camera LIKE 'late-%' OR camera = 'street'"
    ):
        rules = json.loads(state)["pipeline"]["views"]["fixed"]["rules"].values()
        for episode in (episode for rule in rules for episode in rule["lifecycle"]["episodes"]):
            if not episode["finding"]["confirmed"]:
                found[episode["alert_id"]] = camera
    return found


def cars_dwell(box: Box) -> bool:
    """Say whether both late cars and, where it is watched, a car of the street are in mid-dwell."""
    return set(dwelling(box).values()) == {"late-0", "late-1"} | ({"street"} if REAL_CLIPS else set())


def worker_pids(box: Box) -> list[int]:
    return [line["pid"] for line in box.log_lines() if line["event"] == "worker started"]


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.timeout(420)
def test_nothing_is_lost_and_nothing_is_doubled(tmp_path: Path, postgres: Postgres) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    edge_rig.scene(clips / "scene.mp4", seconds=30)
    edge_rig.bright_model(tmp_path / "models")
    port = free_port()
    cameras = drawn_cameras(port)
    if REAL_CLIPS:
        for name in street_clips.CLIPS:
            shutil.copy(SHARED / "data" / "clips" / name, clips)
        import_yolox(SHARED / "weights", tmp_path / "models")
        cameras += street_clips.cameras(port)
    server = Program(towerwatch("streams", "serve", clips, "--port", str(port)), tmp_path / "serve.log")
    city = City(tmp_path / "city", database_url=postgres.new_database("nothing_lost"))
    with city, server:
        wait_until(lambda: port_open(port), what="RTSP server listening")
        box = city.box("box-1", cameras, models_dir=str(tmp_path / "models"), workers=1)
        with box:
            candidates = hurt(city, box, postgres)
            until(lambda: everything_arrived(city, box), 120, "all alerts at central")
        assert_whole(city, box, candidates)
        if REAL_CLIPS:
            seen = [alert for alert in city.alerts() if alert["camera"] in ("street", "junction")]
            street_clips.assert_each_parked_car_once(seen, street_clips.street_truth(SHARED / "data"))


def hurt(city: City, box: Box, postgres: Postgres) -> dict[str, str]:
    """Kill edge and worker in mid-dwell, the broker with a full queue, central, and PostgreSQL.

    Returns alert id -> camera of the dwells into which the first kill fell.
    """
    until(lambda: cars_dwell(box), 60, "cars in mid-dwell")
    candidates = dwelling(box)
    box.program.kill(signal.SIGKILL)
    box.program.start()
    wait_until(lambda: len(worker_pids(box)) >= 2, 30, "workers after the restart")
    city.central.stop()
    os.kill(worker_pids(box)[-1], signal.SIGSEGV)
    wait_until(lambda: len(worker_pids(box)) >= 3, 30, "a new worker after SIGSEGV")
    until(lambda: queued(box) > QUEUED, 150, f"{QUEUED} messages queued")
    city.broker.kill()
    city.broker.start()
    city.start_central()
    until(lambda: queued(box) < QUEUED // 2, 60, "the queue draining")
    city.central.kill(signal.SIGKILL)
    city.start_central()
    postgres.stop()
    postgres.start()
    return candidates


def everything_arrived(city: City, box: Box) -> bool:
    here = opened_on_the_box(box)
    opened_by = [message["camera"] for message in here.values()]
    enough = {"late-0", "late-1"} <= set(opened_by)
    if REAL_CLIPS:
        enough = enough and opened_by.count("street") >= len(street_clips.MUST)
    return enough and set(here) <= {alert["id"] for alert in city.alerts()}


def assert_whole(city: City, box: Box, candidates: dict[str, str]) -> None:
    """Compare what central holds with what the box opened."""
    opened = opened_on_the_box(box)
    incidents = city.incidents()
    alerts = [alert for incident in incidents for alert in incident["alerts"]]
    by_id = {alert["id"]: alert for alert in alerts}
    assert len(by_id) == len(alerts), "an alert stands in two incidents"
    assert set(opened) <= set(by_id), "an alert was lost"
    assert len(opened) >= CAMERAS + 2
    drawn = [alert["camera"] for alert in alerts if alert["camera"].startswith(("chatty-", "late-"))]
    assert sorted(drawn) == sorted(set(drawn)), "one parked car became two alerts"
    for alert_id, message in opened.items():
        alert = by_id[alert_id]
        sequence = [phase["phase_seq"] for phase in alert["phases"]]
        assert sequence == sorted(set(sequence)), alert_id
        assert sequence[0] == 0
        assert alert["phases"][0]["phase"] == "opened"
        assert time_of(alert["started_at"]) <= time_of(message["started_at"])
    kill = time_of([line for line in box.log_lines() if line["event"] == "worker started"][1]["timestamp"])
    street = {alert_id for alert_id, camera in candidates.items() if camera == "street"}
    assert street & set(by_id) or not REAL_CLIPS, "no dwell of the street went on under its id"
    for alert_id in set(candidates) - (street - set(by_id)):  # a car that waited in traffic drove on
        camera = candidates[alert_id]
        assert by_id[alert_id]["camera"] == camera, "the dwell went on under another id"
        assert time_of(by_id[alert_id]["started_at"]) < kill, "the dwell began anew after the kill"

"""A dead, a frozen, a babbling and a refusing camera beside a good one, whose looks do not suffer."""

from __future__ import annotations

import itertools
import statistics
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import edge_rig
import media
import pytest
from city import Box, City, until
from components import Program, free_port, port_open, towerwatch, wait_until
from fake_cameras import GarbageCamera, refusing_camera

pytestmark = pytest.mark.e2e

ALONE_S, BESIDE_S = 40.0, 120.0
BAD = {"dead": "unreachable", "frozen": "frozen", "garbage": "garbage", "refused": "refused"}
PASSWORD = "wrong-horse-battery"


def looks(city: City, since: datetime | None = None) -> list[datetime]:
    """Return when the good camera was looked at: its standing car is reported at every look."""
    (alert,) = [a for a in city.alerts(camera="good") if a["kind"] == "illegal_parking"]
    times = [datetime.fromisoformat(phase["captured_at"]) for phase in alert["phases"]]
    return [at for at in times if since is None or at > since]


def median_interval_s(times: list[datetime]) -> float:
    return statistics.median((b - a).total_seconds() for a, b in itertools.pairwise(times))


def good_camera(url: str) -> dict[str, Any]:
    good = edge_rig.camera("good", url)
    good["interval_s"] = 2.0
    good["views"][0]["rules"][0]["update_s"] = 1.0  # every look is told
    return good


def blind(city: City) -> dict[str, str]:
    """Return camera -> reason of every blindness that lasts."""
    return {
        alert["camera"]: alert["reason"]
        for alert in city.alerts(kind="camera_blind")
        if alert["phase"] != "closed"
    }


def served(folder: Path, port: int) -> Program:
    return Program(towerwatch("streams", "serve", folder, "--port", str(port)), folder / "serve.log")


@pytest.mark.timeout(420)
def test_a_good_camera_does_not_suffer_from_bad_ones(tmp_path: Path) -> None:
    good_clips, bad_clips = tmp_path / "good", tmp_path / "bad"
    good_clips.mkdir()
    bad_clips.mkdir()
    edge_rig.scene(good_clips / "street.mp4", seconds=30)
    media.make_video(bad_clips / "frozen.mp4", moving=False, seconds=120, fps=5, gop=5)
    edge_rig.bright_model(tmp_path / "models")
    good_port, bad_port, dead_port = free_port(), free_port(), free_port()
    good = good_camera(f"rtsp://127.0.0.1:{good_port}/street.mp4")
    with City(tmp_path / "city") as city, served(good_clips, good_port), GarbageCamera() as garbage:
        wait_until(lambda: port_open(good_port), what="RTSP server listening")
        more = {"models_dir": str(tmp_path / "models"), "limits": {"blind_after_s": 15.0}}
        with city.box("box-1", [good], **more):
            until(lambda: city.alerts(camera="good"), 60, "the good camera's car")
            time.sleep(ALONE_S)
            alone = median_interval_s(looks(city))
        with refusing_camera() as refusing, served(bad_clips, bad_port):
            wait_until(lambda: port_open(bad_port), what="RTSP server listening")
            urls = {
                "dead": f"rtsp://127.0.0.1:{dead_port}/street.mp4",
                "frozen": f"rtsp://127.0.0.1:{bad_port}/frozen.mp4",
                "garbage": garbage.url,
                "refused": refusing.url,
            }
            login = {"username": "viewer", "password": "env:BAD_PASSWORD"}
            bad = [
                edge_rig.camera(name, url, **(login if name == "refused" else {}))
                for name, url in urls.items()
            ]
            box = Box(tmp_path / "city" / "box-1", "box-1", [good, *bad], more, {"BAD_PASSWORD": PASSWORD})
            box.write()
            last_alone = looks(city)[-1]
            with box:
                beside = watch_company(city, good_clips, dead_port, last_alone)
        assert PASSWORD not in box.program.output()
    assert beside == pytest.approx(alone, rel=0.2)


def watch_company(city: City, clips: Path, dead_port: int, last_alone: datetime) -> float:
    """Wait until each bad camera is told with its own reason, then let the dead one live again."""
    started = time.monotonic()
    until(lambda: blind(city) == BAD, 100, f"{BAD}")
    with served(clips, dead_port):
        until(lambda: "dead" not in blind(city), 90, "the dead camera to see again by itself")
        time.sleep(max(0.0, started + BESIDE_S - time.monotonic()))
        return median_interval_s(looks(city, since=last_alone)[2:])  # the first gap is the restart

from __future__ import annotations

from pathlib import Path

from benchmarks import fleet_wall


def test_the_wall_shows_every_camera_and_every_incident_in_its_clusters(tmp_path: Path) -> None:
    cameras = fleet_wall.fill(tmp_path, boxes=5, incidents=10)
    with fleet_wall.served(tmp_path) as url:
        seen = fleet_wall.look_around(url, looks=4)
    assert cameras == 80
    assert seen["cameras_seen"] == 80
    assert seen["incidents_seen"] == 10
    assert seen["first_view_ms"] > 0

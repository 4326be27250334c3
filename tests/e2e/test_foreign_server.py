"""The same box against a foreign RTSP server that asks for a password, which then turns up nowhere."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import edge_rig
import media
import pytest
from city import SITE, City, until
from components import gst_server

pytestmark = pytest.mark.e2e

PASSWORD = "correct-horse-battery"


def every_text_in(folder: Path) -> str:
    """Return the text of every log, configuration and database below a folder."""
    kinds = {".log", ".sqlite", ".db", ".json", ".yaml", ".sqlite-wal", ".db-wal"}
    found = [path for path in folder.rglob("*") if path.is_file() and path.suffix in kinds]
    return "\n".join(path.read_bytes().decode("latin-1") for path in found)


def process_list() -> str:
    """Return the command line of every process, as ``ps`` shows it."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(entry.read_bytes().decode(errors="replace"))
        except OSError:  # it ended meanwhile
            continue
    # the server under test is given the password it is to ask for
    return "\n".join(line for line in lines if "gst_rtsp_server" not in line)


@pytest.mark.timeout(180)
def test_a_foreign_server_with_digest_authentication(tmp_path: Path) -> None:
    scene = media.repeat_video(edge_rig.scene(tmp_path / "short.mp4"), tmp_path / "scene.mp4", 6)
    edge_rig.bright_model(tmp_path / "models")
    login = ("--user", "viewer", "--password", PASSWORD)
    with City(tmp_path / "city") as city, gst_server(tmp_path, "--file", str(scene), *login) as port:
        url = f"rtsp://127.0.0.1:{port}/scene.mp4"
        good = edge_rig.camera("good", url, username="viewer", password="env:GOOD_PASSWORD")
        wrong = edge_rig.camera("wrong", url, username="viewer", password="env:WRONG_PASSWORD")
        box = city.box(
            "box-1", [good, wrong], models_dir=str(tmp_path / "models"), limits={"blind_after_s": 5.0}
        )
        box.env = {"GOOD_PASSWORD": PASSWORD, "WRONG_PASSWORD": "wrong-horse-battery"}
        with box:
            parked = until(lambda: complete(city, "illegal_parking"), 90, "the car, with evidence")
            refused = until(lambda: city.incidents(kind="camera_blind"), 60, "the refused camera")
            processes = process_list()
        assert parked[0]["camera"] == "good"
        assert [(item["camera"], item["alerts"][0]["reason"]) for item in refused] == [("wrong", "refused")]
        assert refused[0]["site"] == SITE
        seen = every_text_in(tmp_path / "city") + processes
    for secret in (PASSWORD, "wrong-horse-battery"):
        assert secret not in seen
    assert "env:GOOD_PASSWORD" in seen, "the search looked at the wrong files"


def complete(city: City, kind: str) -> list[dict[str, Any]]:
    """Return the incidents of a kind once each has three pictures and a clip at central."""
    found = city.incidents(kind=kind)
    for incident in found:
        present = [item["media_type"] for item in incident["alerts"][0]["evidence"] if item["present"]]
        if present.count("image/jpeg") < 3 or "video/mp4" not in present:
            return []
    return found


def test_the_search_for_secrets_would_find_one(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(f"opening rtsp://viewer:{PASSWORD}@host")
    with sqlite3.connect(tmp_path / "b.sqlite") as database:
        database.execute("CREATE TABLE t AS SELECT 'wrong-horse-battery' AS x")
    database.close()
    assert PASSWORD in every_text_in(tmp_path)
    assert "wrong-horse-battery" in every_text_in(tmp_path)

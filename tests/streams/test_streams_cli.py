from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import fake_cameras
import pytest
from components import Program, free_port, towerwatch, wait_until

from streams.pictures import read_picture

PASSWORD = "tell-nobody-77"


def run(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        towerwatch("streams", *arguments),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **(env or {})},
    )


def test_probe_prints_what_it_measured_and_saves_a_snapshot(videos: Path, tmp_path: Path) -> None:
    done = run("probe", videos / "h264.mp4", "--snapshot", tmp_path / "s.jpg")
    assert done.returncode == 0, done.stderr
    for pattern in ("codec +h264", "320 x 240", r"25\.00 /s", r"every 1\.00 s", "B-frames +yes", "kbit/s"):
        assert re.search(pattern, done.stdout), pattern
    assert read_picture(tmp_path / "s.jpg").shape == (240, 320, 3)


def test_probe_speaks_json(videos: Path) -> None:
    done = run("probe", videos / "plain.mp4", "--json")
    assert json.loads(done.stdout)["codec"] == "h264"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["rtsp://u:" + PASSWORD + "@127.0.0.1/x"], 2, "env:NAME"),
        (["ftp://127.0.0.1/x"], 2, "rtsp://"),
        (["/nowhere/v.mp4"], 1, "/nowhere/v.mp4: no such file"),
        (["rtsp://127.0.0.1:1/x"], 1, "refused"),
        (["rtsp://127.0.0.1:1/x", "--username", "u", "--password", PASSWORD], 2, "never the secret itself"),
        (["rtsp://127.0.0.1:1/x", "--username", "u", "--password", "env:TW_NOT_SET"], 2, "TW_NOT_SET"),
    ],
    ids=["password in the address", "scheme", "no file", "nobody there", "no reference", "variable not set"],
)
def test_what_is_wrong_takes_one_line(arguments: list[str], code: int, words: str) -> None:
    done = run("probe", *arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stderr + done.stdout


def test_a_refused_password_is_not_shown() -> None:
    with fake_cameras.refusing_camera() as fake:
        done = run("probe", fake.url, "--username", "u", "--password", "env:TW_PW", env={"TW_PW": PASSWORD})
    assert done.returncode == 1
    assert "refuses the credentials" in done.stderr
    assert PASSWORD not in done.stderr + done.stdout


def test_a_snapshot_that_cannot_be_written_is_named(videos: Path, tmp_path: Path) -> None:
    done = run("probe", videos / "plain.mp4", "--snapshot", tmp_path / "no" / "s.jpg")
    assert done.returncode == 2
    assert "s.jpg: cannot be written" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_serve_prints_addresses_that_play_and_ends_at_once(
    videos: Path, tmp_path: Path, number: signal.Signals
) -> None:
    port = free_port()
    command = towerwatch("streams", "serve", videos, "--port", str(port))
    with Program(command, tmp_path / "serve.log") as program:
        url = f"rtsp://127.0.0.1:{port}/h264.mp4"
        wait_until(lambda: url in program.output(), what="the address")
        assert run("probe", url, "--seconds", "1", "--json").returncode == 0
        began = time.monotonic()
        assert program.kill(number) == 0
        assert time.monotonic() - began < 3
    assert "Traceback" not in program.output()


def test_serve_says_what_is_wrong_with_a_folder(tmp_path: Path) -> None:
    done = run("serve", tmp_path)
    assert done.returncode == 2
    assert f"{tmp_path}: no H.264 or H.265 video files" in done.stderr

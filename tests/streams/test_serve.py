from __future__ import annotations

import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import av
import pytest
from components import port_open, wait_until
from media import decode_all, make_video

from streams.errors import SourceConfigError
from streams.live import LiveCamera, LiveSettings
from streams.modes import FULL
from streams.serve import ServedFolder


def test_every_video_of_the_folder_has_an_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_video(tmp_path / "b street.mp4", seconds=0.4, size=(64, 48))
    make_video(tmp_path / "a.mkv", seconds=0.4, size=(64, 48), codec="hevc")
    make_video(tmp_path / "old.avi", seconds=0.4, size=(64, 48), codec="mpeg4")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "notes.txt").write_text("no video")
    with ServedFolder(tmp_path) as served:
        base = f"rtsp://127.0.0.1:{served.port}"
        assert served.urls == {"a.mkv": f"{base}/a.mkv", "b street.mp4": f"{base}/b%20street.mp4"}
    printed = capsys.readouterr().out
    assert "broken.mp4" in printed
    assert "old.avi" in printed


@pytest.mark.parametrize("name", ["loop.mp4", "loop.mkv", "loop.ts", "hevc.mp4"])
def test_a_file_goes_on_over_its_end_in_real_time(tmp_path: Path, name: str) -> None:
    codec = "hevc" if name.startswith("hevc") else "h264"
    make_video(tmp_path / name, seconds=1.2, gop=10, b_frames=2, codec=codec)
    with (
        ServedFolder(tmp_path) as served,
        LiveCamera(LiveSettings(served.url(name), decode=FULL, min_interval_s=0)) as camera,
    ):
        wait_until(lambda: camera.status().packets > 100, what="three rounds")
        status, now = camera.status(), datetime.now(UTC)
        (tmp_path / "out").mkdir()
        path = camera.ring.cut(now - timedelta(seconds=3), now, tmp_path / "out" / "clip.mp4")
        held = camera.ring.span()
    assert (status.connects, status.failures, status.decode_errors) == (1, 0, 0)
    assert held is not None
    # real time: as many packets as frames in the time that they took
    assert held.packets / (held.last_at - held.first_at).total_seconds() == pytest.approx(25, rel=0.15)
    assert path is not None
    times = decode_all(path)
    assert times == sorted(set(times))
    assert max(later - earlier for earlier, later in pairwise(times)) < 0.2


def test_two_clients_see_the_same_moment(videos: Path) -> None:
    with ServedFolder(videos) as served:
        first = _round_position(served.url("h264.mp4"))
        second = _round_position(served.url("h264.mp4"))
    apart = abs(first - second)
    assert min(apart, 1.0 - apart) <= 0.35  # positions go round: 0.99 and 0.01 are neighbours


def _round_position(url: str) -> float:
    """Where in its round a camera stands, from the place of the bar in its first picture, less now."""
    with LiveCamera(LiveSettings(url, min_interval_s=0)) as camera:
        frame = camera.latest(10)
    assert frame is not None
    bar_px = int((frame.image[120, :, 2] > 190).argmax())
    return (bar_px / 4 / 25 - frame.monotonic_s) % 1.0


@pytest.mark.parametrize("name", ["gone.mp4", "notes.txt", "../secret.mp4", "sub/file.mp4"])
def test_what_is_not_served_is_not_found(videos: Path, name: str) -> None:
    with ServedFolder(videos) as served, pytest.raises(av.HTTPNotFoundError):
        av.open(f"rtsp://127.0.0.1:{served.port}/{name}", options={"rtsp_transport": "tcp"}, timeout=5)


def test_a_stop_disconnects_clients_and_leaves_nothing(videos: Path) -> None:
    before = set(threading.enumerate())
    served = ServedFolder(videos)
    served.start()
    cameras = [LiveCamera(LiveSettings(served.url("h264.mp4"), name=str(i))) for i in range(3)]
    for camera in cameras:
        camera.start()
    wait_until(lambda: all(camera.status().pictures for camera in cameras), what="pictures")
    with socket.create_connection(("127.0.0.1", served.port)):  # one that never says anything
        began = time.monotonic()
        served.stop()
        assert time.monotonic() - began < 2
    assert not port_open(served.port)
    wait_until(lambda: all(camera.status().failures for camera in cameras), what="the loss noticed")
    for camera in cameras:
        assert camera.stop(8)
    assert set(threading.enumerate()) <= before


def test_it_can_be_started_again_on_its_port(videos: Path) -> None:
    served = ServedFolder(videos)
    for _ in range(2):
        with served:
            assert port_open(served.port)


def test_a_port_that_is_taken_is_said_so(videos: Path) -> None:
    with ServedFolder(videos) as served, pytest.raises(SourceConfigError, match=f"{served.port}"):
        ServedFolder(videos, port=served.port).start()


@pytest.mark.parametrize("there", [True, False], ids=["empty", "missing"])
def test_a_folder_with_nothing_to_serve_is_said_so(tmp_path: Path, there: bool) -> None:
    folder = tmp_path if there else tmp_path / "gone"
    with pytest.raises(SourceConfigError, match=str(folder)):
        ServedFolder(folder).start()

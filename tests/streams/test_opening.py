from __future__ import annotations

import time
from pathlib import Path

import fake_cameras
import pytest
from av.container import InputContainer
from components import free_port
from media import make_video

from streams.errors import (
    SourceConfigError,
    StreamError,
    StreamGarbage,
    StreamNotFound,
    StreamUnavailable,
)
from streams.opening import Source, check_url, opened
from towerwatch.secrets import Secret

PASSWORD = "open-sesame-42"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (f"rtsp://viewer:{PASSWORD}@cam/x", "reference"),
        (f"rtsp://:{PASSWORD}@cam/x", "reference"),
        ("ftp://cam/x", "rtsp://"),
        ("rtsp:///x", "no host"),
        ("rtsp://cam:port/x", "not a valid address"),
        ("rtsp://[::1/x", "not a valid address"),
    ],
    ids=["password", "password alone", "scheme", "no host", "port", "IPv6"],
)
def test_an_address_that_can_never_work_is_refused_with_what_would_be_right(url: str, message: str) -> None:
    with pytest.raises(SourceConfigError, match=message) as caught:
        check_url(url)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["rtsp://cam/x", "rtsps://viewer@cam:322/x", "RTSP://[::1]:554/x", "/a/file.mp4"]
)
def test_an_address_that_can_work_passes(url: str) -> None:
    check_url(url)


def test_the_limit_of_opening_holds_with_a_server_that_never_answers() -> None:
    with fake_cameras.SilentCamera() as fake:
        began = time.monotonic()
        source = Source(fake.url, "u", Secret(PASSWORD), open_timeout_s=0.5, read_timeout_s=30)
        with pytest.raises(StreamUnavailable, match=r"no answer within 0\.5 s"), opened(source):
            pass
        assert 0.4 < time.monotonic() - began < 2.0


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps"])
def test_nobody_listening_is_said_so_without_the_password(scheme: str) -> None:
    source = Source(f"{scheme}://127.0.0.1:{free_port()}/x", "u", Secret(PASSWORD), 2.0, 2.0)
    with pytest.raises(StreamUnavailable) as caught, opened(source):
        pass
    assert PASSWORD not in repr(caught.value) + str(caught.value)
    assert caught.value.__cause__ is None  # FFmpeg's own error has the address with the password


def test_a_host_that_does_not_exist_is_unreachable() -> None:
    source = Source("rtsp://no-such-camera.invalid/x", open_timeout_s=2.0)
    with pytest.raises(StreamUnavailable, match=r"no-such-camera\.invalid"), opened(source):
        pass


def test_a_file_without_video_is_named(tmp_path: Path) -> None:
    path = tmp_path / "subtitles.srt"
    path.write_text("1\n00:00:01,000 --> 00:00:02,000\nhello\n\n")
    with pytest.raises(StreamGarbage, match=r"subtitles\.srt: no video"), opened(Source(str(path))):
        pass


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StreamNotFound, match="gone"), opened(Source(str(tmp_path / "gone.mp4"))):
        pass


def test_a_folder_is_not_called_missing(tmp_path: Path) -> None:
    with pytest.raises(StreamNotFound, match="is a folder; name a video file"), opened(Source(str(tmp_path))):
        pass


def test_a_container_is_closed_whatever_happens(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", seconds=0.2, size=(64, 48))
    kept: list[InputContainer] = []

    def leave_in_the_middle() -> None:
        with opened(Source(str(path))) as (container, _stream):
            kept.append(container)
            raise StreamError("mine")

    with pytest.raises(StreamError, match="mine"):
        leave_in_the_middle()
    with pytest.raises(AssertionError, match="not open"):
        _ = kept[0].duration

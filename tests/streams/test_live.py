from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fake_cameras
import pytest
from components import free_port, wait_until
from media import decode_all, make_video, picture

from streams import live
from streams.backoff import BackoffPolicy
from streams.errors import SourceConfigError
from streams.frame import Frame
from streams.live import LiveCamera, LiveSettings, StreamReason, StreamState
from streams.modes import FULL, KEYFRAMES, every
from streams.pictures import encode_jpeg
from streams.serve import ServedFolder
from towerwatch.secrets import Secret

QUICK = BackoffPolicy(first_s=0.1, cap_s=0.2, refused_s=60)
PASSWORD = "correct-horse-battery"


def settings(url: str | Path, **changes: object) -> LiveSettings:
    values: dict[str, object] = {
        "open_timeout_s": 2.0,
        "read_timeout_s": 1.0,
        "backoff": QUICK,
        "name": "cam",
    }
    return LiveSettings(str(url), **{**values, **changes})  # type: ignore[arg-type]


def test_pictures_are_numbered_as_if_those_that_nobody_wants_were_decoded(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", seconds=3, fps=10, gop=5, size=(160, 90))
    with LiveCamera(settings(clip, min_interval_s=0.0)) as camera:
        (first,) = take(camera, 1)
        camera.want_from(first.monotonic_s + 1.25)
        (next_one,) = take(camera, 1)
        assert (first.index, next_one.index) == (0, 3)
        assert next_one.monotonic_s - first.monotonic_s == pytest.approx(1.5, abs=0.2)
        assert camera.status().pictures == 2


def take(camera: LiveCamera, count: int) -> list[Frame]:
    deadline = time.monotonic() + 20
    frames: list[Frame] = []
    while len(frames) < count and time.monotonic() < deadline:
        frame = camera.latest(1.0)
        if frame is not None:
            frames.append(frame)
    assert len(frames) == count, camera.status()
    return frames


@pytest.fixture(scope="module")
def served(videos: Path) -> object:
    with ServedFolder(videos) as server:
        yield server


def test_a_camera_gives_key_frames_stamped_when_they_arrived(served: ServedFolder) -> None:
    before = datetime.now(UTC)
    with LiveCamera(settings(served.url("h264.mp4"))) as camera:
        frames = take(camera, 3)
        now = datetime.now(UTC)
        status = camera.status()
    assert all(before < frame.captured_at < now for frame in frames)
    assert all(frame.is_key for frame in frames)
    assert [frame.index for frame in frames] == [0, 1, 2]
    seconds = frames[2].monotonic_s - frames[1].monotonic_s
    assert seconds == pytest.approx(1.0, abs=0.3)
    assert seconds == pytest.approx((frames[2].captured_at - frames[1].captured_at).total_seconds(), abs=0.01)
    assert (status.state, status.reason, status.connects, status.failures) == (StreamState.LIVE, None, 1, 0)
    assert (status.codec, status.width_px, status.height_px) == ("h264", 320, 240)
    assert status.last_captured_at == frames[2].captured_at
    assert status.packets > status.pictures >= 3
    assert camera.status().state is StreamState.STOPPED


def test_a_picture_that_waits_for_the_next_one_has_the_time_of_its_own_arrival(tmp_path: Path) -> None:
    """FFmpeg's parser gives a picture out when the next one comes: here a quarter of a second later."""
    make_video(tmp_path / "slow.mp4", fps=4, seconds=20, gop=1)
    with (
        ServedFolder(tmp_path) as server,
        LiveCamera(settings(server.url("slow.mp4"), read_timeout_s=5.0)) as camera,
    ):
        for frame in take(camera, 7):
            late_s = time.monotonic() - frame.monotonic_s
    assert late_s >= 0.2


def test_the_mode_changes_while_running(served: ServedFolder) -> None:
    with LiveCamera(settings(served.url("h264.mp4"), decode=KEYFRAMES)) as camera:
        take(camera, 1)
        camera.set_decode(FULL)
        wait_until(lambda: not take(camera, 1)[0].is_key, what="pictures between key frames")
        camera.set_decode(every(5))
        take(camera, 2)
        camera.set_decode(KEYFRAMES)
        take(camera, 2)
        assert take(camera, 1)[0].is_key


def test_the_latest_picture_wins_and_dropped_ones_are_counted(served: ServedFolder) -> None:
    with LiveCamera(settings(served.url("h264.mp4"), decode=FULL)) as camera:
        wait_until(lambda: camera.status().pictures >= 20, what="20 pictures")
        frame = camera.latest(1)
        assert frame is not None
        assert frame.index >= 19
        assert camera.status().dropped == frame.index


def test_a_clip_of_a_live_camera_plays(served: ServedFolder, tmp_path: Path) -> None:
    with LiveCamera(settings(served.url("h264.mp4"))) as camera:
        wait_until(lambda: camera.status().packets > 125, what="5 s of packets, over the seam of the loop")
        now = datetime.now(UTC)
        path = camera.ring.cut(now - timedelta(seconds=3), now, tmp_path / "clip.mp4")
    assert path is not None
    times = decode_all(path)
    assert 70 < len(times) < 105
    assert times == sorted(set(times))
    assert times[-1] == pytest.approx((len(times) - 1) / 25, abs=0.15)


def test_a_camera_that_dies_is_lost_and_comes_back_by_itself(videos: Path) -> None:
    port = free_port()
    with LiveCamera(settings(f"rtsp://127.0.0.1:{port}/plain.mp4")) as camera:
        wait_until(lambda: camera.status().failures >= 2, what="two failures")
        status = camera.status()
        assert (status.reason, status.connects, status.pictures) == (StreamReason.UNREACHABLE, 0, 0)
        with ServedFolder(videos, port=port):
            wait_until(lambda: camera.status().state is StreamState.LIVE, what="live")
            assert camera.status().reason is None
            assert camera.status().failures_in_row == 0
        wait_until(lambda: camera.status().state is StreamState.WAITING, what="lost")
        wait_until(lambda: camera.status().reason is StreamReason.UNREACHABLE, what="unreachable")
        with ServedFolder(videos, port=port):
            wait_until(lambda: camera.status().state is StreamState.LIVE, what="live again")
        assert camera.status().connects == 2


@pytest.mark.parametrize(
    ("make", "reason", "words"),
    [
        (fake_cameras.SilentCamera, StreamReason.UNREACHABLE, "no answer within 1 s"),
        (fake_cameras.MutePlayingCamera, StreamReason.SILENT, "no packet for 1 s"),
        (fake_cameras.BabblingCamera, StreamReason.GARBAGE, "is it an RTSP camera?"),
        (fake_cameras.GarbageCamera, StreamReason.GARBAGE, "no picture can be decoded"),
        (fake_cameras.refusing_camera, StreamReason.REFUSED, "refuses the credentials"),
        (
            lambda: fake_cameras.AnsweringCamera("403 Forbidden"),
            StreamReason.REFUSED,
            "refuses the credentials",
        ),
        (lambda: fake_cameras.AnsweringCamera("404 Not Found"), StreamReason.NOT_FOUND, "no such stream"),
        (lambda: fake_cameras.AnsweringCamera("500 Oops"), StreamReason.UNREACHABLE, "Server"),
    ],
    ids=["silent", "mute", "babbling", "garbage", "401", "403", "404", "500"],
)
def test_each_bad_camera_has_its_own_reason_and_stops_at_once(
    make: Callable[[], fake_cameras.FakeCamera],
    reason: StreamReason,
    words: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with make() as fake, caplog.at_level(logging.DEBUG):
        camera = LiveCamera(
            settings(
                fake.url,
                username="viewer",
                password=Secret(PASSWORD),
                open_timeout_s=1.0,
                garbage_after_s=0.5,
            )
        )
        camera.start()
        wait_until(lambda: camera.status().failures, 8, what="a failure")
        status = camera.status()
        began = time.monotonic()
        assert camera.stop(4)
        assert time.monotonic() - began < 3
    assert status.reason is reason
    assert words in status.detail
    assert fake.url in status.detail
    printed = "".join(capfd.readouterr()) + caplog.text + status.detail + repr(camera.settings)
    assert PASSWORD not in printed


def test_a_camera_that_refuses_the_password_is_tried_again_rarely() -> None:
    with fake_cameras.refusing_camera() as fake:
        with LiveCamera(settings(fake.url, username="u", password=Secret(PASSWORD))) as camera:
            wait_until(lambda: camera.status().failures, what="a failure")
            status = camera.status()
        assert status.state is StreamState.WAITING
        assert status.retry_in_s >= 30
        assert fake.connections == 1


def test_a_reader_that_hangs_does_not_hold_its_owner_up() -> None:
    with fake_cameras.SilentCamera() as fake:
        camera = LiveCamera(settings(fake.url, open_timeout_s=1.0))
        camera.start()
        wait_until(lambda: fake.connections, what="the connection")
        began = time.monotonic()
        assert not camera.stop(0.05)
        assert time.monotonic() - began < 0.5
        assert camera.latest(30) is None  # at once
        assert camera.stop(5)


def test_stopping_a_camera_that_was_never_started_is_nothing() -> None:
    assert LiveCamera(settings("rtsp://127.0.0.1:1/x")).stop(0)


def test_a_camera_starts_once(videos: Path) -> None:
    with LiveCamera(settings(videos / "plain.mp4")) as camera, pytest.raises(RuntimeError, match="before"):
        camera.start()


def test_an_address_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(SourceConfigError, match="env:NAME") as caught:
        LiveCamera(settings(f"rtsp://viewer:{PASSWORD}@127.0.0.1/x")).start()
    assert PASSWORD not in str(caught.value)


def test_a_file_plays_in_real_time_and_ends(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", seconds=1.2, fps=10, gop=5, size=(64, 48), b_frames=2)
    began = time.monotonic()
    with LiveCamera(settings(path, decode=FULL)) as camera:
        frames = take(camera, 9)
        wait_until(lambda: camera.status().state is StreamState.ENDED, what="the end")
        assert camera.status().pictures == 12
        last = camera.latest(0)  # the decoder's last pictures come in one go, and the latest wins
        assert last is not None
        assert last.index == 11
        assert time.monotonic() - began > 1.0
        assert camera.status().reason is StreamReason.END_OF_FILE
        assert camera.latest(0.01) is None
        path_out = camera.ring.cut(frames[0].captured_at, datetime.now(UTC), tmp_path / "clip.mp4")
    assert path_out is not None
    assert len(decode_all(path_out)) == 12
    assert frames[0].captured_at > datetime.now(UTC) - timedelta(minutes=1)


def test_a_folder_plays_in_real_time_stamped_now(tmp_path: Path) -> None:
    for index in range(3):
        name = f"20240501_10203{index}.jpg"
        (tmp_path / name).write_bytes(encode_jpeg(picture(index, 64, 48)))
    with LiveCamera(settings(tmp_path)) as camera:
        frames = take(camera, 3)
        wait_until(lambda: camera.status().state is StreamState.ENDED, what="the end")
    assert frames[2].monotonic_s - frames[0].monotonic_s == pytest.approx(2.0, abs=0.4)
    assert frames[0].captured_at > datetime.now(UTC) - timedelta(minutes=1)


def test_a_folder_is_left_in_the_middle_when_stopped(tmp_path: Path) -> None:
    for index in range(2):
        (tmp_path / f"20240501_1{index}2030.jpg").write_bytes(encode_jpeg(picture(index, 64, 48)))
    with LiveCamera(settings(tmp_path)) as camera:
        take(camera, 1)
        assert camera.stop(2)
    assert camera.status().state is StreamState.STOPPED


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with LiveCamera(settings(tmp_path / "gone.mp4")) as camera:
        wait_until(lambda: camera.status().reason is StreamReason.NOT_FOUND, what="the reason")


def test_a_fault_of_ours_is_logged_and_the_camera_tries_again(
    videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def broken(*_arguments: object) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError

    monkeypatch.setattr(live, "read_video", broken)
    with LiveCamera(settings(videos / "plain.mp4")) as camera:
        wait_until(lambda: camera.status().state is StreamState.ENDED, what="the second try")
        assert camera.status().failures == 1
        assert "internal" in camera.status().detail
    assert len(calls) == 2


def test_a_picture_that_cannot_be_converted_is_counted(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_picture: object) -> None:
        raise ValueError("strange format")

    with LiveCamera(settings(videos / "plain.mp4")) as camera:
        monkeypatch.setattr("streams.decode.pixels_of", refuse)
        wait_until(lambda: camera.status().pictures, what="a picture")
        assert camera.latest(1) is None
        assert camera.status().decode_errors == 1

from __future__ import annotations

from pathlib import Path

import pytest
from media import make_video, picture

from streams.errors import StreamGarbage, StreamNotFound
from streams.opening import Source
from streams.probe import probe
from streams.serve import ServedFolder


@pytest.mark.parametrize(
    ("name", "codec", "b_frames", "key_interval_s"),
    [
        ("h264.mp4", "h264", True, 1.0),
        ("plain.mp4", "h264", False, 1.0),
        ("hevc.mp4", "hevc", True, 1.0),
        ("mjpeg.mkv", "mjpeg", False, 0.04),
    ],
)
def test_a_file_is_measured(
    videos: Path, name: str, codec: str, b_frames: bool, key_interval_s: float
) -> None:
    path = videos / name
    result, image = probe(Source(str(path)), seconds=10)
    assert (result.codec, result.b_frames, result.packets) == (codec, b_frames, 100)
    assert result.frame_rate_hz == pytest.approx(25, rel=0.01)
    assert result.key_interval_s == pytest.approx(key_interval_s, abs=0.002)
    assert result.measured_s == pytest.approx(4.0, abs=0.05)
    whole_bps = path.stat().st_size * 8 / 4
    assert 0.4 * whole_bps < result.bit_rate_bps <= whole_bps  # the container takes its part of a small file
    assert image.shape == (result.height_px, result.width_px, 3)


def test_a_live_camera_is_measured(videos: Path) -> None:
    done: list[float] = []
    with ServedFolder(videos) as served:
        result, image = probe(Source(served.url("h264.mp4")), seconds=2.0, on_progress=done.append)
    assert result.source == served.url("h264.mp4")
    assert result.frame_rate_hz == pytest.approx(25, rel=0.05)
    assert result.key_interval_s == pytest.approx(1.0, abs=0.1)
    assert result.b_frames
    assert 1.8 < result.measured_s < 6.5
    assert 0 < result.connect_s < 2
    assert image.shape == (240, 320, 3)
    assert abs(int(image[5, 319, 0]) - int(picture(0, 320, 240)[5, 319, 0])) < 20
    assert done == sorted(done)
    assert done[-1] == 1.0


def test_one_key_frame_gives_no_interval(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", seconds=1, gop=100)
    result, _image = probe(Source(str(path)))
    assert result.key_interval_s is None


def test_a_single_picture_has_no_rate(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", seconds=0.04)
    result, _image = probe(Source(str(path)))
    assert (result.packets, result.frame_rate_hz) == (1, 0.0)


def test_a_file_without_a_picture_is_garbage(tmp_path: Path) -> None:
    path = tmp_path / "noise.h264"
    path.write_bytes((b"\x00\x00\x00\x01\x65" + bytes(range(256)) * 8) * 20)
    with pytest.raises(StreamGarbage, match=r"noise\.h264"):
        probe(Source(str(path)))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StreamNotFound, match="gone"):
        probe(Source(str(tmp_path / "gone.mp4")))

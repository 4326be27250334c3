from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from media import make_video, picture

from streams.errors import StreamError
from streams.frame import Frame
from streams.pictures import encode_jpeg, pixels_of, read_picture, to_bgr

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def decoded(path: Path) -> av.VideoFrame:
    with av.open(str(path)) as container:
        return next(container.decode(video=0))


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "size"),
    [
        ("h264", "yuv420p", (322, 242)),
        ("h264", "yuv422p", (320, 240)),
        ("h264", "yuv444p", (321, 241)),
        ("h264", "yuvj420p", (320, 240)),
        ("h264", "gray", (320, 240)),
        ("h264", "yuv420p10le", (320, 240)),
        ("hevc", "yuv420p10le", (320, 240)),
        ("mjpeg", "yuvj422p", (319, 239)),
    ],
    ids=str,
)
def test_any_pixel_format_becomes_bgr(
    tmp_path: Path, codec: str, pix_fmt: str, size: tuple[int, int]
) -> None:
    path = make_video(tmp_path / "v.mkv", codec=codec, seconds=0.2, pix_fmt=pix_fmt, size=size)
    image = to_bgr(decoded(path))
    assert image.dtype == np.uint8
    assert image.shape == (size[1], size[0], 3)
    wanted = picture(0, *size)
    if pix_fmt == "gray":
        wanted = cv2.cvtColor(cv2.cvtColor(wanted, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    assert np.abs(image.astype(int) - wanted).mean() < (10 if pix_fmt == "gray" else 6)


@pytest.mark.parametrize("degrees", [90, 180, 270, -90])
def test_a_turned_video_comes_upright(tmp_path: Path, degrees: int) -> None:
    path = make_video(tmp_path / "v.mp4", seconds=0.2, rotation=degrees)
    image = to_bgr(decoded(path))
    wanted = np.rot90(picture(0, 320, 240), round(degrees / 90) % 4)
    assert image.shape == wanted.shape
    assert np.abs(image.astype(int) - wanted).mean() < 6


def test_a_jpeg_reads_back_as_nearly_the_same(tmp_path: Path) -> None:
    image = picture(3, 320, 240)
    path = tmp_path / "p.jpg"
    path.write_bytes(encode_jpeg(image, 95))
    assert np.abs(read_picture(path).astype(int) - image).mean() < 3


def test_better_quality_takes_more_bytes() -> None:
    image = picture(3, 320, 240)
    assert len(encode_jpeg(image, 95)) > len(encode_jpeg(image, 20))


@pytest.mark.parametrize("quality", [0, 101])
def test_a_quality_out_of_range_is_refused(quality: int) -> None:
    with pytest.raises(ValueError, match="quality"):
        encode_jpeg(picture(0, 32, 32), quality)


@pytest.mark.parametrize("content", [b"", b"no picture"], ids=["empty", "text"])
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(StreamError, match=r"broken\.jpg: not a readable picture"):
        read_picture(path)


def test_a_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match=r"gone\.jpg: cannot be read"):
        read_picture(tmp_path / "gone.jpg")


@pytest.mark.parametrize("source_format", ["yuv420p", "yuvj420p"])
def test_what_is_judged_of_an_unconverted_picture_is_what_its_conversion_shows(source_format: str) -> None:
    ramp = np.linspace(0, 255, 640).astype(np.uint8)[None, :].repeat(360, 0)
    image = np.stack([ramp, ramp[:, ::-1], np.full_like(ramp, 90)], axis=2)
    shown = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=source_format)
    pixels = pixels_of(shown)
    assert not isinstance(pixels, np.ndarray)
    lazy = Frame(pixels, NOW, 1.0, 0)
    whole = Frame(to_bgr(shown), NOW, 1.0, 0)
    assert (lazy.width_px, lazy.height_px) == (640, 360)
    np.testing.assert_allclose(lazy.reduced.astype(int), whole.reduced.astype(int), atol=4)
    np.testing.assert_allclose(lazy.thinned.astype(int), whole.thinned.astype(int), atol=4)
    np.testing.assert_array_equal(lazy.image, whole.image)
    assert not lazy.image.flags.writeable

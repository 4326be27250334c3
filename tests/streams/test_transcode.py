from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from components import towerwatch
from hypothesis import given
from hypothesis import strategies as st
from media import decode_all, make_video, picture

from streams.errors import ClipFailed, StreamError
from streams.packets import Stamp
from streams.pictures import to_bgr
from streams.reader import Framing
from streams.ring import PacketRing
from streams.transcode import LONG_SIDE_MAX_PX, fitting_size, transcode

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def cut(video: Path, target: Path) -> Path:
    """Cut a clip as a box does: the packets of a connection through the ring."""
    ring = PacketRing(16 << 20)
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        framing = Framing(stream)
        kept = [kept for packet in container.demux(stream) if packet.size for kept in framing.annex_b(packet)]
        ring.begin(stream.codec_context.name, framing.extradata)
        for index, packet in enumerate(kept):
            ring.append(packet, Stamp(EPOCH + timedelta(seconds=index / 25), index / 25))
    clip = ring.cut(EPOCH + timedelta(seconds=1), EPOCH + timedelta(seconds=60), target)
    assert clip is not None
    return clip


def boxes(path: Path) -> list[bytes]:
    """Return the names of the outermost boxes of an MP4, in order."""
    data, at, names = path.read_bytes(), 0, []
    while at < len(data):
        names.append(data[at + 4 : at + 8])
        at += int.from_bytes(data[at : at + 4])
    return names


def torn(video: Path, target: Path, wrong: range) -> Path:
    """Copy a video and overwrite some of its packets."""
    data = bytearray(video.read_bytes())
    with av.open(str(video)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    for packet in packets[wrong.start : wrong.stop]:
        assert packet.pos is not None
        data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    target.write_bytes(data)
    return target


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        towerwatch("streams", "transcode", *arguments),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def mpeg4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("mpeg4") / "mpeg4.mp4", codec="mpeg4")


@pytest.mark.parametrize("name", ["hevc.mp4", "mjpeg.mkv", "h264.mp4", "plain.mp4"])
def test_a_clip_of_a_box_becomes_h264_that_browsers_play(videos: Path, tmp_path: Path, name: str) -> None:
    clip = cut(videos / name, tmp_path / "clip.mp4")
    target = tmp_path / "out.mp4"
    count = transcode(clip, target)
    with av.open(str(target)) as container:
        (stream,) = container.streams
        assert isinstance(stream, av.VideoStream)
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.codec_context.codec_tag == "avc1"
        size = (stream.width, stream.height)
    assert size == ((160, 120) if name == "plain.mp4" else (320, 240))
    assert decode_all(target) == pytest.approx(decode_all(clip), abs=1e-4)
    assert count == len(decode_all(clip)) >= 75
    assert boxes(target).index(b"moov") < boxes(target).index(b"mdat")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "out.mp4"]


def test_mpeg4_becomes_h264(mpeg4: Path, tmp_path: Path) -> None:
    assert transcode(mpeg4, tmp_path / "out.mp4") == 100
    assert decode_all(tmp_path / "out.mp4") == pytest.approx(decode_all(mpeg4), abs=1e-4)


@pytest.mark.parametrize(
    ("codec", "pix_fmt"), [("hevc", "yuv420p10le"), ("mjpeg", "yuvj422p")], ids=["10 bits", "full range"]
)
def test_what_is_seen_stays_what_it_was(tmp_path: Path, codec: str, pix_fmt: str) -> None:
    clip = make_video(tmp_path / "in.mp4", codec=codec, pix_fmt=pix_fmt, seconds=0.4)
    transcode(clip, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        shown = [to_bgr(frame) for frame in container.decode(video=0)]
    for index, image in enumerate(shown):
        wrong = np.abs(image.astype(int) - picture(index, 320, 240).astype(int)).mean()
        assert wrong < 5, index


def test_uneven_steps_and_a_late_start_stay_as_they_were(videos: Path, tmp_path: Path) -> None:
    clip = tmp_path / "in.mp4"
    with av.open(str(videos / "plain.mp4")) as read, av.open(str(clip), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        for index, packet in enumerate(p for p in read.demux(video=0) if p.size):
            packet.pts = packet.dts = 12_800 + 512 * index + (400 if index % 3 else 0)
            packet.duration = 0
            packet.stream = stream
            written.mux_one(packet)
    transcode(clip, tmp_path / "out.mp4")
    times = decode_all(tmp_path / "out.mp4")
    assert times == pytest.approx(decode_all(clip), abs=1e-4)
    assert times[0] == pytest.approx(1.0)
    assert len({round(later - before, 3) for before, later in pairwise(times)}) == 3


def test_a_large_picture_is_made_smaller_and_sound_is_left_out(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "in.mp4", size=(2560, 1440), seconds=0.2)
    with_sound = tmp_path / "sound.mp4"
    with av.open(str(clip)) as read, av.open(str(with_sound), "w") as written:
        video = written.add_stream_from_template(read.streams.video[0])
        sound = written.add_stream("aac", rate=16_000)
        sound.layout = "mono"
        for packet in read.demux(video=0):
            if packet.size:
                packet.stream = video
                written.mux(packet)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.rate = 16_000
        written.mux([*sound.encode(silence), *sound.encode(None)])
    transcode(with_sound, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        (stream,) = container.streams
        assert isinstance(stream, av.VideoStream)
        assert (stream.width, stream.height) == (1920, 1080)


def test_pixels_that_are_not_square_stay_so(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "in.mp4", size=(352, 576), seconds=0.2, options={"aspect": "4:3"})
    with av.open(str(clip)) as container:
        before = container.streams.video[0].sample_aspect_ratio
    transcode(clip, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == before


@given(st.integers(1, 9000), st.integers(1, 9000))
def test_sizes_fit_are_even_and_keep_their_shape(width: int, height: int) -> None:
    fitted = fitting_size(width, height)
    assert all(side % 2 == 0 and 2 <= side <= LONG_SIDE_MAX_PX for side in fitted)
    scale = min(1.0, LONG_SIDE_MAX_PX / max(width, height))
    assert fitted == pytest.approx((width * scale, height * scale), abs=2)


def test_a_clip_with_a_torn_picture_is_played_without_it(videos: Path, tmp_path: Path) -> None:
    clip = torn(videos / "plain.mp4", tmp_path / "in.mp4", range(60, 61))
    assert 90 <= transcode(clip, tmp_path / "out.mp4") < 100


def test_a_clip_without_a_whole_picture_is_none(videos: Path, tmp_path: Path) -> None:
    clip = torn(videos / "plain.mp4", tmp_path / "in.mp4", range(100))
    with pytest.raises(StreamError, match=r"in\.mp4: no picture could be decoded"):
        transcode(clip, tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == [clip]


def test_a_clip_may_take_its_own_place(videos: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes((videos / "hevc.mp4").read_bytes())
    assert transcode(clip, clip) == 100
    with av.open(str(clip)) as container:
        assert container.streams.video[0].codec_context.name == "h264"


def test_a_failed_try_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "in.mp4").write_bytes(b"nonsense" * 1000)
    (tmp_path / "out.mp4").write_bytes(b"older")
    with pytest.raises(StreamError, match="not a readable video"):
        transcode(tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").read_bytes() == b"older"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_is_not_there_is_named(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(ClipFailed, match=r"no/out\.mp4: cannot be written: No such file"):
        transcode(videos / "plain.mp4", tmp_path / "no" / "out.mp4")


# in a process of its own: the limit holds for every file of a process, a redirected output included
SMALL_FILES = """
import pathlib, resource, sys
from streams.errors import ClipFailed
from streams.transcode import transcode
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
said = "nothing"
try:
    transcode(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
except ClipFailed as error:
    said = str(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
print(said)
"""


def test_a_full_disk_is_named_and_leaves_nothing(videos: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SMALL_FILES, str(videos / "plain.mp4"), str(tmp_path / "out.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert re.search(r"out\.mp4: cannot be written: File too large", done.stdout)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_it_and_says_nothing(videos: Path, tmp_path: Path) -> None:
    done = run(videos / "hevc.mp4", tmp_path / "out.mp4")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(decode_all(tmp_path / "out.mp4")) == 100


def test_what_is_no_video_takes_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "in.mp4").write_bytes(b"\0\0\0\x18ftypisom" + b"\0" * 2000)
    done = run(tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "in.mp4" in line
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]

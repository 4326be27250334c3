"""Scenes as files: a video that plays, pictures that carry their times, the truth beside both."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import av
import cv2
import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.errors import SourceConfigError
from streams.folder import time_of_name
from streams.simulator import read_truth, simulate
from streams.simulator.cli import parse_size
from streams.simulator.write import RenderOrder, write_pictures, write_video

SIZE = (320, 180)


def test_a_video_plays_and_has_a_key_frame_when_asked(tmp_path: Path) -> None:
    done: list[int] = []
    order = RenderOrder("street", 2, seconds=4.0, fps=5.0, size=SIZE, keyframe_s=2.0)
    path = write_video(order, tmp_path, progress=done.append)
    assert path == tmp_path / "street.mp4"
    assert done == list(range(1, 21))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        frames = list(container.decode(stream))
    assert len(frames) == 20
    assert (frames[0].width, frames[0].height) == SIZE
    assert [frame.key_frame for frame in frames] == [k % 10 == 0 for k in range(20)]
    assert float(frames[-1].time or 0) == pytest.approx(19 / 5)
    truth = read_truth(tmp_path / "street.truth.json")
    same = simulate("street", 2, seconds=4.0, fps=5.0, size=SIZE)
    assert (truth.scene, truth.seed, truth.fps, truth.size) == ("street", 2, 5.0, SIZE)
    assert [len(f.boxes) for f in truth.frames] == [len(f.boxes) for f in same.frames]


def test_pictures_carry_their_times(tmp_path: Path) -> None:
    start = datetime(2024, 6, 1, 8, 0, tzinfo=UTC)
    order = RenderOrder("farmland", 0, seconds=1.0, fps=4.0, size=SIZE)
    folder = write_pictures(order, tmp_path, start)
    names = sorted(path.name for path in folder.iterdir())
    times = [time_of_name(Path(name).stem) for name in names]
    assert [(t - start).total_seconds() for t in times if t] == [0.0, 0.25, 0.5, 0.75]
    assert cv2.imread(str(folder / names[0])).shape == (180, 320, 3)
    assert len(read_truth(tmp_path / "farmland.truth.json").frames) == 4


@pytest.mark.parametrize("write", [write_video, write_pictures])
@pytest.mark.parametrize("fps", [0.0, -1.0, 61.0, float("nan")])
def test_a_rate_that_makes_no_pictures_is_refused_and_leaves_nothing(
    tmp_path: Path, write: Callable[[RenderOrder, Path], Path], fps: float
) -> None:
    with pytest.raises(SourceConfigError, match="frames a second"):
        write(RenderOrder("farmland-quiet", 0, seconds=0.5, fps=fps, size=SIZE), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    order = RenderOrder("farmland-quiet", 0, seconds=0.5, fps=2.0, size=SIZE)
    (tmp_path / "farmland-quiet").write_text("in the way")
    with pytest.raises(OSError, match="farmland-quiet"):
        write_pictures(order, tmp_path)


@pytest.mark.parametrize("pictures", [False, True])
def test_the_command_renders(tmp_path: Path, pictures: bool) -> None:
    arguments = [
        "render",
        "road-free",
        "--out",
        str(tmp_path),
        "--seconds",
        "1",
        "--fps",
        "2",
        "--size",
        "320x180",
    ]
    result = CliRunner().invoke(app, [*arguments, *(["--pictures"] if pictures else [])])
    assert result.exit_code == 0, result.output
    made = Path(result.stdout.strip().splitlines()[-1])
    assert made.is_dir() if pictures else made.suffix == ".mp4"
    assert (tmp_path / "road-free.truth.json").is_file()


@pytest.mark.parametrize(("text", "size"), [("960x540", (960, 540)), ("1920x1080", (1920, 1080))])
def test_a_size_is_parsed(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["960", "x540", "960*540", "960x540p", ""])
def test_another_text_is_no_size(text: str) -> None:
    with pytest.raises(SourceConfigError, match="WIDTHxHEIGHT"):
        parse_size(text)


def test_listing_the_command_loads_no_opencv() -> None:
    code = "import sys, streams.simulator.cli; print('cv2' in sys.modules, 'av' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == "False False"


def test_the_package_has_no_other_names() -> None:
    import streams.simulator  # noqa: PLC0415 - the package itself is looked at

    with pytest.raises(AttributeError, match="no attribute 'moon'"):
        _ = streams.simulator.moon

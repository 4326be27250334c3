from __future__ import annotations

import time
from pathlib import Path

import pytest
from media import make_video, picture

from streams.errors import StreamNotFound
from streams.modes import FULL
from streams.pictures import encode_jpeg
from streams.replay import ReplayCounts
from streams.sources import open_replay


def test_a_file_and_a_folder_are_told_apart(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "1532813226.jpg").write_bytes(encode_jpeg(picture(0, 64, 48)))
    assert len(list(open_replay(videos / "h264.mp4"))) == 4
    counts = ReplayCounts()
    assert next(open_replay(tmp_path, counts=counts)).captured_at.year == 2018
    assert counts.frames == 1


def test_what_is_not_there_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(StreamNotFound, match="nowhere: no such file or folder"):
        open_replay(tmp_path / "nowhere")


def test_real_time_waits_for_each_frame(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", seconds=0.6, fps=10, size=(64, 48))
    began = time.monotonic()
    arrivals = [time.monotonic() - began for _frame in open_replay(path, decode=FULL, real_time=True)]
    assert len(arrivals) == 6
    assert all(arrived >= 0.1 * index - 0.01 for index, arrived in enumerate(arrivals, start=0))
    assert arrivals[-1] < 3

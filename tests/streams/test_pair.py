"""Two streams of one camera: the small one is analysed, the main one is the evidence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from components import wait_until
from media import decode_all, make_video

from streams.frame import Frame
from streams.live import LiveCamera, LiveSettings, StreamState
from streams.modes import NOTHING
from streams.pair import NEAR, StreamPair


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pair")
    make_video(made / "small.mp4", seconds=2, fps=10, gop=5, size=(160, 90))
    make_video(made / "main.mp4", seconds=2, fps=10, gop=5, size=(640, 360))
    return made


def pair_of(folder: Path, main: str = "main.mp4") -> tuple[StreamPair, LiveCamera]:
    small = LiveSettings(str(folder / "small.mp4"), min_interval_s=0.0, ring_mib=0.0, name="cam")
    evidence = LiveCamera(replace(small, url=str(folder / main), decode=NOTHING, ring_mib=8.0))
    return StreamPair(LiveCamera(small), evidence), evidence


def test_the_small_stream_is_analysed_and_the_main_one_gives_picture_and_clip(
    folder: Path, tmp_path: Path
) -> None:
    pair, main = pair_of(folder)
    pair.start()
    frames = [frame for _ in range(3) if (frame := pair.latest(5.0)) is not None]
    assert [(one.width_px, one.height_px) for one in frames] == [(160, 90)] * 3
    assert pair.status().state is StreamState.LIVE
    wait_until(lambda: main.status().state is StreamState.ENDED)
    assert pair.stop(5.0)
    assert main.status().pictures == 0, "nothing of it is decoded before somebody wants it"
    sharp = pair.sharp(frames[-1])
    assert (sharp.width_px, sharp.height_px) == (640, 360)
    assert abs(sharp.captured_at - frames[-1].captured_at) < timedelta(seconds=0.6)
    clip = pair.ring.cut(frames[0].captured_at, frames[-1].captured_at, tmp_path / "clip.mp4")
    assert clip is not None
    assert len(decode_all(clip)) > 5


def test_a_main_stream_that_is_read_is_live_without_a_picture(folder: Path) -> None:
    _, main = pair_of(folder)
    with main:
        wait_until(lambda: main.status().state is StreamState.LIVE)


def test_without_a_main_picture_of_that_time_the_small_one_is_the_evidence(folder: Path) -> None:
    pair, main = pair_of(folder)
    pair.start()
    frame = pair.latest(5.0)
    assert frame is not None
    wait_until(lambda: main.status().state is StreamState.ENDED)
    assert pair.stop(5.0)
    late = Frame(frame.image, frame.captured_at + NEAR * 2, frame.monotonic_s, 0)
    assert pair.sharp(late) is late
    nobody, _ = pair_of(folder, "missing.mp4")
    assert nobody.sharp(frame) is frame

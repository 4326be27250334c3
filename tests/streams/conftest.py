"""Videos that several tests read; made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from media import make_video


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``h264.mp4`` (B-frames), ``plain.mp4``, ``hevc.mp4`` and ``mjpeg.mkv``, 4 s each."""
    folder = tmp_path_factory.mktemp("videos")
    make_video(folder / "h264.mp4", b_frames=2)
    make_video(folder / "plain.mp4", size=(160, 120))
    make_video(folder / "hevc.mp4", codec="hevc", b_frames=2)
    make_video(folder / "mjpeg.mkv", codec="mjpeg")
    return folder

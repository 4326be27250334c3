"""Opening what is to be replayed: a video file or a folder of pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from streams.errors import StreamNotFound
from streams.folder import replay_folder
from streams.frame import Frame
from streams.modes import KEYFRAMES, DecodeMode
from streams.replay import ReplayCounts, replay_video


def open_replay(
    path: Path,
    *,
    decode: DecodeMode = KEYFRAMES,
    interval_s: float = 0.0,
    start_at: datetime | None = None,
    zone: tzinfo = UTC,
    real_time: bool = False,
    counts: ReplayCounts | None = None,
) -> Iterator[Frame]:
    """Yield the frames of a video file or a folder of pictures, with the source's own times.

    Args:
        path: a video file, or a folder of pictures whose times come from their names or ``times.csv``.
        decode: which frames of a video; a folder always gives every picture.
        interval_s: least time between two frames; 0 gives all that ``decode`` lets through.
        start_at: when a video starts; else its container's creation time, else 2000-01-01T00:00Z.
        zone: zone of the times in picture names that carry none.
        real_time: wait before each frame until its time has come; else as fast as it can be read.
        counts: filled while the frames are taken: frames, broken ones, whether the file was cut off.

    Raises:
        StreamError: nothing there, nothing readable in it, or times that cannot be read; names the file.

    """
    if not path.exists():
        msg = f"{path}: no such file or folder"
        raise StreamNotFound(msg)
    if path.is_dir():
        frames = replay_folder(path, interval_s=interval_s, zone=zone, counts=counts)
    else:
        frames = replay_video(path, decode=decode, interval_s=interval_s, start_at=start_at, counts=counts)
    return _paced(frames) if real_time else frames


def _paced(frames: Iterator[Frame]) -> Iterator[Frame]:
    started_s: float | None = None
    for frame in frames:
        if started_s is None:
            started_s = time.monotonic() - frame.monotonic_s
        time.sleep(max(0.0, started_s + frame.monotonic_s - time.monotonic()))
        yield frame

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from media import make_video

from streams.errors import StreamGarbage, StreamNotFound
from streams.modes import FULL, KEYFRAMES, every
from streams.replay import FIXED_EPOCH, ReplayCounts, replay_video, video_start


def test_a_replay_is_the_same_each_time(videos: Path) -> None:
    one, two = (list(replay_video(videos / "h264.mp4", decode=FULL)) for _ in range(2))
    assert [(f.captured_at, f.monotonic_s, f.index) for f in one] == [
        (f.captured_at, f.monotonic_s, f.index) for f in two
    ]
    assert all((a.image == b.image).all() for a, b in zip(one, two, strict=True))


def test_times_are_the_start_and_the_videos_own(videos: Path) -> None:
    start = datetime(2024, 5, 1, 10, tzinfo=UTC)
    frames = list(replay_video(videos / "h264.mp4", start_at=start))
    assert [frame.captured_at - start for frame in frames] == [timedelta(seconds=s) for s in range(4)]
    assert [frame.monotonic_s for frame in frames] == [0, 1, 2, 3]
    assert [frame.index for frame in frames] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("start_at", "creation_time", "start"),
    [
        (None, None, FIXED_EPOCH),
        (None, "2016-09-22T15:24:24.000000Z", datetime(2016, 9, 22, 15, 24, 24, tzinfo=UTC)),
        (None, "the day before", FIXED_EPOCH),
        (datetime(2024, 1, 1, tzinfo=UTC), "2016-09-22T15:24:24Z", datetime(2024, 1, 1, tzinfo=UTC)),
    ],
    ids=["unknown", "of the container", "not understood", "told"],
)
def test_the_start_is_chosen(start_at: datetime | None, creation_time: str | None, start: datetime) -> None:
    assert video_start(Path("v.mp4"), start_at, creation_time) == start


def test_the_containers_creation_time_is_used(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", seconds=0.4, metadata={"creation_time": "2020-02-02T02:02:02Z"})
    assert next(replay_video(path)).captured_at == datetime(2020, 2, 2, 2, 2, 2, tzinfo=UTC)


def test_an_interval_samples_full_decode(videos: Path) -> None:
    frames = list(replay_video(videos / "h264.mp4", decode=FULL, interval_s=0.5))
    assert [frame.monotonic_s for frame in frames] == pytest.approx([0.5 * i for i in range(9)], abs=0.13)
    assert len(list(replay_video(videos / "h264.mp4", decode=KEYFRAMES, interval_s=2.0))) == 2
    assert len(list(replay_video(videos / "h264.mp4", decode=every(20)))) == 5


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_truncated_file_ends_with_what_could_be_read(tmp_path: Path, suffix: str) -> None:
    # an index at the front, so that the file opens although its end is missing
    options = {"movflags": "+faststart"} if suffix == ".mp4" else {}
    path = make_video(tmp_path / f"v{suffix}", seconds=8, container_options=options)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    counts = ReplayCounts()
    frames = list(replay_video(path, decode=FULL, counts=counts))
    assert 40 < len(frames) < 160
    assert counts.truncated


def test_a_whole_file_is_not_called_truncated(videos: Path) -> None:
    counts = ReplayCounts()
    list(replay_video(videos / "h264.mp4", counts=counts))
    assert counts == ReplayCounts(frames=4, broken=0, truncated=False)


@pytest.mark.parametrize("content", [b"", b"this is no video" * 100], ids=["empty", "text"])
def test_what_is_no_video_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(StreamGarbage, match=r"broken\.mp4: not a readable video"):
        list(replay_video(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StreamNotFound, match=r"gone\.mp4: no such file"):
        list(replay_video(tmp_path / "gone.mp4"))

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.clips import TICKS_PER_S, StoredPacket, VideoParameters, timeline, write_clip
from streams.errors import ClipFailed
from streams.packets import Stamp

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
STEP = TICKS_PER_S // 25
H264 = VideoParameters("h264", b"sets", 1)


def stored(
    arrived_s: float, pts: int | None, dts: int | None = None, parameters: VideoParameters = H264
) -> StoredPacket:
    stamp = Stamp(EPOCH + timedelta(seconds=arrived_s), arrived_s)
    return StoredPacket(b"x", pts, dts, is_key=True, stamp=stamp, parameters=parameters)


@pytest.mark.parametrize(
    ("own", "pts", "dts"),
    [
        ([0, 1, 2], [0, 1, 2], [0, 1, 2]),
        ([100, 103, 101, 102], [0, 3, 1, 2], [-1, 0, 1, 2]),
        ([None, 103, 101, 102], [0, 3, 1, 2], [-1, 0, 1, 2]),
        ([5, None, 7], [0, 1, 2], [0, 1, 2]),
    ],
    ids=["in order", "B-frames", "first without a time", "one without a time"],
)
def test_packets_are_placed(own: list[int | None], pts: list[int], dts: list[int]) -> None:
    packets = [stored(i / 25, None if t is None else t * STEP) for i, t in enumerate(own)]
    placed = timeline(packets)
    first = placed[0].pts
    assert [place.pts - first for place in placed] == [t * STEP for t in pts]
    assert [place.dts - first for place in placed] == [t * STEP for t in dts]


def test_connections_are_joined_by_the_times_of_arrival() -> None:
    later = VideoParameters("h264", b"sets", 2)
    placed = timeline([stored(0, 7 * STEP), stored(0.04, 8 * STEP), stored(5.0, 3 * STEP, parameters=later)])
    assert [place.pts for place in placed] == [0, STEP, 5 * TICKS_PER_S]


@given(
    st.lists(
        st.tuples(st.one_of(st.none(), st.integers(-(10**12), 10**12)), st.floats(0, 2), st.integers(1, 3)),
        min_size=1,
        max_size=40,
    )
)
def test_whatever_the_time_stamps_do_the_line_is_one_a_muxer_takes(
    rows: list[tuple[int | None, float, int]],
) -> None:
    arrived_s, packets = 0.0, []
    for pts, pause_s, connection in rows:
        arrived_s += pause_s
        packets.append(stored(arrived_s, pts, parameters=VideoParameters("h264", b"sets", connection)))
    placed = timeline(packets)
    assert len(placed) == len(packets)
    assert all(place.pts >= place.dts for place in placed)
    assert all(later.dts > earlier.dts for earlier, later in pairwise(placed))


@pytest.mark.parametrize(
    ("one", "two", "joins"),
    [
        (H264, H264, True),
        (H264, VideoParameters("h264", b"sets", 2), True),
        (H264, VideoParameters("h264", b"other", 2), False),
        (H264, VideoParameters("hevc", b"sets", 2), False),
        (VideoParameters("h264", b"", 1), VideoParameters("h264", b"", 2), False),
        (VideoParameters("mjpeg", b"", 1), VideoParameters("mjpeg", b"", 2), True),
    ],
    ids=["same", "reconnected", "other sets", "other codec", "sets unknown", "mjpeg has none"],
)
def test_only_packets_of_equal_parameters_share_a_file(
    one: VideoParameters, two: VideoParameters, joins: bool
) -> None:
    assert one.joins(two) is joins


def test_packets_that_cannot_be_decoded_make_no_clip(tmp_path: Path) -> None:
    with pytest.raises(ClipFailed):
        write_clip([stored(0, 0)], tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_clip_must_begin_with_a_key_frame(tmp_path: Path) -> None:
    with pytest.raises(ClipFailed, match="key frame"):
        write_clip([], tmp_path / "clip.mp4")

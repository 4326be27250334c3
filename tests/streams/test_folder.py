from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from media import picture

from streams.errors import SourceConfigError, StreamGarbage
from streams.folder import list_pictures, replay_folder, time_of_name
from streams.pictures import encode_jpeg
from streams.replay import ReplayCounts


def fill(folder: Path, *names: str) -> None:
    for index, name in enumerate(names):
        (folder / name).write_bytes(encode_jpeg(picture(index, 64, 48)))


@pytest.mark.parametrize(
    ("stem", "time"),
    [
        ("1532813226_-02400", "2018-07-28T21:27:06+00:00"),
        ("1532813226", "2018-07-28T21:27:06+00:00"),
        ("1532813226123", "2018-07-28T21:27:06.123000+00:00"),
        ("20240501_102030", "2024-05-01T10:20:30+00:00"),
        ("20240501102030", "2024-05-01T10:20:30+00:00"),
        ("cam3_2024-05-01_10-20-30", "2024-05-01T10:20:30+00:00"),
        ("2024-05-01T10:20:30.25Z", "2024-05-01T10:20:30.250000+00:00"),
        ("2024-05-01T10:20:30+0800", "2024-05-01T02:20:30+00:00"),
        ("20241301_102030", None),
        ("20240501_252030", None),
        ("frame_000012", None),
        ("holiday", None),
    ],
    ids=str,
)
def test_the_time_is_read_from_the_name(stem: str, time: str | None) -> None:
    assert time_of_name(stem) == (datetime.fromisoformat(time) if time else None)


def test_a_name_without_a_zone_is_in_the_zone_that_was_told() -> None:
    assert time_of_name("20240501_102030", ZoneInfo("Asia/Shanghai")) == datetime(
        2024, 5, 1, 2, 20, 30, tzinfo=UTC
    )


def test_pictures_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    fill(tmp_path, "1532813286_b.jpg", "1532813226_z.jpg")
    (tmp_path / "readme.txt").write_text("no picture")
    frames = list(replay_folder(tmp_path))
    assert [frame.captured_at.isoformat() for frame in frames] == [
        "2018-07-28T21:27:06+00:00",
        "2018-07-28T21:28:06+00:00",
    ]
    assert [frame.monotonic_s for frame in frames] == [0.0, 60.0]
    assert [frame.index for frame in frames] == [0, 1]


def test_an_interval_leaves_pictures_out(tmp_path: Path) -> None:
    fill(tmp_path, *(f"{1532813226 + 10 * index}.jpg" for index in range(7)))
    assert [frame.monotonic_s for frame in replay_folder(tmp_path, interval_s=30)] == [0, 30, 60]


def test_times_come_from_the_table_where_there_is_one(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "b.jpg", "not-listed.jpg")
    (tmp_path / "times.csv").write_text(
        "file,captured_at\nb.jpg,2024-05-01T10:00:00Z\na.jpg,2024-05-01T18:00:05+08:00\n"
    )
    assert [(p.path.name, p.captured_at.second) for p in list_pictures(tmp_path)] == [
        ("b.jpg", 0),
        ("a.jpg", 5),
    ]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name,when\n", r"times\.csv:1: file: column missing"),
        ("file,when\n", r"times\.csv:1: captured_at: column missing"),
        ("", r"times\.csv:1: file: column missing"),
        (
            "file,captured_at\na.jpg,2024-05-01T10:00:00Z\ngone.jpg,x\n",
            r"times\.csv:3: file: no such picture: 'gone",
        ),
        ("file,captured_at\na.jpg,yesterday\n", r"times\.csv:2: captured_at: .*2024-05-01T10:20:30Z"),
        ("file,captured_at\na.jpg,2024-05-01T10:00:00\n", r"times\.csv:2: captured_at: time without a zone"),
        ("file,captured_at\na.jpg\n", r"times\.csv:2: captured_at"),
    ],
    ids=["columns", "second column", "empty", "missing file", "no time", "no zone", "short row"],
)
def test_a_wrong_table_is_named_by_file_line_and_column(tmp_path: Path, table: str, message: str) -> None:
    fill(tmp_path, "a.jpg")
    (tmp_path / "times.csv").write_text(table)
    with pytest.raises(SourceConfigError, match=message):
        list_pictures(tmp_path)


def test_a_picture_without_a_time_is_named(tmp_path: Path) -> None:
    fill(tmp_path, "1532813226.jpg", "frame_1.jpg", "frame_2.jpg")
    with pytest.raises(SourceConfigError, match=r"frame_1\.jpg \(and 1 more\): no time in its name"):
        list_pictures(tmp_path)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceConfigError, match=f"{tmp_path}: no pictures"):
        list_pictures(tmp_path)


def test_a_broken_picture_is_logged_by_name_counted_and_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path, "1532813226.jpg", "1532813228.jpg")
    (tmp_path / "1532813227.jpg").write_bytes(b"\xff\xd8 cut off")
    counts = ReplayCounts()
    assert len(list(replay_folder(tmp_path, counts=counts))) == 2
    assert (counts.frames, counts.broken) == (2, 1)
    assert "1532813227.jpg" in capsys.readouterr().out


def test_a_folder_of_nothing_but_broken_pictures_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "1532813227.jpg").write_bytes(b"")
    with pytest.raises(StreamGarbage, match="none of its 1 pictures"):
        list(replay_folder(tmp_path))

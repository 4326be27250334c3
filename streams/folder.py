"""Replaying a folder of pictures, with times from their names or from ``times.csv``."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from streams.decode import Sampler
from streams.errors import SourceConfigError, StreamError, StreamGarbage
from streams.frame import Frame
from streams.pictures import PICTURE_SUFFIXES, read_picture
from streams.replay import ReplayCounts
from towerwatch.errors import Problem
from towerwatch.logs import get_logger
from towerwatch.timebase import to_utc

_log = get_logger(__name__)

TIMES_FILE = "times.csv"
_COLUMNS = ("file", "captured_at")
# 1532813226_-02400.jpg (as HPWREN's FIgLib names them), 1532813226.jpg, 1532813226123.jpg (ms)
_EPOCH = re.compile(r"^(?P<seconds>\d{9,10})(?P<millis>\d{3})?(?=$|[_.-])")
# 20240501_102030, 2024-05-01T10:20:30.250Z, cam3_2024-05-01_10-20-30+0800
_STAMP = re.compile(
    r"(?<!\d)(?P<year>\d{4})-?(?P<month>\d\d)-?(?P<day>\d\d)[T_ -]?"
    r"(?P<hour>\d\d)[:._-]?(?P<minute>\d\d)[:._-]?(?P<second>\d\d)"
    r"(?:[.,](?P<fraction>\d{1,6}))?(?P<zone>Z|[+-]\d\d:?\d\d)?(?!\d)"
)


@dataclass(frozen=True, slots=True)
class TimedPicture:
    """A picture file and the time at which it was taken (aware UTC)."""

    path: Path
    captured_at: datetime


def time_of_name(stem: str, zone: tzinfo = UTC) -> datetime | None:
    """Read the time in a file name without its suffix; None if there is none.

    Understood are seconds or milliseconds since 1970 at the beginning, and ISO-like stamps anywhere;
    a stamp without a zone is in ``zone``.
    """
    if match := _EPOCH.match(stem):
        return datetime.fromtimestamp(int(match["seconds"]) + int(match["millis"] or 0) / 1000, UTC)
    match = _STAMP.search(stem)
    if match is None:
        return None
    parts = [int(match[name]) for name in ("year", "month", "day", "hour", "minute", "second")]
    micros = int((match["fraction"] or "0").ljust(6, "0"))
    try:
        naive = datetime.fromisoformat("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(*parts))
        own_zone = (
            datetime.strptime(match["zone"].replace("Z", "+0000"), "%z").tzinfo if match["zone"] else zone
        )
        return naive.replace(microsecond=micros, tzinfo=own_zone).astimezone(UTC)
    except ValueError:
        return None


def list_pictures(folder: Path, zone: tzinfo = UTC) -> list[TimedPicture]:
    """List the pictures of a folder in the order of their times, then names.

    Raises:
        SourceConfigError: no pictures, or one without a time; names file (and line of the CSV).

    """
    table = folder / TIMES_FILE
    pictures = _from_table(table) if table.is_file() else _from_names(folder, zone)
    if not pictures:
        msg = f"{folder}: no pictures in it ({', '.join(sorted(PICTURE_SUFFIXES))})"
        raise SourceConfigError(msg)
    return sorted(pictures, key=lambda picture: (picture.captured_at, picture.path.name))


def _from_names(folder: Path, zone: tzinfo) -> list[TimedPicture]:
    pictures, problems = [], []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in PICTURE_SUFFIXES or not path.is_file():
            continue
        captured_at = time_of_name(path.stem, zone)
        if captured_at is None:
            problems.append(path)
        else:
            pictures.append(TimedPicture(path, captured_at))
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        msg = (
            f"{problems[0]}{more}: no time in its name; name it <seconds since 1970>.jpg or "
            f"YYYYmmdd_HHMMSS.jpg, or write {TIMES_FILE} with the columns {','.join(_COLUMNS)}"
        )
        raise SourceConfigError(msg)
    return pictures


def _from_table(table: Path) -> list[TimedPicture]:
    with table.open(newline="", encoding="utf-8-sig") as lines:
        rows = csv.DictReader(lines)
        missing = [name for name in _COLUMNS if name not in (rows.fieldnames or [])]
        if missing:
            message = f"column missing; the first line must be {','.join(_COLUMNS)}"
            raise SourceConfigError([Problem(str(table), 1, missing[0], message)])
        return [_from_row(table, rows.line_num, row) for row in rows]


def _from_row(table: Path, line: int, row: dict[str, str]) -> TimedPicture:
    path = table.parent / (row["file"] or "")
    if not path.is_file():
        raise SourceConfigError([Problem(str(table), line, "file", f"no such picture: {row['file']!r}")])
    try:
        return TimedPicture(path, to_utc(datetime.fromisoformat(row["captured_at"] or "")))
    except ValueError as error:
        problem = Problem(str(table), line, "captured_at", f"{error}; write 2024-05-01T10:20:30Z")
        raise SourceConfigError([problem]) from None


def replay_folder(
    folder: Path, *, interval_s: float = 0.0, zone: tzinfo = UTC, counts: ReplayCounts | None = None
) -> Iterator[Frame]:
    """Yield the pictures of a folder with their own times; ``monotonic_s`` is 0 at the first.

    A picture that cannot be read is logged, counted in ``counts.broken`` and skipped.

    Raises:
        SourceConfigError: see :func:`list_pictures`.
        StreamGarbage: not one picture could be read.

    """
    counts = counts if counts is not None else ReplayCounts()
    pictures = list_pictures(folder, zone)
    sampler, first = Sampler(interval_s), pictures[0].captured_at
    for picture in pictures:
        at_s = (picture.captured_at - first).total_seconds()
        if not sampler.admit(at_s):
            continue
        try:
            image = read_picture(picture.path)
        except StreamError as error:
            counts.broken += 1
            _log.warning("picture skipped", file=str(picture.path), error=str(error))
            continue
        counts.frames += 1
        yield Frame(image, picture.captured_at, at_s, counts.frames - 1)
    if counts.frames == 0:
        msg = f"{folder}: none of its {len(pictures)} pictures can be read"
        raise StreamGarbage(msg)

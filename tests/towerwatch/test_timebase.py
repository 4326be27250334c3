"""Times are aware, in UTC, and read back as they were written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towerwatch.timebase import iso_z, parse_utc, to_utc, utc_now


def test_now_is_aware_utc() -> None:
    assert utc_now().tzinfo is UTC


def test_beijing_time_becomes_utc() -> None:
    beijing = datetime(2026, 11, 24, 12, 0, tzinfo=timezone(timedelta(hours=8)))
    assert iso_z(beijing) == "2026-11-24T04:00:00.000Z"


@pytest.mark.parametrize("convert", [to_utc, iso_z], ids=["to_utc", "iso_z"])
def test_a_time_without_a_zone_is_refused_with_what_to_append(convert) -> None:
    with pytest.raises(ValueError, match="append Z or an offset"):
        convert(datetime(2026, 11, 24))  # noqa: DTZ001 - the very thing under test


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds are naive by hypothesis' rule
def test_written_times_read_back_to_the_millisecond(value: datetime) -> None:
    assert abs(parse_utc(iso_z(value)) - value) < timedelta(milliseconds=1)

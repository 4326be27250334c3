"""When a limit ends: over New Year, over Spring Festival, over a change of the clock, after a pause."""

from datetime import UTC, datetime, timedelta

import pytest
from calendar_kit import BERLIN, beijing, utc
from hypothesis import given
from hypothesis import strategies as st

from towerwatch.calendars.calendar import load_calendar
from towerwatch.calendars.deadlines import after_pause, deadline, working_time
from towerwatch.calendars.limits import Limit, Unit

CHINA = load_calendar("china")


@pytest.mark.parametrize(
    ("start", "limit", "due"),
    [
        pytest.param("2026-03-02T09:00", "30 min", "2026-03-02T09:30", id="minutes run on"),
        pytest.param("2026-12-31T23:50", "30 min", "2027-01-01T00:20", id="over New Year too"),
        pytest.param("2026-02-15T20:00", "24 h", "2026-02-16T20:00", id="and hours, in Spring Festival"),
        pytest.param("2026-02-15T20:00", "2 d", "2026-02-17T20:00", id="and days"),
        pytest.param("2026-03-02T09:00", "2 wh", "2026-03-02T11:00", id="two hours of the morning"),
        pytest.param("2026-03-02T11:00", "1 wh", "2026-03-02T12:00", id="to the end of the morning"),
        pytest.param("2026-03-02T11:00", "2 wh", "2026-03-02T14:30", id="over lunch"),
        pytest.param("2026-03-02T12:30", "1 wh", "2026-03-02T14:30", id="from lunch"),
        pytest.param("2026-03-02T20:00", "4 wh", "2026-03-03T14:00", id="from the evening before"),
        pytest.param("2026-03-06T17:00", "0.5 wh", "2026-03-06T17:30", id="to the end of the week"),
        pytest.param("2026-03-06T17:00", "1 wh", "2026-03-09T09:00", id="over a weekend"),
        pytest.param(
            "2026-02-14T16:30", "2 wh", "2026-02-24T09:30", id="from a worked Saturday, over Spring Festival"
        ),
        pytest.param("2026-02-18T10:00", "4 wh", "2026-02-24T14:00", id="from within Spring Festival"),
        pytest.param("2026-02-27T17:30", "4 wh", "2026-02-28T14:00", id="into the second worked Saturday"),
        pytest.param("2026-12-31T16:30", "4 wh", "2027-01-04T11:30", id="over New Year 2027"),
        pytest.param(
            "2026-03-02T09:00", "1 wd", "2026-03-03T17:30", id="the day of the start does not count"
        ),
        pytest.param("2026-03-06T09:00", "1 wd", "2026-03-09T17:30", id="a weekend does not count"),
        pytest.param("2026-02-13T09:00", "1 wd", "2026-02-14T17:30", id="a worked Saturday does"),
        pytest.param("2026-02-13T09:00", "3 wd", "2026-02-25T17:30", id="Spring Festival does not"),
        pytest.param("2026-02-20T09:00", "1 wd", "2026-02-24T17:30", id="from a day off"),
        pytest.param("2026-12-31T09:00", "1 wd", "2027-01-04T17:30", id="a day over New Year 2027"),
        pytest.param("2026-12-31T09:00", "5 wd", "2027-01-08T17:30", id="a week over New Year 2027"),
    ],
)
def test_china(start, limit, due):
    at = deadline(beijing(start), Limit.parse(limit), CHINA)
    assert at == beijing(due)
    assert at.tzinfo is UTC


@pytest.mark.parametrize(
    ("start", "limit", "due"),
    [
        pytest.param("2026-03-28T11:00", "1 d", "2026-03-29T10:00", id="a day of 23 hours, by the wall"),
        pytest.param("2026-10-24T10:00", "1 d", "2026-10-25T11:00", id="a day of 25 hours, by the wall"),
        pytest.param("2026-03-28T11:00", "24 h", "2026-03-29T11:00", id="24 hours are 24 hours"),
        pytest.param("2026-03-28T23:00", "23 wh", "2026-03-29T22:00", id="23 hours fill the short Sunday"),
        pytest.param("2026-03-28T23:00", "24 wh", "2026-03-29T23:00", id="the 24th is on Monday"),
        pytest.param("2026-10-24T22:00", "25 wh", "2026-10-25T23:00", id="25 hours fill the long Sunday"),
        pytest.param("2026-03-28T01:30", "1 d", "2026-03-29T01:30", id="to 02:30, which the clock skips"),
        pytest.param("2026-10-25T01:30", "1 d", "2026-10-26T01:30", id="from the second 02:30"),
    ],
)
def test_a_zone_that_changes_its_clock(start, limit, due):
    assert deadline(utc(start), Limit.parse(limit), BERLIN) == utc(due)


@pytest.mark.parametrize(
    ("due", "unit", "paused", "resumed", "again"),
    [
        pytest.param("03-02T11:00", "h", "03-02T10:00", "03-02T15:00", "03-02T16:00", id="hours"),
        pytest.param("03-02T11:00", "wh", "03-02T10:00", "03-02T17:00", "03-03T09:00", id="working hours"),
        pytest.param("03-03T09:00", "wh", "03-02T20:00", "03-07T12:00", "03-09T09:00", id="over nights"),
        pytest.param("03-04T17:30", "wd", "03-03T09:00", "03-06T09:00", "03-09T17:30", id="working days"),
        pytest.param("03-04T17:30", "wd", "03-03T09:00", "03-03T15:00", "03-04T17:30", id="for an afternoon"),
        pytest.param("03-04T17:30", "wd", "03-04T09:00", "03-07T09:00", "03-09T17:30", id="on its last day"),
        pytest.param("03-02T09:00", "h", "03-02T10:00", "03-03T10:00", "03-02T09:00", id="overdue stays so"),
        pytest.param("03-02T11:00", "h", "03-02T10:00", "03-02T10:00", "03-02T11:00", id="no pause at all"),
    ],
)
def test_after_a_pause_there_is_left_what_was_left(due, unit, paused, resumed, again):
    at = [beijing(f"2026-{text}") for text in (due, paused, resumed)]
    assert after_pause(at[0], Unit(unit), at[1], at[2], CHINA) == beijing(f"2026-{again}")


MOMENTS = st.datetimes(datetime(2025, 12, 1), datetime(2027, 2, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(start=MOMENTS, minutes=st.integers(1, 60 * 40))
def test_a_limit_of_working_hours_is_just_so_much_working_time(start, minutes):
    due = deadline(start, Limit(minutes / 60, Unit.WORKING_HOURS), CHINA)
    worked = working_time(start, due, CHINA)
    assert abs(worked - timedelta(minutes=minutes)) < timedelta(milliseconds=1)
    # and no later than need be: it ends within working hours
    assert working_time(due - timedelta(minutes=1), due, CHINA) > timedelta()


@given(start=MOMENTS, days=st.integers(1, 30))
def test_a_longer_limit_ends_later(start, days):
    shorter, longer = (deadline(start, Limit(n, Unit.WORKING_DAYS), CHINA) for n in (days, days + 1))
    assert start < shorter < longer


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="time without a zone"):
        deadline(datetime(2026, 1, 1), Limit(1, Unit.HOURS), CHINA)  # noqa: DTZ001 - on purpose

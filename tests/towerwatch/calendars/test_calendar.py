"""What a calendar says about its days, and what a broken one is told."""

from datetime import date
from pathlib import Path

import pytest
from calendar_kit import BERLIN, utc

from towerwatch.calendars.calendar import calendar_path, load_calendar
from towerwatch.errors import ConfigError

GOOD = """\
name: town
country: CN
time_zone: Asia/Shanghai
week: [mon, tue]
hours: ["09:00-12:00", "13:00-17:00"]
"""


@pytest.mark.parametrize(
    ("day", "works"),
    [
        pytest.param(date(2026, 2, 13), True, id="the last Friday before Spring Festival"),
        pytest.param(date(2026, 2, 14), True, id="a Saturday worked for Spring Festival"),
        pytest.param(date(2026, 2, 15), False, id="its first day, a Sunday"),
        pytest.param(date(2026, 2, 23), False, id="its last day, a Monday"),
        pytest.param(date(2026, 2, 24), True, id="the Tuesday after"),
        pytest.param(date(2026, 2, 28), True, id="the second Saturday that is worked"),
        pytest.param(date(2027, 1, 1), False, id="New Year 2027"),
        pytest.param(date(2027, 1, 4), True, id="the Monday after"),
        pytest.param(date(2031, 1, 1), True, id="a Wednesday of a year without data"),
        pytest.param(date(2031, 1, 4), False, id="a Saturday of a year without data"),
    ],
)
def test_china_works_on_the_days_that_were_announced(day, works):
    assert load_calendar("china").works_on(day) is works


def test_a_year_that_is_not_published_says_what_stands_in():
    china = load_calendar("china")
    assert china.provisional(utc("2026-03-01T00:00"), utc("2026-12-30T00:00")) == ()
    # New Year comes 8 hours earlier than in UTC
    (note,) = china.provisional(utc("2026-12-30T00:00"), utc("2026-12-31T17:00"))
    assert note.startswith("2027 is not published yet: weekends and the holidays that the law fixes")
    assert [line[:16] for line in china.provisional(utc("2027-06-01T00:00"), utc("2028-06-01T00:00"))] == [
        "2027 is not publ",
        "no data for 2028",
    ]


def test_a_day_has_its_spans_in_utc():
    (morning, _afternoon) = load_calendar("china").spans_of(date(2026, 3, 2))
    assert morning == (utc("2026-03-02T00:30"), utc("2026-03-02T04:00"))
    assert list(BERLIN.spans_of(date(2026, 3, 29))) == [(utc("2026-03-28T23:00"), utc("2026-03-29T22:00"))]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        pytest.param(
            "Asia/Shanghai", "Asia/Nowhere", "3: time_zone: 'Asia/Nowhere' is no time zone", id="zone"
        ),
        pytest.param("tue]", "tues]", "4: week[1]: 'tues' is no weekday", id="weekday"),
        pytest.param("[mon, tue]", "[]", "4: week: needs at least 1, got 0", id="no week"),
        pytest.param("09:00-12:00", "12:00-09:00", "5: hours[0]: '12:00-09:00' is no part", id="backwards"),
        pytest.param("13:00-17:00", "11:00-17:00", "5: hours[1]: 11:00-17:00 begins before", id="overlap"),
        pytest.param("CN", "China", "2: country: should match", id="country"),
    ],
)
def test_a_broken_calendar_is_told_by_line_and_key(tmp_path, old, new, told):
    file = tmp_path / "town.yaml"
    file.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_calendar(str(file))
    assert f"town.yaml:{told}" in str(caught.value)


@pytest.mark.parametrize(
    ("year", "told"),
    [
        pytest.param("2026: {source: us, days_off: {2026-1-1: x}}", "is no date", id="a date cut short"),
        pytest.param("2026: {source: us, days_off: {2027-01-01: x}}", "2027-01-01 is not in 2026", id="year"),
        pytest.param(
            "2026: {source: us, days_off: {2026-01-01: x}, workdays: {2026-01-01: y}}",
            "2026-01-01 is a day off too",
            id="both",
        ),
        pytest.param("2026: {days_off: {}}", "source: is missing", id="nobody says so"),
    ],
)
def test_a_broken_year_is_told(tmp_path, year, told):
    file = tmp_path / "town.yaml"
    file.write_text(GOOD + f"years:\n  {year}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        load_calendar(str(file))


def test_a_calendar_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(ConfigError, match="no calendar 'mars'; shipped are china"):
        calendar_path("mars")
    assert calendar_path("china").is_file()
    assert calendar_path("own/town.yaml") == Path("own/town.yaml")

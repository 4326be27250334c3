"""Rosters: read as people write them, and who is on duty when."""

from datetime import date, datetime

import pytest
from area_kit import ROSTER, write_roster
from openpyxl import Workbook

from alerts.areas.roster import COLUMNS, ShiftRow, read_roster
from towerwatch.errors import ConfigError

AREAS = {"city", "west", "t1", "g1"}


def shift(**fields):
    return ShiftRow.model_validate({"area": "t1", "person": "Li", "contact": "x"} | fields)


@pytest.mark.parametrize(
    ("fields", "local", "on_duty"),
    [
        ({}, "2026-06-01T03:00", True),
        ({"hours": "08:00-18:00"}, "2026-06-01T08:00", True),
        ({"hours": "08:00-18:00"}, "2026-06-01T18:00", False),
        ({"hours": "18:00-08:00"}, "2026-06-01T23:00", True),
        ({"hours": "18:00-08:00"}, "2026-06-02T07:59", True),
        ({"hours": "18:00-08:00"}, "2026-06-02T08:00", False),
        ({"hours": "18:00-08:00", "days": "mon"}, "2026-06-02T03:00", True),  # Monday's night
        ({"hours": "18:00-08:00", "days": "mon"}, "2026-06-01T03:00", False),  # Sunday's
        ({"days": "mon-fri"}, "2026-06-05T12:00", True),
        ({"days": "mon-fri"}, "2026-06-06T12:00", False),
        ({"days": "fri-mon"}, "2026-06-07T12:00", True),
        ({"days": "周六、周日"}, "2026-06-06T12:00", True),
        ({"first_day": "2026-06-01", "last_day": "2026/6/30"}, "2026-06-30T23:59", True),
        ({"first_day": "2026-06-01", "last_day": "2026年6月30日"}, "2026-07-01T00:00", False),
        ({"hours": "18:00-08:00", "last_day": "2026-06-30"}, "2026-07-01T03:00", True),
    ],
)
def test_who_is_on_duty(fields, local, on_duty):
    assert shift(**fields).covers(datetime.fromisoformat(local)) is on_duty


def test_a_roster_is_read_from_csv(tmp_path):
    rows = read_roster(write_roster(tmp_path / "r.csv"), AREAS)
    assert [(row.area, row.department, row.person) for row in rows][:2] == [
        ("g1", None, "Li"),
        ("t1", "police", "Wang"),
    ]
    assert rows[3].days == "sat,sun"
    assert rows[3].first_day == date(2026, 6, 1)


def test_a_chinese_roster_with_real_dates_is_read_from_xlsx(tmp_path):
    book = Workbook()
    book.active.title = "值班表"
    book.active.append([column.zh for column in COLUMNS])
    night = ("t1", None, "李", "138", "li", "周一至周五", "20:00-08:00", datetime(2026, 6, 1), None)  # noqa: DTZ001
    book.active.append(night)
    book.save(tmp_path / "r.xlsx")
    (row,) = read_roster(tmp_path / "r.xlsx", AREAS)
    assert (row.days, row.first_day, row.last_day) == ("mon,tue,wed,thu,fri", date(2026, 6, 1), None)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("g1,", "g9,", "r.csv:2: A area: there is no area 'g9'"),
        ("Wang", "", "r.csv:3: C person: is missing"),
        ("mon-fri", "weekdays", "r.csv:3: F days: 'weekdays': write mon-fri"),
        ("08:00-18:00", "8-18", "r.csv:3: G hours: '8-18': write 08:00-20:00"),
        ("18:00-08:00", "08:00-08:00", "r.csv:4: G hours: '08:00-08:00'"),
        ("2026-06-01", "June", "r.csv:5: H first_day: 'June' is no date"),
        ("2026-06-30", "2026-02-30", "r.csv:5: I last_day: day is out of range"),
        ("2026-06-30", "2026-05-30", "r.csv:5: H first_day: 2026-06-01 is after the last day"),
        ("li,li", "li,l i", "r.csv:2: E user: String should match"),
    ],
)
def test_a_broken_row_is_told_by_row_and_column(tmp_path, old, new, told):
    with pytest.raises(ConfigError) as caught:
        read_roster(write_roster(tmp_path / "r.csv", ROSTER.replace(old, new)), AREAS)
    assert told in str(caught.value)

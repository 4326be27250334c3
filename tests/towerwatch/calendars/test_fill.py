"""A calendar is filled from what the libraries know, and says when they do not know yet."""

from datetime import date

import pytest

from towerwatch.calendars.calendar import CalendarFile, calendar_path, ready
from towerwatch.calendars.fill import fill
from towerwatch.errors import ConfigError
from towerwatch.yamlconfig import load_yaml

TOWN = """\
name: town
country: {country}
time_zone: Asia/Shanghai
week: [mon, tue, wed, thu, fri]
hours: ["09:00-17:00"]
"""


@pytest.fixture
def town(tmp_path):
    def write(country="CN"):
        file = tmp_path / "town.yaml"
        file.write_text(TOWN.format(country=country), encoding="utf-8")
        return file

    return write


def test_a_published_year_has_its_shifted_workdays(town):
    days = fill(town(), [2026]).years[2026]
    assert days.fallback is None
    assert date(2026, 2, 14) in days.workdays
    assert date(2026, 2, 23) in days.days_off
    assert days == load_yaml(calendar_path("china"), CalendarFile).years[2026]


def test_a_year_that_nobody_has_published_falls_back_and_says_so(town):
    days = fill(town(), [2026, 2035]).years[2035]
    assert "2035 is not published yet" in days.fallback
    assert days.workdays == {}
    assert days.days_off[date(2035, 10, 1)] == "National Day"


def test_filling_again_keeps_the_other_years(town):
    file = town()
    fill(file, [2025])
    before = file.read_text(encoding="utf-8")
    assert sorted(fill(file, [2026]).years) == [2025, 2026]
    assert before.splitlines()[-1] in file.read_text(encoding="utf-8")


def test_another_country_has_holidays_by_law_and_no_fallback(town):
    file = fill(town("DE"), [2026])
    assert file.years[2026].fallback is None
    works = ready(file).works_on
    assert [works(date(2026, 12, day)) for day in (24, 25)] == [True, False]


def test_a_country_that_nobody_knows_is_told(town):
    with pytest.raises(ConfigError, match="country XX: holidays"):
        fill(town("XX"), [2026])

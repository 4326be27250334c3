"""Fill a year of a calendar from the libraries that keep such things, and say when one does not know it.

China announces each autumn which weekends are worked in the next year; ``chinesecalendar`` carries that.
Before the announcement, and elsewhere, ``holidays`` computes the days that the law fixes.
"""

from __future__ import annotations

from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path

import yaml

from towerwatch.calendars.calendar import DAY_NAMES, CalendarFile, YearDays
from towerwatch.errors import ConfigError, TowerwatchError
from towerwatch.yamlconfig import load_yaml

HEADER = """\
# When people work. `towerwatch central calendar fill FILE YEAR…` writes days_off and workdays anew (comments
# are not kept); all of it may be edited by hand. A year with a `fallback` is provisional: fill it again, with
# newer libraries, once it has been published.
"""
FALLBACK = "{year} is not published yet: weekends and the holidays that the law fixes, no shifted workdays"


def fill(path: Path, years: list[int]) -> CalendarFile:
    """Write the days of ``years`` into a calendar's file and return what it holds then.

    Raises:
        ConfigError: the file holds no calendar, or nobody knows the country's holidays.
        TowerwatchError: the libraries are not installed.

    """
    file = load_yaml(path, CalendarFile)
    filled = {year: days_of(file, year) for year in years}
    document = file.model_copy(update={"years": dict(sorted({**file.years, **filled}.items()))})
    path.write_text(render(document), encoding="utf-8")
    return load_yaml(path, CalendarFile)


def days_of(file: CalendarFile, year: int) -> YearDays:
    """Return a year's days off and shifted workdays, as the best source there is knows them."""
    try:
        return (_published(file, year) if file.country == "CN" else None) or _computed(file, year)
    except ModuleNotFoundError as error:
        msg = f"filling a calendar needs the package {error.name}: pip install 'towerwatch[calendars]'"
        raise TowerwatchError(msg) from None


def render(file: CalendarFile) -> str:
    """Return the text of a calendar's file."""
    document = file.model_dump(mode="json", exclude_defaults=True)
    document["years"] = {int(year): days for year, days in document.get("years", {}).items()}
    return HEADER + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)


def _published(file: CalendarFile, year: int) -> YearDays | None:
    from chinese_calendar import constants  # noqa: PLC0415 - only a calendar that is filled needs it

    if year not in {day.year for day in constants.holidays}:
        return None
    week = _week(file)
    off = {day: str(name) for day, name in constants.holidays.items() if day.year == year}
    worked = {day: str(name) for day, name in constants.workdays.items() if day.year == year}
    return YearDays(
        source=f"chinesecalendar {version('chinesecalendar')}",
        days_off={day: off[day] for day in sorted(off) if day.weekday() in week},
        workdays={day: f"for {worked[day]}" for day in sorted(worked) if day.weekday() not in week},
    )


def _computed(file: CalendarFile, year: int) -> YearDays:
    import holidays  # noqa: PLC0415 - only a calendar that is filled needs it

    try:
        known = holidays.country_holidays(file.country, years=year, language="en_US")
    except NotImplementedError:
        msg = f"country {file.country}: holidays {version('holidays')} does not know its days off"
        raise ConfigError(msg) from None
    week = _week(file)
    return YearDays(
        source=f"holidays {version('holidays')}",
        fallback=FALLBACK.format(year=year) if file.country == "CN" else None,
        days_off={day: known[day][:80] for day in _days(year) if day in known and day.weekday() in week},
    )


def _week(file: CalendarFile) -> set[int]:
    return {DAY_NAMES.index(day) for day in file.week}


def _days(year: int) -> list[date]:
    first = date(year, 1, 1)
    return [first + timedelta(days=n) for n in range((date(year + 1, 1, 1) - first).days)]

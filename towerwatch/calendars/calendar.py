"""When a city works: its week, its hours, its holidays and shifted workdays, year by year, as data.

A year is either published (somebody has announced its holidays) or provisional: it carries a ``fallback``
that says in words what stands in until then. A year that the file does not know at all goes by the plain
week, and says so too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from towerwatch.errors import ConfigError
from towerwatch.yamlconfig import StrictModel, load_yaml, problems_at

DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NO_DATA = "no data for {year}: the plain week, without holidays and shifted workdays"
_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(24:00|(?:[01]\d|2[0-3]):[0-5]\d)")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = f"{value!r} is no time zone; write Asia/Shanghai or the like"
        raise ValueError(msg) from None
    return value


def _weekday(value: str) -> str:
    if value not in DAY_NAMES:
        msg = f"{value!r} is no weekday; write {', '.join(DAY_NAMES)}"
        raise ValueError(msg)
    return value


def _span(value: str) -> str:
    found = _SPAN.fullmatch(value)
    if found is None or value[:5] >= value[6:]:
        msg = f"{value!r} is no part of a day; write 08:30-12:00, at the latest until 24:00"
        raise ValueError(msg)
    return value


def _date(value: object) -> object:
    if isinstance(value, date) or (isinstance(value, str) and _DATE.fullmatch(value)):
        return value
    msg = f"{value!r} is no date; write 2026-10-01"
    raise ValueError(msg)


Day = Annotated[date, BeforeValidator(_date)]
Name = Annotated[str, Field(min_length=1, max_length=80)]


class YearDays(StrictModel):
    """One year: which weekdays are off, which weekend days are worked, and who says so."""

    source: Annotated[str, Field(min_length=1, max_length=200)]
    fallback: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    days_off: dict[Day, Name] = Field(default_factory=dict)
    workdays: dict[Day, Name] = Field(default_factory=dict)


class CalendarFile(StrictModel):
    """A calendar as it is written down."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    time_zone: Annotated[str, AfterValidator(_zone)]
    week: Annotated[tuple[Annotated[str, AfterValidator(_weekday)], ...], Field(min_length=1)]
    hours: Annotated[tuple[Annotated[str, AfterValidator(_span)], ...], Field(min_length=1)]
    years: dict[Annotated[int, Field(ge=1970, le=2200)], YearDays] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for at, (before, after) in enumerate(zip(self.hours, self.hours[1:], strict=False), start=1):
            if before[6:] > after[:5]:
                raise problems_at((("hours", at), f"{after} begins before {before} has ended"))
        for year, days in self.years.items():
            for key, given in (("days_off", days.days_off), ("workdays", days.workdays)):
                for day in given:
                    if day.year != year:
                        raise problems_at((("years", year, key), f"{day} is not in {year}"))
            for day in sorted(days.days_off.keys() & days.workdays.keys()):
                raise problems_at((("years", year, "workdays"), f"{day} is a day off too"))
        return self


@dataclass(frozen=True, slots=True)
class Calendar:
    """The same, ready to count with. ``hours`` are (first, last) minutes after local midnight."""

    name: str
    zone: ZoneInfo
    week: frozenset[int]
    hours: tuple[tuple[int, int], ...]
    years: dict[int, YearDays]

    def works_on(self, day: date) -> bool:
        """Say whether people work on a local day."""
        days = self.years.get(day.year)
        if days is not None and day in days.days_off:
            return False
        if days is not None and day in days.workdays:
            return True
        return day.weekday() in self.week

    def spans_of(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        """Yield the working spans of a local day in UTC; none on a day off."""
        if self.works_on(day):
            for first, last in self.hours:
                yield self.instant(day, first), self.instant(day, last)

    def instant(self, day: date, minute: int) -> datetime:
        """Return in UTC what ``minute`` minutes after midnight on a local clock is.

        A time that a change of the clock skips counts as if it had not; one that comes twice is the first.
        """
        naive = datetime.combine(day, datetime.min.time()) + timedelta(minutes=minute)
        return naive.replace(tzinfo=self.zone).astimezone(UTC)

    def provisional(self, start: datetime, end: datetime) -> tuple[str, ...]:
        """Return what stands in for data in the local years between two moments; empty where published."""
        first, last = (at.astimezone(self.zone).year for at in (start, end))
        return tuple(note for year in range(first, last + 1) if (note := self._note_of(year)) is not None)

    def _note_of(self, year: int) -> str | None:
        days = self.years.get(year)
        return NO_DATA.format(year=year) if days is None else days.fallback


def calendar_path(name: str) -> Path:
    """Return the file of a calendar: a path that ends in ``.yaml``, or the name of one that we ship.

    Raises:
        ConfigError: there is none of that name; the message names those there are.

    """
    if name.endswith(".yaml"):
        return Path(name)
    folder = Path(str(files("configs") / "calendars"))
    known = sorted(file.stem for file in folder.glob("*.yaml"))
    if name not in known:
        msg = (
            f"there is no calendar {name!r}; shipped are {', '.join(known)}, or give the path of a YAML file"
        )
        raise ConfigError(msg)
    return folder / f"{name}.yaml"


def load_calendar(name: str) -> Calendar:
    """Load a calendar that we ship by its name, or any by the path of its YAML file.

    Raises:
        ConfigError: there is none of that name, or the file does not hold one.

    """
    return ready(load_yaml(calendar_path(name), CalendarFile))


def ready(file: CalendarFile) -> Calendar:
    """Turn what is written down into what can be counted with."""
    return Calendar(
        name=file.name,
        zone=ZoneInfo(file.time_zone),
        week=frozenset(DAY_NAMES.index(day) for day in file.week),
        hours=tuple((_minute(span[:5]), _minute(span[6:])) for span in file.hours),
        years=file.years,
    )


def _minute(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])

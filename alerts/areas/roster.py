"""Duty rosters from CSV or XLSX: who is on duty in which area, on which days, at which hours."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from alerts.catalogue.model import DepartmentId
from alerts.mistakes import Mistake
from alerts.sheets import Column, raise_problems, read_sheets, read_table, sheet_named, validated
from towerwatch.calendars.calendar import DAY_NAMES

COLUMNS = (
    Column("area", "区域代码", required=True, prose=True),
    Column("department", "部门", prose=True),
    Column("person", "值班人员", required=True, prose=True),
    Column("contact", "联系方式", required=True, prose=True),
    Column("user", "用户名", prose=True),
    Column("days", "星期"),
    Column("hours", "时段"),
    Column("first_day", "开始日期"),
    Column("last_day", "结束日期"),
)
SHEETS = ("roster", "值班表")
_HOURS = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d-(?:24:00|(?:[01]\d|2[0-3]):[0-5]\d)")
_CHINESE = {f"周{zh}": en for zh, en in zip("一二三四五六日", DAY_NAMES, strict=True)}


def _days(value: object) -> object:
    """Read ``mon-fri``, ``sat,sun``, ``周一-周五`` into names in the order of the week."""
    if not isinstance(value, str) or not value:
        return value
    text = value.lower().replace("至", "-").replace("、", ",")
    for zh, en in _CHINESE.items():
        text = text.replace(zh, en)
    found: set[str] = set()
    for part in (piece.strip() for piece in text.split(",")):
        first, _dash, last = part.partition("-")
        if first not in DAY_NAMES or (last or first) not in DAY_NAMES:
            raise ValueError(Mistake.of("days_bad", value=value))
        begin, end = DAY_NAMES.index(first), DAY_NAMES.index(last or first)
        found.update(DAY_NAMES[at % 7] for at in range(begin, end + 1 if end >= begin else end + 8))
    return ",".join(day for day in DAY_NAMES if day in found)


def _hours(value: str) -> str:
    if value and (not _HOURS.fullmatch(value) or value[:5] == value[6:]):
        raise ValueError(Mistake.of("hours_bad", value=value))
    return value


def _day(value: object) -> object:
    """Read a day as people and spreadsheets write it."""
    if isinstance(value, str):
        found = re.fullmatch(r"(?:the date )?(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:T00:00:00)?", value)
        if found is None:
            raise ValueError(Mistake.of("date_bad", value=value))
        return date(*map(int, found.groups()))
    return value


Day = Annotated[date | None, BeforeValidator(_day)]


class ShiftRow(BaseModel):
    """One row: without a department it is the grid worker of the place."""

    model_config = ConfigDict(frozen=True)
    area: Annotated[str, Field(min_length=1, max_length=64)]
    department: DepartmentId | None = None
    person: Annotated[str, Field(min_length=1, max_length=64)]
    contact: Annotated[str, Field(min_length=1, max_length=128)]
    user: Annotated[str, Field(pattern=r"^[\w.@-]{1,64}$")] | None = None
    days: Annotated[str, BeforeValidator(_days)] = ""
    hours: Annotated[str, AfterValidator(_hours)] = ""
    first_day: Day = None
    last_day: Day = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first_day and self.last_day and self.first_day > self.last_day:
            raise ValueError(Mistake.of("days_turned", first=self.first_day, last=self.last_day))
        return self

    def covers(self, local: datetime) -> bool:
        """Say whether somebody is on duty at a local time; a night belongs to the day on which it began."""
        first, last = (self.hours[:5], self.hours[6:]) if self.hours else ("00:00", "24:00")
        clock = f"{local:%H:%M}"
        if first < last:
            return first <= clock < last and self._on(local.date())
        yesterday = local.date() - timedelta(days=1)
        return (clock >= first and self._on(local.date())) or (clock < last and self._on(yesterday))

    def _on(self, day: date) -> bool:
        return (
            (not self.days or DAY_NAMES[day.weekday()] in self.days)
            and (self.first_day is None or self.first_day <= day)
            and (self.last_day is None or day <= self.last_day)
        )


def read_roster(path: Path, areas: set[str]) -> tuple[ShiftRow, ...]:
    """Read a roster for the areas that there are.

    Raises:
        ConfigError: one problem for each thing that is wrong, with row and column.

    """
    sheets = read_sheets(path)
    name = sheet_named(sheets, SHEETS) or next(iter(sheets))
    table = read_table(str(path) if len(sheets) == 1 else f"{path}[{name}]", sheets[name], COLUMNS)
    rows = []
    for record in table.records:
        row = validated(table, record, ShiftRow, record.values, {"": "first_day"})
        if row is None:
            continue
        if row.area not in areas:
            table.wrong(record.row, "area", Mistake.of("no_area", area=row.area, hint=""))
        rows.append(row)
    raise_problems(table.problems)
    return tuple(rows)

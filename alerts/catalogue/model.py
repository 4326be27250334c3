"""What a catalogue holds, whatever file it comes from, and what must be true across its rows.

::

    Category 01  n- Item 0127  n- Flow 012701
                    |- kinds: the alerts that are filed under it
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from alerts.messages import Kind
from alerts.mistakes import Mistake
from towerwatch.calendars.limits import Limit, Unit
from towerwatch.yamlconfig import StrictModel, nearest

SCHEMA_VERSION: Literal[1] = 1


class Severity(StrEnum):
    """The four levels of the emergency law, least first."""

    GENERAL = "general"
    MAJOR = "major"
    SEVERE = "severe"
    CRITICAL = "critical"


class Who(StrEnum):
    """Who is told of an incident."""

    OPERATOR = "operator"
    DEPARTMENT = "department"
    ALONG = "along"
    GRID_WORKER = "grid_worker"
    REPORTER = "reporter"


SEVERITIES: dict[Severity, tuple[str, str]] = {
    Severity.GENERAL: ("一般", "General"),
    Severity.MAJOR: ("较大", "Major"),
    Severity.SEVERE: ("重大", "Severe"),
    Severity.CRITICAL: ("特别重大", "Critical"),
}
WHO: dict[Who, tuple[str, str]] = {
    Who.OPERATOR: ("值班员", "Operator"),
    Who.DEPARTMENT: ("主管部门", "Department in charge"),
    Who.ALONG: ("协同部门", "Departments along"),
    Who.GRID_WORKER: ("网格员", "Grid worker"),
    Who.REPORTER: ("上报人", "Reporter"),
}
_SEVERITY_WORDS = {zh: severity for severity, (zh, _en) in SEVERITIES.items()}
_WHO_WORDS = {zh: who for who, (zh, _en) in WHO.items()}
_MARKS = re.compile("[,，、;；]")  # noqa: RUF001 - the Chinese marks are meant
_FLAGS = {
    **dict.fromkeys(("yes", "true", "1", "是", "需要"), True),
    **dict.fromkeys(("no", "false", "0", "否", "不需要"), False),
}


def _limit(value: object) -> object:
    if isinstance(value, Limit):
        return value
    try:
        return Limit.parse(str(value))
    except ValueError as error:
        raise ValueError(Mistake.of("limit_bad", said=error)) from None


def _severity(value: object) -> object:
    return _SEVERITY_WORDS.get(value, value) if isinstance(value, str) else value


def _flag(value: object) -> object:
    if isinstance(value, bool):
        return value
    found = _FLAGS.get(str(value).lower())
    if found is None:
        raise ValueError(Mistake.of("flag_bad", value=value))
    return found


def split_words(text: str) -> tuple[str, ...]:
    """Split what a cell lists, by comma, semicolon or the Chinese marks."""
    return tuple(word for word in (part.strip() for part in _MARKS.split(text)) if word)


def _words(value: object) -> object:
    return split_words(value) if isinstance(value, str) else value


def _notices(value: object) -> object:
    words = _words(value)
    return tuple(map(_notice, words)) if isinstance(words, list | tuple) else words


def _notice(value: object) -> object:
    if not isinstance(value, str):
        return value
    who, colon, how = value.replace("：", ":").partition(":")  # noqa: RUF001 - the full-width colon
    if not colon or not how.strip():
        raise ValueError(Mistake.of("notice_bad", value=value))
    who = who.strip()
    return {"who": _WHO_WORDS.get(who, who), "how": how.strip()}


Name = Annotated[str, Field(min_length=1, max_length=80)]
Prose = Annotated[str, Field(min_length=1, max_length=400)]
LimitText = Annotated[Limit, BeforeValidator(_limit), PlainSerializer(str, return_type=str)]
# a department's id, in catalogue, configuration, tasks and accounts alike: in any script, without blanks and
# without the marks that part a list of them
DEPARTMENT_PATTERN = r"^[^\s,，、;；\x00-\x1f]{1,64}$"  # noqa: RUF001 - the Chinese marks are meant


def department_id(value: str) -> str:
    """Return a department's id; raise ValueError for what is none."""
    if not re.fullmatch(DEPARTMENT_PATTERN, value):
        raise ValueError(Mistake.of("department_id_bad", value=value[:70]))
    return value


DepartmentId = Annotated[str, AfterValidator(department_id)]
Words = BeforeValidator(_words)


class Notice(StrictModel):
    """Who is told, and by which channel of the configuration (console, wecom, email)."""

    who: Who
    how: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]


class Named(StrictModel):
    """Something with a Chinese name, and an English one that is the Chinese where none is given."""

    zh: Name
    en: Name = ""

    @model_validator(mode="before")
    @classmethod
    def _name_it(cls, data: Any) -> Any:
        return (
            {**data, "en": data.get("en") or data["zh"]} if isinstance(data, dict) and "zh" in data else data
        )


class Department(Named):
    """One that handles incidents; flows, tasks and people refer to its id."""

    id: DepartmentId


class FlowFields(Named):
    """How one kind of case of an item is handled."""

    severity: Annotated[Severity, BeforeValidator(_severity)]
    condition_zh: Prose
    condition_en: Annotated[str, Field(max_length=400)] = ""
    verify: Annotated[bool, BeforeValidator(_flag)]
    department: DepartmentId
    along: Annotated[tuple[DepartmentId, ...], Words, Field(max_length=16)] = ()
    accept: LimitText
    arrive: LimitText | None = None
    close: LimitText
    criterion_zh: Prose
    criterion_en: Annotated[str, Field(max_length=400)] = ""
    notify: Annotated[tuple[Notice, ...], BeforeValidator(_notices), Field(max_length=16)] = ()


class ItemFields(Named):
    """What can happen; ``kinds`` are the alerts that are filed under it."""

    kinds: Annotated[tuple[Kind, ...], Words] = ()


class Category(Named):
    """A two-digit category."""

    code: Annotated[str, Field(pattern="^[0-9]{2}$")]


class Item(ItemFields):
    """A four-digit item: that of its category, and its own two."""

    code: Annotated[str, Field(pattern="^[0-9]{4}$")]

    @property
    def category(self) -> str:
        """The code of its category."""
        return self.code[:2]


class Flow(FlowFields):
    """A six-digit flow: that of its item, and its own two."""

    code: Annotated[str, Field(pattern="^[0-9]{6}$")]

    @property
    def item(self) -> str:
        """The code of its item."""
        return self.code[:4]


class Catalogue(StrictModel):
    """All of it, flat and in order. Made by the readers, which place :func:`faults` in their files."""

    name: Name
    departments: tuple[Department, ...]
    categories: tuple[Category, ...]
    items: tuple[Item, ...]
    flows: tuple[Flow, ...]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for fault in faults(self.departments, self.categories, self.items, self.flows):
            msg = f"{fault.of} {fault.at}: {fault.field}: {fault.text}"
            raise ValueError(msg)
        return self

    def digest(self) -> str:
        """Return a SHA-256 of the contents: the same rows are the same catalogue, whatever the file."""
        return hashlib.sha256(self.model_dump_json(exclude={"name"}).encode()).hexdigest()

    def size(self) -> str:
        """Return it in numbers, as people name a catalogue."""
        return f"{len(self.categories)} categories, {len(self.items)} items, {len(self.flows)} flows"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong between rows: the ``at``-th department, category, item or flow, and its field."""

    of: Literal["department", "category", "item", "flow"]
    at: int
    field: str
    text: str


def faults(
    departments: tuple[Department, ...],
    categories: tuple[Category, ...],
    items: tuple[Item, ...],
    flows: tuple[Flow, ...],
) -> Iterator[Fault]:
    """Yield what each row allows by itself but the catalogue as a whole does not."""
    yield from _twice("department", "id", [row.id for row in departments])
    yield from _twice("department", "zh", [row.zh for row in departments])
    yield from _twice("category", "code", [row.code for row in categories])
    yield from _twice("item", "code", [row.code for row in items])
    yield from _twice("flow", "code", [row.code for row in flows])
    filed: dict[Kind, str] = {}
    for at, item in enumerate(items):
        for kind in item.kinds:
            if filed.setdefault(kind, item.code) != item.code:
                yield Fault("item", at, "kinds", Mistake.of("kind_taken", kind=kind, item=filed[kind]))
    known = [row.id for row in departments]
    for at, flow in enumerate(flows):
        for field, names in (("department", (flow.department,)), ("along", flow.along)):
            for name in names:
                if name not in known:
                    text = Mistake.of("no_department", name=name, hint=nearest(name, known))
                    yield Fault("flow", at, field, text)
        if flow.department in flow.along:
            yield Fault("flow", at, "along", Mistake.of("in_charge_already", name=flow.department))
        if len(set(flow.along)) < len(flow.along):
            yield Fault("flow", at, "along", Mistake.of("department_again"))
        yield from _late(at, flow)


def _twice(
    of: Literal["department", "category", "item", "flow"], field: str, values: list[str]
) -> Iterator[Fault]:
    seen: dict[str, int] = {}
    for at, value in enumerate(values):
        if seen.setdefault(value, at) != at:
            yield Fault(of, at, field, Mistake.of("there_already", value=value))


def _late(at: int, flow: Flow) -> Iterator[Fault]:
    """Refuse a step that may take longer than the closing, where the two can be compared."""
    for field, limit in (("accept", flow.accept), ("arrive", flow.arrive)):
        if limit is not None and _longer(limit, flow.close):
            yield Fault("flow", at, field, Mistake.of("longer_than_close", limit=limit, other=flow.close))
    if flow.arrive is not None and _longer(flow.accept, flow.arrive):
        text = Mistake.of("longer_than_arrive", limit=flow.accept, other=flow.arrive)
        yield Fault("flow", at, "accept", text)


_MINUTES = {Unit.MINUTES: 1, Unit.HOURS: 60, Unit.DAYS: 1440}


def _longer(one: Limit, other: Limit) -> bool:
    if one.unit is other.unit:
        return one.amount > other.amount
    if one.unit in _MINUTES and other.unit in _MINUTES:
        return one.amount * _MINUTES[one.unit] > other.amount * _MINUTES[other.unit]
    return False

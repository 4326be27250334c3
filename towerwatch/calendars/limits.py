"""A time limit as event catalogues write it: ``30 min``, ``4 working hours``, ``1 个工作日``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """What a limit counts; the value is how we write it."""

    MINUTES = "min"
    HOURS = "h"
    DAYS = "d"
    WORKING_HOURS = "wh"
    WORKING_DAYS = "wd"


WORKING = frozenset({Unit.WORKING_HOURS, Unit.WORKING_DAYS})
WHOLE = frozenset({Unit.DAYS, Unit.WORKING_DAYS})
NAMES: dict[Unit, tuple[str, str]] = {
    Unit.MINUTES: ("分钟", "min"),
    Unit.HOURS: ("小时", "h"),
    Unit.DAYS: ("天", "days"),
    Unit.WORKING_HOURS: ("个工作小时", "working hours"),
    Unit.WORKING_DAYS: ("个工作日", "working days"),
}
# five years of each, so that a slip of the keyboard is an error and not a deadline in the next century
LARGEST: dict[Unit, float] = {
    Unit.MINUTES: 2_628_000,
    Unit.HOURS: 43_800,
    Unit.DAYS: 1_825,
    Unit.WORKING_HOURS: 10_400,
    Unit.WORKING_DAYS: 1_300,
}
_SPELLINGS = {
    **dict.fromkeys(("min", "mins", "minute", "minutes", "分", "分钟"), Unit.MINUTES),
    **dict.fromkeys(("h", "hour", "hours", "小时", "个小时", "时"), Unit.HOURS),
    **dict.fromkeys(("d", "day", "days", "天", "日", "自然日", "个自然日"), Unit.DAYS),
    **dict.fromkeys(
        ("wh", "working hour", "working hours", "工作时", "工作小时", "个工作时", "个工作小时"),
        Unit.WORKING_HOURS,
    ),
    **dict.fromkeys(("wd", "working day", "working days", "工作日", "个工作日"), Unit.WORKING_DAYS),
}
_SHAPE = re.compile(r"\s*(?P<amount>[0-9]{1,7}(?:\.[0-9]{1,3})?)\s*(?P<unit>[^\d.\s].*?)\s*")


@dataclass(frozen=True, slots=True)
class Limit:
    """How long something may take: more than 0, at most five years; days are whole."""

    amount: float
    unit: Unit

    def __post_init__(self) -> None:
        """Refuse an amount that no deadline can be made of."""
        if not 0 < self.amount <= LARGEST[self.unit]:
            msg = f"{self.amount:g} {self.unit}: more than 0 and at most {LARGEST[self.unit]:g} {self.unit}"
            raise ValueError(msg)
        if self.unit in WHOLE and self.amount != int(self.amount):
            msg = f"{self.amount:g} {self.unit}: days are counted whole"
            raise ValueError(msg)

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Read ``30 min``, ``4 h``, ``2 d``, ``4 wh`` (working hours), ``1 wd``, or the Chinese words.

        Raises:
            ValueError: it is none, with what would be one.

        """
        found = _SHAPE.fullmatch(text)
        unit = _SPELLINGS.get(" ".join(found["unit"].lower().split())) if found else None
        if found is None or unit is None:
            msg = f"{text!r} is no limit; write 30 min, 4 h, 2 d, 4 wh (working hours) or 1 wd (working days)"
            raise ValueError(msg)
        return cls(float(found["amount"]), unit)

    def __str__(self) -> str:
        """Write it as :meth:`parse` reads it."""
        return f"{self.amount:g} {self.unit}"

    def text(self, language: str) -> str:
        """Return it in words, ``zh`` or ``en``."""
        zh, en = NAMES[self.unit]
        if language == "zh":
            return f"{self.amount:g}{zh}"
        return f"{self.amount:g} {en.removesuffix('s') if self.amount == 1 else en}"

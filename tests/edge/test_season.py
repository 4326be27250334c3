"""The burning season comes every year, and may run over new year."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import ValidationError

from edge.season import Season


def season(start: str, end: str) -> Season:
    return Season.model_validate({"from": start, "to": end})


@pytest.mark.parametrize(
    ("start", "end", "day", "holds"),
    [
        pytest.param("05-25", "06-25", date(2026, 6, 1), True, id="within"),
        pytest.param("05-25", "06-25", date(2027, 6, 25), True, id="its last day, next year"),
        pytest.param("05-25", "06-25", date(2026, 6, 26), False, id="the day after"),
        pytest.param("12-01", "01-15", date(2026, 1, 1), True, id="over new year"),
        pytest.param("12-01", "01-15", date(2026, 7, 1), False, id="far from new year"),
    ],
)
def test_a_day_lies_in_a_season(start: str, end: str, day: date, *, holds: bool) -> None:
    assert season(start, end).holds(day) is holds


@pytest.mark.parametrize(
    ("start", "text"), [("5-1", "month and day such as 05-20"), ("02-30", "there is no day 02-30")]
)
def test_a_day_that_is_none_is_named(start: str, text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        season(start, "06-25")

"""A rule is in force when the people who live there say so, nights and time zones included."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.schedule import Schedule

SHANGHAI = ZoneInfo("Asia/Shanghai")


def schedule(*windows: dict[str, object]) -> Schedule:
    return Schedule.model_validate({"windows": list(windows)})


DAY = schedule({"days": ["mon", "tue"], "from": "7:00", "to": "19:30"})
NIGHT = schedule({"days": ["fri"], "from": "22:00", "to": "06:00"})
ALWAYS = schedule({})


@pytest.mark.parametrize(
    ("rule", "local", "holds"),
    [  # 2026-05-04 is a Monday
        pytest.param(DAY, "2026-05-04T07:00", True, id="the first minute"),
        pytest.param(DAY, "2026-05-04T06:59", False, id="the minute before"),
        pytest.param(DAY, "2026-05-04T19:29", True, id="the last minute"),
        pytest.param(DAY, "2026-05-04T19:30", False, id="the end is outside"),
        pytest.param(DAY, "2026-05-06T12:00", False, id="another day"),
        pytest.param(NIGHT, "2026-05-08T23:00", True, id="the night begins"),
        pytest.param(NIGHT, "2026-05-09T05:59", True, id="and runs into the next day"),
        pytest.param(NIGHT, "2026-05-09T06:00", False, id="until it ends"),
        pytest.param(NIGHT, "2026-05-08T05:00", False, id="the night before is another"),
        pytest.param(ALWAYS, "2026-05-09T00:00", True, id="always"),
    ],
)
def test_windows_hold_by_local_time(rule: Schedule, local: str, holds: bool) -> None:
    at = datetime.fromisoformat(local).replace(tzinfo=SHANGHAI).astimezone(UTC)
    assert rule.in_force(at, SHANGHAI) is holds
    assert (rule.in_force_since(at, SHANGHAI) is not None) is holds


@pytest.mark.parametrize(
    ("rule", "local", "since"),
    [
        pytest.param(DAY, "2026-05-04T12:00", "2026-05-04T07:00", id="this morning"),
        pytest.param(NIGHT, "2026-05-09T03:00", "2026-05-08T22:00", id="yesterday evening"),
        pytest.param(
            schedule({"from": "0:00", "to": "12:00"}, {"from": "12:00", "to": "24:00", "days": ["mon"]}),
            "2026-05-04T13:00",
            "2026-05-04T00:00",
            id="two windows that touch",
        ),
    ],
)
def test_since_when_goes_back_to_the_edge_of_the_window(rule: Schedule, local: str, since: str) -> None:
    at = datetime.fromisoformat(local).replace(tzinfo=SHANGHAI)
    assert rule.in_force_since(at, SHANGHAI) == datetime.fromisoformat(since).replace(tzinfo=SHANGHAI)


def test_always_reaches_back_a_week_and_no_farther() -> None:
    at = datetime(2026, 5, 9, 12, 0, tzinfo=UTC)
    since = ALWAYS.in_force_since(at, SHANGHAI)
    assert since is not None
    assert timedelta(days=7) <= at - since <= timedelta(days=10)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)), st.sampled_from([DAY, NIGHT, ALWAYS]))  # noqa: DTZ001 - made aware below
def test_it_was_in_force_all_the_while_since(naive: datetime, rule: Schedule) -> None:
    zone = ZoneInfo("Europe/Berlin")
    at = naive.replace(tzinfo=UTC)
    since = rule.in_force_since(at, zone)
    if since is None:
        assert not rule.in_force(at, zone)
        return
    assert since <= at
    step = (at - since) / 7
    assert all(rule.in_force(since + step * i, zone) for i in range(8))


@pytest.mark.parametrize(
    ("window", "part"),
    [
        pytest.param({"from": "24:00", "to": "6:00"}, "end of a day", id="from 24:00"),
        pytest.param({"from": 7}, "time of day", id="number"),
        pytest.param({"days": ["mon", "mon"]}, "twice", id="day twice"),
        pytest.param({"days": []}, "at least 1", id="no day"),
    ],
)
def test_windows_that_cannot_be_are_refused(window: dict[str, object], part: str) -> None:
    with pytest.raises(ValidationError, match=part):
        schedule(window)


WORKING = Schedule.model_validate(
    {"calendar": "china", "windows": [{"days": ["workday"], "from": "22:00", "to": "6:00"}]}
)
OFF = Schedule.model_validate({"calendar": "china", "windows": [{"days": ["day_off"]}]})


@pytest.mark.parametrize(
    ("rule", "local", "holds"),
    [  # 2025: off from 1 to 8 October, while Sunday 28 September and Saturday 11 October are worked
        pytest.param(OFF, "2025-10-01T12:00", True, id="a holiday in the week"),
        pytest.param(OFF, "2025-10-11T12:00", False, id="a Saturday that is worked"),
        pytest.param(OFF, "2025-10-12T12:00", True, id="a plain Sunday"),
        pytest.param(WORKING, "2025-10-01T23:00", False, id="the night after a holiday"),
        pytest.param(WORKING, "2025-10-01T05:00", True, id="the night after a workday, into a holiday"),
        pytest.param(WORKING, "2025-10-11T22:00", True, id="the night after a Saturday that is worked"),
    ],
)
def test_a_calendar_tells_workdays_from_days_off(rule: Schedule, local: str, holds: bool) -> None:
    at = datetime.fromisoformat(local).replace(tzinfo=SHANGHAI)
    assert rule.in_force(at, SHANGHAI) is holds


def test_a_day_off_is_in_force_since_its_own_midnight() -> None:
    at = datetime(2025, 10, 1, 9, 0, tzinfo=SHANGHAI)
    assert OFF.in_force_since(at, SHANGHAI) == datetime(2025, 10, 1, 0, 0, tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        pytest.param({"windows": [{"days": ["workday"]}]}, "need a calendar", id="no calendar"),
        pytest.param(
            {"windows": [{}], "calendar": "mars"}, "no calendar 'mars'", id="one that is not shipped"
        ),
        pytest.param({"windows": [{}], "calendar": "none.yaml"}, "none.yaml", id="a file that is not there"),
    ],
)
def test_a_calendar_that_cannot_be_had_is_named(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Schedule.model_validate(wrong)

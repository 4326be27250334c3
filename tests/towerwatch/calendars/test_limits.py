"""How a limit is read and written."""

import pytest

from towerwatch.calendars.limits import Limit, Unit


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("30 min", Limit(30, Unit.MINUTES)),
        ("30分钟", Limit(30, Unit.MINUTES)),
        (" 4h ", Limit(4, Unit.HOURS)),
        ("24 小时", Limit(24, Unit.HOURS)),
        ("2 days", Limit(2, Unit.DAYS)),
        ("3天", Limit(3, Unit.DAYS)),
        ("0.5 wh", Limit(0.5, Unit.WORKING_HOURS)),
        ("4 Working  Hours", Limit(4, Unit.WORKING_HOURS)),
        ("4个工作时", Limit(4, Unit.WORKING_HOURS)),
        ("1个工作日", Limit(1, Unit.WORKING_DAYS)),
        ("1 wd", Limit(1, Unit.WORKING_DAYS)),
    ],
)
def test_a_limit_is_read_in_both_languages_and_written_in_one(text, limit):
    assert Limit.parse(text) == limit
    assert Limit.parse(str(limit)) == limit


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no limit; write 30 min"),
        ("soon", "is no limit"),
        ("4", "is no limit"),
        ("-4 h", "is no limit"),
        ("4 fortnights", "is no limit"),
        ("0 h", "more than 0"),
        ("0.5 wd", "days are counted whole"),
        ("9999 d", "at most 1825 d"),
    ],
)
def test_what_is_no_limit_is_told_so(text, told):
    with pytest.raises(ValueError, match=told):
        Limit.parse(text)


@pytest.mark.parametrize(
    ("text", "zh", "en"),
    [
        ("1 wd", "1个工作日", "1 working day"),
        ("4 wh", "4个工作小时", "4 working hours"),
        ("30 min", "30分钟", "30 min"),
        ("1 d", "1天", "1 day"),
    ],
)
def test_people_read_it_in_their_language(text, zh, en):
    limit = Limit.parse(text)
    assert (limit.text("zh"), limit.text("en")) == (zh, en)

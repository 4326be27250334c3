# ruff: noqa: RUF001 - Chinese has punctuation of its own
"""Refusals in the language of whoever reads them."""

import re
from pathlib import Path
from string import Formatter

import pytest

import alerts
from alerts.areas.roster import read_roster
from alerts.console.texts import WORDS
from alerts.mistakes import MISTAKES
from alerts.refusals import REFUSALS
from alerts.services.errors import Conflict, Invalid, NotFound
from alerts.states import Action, IllegalTransition, State, step
from towerwatch.errors import ConfigError


def fields(text: str) -> set[str]:
    return {name for _text, name, _spec, _conversion in Formatter().parse(text) if name}


@pytest.mark.parametrize("code", REFUSALS)
def test_the_chinese_needs_nothing_that_the_english_is_not_given(code: str) -> None:
    chinese, english = REFUSALS[code]
    assert fields(chinese) <= fields(english)
    assert re.search("[一-鿿]", chinese)
    assert not re.search("[一-鿿]", english)


def test_every_code_is_used_and_known() -> None:
    folder = Path(alerts.__file__).parent
    used = set()
    for file in folder.rglob("*.py"):
        used |= set(re.findall(r'(?<!Mistake)\.of\(\s*"([a-z_]+)"', file.read_text(encoding="utf-8")))
    assert used == set(REFUSALS)


OF_PYDANTIC = {"string_too_long", "string_too_short", "string_pattern_mismatch", "enum"}


def test_every_mistake_is_made_somewhere_and_said_in_both_languages() -> None:
    folder = Path(alerts.__file__).parent
    files = [file.read_text(encoding="utf-8") for file in folder.rglob("*.py") if file.stem != "mistakes"]
    unused = {code for code in MISTAKES if not any(f'"{code}"' in text for text in files)}
    assert unused == OF_PYDANTIC
    for code, (chinese, english) in MISTAKES.items():
        assert code in OF_PYDANTIC or fields(chinese) <= fields(english), code
        assert re.search("[一-鿿]", chinese)
        assert not re.search("[一-鿿]", english)


def test_what_is_wrong_in_a_file_is_said_in_either_language(tmp_path: Path) -> None:
    file = tmp_path / "roster.csv"
    row = f"g1,police,{'s' * 65},wecom:sun,mon-someday,8-20,31.12.2026\ng9,police,sun,phone,,,,\n"
    file.write_text("area,department,person,contact,days,hours,first_day,last_day\n" + row)
    with pytest.raises(ConfigError) as refused:
        read_roster(file, {"g1"})
    assert [WORDS["zh"].mistake(problem.message) for problem in refused.value.problems] == [
        "最多 64 个字符",
        "mon-someday：请写 周一至周五，或 sat,sun",
        "8-20：请写 08:00-20:00；20:00-08:00 延续到次日",
        "31.12.2026 不是日期；请写 2026-10-01",
        "没有区域 g9",
    ]
    assert [WORDS["en"].mistake(problem.message) for problem in refused.value.problems][-2:] == [
        "'31.12.2026' is no date; write 2026-10-01",
        "there is no area 'g9'",
    ]
    assert WORDS["zh"].mistake("said by a parser") == "said by a parser"


def test_a_refusal_is_said_in_either_language_with_the_names_of_states() -> None:
    with pytest.raises(IllegalTransition) as refused:
        step(State.CLOSED, Action.CONFIRM)
    assert str(refused.value).startswith("confirm is not possible in state closed; possible: ")
    assert WORDS["zh"].refusal(refused.value) == "“已结案”状态下不能“立案”"
    assert WORDS["en"].refusal(refused.value).startswith("Confirm is not possible in state Closed")
    assert WORDS["zh"].refusal(Conflict("said by nobody we know")) == "said by nobody we know"


def test_a_refusal_keeps_what_it_is() -> None:
    error = Invalid.of("zone_twice", zone="kerb")
    assert isinstance(error, ConfigError)
    assert (str(error), error.problems) == ("zone kerb stands there twice", [])
    assert WORDS["zh"].refusal(NotFound.of("no_user", name="li")) == "没有用户 li"

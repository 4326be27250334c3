"""Refusals in the language of whoever reads them."""

import re
from pathlib import Path
from string import Formatter

import pytest

import alerts
from alerts.console.texts import WORDS
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
        used |= set(re.findall(r'\.of\(\s*"([a-z_]+)"', file.read_text(encoding="utf-8")))
    assert used == set(REFUSALS)


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

import pytest

from alerts import messages, states, texts

COMPLETE = {
    "kinds": (texts.KINDS, messages.Kind),
    "states": (texts.STATES, states.State),
    "actions": (texts.ACTIONS, states.Action),
    "phases": (texts.PHASES, messages.Phase),
    "roles of evidence": (texts.EVIDENCE_ROLES, messages.EvidenceRole),
    "freshness": (texts.FRESHNESS, messages.Freshness),
    "blind reasons": (texts.BLIND_REASONS, messages.BlindReason),
}


@pytest.mark.parametrize(("table", "values"), COMPLETE.values(), ids=COMPLETE)
def test_every_value_has_a_chinese_and_an_english_name(table, values):
    assert set(table) == set(values)
    for chinese, english in table.values():
        assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese)
        assert english.isascii()


@pytest.mark.parametrize(("language", "name"), [("zh", "道路阻塞"), ("en", "Blocked road")])
def test_a_text_is_found_by_language(language, name):
    assert texts.text(texts.KINDS, messages.Kind.BLOCKED_ROAD, language) == name


def test_a_key_without_a_name_shows_itself():
    assert texts.text(texts.KINDS, "flood", "en") == "flood"

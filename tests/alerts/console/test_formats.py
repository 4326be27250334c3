"""Times, durations, places and measures as people read them."""

from datetime import UTC, datetime

import pytest

from alerts.console.formats import duration, local, measure, place, size, zone_of
from alerts.console.texts import MEASURES, SEVERITIES, TEXTS, WORDS
from alerts.services.views import PlaceView


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (-3, "0 秒", "0 s"),
        (47.4, "47 秒", "47 s"),
        (725, "12 分 05 秒", "12 min 05 s"),
        (12_010, "3 小时 20 分", "3 h 20 min"),
    ],
)
def test_duration(seconds: float, zh: str, en: str) -> None:
    assert (duration(seconds, WORDS["zh"]), duration(seconds, WORDS["en"])) == (zh, en)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("dwell_s", 361.0, ("Dwell", "6 min 01 s")),
        ("occupancy_frac", 0.416, ("Occupancy", "42 %")),
        ("speed_bl_s", 0.25, ("Speed", "0.25 body lengths/s")),
        ("queue_m", 84.4, ("Queue length", "84.4 m")),
        ("queue_bl", 5.33, ("Queue length", "5.33 body lengths")),
        ("vehicles", 6.0, ("Vehicles", "6")),
        ("plume_width_px", 20.0, ("plume width", "20 px")),
        ("some_new_thing_s", 5.0, ("some new thing", "5 s")),
        ("odd_thing", 5.0, ("odd thing", "5")),
    ],
)
def test_measure_says_its_unit(name: str, value: float, shown: tuple[str, str]) -> None:
    assert measure(name, value, WORDS["en"]) == shown


def test_local_time_is_that_of_the_city() -> None:
    at = datetime(2026, 11, 24, 20, 30, tzinfo=UTC)
    assert local(at, zone_of("Asia/Shanghai")) == "2026-11-25 04:30:00"
    assert zone_of(None) is None


def test_place_says_how_sure_it_is() -> None:
    words = WORDS["en"]
    assert place(None, words) == "not calibrated"
    measured = PlaceView(lat_deg=30.59, lon_deg=114.31, semi_major_m=62.4, semi_minor_m=18)
    assert place(measured, words) == "30.59000, 114.31000 ±62\u00a0×\u00a018\u00a0m"  # noqa: RUF001 - as it is shown
    assert place(PlaceView(lat_deg=30.59, lon_deg=114.31), words).endswith("camera's place")


@pytest.mark.parametrize(
    ("count", "shown"), [(512, "512 B"), (2048, "2 KiB"), (5 * 2**20, "5.0 MiB"), (3 * 2**40, "3072.0 GiB")]
)
def test_size(count: int, shown: str) -> None:
    assert size(count) == shown


@pytest.mark.parametrize("table", [TEXTS, SEVERITIES, MEASURES], ids=["texts", "severities", "measures"])
def test_every_text_is_there_in_both_languages_with_the_same_braces(
    table: dict[object, tuple[str, str]],
) -> None:
    for key, (zh, en) in table.items():
        assert zh, key
        assert en, key
        assert {part.split("}")[0] for part in zh.split("{")[1:]} == {
            part.split("}")[0] for part in en.split("{")[1:]
        }, key


def test_words_fall_back_to_the_key() -> None:
    words = WORDS["en"]
    assert words.name({}, "unheard_of") == "unheard_of"
    assert words.line("confirm") == "Confirm"
    assert words.line("detected") == "Incident made"
    assert words.line("some_new_event") == "some new event"
    assert (words.locale, WORDS["zh"].locale) == ("en", "zh-CN")

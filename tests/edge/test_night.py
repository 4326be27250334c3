"""Night is told as night: by the picture's light, in each view, and it ends by itself."""

from __future__ import annotations

import numpy as np
import pytest
from edge_rig import camera

from alerts.messages import BlindReason
from edge.config import CameraConfig
from edge.night import FORGET_S, LONGEST_NIGHT_S, NightWatch, night_watch_of
from edge.view_watch import Light, ViewWatch
from streams.simulator.tower import TowerView, tower

DAY, DUSK, DARK = Light(110, is_grey=False), Light(50, is_grey=False), Light(12, is_grey=False)
INFRARED, FOG, PITCH = Light(60, is_grey=True), Light(170, is_grey=True), Light(1, is_grey=True)


def seen(*lights: Light, knows_infrared: bool = False) -> NightWatch:
    watch = NightWatch({"north": knows_infrared})
    for second, light in enumerate(lights):
        watch.see("north", light, float(second))
    return watch


def reason(watch: NightWatch, now_s: float = 10.0) -> BlindReason | None:
    told = watch.unwatched(now_s)
    return None if told is None else told[0]


@pytest.mark.parametrize(
    ("lights", "expected"),
    [
        pytest.param([DAY] * 4, None, id="day"),
        pytest.param([DAY, *[DARK] * 2], None, id="two dark pictures are none"),
        pytest.param([DAY, *[DARK] * 3], BlindReason.DARK, id="dark"),
        pytest.param([DUSK] * 5, None, id="dusk, before it was dark"),
        pytest.param([*[DARK] * 3, *[DUSK] * 5], BlindReason.DARK, id="dusk, after it was dark"),
        pytest.param([*[DARK] * 3, DAY, DARK, DAY, DAY], BlindReason.DARK, id="lightning"),
        pytest.param([*[DARK] * 3, *[DAY] * 3], None, id="morning"),
        pytest.param([*[DARK] * 3, *[INFRARED] * 3], BlindReason.INFRARED, id="gone over to infrared"),
        pytest.param([INFRARED] * 3, BlindReason.INFRARED, id="infrared from the start"),
        pytest.param([FOG] * 5, None, id="fog by day has no colour either"),
        pytest.param([PITCH] * 3, BlindReason.DARK, id="nothing at all"),
    ],
)
def test_what_is_said_of_a_view(lights: list[Light], expected: BlindReason | None) -> None:
    assert reason(seen(*lights)) is expected


def test_a_model_that_knows_infrared_watches_on_until_it_is_dark() -> None:
    assert reason(seen(*[INFRARED] * 5, knows_infrared=True)) is None
    assert reason(seen(*[PITCH] * 5, knows_infrared=True)) is BlindReason.DARK


def test_it_says_in_how_many_views_and_forgets_those_that_nobody_shows() -> None:
    watch = NightWatch({"north": False, "east": False})
    for second in range(3):
        watch.see("north", DARK, float(second))
        watch.see("east", DAY, float(second))
        watch.see("street", DARK, float(second))  # has no rule for smoke
    told = watch.unwatched(3.0)
    assert told == (BlindReason.DARK, "smoke is not watched for in 1 of 2 views: too dark to see smoke")
    assert watch.is_night(3.0)
    assert watch.unwatched(3.0 + FORGET_S) is None


def test_no_night_is_longer_than_a_night() -> None:
    watch = NightWatch({"north": False})
    still = []
    for second in np.arange(0.0, LONGEST_NIGHT_S + 7200, 600):
        watch.see("north", DARK, second)
        still.append(watch.is_night(second))
    assert still == [False] * 2 + [True] * 97 + [False] * 9


def test_a_rendered_evening_is_told_and_the_morning_too() -> None:
    view = tower(29, (160, 90), 3 * 3600.0, "day_night", fires=False).views[0]
    spell, views, night = view.spells[0], ViewWatch((view.name,)), NightWatch({view.name: False})
    middle_s = (spell.started_s + spell.ended_s) / 2
    steps = ((spell.started_s, None), (middle_s, BlindReason.INFRARED), (spell.ended_s, None))
    for at_s, expected in steps:
        for t_s in at_s + np.arange(4) * 2.5:
            verdict = views.judge(drawn(view, float(t_s)), float(t_s), view.name)
            assert verdict.light is not None
            night.see(view.name, verdict.light, float(t_s))
        assert reason(night, at_s + 10) is expected


def drawn(view: TowerView, t_s: float) -> np.ndarray:
    view.boxes(t_s)
    return view.picture(t_s)


def test_only_views_with_a_rule_for_smoke_are_watched() -> None:
    document = camera("cam-1", "rtsp://127.0.0.1/x")
    smoke = {"kind": "smoke", "infrared": True}
    views = [
        *document["views"],
        {"preset": "hill", "rules": [smoke]},
        {"preset": "field", "rules": [{"kind": "smoke"}]},
    ]
    config = CameraConfig.model_validate({**document, "views": views})
    assert night_watch_of(config).views == {"hill": True, "field": False}

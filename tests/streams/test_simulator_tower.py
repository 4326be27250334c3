"""The tower turns through its presets; fires grow and lean where the truth says; each negative shows."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from streams.simulator.tower import DWELL_S, PRESETS, ROUND_S, SLEW_S, TowerScene, TowerView, tower
from streams.simulator.tower_story import FEW, MANY, NEGATIVES, Outbreak, Spell, outbreaks_of

SIZE = (320, 180)
HOURS_2 = 7200.0


def burning(seed: int = 3) -> TowerScene:
    return tower(seed, SIZE, HOURS_2, fires=MANY)


def visit_of(scene: TowerScene, view: TowerView, after_s: float) -> float:
    """When the head is at a view next, and at rest."""
    stop_s = scene.views.index(view) * (DWELL_S + SLEW_S) + 3.0
    return stop_s + math.ceil(max(after_s - stop_s, 0.0) / ROUND_S) * ROUND_S


def test_a_round_shows_every_preset_and_nothing_is_boxed_while_the_head_turns() -> None:
    scene = burning()
    seen = [scene.view_at(t_s) for t_s in np.arange(0.0, ROUND_S, 1.0)]
    assert len({view.name for view, turned in seen if not turned}) == PRESETS
    assert [view.name for view, _ in seen[:: int(DWELL_S + SLEW_S)]] == [f"p{k * 30:03d}" for k in range(12)]
    view = next(view for view in scene.views if view.things)
    at_s = visit_of(scene, view, view.things[0].source.started_s + 300)
    assert scene.boxes(at_s)
    assert not scene.boxes(at_s - 3.0 + DWELL_S + 1.0)


def test_the_same_seed_gives_the_same_picture_whatever_was_drawn_before_and_another_seed_others() -> None:
    pictures = []
    for before_s in (0.0, 1263.0):
        scene = burning()
        scene.boxes(before_s)
        scene.boxes(1623.0)
        pictures.append(scene.picture())
    assert np.array_equal(*pictures)
    assert burning(4).views[0].light != burning(3).views[0].light


def alight(outbreaks: list[Outbreak], at_s: float) -> int:
    return sum(one.started_s <= at_s < one.ended_s for one in outbreaks)


@pytest.mark.parametrize(("at_once", "least"), [(0, 0), (FEW, 50), (MANY, 60)])
def test_no_more_fires_burn_at_once_than_asked_for_and_one_in_a_view(at_once: int, least: int) -> None:
    fires = outbreaks_of(8 * HOURS_2, PRESETS, at_once, np.random.default_rng(1))
    assert len(fires) >= least
    assert max((alight(fires, one.started_s) for one in fires), default=0) <= at_once
    for view in range(PRESETS):
        own = [one for one in fires if one.view == view]
        assert all(later.started_s - one.ended_s >= 600 for one, later in pairwise(own))


@pytest.mark.parametrize("number", range(8))
def test_smoke_grows_from_its_foot_and_leans_with_the_wind(number: int) -> None:
    view = [view for view in burning().views if view.things][number]
    thing = view.things[0]
    source = thing.source
    assert 300 <= thing.ground_m[1] <= 3000
    assert not view.boxes(source.started_s - 1)
    young = sum(x2 - x1 for x1, _, x2, _ in (box.box for box in view.boxes(source.started_s + 30)))
    (box,) = view.boxes(source.started_s + 420)
    x1, _, x2, y2 = box.pixels(SIZE)
    assert x2 - x1 > young * SIZE[0]
    assert abs(y2 - source.foot_px[1]) <= 0.1 * SIZE[1]
    assert ((x1 + x2) / 2 - source.foot_px[0]) * source.wind_m_s > -1.5
    assert not view.boxes(source.ended_s + source.life_s + 1)


def test_a_fire_is_an_event_of_its_preset_at_its_place_on_the_ground() -> None:
    scene = burning()
    scene.boxes(HOURS_2)
    fires = scene.events()
    assert {(fire.kind, fire.alarm) for fire in fires} == {("smoke", True)}
    assert any(fire.ended_s is not None for fire in fires)
    for fire in fires:
        azimuth_deg = math.degrees(math.atan2(*fire.ground_m)) % 360
        assert abs((azimuth_deg - int((fire.zone or "")[1:]) + 180) % 360 - 180) < 17, "in its view"


def strongest(scene: TowerScene, name: str) -> tuple[TowerView, float | None, float]:
    """A view, a time before a spell and that of a visit in its midst; None before one that always lasts."""
    for view in scene.views:
        for spell in view.spells:
            middle_s = 600.0 if math.isinf(spell.ended_s) else (spell.started_s + spell.ended_s) / 2
            at_s = visit_of(scene, view, middle_s)
            if spell.name == name and spell.strength(at_s) > 0.5:
                return view, None if spell.started_s < 0 else spell.started_s - 1, at_s
    pytest.fail(f"no {name} within the time")


@pytest.mark.parametrize("name", NEGATIVES)
def test_each_negative_shows_and_is_an_event_that_stays_silent(name: str) -> None:
    scene = tower(5, SIZE, 4 * 3600.0, name, fires=0)
    view, before_s, at_s = strongest(scene, name)
    scene.boxes(at_s)
    shown = view.picture(at_s).astype(int)
    bare = replace(view, spells=(), things=(), _depths=[]).picture(at_s).astype(int)
    assert np.quantile(np.abs(shown - bare), 0.999) > 12, "it is to be seen"
    own = [event for event in scene.events() if event.zone == view.name]
    assert {event.kind for event in own} <= {name}
    assert not any(event.alarm for event in scene.events())
    if name in {"night", "day_night"}:
        assert int(np.ptp(shown, axis=2).max()) == 0, "grey"
    if before_s is not None:
        assert view.active(before_s) == {}


def test_a_spell_rises_and_falls() -> None:
    spell = Spell("rain", 100.0, 200.0, 20.0)
    assert [spell.strength(t_s) for t_s in (99, 110, 150, 195, 201)] == [0.0, 0.5, 1.0, 0.25, 0.0]


def test_a_chimney_is_named_as_a_known_source_where_its_steam_rises() -> None:
    scene = tower(5, SIZE, 4 * 3600.0, "steam", fires=0)
    view = scene.views[0]
    chimney = next(zone for zone in scene.zones if zone.id == f"{view.name}-chimney")
    x, y = (value / side for value, side in zip(view.things[0].source.foot_px, SIZE, strict=True))
    xs, ys = zip(*chimney.points, strict=True)
    assert min(xs) < x < max(xs)
    assert min(ys) < y < max(ys)

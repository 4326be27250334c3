"""The played detector errs as the measured one, the same for the same seed; its pictures tell cars apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.errors.measure import CONDITIONS, object_spread, offset
from benchmarks.errors.model import ErrorModel, load_figures
from benchmarks.errors.schematic import SIZE_PX, Schematic
from edge import look
from streams.simulator.truth import TruthBox

BOX = (0.4, 0.5, 0.55, 0.7)


def car(number: int, visible: float = 1.0) -> TruthBox:
    return TruthBox(number, "car", BOX, visible)


@pytest.mark.parametrize("condition", sorted(CONDITIONS))
def test_shipped_figures_give_the_measured_recall_over_many_vehicles(condition: str) -> None:
    figures = replace(load_figures(condition), false_per_picture=0.0)
    model = ErrorModel(figures, SIZE_PX, 3)
    found = [len(model.find([car(number)])) for number in range(1500)]
    wanted = next(one.recall for one in reversed(figures.classes) if one.side_frac <= 0.15)
    assert np.mean(found) == pytest.approx(wanted, abs=0.05)


def test_a_vehicle_is_found_often_or_seldom_and_its_box_is_off_the_same_way() -> None:
    model = ErrorModel(replace(load_figures("day"), false_per_picture=0.0), SIZE_PX, 1)
    shares = [np.mean([len(model.find([car(number)])) for _ in range(40)]) for number in range(40)]
    assert max(shares) == 1.0
    assert min(shares) < 0.7
    boxes = [found.xyxy[0] for _ in range(60) if len(found := model.find([car(1)]))]
    offsets = np.array([offset(box / np.tile(SIZE_PX, 2), np.asarray(BOX)) for box in boxes])
    assert np.all(offsets.std(axis=0) < 0.06)


def test_hidden_vehicles_are_not_found_and_nothing_gives_false_boxes_alone() -> None:
    models = [ErrorModel(load_figures("day"), SIZE_PX, seed) for seed in range(200)]
    numbers = [len(model.find([])) for model in models for _ in range(5)]
    assert np.mean(numbers) == pytest.approx(load_figures("day").false_per_picture, rel=0.2)
    quiet = ErrorModel(replace(load_figures("day"), false_per_picture=0.0), SIZE_PX, 2)
    assert sum(len(quiet.find([car(number, 0.2)])) for number in range(50)) == 0


def test_the_same_seed_gives_the_same_boxes_pictures_and_gaps() -> None:
    def run(seed: int) -> tuple[bytes, bytes, list[bool]]:
        model = ErrorModel(load_figures("night"), SIZE_PX, seed)
        pictures = Schematic("night", seed, model.false_places)
        found = b"".join(model.find([car(k)]).xyxy.tobytes() for k in range(20))
        lost = [model.is_lost(t) for t in np.arange(0.0, 3600.0, 2.0)]
        return found, pictures.paint([car(1)], 4.0).tobytes(), lost

    first, again, other = run(5), run(5), run(6)
    assert first == again
    assert first[:2] != other[:2]
    assert 15 <= sum(first[2]) <= 80, "a gap of 30 s and one in a hundred"


@pytest.mark.parametrize("condition", sorted(CONDITIONS))
def test_a_patch_looks_like_itself_and_not_like_the_next_car(condition: str) -> None:
    pictures = Schematic(condition, 1, ())
    first = look.Places(pictures.paint([car(1)], 0.0)).take(BOX)
    same = [look.Places(pictures.paint([car(1)], 2.0 * k)).alike(first, BOX) for k in range(1, 6)]
    others = [look.Places(pictures.paint([car(k)], 2.0)).alike(first, BOX) for k in range(2, 22)]
    assert min(same) > 0.75
    assert np.median(others) < 0.45
    assert look.Places(pictures.paint([], 2.0)).alike(first, BOX) < 0.3


def test_the_spread_between_vehicles_is_none_where_all_are_alike() -> None:
    assert object_spread([0.9, 0.9, 0.9], 100) == 0.0
    assert object_spread([1.0, 1.0, 0.4], 74) > 1.5

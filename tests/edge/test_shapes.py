"""Zones are simple polygons, and boxes are measured against them as by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.observe import Box
from edge.shapes import (
    Mask,
    Zone,
    area,
    common,
    commons,
    foot_of,
    iou,
    ious,
    overlap_of_smaller,
    same_vehicles,
)

LEFT = Zone(id="left", points=((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
BOXES = st.tuples(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0.51, 1), st.floats(0.51, 1))


@pytest.mark.parametrize(
    ("box", "share"),
    [
        pytest.param((0.1, 0.1, 0.2, 0.2), 1.0, id="inside"),
        pytest.param((0.4, 0.1, 0.6, 0.2), 0.5, id="half"),
        pytest.param((0.6, 0.1, 0.8, 0.2), 0.0, id="outside"),
        pytest.param((0.2, 0.2, 0.2, 0.4), 0.0, id="without area"),
    ],
)
def test_a_zone_covers_its_share_of_a_box(box: Box, share: float) -> None:
    assert LEFT.covers_frac(box) == pytest.approx(share)
    assert LEFT.covers_fracs([box, box]) == [LEFT.covers_frac(box)] * 2


@pytest.mark.parametrize(
    ("points", "part"),
    [
        pytest.param(((0, 0), (1, 1), (1, 0), (0, 1)), "crosses itself at", id="bow tie"),
        pytest.param(((0, 0), (0.5, 0.5), (1, 1)), "no area", id="a line"),
        pytest.param(((0, 0), (1, 0), (1, 1), (1, 0), (0, 0.5)), "in order around", id="there and back"),
        pytest.param(((0, 0), (0, 0), (0, 0)), "no area", id="one point"),
    ],
)
def test_what_is_no_simple_polygon_is_refused(points: tuple[tuple[float, float], ...], part: str) -> None:
    with pytest.raises(ValidationError, match=part):
        Mask.model_validate({"points": [[float(x), float(y)] for x, y in points]})


@given(BOXES, BOXES)
def test_overlaps_are_symmetric_and_bounded(a: Box, b: Box) -> None:
    assert iou(a, b) == pytest.approx(iou(b, a))
    assert 0 <= iou(a, b) <= overlap_of_smaller(a, b) + 1e-9 <= 1 + 1e-6
    assert iou(a, a) == pytest.approx(1.0)


@given(st.lists(BOXES, max_size=4), st.lists(BOXES, max_size=3))
def test_many_pairs_are_measured_as_each_alone(some: list[Box], others: list[Box]) -> None:
    assert commons(some, others).tolist() == [[common(a, b) for b in others] for a in some]
    assert ious(some, others).tolist() == [[iou(a, b) for b in others] for a in some]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param((0.1, 0.1, 0.3, 0.3), (0.12, 0.1, 0.32, 0.3), True, id="hardly moved"),
        pytest.param((0.1, 0.1, 0.3, 0.3), (0.1, 0.1, 0.3, 0.2), True, id="half of it, inside"),
        pytest.param((0.1, 0.1, 0.5, 0.5), (0.2, 0.2, 0.3, 0.3), False, id="a small one before it"),
        pytest.param((0.1, 0.1, 0.3, 0.3), (0.25, 0.1, 0.45, 0.3), False, id="the next one"),
    ],
)
def test_two_boxes_of_one_vehicle_are_told(one: Box, other: Box, same: bool) -> None:
    assert same_vehicles([one], [other]).tolist() == [[same]]


def test_boxes_apart_do_not_overlap() -> None:
    assert iou((0, 0, 0.1, 0.1), (0.2, 0.2, 0.3, 0.3)) == 0.0
    assert overlap_of_smaller((0, 0, 0.1, 0.1), (0.2, 0, 0.3, 0.1)) == 0.0
    assert overlap_of_smaller((0, 0, 0.4, 0.4), (0.1, 0.1, 0.2, 0.2)) == pytest.approx(1.0)


def test_the_foot_is_where_the_wheels_are() -> None:
    assert foot_of((0.0, 0.0, 1.0, 1.0)) == pytest.approx((0.1, 0.65, 0.9, 1.0))
    assert area(foot_of((0.0, 0.0, 1.0, 1.0), 0.5)) == pytest.approx(0.4)

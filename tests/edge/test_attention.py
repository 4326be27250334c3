"""The part of a view that a model is shown: no box that a rule goes by may be lost for it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from edge_scenes import LABELS, Image, at

from edge.attention import Attention
from edge.shapes import Zone
from models.detections import Detections
from models.tiles import Tile
from streams.frame import Frame

ZONE = Zone(id="kerb", points=((0.5, 0.5), (0.9, 0.5), (0.9, 0.8), (0.5, 0.8)))
INSIDE, FAR = (400, 190, 460, 230), (40, 40, 100, 80)
TALL = (420, 90, 480, 230)  # stands in the zone, and reaches far above it


class Parts:
    """Finds bright boxes by their pixels, as far as it is shown them."""

    name, precision, labels = "parts@1.0.0", "f32", LABELS

    def __init__(self) -> None:
        self.shown: list[Tile] = []

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        return [self.detect_part(image, Tile(0, 0, image.shape[1], image.shape[0])) for image in images]

    def part_of(self, size_px: tuple[int, int], wanted: Tile) -> Tile:
        assert wanted.left + wanted.width <= size_px[0]
        assert wanted.top + wanted.height <= size_px[1]
        return wanted

    def detect_part(self, image: Image, part: Tile) -> Detections:
        self.shown.append(part)
        found, _ = cv2.findContours(
            np.ascontiguousarray(part.cut(image)[..., 0]), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
        )
        boxes = [(x, y, x + w, y + h) for x, y, w, h in map(cv2.boundingRect, found)]
        return part.moved(Detections.of(boxes, [0.8] * len(boxes), [0] * len(boxes), LABELS))

    def close(self) -> None:
        pass


class Played(Parts):
    """A whole-picture detector: it knows of no parts."""

    part_of = None  # type: ignore[assignment]


Corners = Sequence[tuple[float, ...]]


def show(attention: Attention, detector: Parts, boxes: Corners, now_s: float) -> Corners:
    image = np.zeros((360, 640, 3), np.uint8)
    for x1, y1, x2, y2 in (map(int, box) for box in boxes):
        image[y1:y2, x1:x2] = 255
    found = attention.look(detector, Frame(image, at(now_s), now_s, 0), now_s)
    return sorted(tuple(row) for row in found.xyxy.tolist())


def is_whole(part: Tile) -> bool:
    return (part.width, part.height) == (640, 360)


def test_after_one_look_at_the_whole_the_zone_and_its_surroundings_are_enough() -> None:
    attention, detector = Attention([ZONE], ["car"], 30.0), Parts()
    seen = [show(attention, detector, [INSIDE, FAR], 2.0 * index) for index in range(20)]
    assert seen == [[INSIDE]] * 20, "rules are told the same, whole look or not"
    assert [index for index, part in enumerate(detector.shown) if is_whole(part)] == [0, 15]
    part = detector.shown[1]
    assert part.left < 320
    assert part.top < 180
    assert part.width * part.height < 640 * 360 / 4


def test_a_vehicle_that_is_cut_is_seen_whole_in_the_same_look_and_the_part_grows() -> None:
    attention, detector = Attention([ZONE], ["car"], 30.0), Parts()
    show(attention, detector, [], 0.0)
    assert show(attention, detector, [TALL], 2.0) == [TALL]
    assert [is_whole(part) for part in detector.shown] == [True, False, True]
    assert show(attention, detector, [TALL], 4.0) == [TALL]
    assert len(detector.shown) == 4
    assert not is_whole(detector.shown[-1])


def test_what_is_cut_beside_the_zone_costs_no_second_look() -> None:
    attention, detector = Attention([ZONE], ["car"], 30.0), Parts()
    show(attention, detector, [INSIDE], 0.0)
    beside = (100, 200, 316, 230)  # ends within the part, its foot outside of the zone
    assert show(attention, detector, [INSIDE, beside], 2.0)[1] == INSIDE
    assert len(detector.shown) == 2


def test_without_zones_or_parts_the_whole_picture_is_shown() -> None:
    everything, detector = Attention([], ["car"], 30.0), Parts()
    for index in range(3):
        assert show(everything, detector, [INSIDE, FAR], 2.0 * index) == [FAR, INSIDE]
    assert all(map(is_whole, detector.shown))
    whole = Played()
    assert show(Attention([ZONE], ["car"], 30.0), whole, [INSIDE, FAR], 0.0) == [FAR, INSIDE]


def test_where_the_gate_is_off_every_look_is_at_the_whole() -> None:
    attention, detector = Attention([ZONE], ["car"], 0.0), Parts()
    for index in range(3):
        show(attention, detector, [INSIDE], 2.0 * index)
    assert all(map(is_whole, detector.shown))

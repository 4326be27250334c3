"""The change gate: what must be looked at, what is no change, and what a rule is told meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from edge_scenes import LABELS, Image, Thing, at, camera, car, ids, picture, write_model

from edge.config import load_config
from edge.gate import AWAITED_S, Gate, Why, grid_of, relevant_cells
from edge.observe import Observation
from edge.pipeline import CameraPipeline
from edge.replay import ReplayOptions, replay
from edge.shapes import Mask, Zone
from models.detections import Detections
from streams.frame import Frame, reduce_luma

STREET = [car(60, 100, colour=2), car(300)]
PARKING = {
    "kind": "illegal_parking",
    "zone": "road",
    "labels": ["car"],
    "stop_time_s": 600,
    "legal_time_s": 900,
}
GATED = {"gate": {"forced_look_s": 30.0}}
Change = Callable[[int], Image]


def street(index: int, things: Sequence[Thing] = STREET) -> Image:
    return picture(things, noise_seed=index)


def shaken(index: int) -> Image:
    return np.roll(street(index), index % 2 * 2, axis=(0, 1))


def dimmed(index: int) -> Image:
    return cv2.convertScaleAbs(street(index), alpha=1.0 if index < 3 else 0.7, beta=10)  # type: ignore[return-value]


def compressed(index: int) -> Image:
    _, data = cv2.imencode(".jpg", street(index), [cv2.IMWRITE_JPEG_QUALITY, 30 if index % 5 else 90])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def rainy(index: int) -> Image:
    image, rng = street(index), np.random.default_rng(index)
    for x, y in rng.integers(0, (640, 340), (150, 2)).tolist():
        cv2.line(image, (x, y), (x + 2, y + 14), (115, 115, 115), 1)
    return image


def waving(index: int) -> Image:
    image, rng = street(index), np.random.default_rng(index)
    image[:80, 500:] += rng.integers(0, 25, (20, 35, 1), np.uint8).repeat(4, 0).repeat(4, 1)
    return image


def decisions(make: Change, count: int = 12, step_s: float = 2.0) -> list[Why]:
    gate, out = Gate(1000.0), []
    for index in range(count):
        reduced = reduce_luma(make(index))
        decision = gate.judge(reduced, np.ones(grid_of(reduced), np.bool_), index * step_s, wanted=False)
        gate.note(decision, reduced, index * step_s)
        out.append(decision.why)
    return out


@pytest.mark.parametrize(
    "make", [street, shaken, dimmed, compressed], ids=["noise", "shake", "exposure step", "key frame pulses"]
)
def test_what_is_no_change_costs_no_look(make: Change) -> None:
    assert decisions(make) == [Why.FIRST, *[Why.UNCHANGED] * 11]


@pytest.mark.parametrize("make", [rainy, waving], ids=["rain", "leaves in the wind"])
def test_what_never_rests_is_soon_no_change(make: Change) -> None:
    assert decisions(make, 60)[30:].count(Why.UNCHANGED) >= 24


def arrives(index: int) -> Image:
    return street(index, [*STREET, *([car(200, 260, colour=5, size=(14, 8))] if index >= 6 else [])])


def leaves(index: int) -> Image:
    return street(index, STREET if index < 6 else STREET[:1])


def changes_places(index: int) -> Image:
    return street(index, [STREET[0], STREET[1] if index < 6 else car(300, colour=8)])


def smokes(index: int) -> Image:
    """A soft plume over the road, 14 grey levels at its core."""
    plume = np.zeros((360, 640, 1), np.float32)
    if index >= 6:
        cv2.circle(plume, (450, 120), 25, 14.0, -1)
        plume = cv2.GaussianBlur(plume, (0, 0), 10)[..., None]
    return np.clip(street(index) + plume, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "make",
    [arrives, leaves, changes_places, smokes, lambda i: rainy(i) if i < 6 else leaves(i)],
    ids=[
        "a far car",
        "a car that leaves",
        "another car at its place",
        "thin smoke",
        "a car that leaves in rain",
    ],
)
def test_what_has_changed_is_looked_at_at_once_and_once_more(make: Change) -> None:
    assert decisions(make)[6:9] == [Why.CHANGED, Why.SETTLING, Why.UNCHANGED]


def test_slow_change_adds_up() -> None:
    def grows(index: int) -> Image:
        image = street(index).astype(np.int16)
        image[100:140, 400:460] += index  # one grey level a picture
        return np.clip(image, 0, 255).astype(np.uint8)

    assert Why.CHANGED in decisions(grows, 30)


def test_change_outside_the_zones_or_under_a_mask_does_not_matter() -> None:
    zone = Zone(id="road", points=((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)))
    mask = Mask(points=((0.5, 0.5), (1.0, 0.5), (1.0, 1.0), (0.5, 1.0)))
    cells = relevant_cells((22, 40), [zone], [mask])
    assert not cells[:9].any()
    assert cells[11:, :20].all()
    assert not cells[12:, 20:].any()
    assert relevant_cells((22, 40), (), ()).all()


class BrightCars:
    """Finds whatever stands out from the road, by its pixels; counts how often it is asked."""

    name, precision, labels = "truth@1.0.0", "f32", LABELS

    def __init__(self, label: str = "car") -> None:
        self.asked, self.fails, self._class_id = 0, False, LABELS.index(label)

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        if self.fails:
            raise RuntimeError("the runtime fell over")
        self.asked += len(images)
        return [self._one(image) for image in images]

    def _one(self, image: Image) -> Detections:
        apart = (np.abs(image.astype(np.int16) - 95).max(axis=2) > 40).astype(np.uint8)
        found, _ = cv2.findContours(
            cv2.dilate(apart, np.ones((9, 9))), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
        )
        boxes = [(x, y, x + w, y + h) for x, y, w, h in map(cv2.boundingRect, found) if w * h > 900]
        return Detections.of(boxes, [0.8] * len(boxes), [self._class_id] * len(boxes), LABELS)

    def close(self) -> None:
        pass


def watched(
    detector: BrightCars, rule: dict[str, object] = PARKING
) -> tuple[CameraPipeline, list[Observation]]:
    """A pipeline whose rule notes what it is told."""
    made = CameraPipeline(camera([rule], **GATED), {"vehicle": detector, "smoke": detector}, ids())
    told: list[Observation] = []
    bound = made._views["fixed"].rules[0]
    rule_of = bound.rule

    class Spy:
        def __call__(self, seen: Observation) -> list[object]:
            told.append(seen)
            return rule_of(seen)  # type: ignore[return-value]

        def __getattr__(self, name: str) -> object:
            return getattr(rule_of, name)

    bound.rule = Spy()  # type: ignore[assignment]
    return made, told


def show(pipeline: CameraPipeline, image: Image, index: int, step_s: float = 2.0) -> None:
    pipeline.process(Frame(image, at(index * step_s), index * step_s, index))


def test_a_rule_is_told_of_every_picture_with_boxes_carried_over_and_marked() -> None:
    detector = BrightCars()
    pipeline, told = watched(detector)
    for index in range(40):
        show(pipeline, street(index), index)
    assert len(told) == 40
    assert all(len(seen.detections) == 2 for seen in told)
    fresh = [index for index, seen in enumerate(told) if seen.carried is None]
    assert fresh == [0, 15, 30], "a look is forced each 30 s"
    assert all(seen.carried is None or seen.carried.tolist() == [True, True] for seen in told)
    assert detector.asked == 3
    assert pipeline.looks == {Why.FIRST: 1, Why.FORCED: 2, Why.UNCHANGED: 37}
    assert [len(track.tracks) for track in told[-5:]] == [2] * 5


def test_smoke_is_asked_about_again_for_as_long_as_it_is_seen() -> None:
    detector = BrightCars("smoke")
    pipeline, told = watched(detector, {"kind": "smoke"})
    for index in range(6):
        show(pipeline, street(index), index)
    assert all(seen.carried is None for seen in told)
    for index in range(6, 12):
        show(pipeline, street(index, []), index)
    assert [seen.carried is None for seen in told[6:]] == [True, True, False, False, False, False]


def test_while_a_candidate_waits_its_model_is_asked_every_few_seconds() -> None:
    detector = BrightCars()
    pipeline, told = watched(detector, {**PARKING, "stop_time_s": 8, "legal_time_s": 20})
    for index in range(20):
        show(pipeline, street(index, STREET[:1]), index)
    looked = [seen.carried is None for seen in told]
    asked = [index for index in range(5, 12) if looked[index]]
    assert len(asked) == 2, "the candidate waits from 8 s to 20 s"
    assert (asked[1] - asked[0]) * 2.0 == AWAITED_S
    assert not any(looked[12:]), "the alert is open"
    assert len(pipeline.open_alerts()) == 1


def test_a_look_that_failed_is_made_again() -> None:
    detector = BrightCars()
    pipeline, told = watched(detector)
    detector.fails = True
    with pytest.raises(RuntimeError):
        show(pipeline, street(0), 0)
    detector.fails = False
    show(pipeline, street(1), 1)
    assert [len(seen.detections) for seen in told] == [2]


def test_a_replay_is_the_same_each_time_and_can_do_without_the_gate(tmp_path: Path) -> None:
    write_model(tmp_path / "models", "vehicle", LABELS)
    source = tmp_path / "pictures"
    source.mkdir()
    for index in range(60):
        cv2.imwrite(str(source / f"{1777622400 + 2 * index}.png"), street(index, STREET[:1]))
    quick = camera([{**PARKING, "stop_time_s": 8, "legal_time_s": 20}])
    view = quick.views[0].model_dump(mode="json", exclude_none=True)
    document = {"site": "s", "edge": "e", "models_dir": "models"}
    document["cameras"] = [{"id": "cam", "url": "pictures", "views": [view]}]  # type: ignore[assignment]
    (tmp_path / "edge.yaml").write_text(json.dumps(document))
    config, alerts = load_config(tmp_path / "edge.yaml"), tmp_path / "alerts.jsonl"
    out: dict[str, tuple[bytes, int]] = {}
    for name, gate in (("one", True), ("two", True), ("without", False)):
        options = ReplayOptions("cam", source, gate=gate, gate_dir=tmp_path / name if gate else None)
        detector = BrightCars()
        replay(config, options, alerts, detectors={"vehicle": detector})
        out[name] = alerts.read_bytes(), detector.asked
    assert out["one"] == out["two"]
    opened = [json.loads(data.splitlines()[0]) for data, _ in out.values()]
    assert {alert["phase"] for alert in opened} == {"opened"}
    assert len({alert["captured_at"] for alert in opened}) == 1, "not a picture later for the gate"
    assert out["without"][1] == 60
    assert out["one"][1] < 20
    assert len(list((tmp_path / "one").iterdir())) == 60

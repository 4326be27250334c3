"""What every scene offers, and the part that scenes with vehicles share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from streams.simulator.camera import PinholeCamera
from streams.simulator.draw import Outline, Pose, Sprite, lay_shadow, lay_sprite, make_sprite, outline
from streams.simulator.light import Light
from streams.simulator.sensor import SensorNoise
from streams.simulator.traffic import Traffic
from streams.simulator.truth import Box, TruthBox, TruthEvent, TruthZone
from streams.simulator.vehicles import VehicleModel

Image = npt.NDArray[np.uint8]
_MIN_BOX_PX = 4.0
_MIN_VISIBLE = 0.05
_LABEL_SCALE = 0.5  # outlines are compared at half size


class Scene(Protocol):
    """A scene that runs forward in time. Ask for times in rising order."""

    @property
    def camera(self) -> PinholeCamera:
        """The camera, which also gives the size of the picture."""
        ...

    @property
    def zones(self) -> tuple[TruthZone, ...]:
        """Areas of the view."""
        ...

    def boxes(self, t_s: float) -> tuple[TruthBox, ...]:
        """Move to ``t_s`` seconds and return what is to be seen."""
        ...

    def picture(self) -> Image:
        """Draw the time that :meth:`boxes` moved to; uint8 (height, width, 3) BGR."""
        ...

    def events(self) -> tuple[TruthEvent, ...]:
        """Return what has happened up to now."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """A vehicle, or something else, that does not move."""

    object_id: int
    model: VehicleModel
    pose: Pose


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    object_id: int
    model: VehicleModel
    pose: Pose
    speed_m_s: float
    shape: Outline


@dataclass(slots=True, eq=False)
class TrafficScene:
    """Vehicles on a fixed background; the scenes differ in layout and storyboard.

    ``background`` draws the empty scene, called when the first picture is asked for;
    ``tell_events`` reads the events from the traffic's logs. ``lying``: what lies on the road just now.
    """

    camera: PinholeCamera
    light: Light
    zones: tuple[TruthZone, ...]
    traffic: Traffic
    standing: tuple[Standing, ...]
    background: Callable[[], Image]
    tell_events: Callable[[TrafficScene], tuple[TruthEvent, ...]]
    noise: SensorNoise
    lying: list[Standing] = field(default_factory=list)
    _empty: Image | None = None
    _seen: list[_Seen] = field(default_factory=list)
    _shapes: dict[int, tuple[Pose, Outline | None]] = field(default_factory=dict)
    _sprites: dict[int, tuple[Pose, Sprite | None]] = field(default_factory=dict)

    def boxes(self, t_s: float) -> tuple[TruthBox, ...]:
        """Move the traffic to ``t_s`` and return one box per vehicle in sight, and per thing on the road."""
        self.traffic.advance(t_s)
        things = [(m.object_id, m.model, m.pose, m.speed_m_s) for m in self.traffic.movers]
        things += [(s.object_id, s.model, s.pose, 0.0) for s in (*self.standing, *self.lying)]
        seen = []
        shapes: dict[int, tuple[Pose, Outline | None]] = {}
        for object_id, model, pose, speed in things:
            known = self._shapes.get(object_id)
            shape = known[1] if known and known[0] == pose else outline(model, pose, self.camera)
            shapes[object_id] = (pose, shape)
            if shape is not None:
                seen.append(_Seen(object_id, model, pose, speed, shape))
        self._shapes = shapes
        self._seen = sorted(seen, key=lambda s: -s.shape.distance_m)
        visible = _visible_frac([s.shape for s in self._seen], self.camera.size_px)
        made = [
            TruthBox(s.object_id, s.model.label, box, round(frac, 3), s.speed_m_s)
            for s, frac in zip(self._seen, visible, strict=True)
            if frac >= _MIN_VISIBLE and (box := frame_box(s.shape, self.camera.size_px)) is not None
        ]
        return tuple(sorted(made, key=lambda b: b.object_id))

    def picture(self) -> Image:
        """Draw the vehicles, far ones first, on the background."""
        if self._empty is None:
            self._empty = self.background()
        image = self._empty.copy()
        sprites = []
        for thing in self._seen:
            pose, sprite = self._sprites.get(thing.object_id, (None, None))
            if pose != thing.pose:
                sprite = make_sprite(thing.model, thing.pose, self.camera, self.light, thing.shape)
                self._sprites[thing.object_id] = (thing.pose, sprite)
            if sprite is not None:
                sprites.append(sprite)
        for sprite in sprites:
            lay_shadow(image, sprite)
        for sprite in sprites:
            lay_sprite(image, sprite)
        self.noise.add_to(image)
        present = {thing.object_id for thing in self._seen}
        self._sprites = {key: value for key, value in self._sprites.items() if key in present}
        return image

    def events(self) -> tuple[TruthEvent, ...]:
        """Return what has happened up to now."""
        return self.tell_events(self)

    def box_of(self, model: VehicleModel, pose: Pose) -> Box:
        """Return the box of a vehicle at a pose, whether it is there now or not."""
        shape = outline(model, pose, self.camera)
        box = None if shape is None else frame_box(shape, self.camera.size_px)
        return box or (0.0, 0.0, 0.0, 0.0)


def frame_box(shape: Outline, size: tuple[int, int]) -> Box | None:
    """Return the outline's box in [0, 1] of the frame, cut at its border; None if almost nothing is left."""
    low = np.clip(shape.hull_px.min(axis=0), 0, size)
    high = np.clip(shape.hull_px.max(axis=0), 0, size)
    if float((high - low).min()) < _MIN_BOX_PX:
        return None
    return (
        float(low[0] / size[0]),
        float(low[1] / size[1]),
        float(high[0] / size[0]),
        float(high[1] / size[1]),
    )


def _visible_frac(shapes: list[Outline], size: tuple[int, int]) -> list[float]:
    """Return the visible share of each outline; ``shapes`` come far ones first."""
    owner = np.zeros((int(size[1] * _LABEL_SCALE), int(size[0] * _LABEL_SCALE)), np.uint8)
    windows = []
    for index, shape in enumerate(shapes[:254]):
        points = np.round(shape.hull_px * _LABEL_SCALE).astype(np.int32)
        cv2.fillConvexPoly(owner, points, index + 1)
        x, y, w, h = cv2.boundingRect(points)
        windows.append(
            (max(0, x), max(0, y), x + w, y + h, float(cv2.contourArea(points.astype(np.float32))), w + h)
        )
    shares = []
    for index, (x1, y1, x2, y2, area, rim) in enumerate(windows):
        count = int(np.count_nonzero(owner[y1:y2, x1:x2] == index + 1))
        # a filled polygon holds about half of its rim more than its area
        shares.append(min(1.0, count / max(area + rim / 2, 1.0)))
    return shares + [0.0] * (len(shapes) - len(shares))

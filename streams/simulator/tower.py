"""A tower whose camera patrols presets all around: land to the horizon, haze, fires, and look-alikes by name.

The head rests at each preset, then turns on to the next. Each view has its own land, its own fires
(0.3 to 3 km off) and its own negatives (:mod:`streams.simulator.tower_story`); boxes, zones and events
are in the frame of the preset that the event's ``zone`` names, places on the ground in metres east
and north of the tower.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from streams.simulator.camera import PinholeCamera
from streams.simulator.farmland import compose
from streams.simulator.land import Land, make_land
from streams.simulator.light import Light, daylight
from streams.simulator.noise import FloatImage, fbm
from streams.simulator.scene import Image
from streams.simulator.sensor import SensorNoise
from streams.simulator.sky import Sky, make_sky
from streams.simulator.tower_plume import Depth, TowerPlume
from streams.simulator.tower_story import (
    CLEAR,
    Spell,
    Thing,
    chimney_of,
    fire_of,
    machines_of,
    outbreaks_of,
    spells_of,
)
from streams.simulator.tower_weather import PAINTERS, Canvas, Painter, suspects
from streams.simulator.truth import Box, Point, TruthBox, TruthEvent, TruthZone

PRESETS = 12
DWELL_S, SLEW_S = 10.0, 5.0
ROUND_S = PRESETS * (DWELL_S + SLEW_S)
_HFOV_DEG = 33.0  # twelve of them go round, with an overlap
_CLOUD_SHADE, _DEEP_SHADE = 0.35, 0.7
_SKY_S = 900.0


def preset_name(index: int) -> str:
    """Return the name of a preset: north is the first, then clockwise."""
    return f"p{index * 360 // PRESETS:03d}"


@dataclass(slots=True, eq=False)
class TowerView:
    """What one preset shows; its land is drawn when a picture is first asked for."""

    name: str
    azimuth_deg: float
    camera: PinholeCamera
    light: Light
    seed: int
    things: tuple[Thing, ...]
    spells: tuple[Spell, ...]
    _plumes: list[TowerPlume] = field(default_factory=list)
    _depths: list[tuple[TowerPlume, Depth]] = field(default_factory=list)
    _largest: dict[int, Box] = field(default_factory=dict)
    _land: Land | None = None
    _sky: Sky | None = None
    _drifting: FloatImage | None = None
    _painters: dict[str, Painter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Give each thing its plume."""
        self._plumes = [
            TowerPlume(thing.source, np.random.default_rng([self.seed, 63, number]))
            for number, thing in enumerate(self.things)
        ]

    def boxes(self, t_s: float) -> tuple[TruthBox, ...]:
        """Move to ``t_s``; return what the eye can find of smoke, dust and steam."""
        made, self._depths = [], []
        size = self.camera.size_px
        for number, (thing, plume) in enumerate(zip(self.things, self._plumes, strict=True)):
            depth = plume.depth(t_s, size)
            if depth is None:
                continue
            self._depths.append((plume, depth))
            box = depth.box(size)
            if box is not None:
                made.append(
                    TruthBox(number, thing.kind, box, round(depth.opacity, 3), abs(thing.source.speed_m_s))
                )
                known = self._largest.get(number)
                self._largest[number] = box if known is None or _area(box) > _area(known) else known
        return tuple(made)

    def picture(self, t_s: float) -> Image:
        """Draw the time that :meth:`boxes` moved to, without the sensor's noise."""
        land, sky, drifting = self._scenery()
        deep = any(spell.name == "cloud_shadow" for spell in self.spells)
        image = compose(land, sky, drifting, (_DEEP_SHADE if deep else _CLOUD_SHADE) * self.light.shadow, t_s)
        self._stand(image, t_s)
        haze_bgr = np.asarray(land.haze_bgr, np.float32)
        for plume, depth in self._depths:
            rows, columns = depth.tau.shape
            part = image[depth.top : depth.top + rows, depth.left : depth.left + columns]
            painted = part.astype(np.float32)
            plume.draw(painted, depth, self.light, haze_bgr)
            part[:] = np.clip(painted, 0, 255).astype(np.uint8)
        for name, strength in self.active(t_s).items():
            if name in PAINTERS:
                image = self._painter(name, land)(image, t_s, strength)
        return image

    def active(self, t_s: float) -> dict[str, float]:
        """Return the negatives that are to be seen now, with their strength in (0, 1]."""
        strengths = {spell.name: spell.strength(t_s) for spell in self.spells if spell.strength(t_s) > 0}
        return dict(sorted(strengths.items()))

    def events(self, t_s: float) -> list[TruthEvent]:
        """Return what has begun by now: fires, and the negatives as events that must stay silent."""
        made = []
        for number, thing in enumerate(self.things):
            one = thing.source
            if one.started_s <= t_s:
                x, y = (v / side for v, side in zip(one.foot_px, self.camera.size_px, strict=True))
                spot = (x - 0.005, y - 0.01, x + 0.005, y)
                gone_s = one.ended_s + (one.life_s if thing.kind == "smoke" else 0.0)
                made.append(
                    TruthEvent(
                        kind=thing.kind,
                        alarm=thing.kind == "smoke",
                        started_s=one.started_s,
                        ended_s=gone_s if gone_s <= t_s else None,
                        zone=self.name,
                        box=self._largest.get(number, spot),
                        ground_m=self._on_ground(thing.ground_m),
                        object_id=number,
                    )
                )
        for spell in self.spells:
            if spell.name in PAINTERS and spell.started_s <= t_s:
                ended_s = spell.ended_s if spell.ended_s <= t_s else None
                began_s = max(spell.started_s, 0.0)
                made.append(
                    TruthEvent(
                        kind=spell.name,
                        alarm=False,
                        started_s=began_s,
                        ended_s=ended_s,
                        zone=self.name,
                        box=(0.0, 0.0, 1.0, 1.0),
                        ground_m=(0.0, 0.0),
                    )
                )
        return made

    def zones(self) -> list[TruthZone]:
        """Return the whole view, and its chimneys."""
        zones = [TruthZone(self.name, "fields", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))]
        width, height = self.camera.size_px
        for thing in self.things:
            if thing.kind == "steam":
                (x, y), m = thing.source.foot_px, thing.source.px_per_m
                left, right = max(x - 18 * m, 0) / width, min(x + 18 * m, width) / width
                top, bottom = max(y - 30 * m, 0) / height, min(y + 10 * m, height) / height
                corners = ((left, top), (right, top), (right, bottom), (left, bottom))
                zones.append(TruthZone(f"{self.name}-chimney", "known_source", corners))
                break
        return zones

    def _scenery(self) -> tuple[Land, Sky, FloatImage]:
        if self._land is None or self._sky is None or self._drifting is None:
            rng = np.random.default_rng([self.seed, 64])
            self._land = make_land(self.camera, self.light, rng)
            size = (self.camera.size_px[0], self._land.sky_rows)
            self._sky = make_sky(size, self.light, self._land.haze_bgr, _SKY_S, rng)
            self._drifting = fbm((256, 512), rng, 40, 4)
        return self._land, self._sky, self._drifting

    def _painter(self, name: str, land: Land) -> Painter:
        if name not in self._painters:
            canvas = Canvas(land, self.horizon_px, self.camera.size_px, self.seed, self.seed // PRESETS)
            self._painters[name] = PAINTERS[name](canvas)
        return self._painters[name]

    @property
    def horizon_px(self) -> float:
        """The row of the horizon."""
        return float(self.camera.project(np.array([[0.0, 1e6, 0.0]]))[0][0, 1])

    def suspects(self, t_s: float) -> list[TruthBox]:
        """Return what of the negatives in sight may be taken for smoke, as visible as it is strong."""
        size, made = self.camera.size_px, []
        for number, spell in enumerate(self.spells):
            strength = spell.strength(t_s)
            if strength <= 0:
                continue
            horizon = self.horizon_px / size[1]
            for index, box in enumerate(
                suspects(spell.name, self.seed, self.seed // PRESETS, size, horizon, t_s)
            ):
                made.append(TruthBox(1000 + 100 * number + index, spell.name, box, strength))
        return made

    def _stand(self, image: Image, t_s: float) -> None:
        """Draw the machines at work, and the chimneys, which always stand."""
        for thing in self.things:
            one = thing.source
            (x, y), m = one.foot_px, one.px_per_m
            if thing.kind == "steam":
                corner, other = (x - 0.5 * one.width_m * m, y), (x + 0.5 * one.width_m * m, y + 40 * m)
                _block(image, corner, other, (92, 98, 108))
            elif thing.kind == "dust" and one.started_s <= t_s <= one.ended_s:
                x += one.going(t_s)[0] * m
                _block(image, (x - 4 * m, y - 4 * m), (x + 4 * m, y + 0.5 * m), (40, 60, 150))

    def _on_ground(self, at_m: Point) -> Point:
        turn = math.radians(self.azimuth_deg)
        c, s = math.cos(turn), math.sin(turn)
        return (c * at_m[0] + s * at_m[1], -s * at_m[0] + c * at_m[1])


@dataclass(slots=True, eq=False)
class TowerScene:
    """The patrol. Ask for times in any order; the truth's largest boxes grow with what was asked for."""

    camera: PinholeCamera
    views: tuple[TowerView, ...]
    noise: SensorNoise
    _t_s: float = 0.0

    @property
    def zones(self) -> tuple[TruthZone, ...]:
        """Return one zone for each preset, named after it, and one for each chimney."""
        return tuple(zone for view in self.views for zone in view.zones())

    def view_at(self, t_s: float) -> tuple[TowerView, float]:
        """Return the view, and how far the head has turned on to the next one, in [0, 1)."""
        stop, into_s = divmod(t_s, DWELL_S + SLEW_S)
        turned = max(into_s - DWELL_S, 0.0) / SLEW_S
        return self.views[int(stop) % len(self.views)], turned

    def boxes(self, t_s: float) -> tuple[TruthBox, ...]:
        """Move to ``t_s``; return what is to be seen at the preset; nothing while the head turns."""
        self._t_s = t_s
        view, turned = self.view_at(t_s)
        return () if turned else view.boxes(t_s)

    def picture(self) -> Image:
        """Draw the preset, or what passes by while the head turns."""
        view, turned = self.view_at(self._t_s)
        image = view.picture(self._t_s)
        if turned:
            following = self.views[(self.views.index(view) + 1) % len(self.views)]
            image = _passing(image, following.picture(self._t_s), turned)
        self.noise.add_to(image)
        return image

    def events(self) -> tuple[TruthEvent, ...]:
        """Return what has begun up to now, in all views."""
        return tuple(event for view in self.views for event in view.events(self._t_s))


def tower(
    seed: int, size: tuple[int, int], seconds: float, weather: str = CLEAR, *, fires: int
) -> TowerScene:
    """Build a tower with so many fires at a time, or with the negative called ``weather``, or both."""
    rng = np.random.default_rng([seed, 61])
    camera = PinholeCamera((0.0, 0.0, float(rng.uniform(33, 42))), 0.0, 4.2, 0.0, _HFOV_DEG, size)
    sunlight = daylight(rng)
    outbreaks = outbreaks_of(seconds, PRESETS, fires, np.random.default_rng([seed, 66]))
    views = []
    for index in range(PRESETS):
        azimuth = index * 360.0 / PRESETS
        own = replace(camera, pitch_deg=float(rng.uniform(3.4, 5.0)))
        spells = spells_of(weather, seconds, seed, index)
        things = [fire_of(one, own, rng) for one in outbreaks if one.view == index]
        if weather == "dust":
            things += machines_of(spells, own, rng)
        if weather == "steam":
            things += chimney_of(spells, own, rng)
        views.append(
            TowerView(
                preset_name(index),
                azimuth,
                own,
                _turned(sunlight, azimuth),
                seed * PRESETS + index,
                tuple(things),
                spells,
            )
        )
    noise = SensorNoise(size, float(rng.uniform(1.0, 2.2)), np.random.default_rng([seed, 65]))
    return TowerScene(camera, tuple(views), noise)


def _turned(light: Light, azimuth_deg: float) -> Light:
    """Return the light as it falls on a view that looks along ``azimuth_deg``."""
    turn, (x, y, z) = math.radians(azimuth_deg), light.sun_dir
    c, s = math.cos(turn), math.sin(turn)
    return replace(light, sun_dir=(c * x - s * y, s * x + c * y, z))


def _passing(image: Image, following: Image, turned: float) -> Image:
    """Return what the turning head sees: both views side by side, smeared."""
    width = image.shape[1]
    left = int(turned * width)
    both = np.concatenate([image, following], axis=1)[:, left : left + width]
    return np.asarray(cv2.blur(both, (max(3, width // 24), 1)), np.uint8)


def _block(image: Image, corner: Point, other: Point, bgr: tuple[int, int, int]) -> None:
    (x1, y1), (x2, y2) = ((round(p[0]), round(p[1])) for p in (corner, other))
    cv2.rectangle(image, (x1, y1), (max(x2, x1 + 1), max(y2, y1 + 1)), bgr, -1)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])

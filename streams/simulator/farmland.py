"""Farmland seen from a tower: fields to the horizon, haze, drifting clouds, and smoke from a field."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from streams.simulator.camera import PinholeCamera
from streams.simulator.draw import Pose, lay_shadow, lay_sprite, make_sprite, outline
from streams.simulator.land import Land, make_land
from streams.simulator.light import Light, daylight
from streams.simulator.noise import FloatImage, fbm, smoothstep
from streams.simulator.plume import Fire, Plume, visible_box
from streams.simulator.scene import Image, frame_box
from streams.simulator.sensor import SensorNoise
from streams.simulator.sky import Sky, make_sky
from streams.simulator.truth import Box, TruthBox, TruthEvent, TruthZone
from streams.simulator.vehicles import VehicleModel, truck

_WEATHER_STEP_S = 1.0  # clouds are redrawn this often
_CLOUD_CELL_M = 420.0
_SHADE = 0.45  # of what a cast shadow takes, in a cloud's
SMOKE_ID, TRACTOR_ID = 1, 2


@dataclass(frozen=True, slots=True)
class Tractor:
    """A machine that goes to and fro along a field: middle of its way, half its length, speed."""

    model: VehicleModel
    middle_m: tuple[float, float]
    reach_m: float
    speed_m_s: float

    def pose(self, t_s: float) -> Pose:
        """Return where it is; it turns at both ends."""
        lap = (t_s * self.speed_m_s) % (4 * self.reach_m)
        ahead = lap < 2 * self.reach_m
        x = -self.reach_m + lap if ahead else 3 * self.reach_m - lap
        return Pose(self.middle_m[0] + x, self.middle_m[1], 0.0 if ahead else math.pi)


@dataclass(slots=True, eq=False)
class FarmlandScene:
    """The scene; ``plume`` is None where nothing burns. Pictures are drawn from a cached landscape."""

    camera: PinholeCamera
    light: Light
    zones: tuple[TruthZone, ...]
    plume: Plume | None
    fire_ground_m: tuple[float, float]
    tractor: Tractor
    noise: SensorNoise
    seed: int
    seconds: float
    _t_s: float = 0.0
    _smoke: tuple[FloatImage, int, int] | None = None
    _largest: Box | None = None
    _land: Land | None = None
    _sky: Sky | None = None
    _drifting: FloatImage | None = None
    _weather: Image | None = None
    _weather_at: float = field(default=-math.inf)

    def boxes(self, t_s: float) -> tuple[TruthBox, ...]:
        """Move to ``t_s``; return the smoke's box once the eye can find it, and the tractor's."""
        self._t_s = t_s
        self._smoke = None if self.plume is None else self.plume.depth(t_s, self.camera.size_px)
        made = []
        seen = None if self._smoke is None else visible_box(self._smoke, self.camera.size_px)
        if seen is not None:
            box, opacity = seen
            made.append(TruthBox(SMOKE_ID, "smoke", box, round(opacity, 3)))
            self._largest = (
                box if self._largest is None or _area(box) > _area(self._largest) else self._largest
            )
        shape = outline(self.tractor.model, self.tractor.pose(t_s), self.camera)
        place = None if shape is None else frame_box(shape, self.camera.size_px)
        if place is not None:
            made.append(TruthBox(TRACTOR_ID, "truck", place, 1.0, self.tractor.speed_m_s))
        return tuple(made)

    def picture(self) -> Image:
        """Draw land, sky, tractor and smoke."""
        image = self._weathered().copy()
        sprite = make_sprite(self.tractor.model, self.tractor.pose(self._t_s), self.camera, self.light)
        if sprite is not None:
            lay_shadow(image, sprite)
            lay_sprite(image, sprite)
        if self.plume is not None and self._smoke is not None and self._land is not None:
            tau, left, top = self._smoke
            window = (slice(top, top + tau.shape[0]), slice(left, left + tau.shape[1]))
            part = image[window].astype(np.float32)
            self.plume.draw(part, (tau, 0, 0), self.light, self._land.haze_bgr)
            image[window] = np.clip(part, 0, 255).astype(np.uint8)
        self.noise.add_to(image)
        return image

    def events(self) -> tuple[TruthEvent, ...]:
        """Return the fire, if it was lit."""
        if self.plume is None or self._t_s < self.plume.fire.ignited_s:
            return ()
        x, y = self.plume.fire.foot_px
        width, height = self.camera.size_px
        spot = (x / width, y / height - 0.01, x / width + 0.01, y / height)
        event = TruthEvent(
            kind="smoke",
            alarm=True,
            started_s=self.plume.fire.ignited_s,
            ended_s=None,
            zone="fields",
            box=self._largest or spot,
            ground_m=self.fire_ground_m,
            object_id=SMOKE_ID,
        )
        return (event,)

    def _weathered(self) -> Image:
        """Return the land under the sky of this second."""
        if self._land is None or self._sky is None or self._drifting is None:
            rng = np.random.default_rng([self.seed, 33])
            self._land = make_land(self.camera, self.light, rng)
            sky_size = (self.camera.size_px[0], self._land.sky_rows)
            self._sky = make_sky(sky_size, self.light, self._land.haze_bgr, self.seconds, rng)
            self._drifting = fbm((256, 512), rng, 40, 4)
        step = math.floor(self._t_s / _WEATHER_STEP_S)
        if self._weather is None or step != self._weather_at:
            self._weather_at = step
            shade = _SHADE * self.light.shadow
            self._weather = compose(self._land, self._sky, self._drifting, shade, step * _WEATHER_STEP_S)
        return self._weather


def farmland(seed: int, size: tuple[int, int], seconds: float, *, fire: bool) -> FarmlandScene:
    """Build the scene, with or without a fire."""
    rng = np.random.default_rng([seed, 31])
    camera = PinholeCamera(
        position_m=(0.0, 0.0, float(rng.uniform(30, 42))),
        yaw_deg=0.0,
        pitch_deg=float(rng.uniform(3.2, 5.5)),
        roll_deg=float(rng.uniform(-0.3, 0.3)),
        hfov_deg=float(rng.uniform(44, 54)),
        size_px=size,
    )
    light = daylight(rng)
    burning, ground = _fire(camera, rng)
    plume = Plume(burning, np.random.default_rng([seed, 32]), seconds) if fire else None
    machine = Tractor(
        truck((36.0, 40.0, 170.0), 5.9),
        (float(rng.uniform(-40, 40)), float(rng.uniform(230, 330))),
        float(rng.uniform(30, 60)),
        float(rng.uniform(1.5, 2.5)),
    )
    horizon = camera.project(np.array([[0.0, 1e6, 0.0]]))[0][0, 1] / size[1]
    top = max(0.0, float(horizon) - 0.12)
    zone = TruthZone("fields", "fields", ((0.0, top), (1.0, top), (1.0, 1.0), (0.0, 1.0)))
    noise = SensorNoise(size, float(rng.uniform(1.2, 2.6)), np.random.default_rng([seed, 34]))
    return FarmlandScene(camera, light, (zone,), plume, ground, machine, noise, seed, seconds)


def _fire(camera: PinholeCamera, rng: np.random.Generator) -> tuple[Fire, tuple[float, float]]:
    """Choose where it burns, so that the plume stays in the picture, and how the wind blows."""
    distance = float(rng.uniform(520, 1000))
    wind = float(rng.choice([-1, 1]) * rng.uniform(0.8, 2.4))
    half = distance * math.tan(math.radians(camera.hfov_deg / 2))
    x = -math.copysign(float(rng.uniform(0.05, 0.45)) * half, wind)
    foot, depth = camera.project(np.array([[x, distance, 0.0]]))
    fire = Fire(
        ignited_s=float(rng.uniform(18, 22)),
        foot_px=(float(foot[0, 0]), float(foot[0, 1])),
        px_per_m=camera.focal_px / float(depth[0]),
        wind_m_s=wind,
        lift_m_s=float(rng.uniform(1.7, 2.4)),
        grow_s=float(rng.uniform(18, 30)),
        width_m=float(rng.uniform(7, 13)),
        haze=1 - math.exp(-distance / float(rng.uniform(3500, 7000))),
    )
    return fire, (x, distance)


def compose(land: Land, sky: Sky, drifting: FloatImage, shade: float, t_s: float) -> Image:
    """Put the sky above the land, and on it shadows of clouds that take a share ``shade`` of the light."""
    image = land.picture.copy()
    rows = land.sky_rows
    cover = land.cover[:rows, :, None]
    image[:rows] = np.clip(sky.at(t_s) * (1 - cover) + land.picture[:rows] * cover, 0, 255).astype(np.uint8)
    map_x = np.mod((land.ground_x + 6.0 * t_s) / _CLOUD_CELL_M * 40, drifting.shape[1] - 2).astype(np.float32)
    map_y = np.mod(land.ground_y / _CLOUD_CELL_M * 40, drifting.shape[0] - 2).astype(np.float32)
    patches = cv2.remap(drifting, map_x, map_y, cv2.INTER_LINEAR)
    left = 1 - shade * smoothstep(0.4, 1.4, patches) * (1 - land.haze_small)
    height, width = image.shape[:2]
    factor = cv2.resize((left * 255).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    lower: npt.NDArray[np.uint8] = image[rows:]
    cv2.multiply(lower, cv2.merge((factor, factor, factor))[rows:], dst=lower, scale=1 / 255)
    return image


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])

"""The landscape below a tower: strips of fields, tree lines, villages, hills, all fading into haze."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streams.simulator.camera import PinholeCamera
from streams.simulator.light import Light
from streams.simulator.noise import FloatImage, fbm, smoothstep
from streams.simulator.sensor import develop

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]
_FAR_M = 9000.0
_SMALL = 4  # cloud shadows are computed at a quarter of the size
# BGR albedo of stubble, young green, dark soil, ripe straw, meadow, pale earth
_CROPS = (
    (98, 142, 166),
    (62, 122, 98),
    (70, 92, 112),
    (112, 164, 188),
    (72, 128, 112),
    (128, 152, 168),
    (58, 104, 82),
)
_CROP_SHARE = (0.24, 0.2, 0.12, 0.13, 0.13, 0.06, 0.12)


@dataclass(frozen=True, slots=True, eq=False)
class Land:
    """A drawn landscape without its sky.

    ``picture`` uint8 (h, w, 3); ``cover`` float32 (h, w), 1 where there is land and 0 where sky;
    ``sky_rows`` rows that hold any sky; ``haze_bgr`` the air's colour; ``ground_x``, ``ground_y``
    (metres) and ``haze_small`` [0, 1] at a quarter of the size, for what moves over the ground.
    """

    picture: Image
    cover: FloatImage
    sky_rows: int
    haze_bgr: Array
    ground_x: FloatImage
    ground_y: FloatImage
    haze_small: FloatImage


@dataclass(frozen=True, slots=True)
class _Parcels:
    """Strips of fields: bounds of the blocks along u, of the strips along v, and the grid's turn."""

    blocks: Array
    strips: Array
    crops: npt.NDArray[np.intp]
    turn: float


def make_land(camera: PinholeCamera, light: Light, rng: np.random.Generator) -> Land:
    """Draw the landscape that ``camera`` looks over."""
    width, height = camera.size_px
    us, vs = np.meshgrid(np.arange(0.5, width), np.arange(0.5, height))
    gx, gy, distance = camera.ground_at(us, vs)
    clear_m = float(rng.uniform(3200, 6500))
    haze_bgr = np.asarray(light.sky_bgr) * 0.5 + np.array([108.0, 108.0, 107.0])
    parcels = _parcels(rng)
    picture = _fields(parcels, gx, gy, distance, light, camera, rng)
    fade = np.nan_to_num(1 - np.exp(-distance / clear_m), nan=1.0).astype(np.float32)
    picture += fade[:, :, None] * (haze_bgr.astype(np.float32) - picture)
    cover = (np.nan_to_num(distance, nan=1e9) < _FAR_M).astype(np.float32)
    _hills(picture, cover, haze_bgr, camera, rng)
    for near, far in ((3500, 9000), (1800, 3500), (900, 1800), (450, 900), (230, 450)):
        haze = 1 - math.exp(-(near + far) / 2 / clear_m)
        _growth((picture, cover), parcels, (near, far), (haze, haze_bgr), (camera, light), rng)
    rows = max(8, int(np.flatnonzero(cover.min(axis=1) < 1).max(initial=0)) + 1)
    small = (slice(_SMALL // 2, None, _SMALL), slice(_SMALL // 2, None, _SMALL))
    return Land(
        picture=develop(picture, rng),
        cover=cover,
        sky_rows=rows,
        haze_bgr=haze_bgr,
        ground_x=np.nan_to_num(gx[small]).astype(np.float32),
        ground_y=np.nan_to_num(gy[small]).astype(np.float32),
        haze_small=fade[small],
    )


def _parcels(rng: np.random.Generator) -> _Parcels:
    blocks = np.cumsum(rng.uniform(90, 260, 140)) - 9000
    strips = np.cumsum(rng.lognormal(3.45, 0.45, 700)) - 9000
    crops = rng.choice(len(_CROPS), size=(len(blocks) + 1, len(strips) + 1), p=_CROP_SHARE)
    # neighbours often grow the same: copy the strip before in half of the cases
    for column in range(1, crops.shape[1]):
        same = rng.uniform(size=crops.shape[0]) < 0.5
        crops[same, column] = crops[same, column - 1]
    return _Parcels(blocks, strips, crops, float(rng.uniform(-0.5, 0.5)))


def _fields(
    parcels: _Parcels,
    gx: Array,
    gy: Array,
    distance: Array,
    light: Light,
    camera: PinholeCamera,
    rng: np.random.Generator,
) -> FloatImage:
    """Colour every pixel of ground; two samples down the rows keep far strips from flickering."""
    shape = gx.shape
    c, s = math.cos(parcels.turn), math.sin(parcels.turn)
    x, y = np.nan_to_num(gx, nan=0.0), np.nan_to_num(gy, nan=0.0)
    bend = 14 * np.sin(x / 310.0) + 11 * np.sin(y / 270.0 + 1.0)
    u, v = c * x + s * y + bend, -s * x + c * y + bend
    row, column = np.searchsorted(parcels.blocks, u), np.searchsorted(parcels.strips, v)
    row, column = row.clip(0, parcels.crops.shape[0] - 1), column.clip(0, parcels.crops.shape[1] - 1)
    crop = parcels.crops[row, column]
    tone = 1 + 0.10 * np.sin(row * 12.9 + column * 78.2)
    albedo = np.asarray(_CROPS, np.float32)[crop] * tone[:, :, None].astype(np.float32)
    pixel_m = distance / camera.focal_px
    furrows = np.exp(-np.nan_to_num(pixel_m, nan=9.0) / 0.5) * 0.10 * np.sin(v * 2 * math.pi / 3.2)
    rough = 0.07 * fbm(shape, rng, 3, 2) + 0.08 * fbm(shape, rng, 60, 5)
    albedo *= (1 + furrows + rough)[:, :, None].astype(np.float32)
    edge = np.minimum(np.abs(u - parcels.blocks[np.clip(row, 0, len(parcels.blocks) - 1)]), 50)
    path = smoothstep(4.0, 1.5, (edge - 0.8 * np.nan_to_num(pixel_m, nan=0.0)).astype(np.float32))
    albedo += (path * 0.7)[:, :, None] * (np.asarray([140, 160, 172], np.float32) - albedo)
    return np.asarray(albedo * light.ground_factor().astype(np.float32), np.float32)


def _hills(
    picture: FloatImage, cover: FloatImage, haze_bgr: Array, camera: PinholeCamera, rng: np.random.Generator
) -> None:
    """Draw two ranges on the horizon, paler the farther."""
    width, height = camera.size_px
    horizon = float(camera.project(np.array([[0.0, 1e7, 0.0]]))[0][0, 1])
    for rise, pale in ((0.045, 0.86), (0.026, 0.72)):
        ridge = fbm((1, width), rng, width / 3, 6, 0.45)[0]
        top = horizon - height * rise * float(rng.uniform(0.4, 1.1)) * (0.75 + 0.5 * ridge)
        rows = np.arange(height, dtype=np.float32)[:, None]
        alpha = np.clip(rows - top[None], 0, 1) * (1 - np.clip(rows - horizon - 2, 0, 1))
        wood = (
            np.asarray([104, 108, 96], np.float32) * (1 + 0.05 * fbm((height, width), rng, 12, 4))[:, :, None]
        )
        colour = wood + pale * (haze_bgr.astype(np.float32) - wood)
        picture += alpha[:, :, None] * (colour - picture)
        np.maximum(cover, alpha, out=cover)


def _growth(
    canvas: tuple[FloatImage, FloatImage],
    parcels: _Parcels,
    band_m: tuple[float, float],
    air: tuple[float, Array],
    eye: tuple[PinholeCamera, Light],
    rng: np.random.Generator,
) -> None:
    """Draw the trees and villages of one band of distance, on a layer that is then hazed as one.

    ``canvas`` is picture and cover; ``air`` the share of haze and its colour; ``eye`` camera and light.
    """
    (picture, cover), (haze, haze_bgr), (camera, light) = canvas, air, eye
    width, height = camera.size_px
    ss = 2
    layer = np.zeros((height * ss, width * ss, 4), np.float32)
    for x, y, size_m in _tree_places(parcels, band_m, camera, rng):
        _clump(layer, (x, y), size_m, ss, camera, light, rng)
    grain = float(np.clip(2.4 * camera.focal_px / band_m[0], 1.2, 7.0))
    ys, xs = np.mgrid[0 : height * ss, 0 : width * ss].astype(np.float32)
    shape = (height * ss, width * ss)
    bent_x = xs + 0.5 * grain * fbm(shape, rng, max(2.0, grain), 2, 0.7)
    bent_y = ys + 0.5 * grain * fbm(shape, rng, max(2.0, grain), 2, 0.7)
    layer = cv2.remap(layer, bent_x, bent_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    _village(layer, band_m, ss, camera, light, rng)
    small = cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA)
    alpha = small[:, :, 3:]
    small[:, :, :3] += haze * (alpha * haze_bgr.astype(np.float32) - small[:, :, :3])
    picture *= 1 - alpha
    picture += small[:, :, :3]
    np.maximum(cover, small[:, :, 3], out=cover)


def _tree_places(
    parcels: _Parcels, band_m: tuple[float, float], camera: PinholeCamera, rng: np.random.Generator
) -> list[tuple[float, float, float]]:
    """Return (x, y, height) of trees along block bounds and in small woods, far ones first."""
    near, far = band_m
    c, s = math.cos(parcels.turn), math.sin(parcels.turn)
    half = math.tan(math.radians(camera.hfov_deg / 2)) * 1.05
    places: list[tuple[float, float, float]] = []
    spacing = max(6.0, near / 110)
    for u in parcels.blocks[(rng.uniform(size=len(parcels.blocks)) < 0.42)]:
        v = np.arange(-far * 1.2, far * 1.2, spacing) + rng.uniform(0, spacing)
        v = v[np.repeat(rng.uniform(size=len(v) // 14 + 1) < 0.6, 14)[: len(v)]]
        x, y = c * u - s * v, s * u + c * v
        keep = (y > near) & (y < far) & (np.abs(x) < y * half)
        sizes = rng.normal(9.5, 1.6, len(v))
        places += [
            (float(a), float(b), float(h)) for a, b, h in zip(x[keep], y[keep], sizes[keep], strict=True)
        ]
    for _ in range(int(rng.integers(1, 4))):
        wood_y = float(rng.uniform(near, far))
        wood_x = float(rng.uniform(-half, half)) * wood_y
        for _tree in range(45):
            x, y = wood_x + float(rng.normal(0, 38)), float(np.clip(wood_y + rng.normal(0, 22), near, far))
            places.append((x, y, float(rng.normal(11, 2))))
    places.sort(key=lambda p: -p[1])
    return places[:2600]


def _clump(
    layer: FloatImage,
    at_m: tuple[float, float],
    size_m: float,
    ss: int,
    camera: PinholeCamera,
    light: Light,
    rng: np.random.Generator,
) -> None:
    """Draw one tree as a few lit blobs."""
    foot, depth = camera.project(np.array([[at_m[0], at_m[1], 0.0]]))
    scale = camera.focal_px / float(depth[0]) * ss
    x, y = float(foot[0, 0]) * ss, float(foot[0, 1]) * ss
    radius = max(0.8, 0.36 * size_m * scale)
    count = 4 if radius < 4 else 9 if radius < 10 else int(min(160, 5 * radius))
    coarse = 1.0 if count <= 9 else 3.0 / math.sqrt(count)
    base = np.asarray([44, 84, 70]) * rng.normal(1.0, 0.10)
    sun, bright = light.sun_dir, light.ground_factor()
    for k in range(count):
        up = k / max(1, count - 1)
        spread = 0.42 * math.sqrt(max(0.15, 1 - (2 * up - 0.9) ** 2))
        dx, dy = rng.normal(0, spread), 0.3 + 0.95 * up + rng.normal(0, 0.12)
        facing = min(max(0.55 + 0.45 * (sun[0] * dx * 1.4 + sun[2] * (up - 0.3)), 0.2), 1.2)
        b, g, r = (base * rng.normal(1.0, 0.1) * (0.42 + 0.8 * facing * bright)).tolist()
        centre = (int((x + dx * radius) * 16), int((y - dy * radius) * 16))
        blob = max(1, int(radius * float(rng.uniform(0.45, 0.8)) * max(0.28, coarse) * 16))
        cv2.circle(layer, centre, blob, (b, g, r, 1.0), -1, cv2.LINE_8, 4)


def _village(
    layer: FloatImage,
    band_m: tuple[float, float],
    ss: int,
    camera: PinholeCamera,
    light: Light,
    rng: np.random.Generator,
) -> None:
    """Draw a group of farmhouses with pitched roofs."""
    if band_m[0] < 400 or rng.uniform() < 0.3:
        return
    half = math.tan(math.radians(camera.hfov_deg / 2))
    middle_y = float(rng.uniform(band_m[0] * 1.1, band_m[1] * 0.9))
    middle_x = float(rng.uniform(-0.8, 0.8)) * half * middle_y
    houses = sorted(
        ((middle_x + rng.normal(0, 70), middle_y + rng.normal(0, 30)) for _ in range(22)), key=lambda p: -p[1]
    )
    for x, y in houses:
        w, h, roof = float(rng.uniform(8, 14)), float(rng.uniform(3.2, 6.5)), float(rng.uniform(1.6, 2.6))
        corners = [(x, 0.0), (x + w, 0.0), (x + w, h), (x, h), (x + w - 0.6, h + roof), (x + 0.6, h + roof)]
        pixels, _ = camera.project(np.array([(a, y, z) for a, z in corners]))
        points = np.round(pixels * ss * 16).astype(np.int32)
        wall = light.shade(np.array([[206.0, 212.0, 216.0]]), np.array([[0.0, -0.9, 0.44]]))[0]
        tile = (
            np.asarray([78, 84, 128] if rng.uniform() < 0.5 else [104, 102, 100])
            * light.ground_factor()
            * 0.85
        )
        cv2.fillConvexPoly(layer, points[[0, 1, 2, 3]], (*map(float, wall), 1.0), cv2.LINE_8, 4)
        cv2.fillConvexPoly(layer, points[[3, 2, 4, 5]], (*map(float, tile), 1.0), cv2.LINE_8, 4)

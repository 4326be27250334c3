"""What a tower's picture suffers that is no smoke: weather, light, a dirty lens, night by infrared.

Each painter is named after what it does and changes a picture by a strength in [0, 1]; it knows time
and seed alone, so that any time can be drawn without those before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streams.simulator.land import Land
from streams.simulator.noise import FloatImage, fbm, smoothstep
from streams.simulator.truth import Box

Image = npt.NDArray[np.uint8]
Painter = Callable[[Image, float, float], Image]
"""From a picture, the time in seconds and a strength in [0, 1] to the changed picture."""
_LAYERS = 6
_SUN_ABOVE = -0.12  # of the height: a sun that glares is out of the picture
_FOG_DEEP, _FOG_PX_S = (0.10, 0.30), 0.12  # how far a bank reaches below the horizon, and how fast it drifts


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """What a painter may know of a view: its land, the row of the horizon in pixels, size, and seeds.

    ``seed`` is the view's own; ``head_seed`` that of all views, for what travels with the head.
    """

    land: Land
    horizon_px: float
    size: tuple[int, int]
    seed: int
    head_seed: int

    def rng(self, *more: int) -> np.random.Generator:
        """Return a generator for one purpose."""
        return np.random.default_rng([self.seed, 71, *more])


def _faded(image: Image, towards: npt.ArrayLike, alpha: FloatImage) -> Image:
    """Mix a picture with a colour (BGR) or level by ``alpha`` (h, w)."""
    out = image.astype(np.float32)
    out += alpha[:, :, None] * (np.asarray(towards, np.float32) - out)
    return np.asarray(np.clip(out, 0, 255), np.uint8)


def _even(image: Image, towards: float, share: float) -> Image:
    """Mix a whole picture with a grey level."""
    return np.asarray(cv2.convertScaleAbs(image, alpha=1 - share, beta=towards * share), np.uint8)


def fog_bank(canvas: Canvas) -> Painter:
    """Draw a low white bank that lies between two distances, billows and drifts."""
    rng, (width, height) = canvas.rng(1), canvas.size
    low = canvas.horizon_px + height * float(rng.uniform(*_FOG_DEEP))
    rows = np.arange(height, dtype=np.float32)[:, None]
    band = smoothstep(canvas.horizon_px - 0.03 * height, canvas.horizon_px + 4, rows) * smoothstep(
        low, low - 0.12 * height, rows
    )
    noise = fbm((height // 2, width), rng, width / 6, 4)

    def paint(image: Image, t_s: float, strength: float) -> Image:
        matrix = np.array([[1.0, 0.0, (_FOG_PX_S * t_s) % (2 * width)], [0.0, 2.0, 0.0]])
        billow = cv2.warpAffine(noise, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
        alpha = strength * band * np.clip(0.62 + 0.3 * billow, 0, 1)
        return _faded(image, (226, 224, 222), np.asarray(alpha, np.float32))

    return paint


def haze(canvas: Canvas) -> Painter:
    """Let the air be thick: the farther, the paler."""
    far = cv2.resize(canvas.land.haze_small, canvas.size)
    far[: int(canvas.horizon_px)] = 1.0

    def paint(image: Image, _t_s: float, strength: float) -> Image:
        return _faded(image, canvas.land.haze_bgr, np.asarray(0.6 * strength * far, np.float32))

    return paint


def rain(canvas: Canvas) -> Painter:
    """Draw streaks, and wash far things out."""
    rng, (width, height) = canvas.rng(2), canvas.size
    layers = []
    for _ in range(_LAYERS):
        layer = np.zeros((height, width), np.uint8)
        for x, y in rng.uniform(0, 1, (width // 3, 2)) * (width, height):
            end = (int(x + rng.uniform(0, 2)), int(y + rng.uniform(0.02, 0.07) * height))
            cv2.line(layer, (int(x), int(y)), end, int(rng.uniform(18, 60)), 1)
        layers.append(cv2.merge((layer, layer, layer)))
    far = cv2.resize(canvas.land.haze_small, (width, height)) ** 2

    def paint(image: Image, t_s: float, strength: float) -> Image:
        pulse = strength * (0.85 + 0.15 * np.sin(t_s / 37.0))
        washed = _faded(_even(image, 150, 0.28 * pulse), 168, np.asarray(0.75 * pulse * far, np.float32))
        layer = layers[int(canvas.rng(3, int(t_s * 10)).integers(_LAYERS))]
        return np.asarray(cv2.add(washed, cv2.convertScaleAbs(layer, alpha=strength)), np.uint8)

    return paint


def snow(canvas: Canvas) -> Painter:
    """Draw flakes, and a ground that whitens."""
    rng, (width, height) = canvas.rng(4), canvas.size
    layers = []
    for _ in range(_LAYERS):
        layer = np.zeros((height, width), np.uint8)
        for x, y, r in rng.uniform(0, 1, (width // 2, 3)) * (width, height, 1.8):
            cv2.circle(layer, (int(x), int(y)), int(r), int(rng.uniform(60, 160)), -1)
        layers.append(cv2.merge((layer, layer, layer)))
    lies = np.clip(0.6 + 0.25 * fbm((height, width), rng, 5, 3), 0, 1) * canvas.land.cover
    lies *= np.arange(height)[:, None] > canvas.horizon_px
    far = cv2.resize(canvas.land.haze_small, (width, height))

    def paint(image: Image, t_s: float, strength: float) -> Image:
        white = _faded(image, (232, 230, 228), np.asarray(0.8 * strength * lies, np.float32))
        veiled = _faded(white, 205, np.asarray(0.7 * strength * far, np.float32))
        layer = layers[int(canvas.rng(5, int(t_s * 10)).integers(_LAYERS))]
        return np.asarray(cv2.add(veiled, cv2.convertScaleAbs(layer, alpha=strength)), np.uint8)

    return paint


@dataclass(frozen=True, slots=True)
class _Sun:
    """A sun above the picture: where it stands, how it wanders; discs by place along a line, and radius."""

    start: float
    speed: float
    discs: tuple[tuple[float, float], ...]

    def across(self, t_s: float) -> float:
        """Return where it stands, in [0, 1] of the width."""
        return (self.start + self.speed * t_s) % 1.0


def _sun_of(seed: int) -> _Sun:
    rng = np.random.default_rng([seed, 71, 6])
    start, speed = float(rng.uniform(0.1, 0.9)), float(rng.uniform(-1, 1)) * 6e-5
    discs = rng.uniform(0.25, 1.9, (5, 2)) * (1, 0.035)
    return _Sun(start, speed, tuple((float(along), float(size)) for along, size in discs))


def glare(canvas: Canvas) -> Painter:
    """Draw the sun just outside the picture: a veil around it, and discs on a line through the middle."""
    (width, height), sun = canvas.size, _sun_of(canvas.seed)
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)

    def paint(image: Image, t_s: float, strength: float) -> Image:
        x, y = width * sun.across(t_s), _SUN_ABOVE * height
        near = np.exp(-np.hypot(xs - x, ys - y) / (0.42 * width))
        flicker = 0.85 + 0.15 * np.sin(t_s / 11.0)
        light = 150 * near
        for along, size in sun.discs:
            u, v = x + along * (width / 2 - x) * 1.3, y + along * (height / 2 - y) * 1.3
            light += 22 * smoothstep(size * width, 0.75 * size * width, np.hypot(xs - u, ys - v))
        lit = image.astype(np.float32) + (strength * flicker * light)[:, :, None] * np.asarray(
            [0.86, 0.95, 1.0]
        )
        return np.asarray(np.clip(lit, 0, 255), np.uint8)

    return paint


def _low_sun_across(seed: int) -> float:
    return float(np.random.default_rng([seed, 71, 7]).uniform(0.2, 0.8))


def low_sun(canvas: Canvas) -> Painter:
    """Warm the light, and veil what lies below a sun on the horizon."""
    width, height = canvas.size
    x = _low_sun_across(canvas.seed) * width
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    veil = np.exp(-(((xs - x) / (0.45 * width)) ** 2) - np.abs(ys - canvas.horizon_px) / (0.16 * height))

    def paint(image: Image, _t_s: float, strength: float) -> Image:
        gain = np.asarray([1 - 0.45 * strength, 1 - 0.25 * strength, 1 - 0.05 * strength], np.float32)
        warm = image.astype(np.float32) * gain
        warm += (0.6 * strength * veil)[:, :, None] * (np.asarray([150, 205, 250], np.float32) - warm)
        return np.asarray(np.clip(warm, 0, 255), np.uint8)

    return paint


def trees(canvas: Canvas) -> Painter:
    """Hang a near branch into the picture that sways."""
    rng, (width, height) = canvas.rng(8), canvas.size
    side = int(rng.integers(2))
    rows, columns = int(0.55 * height), int(0.34 * width)
    leaves = fbm((rows, columns), rng, 14, 4, 0.7)
    ys, xs = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : columns * 1j].astype(np.float32)
    inside = 1.15 - 1.3 * xs - 0.9 * (1 - ys)
    cover = smoothstep(0.0, 0.35, np.asarray(leaves * 0.45 + 1.6 * inside - 0.5, np.float32))
    tint = np.asarray([34, 62, 48], np.float32) * (1 + 0.35 * leaves[:, :, None])
    layer = np.concatenate([tint, cover[:, :, None]], axis=2).astype(np.float32)

    def paint(image: Image, t_s: float, strength: float) -> Image:
        gust = strength * (0.5 + 0.5 * np.sin(t_s / 43.0)) * 0.018 * width
        dx = gust * np.sin(1.9 * t_s) + 0.3 * gust * np.sin(5.3 * t_s)
        matrix = np.array([[1.0, 0.04 * dx / 10, -dx], [0.0, 1.0, 0.4 * dx]])
        moved = cv2.warpAffine(layer, matrix, (columns, rows), borderMode=cv2.BORDER_REPLICATE)
        moved = moved if side == 0 else moved[:, ::-1]
        out = image.copy()
        part = out[height - rows :, :columns] if side == 0 else out[height - rows :, width - columns :]
        part[:] = np.clip(part + moved[:, :, 3:] * (moved[:, :, :3] - part), 0, 255)
        return out

    return paint


def birds(canvas: Canvas) -> Painter:
    """Let a flock pass."""
    width, height = canvas.size

    def paint(image: Image, t_s: float, strength: float) -> Image:
        rng = canvas.rng(9, int(t_s * 10))
        out = image.copy()
        middle = rng.uniform(0.1, 0.9, 2) * (width, height)
        for x, y in rng.normal(0, 0.06 * width, (int(4 + 40 * strength * rng.uniform()), 2)) + middle:
            wing = max(1, int(rng.uniform(0.001, 0.005) * width))
            grey = float(rng.uniform(25, 70))
            cv2.ellipse(
                out,
                (int(x), int(y)),
                (wing, max(1, wing // 2)),
                float(rng.uniform(-40, 40)),
                0,
                360,
                (grey, grey, grey),
                -1,
            )
        return out

    return paint


@dataclass(frozen=True, slots=True)
class Drop:
    """A drop on the lens, in fractions of the picture's width (``y`` of its height); angle in degrees."""

    x: float
    y: float
    radius: float
    squash: float
    angle_deg: float
    opacity: float

    def box(self, aspect: float) -> Box:
        """Return where it is, in [0, 1]; ``aspect`` is width over height."""
        across, down = self.radius, self.radius * self.squash * aspect
        return _cut(self.x - across, self.y - down, self.x + across, self.y + down)


def drops_of(head_seed: int) -> list[Drop]:
    """Return the drops on a head's lens: they are at one place of the picture wherever it looks."""
    rng = np.random.default_rng([head_seed, 71, 10])
    spans = ((0, 1), (0, 1), (0.015, 0.06), (0.6, 1.2), (0, 180), (0.2, 0.5))
    return [Drop(*(float(rng.uniform(*span)) for span in spans)) for _ in range(int(rng.integers(4, 9)))]


def dirty_lens(canvas: Canvas) -> Painter:
    """Put drops and smears on the glass: pale, out of focus, fixed in the picture."""
    width, height = canvas.size
    alpha = np.zeros((height, width), np.float32)
    for drop in drops_of(canvas.head_seed):
        r = drop.radius * width
        blob = np.zeros_like(alpha)
        middle, axes = (int(drop.x * width), int(drop.y * height)), (int(r), int(r * drop.squash))
        cv2.ellipse(blob, middle, axes, drop.angle_deg, 0, 360, drop.opacity, -1)
        alpha = np.maximum(alpha, cv2.GaussianBlur(blob, (0, 0), r / 3))

    def paint(image: Image, _t_s: float, strength: float) -> Image:
        soft = cv2.GaussianBlur(image, (0, 0), 0.008 * width).astype(np.float32)
        wet = soft + 0.45 * (206 - soft)
        weight = np.minimum(2 * strength * alpha, 1.0)[:, :, None]
        return np.asarray(np.clip(image + weight * (wet - image), 0, 255), np.uint8)

    return paint


def infrared(canvas: Canvas) -> Painter:
    """Turn day into night: dusk down to a half, then grey by the camera's own light, with noise and lamps."""
    rng, (width, height) = canvas.rng(11), canvas.size
    ys, xs = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    beam = np.exp(-1.1 * (xs**2 + (ys - 0.5) ** 2))
    grains = [rng.normal(0, 5, (height, width)).astype(np.float32) for _ in range(_LAYERS)]
    lamps = [
        (int(u * width), int(canvas.horizon_px + v * 0.25 * height)) for u, v in rng.uniform(0, 1, (9, 2))
    ]

    def paint(image: Image, t_s: float, strength: float) -> Image:
        if strength < 0.5:
            return _even(image, 0.0, 1.3 * strength)
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
        lit = 14 + 0.75 * grey * beam + grains[int(t_s * 10) % _LAYERS]
        out = np.clip(lit, 0, 255).astype(np.uint8)
        for number, at in enumerate(lamps):
            if np.sin(t_s / 300.0 + number) > -0.6:
                cv2.circle(out, at, 1, 235, -1)
        return np.asarray(cv2.merge((out, out, out)), np.uint8)

    return paint


PAINTERS: dict[str, Callable[[Canvas], Painter]] = {
    "fog_bank": fog_bank,
    "haze": haze,
    "rain": rain,
    "snow": snow,
    "glare": glare,
    "low_sun": low_sun,
    "trees": trees,
    "birds": birds,
    "dirty_lens": dirty_lens,
    "night": infrared,
    "day_night": infrared,
}


def suspects(
    name: str, seed: int, head_seed: int, size: tuple[int, int], horizon: float, t_s: float
) -> list[Box]:
    """Return where a negative that is painted may look like smoke, in [0, 1], always in the same order.

    Drops on the lens, discs of glare, the veil below a low sun, billows of a bank of fog, clouds above
    the horizon (a fraction of the height). Negatives without a shape of their own have none.
    """
    aspect, rng = size[0] / size[1], np.random.default_rng([seed, 83])
    if name == "dirty_lens":
        return [drop.box(aspect) for drop in drops_of(head_seed)]
    if name == "glare":
        sun = _sun_of(seed)
        x, y = sun.across(t_s), _SUN_ABOVE
        middles = [(x + along * (0.5 - x) * 1.3, y + along * (0.5 - y) * 1.3, r) for along, r in sun.discs]
        return [_cut(u - r, v - r * aspect, u + r, v + r * aspect) for u, v, r in middles if 0 < v < 1]
    if name == "low_sun":
        x = _low_sun_across(seed)
        return [_cut(x - 0.2, horizon - 0.1, x + 0.2, horizon + 0.1)]
    rows = {"fog_bank": (horizon - 0.03, horizon + _FOG_DEEP[0]), "cloud_shadow": (0.0, 0.7 * horizon)}
    made = []
    for _ in range(2 if name in rows else 0):
        width, height = float(rng.uniform(0.05, 0.22)), float(rng.uniform(0.06, 0.2))
        x = (float(rng.uniform(0, 1)) + _FOG_PX_S / size[0] * t_s) % 1.0
        y = float(rng.uniform(*rows[name]))
        made.append(_cut(x - width / 2, y - height / 2, x + width / 2, y + height / 2))
    return made


def _cut(left: float, top: float, right: float, bottom: float) -> Box:
    x1, y1 = min(max(left, 0.0), 0.99), min(max(top, 0.0), 0.99)
    return (x1, y1, max(min(right, 1.0), x1 + 0.005), max(min(bottom, 1.0), y1 + 0.005))

"""One rendered smoke plume: optical depth and light, for the composer to lay over a real picture.

Shares no code with the simulator, on purpose: a detector trained on the one is judged on the other.

A plume is a string of Gaussian puffs along a centre line bent by the wind (Briggs: rise ~ x^(2/3)).
A puff keeps its smoke while it grows, so that the foot is dense and thin and the tail wide and faint.
Turbulence folds the string by eddies of two sizes and breaks it into billows. Light passes by Beer
and Lambert: alpha = 1 - exp(-optical depth). All is rendered on a canvas in proportion to the plume
and then brought to its size in the picture, so that a far plume has the same shape as a near one.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.train.street_scenery import noise_field

Field = npt.NDArray[np.float32]
CANVAS_PX = 256
REACH = 0.62  # of the canvas: the length of the centre line; the rest is room for the tail's width
PUFFS = 150


@dataclass(frozen=True, slots=True)
class Plume:
    """How one plume is drawn: length in px, lean (0 up, 1 flat), and the rest as ratios of its length."""

    length: float
    lean: float
    side: int
    bend: float
    root: float
    spread: float
    thinning: float
    fade: float
    folds: float
    billows: float
    depth: float


def draw_plume(longest: float, rng: np.random.Generator) -> Plume:
    """Draw the parameters of one plume; small ones are as likely as large ones (log-uniform).

    Lean and ``longest`` are such that boxes come out as those that people drew in 162 pictures of
    tower cameras (nemo): width over height at 10, 50 and 90 % of them 0.7, 1.4, 2.5 (drawn: 0.8, 1.5,
    3.2), side of an equal square in a tile of 352 px 17, 73, 227 px (drawn: 16, 85, 257).
    """
    return Plume(
        length=float(np.exp(rng.uniform(np.log(16), np.log(longest)))),
        lean=float(rng.beta(2.0, 0.8)),
        side=1 if rng.random() < 0.5 else -1,
        bend=float(rng.uniform(0.0, 1.2)),
        root=float(np.exp(rng.uniform(np.log(0.008), np.log(0.09)))),
        spread=float(np.exp(rng.uniform(np.log(0.05), np.log(0.36)))),
        thinning=float(rng.uniform(0.2, 1.1)),
        fade=float(rng.uniform(0.0, 2.2)),
        folds=float(rng.uniform(0.3, 1.3)),
        billows=float(rng.uniform(0.2, 0.95)),
        depth=float(np.exp(rng.uniform(np.log(0.22), np.log(3.5)))),
    )


def canvas_depth(plume: Plume, rng: np.random.Generator) -> tuple[Field, tuple[float, float]]:
    """Render the optical depth on the canvas, float32 (256, 256), and say where the foot is (x, y)."""
    size = CANVAS_PX
    foot = (size * (0.5 - 0.32 * plume.lean * plume.side), size * (0.93 - 0.25 * plume.lean))
    t = (np.arange(PUFFS) + rng.uniform(0, 1, PUFFS)) / PUFFS
    along = plume.side * plume.lean * t ** (1 + plume.bend * (1 - plume.lean))
    up = t ** (2 / 3 if plume.lean > 0.3 else 1.0) * (1 - 0.85 * plume.lean)
    radius = plume.root + plume.spread * t**0.85
    wander = np.cumsum(rng.normal(0, 1, (PUFFS, 2)), axis=0) / np.sqrt(PUFFS)
    jitter = rng.normal(0, 0.65, (PUFFS, 2)) * radius[:, None]
    reach = REACH * size
    xs = foot[0] + reach * (along + 0.10 * plume.folds * t * wander[:, 0] + jitter[:, 0])
    ys = foot[1] - reach * (up + 0.06 * plume.folds * t * wander[:, 1] + 0.7 * jitter[:, 1])
    gusts = np.interp(t, np.linspace(0, 1, 9), rng.uniform(0.35, 1.0, 9))
    weights = (plume.root / radius) ** plume.thinning * np.exp(-plume.fade * t) * gusts
    field = np.zeros((size, size), np.float32)
    for index in range(PUFFS):
        grown = max(1.0, 0.75 * reach * radius[index] * rng.uniform(0.6, 1.1))
        _add_puff(field, (xs[index], ys[index]), grown, float(weights[index]))
    return _stir(field, plume, rng), foot


def _add_puff(field: Field, at: tuple[float, float], radius: float, weight: float) -> None:
    size = field.shape[0]
    reach = 2.6 * radius
    x1, x2 = max(0, int(at[0] - reach)), min(size, int(at[0] + reach) + 1)
    y1, y2 = max(0, int(at[1] - reach)), min(size, int(at[1] + reach) + 1)
    if x1 >= x2 or y1 >= y2:
        return
    xs = np.exp(-0.5 * ((np.arange(x1, x2) - at[0]) / radius) ** 2)
    ys = np.exp(-0.5 * ((np.arange(y1, y2) - at[1]) / radius) ** 2)
    field[y1:y2, x1:x2] += (weight * np.outer(ys, xs)).astype(np.float32)


def _stir(field: Field, plume: Plume, rng: np.random.Generator) -> Field:
    """Fold by large and small eddies, break into billows, scale to the plume's optical depth."""
    size = field.shape[0]
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    for roughness, share in ((0.5, 0.10), (0.85, 0.05)):
        dx, dy = (share * size * plume.folds * noise_field(size, rng, roughness) for _ in range(2))
        field = np.asarray(cv2.remap(field, columns + dx, rows + dy, cv2.INTER_LINEAR), np.float32)
    ridges = 1 - np.abs(noise_field(size, rng, 0.72)) * 2.4  # bright lumps with dark creases between
    grain = (
        1
        + plume.billows * (ridges.clip(-0.6, 1) * 1.2 - 0.5)
        + 0.5 * plume.billows * noise_field(size, rng, 0.9)
    )
    field = field * grain.clip(0.03, None)
    dense = field[field > 0.05 * field.max()]
    return np.asarray(field * (plume.depth / max(float(np.quantile(dense, 0.9)), 1e-3)), np.float32)


def place(depth: Field, foot: tuple[float, float], plume: Plume, at: tuple[float, float], size: int) -> Field:
    """Bring a canvas to the plume's length and put its foot at ``at`` of a (size, size) field."""
    scale = plume.length / (REACH * CANVAS_PX)
    move = np.array([[scale, 0, at[0] - scale * foot[0]], [0, scale, at[1] - scale * foot[1]]])
    soft = cv2.GaussianBlur(depth, (0, 0), 0.5 / scale) if scale < 0.8 else depth
    return np.asarray(cv2.warpAffine(soft, move, (size, size), flags=cv2.INTER_LINEAR), np.float32)


def smoke_colour(air: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw a colour, BGR: white to grey, brown, bluish, seldom dark; mixed with the colour of the air."""
    kind = rng.choice(5, p=(0.4, 0.24, 0.13, 0.13, 0.1))
    grey = float(rng.uniform(*((200, 252), (120, 200), (105, 190), (130, 215), (45, 110))[kind]))
    tint = ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (0.84, 0.96, 1.05), (1.1, 1.0, 0.92), (1.0, 1.0, 1.02))[kind]
    colour = grey * np.array(tint) * rng.uniform(0.96, 1.04, 3)
    mix = float(rng.uniform(0, 0.6))
    return np.asarray(colour * (1 - mix) + air * mix)


def shade(depth: Field, length: float, rng: np.random.Generator) -> Field:
    """Light thick smoke from one side: brighter where it bulges towards the sun; about 1, (size, size)."""
    soft = cv2.GaussianBlur(1 - np.exp(-depth), (0, 0), max(0.8, length * 0.02))
    angle = float(rng.uniform(-np.pi, 0.0))
    across = cv2.Sobel(soft, cv2.CV_32F, 1, 0, ksize=3)
    down = cv2.Sobel(soft, cv2.CV_32F, 0, 1, ksize=3)
    slope = -(np.cos(angle) * across + np.sin(angle) * down)
    steep = float(np.quantile(np.abs(slope)[soft > 0.05], 0.9)) if (soft > 0.05).any() else 1.0
    return np.asarray(1 + float(rng.uniform(0.0, 0.28)) * np.tanh(slope / (steep + 1e-6)), np.float32)

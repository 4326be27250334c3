"""Rendered plumes on real pictures with exact boxes, and what looks like smoke and is none.

Shares no code with the simulator, on purpose: a detector trained on the one is judged on the other.

A plume is a string of Gaussian puffs along a centre line bent by the wind (Briggs: rise ~ x^(2/3)),
whose radius grows with distance; turbulence is a displacement field of value noise. Light passes by
Beer and Lambert: alpha = 1 - exp(-optical depth). Distance enters as the size in pixels (a 20 m
plume at 2 km is 20 px wide in a 1080p picture with a 54 degree lens), as haze that lowers contrast
towards the colour of the air, and as blur.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.train.street_scenery import noise_field
from models.train.tiles import Picture, Tile, add_seams, recompress

Field = npt.NDArray[np.float32]
SEEN_ALPHA = 0.1  # where the eye still tells smoke from its background, on textured ground
SEEN_STEP = 6.0  # and by how many of 255 steps the picture must have changed there
TRIES = 8
LEAST_SIDE_PX = 7


@dataclass(frozen=True, slots=True)
class Plume:
    """How one plume is drawn: foot in px, length in px, lean (0 up, 1 flat), and the rest as ratios."""

    foot: tuple[float, float]
    length: float
    lean: float
    side: int
    spread: float
    depth: float
    fade: float
    roughness: float


def draw_plume(size: int, foot: tuple[float, float], rng: np.random.Generator) -> Plume:
    """Draw the parameters of one plume; small ones are as likely as large ones (log-uniform)."""
    return Plume(
        foot=foot,
        length=float(np.exp(rng.uniform(np.log(14), np.log(size * 0.75)))),
        lean=float(rng.beta(1.3, 1.6)),
        side=1 if rng.random() < 0.5 else -1,
        spread=float(rng.uniform(0.10, 0.42)),
        depth=float(np.exp(rng.uniform(np.log(0.35), np.log(3.5)))),
        fade=float(rng.uniform(0.3, 2.6)),
        roughness=float(rng.uniform(0.3, 1.0)),
    )


def plume_depth(plume: Plume, size: int, rng: np.random.Generator) -> Field:
    """Render the optical depth of a plume, float32 (size, size)."""
    field = np.zeros((size, size), np.float32)
    count = int(np.clip(plume.length / 2, 16, 110))
    wander = np.cumsum(rng.normal(0, 1, (count, 2)), axis=0) / np.sqrt(count)
    for index in range(count):
        t = (index + rng.uniform(0, 1)) / count
        along, up = t * plume.lean, (t ** (2 / 3 if plume.lean > 0.3 else 1)) * (1 - 0.85 * plume.lean)
        radius = plume.length * (0.018 + plume.spread * t**0.85) * rng.uniform(0.5, 1.1)
        x = plume.foot[0] + plume.side * along * plume.length + wander[index, 0] * plume.length * 0.12 * t
        y = plume.foot[1] - up * plume.length + wander[index, 1] * plume.length * 0.08 * t
        x += rng.normal(0, 0.6) * radius
        y += rng.normal(0, 0.5) * radius
        weight = np.exp(-plume.fade * t) * rng.uniform(0.3, 1.0)
        _add_puff(field, (x, y), max(1.0, radius), float(weight))
    peak = float(np.quantile(field[field > 0.02], 0.93)) if (field > 0.02).any() else 1.0
    field *= plume.depth / max(peak, 1e-3)
    field = _stir(field, plume, rng)
    grain = 1 + plume.roughness * 1.6 * noise_field(size, rng, 0.75)
    return np.asarray(field * grain.clip(0.05, None), np.float32)


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
    """Displace by turbulence: eddies of a tenth of the plume's length."""
    size = field.shape[0]
    reach = plume.roughness * plume.length * 0.09
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    dx, dy = (reach * 2.5 * noise_field(size, rng, 0.8) for _ in range(2))
    return np.asarray(cv2.remap(field, columns + dx, rows + dy, cv2.INTER_LINEAR), np.float32)


def compose_plume(tile: Tile, label: str, rng: np.random.Generator) -> Tile:
    """Blend one plume, now and then two, into a cut-out; its real boxes stay. Boxes in px of the tile."""
    picture = tile.picture
    boxes, labels = [tuple(box) for box in tile.boxes], list(tile.labels)
    for _ in range(1 if rng.random() < 0.85 else 2):
        for _try in range(TRIES):
            foot = _foot(picture, rng)
            plume = draw_plume(picture.shape[0], foot, rng)
            blended, box = blend(picture, plume_depth(plume, picture.shape[0], rng), plume, rng)
            if box is not None:
                picture = blended
                boxes.append(box)
                labels.append(label)
                break
    out = Tile(recompress(picture, rng), np.asarray(boxes, np.float64).reshape(-1, 4), tuple(labels))
    return add_seams(out, int(rng.integers(1, 3)), rng) if rng.random() < 0.3 else out


def blend(
    picture: Picture, depth: Field, plume: Plume, rng: np.random.Generator
) -> tuple[Picture, tuple[float, float, float, float] | None]:
    """Light a plume and lay it over a picture; return it with its box, None if nobody would see it."""
    haze = float(rng.uniform(0.25, 1.0))
    alpha = (1 - np.exp(-depth)) * haze
    air = np.quantile(picture.reshape(-1, 3), 0.9, axis=0)
    grey = float(rng.uniform(105, 250)) if rng.random() < 0.85 else float(rng.uniform(50, 105))
    tint = np.array([grey * rng.uniform(0.94, 1.1), grey, grey * rng.uniform(0.92, 1.06)])
    mix = float(rng.uniform(0, 0.6))
    colour = tint * (1 - mix) + air * mix
    soft = cv2.GaussianBlur(depth, (0, 0), max(1.0, plume.length * 0.05))
    slope = cv2.Sobel(soft, cv2.CV_32F, 1, 0, ksize=5) * plume.side - cv2.Sobel(
        soft, cv2.CV_32F, 0, 1, ksize=5
    )
    light = 1 + float(rng.uniform(0, 0.22)) * np.tanh(slope / (np.abs(slope).max() * 0.4 + 1e-6))
    lit = colour * light[..., None]
    blended = picture * (1 - alpha[..., None]) + lit * alpha[..., None]
    out = np.asarray(blended.clip(0, 255), np.uint8)
    changed = np.abs(
        cv2.GaussianBlur(out, (0, 0), 1.5).astype(np.float32) - cv2.GaussianBlur(picture, (0, 0), 1.5)
    ).mean(axis=2)
    seen = ((alpha > SEEN_ALPHA) & (changed > SEEN_STEP)).astype(np.uint8)
    count, _marks, stats, _centres = cv2.connectedComponentsWithStats(seen)
    keep = [row for row in stats[1:count] if row[4] >= max(20, 0.04 * seen.sum())]
    if not keep or changed[seen > 0].mean() < 1.6 * SEEN_STEP:
        return picture, None
    left, top = min(row[0] for row in keep), min(row[1] for row in keep)
    right, bottom = max(row[0] + row[2] for row in keep), max(row[1] + row[3] for row in keep)
    if min(right - left, bottom - top) < LEAST_SIDE_PX:
        return picture, None
    return out, (float(left), float(top), float(right), float(bottom))


def _foot(picture: Picture, rng: np.random.Generator) -> tuple[float, float]:
    """Draw where smoke starts: textured places, so that it seldom starts in the sky."""
    size = picture.shape[0]
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
    texture = cv2.blur(np.abs(grey - cv2.blur(grey, (9, 9))), (31, 31))
    for _ in range(12):
        x, y = rng.uniform(0.05, 0.95) * size, rng.uniform(0.2, 0.98) * size
        if texture[int(y), int(x)] > 2.5:
            break
    return float(x), float(y)


def compose_lookalike(tile: Tile, rng: np.random.Generator) -> Tile:
    """Add clouds, fog, dust, glare, drops or chimney steam to a cut-out, and no box."""
    kinds = (_clouds, _fog, _dust, _glare, _drops, _steam)
    picture = tile.picture
    for index in rng.choice(
        len(kinds), size=1 if rng.random() < 0.7 else 2, replace=False, p=(0.36, 0.16, 0.12, 0.16, 0.08, 0.12)
    ):
        picture = kinds[index](picture, rng)
    out = Tile(recompress(picture, rng), tile.boxes, tile.labels)
    return add_seams(out, int(rng.integers(1, 4)), rng) if rng.random() < 0.5 else out


def _over(picture: Picture, alpha: Field, colour: npt.ArrayLike) -> Picture:
    work = picture * (1 - alpha[..., None]) + np.asarray(colour, np.float32) * alpha[..., None]
    return np.asarray(work.clip(0, 255), np.uint8)


def _clouds(picture: Picture, rng: np.random.Generator) -> Picture:
    """Cumulus and stratus: many, without a foot, flat below, in the upper part or right behind a ridge."""
    size = picture.shape[0]
    field = noise_field(size, rng, float(rng.uniform(0.5, 0.75)))
    squeeze = float(rng.uniform(0.25, 0.9))
    wide = cv2.resize(field, (size, max(8, int(size * squeeze))))
    field = np.tile(wide, (int(np.ceil(size / wide.shape[0])), 1))[:size]
    alpha = ((field - rng.uniform(-0.1, 0.3)) * rng.uniform(2, 7)).clip(0, 1)
    base = rng.uniform(0.25, 0.75) * size
    rows = np.arange(size)[:, None]
    alpha = alpha * (1 / (1 + np.exp((rows - base) / rng.uniform(3, 30)))) * rng.uniform(0.4, 1.0)
    sky = np.quantile(picture[: size // 3].reshape(-1, 3), 0.9, axis=0)
    colour = np.maximum(sky, rng.uniform(170, 252))
    return _over(picture, np.asarray(alpha, np.float32), colour)


def _fog(picture: Picture, rng: np.random.Generator) -> Picture:
    """Fog, haze and low cloud: bands as wide as the picture, soft above and below."""
    size = picture.shape[0]
    rows = np.arange(size, dtype=np.float32)[:, None]
    lift = noise_field(size, rng, 0.35)
    middle, thick = rng.uniform(0.2, 1.0) * size, rng.uniform(0.04, 0.4) * size
    alpha = np.exp(-(((rows + lift * size * 0.12 - middle) / thick) ** 2)) * rng.uniform(0.3, 0.9)
    return _over(
        picture, np.asarray(alpha * (1 + 0.4 * lift), np.float32).clip(0, 1), (rng.uniform(150, 235),) * 3
    )


def _dust(picture: Picture, rng: np.random.Generator) -> Picture:
    """Dust behind a harvester: low, brown, drawn out along the ground, with the machine at its head."""
    size = picture.shape[0]
    length = float(rng.uniform(0.08, 0.5) * size)
    x, y = rng.uniform(0.1, 0.9) * size, rng.uniform(0.55, 0.95) * size
    plume = Plume(
        (x, y), length, 0.97, 1 if rng.random() < 0.5 else -1, 0.13, float(rng.uniform(0.3, 1.2)), 1.0, 0.6
    )
    alpha = (1 - np.exp(-plume_depth(plume, size, rng))) * 0.8
    shade = float(rng.uniform(0.7, 1.15))
    out = _over(picture, np.asarray(alpha, np.float32), np.array([120, 160, 190]) * shade)
    side = max(2, int(length * 0.06))
    corner = (int(x + side * 2), int(y))
    cv2.rectangle(out, (int(x - side), int(y - side * 1.3)), corner, rng.uniform(20, 200, 3).tolist(), -1)
    return out


def _glare(picture: Picture, rng: np.random.Generator) -> Picture:
    """Sun on the lens: a veil from one corner, streaks through it, and ghosts in a row."""
    size = picture.shape[0]
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    x, y = rng.uniform(-0.2, 1.2) * size, rng.uniform(-0.3, 0.5) * size
    far = np.hypot(columns - x, rows - y)
    veil = np.exp(-far / (size * rng.uniform(0.1, 0.6))) * rng.uniform(0.3, 1.0)
    angle = np.arctan2(rows - y, columns - x)
    rays = int(rng.integers(2, 9))
    veil = veil + np.clip(np.cos(angle * rays + rng.uniform(0, 6)), 0, 1) ** rng.uniform(20, 150) * np.exp(
        -far / size
    ) * rng.uniform(0.1, 0.5)
    work = picture + veil[..., None] * np.array([rng.uniform(190, 255), rng.uniform(215, 255), 255])
    for step in np.linspace(0.4, 1.6, int(rng.integers(0, 5))):
        at = (int(x + (size / 2 - x) * step), int(y + (size / 2 - y) * step))
        ghost = np.zeros((size, size), np.float32)
        cv2.circle(ghost, at, int(rng.uniform(4, 40)), 1.0, -1)
        work += cv2.GaussianBlur(ghost, (0, 0), 3)[..., None] * rng.uniform(5, 45, 3)
    return np.asarray(work.clip(0, 255), np.uint8)


def _drops(picture: Picture, rng: np.random.Generator) -> Picture:
    """Put drops and dirt on the glass: soft discs that blur and lighten what is behind."""
    size = picture.shape[0]
    mask = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(1, 9))):
        at = rng.uniform(0, size, 2).astype(int)
        axes = (int(rng.uniform(4, 40)), int(rng.uniform(4, 40)))
        cv2.ellipse(mask, (int(at[0]), int(at[1])), axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(2, 7)))[..., None]
    behind = cv2.GaussianBlur(picture, (0, 0), 9) * rng.uniform(0.8, 1.15) + rng.uniform(-10, 30)
    return np.asarray((picture * (1 - mask) + behind * mask).clip(0, 255), np.uint8)


def _steam(picture: Picture, rng: np.random.Generator) -> Picture:
    """Steam from a chimney: white, dense, gone within a few stack heights; the stack is to be seen."""
    size = picture.shape[0]
    x, y = rng.uniform(0.1, 0.9) * size, rng.uniform(0.3, 0.8) * size
    tall = float(np.exp(rng.uniform(np.log(14), np.log(110))))
    wide = max(2, int(tall * rng.uniform(0.06, 0.16)))
    out = picture.copy()
    shade = rng.uniform(70, 210, 3) * 0.5 + rng.uniform(35, 105)
    cv2.rectangle(out, (int(x - wide), int(y)), (int(x + wide), int(y + tall)), shade.tolist(), -1)
    if rng.random() < 0.5:
        for part in (0.0, 0.25, 0.5):
            cv2.rectangle(
                out,
                (int(x - wide), int(y + part * tall)),
                (int(x + wide), int(y + (part + 0.12) * tall)),
                (40, 40, 200),
                -1,
            )
    length = tall * float(rng.uniform(0.4, 1.6))
    plume = Plume(
        (float(x), float(y)),
        length,
        float(rng.uniform(0.1, 0.8)),
        1 if rng.random() < 0.5 else -1,
        0.22,
        2.0,
        3.5,
        0.5,
    )
    alpha = 1 - np.exp(-plume_depth(plume, size, rng))
    return _over(out, np.asarray(alpha, np.float32), (rng.uniform(225, 255),) * 3)

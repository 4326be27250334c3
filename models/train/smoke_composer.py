"""Rendered plumes on real pictures with exact boxes, and what looks like smoke and is none.

Distance enters as the size in pixels (a 20 m plume at 2 km is 20 px wide in a 1080p picture with a
54 degree lens), as haze that lowers contrast towards the colour of the air, and as blur. Sensor
noise, blur and JPEG come over the whole picture last, and over look-alikes the same, so that being
composed is no sign of smoke.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from models.train.plume import Field, Plume, canvas_depth, draw_plume, place, shade, smoke_colour
from models.train.street_scenery import noise_field
from models.train.tiles import Picture, Tile, recompress

SEEN_ALPHA = 0.08  # where the eye still tells smoke from its background, on textured ground
SEEN_STEP = 5.0  # and by how many of 255 steps the picture must have changed there
SEEN_MEAN = 8.0  # and over all that is seen, on average,
SEEN_CLUTTER = 1.0  # and by this times the standard deviation of fine texture there: bushes hide smoke
TRIES = 16
FOOT_TRIES = 12
LEAST_TEXTURE = 1.8  # mean absolute fine contrast of ground, even hazy; sky has less
LEAST_SIDE_PX = 7
LONGEST = 1.4  # centre line of a plume, as a multiple of the picture's side: near fires leave the picture
BEHIND_RIDGE = 0.35  # share of plumes whose foot is hidden


def compose_plume(tile: Tile, label: str, rng: np.random.Generator) -> Tile:
    """Blend one plume, now and then two, into a cut-out; its real boxes stay. Boxes in px of the tile."""
    picture = tile.picture
    boxes, labels = [tuple(box) for box in tile.boxes], list(tile.labels)
    for _ in range(1 if rng.random() < 0.8 else 2):
        for _try in range(TRIES):
            blended, box = blend(picture, rng)
            if box is not None and not _covers(box, boxes):
                picture = blended
                boxes.append(box)
                labels.append(label)
                break
    return Tile(_sensor(picture, rng), np.asarray(boxes, np.float64).reshape(-1, 4), tuple(labels))


def blend(
    picture: Picture, rng: np.random.Generator
) -> tuple[Picture, tuple[float, float, float, float] | None]:
    """Draw, light and lay one plume over a picture; return it with its box, None if nobody would see it."""
    size = picture.shape[0]
    at = _foot(picture, rng)
    if at is None:
        return picture, None
    plume = draw_plume(size * LONGEST, rng)
    canvas, foot = canvas_depth(plume, rng)
    depth = place(canvas, foot, plume, at, size)
    alpha = (1 - np.exp(-depth)) * float(rng.uniform(0.5, 1.0))
    if rng.random() < BEHIND_RIDGE:
        alpha = alpha * _above_ridge(picture, at, plume.length)
    air = np.quantile(picture.reshape(-1, 3), 0.9, axis=0)
    lit = smoke_colour(air, rng) * shade(depth, plume.length, rng)[..., None]
    blended = picture * (1 - alpha[..., None]) + lit * alpha[..., None]
    out = np.asarray(blended.clip(0, 255), np.uint8)
    box = seen_box(picture, out, alpha)
    return (picture, None) if box is None else (out, box)


def seen_box(
    before: Picture, after: Picture, alpha: npt.NDArray[np.floating]
) -> tuple[float, float, float, float] | None:
    """Box what an eye tells from its background, without stray wisps; None if that is too little."""
    changed = np.abs(
        cv2.GaussianBlur(after, (0, 0), 1.2).astype(np.float32) - cv2.GaussianBlur(before, (0, 0), 1.2)
    ).mean(axis=2)
    seen = ((alpha > SEEN_ALPHA) & (changed > SEEN_STEP)).astype(np.uint8)
    count, _marks, stats, _centres = cv2.connectedComponentsWithStats(seen)
    keep = [row for row in stats[1:count] if row[4] >= max(20, 0.06 * seen.sum())]
    if not keep:
        return None
    grey = cv2.cvtColor(before, cv2.COLOR_BGR2GRAY).astype(np.float32)
    clutter = float((grey - cv2.GaussianBlur(grey, (0, 0), 6))[seen > 0].std())
    if changed[seen > 0].mean() < max(SEEN_MEAN, SEEN_CLUTTER * clutter):
        return None
    left, top = min(row[0] for row in keep), min(row[1] for row in keep)
    right, bottom = max(row[0] + row[2] for row in keep), max(row[1] + row[3] for row in keep)
    if min(right - left, bottom - top) < LEAST_SIDE_PX:
        return None
    return float(left), float(top), float(right), float(bottom)


def _covers(box: tuple[float, ...], others: list[tuple[float, ...]]) -> bool:
    """Tell whether a box lies over another one: two plumes in one are no two boxes."""
    return any(
        min(box[2], other[2]) > max(box[0], other[0]) and min(box[3], other[3]) > max(box[1], other[1])
        for other in others
    )


def _foot(picture: Picture, rng: np.random.Generator) -> tuple[float, float] | None:
    """Draw where smoke starts: a textured place, not the sky; None where a few tries find none."""
    size = picture.shape[0]
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
    texture = cv2.blur(np.abs(grey - cv2.blur(grey, (9, 9))), (31, 31))
    for _ in range(FOOT_TRIES):
        x, y = rng.uniform(0.05, 0.95) * size, rng.uniform(0.2, 0.98) * size
        if texture[int(y), int(x)] > LEAST_TEXTURE:
            return float(x), float(y)
    return None


def _above_ridge(picture: Picture, at: tuple[float, float], length: float) -> Field:
    """Mask what is below the strongest edge near the foot, column by column: smoke from behind a ridge."""
    size = picture.shape[0]
    reach = int(max(6, 0.25 * length))
    low, high = max(1, int(at[1]) - reach), min(size - 1, int(at[1]) + reach)
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (0, 0), 1.5).astype(np.float32)
    steps = np.abs(cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=3))[low:high]
    rows = (low + steps.argmax(axis=0)).astype(np.float32)
    ridge = cv2.medianBlur(rows.reshape(1, -1), 5).ravel()
    below = np.arange(size, dtype=np.float32)[:, None] - ridge[None, :]
    return np.asarray(1 / (1 + np.exp(np.clip(below * 1.5, -30, 30))), np.float32)


def _sensor(picture: Picture, rng: np.random.Generator) -> Picture:
    """Put sensor noise, blur and JPEG over all of a picture, composed or not."""
    noise = rng.normal(0, rng.uniform(0, 3.5), picture.shape[:2])[..., None]
    return recompress(np.asarray((picture + noise).clip(0, 255), np.uint8), rng)


def compose_lookalike(tile: Tile, rng: np.random.Generator) -> Tile:
    """Add clouds, fog, dust, glare, drops or chimney steam to a cut-out, and no box."""
    kinds = (_clouds, _ridge_clouds, _fog, _dust, _glare, _low_sun, _drops, _steam, _sunlit)
    shares = (0.17, 0.16, 0.13, 0.06, 0.12, 0.12, 0.09, 0.07, 0.08)
    picture = tile.picture
    for index in rng.choice(len(kinds), size=1 if rng.random() < 0.7 else 2, replace=False, p=shares):
        picture = kinds[index](picture, rng)
    return Tile(_sensor(picture, rng), tile.boxes, tile.labels)


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


def _ridge_clouds(picture: Picture, rng: np.random.Generator) -> Picture:
    """Cumulus heads that stand behind the highest ridge: lumpy above, cut off by the ground below."""
    size = picture.shape[0]
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (0, 0), 2).astype(np.float32)
    steps = np.abs(cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=3))[4:-4]
    ridge = float(np.median((steps > np.quantile(steps, 0.97)).argmax(axis=0))) + 4
    at = (float(rng.uniform(0.1, 0.9) * size), max(20.0, ridge))
    keep = _above_ridge(picture, at, size * 0.3)
    field = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(1, 5))):
        x, wide = rng.uniform(0, size), np.exp(rng.uniform(np.log(10), np.log(size * 0.3)))
        y = at[1] - rng.uniform(-0.3, 1.5) * wide
        lumps = rng.normal(0, 0.5, (14, 2)) * (wide, 0.35 * wide)
        for dx, dy in lumps:
            radius = int(max(2, wide * rng.uniform(0.1, 0.35)))
            cv2.circle(field, (int(x + dx), int(y + dy)), radius, float(rng.uniform(0.6, 1.0)), -1)
    field = cv2.GaussianBlur(field, (0, 0), float(rng.uniform(1.5, 8)))
    alpha = field * keep * rng.uniform(0.3, 0.95) * (1 + 0.4 * noise_field(size, rng, 0.75))
    return _over(picture, np.asarray(alpha, np.float32).clip(0, 1), (float(rng.uniform(175, 252)),) * 3)


def _sunlit(picture: Picture, rng: np.random.Generator) -> Picture:
    """Patches of sun and shadows of clouds on the ground: brighter or darker, nothing in front of it."""
    size = picture.shape[0]
    patches = ((noise_field(size, rng, 0.5) - rng.uniform(0.0, 0.3)) * rng.uniform(3, 10)).clip(0, 1)
    gain = float(rng.uniform(1.25, 1.9)) if rng.random() < 0.6 else float(rng.uniform(0.45, 0.8))
    return np.asarray((picture * (1 + (gain - 1) * patches[..., None])).clip(0, 255), np.uint8)


def _laid(picture: Picture, plume: Plume, at: tuple[float, float], rng: np.random.Generator) -> Field:
    """Return the alpha of one given plume with its foot at ``at``."""
    canvas, foot = canvas_depth(plume, rng)
    return np.asarray(1 - np.exp(-place(canvas, foot, plume, at, picture.shape[0])), np.float32)


def _dust(picture: Picture, rng: np.random.Generator) -> Picture:
    """Dust behind a harvester: low, brown, drawn out along the ground, with the machine at its head."""
    size = picture.shape[0]
    length = float(rng.uniform(0.08, 0.5) * size)
    x, y = rng.uniform(0.1, 0.9) * size, rng.uniform(0.55, 0.95) * size
    side = 1 if rng.random() < 0.5 else -1
    thick = float(rng.uniform(0.3, 1.2))
    plume = Plume(length, 0.97, side, 0.0, 0.03, 0.11, 0.4, 1.0, 0.5, 0.6, thick)
    alpha = _laid(picture, plume, (x, y), rng) * 0.8
    out = _over(picture, alpha, np.array([120, 160, 190]) * float(rng.uniform(0.7, 1.15)))
    half = max(2, int(length * 0.06))
    corner = (int(x + half * 2), int(y))
    cv2.rectangle(out, (int(x - half), int(y - half * 1.3)), corner, rng.uniform(20, 200, 3).tolist(), -1)
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


def _low_sun(picture: Picture, rng: np.random.Generator) -> Picture:
    """Put a low sun over darkened ground: disc, glow, and beams that fan out below it."""
    size = picture.shape[0]
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    x, y = rng.uniform(0.0, 1.0) * size, rng.uniform(0.0, 0.5) * size
    far = np.hypot(columns - x, rows - y)
    radius = float(np.exp(rng.uniform(np.log(3), np.log(0.09 * size))))
    light = 1.2 / (1 + np.exp(((far - radius) / (0.2 * radius)).clip(max=30)))
    light = light + rng.uniform(0.2, 0.7) * np.exp(-far / (radius * rng.uniform(2, 12)))
    across = np.arctan2(columns - x, np.maximum(rows - y, 1))
    for _ in range(int(rng.integers(0, 9))):
        beam = np.exp(-(((across - rng.normal(0, 0.35)) / rng.uniform(0.01, 0.12)) ** 2)) * (rows > y)
        reach = np.exp(-(((far - rng.uniform(0.1, 0.9) * size) / rng.uniform(0.04, 0.4) / size) ** 2))
        light = light + beam * reach * rng.uniform(0.1, 0.7)
    blue = rng.uniform(90, 255)
    colour = np.array([blue, blue + (255 - blue) * rng.uniform(0.3, 1), 255])
    work = picture * rng.uniform(0.3, 1.0) + light[..., None] * colour
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
    lean, side = float(rng.uniform(0.1, 0.8)), 1 if rng.random() < 0.5 else -1
    plume = Plume(length, lean, side, 0.5, wide / length, 0.2, 0.6, 3.0, 0.6, 0.5, 2.0)
    return _over(out, _laid(picture, plume, (float(x), float(y)), rng), (rng.uniform(225, 255),) * 3)

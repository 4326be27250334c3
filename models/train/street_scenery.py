"""What stands and lies about in a rendered street: ground, road, kerbs, markings, clutter."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from models.train.tiles import Picture

Floats = npt.NDArray[np.float64]
GROUNDS_BGR = (
    (95, 98, 100),
    (70, 90, 95),
    (60, 105, 75),
    (85, 120, 140),
    (110, 115, 118),
    (50, 70, 60),
    (140, 150, 155),
)


def noise_field(size: int, rng: np.random.Generator, roughness: float = 0.55) -> npt.NDArray[np.float32]:
    """Return value noise over octaves, about zero mean and unit range, shape (size, size)."""
    out = np.zeros((size, size), np.float32)
    weight, cells = 1.0, 3
    while cells < size // 2:
        layer = rng.normal(0, 1, (cells, cells)).astype(np.float32)
        out += weight * cv2.resize(layer, (size, size), interpolation=cv2.INTER_CUBIC)
        weight *= roughness
        cells *= 2
    return np.asarray(out / (np.abs(out).max() + 1e-6), np.float32)


def ground_texture(size: int, rng: np.random.Generator) -> Picture:
    """Paint ground: one colour, mottled, sometimes two."""
    base = np.array(GROUNDS_BGR[rng.integers(len(GROUNDS_BGR))], np.float32)
    field = noise_field(size, rng, float(rng.uniform(0.45, 0.8)))
    picture = base + field[..., None] * rng.uniform(8, 55)
    if rng.random() < 0.5:
        other = np.array(GROUNDS_BGR[rng.integers(len(GROUNDS_BGR))], np.float32)
        mix = (noise_field(size, rng) * 4 + rng.uniform(-1, 1)).clip(0, 1)[..., None]
        picture = picture * (1 - mix) + (other + field[..., None] * 20) * mix
    return np.asarray(picture.clip(0, 255), np.uint8)


def paint_road(
    picture: Picture,
    project: Callable[[Floats], Floats],
    middle: Floats | None,
    heading: float,
    rng: np.random.Generator,
) -> None:
    """Paint asphalt with lanes, kerbs, pavements and a crossing along ``heading`` through ``middle``."""
    if middle is None:
        return
    along = np.array([np.cos(heading), np.sin(heading), 0])
    across = np.array([-along[1], along[0], 0])
    lanes = int(rng.integers(1, 4))
    half = lanes * 3.3 + rng.uniform(0, 2.5)
    grey = float(rng.uniform(55, 130))

    def strip(a: float, b: float, start: float, end: float, colour: tuple[float, float, float]) -> None:
        steps = np.linspace(start, end, 24)
        edge = [np.array([middle + along * s + across * side for s in steps]) for side in (a, b)]
        points = project(np.vstack([edge[0], edge[1][::-1]]))
        points = points[points[:, 2] > 0.5]
        if len(points) >= 3:
            cv2.fillPoly(
                picture, [points[:, :2].clip(-9999, 9999).round().astype(np.int32)], colour, cv2.LINE_AA
            )

    if rng.random() < 0.6:
        pave = grey + float(rng.uniform(15, 70))
        strip(-half - 3, half + 3, -150, 150, (pave, pave + 3, pave + 6))
    strip(-half - 0.2, half + 0.2, -150, 150, (grey + 60,) * 3)
    strip(-half, half, -150, 150, (grey, grey, grey))
    paint = (float(rng.uniform(170, 235)),) * 3
    if rng.random() < 0.8:
        for lane in range(-lanes + 1, lanes):
            for start in np.arange(-60, 60, 9.0):
                strip(lane * 3.3 - 0.07, lane * 3.3 + 0.07, start, start + 4.5, paint)
    if rng.random() < 0.3:
        at = float(rng.uniform(-12, 12))
        for stripe in np.arange(-half, half, 1.0):
            strip(stripe, stripe + 0.5, at, at + 3.5, paint)
    mottle = noise_field(picture.shape[0], rng, 0.8)
    np.copyto(picture, (picture + mottle[..., None] * rng.uniform(4, 16)).clip(0, 255).astype(np.uint8))


def clutter(
    picture: Picture, rng: np.random.Generator, count: int, owner: npt.NDArray[np.int16] | None = None
) -> None:
    """Strew trees, roofs, poles, shadows and patches; over vehicles too where ``owner`` is given.

    What covers a vehicle takes its pixels in ``owner``, so that the box shrinks with what is seen.
    """
    size = picture.shape[0]
    for _ in range(count):
        mask = np.zeros((size, size), np.uint8)
        kind = rng.integers(6)
        x, y = rng.uniform(0, size, 2)
        reach = float(np.exp(rng.uniform(np.log(size * 0.02), np.log(size * 0.25))))
        colour = rng.uniform(20, 190, 3)
        if kind == 0:  # a tree crown or bush
            for _leaf in range(25):
                centre = rng.normal((x, y), reach * 0.4)
                cv2.circle(
                    mask, (int(centre[0]), int(centre[1])), int(reach * rng.uniform(0.1, 0.3)) + 1, 255, -1
                )
            colour = np.array([40, 75, 50]) * rng.uniform(0.5, 1.5)
        elif kind == 1:  # a pole or a branch
            end = (int(x + rng.normal(0, reach)), int(y + rng.normal(0, reach * 2)))
            cv2.line(mask, (int(x), int(y)), end, 255, int(rng.integers(1, 5)))
        elif kind == 5 and owner is None:  # a cast shadow
            angle = rng.uniform(0, 180)
            box = cv2.boxPoints(((float(x), float(y)), (reach * 3, reach), float(angle)))
            cv2.fillPoly(mask, [box.astype(np.int32)], 255)
            soft = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), 3)[..., None]
            np.copyto(picture, (picture * (1 - 0.5 * soft)).astype(np.uint8))
            continue
        else:  # a roof, crate, planter or patch: a plain or striped quadrilateral
            if owner is not None:
                continue
            _roof(picture, (float(x), float(y)), reach, colour, rng)
            continue
        shade = (colour * rng.uniform(0.6, 1.2)).clip(0, 255)
        speckle = rng.normal(0, 18, (size, size, 1))
        filled = (shade + speckle).clip(0, 255).astype(np.uint8)
        picture[mask > 0] = filled[mask > 0]
        if owner is not None:
            owner[mask > 0] = -1


def _roof(
    picture: Picture, at: tuple[float, float], reach: float, colour: Floats, rng: np.random.Generator
) -> None:
    angle = float(rng.uniform(0, 180))
    sides = (reach * float(rng.uniform(0.6, 3)), reach * float(rng.uniform(0.4, 1.2)))
    quad = cv2.boxPoints((at, sides, angle))
    cv2.fillPoly(picture, [quad.astype(np.int32)], colour.tolist(), cv2.LINE_AA)
    shift = np.array([0, reach * float(rng.uniform(0.1, 0.6))], np.float32)
    side = np.stack([quad[0], quad[1], quad[1] + shift, quad[0] + shift])
    cv2.fillPoly(picture, [side.astype(np.int32)], (colour * 0.6).tolist(), cv2.LINE_AA)
    if rng.random() < 0.5:
        for step in np.linspace(0.1, 0.9, int(rng.integers(3, 8))):
            a, b = quad[0] * (1 - step) + quad[1] * step, quad[3] * (1 - step) + quad[2] * step
            cv2.line(picture, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), (colour * 0.75).tolist(), 2)

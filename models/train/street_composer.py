"""Rendered streets seen from above: solid vehicles under a pinhole camera, exact boxes.

Shares no code with the simulator, on purpose: a detector trained on the one is judged on the other.
Ground coordinates are metres, x to the right, y away from the camera, z up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models.train.samples import box_array
from models.train.street_scenery import clutter, ground_texture, paint_road
from models.train.tiles import Picture, Tile, read_picture, recompress

Floats = npt.NDArray[np.float64]
LEAST_VISIBLE = 0.35
LEAST_SIDE_PX = 5

# side outlines (x along the car, z up) as fractions of length and height; windows between the marked points
OUTLINES: dict[str, tuple[tuple[float, float], ...]] = {
    "saloon": (
        (0, 0.2),
        (0, 0.6),
        (0.12, 0.66),
        (0.28, 0.98),
        (0.62, 1.0),
        (0.78, 0.66),
        (0.97, 0.55),
        (1, 0.2),
    ),
    "hatch": ((0, 0.2), (0.01, 0.65), (0.1, 0.98), (0.6, 1.0), (0.77, 0.66), (0.97, 0.55), (1, 0.2)),
    "van": ((0, 0.15), (0, 0.97), (0.04, 1.0), (0.8, 1.0), (0.92, 0.55), (1, 0.45), (1, 0.15)),
    "pickup": (
        (0, 0.25),
        (0, 0.58),
        (0.4, 0.58),
        (0.44, 0.98),
        (0.66, 1.0),
        (0.78, 0.64),
        (0.98, 0.56),
        (1, 0.25),
    ),
    "box": ((0, 0.18), (0, 1.0), (0.76, 1.0), (0.77, 0.72), (0.96, 0.7), (1, 0.45), (1, 0.15)),
    "bus": ((0, 0.12), (0, 0.98), (0.02, 1.0), (0.97, 1.0), (1, 0.9), (1, 0.12)),
}
SIZES_M: dict[str, tuple[float, float, float]] = {
    "saloon": (4.6, 1.8, 1.45),
    "hatch": (4.0, 1.75, 1.52),
    "van": (5.2, 2.0, 2.2),
    "pickup": (5.3, 1.9, 1.8),
    "box": (8.0, 2.4, 3.2),
    "bus": (11.5, 2.5, 3.1),
}
KINDS = tuple(SIZES_M)
KIND_SHARES = (0.36, 0.28, 0.13, 0.11, 0.08, 0.04)
PAINTS_BGR = (
    (235, 235, 235), (200, 200, 198), (150, 150, 150), (95, 92, 90), (45, 42, 40), (25, 25, 28),
    (40, 40, 150), (30, 30, 200), (140, 70, 30), (190, 120, 60), (60, 110, 60), (40, 150, 210),
    (20, 190, 230), (90, 110, 140), (60, 80, 110), (170, 190, 200),
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A pinhole camera above the ground: position, rotation to camera axes, focal length in px."""

    position: Floats
    rotation: Floats
    focal_px: float
    size_px: int

    def project(self, points: Floats) -> Floats:
        """Project (n, 3) ground points; returns (n, 3): x px, y px, depth in m (<= 0.5: behind)."""
        seen = (points - self.position) @ self.rotation.T
        depth = np.maximum(seen[:, 2], 1e-3)
        half = self.size_px / 2
        return np.column_stack(
            [half + self.focal_px * seen[:, 0] / depth, half + self.focal_px * seen[:, 1] / depth, seen[:, 2]]
        )

    def ground_at(self, x_px: float, y_px: float) -> Floats | None:
        """Return the ground point (3,) under a pixel, None above the horizon."""
        half = self.size_px / 2
        ray = self.rotation.T @ np.array([(x_px - half) / self.focal_px, (y_px - half) / self.focal_px, 1.0])
        if ray[2] > -0.02:
            return None
        return np.asarray(self.position - ray * self.position[2] / ray[2])


@dataclass(frozen=True, slots=True, eq=False)
class Car:
    """A vehicle on the ground: where, heading in rad, kind, size factor, paint in BGR."""

    at: Floats
    heading: float
    kind: str
    factor: float
    paint: tuple[int, int, int]


def draw_camera(size_px: int, rng: np.random.Generator) -> Camera:
    """Draw a street or tower camera: 4 to 30 m high, looking 18 to 88 degrees down, rolled a little."""
    height = float(np.exp(rng.uniform(np.log(4), np.log(30))))
    down = np.deg2rad(rng.uniform(18, 60) if rng.random() < 0.85 else rng.uniform(60, 88))
    roll = np.deg2rad(rng.normal(0, 6))
    forward = np.array([0, np.cos(down), -np.sin(down)])
    right = np.array([1.0, 0, 0])
    below = np.cross(forward, right)
    base = np.stack([right, below, forward])
    turn = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    distance = height / np.sin(down)
    width_px = np.exp(rng.uniform(np.log(28), np.log(230)))  # of a 4.5 m car in the middle
    return Camera(np.array([0, 0, height]), turn @ base, float(width_px * distance / 4.5), size_px)


def compose_street(size_px: int, label: str, rng: np.random.Generator, backgrounds: Sequence[Path]) -> Tile:
    """Render one square picture of ``size_px``; now and then on a real vehicle-free picture."""
    fine = size_px * 2
    camera = draw_camera(fine, rng)
    if backgrounds and rng.random() < 0.3:
        picture = _real_ground(backgrounds[int(rng.integers(len(backgrounds)))], fine, rng)
    else:
        picture = ground_texture(fine, rng)
    heading = float(rng.uniform(0, np.pi))
    if rng.random() < 0.85:
        paint_road(picture, camera.project, camera.ground_at(fine / 2, fine / 2), heading, rng)
    clutter(picture, rng, int(rng.integers(0, 10)))
    cars = _place_cars(camera, heading, rng) if rng.random() < 0.9 else []
    sun = np.array([np.cos(a := rng.uniform(0, 2 * np.pi)), np.sin(a), rng.uniform(0.7, 2.5)])
    owner = np.full((fine, fine), -1, np.int16)
    whole_px = [_draw_car(picture, owner, index, car, camera, sun, rng) for index, car in enumerate(cars)]
    if rng.random() < 0.5:
        clutter(picture, rng, int(rng.integers(1, 4)), owner)
    boxes = _visible_boxes(owner, whole_px)
    small = cv2.resize(_weather(picture, rng), (size_px, size_px), interpolation=cv2.INTER_AREA)
    return Tile(recompress(np.asarray(small, np.uint8), rng), boxes / 2, (label,) * len(boxes))


def _place_cars(camera: Camera, heading: float, rng: np.random.Generator) -> list[Car]:
    """Put cars down in rows along the road, at kerbs and queues; the farthest first."""
    cars: list[Car] = []
    queue = rng.random() < 0.35
    middle = camera.ground_at(camera.size_px / 2, camera.size_px / 2)
    if middle is None:
        return []
    for _ in range(int(rng.integers(3, 30) if queue else rng.integers(1, 10))):
        spot = camera.ground_at(*rng.uniform(-0.05, 1.05, 2) * camera.size_px)
        if spot is None or np.linalg.norm(spot - camera.position) * 4 > camera.focal_px * 4.5:
            continue
        along = np.array([np.cos(heading), np.sin(heading), 0])
        across = np.array([-along[1], along[0], 0])
        offset = float((spot - middle) @ across)
        lane = np.round(offset / 3.3 - 0.5) + 0.5
        at = spot + across * (lane * 3.3 - offset + rng.normal(0, 0.25))
        free = rng.random() < 0.15
        turn = heading + (np.pi if lane < 0 else 0) + rng.normal(0, 0.05)
        kind = KINDS[rng.choice(len(KINDS), p=KIND_SHARES)]
        length = SIZES_M[kind][0]
        if any(
            np.linalg.norm(at - other.at) < 0.55 * (length + SIZES_M[other.kind][0])
            for other in cars
            if not _abreast(at, other, along)
        ):
            continue
        paint = np.array(PAINTS_BGR[rng.integers(len(PAINTS_BGR))]) + rng.normal(0, 8, 3)
        colour = (int(paint[0]), int(paint[1]), int(paint[2]))
        cars.append(
            Car(
                at,
                float(rng.uniform(0, 2 * np.pi)) if free else turn,
                kind,
                float(rng.uniform(0.92, 1.1)),
                colour,
            )
        )
    return sorted(cars, key=lambda car: -float(np.linalg.norm(car.at - camera.position)))


def _abreast(at: Floats, other: Car, along: Floats) -> bool:
    gap = at - other.at
    return abs(float(gap @ np.array([-along[1], along[0], 0]))) > 2.6


def _solid(car: Car) -> tuple[Floats, Floats, Floats]:
    """Return the left and right outlines (n, 3) each and the two ends of the car's own axes."""
    length, width, height = (side * car.factor for side in SIZES_M[car.kind])
    outline = np.array(OUTLINES[car.kind])
    x = (outline[:, 0] - 0.5) * length
    z = outline[:, 1] * height
    narrow = (
        np.where(outline[:, 1] > 0.8, 0.82, 1.0) if car.kind not in {"box", "bus", "van"} else np.ones(len(z))
    )
    axis = np.array(
        [
            [np.cos(car.heading), np.sin(car.heading), 0],
            [-np.sin(car.heading), np.cos(car.heading), 0],
            [0, 0, 1.0],
        ]
    )
    left = np.column_stack([x, narrow * width / 2, z]) @ axis + car.at
    right = np.column_stack([x, -narrow * width / 2, z]) @ axis + car.at
    return left, right, axis


def _draw_car(
    picture: Picture,
    owner: npt.NDArray[np.int16],
    index: int,
    car: Car,
    camera: Camera,
    sun: Floats,
    rng: np.random.Generator,
) -> int:
    """Paint shadow, wheels, faces, windows and lights, back faces first; return the whole's area in px."""
    left, right, axis = _solid(car)
    corners = camera.project(np.vstack([left, right]))
    if corners[:, 2].min() < 0.5:
        return 0
    _draw_shadow(picture, left, right, car, camera, sun)
    faces = _faces(left, right, car, axis)
    towards = [
        float(normal @ (points.mean(axis=0) - camera.position)) for points, normal, _colour, _rank in faces
    ]
    seen = [face for face, value in zip(faces, towards, strict=True) if value < 0]
    unit = sun / np.linalg.norm(sun)
    gain = float(rng.uniform(0.75, 1.1))
    for points, normal, colour, _rank in sorted(seen, key=lambda face: face[3]):
        light = gain * (0.55 + 0.5 * max(0.0, float(normal @ unit)))
        shade = tuple(int(min(255, max(0, channel * light))) for channel in colour)
        flat = camera.project(points)[:, :2].round().astype(np.int32)
        cv2.fillPoly(picture, [flat], shade, cv2.LINE_AA)
    hull = cv2.convexHull(corners[:, :2].astype(np.float32)).round().astype(np.int32)
    mask = np.zeros(owner.shape, np.uint8)
    cv2.fillPoly(mask, [hull], 1)
    owner[mask > 0] = index
    return int(cv2.contourArea(hull))


Face = tuple[Floats, Floats, tuple[int, int, int], int]


def _faces(left: Floats, right: Floats, car: Car, axis: Floats) -> list[Face]:
    """Return (points, outward normal, colour, rank): bodies before windows before lights."""
    glass = (70, 60, 52)
    rubber = (28, 28, 28)
    faces: list[Face] = []
    side = axis[1]
    for outline, normal in ((left, side), (right, -side)):
        faces.append((outline, normal, car.paint, 0))
        faces += [(_wheel(outline, at, axis, car), normal, rubber, 2) for at in (0.2, 0.8)]
        window = _side_window(outline, car)
        if window is not None:
            faces.append((window, normal, glass, 2))
    middle = (left.mean(axis=0) + right.mean(axis=0)) / 2
    for i in range(len(left) - 1):
        quad = np.stack([left[i], left[i + 1], right[i + 1], right[i]])
        normal = np.cross(left[i + 1] - left[i], right[i] - left[i])
        normal /= np.linalg.norm(normal) + 1e-9
        if normal @ (quad.mean(axis=0) - middle) < 0:
            normal = -normal
        steep = abs(normal[2]) < 0.93 and quad[:, 2].mean() > 0.6 * left[:, 2].max()
        faces.append((quad, normal, car.paint, 1))
        if steep and car.kind != "box":
            centre = quad.mean(axis=0)
            faces.append((centre + (quad - centre) * 0.84, normal, glass, 3))
        elif i in {0, len(left) - 2} and quad[:, 2].mean() < 0.7 * left[:, 2].max():
            faces += _lights(quad, normal, rear=i == 0)
    return faces


def _lights(quad: Floats, normal: Floats, *, rear: bool) -> list[Face]:
    colour = (40, 40, 190) if rear else (220, 235, 240)
    out: list[Face] = []
    for a, b in ((0.04, 0.24), (0.76, 0.96)):
        low, high = quad[0] * 0.25 + quad[1] * 0.75, quad[1]
        low_r, high_r = quad[3] * 0.25 + quad[2] * 0.75, quad[2]
        points = np.stack(
            [
                low + (low_r - low) * a,
                high + (high_r - high) * a,
                high + (high_r - high) * b,
                low + (low_r - low) * b,
            ]
        )
        out.append((points, normal, colour, 3))
    return out


def _wheel(outline: Floats, at: float, axis: Floats, car: Car) -> Floats:
    length, _width, height = (side * car.factor for side in SIZES_M[car.kind])
    radius = 0.33 * car.factor if car.kind not in {"box", "bus"} else 0.48
    foot = outline[0] + axis[0] * (at * length) - np.array([0, 0, outline[0][2] - radius])
    angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    _ = height
    return np.asarray(
        foot + np.outer(np.cos(angles) * radius, axis[0]) + np.outer(np.sin(angles) * radius, [0, 0, 1.0])
    )


def _side_window(outline: Floats, car: Car) -> Floats | None:
    """Return the strip of side glass: the part of the outline above the waist, drawn in a little."""
    if car.kind == "box":
        return None
    top = outline[:, 2].max()
    waist = 0.66 * top
    high = outline[outline[:, 2] > waist * 0.99]
    if car.kind in {"bus", "van"}:
        a, b = high[0], high[-1]
        rise = np.array([0, 0, 1.0])
        low, up = 0.55 * top, 0.88 * top
        return np.stack(
            [
                a * [1, 1, 0] + rise * low,
                a * [1, 1, 0] + rise * up,
                b * [1, 1, 0] + rise * up,
                b * [1, 1, 0] + rise * low,
            ]
        )
    centre = high.mean(axis=0)
    return np.asarray(centre + (high - centre) * 0.86)


def _draw_shadow(
    picture: Picture, left: Floats, right: Floats, car: Car, camera: Camera, sun: Floats
) -> None:
    points = np.vstack([left, right])
    fallen = points - np.outer((points[:, 2] - car.at[2]) / sun[2], sun)
    flat = camera.project(fallen)
    hull = cv2.convexHull(flat[:, :2].astype(np.float32)).round().astype(np.int32)
    x, y, w, h = cv2.boundingRect(hull)
    x1, y1, x2, y2 = max(0, x), max(0, y), min(camera.size_px, x + w), min(camera.size_px, y + h)
    if x2 <= x1 or y2 <= y1:
        return
    mask = np.zeros((y2 - y1, x2 - x1), np.float32)
    cv2.fillPoly(mask, [hull - np.array([x1, y1])], 1.0)
    mask = cv2.GaussianBlur(mask, (0, 0), max(0.8, 0.01 * w))[..., None]
    part = picture[y1:y2, x1:x2]
    picture[y1:y2, x1:x2] = (part * (1 - 0.55 * mask)).astype(np.uint8)


def _visible_boxes(owner: npt.NDArray[np.int16], whole_px: Sequence[int]) -> Floats:
    """Return boxes of the visible parts, of vehicles of which enough is seen; (n, 4) px."""
    rows = []
    for index, area in enumerate(whole_px):
        ys, xs = np.nonzero(owner == index)
        if len(xs) < max(LEAST_VISIBLE * area, 30):
            continue
        box = (float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1))
        if min(box[2] - box[0], box[3] - box[1]) >= 2 * LEAST_SIDE_PX:
            rows.append(box)
    return box_array(rows)


def _real_ground(path: Path, size: int, rng: np.random.Generator) -> Picture:
    picture = read_picture(path)
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    return np.asarray(cv2.resize(np.ascontiguousarray(picture), (size, size)), np.uint8).copy()


def _weather(picture: Picture, rng: np.random.Generator) -> Picture:
    """Exposure, colour cast, haze and noise."""
    work = picture.astype(np.float32)
    work *= rng.uniform(0.6, 1.25) * (1 + rng.normal(0, 0.04, 3))
    if rng.random() < 0.3:
        haze = rng.uniform(0.05, 0.35)
        work = work * (1 - haze) + haze * rng.uniform(150, 220)
    work += rng.normal(0, rng.uniform(1, 9), picture.shape)
    return np.asarray(work.clip(0, 255), np.uint8)

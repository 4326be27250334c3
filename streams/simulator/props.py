"""What stands beside the road: houses, trees, lamp posts. Drawn once into the background."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streams.simulator.camera import PinholeCamera
from streams.simulator.ground import GroundPlan
from streams.simulator.light import Light
from streams.simulator.noise import FloatImage, fbm

Colour = tuple[float, float, float]
_TEXTURE_PX_PER_M = 24


@dataclass(frozen=True, slots=True)
class House:
    """A block of flats: ground rectangle, height, wall colour (BGR)."""

    x: tuple[float, float]
    y: tuple[float, float]
    height_m: float
    wall: Colour


@dataclass(frozen=True, slots=True)
class Tree:
    """A broad-leaved tree or bush: place, height and radius of its crown in metres, leaf colour."""

    x_m: float
    y_m: float
    height_m: float
    radius_m: float
    leaf: Colour


@dataclass(frozen=True, slots=True)
class Post:
    """A lamp post with an arm of ``arm_m`` along x."""

    x_m: float
    y_m: float
    height_m: float
    arm_m: float


Prop = House | Tree | Post


def cast_shadow(prop: Prop, plan: GroundPlan, light: Light) -> None:
    """Let a prop darken the ground."""
    if isinstance(prop, House):
        dx, dy = light.shadow_offset(prop.height_m)
        corners = [(x, y) for x in prop.x for y in prop.y]
        points = np.asarray(corners + [(x + dx, y + dy) for x, y in corners], np.float32)
        hull = cv2.convexHull(points)[:, 0, :]
        plan.cast([(float(x), float(y)) for x, y in hull], 0.15, light.shadow)
    elif isinstance(prop, Tree):
        rng = np.random.default_rng(int(abs(prop.x_m * 100 + prop.y_m)))
        for _ in range(46):
            r = prop.radius_m * math.sqrt(rng.uniform())
            a = rng.uniform(0, math.tau)
            dx, dy = light.shadow_offset(rng.uniform(0.45, 1.0) * prop.height_m)
            x, y = prop.x_m + dx + r * math.cos(a), prop.y_m + dy + r * math.sin(a)
            size = rng.uniform(0.12, 0.34) * prop.radius_m
            ring = [(x + size * math.cos(t), y + size * math.sin(t)) for t in np.linspace(0, math.tau, 9)]
            plan.cast(ring, 0.08, light.shadow * 0.92)
    else:
        dx, dy = light.shadow_offset(prop.height_m)
        w = 0.08
        base = [(prop.x_m - w, prop.y_m), (prop.x_m + w, prop.y_m)]
        plan.cast(
            [*base, (prop.x_m + w + dx, prop.y_m + dy), (prop.x_m - w + dx, prop.y_m + dy)],
            0.05,
            light.shadow * 0.8,
        )


def draw_prop(
    prop: Prop, picture: FloatImage, camera: PinholeCamera, light: Light, rng: np.random.Generator
) -> None:
    """Draw a prop into a float32 BGR picture, in place."""
    if isinstance(prop, House):
        _draw_house(prop, picture, camera, light, rng)
    elif isinstance(prop, Tree):
        _draw_tree(prop, picture, camera, light, rng)
    else:
        _draw_post(prop, picture, camera, light)


def distance_m(prop: Prop, camera: PinholeCamera) -> float:
    """Return how far a prop's near side stands from the camera."""
    x, y = (
        (prop.x[0] + prop.x[1]) / 2 if isinstance(prop, House) else prop.x_m,
        (prop.y[0] if isinstance(prop, House) else prop.y_m),
    )
    return math.hypot(x - camera.position_m[0], y - camera.position_m[1])


def _facade(
    width_m: float, height_m: float, wall: Colour, rng: np.random.Generator, light: Light
) -> FloatImage:
    """Paint a front with rows of windows; float32 BGR albedo, top row first."""
    k = _TEXTURE_PX_PER_M
    shape = (max(8, int(height_m * k)), max(8, int(width_m * k)))
    tone = 1 + 0.03 * fbm(shape, rng, 40, 4) + 0.02 * fbm(shape, rng, 3, 1)
    front = np.asarray(wall, np.float32) * tone[:, :, None]
    storey, bay = 3.1, float(rng.uniform(2.2, 3.4))
    win_w, win_h = float(rng.uniform(0.45, 0.7)) * bay, float(rng.uniform(1.3, 1.8))
    sky = np.asarray(light.sky_bgr, np.float32)
    for floor in range(int(height_m // storey)):
        bottom = shape[0] - int((floor * storey + 0.95) * k)
        top = bottom - int(win_h * k)
        front[bottom : bottom + 3] *= 0.85
        for column in range(int(width_m // bay)):
            left = int((column * bay + (bay - win_w) / 2) * k)
            right = left + int(win_w * k)
            pane = np.linspace(0.55, 0.2, max(1, bottom - top))[:, None, None] * sky * rng.uniform(0.35, 0.8)
            front[top - 3 : bottom + 3, left - 3 : right + 3] *= 0.72
            front[top:bottom, left:right] = pane
            middle = (left + right) // 2
            front[top:bottom, middle - 1 : middle + 2] = np.asarray(wall, np.float32) * 0.9
    return np.asarray(front, np.float32)


def _draw_house(
    house: House, picture: FloatImage, camera: PinholeCamera, light: Light, rng: np.random.Generator
) -> None:
    (x0, x1), (y0, y1), h = house.x, house.y, house.height_m
    cx, cy = camera.position_m[:2]
    walls: list[tuple[list[tuple[float, float]], tuple[float, float, float]]] = []
    if cx < x0:
        walls.append(([(x0, y1), (x0, y0)], (-1, 0, 0)))
    if cx > x1:
        walls.append(([(x1, y0), (x1, y1)], (1, 0, 0)))
    if cy < y0:
        walls.append(([(x0, y0), (x1, y0)], (0, -1, 0)))
    for (a, b), normal in walls:
        length = math.hypot(b[0] - a[0], b[1] - a[1])
        front = _facade(length, h, house.wall, rng, light)
        factor = light.shade(np.ones((1, 3)), np.asarray([normal], np.float64))[0]
        corners = np.array([(*a, h), (*b, h), (*b, 0.0), (*a, 0.0)])
        _draw_plane(picture, front * factor.astype(np.float32), corners, camera)
    roof = np.array([(x0, y1, h), (x1, y1, h), (x1, y0, h), (x0, y0, h)])
    if camera.position_m[2] > h:
        tone = 1 + 0.06 * fbm((200, 200), rng, 40, 4)
        albedo = np.asarray((96, 98, 102), np.float32) * tone[:, :, None]
        _draw_plane(picture, albedo * light.ground_factor().astype(np.float32), roof, camera)


def _draw_plane(
    picture: FloatImage, texture: FloatImage, corners: npt.NDArray[np.float64], camera: PinholeCamera
) -> None:
    """Put a texture on a rectangle given by its corners: top left, top right, bottom right, bottom left."""
    points, depth = camera.project(corners)
    if float(depth.min()) < 0.5:
        return
    height, width = picture.shape[:2]
    visible_px = max(1.0, float(np.ptp(points, axis=0).max()))
    shrink = min(1.0, 2.0 * visible_px / max(texture.shape[:2]))
    if shrink < 1:
        texture = cv2.resize(texture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    th, tw = texture.shape[:2]
    source = np.float32([[0, 0], [tw, 0], [tw, th], [0, th]])  # type: ignore[arg-type]  # numpy's stub
    matrix = cv2.getPerspectiveTransform(np.asarray(source, np.float32), points.astype(np.float32))
    seen = cv2.warpPerspective(
        texture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    mask = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(mask, np.round(points * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    alpha = (mask.astype(np.float32) / 255)[:, :, None]
    picture += alpha * (seen - picture)


def _draw_tree(
    tree: Tree, picture: FloatImage, camera: PinholeCamera, light: Light, rng: np.random.Generator
) -> None:
    centre = np.array([tree.x_m, tree.y_m, tree.height_m - tree.radius_m])
    pixels, depths = camera.project(np.stack([centre, [tree.x_m, tree.y_m, 0.0]]))
    middle, foot = pixels[0], pixels[1]
    depth = float(depths[0])
    if depth < 3:
        return
    scale = camera.focal_px / depth
    _draw_trunk(picture, middle, foot, 0.11 * tree.radius_m * scale, light)
    count = int(np.clip(1.6 * tree.radius_m * scale, 60, 420))
    outward = rng.standard_normal((count, 3))
    outward /= np.linalg.norm(outward, axis=1)[:, None]
    lump = 1 + 0.22 * np.sin(outward @ rng.normal(0, 3, 3) * 2) + 0.12 * rng.standard_normal(count)
    reach = rng.uniform(0.55, 1.0, count) * lump
    place = centre + outward * (reach * tree.radius_m)[:, None] * np.array([1, 1, 0.9])
    pixels, depths = camera.project(place)
    lit = light.shade(np.asarray([tree.leaf] * count), outward) * (0.55 + 0.45 * reach)[:, None]
    lit *= rng.normal(1.0, 0.16, (count, 1))
    low = np.clip((place[:, 2] - centre[2]) / tree.radius_m, -1, 1)
    lit *= (0.82 + 0.18 * low)[:, None]
    sizes = rng.uniform(0.14, 0.3, count) * tree.radius_m * scale
    _draw_leaves(picture, pixels, sizes, lit, np.argsort(-depths), rng)


def _draw_leaves(
    picture: FloatImage,
    pixels: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.float64],
    colours: npt.NDArray[np.float64],
    order: npt.NDArray[np.intp],
    rng: np.random.Generator,
) -> None:
    """Draw clumps of leaves far ones first; ragged by noise, so that no circle shows."""
    height, width = picture.shape[:2]
    pad = float(sizes.max()) + 4
    left, top = np.floor(np.clip(pixels.min(axis=0) - pad, 0, (width, height))).astype(int)
    right, bottom = np.ceil(np.clip(pixels.max(axis=0) + pad, 0, (width, height))).astype(int)
    if right - left < 3 or bottom - top < 3:
        return
    ss = 2
    canvas = np.zeros(((bottom - top) * ss, (right - left) * ss, 4), np.float32)
    for i in order:
        x, y = ((pixels[i] - (left, top)) * ss * 16).astype(int)
        b, g, r = colours[i]
        cv2.circle(
            canvas, (int(x), int(y)), int(max(1.0, sizes[i] * ss) * 16), (b, g, r, 1.0), -1, cv2.LINE_8, 4
        )
    shape = canvas.shape[:2]
    ragged = float(np.clip(sizes.mean() * ss * 0.9, 1.0, 26.0))
    ys, xs = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    map_x = xs + ragged * 0.55 * fbm(shape, rng, max(2.0, ragged), 3, 0.7)
    map_y = ys + ragged * 0.55 * fbm(shape, rng, max(2.0, ragged), 3, 0.7)
    canvas = cv2.remap(canvas, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    canvas[:, :, :3] *= (1 + 0.16 * fbm(shape, rng, max(2.0, ragged / 2), 3, 0.8))[:, :, None]
    small = cv2.resize(canvas, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    part = picture[top:bottom, left:right]
    part *= 1 - small[:, :, 3:]
    part += small[:, :, :3]


def _draw_trunk(
    picture: FloatImage,
    top: npt.NDArray[np.float64],
    foot: npt.NDArray[np.float64],
    half_px: float,
    light: Light,
) -> None:
    half = max(0.6, half_px)
    width = np.array([[-0.6, 0.0], [0.6, 0.0], [1.0, 0.0], [-1.0, 0.0]]) * half
    polygon = np.stack([top, top, foot, foot]) + width
    colour = light.shade(np.array([[58.0, 72.0, 88.0]]), np.array([[0.0, -0.8, 0.6]]))[0]
    cv2.fillConvexPoly(
        picture, np.round(polygon * 16).astype(np.int32), tuple(map(float, colour)), cv2.LINE_AA, 4
    )


def _draw_post(post: Post, picture: FloatImage, camera: PinholeCamera, light: Light) -> None:
    ends = np.array(
        [
            (post.x_m, post.y_m, 0.0),
            (post.x_m, post.y_m, post.height_m),
            (post.x_m + post.arm_m, post.y_m, post.height_m + 0.3),
        ]
    )
    pixels, depth = camera.project(ends)
    if float(depth.min()) < 2:
        return
    colour = tuple(
        map(float, light.shade(np.array([[120.0, 122.0, 122.0]]), np.array([[0.0, -1.0, 0.0]]))[0])
    )
    width = max(1, round(0.16 * camera.focal_px / float(depth[0])))
    points = np.round(pixels * 16).astype(int)
    foot, top, arm = (tuple(int(v) for v in p) for p in points)
    cv2.line(picture, foot, top, colour, width, cv2.LINE_AA, 4)
    cv2.line(picture, top, arm, colour, max(1, width - 1), cv2.LINE_AA, 4)
    cv2.circle(picture, arm, max(1, width) * 16, (225.0, 228.0, 228.0), -1, cv2.LINE_AA, 4)

"""Drawing vehicles: mesh to shaded sprite, its shadow, and both into a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streams.simulator.camera import PinholeCamera
from streams.simulator.light import Light
from streams.simulator.vehicles import VehicleModel

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
_SHIFT = 4  # fractional bits of cv2's polygon corners
_NEAR_M = 1.5


@dataclass(frozen=True, slots=True)
class Pose:
    """A place on the ground: x, y in metres, heading in radians from the x axis to the y axis."""

    x_m: float
    y_m: float
    heading_rad: float


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A drawn vehicle and its shadow, ready to be put into the picture.

    ``at``, ``shade_at``: left and top in the picture; ``colour`` uint8 (h, w, 3) premultiplied by
    alpha; ``keep`` uint8 (h, w, 3), 255 minus alpha; ``shade`` uint8 (h, w, 3), factor of 255 on the
    ground.
    """

    at: tuple[int, int]
    colour: Image
    keep: Image
    shade_at: tuple[int, int]
    shade: Image


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """A projected vehicle: vertices in the world (v, 3) and the picture (v, 2), hull (k, 2), distance."""

    world_m: Array
    corners_px: Array
    hull_px: Array
    distance_m: float


def place(model: VehicleModel, pose: Pose) -> Array:
    """Return the vertices of ``model`` standing at ``pose`` in the world, (v, 3)."""
    c, s = math.cos(pose.heading_rad), math.sin(pose.heading_rad)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return np.asarray(model.mesh.vertices @ turn.T + np.array([pose.x_m, pose.y_m, 0.0]))


def outline(model: VehicleModel, pose: Pose, camera: PinholeCamera) -> Outline | None:
    """Project a vehicle; None where it is behind the camera or wholly outside the picture."""
    world = place(model, pose)
    corners, depth = camera.project(world)
    if float(depth.min()) < _NEAR_M:
        return None
    low, high = corners.min(axis=0), corners.max(axis=0)
    width, height = camera.size_px
    if high[0] < 0 or high[1] < 0 or low[0] >= width or low[1] >= height:
        return None
    hull = cv2.convexHull(corners.astype(np.float32))[:, 0, :].astype(np.float64)
    offset = np.array([pose.x_m, pose.y_m, 0.0]) - np.asarray(camera.position_m)
    return Outline(world, corners, hull, float(np.linalg.norm(offset)))


def _face_colours(
    model: VehicleModel, pose: Pose, camera: PinholeCamera, light: Light, world: Array
) -> tuple[Array, npt.NDArray[np.bool_], Array]:
    """Return BGR per face (f, 3), which faces look at the camera (f,), and their distance (f,)."""
    mesh = model.mesh
    c, s = math.cos(pose.heading_rad), math.sin(pose.heading_rad)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    normals = mesh.normals @ turn.T
    centres = world[mesh.faces].mean(axis=1)
    view = np.asarray(camera.position_m) - centres
    distance = np.linalg.norm(view, axis=1)
    view /= distance[:, None]
    facing = np.einsum("ij,ij->i", normals, view)
    matt = light.shade(mesh.albedo, normals)
    # darker towards the sills: the road mirrors less light than the sky
    lift = np.clip(centres[:, 2] / 1.1, 0, 1)[:, None]
    matt = matt * np.where(np.abs(normals[:, 2:3]) < 0.6, 0.68 + 0.32 * lift, 1.0)
    fresnel = np.where(mesh.gloss > 0, mesh.gloss + (1 - mesh.gloss) * (1 - np.clip(facing, 0, 1)) ** 5, 0.0)
    mirrored_z = 2 * facing * normals[:, 2] - view[:, 2]
    sky_share = np.clip(mirrored_z * 2.5 + 0.35, 0, 1)[:, None]
    mirrored = sky_share * np.asarray(light.sky_bgr) + (1 - sky_share) * np.array([62.0, 62.0, 62.0])
    colour = matt * (1 - fresnel[:, None]) + mirrored * fresnel[:, None]
    half_way = view + np.asarray(light.sun_dir)
    half_way /= np.linalg.norm(half_way, axis=1)[:, None]
    glint = np.clip(np.einsum("ij,ij->i", normals, half_way), 0, 1) ** 60
    colour += (glint * (mesh.gloss > 0) * 190 * light.shadow)[:, None]
    return np.clip(colour, 0, 255), facing > 0, distance


def make_sprite(
    model: VehicleModel, pose: Pose, camera: PinholeCamera, light: Light, shape: Outline | None = None
) -> Sprite | None:
    """Draw one vehicle with its shadow; None where nothing of it is in the picture.

    ``shape`` is its :func:`outline` at ``pose``, if it is known already.
    """
    shape = shape or outline(model, pose, camera)
    if shape is None:
        return None
    corners, world = shape.corners_px, shape.world_m
    box = _window(shape.hull_px, 1.0, camera)
    if box is None:
        return None
    colours, visible, distance = _face_colours(model, pose, camera, light, world)
    canvas = _fill(model, corners, colours, visible, distance, box)
    shadow = _shadow_hull(camera, light, world)
    extent = float((shape.hull_px.max(axis=0) - shape.hull_px.min(axis=0)).max())
    # room for the soft rim of the shadow
    around = _window(np.concatenate([shape.hull_px, shadow]), 3 + extent / 7, camera) or box
    shade = _shade(model, pose, camera, light, shadow, around)
    rest = 255 - canvas[:, :, 3]
    keep = np.asarray(cv2.merge((rest, rest, rest)), np.uint8)
    colour = np.asarray(cv2.cvtColor(canvas, cv2.COLOR_BGRA2BGR), np.uint8)
    return Sprite(box[:2], colour, keep, around[:2], shade)


def _window(points: Array, pad_px: float, camera: PinholeCamera) -> tuple[int, int, int, int] | None:
    """Return left, top, right, bottom of the part of the picture around points; None if there is none."""
    width, height = camera.size_px
    low, high = points.min(axis=0) - pad_px, points.max(axis=0) + pad_px
    left, top = max(0, math.floor(low[0])), max(0, math.floor(low[1]))
    right, bottom = min(width, math.ceil(high[0])), min(height, math.ceil(high[1]))
    return None if right - left < 2 or bottom - top < 2 else (left, top, right, bottom)


def _fill(
    model: VehicleModel,
    corners: Array,
    colours: Array,
    visible: npt.NDArray[np.bool_],
    distance: Array,
    box: tuple[int, int, int, int],
) -> Image:
    """Fill the visible faces, far ones and low tiers first, oversampled; BGRA premultiplied."""
    mesh = model.mesh
    left, top, right, bottom = box
    extent = float((corners.max(axis=0) - corners.min(axis=0)).max())
    ss = 4 if extent < 50 else 3 if extent < 110 else 2
    canvas = np.zeros(((bottom - top) * ss, (right - left) * ss, 4), np.uint8)
    screen = (corners - (left, top)) * ss - 0.5
    points = np.round(screen * (1 << _SHIFT)).astype(np.int32)[mesh.faces]
    order = np.lexsort((-distance, mesh.tier))
    for face in order[visible[order]]:
        b, g, r = colours[face]
        cv2.fillConvexPoly(canvas, points[face], (float(b), float(g), float(r), 255.0), cv2.LINE_8, _SHIFT)
    return np.asarray(
        cv2.resize(canvas, (right - left, bottom - top), interpolation=cv2.INTER_AREA), np.uint8
    )


def _shadow_hull(camera: PinholeCamera, light: Light, world: Array) -> Array:
    """Return the screen outline (k, 2) of the shadow on the ground, contact area included."""
    dx, dy = light.shadow_offset(1.0)
    fallen = np.stack([world[:, 0] + dx * world[:, 2], world[:, 1] + dy * world[:, 2]], axis=1)
    hull = cv2.convexHull(fallen.astype(np.float32))[:, 0, :].astype(np.float64)
    ground = np.concatenate([hull, np.zeros((len(hull), 1))], axis=1)
    points, _ = camera.project(ground)
    return points


def _shade(
    model: VehicleModel,
    pose: Pose,
    camera: PinholeCamera,
    light: Light,
    hull: Array,
    box: tuple[int, int, int, int],
) -> Image:
    """Return the factor (of 255) by which the shadow and the dark below the vehicle dim the ground."""
    left, top, right, bottom = box
    # shadows are soft: half the resolution is enough
    size = ((bottom - top + 1) // 2, (right - left + 1) // 2)
    cast = np.zeros(size, np.uint8)
    cv2.fillPoly(cast, [np.round((hull - (left, top)) * 8).astype(np.int32)], 255, cv2.LINE_AA, _SHIFT)
    under = np.zeros(size, np.uint8)
    a, b = model.length_m / 2 * 0.98, model.width_m / 2 * 1.04
    c, s = math.cos(pose.heading_rad), math.sin(pose.heading_rad)
    rim = [(a, b), (a, -b), (-a, -b), (-a, b)]
    ground = np.array([(pose.x_m + c * x - s * y, pose.y_m + s * x + c * y, 0.0) for x, y in rim])
    footprint, _ = camera.project(ground)
    corners = np.round((footprint - (left, top)) * 8).astype(np.int32)
    cv2.fillConvexPoly(under, corners, 255, cv2.LINE_AA, _SHIFT)
    reach = max(0.6, float((footprint.max(axis=0) - footprint.min(axis=0)).max()) / 44)
    under = cv2.GaussianBlur(under, (0, 0), reach)
    cast = cv2.GaussianBlur(cast, (0, 0), max(0.5, reach / 4))
    factor = (1 - light.shadow / 255 * cast.astype(np.float32)) * (255 - 0.55 * under.astype(np.float32))
    full = cv2.resize(factor.astype(np.uint8), (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.merge((full, full, full)), np.uint8)


def lay_shadow(picture: Image, sprite: Sprite) -> None:
    """Dim the ground under the sprite's shadow, in place."""
    (left, top), (height, width) = sprite.shade_at, sprite.shade.shape[:2]
    part = picture[top : top + height, left : left + width]
    cv2.multiply(part, sprite.shade, dst=part, scale=1 / 255)


def lay_sprite(picture: Image, sprite: Sprite) -> None:
    """Put the vehicle into the picture, in place."""
    (left, top), (height, width) = sprite.at, sprite.colour.shape[:2]
    part = picture[top : top + height, left : left + width]
    cv2.multiply(part, sprite.keep, dst=part, scale=1 / 255)
    cv2.add(part, sprite.colour, dst=part)

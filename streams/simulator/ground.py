"""Flat ground painted from above, then seen by the camera."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from streams.simulator.camera import PinholeCamera
from streams.simulator.light import Light
from streams.simulator.noise import FloatImage, fbm, smoothstep

Colour = tuple[float, float, float]
Image = npt.NDArray[np.uint8]
_OVERSAMPLE = 2


class GroundPlan:
    """A picture of the ground from straight above, north (y) up, in BGR albedo, 0 to 255.

    ``x_range``, ``y_range`` in metres; ``m_per_px`` its resolution. All painting methods take
    metres. ``shade`` collects the shadows of what stands on it, in [0, 1].
    """

    def __init__(
        self,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        m_per_px: float,
        rng: np.random.Generator,
    ) -> None:
        self.x_range, self.y_range, self.m_per_px, self.rng = x_range, y_range, m_per_px, rng
        height = round((y_range[1] - y_range[0]) / m_per_px)
        width = round((x_range[1] - x_range[0]) / m_per_px)
        self.albedo: FloatImage = np.zeros((height, width, 3), np.float32)
        self.shade: FloatImage = np.zeros((height, width), np.float32)
        self._grain = fbm((height, width), rng, 3, 2)
        self._blotch = fbm((height, width), rng, 5.0 / m_per_px, 5, 0.6)

    def _rows_cols(self, x: tuple[float, float], y: tuple[float, float]) -> tuple[slice, slice]:
        col = [round((v - self.x_range[0]) / self.m_per_px) for v in x]
        row = [round((self.y_range[1] - v) / self.m_per_px) for v in y]
        return slice(max(0, row[1]), max(0, row[0])), slice(max(0, col[0]), max(0, col[1]))

    def _pixels(self, points: list[tuple[float, float]]) -> npt.NDArray[np.int32]:
        array = np.asarray(points)
        columns = (array[:, 0] - self.x_range[0]) / self.m_per_px
        rows = (self.y_range[1] - array[:, 1]) / self.m_per_px
        return np.round(np.stack([columns, rows], axis=1) * 16).astype(np.int32)

    def _mask(
        self, points: list[tuple[float, float]], pad_px: int
    ) -> tuple[slice, slice, npt.NDArray[np.uint8]]:
        """Fill a polygon; return where it lies in the plan and its mask there."""
        pixels = self._pixels(points)
        height, width = self.shade.shape
        left, top = (int(v) for v in np.clip(pixels.min(axis=0) // 16 - 1 - pad_px, 0, (width, height)))
        right, bottom = (int(v) for v in np.clip(pixels.max(axis=0) // 16 + 2 + pad_px, 0, (width, height)))
        mask = np.zeros((bottom - top, right - left), np.uint8)
        if mask.size:
            cv2.fillPoly(mask, [pixels - np.array([left * 16, top * 16], np.int32)], 255, cv2.LINE_AA, 4)
        return slice(top, bottom), slice(left, right), mask

    def surface(
        self, x: tuple[float, float], y: tuple[float, float], colour: Colour, blotch: float, grain: float
    ) -> None:
        """Cover a rectangle with a material: large and fine variations as shares of its brightness."""
        part = self._rows_cols(x, y)
        tone = 1 + blotch * self._blotch[part] + grain * self._grain[part]
        self.albedo[part] = np.asarray(colour, np.float32) * tone[:, :, None]

    def grass(self, x: tuple[float, float], y: tuple[float, float], colour: Colour) -> None:
        """Cover a rectangle with grass, dry in places."""
        self.surface(x, y, colour, 0.10, 0.12)
        part = self._rows_cols(x, y)
        dry = smoothstep(0.3, 1.6, self._blotch[part])[:, :, None] * 0.6
        self.albedo[part] += dry * (np.array([70, 118, 128], np.float32) - self.albedo[part])

    def paving(self, x: tuple[float, float], y: tuple[float, float], colour: Colour, slab_m: float) -> None:
        """Cover a rectangle with slabs."""
        self.surface(x, y, colour, 0.05, 0.04)
        step = max(2, round(slab_m / self.m_per_px))
        rows, cols = self._rows_cols(x, y)
        part = self.albedo[rows, cols]
        tones = self.rng.normal(1, 0.035, (part.shape[0] // step + 1, part.shape[1] // step + 1))
        slabs = np.kron(tones, np.ones((step, step)))[: part.shape[0], : part.shape[1]]
        part *= slabs[:, :, None].astype(np.float32)
        part[::step] *= 0.86
        part[:, ::step] *= 0.86

    def paint(self, points: list[tuple[float, float]], colour: Colour, opacity: float = 0.9) -> None:
        """Paint a polygon, worn where the asphalt is."""
        rows, cols, mask = self._mask(points, 0)
        wear = 1 - 0.55 * smoothstep(0.4, 1.8, self._grain[rows, cols] + 0.6 * self._blotch[rows, cols])
        alpha = (mask / 255.0 * opacity * wear)[:, :, None].astype(np.float32)
        part = self.albedo[rows, cols]
        part += alpha * (np.asarray(colour, np.float32) - part)

    def stripe(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        width_m: float,
        colour: Colour,
        dash: tuple[float, float] | None = None,
    ) -> None:
        """Paint a line; ``dash`` is (painted, gap) in metres."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = math.hypot(dx, dy)
        ux, uy = dx / length, dy / length
        on, off = dash or (length, 0.0)
        at = 0.0
        while at < length:
            to = min(length, at + on)
            a = (start[0] + ux * at, start[1] + uy * at)
            b = (start[0] + ux * to, start[1] + uy * to)
            nx, ny = -uy * width_m / 2, ux * width_m / 2
            corners = [
                (a[0] + nx, a[1] + ny),
                (b[0] + nx, b[1] + ny),
                (b[0] - nx, b[1] - ny),
                (a[0] - nx, a[1] - ny),
            ]
            self.paint(corners, colour)
            at = to + off + 1e-6

    def tracks(self, lane: tuple[tuple[float, float], tuple[float, float]], strength: float = 0.10) -> None:
        """Darken the two wheel tracks and the oil strip of a lane given by its middle line."""
        (x0, y0), (x1, y1) = lane
        along_x = abs(x1 - x0) > abs(y1 - y0)
        half = 1.7
        x, y = sorted((x0, x1)), sorted((y0, y1))
        area = ((x[0], x[1]), (y0 - half, y0 + half)) if along_x else ((x0 - half, x0 + half), (y[0], y[1]))
        rows, cols = self._rows_cols(*area)
        part = self.albedo[rows, cols]
        across = np.linspace(-half, half, part.shape[0 if along_x else 1], dtype=np.float32)
        profile = np.exp(-(((np.abs(across) - 0.8) / 0.3) ** 2)) + 0.55 * np.exp(-((across / 0.35) ** 2))
        spread = profile[:, None] if along_x else profile[None, :]
        part *= (1 - strength * spread * (1 + 0.3 * self._blotch[rows, cols]))[:, :, None]

    def wear(self, x: tuple[float, float], y: tuple[float, float], cracks: int, patches: int) -> None:
        """Add cracks, repaired patches, stains and manhole covers to an area of asphalt."""
        mask = np.zeros(self.albedo.shape[:2], np.uint8)
        rng = self.rng
        for _ in range(cracks):
            point = np.array([rng.uniform(*x), rng.uniform(*y)])
            angle = rng.uniform(0, math.tau)
            path = [tuple(point)]
            for _step in range(int(rng.integers(6, 22))):
                angle += rng.normal(0, 0.5)
                point = np.clip(
                    point + 0.35 * np.array([math.cos(angle), math.sin(angle)]), (x[0], y[0]), (x[1], y[1])
                )
                path.append(tuple(point))
            cv2.polylines(
                mask, [self._pixels(path)], isClosed=False, color=150, lineType=cv2.LINE_AA, shift=4
            )
        self.albedo *= (1 - 0.5 * mask.astype(np.float32) / 255)[:, :, None]
        for _ in range(patches):
            cx, cy = rng.uniform(*x), rng.uniform(*y)
            w, h = rng.uniform(0.6, 4.0), rng.uniform(0.5, 1.6)
            w, h = min(w, x[1] - cx), min(h, y[1] - cy)
            tone = float(rng.uniform(55, 100))
            self.paint([(cx, cy), (cx + w, cy), (cx + w, cy + h), (cx, cy + h)], (tone, tone, tone), 0.5)
        for _ in range(max(2, patches // 2)):
            cx, cy = rng.uniform(*x), rng.uniform(*y)
            ring = [(cx + 0.33 * math.cos(a), cy + 0.33 * math.sin(a)) for a in np.linspace(0, math.tau, 20)]
            self.paint(ring, (62, 64, 66), 0.8)

    def cast(self, points: list[tuple[float, float]], soft_m: float, strength: float) -> None:
        """Let something cast a shadow of the given outline on the ground."""
        sigma = max(0.6, soft_m / self.m_per_px)
        rows, cols, mask = self._mask(points, math.ceil(3 * sigma))
        if mask.size == 0:
            return
        soft = cv2.GaussianBlur(mask, (0, 0), sigma).astype(np.float32) / 255
        self.shade[rows, cols] = np.maximum(self.shade[rows, cols], soft * strength)

    def seen_by(self, camera: PinholeCamera, light: Light) -> tuple[FloatImage, npt.NDArray[np.bool_]]:
        """Return the lit ground as the camera sees it, float32 (h, w, 3), and where there is ground."""
        lit = self.albedo * light.ground_factor().astype(np.float32) * (1 - self.shade[:, :, None])
        return view_plan(lit, self.x_range, self.y_range, self.m_per_px, camera)


def view_plan(
    plan: FloatImage,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    m_per_px: float,
    camera: PinholeCamera,
) -> tuple[FloatImage, npt.NDArray[np.bool_]]:
    """Project a plan into the picture, choosing a coarser copy of it where it is far away."""
    width, height = camera.size_px
    big = (width * _OVERSAMPLE, height * _OVERSAMPLE)
    to_picture = camera.ground_homography()
    enlarge = np.diag([_OVERSAMPLE, _OVERSAMPLE, 1.0])
    us, vs = np.meshgrid(np.arange(0.5, width), np.arange(0.5, height))
    gx, gy, distance = camera.ground_at(us, vs)
    # metres of ground under a pixel: the geometric mean of across and along the line of sight
    across = distance / camera.focal_px
    footprint = across * np.sqrt(distance / camera.position_m[2])
    inside = (gx > x_range[0]) & (gx < x_range[1]) & (gy > y_range[0]) & (gy < y_range[1])
    level = np.nan_to_num(np.log2(np.maximum(footprint / _OVERSAMPLE / m_per_px, 1.0)), nan=0.0)
    out = np.zeros((height, width, 3), np.float32)
    coarse = plan
    for k in range(6):
        weight = np.clip(1 - np.abs(level - k), 0, 1).astype(np.float32)
        if k == 5:
            weight = np.where(level >= 5, 1, weight).astype(np.float32)
        if float(weight.max()) > 0:
            scale = m_per_px * plan.shape[0] / coarse.shape[0]
            to_ground = np.array([[scale, 0, x_range[0]], [0, -scale, y_range[1]], [0, 0, 1]])
            matrix = enlarge @ to_picture @ to_ground
            seen = cv2.warpPerspective(
                coarse, matrix, big, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            out += cv2.resize(seen, (width, height), interpolation=cv2.INTER_AREA) * weight[:, :, None]
        coarse = cv2.resize(
            coarse, (max(1, coarse.shape[1] // 2), max(1, coarse.shape[0] // 2)), interpolation=cv2.INTER_AREA
        )
    return out, inside

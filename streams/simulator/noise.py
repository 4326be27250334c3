"""Procedural noise: the raw material of every texture in the simulator."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.float32]


def fbm(
    shape: tuple[int, int],
    rng: np.random.Generator,
    cell_px: float,
    octaves: int = 4,
    persistence: float = 0.5,
) -> FloatImage:
    """Return fractal value noise, float32 (height, width), mean 0, standard deviation 1.

    ``cell_px`` is the size of the coarsest feature; each octave halves it and is weighted by
    ``persistence`` of the one before.
    """
    height, width = shape
    total = np.zeros(shape, np.float32)
    weight = 1.0
    for _ in range(octaves):
        cells = (max(2, int(height / cell_px) + 3), max(2, int(width / cell_px) + 3))
        grid = rng.standard_normal(cells).astype(np.float32)
        zoomed = cv2.resize(
            grid, (int(cells[1] * cell_px) + 1, int(cells[0] * cell_px) + 1), interpolation=cv2.INTER_CUBIC
        )
        total += weight * zoomed[:height, :width]
        weight *= persistence
        cell_px = max(1.0, cell_px / 2)
    total -= total.mean()
    return np.asarray(total / max(float(total.std()), 1e-6), np.float32)


def warped_fbm(
    shape: tuple[int, int], rng: np.random.Generator, cell_px: float, octaves: int, warp_px: float
) -> FloatImage:
    """Return :func:`fbm` bent by itself, which makes it billow; same shape and scale."""
    height, width = shape
    base = fbm(shape, rng, cell_px, octaves)
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    map_x = xs + warp_px * fbm(shape, rng, cell_px, 3)
    map_y = ys + warp_px * fbm(shape, rng, cell_px, 3)
    return np.asarray(
        cv2.remap(base, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.float32
    )


def smoothstep(low: float, high: float, value: FloatImage) -> FloatImage:
    """Return 0 below ``low``, 1 above ``high``, and a smooth rise between."""
    x = np.clip((value - low) / (high - low), 0.0, 1.0)
    return np.asarray(x * x * (3 - 2 * x), np.float32)

"""Vehicles as small polygon meshes: lofted bodies, cabins with glass, wheels, lights and plates.

A mesh lies in its own axes in metres: x forward, y to the left, z up, origin on the ground below the
middle. Dimensions are those of common models of each class.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Vertex = tuple[float, float, float]
MAX_CORNERS = 12

# material: albedo BGR, gloss (mirror share looking straight on)
MATERIALS: dict[str, tuple[tuple[float, float, float], float]] = {
    "glass": ((30, 27, 24), 0.24),
    "tyre": ((26, 26, 27), 0.0),
    "hub": ((150, 150, 152), 0.05),
    "trim": ((38, 37, 36), 0.02),
    "lamp": ((235, 240, 240), 0.10),
    "tail": ((26, 22, 190), 0.05),
    "plate": ((215, 225, 225), 0.0),
    "box": ((222, 224, 226), 0.01),
    "dark": ((14, 14, 14), 0.0),
}
PAINT_GLOSS = 0.05
# BGR albedo and how often it is seen
PAINTS: tuple[tuple[tuple[float, float, float], float], ...] = (
    ((236, 238, 238), 0.26),
    ((188, 186, 182), 0.16),
    ((112, 110, 108), 0.12),
    ((32, 31, 31), 0.15),
    ((40, 36, 165), 0.09),
    ((142, 78, 40), 0.08),
    ((88, 46, 26), 0.04),
    ((60, 92, 44), 0.02),
    ((48, 180, 226), 0.03),
    ((140, 178, 196), 0.03),
    ((44, 62, 92), 0.02),
)


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Polygons of one vehicle.

    ``vertices`` (v, 3) metres; ``faces`` (f, MAX_CORNERS) indices, short polygons repeat their last
    corner; ``normals`` (f, 3) unit, outwards; ``albedo`` (f, 3) BGR; ``gloss`` (f,); ``tier`` (f,):
    lower tiers are drawn first.
    """

    vertices: Array
    faces: npt.NDArray[np.intp]
    normals: Array
    albedo: Array
    gloss: Array
    tier: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class VehicleModel:
    """A vehicle to be placed in a scene; ``label`` is car, van, truck or bus; sizes in metres."""

    label: str
    length_m: float
    width_m: float
    height_m: float
    mesh: Mesh


@dataclass(slots=True)
class MeshBuilder:
    """Collects polygons; ``paint`` is the BGR albedo of the material ``paint``."""

    paint: tuple[float, float, float]
    polygons: list[list[Vertex]] = field(default_factory=list)
    materials: list[str] = field(default_factory=list)
    tiers: list[int] = field(default_factory=list)

    def add(self, polygon: list[Vertex], material: str, tier: int) -> None:
        """Add one flat polygon, corners counter-clockwise seen from outside."""
        self.polygons.append(polygon)
        self.materials.append(material)
        self.tiers.append(tier)

    def loft(self, rings: list[list[Vertex]], material: str, tier: int) -> None:
        """Join rings of equal length (rear to front) by quads and close both ends."""
        for rear, front in itertools.pairwise(rings):
            n = len(rear)
            for i in range(n):
                j = (i + 1) % n
                self.add([rear[i], front[i], front[j], rear[j]], material, tier)
        self.add(list(rings[0]), material, tier)
        self.add(rings[-1][::-1], material, tier)

    def panel(
        self, quad: list[Vertex], inset: tuple[float, float, float, float], material: str, tier: int
    ) -> None:
        """Add the part of ``quad`` between (u0, u1, v0, v1), u along its first edge, v along its last."""
        a, b, c, d = (np.asarray(p) for p in quad)
        u0, u1, v0, v1 = inset

        def at(u: float, v: float) -> Vertex:
            low, high = a + (b - a) * u, d + (c - d) * u
            x, y, z = low + (high - low) * v
            return (float(x), float(y), float(z))

        self.add([at(u0, v0), at(u1, v0), at(u1, v1), at(u0, v1)], material, tier)

    def wheel(self, x: float, half_width: float, radius: float) -> None:
        """Add tyre, arch and hub on both sides at ``x``."""
        for side in (1, -1):
            for scale, material, lift in ((1.16, "dark", 0.0), (1.0, "tyre", 0.01), (0.6, "hub", 0.02)):
                y = side * (half_width + lift)
                turn = [2 * math.pi * k / MAX_CORNERS * -side for k in range(MAX_CORNERS)]
                r = radius * scale
                self.add(
                    [(x + r * math.cos(a), y, max(0.0, radius + r * math.sin(a))) for a in turn],
                    material,
                    1,
                )

    def build(self) -> Mesh:
        """Freeze into arrays; normals by Newell's method, which bears slightly bent polygons."""
        known: dict[Vertex, int] = {}
        faces = np.zeros((len(self.polygons), MAX_CORNERS), np.intp)
        normals = np.zeros((len(self.polygons), 3))
        for row, polygon in enumerate(self.polygons):
            corners = [known.setdefault(vertex, len(known)) for vertex in polygon]
            faces[row] = corners + corners[-1:] * (MAX_CORNERS - len(corners))
            x, y, z = np.asarray(polygon).T
            u, v, w = np.asarray([*polygon[1:], polygon[0]]).T
            normal = np.asarray((y @ w - z @ v, z @ u - x @ w, x @ v - y @ u))  # of all cross products
            normals[row] = normal / max(float(np.linalg.norm(normal)), 1e-9)
        looks = [(self.paint, PAINT_GLOSS) if m == "paint" else MATERIALS[m] for m in self.materials]
        return Mesh(
            np.asarray(list(known), np.float64),
            faces,
            normals,
            np.asarray([albedo for albedo, _ in looks], np.float64),
            np.asarray([gloss for _, gloss in looks]),
            np.asarray(self.tiers, np.intp),
        )


def _ring(x: float, half: float, low: float, belt: float) -> list[Vertex]:
    """Return the cross-section of a car body at ``x``: sills drawn in, shoulders rounded."""
    mid = low + 0.62 * (belt - low)
    side = [
        (0.86 * half, low),
        (0.985 * half, low + 0.3 * (mid - low)),
        (half, mid),
        (0.985 * half, belt - 0.09),
        (0.93 * half, belt - 0.02),
        (0.80 * half, belt),
    ]
    left = [(x, y, z) for y, z in side]
    return [(x, -y, z) for _, y, z in left] + left[::-1]


@dataclass(frozen=True, slots=True)
class CarShape:
    """Proportions of a passenger vehicle; x positions as a share of the length from the middle.

    ``cabin``: rear foot, rear roof, front roof and front foot of the greenhouse.
    """

    label: str
    length_m: float
    width_m: float
    height_m: float
    belt_m: float
    hood_m: float
    tail_m: float
    cabin: tuple[float, float, float, float]
    glazed_rear: bool = True


CAR_SHAPES: tuple[tuple[CarShape, float], ...] = (
    (CarShape("car", 4.65, 1.82, 1.46, 0.94, 0.78, 0.95, (-0.41, -0.22, 0.06, 0.22)), 0.34),
    (CarShape("car", 4.10, 1.76, 1.50, 0.95, 0.80, 0.96, (-0.475, -0.38, 0.08, 0.25)), 0.22),
    (CarShape("car", 4.60, 1.88, 1.70, 1.08, 0.98, 1.05, (-0.475, -0.41, 0.08, 0.22)), 0.26),
    (CarShape("van", 5.10, 1.95, 1.98, 1.16, 1.02, 1.12, (-0.49, -0.47, 0.22, 0.37)), 0.10),
    (
        CarShape("van", 5.40, 2.02, 2.30, 1.25, 1.10, 1.20, (-0.495, -0.485, 0.24, 0.38), glazed_rear=False),
        0.08,
    ),
)


def car(shape: CarShape, paint: tuple[float, float, float]) -> VehicleModel:
    """Build a car or van."""
    build = MeshBuilder(paint)
    length, half = shape.length_m, shape.width_m / 2
    belt = shape.belt_m
    stations = (
        (-0.5, 0.86, 0.42, shape.tail_m - 0.10),
        (-0.485, 0.94, 0.28, shape.tail_m - 0.03),
        (-0.43, 0.99, 0.22, shape.tail_m),
        (shape.cabin[0] + 0.05, 1.0, 0.2, belt),
        (0.0, 1.0, 0.2, belt),
        (shape.cabin[3] - 0.02, 1.0, 0.2, belt - 0.01),
        (0.36 if shape.cabin[3] < 0.34 else 0.42, 0.985, 0.21, shape.hood_m + 0.07),
        (0.455, 0.94, 0.24, shape.hood_m),
        (0.487, 0.88, 0.28, shape.hood_m - 0.1),
        (0.5, 0.78, 0.36, shape.hood_m - 0.24),
    )
    build.loft([_ring(s * length, w * half, z, b) for s, w, z, b in stations], "paint", 0)
    _car_ends(build, shape)
    radius = 0.215 * shape.height_m if shape.label == "car" else 0.34
    for x in (-0.30 * length, 0.315 * length):
        build.wheel(x, half * 0.99, radius)
    _greenhouse(build, shape)
    return VehicleModel(shape.label, length, shape.width_m, shape.height_m, build.build())


def _car_ends(build: MeshBuilder, shape: CarShape) -> None:
    length, half = shape.length_m, shape.width_m / 2
    front, rear = 0.5 * length + 0.01, -0.5 * length - 0.01
    hood, tail = shape.hood_m, shape.tail_m
    for side in (1, -1):
        y0, y1 = side * 0.42 * half, side * 0.88 * half
        lamp: list[Vertex] = [
            (front - 0.09, y0, hood - 0.24), (front - 0.16, y1, hood - 0.22),
            (front - 0.2, y1, hood - 0.08), (front - 0.1, y0, hood - 0.1),
        ]  # fmt: skip
        build.add(lamp if side > 0 else lamp[::-1], "lamp", 1)
        light: list[Vertex] = [
            (rear, 0.62 * y1, tail - 0.26), (rear + 0.05, y1, tail - 0.26),
            (rear + 0.07, y1, tail - 0.1), (rear + 0.03, 0.62 * y1, tail - 0.1),
        ]  # fmt: skip
        build.add(light[::-1] if side > 0 else light, "tail", 1)
    grille = 0.42 * half
    build.add(
        [
            (front, -grille, 0.34),
            (front, grille, 0.34),
            (front, grille, hood - 0.26),
            (front, -grille, hood - 0.26),
        ],
        "trim",
        1,
    )
    build.add(
        [
            (rear, 0.7 * half, 0.3),
            (rear, -0.7 * half, 0.3),
            (rear, -0.7 * half, 0.46),
            (rear, 0.7 * half, 0.46),
        ],
        "trim",
        1,
    )
    for x, y, z in ((front + 0.01, 0.24, 0.42), (rear - 0.01, -0.24, 0.62)):
        build.add([(x, -y, z), (x, y, z), (x, y, z + 0.13), (x, -y, z + 0.13)], "plate", 2)


def _greenhouse(build: MeshBuilder, shape: CarShape) -> None:
    length, half = shape.length_m, shape.width_m / 2
    rear_foot, rear_roof, front_roof, front_foot = (s * length for s in shape.cabin)
    z0, z1 = shape.belt_m - 0.02, shape.height_m
    y0, y1 = 0.90 * half, 0.70 * half if shape.label == "car" else 0.80 * half
    eaves = z1 - 0.05
    ring_low = [(rear_foot, -y0, z0), (front_foot, -y0, z0), (front_foot, y0, z0), (rear_foot, y0, z0)]
    r, f = rear_roof, front_roof
    ring_mid = [(r, -y1, eaves), (f, -y1, eaves), (f, y1, eaves), (r, y1, eaves)]
    rr, ff, yy = r + 0.12, f - 0.16, y1 - 0.14
    ring_top = [(rr, -yy, z1), (ff, -yy, z1), (ff, yy, z1), (rr, yy, z1)]
    for low, high in ((ring_low, ring_mid), (ring_mid, ring_top)):
        for i in range(4):
            j = (i + 1) % 4
            build.add([low[i], low[j], high[j], high[i]], "paint", 3)
    build.add(list(ring_top), "paint", 3)
    if shape.label == "car" and shape.length_m > 4.5 and sum(build.paint) > 240:
        build.panel(ring_top, (0.3, 0.72, 0.12, 0.88), "glass", 4)
    right = [ring_low[0], ring_low[1], ring_mid[1], ring_mid[0]]
    ahead = [ring_low[1], ring_low[2], ring_mid[2], ring_mid[1]]
    left = [ring_low[2], ring_low[3], ring_mid[3], ring_mid[2]]
    behind = [ring_low[3], ring_low[0], ring_mid[0], ring_mid[3]]
    build.panel(ahead, (0.05, 0.95, 0.06, 0.93), "glass", 4)
    if shape.glazed_rear:
        build.panel(behind, (0.07, 0.93, 0.12, 0.92), "glass", 4)
        windows: tuple[tuple[float, float], ...] = ((0.06, 0.30), (0.33, 0.60), (0.64, 0.95))
    else:
        windows = ((0.72, 0.95),)
    for u0, u1 in windows:
        build.panel(right, (u0, u1, 0.1, 0.9), "glass", 4)
        build.panel(left, (1 - u1, 1 - u0, 0.1, 0.9), "glass", 4)


def _block(build: MeshBuilder, span: tuple[float, float], half: float, z: tuple[float, float], material: str,
           tier: int) -> list[list[Vertex]]:  # fmt: skip
    """Add a box with slightly bevelled upper edges; return right, front, left and rear sides."""
    (x0, x1), (z0, z1) = span, z
    bevel = 0.06

    def ring(x: float, shrink: float) -> list[Vertex]:
        y, top = half - shrink, z1 - shrink
        half_ring = [(x, y, z0), (x, y, top - bevel), (x, y - bevel, top)]
        return [(x, -b, c) for _, b, c in half_ring] + half_ring[::-1]

    build.loft([ring(x0, 0.05), ring(x0 + 0.06, 0.0), ring(x1 - 0.06, 0.0), ring(x1, 0.05)], material, tier)
    e = 0.005
    return [
        [(x0, -half - e, z0), (x1, -half - e, z0), (x1, -half - e, z1), (x0, -half - e, z1)],
        [(x1 + e, -half, z0), (x1 + e, half, z0), (x1 + e, half, z1), (x1 + e, -half, z1)],
        [(x1, half + e, z0), (x0, half + e, z0), (x0, half + e, z1), (x1, half + e, z1)],
        [(x0 - e, half, z0), (x0 - e, -half, z0), (x0 - e, -half, z1), (x0 - e, half, z1)],
    ]


def fallen_load(paint: tuple[float, float, float], length: float) -> VehicleModel:
    """Build a crate that a lorry has lost: no vehicle, though it is placed and drawn as one."""
    build = MeshBuilder(paint)
    half, height = 0.4 * length, 0.6 * length
    sides = _block(build, (-length / 2, length / 2), half, (0.0, height), "paint", 0)
    for side in sides:
        build.panel(side, (0.0, 1.0, 0.44, 0.56), "trim", 1)
    return VehicleModel("object", length, 2 * half, height, build.build())


def truck(paint: tuple[float, float, float], length: float) -> VehicleModel:
    """Build a box truck of ``length`` metres."""
    build = MeshBuilder(paint)
    half, height = (1.22, 3.35) if length > 7 else (1.05, 2.75)
    cab = 1.9 if length > 7 else 1.6
    x0, x1 = -length / 2, length / 2
    _block(build, (x0 + 0.1, x1 - 0.3), 0.8 * half, (0.45, 0.95), "trim", 0)
    for x in (x0 + 0.22 * length, x1 - 0.95):
        build.wheel(x, half * 0.97, 0.46 if length > 7 else 0.38)
    right, front, left, _ = _block(build, (x1 - cab, x1), 0.96 * half, (0.5, 0.78 * height), "paint", 2)
    build.panel(front, (0.06, 0.94, 0.52, 0.88), "glass", 3)
    build.panel(front, (0.12, 0.88, 0.12, 0.34), "trim", 3)
    for u in ((0.03, 0.2), (0.8, 0.97)):
        build.panel(front, (*u, 0.14, 0.28), "lamp", 4)
    build.panel(right, (0.35, 0.92, 0.5, 0.86), "glass", 3)
    build.panel(left, (0.08, 0.65, 0.5, 0.86), "glass", 3)
    sides = _block(build, (x0, x1 - cab - 0.15), half, (0.95, height), "box", 2)
    build.panel(sides[3], (0.49, 0.51, 0.03, 0.97), "trim", 3)
    for u in ((0.02, 0.14), (0.86, 0.98)):
        build.panel(sides[3], (*u, -0.06, 0.02), "tail", 3)
    return VehicleModel("truck", length, 2 * half, height, build.build())


def bus(paint: tuple[float, float, float]) -> VehicleModel:
    """Build a city bus."""
    build = MeshBuilder(paint)
    length, half, height = 11.2, 1.25, 3.05
    right, front, left, rear = _block(build, (-length / 2, length / 2), half, (0.32, height), "paint", 0)
    for x in (-0.28 * length, 0.28 * length):
        build.wheel(x, half, 0.48)
    build.panel(front, (0.05, 0.95, 0.36, 0.86), "glass", 3)
    build.panel(rear, (0.12, 0.88, 0.52, 0.84), "glass", 3)
    for u in ((0.04, 0.18), (0.82, 0.96)):
        build.panel(front, (*u, 0.08, 0.2), "lamp", 3)
        build.panel(rear, (*u, 0.12, 0.26), "tail", 3)
    count = 7
    for k in range(count):
        u0, u1 = 0.03 + k * 0.94 / count, 0.03 + (k + 0.9) * 0.94 / count
        build.panel(right, (u0, u1, 0.44, 0.84), "glass", 3)
        build.panel(left, (u0, u1, 0.44, 0.84), "glass", 3)
    for x in (-3.2, 2.4):
        unit = _block(build, (x - 0.9, x + 0.9), 0.7, (height, height + 0.22), "box", 4)
        build.panel(unit[0], (0.1, 0.9, 0.2, 0.8), "trim", 5)
    return VehicleModel("bus", length, 2 * half, height, build.build())


def draw_vehicle(rng: np.random.Generator, *, cars_only: bool = False) -> VehicleModel:
    """Draw a vehicle of today's traffic: mostly cars, some vans, trucks and buses."""
    paints, weights = zip(*PAINTS, strict=True)
    base = paints[int(rng.choice(len(paints), p=np.asarray(weights) / sum(weights)))]
    b, g, r = (float(np.clip(c + rng.normal(0, 5), 8, 245)) for c in base)
    paint = (b, g, r)
    draw = rng.uniform()
    if not cars_only and draw < 0.06:
        return truck(paint, float(rng.choice([5.9, 7.6])))
    if not cars_only and draw < 0.10:
        return bus(paint)
    shapes, shares = zip(*CAR_SHAPES, strict=True)
    count = 3 if cars_only else len(shapes)
    share = np.asarray(shares[:count]) / sum(shares[:count])
    return car(shapes[int(rng.choice(count, p=share))], paint)

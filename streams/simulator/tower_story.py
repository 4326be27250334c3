"""What happens around a tower, when and where: fires, machines, chimneys, and spells of weather by name."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from streams.simulator.camera import PinholeCamera
from streams.simulator.tower_plume import Source

HOUR_S = 3600.0
NEGATIVES = (
    "cloud_shadow", "fog_bank", "dust", "steam", "glare", "low_sun", "trees", "birds", "rain", "snow",
    "dirty_lens", "night", "day_night",
)  # fmt: skip
"""What must raise no alarm, a scene ``tower-…`` each."""
CLEAR = "clear"
HAZE = "haze"
_EVERYWHERE = frozenset({"rain", "snow", "dirty_lens", "night", "day_night", "cloud_shadow", HAZE})
_ALWAYS = frozenset({"trees", "night", "cloud_shadow", HAZE})
# minutes between two spells, of a spell, and of its rise and fall
_RHYTHM: dict[str, tuple[tuple[float, float], tuple[float, float], float]] = {
    "fog_bank": ((30, 90), (30, 90), 15),
    "dust": ((15, 45), (15, 40), 0.1),
    "steam": ((30, 90), (60, 240), 0.5),
    "glare": ((40, 90), (60, 120), 10),
    "low_sun": ((40, 90), (60, 90), 20),
    "birds": ((10, 30), (2, 10), 0.1),
    "rain": ((30, 80), (20, 60), 4),
    "snow": ((40, 90), (60, 120), 20),
    "dirty_lens": ((40, 90), (60, 180), 0.2),
    "day_night": ((60, 90), (60, 90), 12),
}
FEW, MANY = 3, 12
"""How many fires burn at once: what a tower may see on a day of stubble burning, and a crowd."""
_FIRST_FIRE_S = (900.0, 1500.0)  # every view has been seen a few times by then
_FIRE_S, _RENEWED_S = (600.0, 1200.0), 900.0  # so long one burns, and so long no other follows it in a view
_NEAR_M, _FAR_M = 300.0, 3000.0
_CLEAR_AIR_M = 5000.0


@dataclass(frozen=True, slots=True)
class Spell:
    """One occurrence of a named negative; it rises and falls over ``rise_s``."""

    name: str
    started_s: float
    ended_s: float
    rise_s: float

    def strength(self, t_s: float) -> float:
        """Return how strong it is, in [0, 1]."""
        into = min(t_s - self.started_s, self.ended_s - t_s) / self.rise_s
        return min(max(into, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Thing:
    """A source of smoke, dust or steam, and where it stands on the ground (metres, right and ahead)."""

    kind: str
    source: Source
    ground_m: tuple[float, float]


def spells_of(name: str, seconds: float, seed: int, view: int) -> tuple[Spell, ...]:
    """Return the spells of one negative in one view; weather is the same in all views of a tower."""
    if name == CLEAR:
        return ()
    if name in _ALWAYS:
        return (Spell(name, -1.0, math.inf, 1e-3),)
    rng = np.random.default_rng([seed, 62, 997 if name in _EVERYWHERE else view])
    pause, length, rise_min = _RHYTHM[name]
    spells, at_s = [], 60 * float(rng.uniform(0.3, 1.0) * rng.uniform(*pause))
    while at_s < seconds:
        end_s = at_s + 60 * float(rng.uniform(*length))
        spells.append(Spell(name, at_s, end_s, 60 * rise_min))
        at_s = end_s + 60 * float(rng.uniform(*pause))
    return tuple(spells)


@dataclass(frozen=True, slots=True)
class Outbreak:
    """When a fire burns, and in which view: its number."""

    view: int
    started_s: float
    ended_s: float


def outbreaks_of(seconds: float, views: int, at_once: int, rng: np.random.Generator) -> list[Outbreak]:
    """Return fires all around, each in a view without one, of which at most ``at_once`` burn at a time."""
    made: list[Outbreak] = []
    at_s = float(rng.uniform(*_FIRST_FIRE_S))
    while at_once and at_s < seconds:
        burning = sorted(one.ended_s for one in made if one.ended_s > at_s)
        taken = {one.view for one in made if one.ended_s + _RENEWED_S > at_s}
        free = [view for view in range(views) if view not in taken]
        if len(burning) < at_once and free:
            made.append(Outbreak(int(rng.choice(free)), at_s, at_s + float(rng.uniform(*_FIRE_S))))
        at_s += float(rng.uniform(0.5, 1.5)) * sum(_FIRE_S) / 2 / at_once
    return made


def fire_of(outbreak: Outbreak, camera: PinholeCamera, rng: np.random.Generator) -> Thing:
    """Return the smoke of a fire somewhere in its view."""
    distance_m = float(np.exp(rng.uniform(math.log(_NEAR_M), math.log(_FAR_M))))
    wind = float(rng.choice([-1, 1]) * rng.uniform(0.3, 2.4))
    look = {
        "started_s": outbreak.started_s,
        "ended_s": outbreak.ended_s,
        "grow_s": float(rng.uniform(60, 240)),
        "wind_m_s": wind,
        "lift": float(rng.uniform(2.2, 4.0)),
        "width_m": float(rng.uniform(10, 24)),
        "dense": float(rng.uniform(1.8, 4.5)),
        "life_s": float(rng.uniform(70, 150)),
    }
    # upwind of the middle, so that the smoke stays in the picture
    return _thing("smoke", camera, distance_m, -math.copysign(rng.uniform(0.0, 0.6), wind), look)


def machines_of(spells: tuple[Spell, ...], camera: PinholeCamera, rng: np.random.Generator) -> list[Thing]:
    """Return a harvester with its dust for each spell."""
    made = []
    for spell in spells:
        distance_m = float(np.exp(rng.uniform(math.log(350), math.log(1600))))
        look = {
            "started_s": spell.started_s,
            "ended_s": spell.ended_s,
            "grow_s": 10.0,
            "wind_m_s": float(rng.uniform(-1.2, 1.2)),
            "lift": float(rng.uniform(0.45, 0.9)),
            "width_m": float(rng.uniform(6, 10)),
            "dense": float(rng.uniform(1.0, 2.8)),
            "life_s": float(rng.uniform(18, 40)),
            "brown": 1.0,
            "speed_m_s": float(rng.uniform(1.0, 2.2)),
            "reach_m": float(rng.uniform(50, 150)),
        }
        made.append(_thing("dust", camera, distance_m, float(rng.uniform(-0.6, 0.6)), look))
    return made


def chimney_of(spells: tuple[Spell, ...], camera: PinholeCamera, rng: np.random.Generator) -> list[Thing]:
    """Return one chimney's steam; it works during each of the spells."""
    distance_m, across = float(rng.uniform(700, 2400)), float(rng.uniform(-0.6, 0.6))
    height_m, white = float(rng.uniform(28, 50)), float(rng.uniform(0.3, 1.0))
    made = []
    for spell in spells:
        look = {
            "started_s": spell.started_s,
            "ended_s": spell.ended_s,
            "grow_s": 60.0,
            "wind_m_s": float(rng.uniform(-3, 3)),
            "lift": float(rng.uniform(1.8, 3.0)),
            "width_m": float(rng.uniform(5, 9)),
            "dense": float(rng.uniform(1.5, 3.5)),
            "life_s": float(rng.uniform(25, 60)),
            "white": white,
        }
        made.append(_thing("steam", camera, distance_m, across, look, height_m))
    return made


def _thing(
    kind: str,
    camera: PinholeCamera,
    distance_m: float,
    across: float,
    look: dict[str, float],
    height_m: float = 0.0,
) -> Thing:
    """Place a source; ``across`` in [-1, 1] of the half width of the view at its distance."""
    x_m = across * distance_m * math.tan(math.radians(camera.hfov_deg / 2))
    foot, depth = camera.project(np.array([[x_m, distance_m, height_m]]))
    source = Source(
        foot_px=(float(foot[0, 0]), float(foot[0, 1])),
        px_per_m=camera.focal_px / float(depth[0]),
        haze=1 - math.exp(-distance_m / _CLEAR_AIR_M),
        **look,
    )
    return Thing(kind, source, (x_m, distance_m))

"""Run a scene by name: pictures with truth, or the truth alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from streams.errors import SourceConfigError
from streams.simulator.arterial import arterial
from streams.simulator.farmland import farmland
from streams.simulator.kerb import kerb
from streams.simulator.road import RoadStory, road
from streams.simulator.scene import Scene
from streams.simulator.street import street
from streams.simulator.tower import tower
from streams.simulator.tower_story import FEW, NEGATIVES
from streams.simulator.truth import RenderedFrame, SceneTruth, TruthBox, TruthFrame

Size = tuple[int, int]
_MIN_SIZE: Size = (160, 90)


def _tower(name: str) -> Callable[[int, Size, float], Scene]:
    return lambda seed, size, seconds: tower(seed, size, seconds, name, fires=0)


SCENES: dict[str, Callable[[int, Size, float], Scene]] = {
    "farmland": lambda seed, size, seconds: farmland(seed, size, seconds, fire=True),
    "farmland-quiet": lambda seed, size, seconds: farmland(seed, size, seconds, fire=False),
    "street": lambda seed, size, _seconds: street(seed, size, lawful=False),
    "street-lawful": lambda seed, size, _seconds: street(seed, size, lawful=True),
    "road": lambda seed, size, seconds: road(seed, size, seconds, RoadStory.BLOCKED),
    "road-signal": lambda seed, size, seconds: road(seed, size, seconds, RoadStory.SIGNAL),
    "road-free": lambda seed, size, seconds: road(seed, size, seconds, RoadStory.FREE),
    "kerb": lambda seed, size, seconds: kerb(seed, size, seconds, across=False),
    "kerb-across": lambda seed, size, seconds: kerb(seed, size, seconds, across=True),
    "arterial": lambda seed, size, seconds: arterial(seed, size, seconds, story="blocked"),
    "arterial-lawful": lambda seed, size, seconds: arterial(seed, size, seconds, story="lawful"),
    "arterial-objects": lambda seed, size, seconds: arterial(seed, size, seconds, story="objects"),
    "tower": lambda seed, size, seconds: tower(seed, size, seconds, fires=FEW),
    **{f"tower-{name}": _tower(name) for name in NEGATIVES},
}
"""Name -> builder. Of the short scenes, the first of each kind holds an event and the others must raise no
alarm; ``kerb``, ``arterial`` and ``tower`` run for hours with many of both; ``tower-…`` hold one negative."""


def open_scene(scene: str, seed: int = 0, seconds: float = 60.0, size: Size = (960, 540)) -> Scene:
    """Build a scene; nothing is drawn yet.

    Raises:
        SourceConfigError: no such scene, or a size or duration that makes no picture.

    """
    if scene not in SCENES:
        msg = f"no scene {scene!r}; there are {', '.join(SCENES)}"
        raise SourceConfigError(msg)
    if size[0] < _MIN_SIZE[0] or size[1] < _MIN_SIZE[1] or size[0] % 2 or size[1] % 2:
        msg = f"size {size[0]}x{size[1]}: both even, at least {_MIN_SIZE[0]}x{_MIN_SIZE[1]}"
        raise SourceConfigError(msg)
    if not 0 < seconds <= 86_400:
        msg = f"{seconds} seconds: more than 0, at most a day"
        raise SourceConfigError(msg)
    if seed < 0:
        msg = f"seed {seed}: 0 or greater"
        raise SourceConfigError(msg)
    return SCENES[scene](seed, size, seconds)


def render(
    scene: str, seed: int = 0, seconds: float = 60.0, fps: float = 5.0, size: Size = (960, 540)
) -> Iterator[RenderedFrame]:
    """Yield the pictures of a scene with what is in them; the same for the same arguments.

    What happens depends on ``seed`` and ``seconds``, not on ``fps``.

    Raises:
        SourceConfigError: as :func:`open_scene`, or ``fps`` out of (0, 60].

    """
    return frames_of(open_scene(scene, seed, seconds, size), seconds, fps)


def frames_of(scene: Scene, seconds: float, fps: float) -> Iterator[RenderedFrame]:
    """Yield the pictures of a scene that was opened; afterwards it can tell its events."""
    for t_s, boxes in _moments(scene, seconds, fps):
        yield RenderedFrame(scene.picture(), t_s, boxes)


def simulate(
    scene: str, seed: int = 0, seconds: float = 60.0, fps: float = 5.0, size: Size = (960, 540)
) -> SceneTruth:
    """Return the truth of a scene without drawing it; hundreds of frames a second.

    Raises:
        SourceConfigError: as :func:`render`.

    """
    opened = open_scene(scene, seed, seconds, size)
    frames = [TruthFrame(t_s, boxes) for t_s, boxes in _moments(opened, seconds, fps)]
    return gather(opened, frames, scene=scene, seed=seed, seconds=seconds, fps=fps)


def gather(
    opened: Scene, frames: list[TruthFrame], *, scene: str, seed: int, seconds: float, fps: float
) -> SceneTruth:
    """Put together the truth of a scene that has been run to its end."""
    size = opened.camera.size_px
    pose = opened.camera.truth()
    return SceneTruth(scene, seed, fps, size, seconds, pose, opened.zones, opened.events(), tuple(frames))


def check_fps(fps: float) -> None:
    """Raise SourceConfigError where ``fps`` is out of (0, 60]."""
    if not 0 < fps <= 60:
        msg = f"{fps} frames a second: more than 0, at most 60"
        raise SourceConfigError(msg)


def _moments(scene: Scene, seconds: float, fps: float) -> Iterator[tuple[float, tuple[TruthBox, ...]]]:
    check_fps(fps)
    for index in range(max(1, round(seconds * fps))):
        t_s = index / fps
        yield t_s, scene.boxes(t_s)

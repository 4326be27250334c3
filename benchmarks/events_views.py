"""Whether a lost view is told from weather: each kind of blindness, and camera-hours of weather.

What is under test is the box's own: :func:`edge.sight.judge_picture`, :mod:`streams.freeze` and
:class:`edge.view_watch.ViewWatch`, in the order in which a watched camera asks them, on a rendered tower's
pictures 480 px wide (the watch itself works on 320). A trial counts where the view is called blind
within two visits of ten seconds, four pictures each; a false report is one that lasts so long in
weather. ``python -m benchmarks.events_views --json OUT [--trials N] [--hours N]``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.report import document, print_machine, write_json
from edge.score_rows import rate_of, share_of
from edge.sight import judge_picture
from edge.view_watch import ViewState, ViewWatch
from streams.frame import Frame
from streams.freeze import FreezePolicy, FreezeState, FreezeVerdict, advance, sample_luma
from streams.simulator.scene import Image
from streams.simulator.tower import ROUND_S, TowerScene, TowerView, tower
from streams.simulator.tower_story import HOUR_S
from streams.simulator.truth import FIXED_START
from towerwatch.timebase import parse_utc

SIZE = (480, 270)
LOOKS_S = (1.0, 3.5, 6.0, 8.5)  # within a visit
BLIND_VISITS = 2
FULL_TRIALS, FULL_HOURS = 50, 50.0
TOWERS = 5  # that the trials are shared among
WEATHER = (
    "clear", "cloud_shadow", "fog_bank", "glare", "low_sun", "trees", "rain", "snow", "night", "day_night",
)  # fmt: skip
_BLIND = {ViewState.MOVED, ViewState.HIDDEN}
Spoil = Callable[[Image, "Trial", int], Image]
"""From a sound picture, the trial and the number of the picture to what a blind camera would show."""


@dataclass(slots=True)
class Watcher:
    """The judgement of one preset's pictures, as :class:`edge.watched.WatchedCamera` makes it."""

    views: ViewWatch
    freeze: FreezeState | None = None
    index: int = 0

    def is_blind(self, image: Image, t_s: float, preset: str) -> bool:
        """Judge one picture, uint8 (height, width, 3) BGR, taken at ``t_s`` seconds."""
        frame = Frame(image, parse_utc(FIXED_START) + timedelta(seconds=t_s), t_s, self.index)
        self.index += 1
        reason, _ = judge_picture(frame.reduced)
        self.freeze = advance(self.freeze, sample_luma(frame), FreezePolicy())
        if reason is not None or self.freeze.verdict is FreezeVerdict.FROZEN:
            return True
        return self.views.judge(image, t_s, preset).state in _BLIND


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One trial: the scene, its view, another view of it, a generator for its dice, its last good picture."""

    scene: TowerScene
    view: TowerView
    other: TowerView
    rng: np.random.Generator
    frozen: Image


def _shifted(image: Image, dx_px: float, dy_px: float) -> Image:
    matrix = np.array([[1.0, 0.0, -dx_px], [0.0, 1.0, -dy_px]])
    return np.asarray(cv2.warpAffine(image, matrix, SIZE, borderMode=cv2.BORDER_REFLECT), np.uint8)


def turned(image: Image, trial: Trial, _number: int) -> Image:
    """Turn the head by 3 degrees; which way stays the same for a trial."""
    angle = 2 * math.pi * (trial.view.seed * 0.618 % 1.0)
    far_px = trial.view.camera.focal_px * math.tan(math.radians(3.0))
    return _shifted(image, far_px * math.cos(angle), far_px * math.sin(angle))


def cloth(image: Image, trial: Trial, tint: tuple[int, int, int]) -> Image:
    """Hang folds of one colour before the lens."""
    rng = np.random.default_rng([trial.view.seed, 5])
    rough = cv2.resize(rng.normal(0, 1, (7, 11)).astype(np.float32), SIZE, interpolation=cv2.INTER_CUBIC)
    level = rng.uniform(70, 190) + rng.uniform(6, 26) * rough
    level = level[:, :, None] + np.asarray(tint) + trial.rng.normal(0, 2, (*image.shape[:2], 1))
    return np.asarray(np.clip(level, 0, 255), np.uint8)


def defocused(image: Image, _trial: Trial, _number: int) -> Image:
    """Put the lens out of focus."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 10), np.uint8)


BLINDNESS: dict[str, Spoil] = {
    "turned by 3 degrees": turned,
    "wrong preset": lambda _image, trial, number: _noisy(trial, trial.other, number),
    "frozen": lambda _image, trial, _number: trial.frozen,
    "black": lambda image, trial, _number: np.clip(trial.rng.normal(4, 1, image.shape), 0, 255).astype(
        np.uint8
    ),
    "out of focus": defocused,
    "covered, tinted": lambda image, trial, _number: cloth(image, trial, (0, 6, 14)),
    "covered, colourless": lambda image, trial, _number: cloth(image, trial, (0, 0, 0)),
}


def _noisy(trial: Trial, view: TowerView, number: int) -> Image:
    t_s = 4 * ROUND_S + 10.0 * number
    view.boxes(t_s)
    image = view.picture(t_s)
    trial.scene.noise.add_to(image)
    return image


@dataclass(slots=True)
class Counts:
    """What came out: trials called blind and made by kind; false reports and hours by weather."""

    told: dict[str, int] = field(default_factory=dict)
    trials: int = 0
    false: dict[str, int] = field(default_factory=dict)
    hours: float = 0.0


def visits(scene: TowerScene, view: TowerView, first: int, count: int) -> Iterator[tuple[float, Image]]:
    """Yield the pictures of some rounds' visits to one view, with their times."""
    for visit in range(first, first + count):
        for look_s in LOOKS_S:
            t_s = visit * ROUND_S + look_s
            view.boxes(t_s)
            image = view.picture(t_s)
            scene.noise.add_to(image)
            yield t_s, image


def run_trial(scene: TowerScene, view: TowerView, told: dict[str, int]) -> None:
    """Show one view four times as it is, then spoiled in each way; count those called blind in time."""
    other = scene.views[(scene.views.index(view) + 3) % len(scene.views)]
    good = list(visits(scene, view, 0, 4))
    bad = list(visits(scene, view, 4, BLIND_VISITS))
    sighted = Watcher(ViewWatch((view.name,)))
    for t_s, image in good:
        sighted.is_blind(image, t_s, view.name)
    for name, spoil in BLINDNESS.items():
        trial = Trial(scene, view, other, np.random.default_rng([view.seed, 6]), good[-1][1])
        watcher = deepcopy(sighted)
        verdicts = [
            watcher.is_blind(spoil(image, trial, number), t_s, view.name)
            for number, (t_s, image) in enumerate(bad)
        ]
        told[name] = told.get(name, 0) + any(verdicts)


def watch_weather(name: str, seed: int, hours: float) -> int:
    """Return how often one view was falsely called blind in hours of one kind of weather."""
    scene = tower(seed, SIZE, hours * HOUR_S, name, fires=False)
    view = scene.views[seed % len(scene.views)]
    watcher = Watcher(ViewWatch((view.name,)))
    reports, blind = 0, False
    for t_s, image in visits(scene, view, 0, int(hours * HOUR_S / ROUND_S)):
        now = watcher.is_blind(image, t_s, view.name)
        reports += now and not blind
        blind = now
    return reports


def measure(trials: int, hours: float, report: Callable[[str], None]) -> Counts:
    """Run the trials, a view each, and ``hours`` camera-hours of weather in all."""
    counts = Counts(trials=trials, hours=hours)
    for number in range(trials):
        scene = tower(number % TOWERS, SIZE, HOUR_S, fires=False)
        run_trial(scene, scene.views[number // TOWERS % len(scene.views)], counts.told)
        report(f"trial {number + 1} of {trials}")
    for number, name in enumerate(WEATHER):
        counts.false[name] = watch_weather(name, 20 + number, hours / len(WEATHER))
        report(f"weather: {name}")
    return counts


def main(
    json_path: Annotated[Path, typer.Option("--json", help="Where to write the results.")],
    trials: Annotated[int, typer.Option(min=1, max=60, help="Of each kind of blindness.")] = FULL_TRIALS,
    hours: Annotated[float, typer.Option(min=1, help="Camera-hours of weather.")] = FULL_HOURS,
) -> None:
    """Measure how surely a lost view is told, and how seldom weather is taken for one."""
    began_s, console = time.monotonic(), Console(stderr=True)
    with console.status("views") as status:
        counts = measure(trials, hours, status.update)
    false = sum(counts.false.values())
    rate = rate_of(false, hours / FULL_HOURS)
    shares = {name: share_of(told, trials) for name, told in counts.told.items()}
    content = document(
        "events_views",
        quick=trials < FULL_TRIALS,
        trials=trials,
        told=counts.told,
        told_frac_95={name: [one.low, one.high] for name, one in shares.items() if one is not None},
        camera_hours=hours,
        false_reports=counts.false,
        false_reports_in_50_hours=None if rate is None else rate.value,
        false_reports_in_50_hours_95=None if rate is None else [rate.low, rate.high],
        wall_s=round(time.monotonic() - began_s, 1),
    )
    print_machine(content)
    table = Table("blindness", f"told within {BLIND_VISITS} visits, of {trials}")
    for name, told in counts.told.items():
        table.add_row(name, str(told))
    table.add_row(f"false reports in {hours:g} camera-hours of weather", str(false))
    Console().print(table)
    write_json(json_path, content)


if __name__ == "__main__":
    typer.run(main)

"""Whether a lost view is told from weather: each kind of blindness, and camera-hours of weather.

What is under test is the box's own: :func:`edge.sight.judge_picture`, :mod:`streams.freeze` and
:class:`edge.view_watch.ViewWatch`, in the order in which a watched camera asks them, on a rendered tower's
pictures 480 px wide (the watch itself works on 320). A trial counts where the view is called blind
within two visits of ten seconds, four pictures each; a false report is one that lasts so long in
weather. A part of the benchmark of events: its figures are no rule's, and stand under ``views``.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.events_part import PartResult, play_all
from edge.score_rows import Estimate, rate_of, share_of
from edge.sight import judge_picture
from edge.view_watch import ViewState, ViewWatch
from streams.frame import Frame
from streams.freeze import FreezePolicy, FreezeState, FreezeVerdict, advance, sample_luma
from streams.simulator.scene import Image
from streams.simulator.tower import ROUND_S, TowerScene, TowerView, tower
from streams.simulator.tower_story import HOUR_S
from streams.simulator.truth import FIXED_START
from towerwatch.timebase import parse_utc

FIGURES: str | None = None
SIZE = (480, 270)
LOOKS_S = (1.0, 3.5, 6.0, 8.5)  # within a visit
BLIND_VISITS = 2
FULL_TRIALS, QUICK_TRIALS = 50, 4
WEATHER_HOURS, QUICK_HOURS = 5.0, 0.2  # of each kind
RATE_HOURS = 50.0  # false reports are asked for in so many
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


def visits(scene: TowerScene, view: TowerView, first: int, count: int) -> Iterator[tuple[float, Image]]:
    """Yield the pictures of some rounds' visits to one view, with their times."""
    for visit in range(first, first + count):
        for look_s in LOOKS_S:
            t_s = visit * ROUND_S + look_s
            view.boxes(t_s)
            image = view.picture(t_s)
            scene.noise.add_to(image)
            yield t_s, image


def run_trial(scene: TowerScene, view: TowerView) -> dict[str, bool]:
    """Show one view four times as it is, then spoiled in each way; say which were called blind in time."""
    other = scene.views[(scene.views.index(view) + 3) % len(scene.views)]
    good = list(visits(scene, view, 0, 4))
    bad = list(visits(scene, view, 4, BLIND_VISITS))
    sighted = Watcher(ViewWatch((view.name,)))
    for t_s, image in good:
        sighted.is_blind(image, t_s, view.name)
    told = {}
    for name, spoil in BLINDNESS.items():
        trial = Trial(scene, view, other, np.random.default_rng([view.seed, 6]), good[-1][1])
        watcher = deepcopy(sighted)
        verdicts = [
            watcher.is_blind(spoil(image, trial, number), t_s, view.name)
            for number, (t_s, image) in enumerate(bad)
        ]
        told[name] = any(verdicts)
    return told


def watch_weather(name: str, seed: int, hours: float) -> int:
    """Return how often one view was falsely called blind in hours of one kind of weather."""
    scene = tower(seed, SIZE, hours * HOUR_S, name, fires=0)
    view = scene.views[seed % len(scene.views)]
    watcher = Watcher(ViewWatch((view.name,)))
    reports, blind = 0, False
    for t_s, image in visits(scene, view, 0, int(hours * HOUR_S / ROUND_S)):
        now = watcher.is_blind(image, t_s, view.name)
        reports += now and not blind
        blind = now
    return reports


@dataclass(frozen=True, slots=True)
class ViewRun:
    """One trial of each kind of blindness, by its number; or ``hours`` of a kind of weather."""

    seed: int
    trial: int | None = None
    weather: str = ""
    hours: float = 0.0

    @property
    def name(self) -> str:
        """Name of the file that is kept."""
        what = f"{self.weather}-{self.hours:g}h" if self.trial is None else f"trial-{self.trial}"
        return f"views-{what}-{self.seed}"

    def play(self) -> dict[str, Any]:
        """Return what came out: which blindness was told, or how many reports were false."""
        if self.trial is None:
            number = 100 * self.seed + 20 + WEATHER.index(self.weather)
            return {"false": watch_weather(self.weather, number, self.hours)}
        scene = tower(100 * self.seed + self.trial % TOWERS, SIZE, HOUR_S, fires=0)
        return {"told": run_trial(scene, scene.views[self.trial // TOWERS % len(scene.views)])}


def plan_of(seed: int, *, quick: bool) -> list[ViewRun]:
    """Return 50 trials of each kind and 50 hours of weather; quick: 4 and 2."""
    trials, hours = (QUICK_TRIALS, QUICK_HOURS) if quick else (FULL_TRIALS, WEATHER_HOURS)
    weather = [ViewRun(seed, weather=name, hours=hours) for name in WEATHER]
    return [*weather, *(ViewRun(seed, number) for number in range(trials))]


def done_or_run(plan: ViewRun, folder: Path) -> None:
    """Play a trial or weather, unless its result lies in ``folder``."""
    target = folder / f"{plan.name}.json"
    if not target.exists():
        partial = target.with_suffix(".part")
        partial.write_text(json.dumps(plan.play()), encoding="utf-8")
        partial.replace(target)


def run(seed: int, folder: Path, *, quick: bool, kept: bool = False) -> PartResult:
    """Play what ``folder`` does not hold; a part of the benchmark of events."""
    plans = every = plan_of(seed, quick=quick)
    if kept:
        plans = [plan for plan in every if (folder / f"{plan.name}.json").exists()]
    else:
        play_all("views", plans, done_or_run, folder)
    found = {plan: json.loads((folder / f"{plan.name}.json").read_text(encoding="utf-8")) for plan in plans}
    told = Counter(dict.fromkeys(BLINDNESS, 0))
    for plan, result in found.items():
        told.update(result["told"] if plan.trial is not None else {})
    trials = sum(plan.trial is not None for plan in plans)
    false = {plan.weather: int(result["false"]) for plan, result in found.items() if plan.trial is None}
    hours = sum(plan.hours for plan in plans)
    shares = {name: share_of(count, trials) for name, count in told.items()}
    rate = rate_of(sum(false.values()), hours / RATE_HOURS)
    views = {
        "trials": trials,
        "told": dict(told),
        "told_frac_95": {name: _interval(share) for name, share in shares.items()},
        "camera_hours": hours,
        "false_reports": false,
        "false_reports_in_50_hours": None if rate is None else rate.value,
        "false_reports_in_50_hours_95": _interval(rate),
    }
    return PartResult((), (len(plans), len(every)), facts={"views": views}, page=page_of(views))


def _interval(one: Estimate | None) -> list[float] | None:
    return None if one is None else [round(one.low, 4), round(one.high, 4)]


def _brackets(interval: list[float] | None, digits: int) -> str:
    return "" if interval is None else f" ({interval[0]:.{digits}f} to {interval[1]:.{digits}f})"


def page_of(views: dict[str, Any]) -> str:
    """Return the section of ``docs/accuracy.md``."""
    trials, false, hours = views["trials"], sum(views["false_reports"].values()), views["camera_hours"]
    how = (
        "A rendered tower's view is shown as it is in four visits, then lost in one way for"
        f" {BLIND_VISITS} visits of 10 s, four pictures each. Weather must not be called lost"
        f" ({', '.join(name.replace('_', ' ') for name in WEATHER)}).\n"
    )
    lines = [
        "## Lost views\n",
        how,
        f"| lost by | called blind within {BLIND_VISITS} visits, of {trials} | asked: all |",
        "|---|---|---|",
    ]
    for name, count in views["told"].items():
        interval, met = views["told_frac_95"][name], "met" if count == trials else "**not met**"
        lines.append(f"| {name} | {count}{_brackets(interval, 3)} | {met} |")
    rate = views["false_reports_in_50_hours"]
    if rate is not None:
        within = _brackets(views["false_reports_in_50_hours_95"], 1)
        met = "met" if rate <= 1 else "**not met**"
        lines.append(
            f"\n- false reports in {hours:g} camera-hours of weather: {false},"
            f" {rate:.2g} in 50 hours{within}, asked at most 1: {met}\n"
        )
    return "\n".join(lines)

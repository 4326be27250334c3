"""One camera's analysis, frame in and episode events out: no video, no clock, no thread, no file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from edge.config import CameraConfig, EdgeConfig, ViewConfig
from edge.episode import EpisodeEvent
from edge.gate import Decision, Why
from edge.lens import LensMemory
from edge.lifecycle import Lifecycle, OpenEpisode, Terms
from edge.observe import Box, Observation, Rule
from edge.place import Placer, placer_of
from edge.rule_config import AnyRuleConfig, SmokeRuleConfig
from edge.rules import build_rule
from edge.rules.smoke import SmokeRule
from edge.sources import ViewSource
from edge.tile_plan import TileBudget, TilePlanner
from edge.track import Tracker
from models.detections import Detections
from models.detector import Detector
from streams.frame import Frame
from towerwatch.timebase import parse_utc

STATE_VERSION = 1


def tile_px_of(config: AnyRuleConfig) -> int | None:
    """Return the side of the tiles through which a rule looks, None where the whole picture is enough."""
    return config.tile_px if isinstance(config, SmokeRuleConfig) else None


def tile_budget(config: EdgeConfig, cameras: Sequence[CameraConfig]) -> TileBudget:
    """Return the share of a box's tiles that some of its cameras have together."""
    mine, every = (sum(map(_uses_tiles, some)) for some in (cameras, config.cameras))
    return TileBudget(config.limits.tiles_per_s * mine / max(every, 1), mine)


def _uses_tiles(camera: CameraConfig) -> bool:
    return any(tile_px_of(rule) is not None for view in camera.views for rule in view.rules)


def source_of(config: AnyRuleConfig) -> str:
    """Name what gives a rule its boxes: its model, and the tiles through which it looks."""
    tile_px = tile_px_of(config)
    return config.model if tile_px is None else f"{config.model}/{tile_px}"


@dataclass(slots=True)
class _Bound:
    """One rule with what it needs and the episodes it made; ``source`` names its boxes."""

    key: str
    source: str
    config: AnyRuleConfig
    rule: Rule
    lifecycle: Lifecycle


@dataclass(slots=True)
class _View:
    """State of one preset."""

    config: ViewConfig
    rules: list[_Bound]
    sources: dict[str, ViewSource]
    trackers: dict[str, Tracker]
    placer: Placer | None
    last_s: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One frame on its way through the pipeline: what was decided by source of boxes, sorted."""

    frame: Frame
    preset: str
    now_s: float
    decisions: Mapping[str, Decision]

    @property
    def asked(self) -> tuple[str, ...]:
        """The sources whose model must see the frame."""
        return tuple(name for name, decision in self.decisions.items() if decision.look)


@dataclass(slots=True)
class _Clock:
    """Seconds that go on over a restart: the frame's monotonic stamp plus an offset.

    After a load the first frame's wall-clock distance to the last one before it bridges the gap.
    """

    offset_s: float = 0.0
    last_s: float | None = None
    last_at: datetime | None = None
    bridge: bool = False

    def read(self, frame: Frame) -> float:
        """Return the time of a frame; it never runs backwards."""
        if self.bridge and self.last_s is not None and self.last_at is not None:
            gap_s = max((frame.captured_at - self.last_at).total_seconds(), 0.0)
            same = abs(frame.monotonic_s + self.offset_s - self.last_s - gap_s) < 1e-3
            if not same:
                self.offset_s = self.last_s + gap_s - frame.monotonic_s
        self.bridge = False
        now_s = frame.monotonic_s + self.offset_s
        if self.last_s is not None and now_s < self.last_s:
            self.offset_s += self.last_s - now_s
            now_s = self.last_s
        self.last_s, self.last_at = now_s, frame.captured_at
        return now_s


@dataclass(slots=True)
class CameraPipeline:
    """Detect, track, judge and follow episodes for one camera.

    Args:
        camera: its configuration.
        detectors: by the model names that its rules use; KeyError at once if one is missing.
        new_id: mints an alert id, 32 hexadecimal digits, at each call.
        budget: of tiles for small far smoke, shared with other cameras; None is without limit.

    """

    camera: CameraConfig
    detectors: Mapping[str, Detector]
    new_id: Callable[..., str]
    budget: TileBudget | None = None
    looks: Counter[Why] = field(init=False, default_factory=Counter)
    _views: dict[str, _View] = field(init=False)
    _clock: _Clock = field(init=False, default_factory=_Clock)

    def __post_init__(self) -> None:
        """Build trackers, rules and lifecycles of every view."""
        lens = LensMemory()
        self._views = {view.preset: self._build(view, lens) for view in self.camera.views}

    def _build(self, view: ViewConfig, lens: LensMemory) -> _View:
        bound = []
        for config in view.rules:
            source, detector = source_of(config), self.detectors[config.model]
            rule = build_rule(config, view, self.camera, lens)
            terms = Terms(
                rule=rule.name,
                hold_s=rule.hold_s,
                update_s=config.update_s,
                interval_s=self.camera.interval_s,
                model=detector.name,
                precision=detector.precision,
            )
            key = f"{config.kind}:{config.zone or ''}"
            lifecycle = Lifecycle(self.camera.id, view.preset, terms, self.new_id)
            bound.append(_Bound(key, source, config, rule, lifecycle))
        placer = placer_of(self.camera, view)
        sources = {}
        for name in sorted({one.source for one in bound}):
            rules = [one.config for one in bound if one.source == name]
            planner = self._planner(rules[0], placer)
            detector = self.detectors[rules[0].model]
            sources[name] = ViewSource(detector, view, rules, self.camera.gate, planner)
        tracked = sorted({one.source for one in bound if one.config.kind != "smoke"})
        trackers = {name: Tracker() for name in tracked}
        return _View(view, bound, sources, trackers, placer)

    def _planner(self, config: AnyRuleConfig, placer: Placer | None) -> TilePlanner | None:
        tile_px = tile_px_of(config)
        if tile_px is None:
            return None
        return TilePlanner(
            self.camera.id,
            tile_px,
            self.budget,
            lambda size_px: None if placer is None else placer.horizon(size_px),
        )

    @property
    def awaits_confirmation(self) -> bool:
        """Whether some candidate waits to be confirmed or dissolved (worth a denser look)."""
        return any(one.lifecycle.awaits_confirmation for view in self._views.values() for one in view.rules)

    def open_alerts(self) -> tuple[OpenEpisode, ...]:
        """Return the episodes that were opened and not yet closed, over all presets."""
        return tuple(episode for episode in self._episodes() if episode.opened)

    def candidates(self) -> tuple[OpenEpisode, ...]:
        """Return the episodes that are not yet opened, over all presets."""
        return tuple(episode for episode in self._episodes() if not episode.opened)

    def _episodes(self) -> list[OpenEpisode]:
        return [
            episode
            for view in self._views.values()
            for one in view.rules
            for episode in one.lifecycle.episodes()
        ]

    def dismissed(self, preset: str, box: Box, reason: str, at: datetime) -> None:
        """Tell a view's smoke rules what an operator has dismissed; see :meth:`SmokeRule.dismissed`."""
        view = self._views.get(preset)
        for one in () if view is None else view.rules:
            if isinstance(one.rule, SmokeRule):
                one.rule.dismissed(box, reason, at)

    def process(self, frame: Frame, preset: str = "fixed") -> tuple[EpisodeEvent, ...]:
        """Analyse one frame of one preset; a preset without a view gives nothing.

        Raises whatever a detector raises; the state is then as before the call, but for the time.
        """
        look = self.begin(frame, preset)
        return self.finish(look, self.ask(look))

    def begin(self, frame: Frame, preset: str = "fixed") -> Look:
        """Decide what the models are to see of a frame. Ask them, then :meth:`finish`, in this order."""
        now_s = self._clock.read(frame)
        view = self._views.get(preset)
        decisions: dict[str, Decision] = {}
        if view is None:
            return Look(frame, preset, now_s, decisions)
        for name, source in view.sources.items():
            awaited = any(one.lifecycle.awaits_confirmation for one in view.rules if one.source == name)
            decisions[name] = source.decide(frame, now_s, awaited=awaited)
            self.looks[decisions[name].why] += 1
        return Look(frame, preset, now_s, decisions)

    def ask(self, look: Look) -> dict[str, Detections]:
        """Show the models what was decided; raises whatever a detector raises."""
        view = self._views.get(look.preset)
        if view is None:
            return {}
        return {
            name: view.sources[name].look(look.decisions[name], look.frame, look.now_s) for name in look.asked
        }

    def finish(self, look: Look, found: Mapping[str, Detections]) -> tuple[EpisodeEvent, ...]:
        """Judge a frame by what the models have found in it, for each source that was asked."""
        frame, now_s, view = look.frame, look.now_s, self._views.get(look.preset)
        if view is None:
            return ()
        sights = {
            name: view.sources[name].take(decision, frame, now_s, found.get(name))
            for name, decision in look.decisions.items()
        }
        gap_s = float("inf") if view.last_s is None else now_s - view.last_s
        view.last_s = now_s
        tracks = {
            name: tracker.update(self._wanted(view, name, sights[name].detections), frame, now_s)
            for name, tracker in view.trackers.items()
        }
        events: list[EpisodeEvent] = []
        for one in view.rules:
            seen = Observation(
                captured_at=frame.captured_at,
                monotonic_s=now_s,
                camera=self.camera.id,
                preset=look.preset,
                size_px=(frame.width_px, frame.height_px),
                frame=frame,
                detections=sights[one.source].detections,
                tracks=tracks.get(one.source, ()),
                gap_s=gap_s,
                carried=sights[one.source].carried,
            )
            events += one.lifecycle.step(frame.captured_at, gap_s, one.rule(seen))
        if view.placer is not None:
            events = [view.placer.placed(event, seen.size_px) for event in events]
        return tuple(events)

    def _wanted(self, view: _View, source: str, found: Detections) -> Detections:
        labels = {
            label
            for one in view.rules
            if one.source == source and one.config.kind != "smoke"
            for label in one.config.labels
        }
        return found.with_labels(sorted(labels))

    def dump(self) -> dict[str, Any]:
        """Return the whole state as JSON-able values."""
        return {
            "version": STATE_VERSION,
            "last_s": self._clock.last_s,
            "offset_s": self._clock.offset_s,
            "last_at": self._clock.last_at.isoformat() if self._clock.last_at else None,
            "views": {
                preset: {
                    "last_s": view.last_s,
                    "trackers": {name: tracker.dump() for name, tracker in view.trackers.items()},
                    "rules": {
                        one.key: {"rule": one.rule.dump(), "lifecycle": one.lifecycle.dump()}
                        for one in view.rules
                    },
                }
                for preset, view in self._views.items()
            },
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state, also after a reboot; what the configuration lost is skipped."""
        if state.get("version") != STATE_VERSION:
            return
        self._clock = _Clock(
            offset_s=float(state["offset_s"]),
            last_s=state["last_s"],
            last_at=parse_utc(state["last_at"]) if state["last_at"] else None,
            bridge=True,
        )
        for preset, view_state in state["views"].items():
            view = self._views.get(preset)
            if view is None:
                continue
            view.last_s = view_state["last_s"]
            for name, tracker in view.trackers.items():
                if name in view_state["trackers"]:
                    tracker.load(view_state["trackers"][name])
            for one in view.rules:
                if one.key in view_state["rules"]:
                    one.rule.load(view_state["rules"][one.key]["rule"])
                    one.lifecycle.load(view_state["rules"][one.key]["lifecycle"])

"""The same pictures through the box's pipeline twice, with the change gate and without.

Pictures are rendered, encoded as H.264 key frames and decoded as a camera's are. Without the gate the
shipped model is shown each of them as a whole; with it, those that have changed, and of them the part that
the rules' zones need: what both pipelines differ by is what a box saves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.traffic_runs import record_of
from edge.config import CameraConfig, GateConfig
from edge.episode import EpisodePhase
from edge.gate import Why
from edge.pipeline import CameraPipeline
from edge.replay import counted_ids
from edge.score import AlertRecord
from edge.shapes import iou
from models.detector import Detector
from streams.frame import Frame
from streams.modes import KEYFRAMES
from streams.simulator import open_scene
from streams.simulator.truth import FIXED_START, SceneTruth, read_truth
from streams.simulator.write import RenderOrder, write_video
from streams.sources import open_replay
from towerwatch.timebase import parse_utc

INTERVAL_S = 2.0
LATE_S = 30.0  # one forced look
SAME_PLACE_IOU = 0.3
MOVES_M_S = 0.5
CLIP_ZONE = ((0.0, 0.2), (0.4, 0.1), (1.0, 0.1), (1.0, 0.9), (0.0, 0.9))  # of street_parking.mp4: the road


@dataclass(frozen=True, slots=True)
class GatePlan:
    """One scene of the simulator, and the rules that watch its first zone; from ``held_s`` on it is held."""

    scene: str
    seed: int
    seconds: float
    rules: tuple[Mapping[str, Any], ...]
    held_s: float | None = None
    size: tuple[int, int] = (960, 540)

    @property
    def name(self) -> str:
        """Scene and seed."""
        return f"{self.scene}-{self.seed}" + ("" if self.held_s is None else "-held")


@dataclass(slots=True)
class GateRun:
    """What came of one source. ``still``: pictures in which, by the truth, nothing moves since the last."""

    name: str
    pictures: int = 0
    still: int = 0
    still_spared: int = 0
    looks: Counter[Why] = field(default_factory=Counter)
    ungated: list[AlertRecord] = field(default_factory=list)
    gated: list[AlertRecord] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """Return the result object."""
        delays = [delay for delay in delays_of(self.ungated, self.gated) if delay is not None]
        return {
            "source": self.name,
            "pictures": self.pictures,
            "saved_frac": self.looks[Why.UNCHANGED] / max(self.pictures, 1),
            "still": self.still,
            "still_saved_frac": self.still_spared / self.still if self.still else None,
            "events": len(self.ungated),
            "lost": len(self.ungated) - len(delays),
            "late": sum(delay > LATE_S for delay in delays),
            "worst_delay_s": max(delays, default=None),
            "more": max(len(self.gated) - len(delays), 0),
            "why": {why.value: count for why, count in sorted(self.looks.items())},
        }


def delays_of(ungated: Sequence[AlertRecord], gated: Sequence[AlertRecord]) -> list[float | None]:
    """Return for each alert of the ungated run by how many seconds the gated one comes later; None: never.

    The same alert is of the same kind and zone and, where both have boxes, at the same place.
    """
    left = list(gated)
    delays: list[float | None] = []
    for one in ungated:
        found = next((other for other in left if _is_same(one, other)), None)
        if found is not None:
            left.remove(found)
        delays.append(None if found is None else (found.opened_at - one.opened_at).total_seconds())
    return delays


def _is_same(one: AlertRecord, other: AlertRecord) -> bool:
    if (one.kind, one.zone) != (other.kind, other.zone):
        return False
    if one.kind == "blocked_road" or not one.boxes or not other.boxes:  # a queue has no place of its own
        return True
    return max(iou(a, b) for a in one.boxes for b in other.boxes) >= SAME_PLACE_IOU


def run_scene(plan: GatePlan, detector: Detector, folder: Path) -> GateRun:
    """Render a scene and run it; one that is held goes as it is drawn, without a video between."""
    if plan.held_s is not None:
        return _run_held(plan, plan.held_s, detector)
    order = RenderOrder(
        plan.scene, plan.seed, plan.seconds, fps=1 / INTERVAL_S, size=plan.size, keyframe_s=INTERVAL_S
    )
    video = write_video(order, folder / plan.name)
    truth = read_truth(video.with_suffix(".truth.json"))
    zone = truth.zones[0]
    camera = camera_of(plan.name, zone.id, zone.points, plan.rules)
    return run_pictures(plan.name, camera, open_replay(video, decode=KEYFRAMES), detector, still_of(truth))


def _run_held(plan: GatePlan, held_s: float, detector: Detector) -> GateRun:
    scene = open_scene(plan.scene, plan.seed, plan.seconds, plan.size)
    count = int(plan.seconds / INTERVAL_S)
    start = parse_utc(FIXED_START)

    def frames() -> Iterator[Frame]:
        for index in range(count):
            at_s = index * INTERVAL_S
            scene.boxes(min(at_s, held_s))
            yield Frame(scene.picture(), start + timedelta(seconds=at_s), at_s, index)

    still = [index * INTERVAL_S > held_s for index in range(count)]
    zone = scene.zones[0]
    camera = camera_of(plan.name, zone.id, zone.points, plan.rules)
    return run_pictures(plan.name, camera, frames(), detector, still)


def run_clip(path: Path, detector: Detector) -> GateRun:
    """Run a real clip of a street with parked cars, once through."""
    rules = ({"kind": "illegal_parking", "legal_time_s": 30.0}, {"kind": "blocked_road", "duration_s": 30.0})
    camera = camera_of(path.stem, "road", CLIP_ZONE, rules)
    frames = open_replay(path, decode=KEYFRAMES, interval_s=INTERVAL_S)
    return run_pictures(path.stem, camera, frames, detector, ())


def camera_of(
    name: str, zone: str, points: Sequence[tuple[float, float]], rules: Sequence[Mapping[str, Any]]
) -> CameraConfig:
    """Return a fixed camera with one zone and its rules."""
    view = {
        "zones": [{"id": zone, "points": [list(point) for point in points]}],
        "rules": [{**rule, "zone": zone} for rule in rules],
    }
    document = {"id": name, "url": "rtsp://127.0.0.1/played", "interval_s": INTERVAL_S, "views": [view]}
    return CameraConfig.model_validate(document)


def still_of(truth: SceneTruth) -> tuple[bool, ...]:
    """Tell of each picture whether nothing moves in it, nor has moved since the one before."""
    moving = [any(box.speed_m_s > MOVES_M_S for box in frame.boxes) for frame in truth.frames]
    known = [{box.object_id for box in frame.boxes} for frame in truth.frames]
    return tuple(
        index > 0 and not moving[index] and not moving[index - 1] and known[index] == known[index - 1]
        for index in range(len(moving))
    )


def run_pictures(
    name: str, camera: CameraConfig, frames: Iterable[Frame], detector: Detector, still: Sequence[bool]
) -> GateRun:
    """Run both pipelines over the same pictures."""
    ungated = camera.model_copy(update={"gate": GateConfig(enabled=False)})
    pipelines = {
        gated: CameraPipeline(config, {"vehicle": detector}, counted_ids(name, str(gated)))
        for gated, config in ((False, ungated), (True, camera))
    }
    run = GateRun(name, looks=pipelines[True].looks)
    for index, frame in enumerate(frames):
        spared = run.looks[Why.UNCHANGED]
        run.ungated += _opened(pipelines[False], frame)
        run.gated += _opened(pipelines[True], frame)
        run.pictures += 1
        if index < len(still) and still[index]:
            run.still += 1
            run.still_spared += run.looks[Why.UNCHANGED] - spared
    return run


def _opened(pipeline: CameraPipeline, frame: Frame) -> Iterator[AlertRecord]:
    return (record_of(event) for event in pipeline.process(frame) if event.phase is EpisodePhase.OPENED)

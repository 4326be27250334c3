"""One scene without pixels: truth boxes through the error model, the edge's own pipeline.

Detector and camera are played, everything behind them is what runs on a box: tracker, rules,
lifecycle. An hour of street takes some seconds of CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.errors.model import LABEL, ErrorModel, load_figures
from benchmarks.errors.schematic import SIZE_PX, Schematic
from edge.config import CameraConfig
from edge.episode import EpisodeEvent, EpisodePhase
from edge.pipeline import CameraPipeline
from edge.replay import counted_ids
from edge.score import AlertRecord
from models.detections import Detections
from streams.frame import Frame
from streams.simulator import SceneTruth, TruthZone, open_scene
from streams.simulator.runner import gather
from streams.simulator.truth import FIXED_START, TruthBox
from towerwatch.timebase import parse_utc

INTERVAL_S = 2.0  # a camera's default
RULES: dict[str, dict[str, Any]] = {
    "kerb": {"kind": "illegal_parking", "zone": "kerb"},
    "kerb-across": {"kind": "illegal_parking", "zone": "kerb"},
    "arterial": {"kind": "blocked_road", "zone": "road"},
    "arterial-lawful": {"kind": "blocked_road", "zone": "road"},
    "arterial-objects": {"kind": "blocked_road", "zone": "road", "object_time_s": 60.0},
}
"""The rule of each scene, as shipped: its thresholds are the defaults, but that objects are told at all."""
ROAD_OBJECT = "road_object"
"""Under which name the blocked road's word of what is no vehicle is counted: a queue is found otherwise."""


def counted_as(scene: str) -> str:
    """Return the kind under which a scene's hours are counted."""
    return ROAD_OBJECT if scene == "arterial-objects" else str(RULES[scene]["kind"])


@dataclass(frozen=True, slots=True)
class TrafficRun:
    """What to run. ``figures`` names the condition of the error model, ``condition`` that of the result."""

    scene: str
    seed: int
    seconds: float
    figures: str = "day"
    condition: str = "day"


@dataclass(slots=True)
class PlayedDetector:
    """Hands out what it was told that it finds."""

    name: str = "played@1.0.0"
    precision: str = "f32"
    labels: tuple[str, ...] = (LABEL,)
    found: Detections = field(default_factory=lambda: Detections.empty((LABEL,)))

    def detect(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Detections]:
        """Return the boxes that were put into ``found``."""
        return [self.found for _ in images]

    def close(self) -> None:
        """Do nothing: there is no runtime."""


def camera_of(name: str, areas: Sequence[TruthZone], rule: dict[str, Any]) -> CameraConfig:
    """Return a fixed camera with a scene's zones and one rule."""
    zones = [{"id": zone.id, "points": zone.points} for zone in areas]
    return CameraConfig.model_validate(
        {
            "id": name,
            "url": "rtsp://127.0.0.1/played",
            "interval_s": INTERVAL_S,
            "views": [{"zones": zones, "rules": [rule]}],
        }
    )


def record_of(event: EpisodeEvent) -> AlertRecord:
    """Return what an opened episode tells."""
    boxes = tuple(one.box for one in event.boxes)
    kind = ROAD_OBJECT if event.reason == "object" else event.kind
    return AlertRecord(
        event.alert_id, kind, event.camera, event.zone, event.captured_at, event.started_at, boxes
    )


@lru_cache(maxsize=1)  # the same hour is played by day, by night and in rain, one after the other
def _moments(name: str, seed: int, seconds: float) -> tuple[SceneTruth, tuple[tuple[TruthBox, ...], ...]]:
    """Return a scene's truth (no frames kept) and its boxes at each observation."""
    scene = open_scene(name, seed, seconds, SIZE_PX)
    moments = tuple(scene.boxes(index * INTERVAL_S) for index in range(int(seconds / INTERVAL_S)))
    truth = gather(scene, [], scene=name, seed=seed, seconds=seconds, fps=1 / INTERVAL_S)
    return truth, moments


def run_scene(plan: TrafficRun) -> tuple[SceneTruth, list[AlertRecord]]:
    """Run one scene through the pipeline; return its truth (no frames kept) and the alerts."""
    truth, moments = _moments(plan.scene, plan.seed, plan.seconds)
    name = f"{plan.scene}-{plan.condition}-{plan.seed}"
    errors = ErrorModel(load_figures(plan.figures), SIZE_PX, plan.seed)
    pictures = Schematic(plan.figures, plan.seed, errors.false_places)
    detector = PlayedDetector()
    pipeline = CameraPipeline(
        camera_of(name, truth.zones, RULES[plan.scene]), {"vehicle": detector}, counted_ids(name)
    )
    start = parse_utc(FIXED_START)
    alerts: list[AlertRecord] = []
    for index, boxes in enumerate(moments):
        now_s = index * INTERVAL_S
        if errors.is_lost(now_s):
            continue
        detector.found = errors.find([box for box in boxes if box.label != "object"])
        picture = pictures.paint(boxes, now_s)
        frame = Frame(picture, start + timedelta(seconds=now_s), now_s, index)
        alerts += [
            record_of(event) for event in pipeline.process(frame) if event.phase is EpisodePhase.OPENED
        ]
    kind = counted_as(plan.scene)
    events = tuple(replace(one, kind=kind) if one.alarm else one for one in truth.events)
    return replace(truth, camera_id=name, condition=plan.condition, events=events), alerts

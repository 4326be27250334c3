"""Real clips and a real third-party detector, looped for three minutes as a camera would show them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from edge_scenes import ids

from edge.config import load_config
from edge.episode import EpisodeEvent
from edge.pipeline import CameraPipeline
from edge.replay import ReplayOptions, load_detectors, replay
from edge.shapes import iou
from models.importer import ImportOptions, import_model, parse_labels
from streams.frame import Frame
from streams.modes import FULL, KEYFRAMES, DecodeMode
from streams.sources import open_replay

CONFIG = """\
site: riverside
edge: box-1
models_dir: models
cameras:
  - id: street-1
    url: {clips}/street_parking.mp4
    views:
      - zones: [{{id: road, points: [[0.0, 0.2], [0.4, 0.1], [1.0, 0.1], [1.0, 0.9], [0.0, 0.9]]}}]
        rules:
          - {{kind: illegal_parking, zone: road, model: yolox, legal_time_s: 30}}
          - {{kind: blocked_road, zone: road, model: yolox}}
  - id: junction-1
    url: {clips}/junction.mp4
    views:
      - zones: [{{id: road, points: [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]}}]
        rules:
          - {{kind: illegal_parking, zone: road, model: yolox, stop_time_s: 8, legal_time_s: 8,
             labels: [car, truck, bus, motorcycle]}}
          - {{kind: blocked_road, zone: road, model: yolox, stop_time_s: 8, duration_s: 10}}
          - {{kind: stopped_vehicle, zone: road, model: yolox, stop_time_s: 8}}
"""
MUST = {"upper-silver", "upper-dark", "lower-yellow", "lower-silver"}
SIZE = (640, 360)


@pytest.fixture(scope="module")
def folder(shared_data: Path, shared_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    options = ImportOptions(labels=parse_labels("coco80"))
    import_model(shared_weights / "yolox_nano.onnx", "yolox", "1.0.0", options, folder / "models")
    (folder / "edge.yaml").write_text(CONFIG.format(clips=shared_data / "clips"))
    return folder


def looped(path: Path, decode: DecodeMode, interval_s: float, stop_s: float) -> Iterator[Frame]:
    """Yield a clip over and over with times that go on, as an RTSP server loops it."""
    base_s, index = 0.0, 0
    while True:
        last_s = 0.0
        for frame in open_replay(path, decode=decode, interval_s=interval_s):
            last_s = frame.monotonic_s
            if base_s + last_s >= stop_s:
                return
            captured_at = frame.captured_at + timedelta(seconds=base_s)
            yield replace(frame, captured_at=captured_at, monotonic_s=base_s + last_s, index=index)
            index += 1
        base_s += last_s + 0.5


def watch(folder: Path, camera_id: str, decode: DecodeMode, stop_s: float = 180.0) -> list[EpisodeEvent]:
    config = load_config(folder / "edge.yaml")
    camera = config.camera(camera_id)
    detectors = load_detectors(config, camera)
    pipeline = CameraPipeline(camera, detectors, ids())
    interval_s = camera.interval_s if decode is FULL else 0.0
    events = [
        event
        for frame in looped(Path(camera.url), decode, interval_s, stop_s)
        for event in pipeline.process(frame)
    ]
    for detector in detectors.values():
        detector.close()
    return [event for event in events if event.phase == "opened"]


def test_each_parked_car_is_alerted_once_over_the_loop_s_seams_and_nothing_else(
    folder: Path, shared_data: Path
) -> None:
    truth = json.loads((shared_data / "clips" / "street_parking.truth.json").read_text())["parked"]
    opened = watch(folder, "street-1", KEYFRAMES)
    names: list[str] = []
    for event in opened:
        overlaps = {
            one["id"]: iou(
                event.boxes[0].box,
                tuple(v / s for v, s in zip(one["box_px"], SIZE * 2, strict=True)),  # type: ignore[arg-type]
            )
            for one in truth
        }
        best = max(overlaps, key=lambda name: overlaps[name])
        assert overlaps[best] >= 0.4, (event.kind, event.boxes)
        names.append(best)
    assert {event.kind for event in opened} == {"illegal_parking"}
    assert set(names) >= MUST
    assert len(names) == len(set(names)), names


def test_a_crowded_junction_that_moves_gives_no_alert(folder: Path) -> None:
    assert watch(folder, "junction-1", KEYFRAMES) == []


def test_two_replays_of_a_clip_are_the_same_to_the_byte(folder: Path, shared_data: Path) -> None:
    options = ReplayOptions("street-1", shared_data / "clips" / "street_parking.mp4")
    config = load_config(folder / "edge.yaml")
    results = [replay(config, options, folder / name) for name in ("one.jsonl", "two.jsonl")]
    assert (folder / "one.jsonl").read_bytes() == (folder / "two.jsonl").read_bytes()
    assert results[0].phases == results[1].phases
    assert results[0].phases["illegal_parking", "opened"] >= 4

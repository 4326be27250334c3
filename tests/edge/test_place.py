"""Alerts of a calibrated view carry their place; the configuration says where a camera stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import hills
import numpy as np
import pytest
from edge_scenes import LABELS, SIZE, Image, SceneDetector, Thing, at, frames, ids, write_model
from ground_truth import TrueCamera, inside, place

from alerts.messages import ClockState
from edge.config import EdgeConfig, load_config
from edge.episode import EpisodeEvent, EpisodePhase, LabelledBox
from edge.mount import PoseSd
from edge.pipeline import CameraPipeline
from edge.place import foot_point, placer_of
from edge.wire import Sender, to_message
from models.detections import Detections
from towerwatch.errors import ConfigError

TOWER = (hills.LAT_DEG, hills.LON_DEG)
CONFIG = f"""\
site: riverside
edge: tower-7
models_dir: models
cameras:
  - id: ptz
    url: rtsp://127.0.0.1:9/none
    mount:
      lat_deg: {TOWER[0]}
      lon_deg: {TOWER[1]}
      height_m: 35.0
      height_sd_m: 0.3
      hfov_by_zoom: {{1: 60.0, 10: 6.5}}
    views:
      - preset: north
        pose:
          azimuth_deg: 2.0
          tilt_deg: -1.4
          hfov_deg: 20.0
          sd: {{azimuth_deg: 0.1, tilt_deg: 0.02, roll_deg: 0.05, hfov_deg: 0.06}}
        rules: [{{kind: smoke, model: vehicle}}]
      - preset: east
        pose:
          azimuth_deg: 92.0
          tilt_deg: -1.4
          zoom: 3
          sd: {{azimuth_deg: 0.1, tilt_deg: 0.02, roll_deg: 0.05, hfov_deg: 0.06}}
        rules: [{{kind: smoke, model: vehicle}}]
      - preset: south
        rules: [{{kind: smoke, model: vehicle}}]
"""
SENDER = Sender("riverside", "tower-7", "a" * 32, "b" * 32)


def load(folder: Path, text: str = CONFIG) -> EdgeConfig:
    if not (folder / "models").exists():
        write_model(folder / "models", "vehicle", LABELS)
    path = folder / "edge.yaml"
    path.write_text(text)
    return load_config(path)


def smoke_box(pixel: tuple[float, float], size_px: tuple[int, int]) -> tuple[float, float, float, float]:
    """A plume 6 px wide that stands on a pixel."""
    x, y = pixel[0] / size_px[0], pixel[1] / size_px[1]
    half = 3 / size_px[0]
    return (x - half, y - 0.1, x + half, y)


def event(box: tuple[float, float, float, float], kind: str = "smoke") -> EpisodeEvent:
    return EpisodeEvent(
        alert_id="c" * 32,
        phase=EpisodePhase.OPENED,
        phase_seq=0,
        kind=kind,
        camera="ptz",
        preset="north",
        zone=None,
        place_key="here",
        started_at=at(0),
        captured_at=at(10),
        confidence=0.6,
        boxes=(LabelledBox("smoke", 0.6, box),),
        rule="smoke/1",
    )


def test_a_message_carries_the_place_of_its_plume(tmp_path: Path) -> None:
    config = load(tmp_path)
    camera = config.cameras[0]
    placer = placer_of(camera, camera.views[0])
    assert placer is not None
    truth = place(*TOWER, 5.0, 1500.0)
    pixel = TrueCamera(*TOWER, 35.0, 2.0, -1.4, 0.0, 20.0, (1920, 1080)).sees(*truth, 0.0)
    placed = placer.placed(event(smoke_box(pixel, (1920, 1080))), (1920, 1080))
    sent = to_message(placed, SENDER, outbox_seq=1, clock=ClockState(synchronised=True))
    assert sent.position is not None
    assert inside(sent.position, *truth)  # type: ignore[arg-type]  # the same fields
    assert sent.position.bearing_deg == pytest.approx(5.0, abs=0.02)
    assert 150 < sent.position.semi_major_m < 350  # its box, 108 px high, misses the foot by 9 px


class Standing(SceneDetector):
    """Sees the same in every picture, asked about it or not."""

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        self.calls = 0
        return super().detect(images)


def test_the_pipeline_places_what_its_rules_find_and_nothing_in_a_view_without_a_pose(tmp_path: Path) -> None:
    zone = "zones: [{id: kerb, points: [[0, 0], [1, 0], [1, 1], [0, 1]]}]"
    rule = "{kind: illegal_parking, zone: kerb, stop_time_s: 5, legal_time_s: 20}"
    text = CONFIG.replace("{kind: smoke, model: vehicle}", rule).replace("rules:", f"{zone}\n        rules:")
    camera = load(tmp_path, text).cameras[0]
    truth = place(*TOWER, 357.0, 1000.0)
    x, y = TrueCamera(*TOWER, 35.0, 2.0, -1.4, 0.0, 20.0, SIZE).sees(*truth, 0.0)
    # the middle of its footprint lies 0.175 of the height above the lower edge
    standing = Thing((x - 30, y - 0.825 * 40, x + 30, y + 0.175 * 40))
    stamps = [2.0 * i for i in range(40)]
    opened = {}
    for preset in ("north", "south"):
        pipeline = CameraPipeline(camera, {"vehicle": Standing(lambda _: [standing], stamps)}, ids())
        events: list[EpisodeEvent] = []
        for frame in frames(lambda _: [standing], stamps):
            events += pipeline.process(frame, preset)
        opened[preset] = next(one for one in events if one.phase is EpisodePhase.OPENED)
    assert opened["south"].place is None
    found = opened["north"].place
    assert found is not None
    assert inside(found, *truth)
    assert found.bearing_deg == pytest.approx(357.0, abs=0.1)


def test_a_zoomed_view_takes_its_field_of_view_from_the_table(tmp_path: Path) -> None:
    camera = load(tmp_path).cameras[0]
    mount = camera.mount
    assert mount is not None
    assert [mount.hfov_deg(zoom) for zoom in (1, 10)] == pytest.approx([60.0, 6.5])
    # between 1 and 10, the focal length grows 10.17-fold: as zoom to the power of 1.007
    assert mount.hfov_deg(3) == pytest.approx(21.6, abs=0.1)


@pytest.mark.parametrize(
    ("kind", "box", "expected"),
    [
        ("smoke", (0.4, 0.2, 0.6, 0.5), (500.0, 250.0, 57.7, 15.0)),
        ("smoke", (0.4, 0.5, 0.6, 1.0), None),
        ("illegal_parking", (0.4, 0.2, 0.6, 0.6), (500.0, 265.0, 20.0, 20.0)),
        ("stopped_vehicle", (0.4, 0.9, 0.6, 0.999), None),
    ],
    ids=["smoke", "smoke from below the frame", "vehicle", "vehicle cut by the frame"],
)
def test_the_foot_of_a_box(kind: str, box: tuple[float, ...], expected: tuple[float, float] | None) -> None:
    sd = PoseSd(azimuth_deg=0.1, tilt_deg=0.02, roll_deg=0.05, hfov_deg=0.06, foot_frac=0.1)
    foot = foot_point(kind, LabelledBox("x", 0.5, box), (1000, 500), sd)  # type: ignore[arg-type]
    assert (foot and (foot.x_px, foot.y_px, *foot.sd_px)) == (expected and pytest.approx(expected, abs=0.1))


def test_an_event_without_boxes_has_no_place(tmp_path: Path) -> None:
    camera = load(tmp_path).cameras[0]
    placer = placer_of(camera, camera.views[0])
    assert placer is not None
    bare = replace(event((0.4, 0.4, 0.5, 0.5)), boxes=())
    assert placer.placed(bare, (1920, 1080)) is bare


def test_a_plume_on_a_hillside_is_placed_on_the_hill(tmp_path: Path) -> None:
    hills.write_geotiff(tmp_path / "hills.tif")
    camera = load(
        tmp_path, CONFIG.replace("height_m: 35.0", "height_m: 35.0\n      terrain: hills.tif")
    ).cameras[0]
    foot_m = float(hills.altitude_m(*TOWER))
    for distance_m in np.arange(1800.0, 2400.0, 50.0):  # the far slope of a valley: seen, and above the plain
        truth = place(*TOWER, 92.0, distance_m)
        rise_m = float(hills.altitude_m(*truth)) - foot_m
        if rise_m > 10:
            break
    lens = TrueCamera(*TOWER, foot_m + 35.0, 92.0, -1.4, 0.0, 21.6, (1920, 1080))
    pixel = lens.sees(*truth, foot_m + rise_m)
    placer = placer_of(camera, camera.views[1])
    assert placer is not None
    found = placer.placed(event(smoke_box(pixel, (1920, 1080))), (1920, 1080)).place
    assert found is not None
    assert inside(found, *truth)
    assert found.semi_major_m < 300


BROKEN = {
    "pose without mount": (
        CONFIG[CONFIG.index("    mount:") : CONFIG.index("    views:")],
        "",
        "cameras[0].views[0].pose: needs the camera's mount:",
    ),
    "neither zoom nor field": (
        "          hfov_deg: 20.0\n",
        "",
        "views[0].pose.hfov_deg: is missing; add it, or zoom",
    ),
    "both": ("hfov_deg: 20.0", "hfov_deg: 20.0\n          zoom: 2", "hfov_deg: stands beside zoom; keep one"),
    "zoom beyond the table": ("zoom: 3", "zoom: 30", "zoom: lies outside the mount's hfov_by_zoom (1 to 10)"),
    "zoom without a table": (
        "      hfov_by_zoom: {1: 60.0, 10: 6.5}\n",
        "",
        "views[1].pose.zoom: needs hfov_by_zoom: in the camera's mount",
    ),
    "one zoom": ("10: 6.5", "1.0: 6.5", "hfov_by_zoom"),
    "wider when zoomed": ("10: 6.5", "10: 61", "a higher zoom must have a narrower field of view"),
    "no uncertainty": (
        "          sd: {azimuth_deg: 0.1, tilt_deg: 0.02, roll_deg: 0.05, hfov_deg: 0.06}\n",
        "",
        "views[0].pose.sd: is missing; add it",
    ),
    "azimuth of 360": ("azimuth_deg: 2.0", "azimuth_deg: 360", "azimuth_deg: should be less than 360"),
    "no such terrain": ("height_m: 35.0", "height_m: 35.0\n      terrain: no.tif", "terrain: no file"),
    "terrain that is none": (
        "height_m: 35.0",
        "height_m: 35.0\n      terrain: edge.yaml",
        "cannot be read as a terrain grid",
    ),
    "six coefficients": (
        "height_m: 35.0",
        "height_m: 35.0\n      distortion: [0, 0, 0, 0, 0, 0]",
        "mount.distortion",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_wrong_mount_or_pose_is_one_line_with_its_key(name: str, tmp_path: Path) -> None:
    old, new, says = BROKEN[name]
    text = CONFIG.replace(old, new, 1)
    assert text != CONFIG
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, text)
    lines = str(raised.value).splitlines()
    assert len(lines) == (2 if name == "pose without mount" else 1), lines
    assert says in lines[0]
    assert lines[0].startswith(f"{tmp_path / 'edge.yaml'}:")

"""The density benchmark: its streams, its cameras, its peers, and the ratios that it stands for."""

from __future__ import annotations

import sys
from pathlib import Path

import av
import pytest
from media import make_video

from benchmarks.density import floor_of, peers_of, summary_of
from benchmarks.density_box import INTERVAL_S, BoxFigures, cameras_of
from benchmarks.density_plots import plot_boxes
from benchmarks.density_streams import PHASES, lengthened
from edge.config import CameraConfig
from streams.simulator import TruthZone


def keys_at(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [float(one.pts * one.time_base) for one in container.demux(stream) if one.is_keyframe]


def test_a_loop_becomes_as_long_as_a_run_with_key_frames_at_instants_of_its_own(tmp_path: Path) -> None:
    loop = tmp_path / "loop.nut"
    make_video(loop, seconds=4.0, gop=50, size=(64, 48))
    first = keys_at(lengthened(loop, 12.0, 0, tmp_path / "0.nut"))
    second = keys_at(lengthened(loop, 12.0, 2, tmp_path / "2.nut"))
    assert first[:6] == pytest.approx([2.0 * index for index in range(6)], abs=0.01)
    assert second[1:4] == pytest.approx([2.0 - 2 * 2.0 / PHASES, 3.2, 5.2], abs=0.01)
    assert floor_of([tmp_path / "0.nut"] * 3, 12.0) > 0


def test_cameras_take_the_streams_in_turn_and_hold_all_rules(tmp_path: Path) -> None:
    zone = TruthZone("z", "road", ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9)))
    files = {name: [tmp_path / f"{name}-{phase}.nut" for phase in range(2)] for name in ("quiet", "traffic")}
    for own in files.values():
        for path in own:
            path.touch()
    cameras = [CameraConfig.model_validate(one) for one in cameras_of(files, dict.fromkeys(files, zone), 6)]
    assert [Path(one.url).stem for one in cameras] == [
        "quiet-0", "traffic-0", "quiet-1", "traffic-1", "quiet-0", "traffic-0",
    ]  # fmt: skip
    assert {len(one.views[0].rules) for one in cameras} == {3}
    assert {one.interval_s for one in cameras} == {INTERVAL_S}


def test_a_peer_that_is_not_there_is_said_to_be_absent(tmp_path: Path) -> None:
    (row,) = peers_of(tmp_path / "clip.mkv", sys.executable, {"supervision": 1.0})
    assert "supervision" in row["absent"]
    (row,) = peers_of(tmp_path / "clip.mkv", str(tmp_path / "python"), {"ultralytics": 1.0})
    assert row["absent"].startswith("does not run")


def test_ratios_say_how_many_times_less_ours_costs(tmp_path: Path) -> None:
    figures = BoxFigures(4, 10.0, 0.8, 400.0, 3, (1.0, 1.1), 0.98, 10, 30, 1.0, 0)
    assert figures.cpu_s_per_camera_s == pytest.approx(0.02)
    assert figures.gap_p95_intervals == 1.1
    row = {"cameras": 4, "cpu_s_per_camera_s": 0.02, "gap_p95_intervals": 1.1, "looked_frac": 1.0}
    row["rss_mib_per_camera"] = 100.0
    boxes = [
        {**row, "streams": "mixed", "ratio_to_floor": 2.0, "cores_used": 0.1},
        {**row, "streams": "quiet", "ratio_to_floor": 1.3, "cores_used": 0.1},
    ]
    peers = [{"peer": "script", "cpu_s_per_camera_s": 0.2}, {"peer": "ultralytics", "absent": "no"}]
    summary = summary_of(boxes, peers)
    assert summary["ratio_to_script"] == pytest.approx(10)
    assert summary["ratio_to_ultralytics"] is None
    assert (summary["ratio_to_floor"], summary["quiet_ratio_to_floor"]) == (2.0, 1.3)
    plots = plot_boxes(boxes, {"quiet": 0.01}, 2, tmp_path / "density.json")
    assert [path.read_bytes()[:4] for path in plots] == [b"\x89PNG"] * 2

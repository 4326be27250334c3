"""The density benchmark: its streams, its cameras, its peers, and the ratios that it stands for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import av
import pytest
from media import make_video

from benchmarks.density import Run, Streams, box_row, peers_of, runs_of, summary_of
from benchmarks.density_asked import asked_of_box, asked_of_peers
from benchmarks.density_box import INTERVAL_S, BoxFigures, cameras_of
from benchmarks.density_floor import alone, paced
from benchmarks.density_plots import plot_boxes
from benchmarks.density_rtsp import served
from benchmarks.density_streams import DENSE, PHASES, USUAL, lengthened
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
    assert alone([tmp_path / "0.nut"] * 3, 12.0) > 0


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


FLOORS = {"floor_alone": 0.008, "floor_paced": 0.01}


def figures(**changes: Any) -> BoxFigures:
    """Return a run of 60 cameras over a quarter of an hour in which all is as asked."""
    parts: dict[str, Any] = {
        "cameras": 60, "seconds": 900.0, "cpu_s": 864.0, "rss_warm_mib": 2000.0, "rss_mib": 2010.0,
        "processes": 4, "gaps": (1.0, 1.1), "mean_gaps": (1.0, 1.0, 1.01), "looked_frac": 0.99, "looks": 10,
        "spared": 30, "stretch": 1.0, "restarts": 0,
    }  # fmt: skip
    return BoxFigures(**parts | changes)


def row_of(vehicles: int = DENSE, **changes: Any) -> dict[str, Any]:
    return box_row(Run(vehicles, 60), [{}] * 60, figures(**changes), FLOORS)


def test_ratios_say_how_many_times_less_ours_costs(tmp_path: Path) -> None:
    assert figures().cpu_s_per_camera_s == pytest.approx(0.016)
    assert figures().gap_p95_intervals == 1.1
    boxes = [row_of(), row_of(USUAL, cpu_s=756.0), row_of(0, cpu_s=540.0)]
    peers = [{"peer": "script", "cpu_s_per_camera_s": 0.16}, {"peer": "ultralytics", "absent": "no"}]
    summary = summary_of(boxes, peers)
    assert summary["ratio_to_script"] == pytest.approx(10)
    assert summary["ratio_to_ultralytics"] is None
    assert [summary[f"{kind}ratio_to_floor"] for kind in ("", "usual_", "quiet_")] == pytest.approx(
        [2.0, 1.75, 1.25]
    )
    assert summary["ratio_to_floor_paced"] == pytest.approx(1.6)
    plots = plot_boxes(boxes, {"quiet": 0.01}, 2, tmp_path / "density.json")
    assert [path.read_bytes()[:4] for path in plots] == [b"\x89PNG"] * 2
    assert all(one["ok"] for one in asked_of_peers(summary))


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, []),
        ({"restarts": 1}, ["worker restarts"]),
        ({"rss_mib": 2100.0}, ["memory grown since warm-up, share"]),
        ({"seconds": 90.0, "cpu_s": 86.4, "rss_mib": 2100.0}, []),  # too short to say
        ({"gaps": (1.0, 1.3)}, ["gap p95, intervals"]),
        ({"gaps": (), "mean_gaps": (), "looked_frac": 0.0}, ["gap p95, intervals"]),  # health said nothing
        ({"cpu_s": 1000.0}, ["times the floor", "CPU s a camera-second at a floor of 0.015"]),
        ({"cpu_s": 1000.0, "looked_frac": 0.7}, []),  # of fewer looks
        ({"mean_gaps": (1.5, 1.5, 1.6), "gaps": (2.0,), "stretch": 1.45}, []),
        (
            {"mean_gaps": (1.5, 1.5, 2.1), "stretch": 1.0},
            ["slowest camera over the median", "stretch said in health over the one seen"],
        ),
    ],
)
def test_each_figure_that_is_asked_is_judged_where_the_run_can_show_it(
    changes: dict[str, Any], missed: list[str]
) -> None:
    asked = asked_of_box(row_of(**changes))
    assert [one["what"] for one in asked if not one["ok"]] == missed


def test_one_run_can_be_had_alone_and_traffic_is_the_nearest_there_is() -> None:
    assert runs_of([DENSE, USUAL], 60, None, quick=False) == [
        Run(DENSE, 15), Run(DENSE, 30), Run(DENSE, 60), Run(USUAL, 60), Run(0, 60),
    ]  # fmt: skip
    assert runs_of([10], 60, Streams.MIXED, quick=False) == [Run(USUAL, 60)]
    assert runs_of([DENSE], 4, Streams.QUIET, quick=False) == [Run(0, 4)]
    assert runs_of([DENSE], 4, None, quick=True) == [Run(DENSE, 4), Run(0, 4)]


def test_the_floor_is_taken_of_streams_at_their_own_pace_in_processes_of_their_own(tmp_path: Path) -> None:
    loop = tmp_path / "loop.nut"
    make_video(loop, seconds=6.0, gop=5, size=(320, 240))
    assert 0 < paced([loop] * 3, 2, 1.0, warm_s=0.1) < 1.0


def test_streams_are_served_by_rtsp_as_they_lie_in_the_folder(tmp_path: Path) -> None:
    make_video(tmp_path / "loop.nut", seconds=2.0, gop=10, size=(64, 48))
    with served(tmp_path) as server:
        with av.open(server.address(tmp_path / "loop.nut"), options={"rtsp_transport": "tcp"}) as container:
            packet = next(container.demux(container.streams.video[0]))
        assert packet.size
        assert server.cpu_s() > 0

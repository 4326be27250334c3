"""What the comparison with truth counts: detected, missed, false, repeated, late, and how sure it is."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from edge_kit import T0
from typer.testing import CliRunner

from alerts.messages import AlertMessage, ClockState, Kind, NamedBox, Phase, encode
from edge.cli import app
from edge.score import AlertRecord, ScoreTerms, Verdict, distance_m, judge, judge_all
from edge.score_files import read_alerts, read_truths
from edge.score_rows import bootstrap, rate_of, rows_of, share_of
from streams.simulator.truth import SceneTruth, TruthCamera, TruthEvent, write_truth
from towerwatch.errors import ConfigError
from towerwatch.timebase import iso_z

HERE, THERE = (0.1, 0.5, 0.3, 0.7), (0.6, 0.5, 0.8, 0.7)
TERMS = ScoreTerms(legal_s=100.0)


def event(kind: str = "illegal_parking", started_s: float = 100.0, **more: object) -> TruthEvent:
    values = {"alarm": True, "ended_s": None, "zone": "kerb", "box": HERE, "ground_m": (0.0, 0.0)}
    return TruthEvent(kind=kind, started_s=started_s, **(values | more))  # type: ignore[arg-type]


def scene(*events: TruthEvent, **more: object) -> SceneTruth:
    made = SceneTruth(
        "street", 0, 1.0, (640, 360), 1000.0, TruthCamera(10, 0, 20, 0, 60), (), events, (), "cam-1"
    )
    return replace(made, start_at=iso_z(T0), **more)  # type: ignore[arg-type]


def alert(opened_s: float, started_s: float, number: int = 1, **more: object) -> AlertRecord:
    made = AlertRecord(
        f"{number:032x}",
        "illegal_parking",
        "cam-1",
        "kerb",
        T0 + timedelta(seconds=opened_s),
        T0 + timedelta(seconds=started_s),
        (HERE,),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def test_an_alert_of_the_right_place_and_time_is_true_and_timed_from_the_end_of_the_legal_time() -> None:
    judged = judge(scene(event()), [alert(206, 103)], TERMS)
    (one,) = judged.events
    assert (one.delay_s, one.start_error_s) == (6.0, 3.0)
    assert [item.verdict for item in judged.alerts] == [Verdict.TRUE]


@pytest.mark.parametrize(
    ("opened", "cause"),
    [
        pytest.param(alert(206, 103, boxes=(THERE,)), "nothing", id="elsewhere"),
        pytest.param(alert(206, 103, zone="bay"), "nothing", id="another zone"),
        pytest.param(alert(206, 103, kind="smoke"), "illegal_parking", id="another kind"),
        pytest.param(alert(206, 10), "nothing", id="a start long before"),
        pytest.param(alert(90, 80), "nothing", id="before the event"),
    ],
)
def test_an_alert_that_does_not_fit_is_false_and_the_event_is_missed(opened: AlertRecord, cause: str) -> None:
    judged = judge(scene(event()), [opened], TERMS)
    assert [one.alert for one in judged.events] == [None]
    assert [(one.verdict, one.cause) for one in judged.alerts] == [(Verdict.FALSE, cause)]


def test_a_second_alert_of_the_same_event_is_repeated_and_counts_as_false() -> None:
    judged = judge(scene(event()), [alert(206, 103), alert(400, 250, 2)], TERMS)
    (row,) = rows_of(judged)
    assert (row.detected, row.false_alerts, row.repeated_alerts) == (1, 1, 1)
    assert row.false_share is not None
    assert row.false_share.value == 0.5
    assert row.f1 == pytest.approx(2 / 3)


def test_the_next_car_at_the_same_spot_takes_its_own_alert() -> None:
    events = (event(ended_s=300.0), event(started_s=310.0))
    judged = judge(scene(*events), [alert(415, 312, 2), alert(205, 101)], TERMS)
    assert [one.start_error_s for one in judged.events] == [1.0, 2.0]


def test_a_lawful_stop_must_stay_silent_and_is_named_as_the_cause() -> None:
    stop = event("lawful_stop", alarm=False, ended_s=180.0)
    judged = judge(scene(stop), [alert(210, 100)], TERMS)
    assert judged.events == ()
    assert judged.alerts[0].cause == "lawful_stop"


def test_a_stay_within_the_legal_time_is_no_event_and_one_at_the_end_is_not_judged() -> None:
    late = event(started_s=860.0)
    judged = judge(scene(event(ended_s=190.0), late), [alert(965, 860)], TERMS)
    assert judged.events == ()
    assert [one.verdict for one in judged.alerts] == [Verdict.NOT_JUDGED]


def test_a_road_is_timed_from_the_start_and_needs_no_box() -> None:
    judged = judge(
        scene(event("blocked_road", zone="road")),
        [alert(230, 110, kind="blocked_road", zone="road", boxes=(THERE,))],
        TERMS,
    )
    assert [(one.delay_s, one.start_error_s) for one in judged.events] == [(130.0, 10.0)]


@pytest.mark.parametrize(
    ("started_s", "ended_s", "asked"),
    [(500.0, 619.0, 0), (500.0, 621.0, 1), (821.0, None, 0), (819.0, None, 1)],
)
def test_a_block_that_nobody_could_tell_in_time_is_not_judged(
    started_s: float, ended_s: float | None, asked: int
) -> None:
    block = event("blocked_road", started_s, ended_s=ended_s, zone="road")
    told = alert(started_s + 110, started_s, kind="blocked_road", zone="road")
    judged = judge(scene(block), [told], TERMS)
    assert len(judged.events) == asked
    assert judged.alerts[0].verdict is (Verdict.TRUE if asked else Verdict.NOT_JUDGED)


def test_position_error_is_a_distance_on_the_ground() -> None:
    smoke = event("smoke", lat_lon_deg=(32.7, 112.08))
    seen = alert(160, 130, kind="smoke", lat_lon_deg=(32.7009, 112.08))
    (one,) = judge(scene(smoke), [seen]).events
    assert one.position_error_m == pytest.approx(100.1, abs=0.2)
    assert distance_m((0.0, 0.0), (0.0, 1.0)) == pytest.approx(111_195, abs=1)


def test_figures_come_by_condition_and_cameras_are_kept_apart() -> None:
    day = scene(event(), condition="day")
    night = scene(event(), condition="night", camera_id="cam-2")
    judged = judge_all([day, night], [alert(206, 103), alert(220, 100, 2, camera="cam-3")], TERMS)
    rows = {row.condition: row for row in rows_of(judged)}
    assert set(rows) == {"all", "day", "night"}
    assert (rows["all"].events, rows["day"].detected, rows["night"].detected) == (2, 1, 0)
    assert rows["night"].camera_days == pytest.approx(1000 / 86_400)


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (95, 100, 0.8882, 0.9785), (10, 10, 0.7225, 1.0)],
)
def test_wilson_s_interval(part: int, whole: int, low: float, high: float) -> None:
    estimate = share_of(part, whole)
    assert estimate is not None
    assert estimate.low == pytest.approx(low, abs=1e-3)
    assert estimate.high == pytest.approx(high, abs=1e-3)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0.0, 3.69), (1, 0.03, 5.57), (10, 4.80, 18.39), (100, 81.4, 121.6)]
)
def test_the_interval_of_a_count_is_the_poisson_one(count: int, low: float, high: float) -> None:
    estimate = rate_of(count, 1.0)
    assert estimate is not None
    assert estimate.low == pytest.approx(low, abs=0.1)
    assert estimate.high == pytest.approx(high, rel=0.01)


def test_nothing_gives_no_figure() -> None:
    assert share_of(0, 0) is None
    assert rate_of(3, 0.0) is None
    assert bootstrap([], lambda samples: samples.mean(axis=-1)) is None


def message(alert_id: str, phase: Phase, phase_seq: int, at_s: float) -> AlertMessage:
    x1, y1, x2, y2 = HERE
    return AlertMessage(
        alert_id=alert_id,
        phase=phase,
        phase_seq=phase_seq,
        outbox_id="0" * 32,
        outbox_seq=phase_seq + 1,
        boot_id="0" * 32,
        site="riverside",
        edge="box-1",
        kind=Kind.ILLEGAL_PARKING,
        camera="cam-1",
        zone="kerb",
        place_key="kerb/1",
        started_at=T0 + timedelta(seconds=102),
        captured_at=T0 + timedelta(seconds=at_s),
        ended_at=T0 + timedelta(seconds=at_s) if phase is Phase.CLOSED else None,
        clock=ClockState(synchronised=True),
        confidence=0.8,
        boxes=(NamedBox(label="car", confidence=0.8, x1=x1, y1=y1, x2=x2, y2=y2),),
        rule="illegal_parking/1",
    )


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, Path]:
    truth, alerts = tmp_path / "street.truth.json", tmp_path / "alerts.jsonl"
    write_truth(scene(event()), truth)
    told = [message("a" * 32, Phase.OPENED, 0, 204.0), message("a" * 32, Phase.CLOSED, 1, 500.0)]
    alerts.write_bytes(b"\n".join(map(encode, told)) + b"\n")
    return truth, alerts


def test_the_command_prints_and_writes_the_figures(written: tuple[Path, Path], tmp_path: Path) -> None:
    truth, alerts = written
    out = tmp_path / "score" / "figures.json"
    command = [
        "score",
        "--truth",
        str(truth),
        "--alerts",
        str(alerts),
        "--legal-s",
        "100",
        "--json",
        str(out),
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    (row,) = json.loads(out.read_text())["rows"]
    assert (row["kind"], row["events"], row["detected_frac"], row["false_alerts"]) == (
        "illegal_parking", 1, 1.0, 0,
    )  # fmt: skip
    assert row["delay_s_mean"] == 4.0
    assert row["start_rmse_s"] == 2.0
    low, high = row["detected_frac_95"]
    assert 0 < low < high <= 1
    assert row["false_alerts_per_camera_day_95"][1] > 0
    assert not math.isnan(row["camera_days"])


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        pytest.param("alerts.jsonl", '{"x": 1}', "alerts.jsonl:1: is no alert message", id="no alert"),
        pytest.param("street.truth.json", "{", "is no truth file", id="no truth"),
        pytest.param("street.truth.json", '{"schema_version": 2}', "schema_version 2", id="newer"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    written: tuple[Path, Path], name: str, text: str, says: str
) -> None:
    truth, alerts = written
    truth.with_name(name).write_text(text)
    result = CliRunner().invoke(app, ["score", "--truth", str(truth), "--alerts", str(alerts)])
    assert isinstance(result.exception, ConfigError)
    assert says in str(result.exception)
    assert "\n" not in str(result.exception)


def test_of_several_scenes_each_names_its_camera(written: tuple[Path, Path]) -> None:
    truth, _ = written
    write_truth(scene(event(), camera_id=""), truth.with_name("b.truth.json"))
    with pytest.raises(ConfigError, match=r"b\.truth\.json: camera_id: is missing"):
        read_truths(truth.parent)


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--alerts .*none\.jsonl: cannot be read"):
        read_alerts(tmp_path / "none.jsonl")
    with pytest.raises(ConfigError, match=r"--truth .*: holds no"):
        read_truths(tmp_path)


def test_a_recorded_fire_is_scored_from_its_ignition(tmp_path: Path) -> None:
    first = int(T0.timestamp())
    for offset_s in range(-120, 361, 60):
        (tmp_path / f"{first + 120 + offset_s}_{offset_s:+06d}.jpg").touch()
    alerts = [alert(opened_s, opened_s, opened_s, kind="smoke", zone=None) for opened_s in (60, 210, 300)]
    judged = judge_all(read_truths(tmp_path), alerts, TERMS)
    assert [one.delay_s for one in judged.events] == [90.0]
    assert [one.verdict for one in judged.alerts] == [Verdict.FALSE, Verdict.TRUE, Verdict.REPEATED]
    (tmp_path / f"{first + 400}_+00290.jpg").touch()
    with pytest.raises(ConfigError, match=r"_\+00290\.jpg: ignition -10 s from what"):
        read_truths(tmp_path)


def test_the_start_that_replay_was_given_moves_the_truth(written: tuple[Path, Path]) -> None:
    truth, alerts = written
    shifted = read_truths(truth, T0 + timedelta(hours=1))
    assert judge_all(shifted, read_alerts(alerts), TERMS).events[0].alert is None

"""Health says what was covered and what was not, within the contract's size."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from edge_kit import T0

from alerts.messages import (
    MAX_MESSAGE_BYTES,
    BlindReason,
    ClockState,
    Freshness,
    OutboxHealth,
    encode,
)
from edge.clock import STA_NANO, STA_UNSYNC, TIME_ERROR, clock_state, interpret
from edge.health import BoxFacts, CameraTally, health_messages, percentile, stretched
from edge.records import CameraReport

FRESH = (Freshness.FRESH, None, "")


def report(
    at_s: float, *, trouble: BlindReason | None = None, analysed: int = 1, lag_ms: float = 20.0
) -> CameraReport:
    return CameraReport(
        "cam-1", at_s, trouble, last_captured_at=T0, analysed=analysed, dropped=1, lag_ms=(lag_ms,) * analysed
    )


@pytest.mark.parametrize(
    ("reports", "covered_s", "analysed"),
    [
        ([report(s) for s in range(0, 31, 2)], 30, 16),
        ([report(0), report(2), report(12), report(14)], 4, 4),
        (
            [report(0), report(2), report(3, trouble=BlindReason.BLACK, analysed=0), report(4), report(6)],
            4,
            4,
        ),
        ([report(s, trouble=BlindReason.UNREACHABLE, analysed=0) for s in range(30)], 0, 0),
        ([report(0), report(1, analysed=0), report(2)], 2, 2),
        ([], 0, 0),
    ],
    ids=["all the time", "a gap", "black in between", "never", "quiet report in between", "no report"],
)
def test_only_time_between_good_analyses_is_covered(
    reports: list[CameraReport], covered_s: float, analysed: int
) -> None:
    tally = CameraTally("cam-1", interval_s=2.0)
    for one in reports:
        tally.add(one)
    health = tally.close(FRESH, 30.0)
    assert (health.covered_s, health.analysed, health.dropped) == (covered_s, analysed, len(reports))
    again = tally.close(FRESH, 30.0)
    assert (again.gap_p95_s, again.looks, again.spared) == (None, 0, 0)
    assert (again.covered_s, again.analysed, again.dropped, again.lag_p95_ms) == (0, 0, 0, None)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], None), ([5.0], 5.0), ([float(n) for n in range(1, 101)], 95.0), ([1.0, 9.0], 9.0)],
    ids=["none", "one", "hundred", "two"],
)
def test_percentile(values: list[float], expected: float | None) -> None:
    assert percentile(values, 0.95) == expected


@pytest.mark.parametrize(("cameras", "alerts"), [(0, 0), (1, 1), (16, 100), (64, 0), (3, 1000), (200, 700)])
def test_health_of_a_big_box_is_split_and_loses_nothing(cameras: int, alerts: int) -> None:
    facts = BoxFacts(
        boot_id="0" * 32,
        at=T0,
        period_s=30.0,
        clock=ClockState(synchronised=True, offset_ms=-123.456),
        outbox=OutboxHealth(
            outbox_id="1" * 32, depth=10**6, bytes=10**9, oldest_at=T0, first_seq=1, last_seq=10**9
        ),
        disk_free_bytes=10**12,
        workers_restarted=1000,
        version="0.1.0",
        config_sha256="2" * 64,
    )
    states = []
    for n in range(cameras):
        tally = CameraTally(f"{'c' * 55}-{n:06}", interval_s=2.0, analysed=10**6, lags_ms=[12345.678])
        tally.last_captured_at = T0
        states.append(tally.close((Freshness.BLIND, BlindReason.UNREACHABLE, "\n相机无法连接" * 40), 30.0))
    ids = [uuid.uuid4().hex for _ in range(alerts)]
    messages = health_messages(facts, states, ids)
    assert [one.part for one in messages] == list(range(len(messages)))
    assert {one.parts for one in messages} == {len(messages)}
    assert [camera.camera for one in messages for camera in one.cameras] == [state.camera for state in states]
    assert [alert for one in messages for alert in one.open_alerts] == ids
    assert max(len(encode(one)) for one in messages) <= MAX_MESSAGE_BYTES


@pytest.mark.parametrize(
    ("verdict", "status", "offset", "expected"),
    [
        (-1, 0, 0, ClockState(synchronised=False)),
        (TIME_ERROR, 0, 0, ClockState(synchronised=False)),
        (0, STA_UNSYNC, 5000, ClockState(synchronised=False)),
        (0, 0, 1500, ClockState(synchronised=True, offset_ms=1.5)),
        (0, STA_NANO, -2_500_000, ClockState(synchronised=True, offset_ms=-2.5)),
    ],
    ids=["not allowed", "error", "undisciplined", "microseconds", "nanoseconds"],
)
def test_what_the_kernel_says_of_its_clock(
    verdict: int, status: int, offset: int, expected: ClockState
) -> None:
    assert interpret(verdict, status, offset) == expected


def test_this_machines_clock_can_be_asked() -> None:
    assert isinstance(clock_state().synchronised, bool)


def test_a_stretched_interval_and_what_the_gate_spared_are_said() -> None:
    slow, good = CameraTally("slow", interval_s=2.0), CameraTally("good", interval_s=2.0)
    for step in range(10):
        slow.add(replace(report(3.0 * step), looks=1))
        good.add(replace(report(2.1 * step), spared=1))
    said = [slow.close(FRESH, 30.0), good.close(FRESH, 30.0)]
    assert [(one.gap_p95_s, one.looks, one.spared) for one in said] == [
        (pytest.approx(3.0), 10, 0),
        (pytest.approx(2.1), 0, 10),
    ]
    assert stretched(said) == ["slow"]
    assert (slow.ratio, good.ratio) == (pytest.approx(1.5), pytest.approx(1.05))


def test_a_stream_of_seldom_key_frames_is_no_overload() -> None:
    tally = CameraTally("cam-1", interval_s=2.0)
    for step in range(5):
        tally.add(replace(report(4.0 * step), spacing_s=4.0))
    tally.close(FRESH, 30.0)
    assert tally.ratio == pytest.approx(1.0)


def test_what_works_worse_than_it_should_is_said_of_a_camera_that_sees() -> None:
    tally = CameraTally("cam-1", interval_s=2.0)
    tally.add(replace(report(0), note="ONVIF: no answer; the view is told without it"))
    assert tally.close(FRESH, 30.0).detail == "ONVIF: no answer; the view is told without it"
    assert tally.close((Freshness.BLIND, BlindReason.BLACK, "dark"), 30.0).detail == "dark"
    tally.add(report(2))
    assert tally.close(FRESH, 30.0).detail == ""


def test_night_is_a_state_of_its_own_and_not_covered() -> None:
    tally = CameraTally("cam-1", interval_s=2.0)
    for second in (0, 2, 4):
        tally.add(report(second))
    for second in (6, 8):
        tally.add(replace(report(second), night=BlindReason.DARK, note="smoke is not watched for"))
    health = tally.close(FRESH, 30.0)
    assert (health.state, health.reason) == (Freshness.NIGHT, BlindReason.DARK)
    assert (health.detail, health.covered_s, health.analysed) == ("smoke is not watched for", 4, 5)
    blind = tally.close((Freshness.BLIND, BlindReason.FROZEN, ""), 30.0)
    assert (blind.state, blind.reason) == (Freshness.BLIND, BlindReason.FROZEN)
    tally.add(report(10))
    assert tally.close(FRESH, 30.0).state is Freshness.FRESH

"""A camera that sees nothing becomes an alert, and stops being one when it sees again."""

from __future__ import annotations

import json
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from edge_kit import T0, at
from hypothesis import given
from hypothesis import strategies as st

from alerts.messages import BlindReason, ClockState, Freshness
from edge.blind import BlindTerms, BlindWatch
from edge.episode import EpisodeEvent, EpisodePhase
from edge.sight import judge_picture
from edge.wire import Sender, to_message
from streams.frame import reduce_luma

TERMS = BlindTerms(open_after_s=30, close_after_s=10, stale_after_s=30)
DEAD, SEES, SILENT = "dead", "sees", "silent"


def play(
    watch: BlindWatch, steps: Sequence[tuple[int, str]], start: int = 0
) -> list[tuple[int, str, str | None]]:
    """Feed (until second, what the worker says each second); return (second, phase, reason)."""
    out = []
    second = start
    for until, says in steps:
        while second < until:
            if says == SEES:
                watch.saw(second)
            elif says != SILENT:
                watch.in_trouble(BlindReason(says) if says != DEAD else BlindReason.UNREACHABLE, says, second)
            out += [(second, one.phase.value, one.reason) for one in watch.step(second, at(second))]
            second += 1
    return out


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(100, SEES)], []),
        ([(10, SEES), (100, DEAD)], [(40, "opened", "unreachable")]),
        (
            [(10, SEES), (60, DEAD), (100, SEES)],
            [(40, "opened", "unreachable"), (70, "closed", "unreachable")],
        ),
        ([(10, SEES), (30, DEAD), (100, SEES)], []),
        (
            [(10, SEES), (50, "refused"), (90, "frozen")],
            [(40, "opened", "refused"), (50, "updated", "frozen")],
        ),
        ([(10, SEES), (60, SILENT)], [(40, "opened", "stale")]),
        ([(60, SILENT)], [(31, "opened", "stale")]),
        (
            [(40, DEAD), (45, SEES), (50, DEAD), (55, SEES), (60, DEAD), (75, SEES)],
            [(30, "opened", "unreachable"), (70, "closed", "unreachable")],
        ),
    ],
    ids=[
        "sees",
        "dies",
        "dies and recovers",
        "short trouble",
        "another reason",
        "worker says nothing",
        "never a picture",
        "flaps",
    ],
)
def test_blindness_over_time(
    steps: list[tuple[int, str]], expected: list[tuple[int, str, str | None]]
) -> None:
    assert play(BlindWatch("cam-1", TERMS), steps) == expected


def test_it_begins_when_sight_was_lost_and_ends_as_a_valid_message() -> None:
    watch = BlindWatch("cam-1", TERMS)
    events: list[EpisodeEvent] = []
    for second in range(80):
        if second < 10 or second > 50:
            watch.saw(second)
        else:
            watch.in_trouble(BlindReason.BLACK, "even", second)
        events += watch.step(second, at(second))
    opened, closed = events
    assert (opened.started_at, closed.started_at, closed.ended_at) == (at(10), at(10), at(61))
    assert closed.measures == {"blind_s": 51.0}
    sender = Sender("riverside", "box-1", "0" * 32, "1" * 32)
    for seq, event in enumerate(events, 1):
        message = to_message(event, sender, outbox_seq=seq, clock=ClockState(synchronised=True))
        assert message.kind.value == "camera_blind"


def test_a_restart_continues_the_episode() -> None:
    watch = BlindWatch("cam-1", TERMS)
    play(watch, [(10, SEES), (50, DEAD)])
    again = BlindWatch("cam-1", TERMS)
    again.load(json.loads(json.dumps(watch.dump())))
    assert play(again, [(60, DEAD), (80, SEES)], start=50) == [(70, "closed", "unreachable")]
    assert again.dump() is None
    again.load(None)
    assert again.alert_id is None


def test_health_says_how_fresh_a_camera_is() -> None:
    watch = BlindWatch("cam-1", TERMS)
    assert watch.freshness(0, 2.0) == (Freshness.STARTING, None, "")
    watch.saw(0)
    assert watch.freshness(5, 2.0) == (Freshness.FRESH, None, "")
    assert watch.freshness(9, 2.0)[:2] == (Freshness.STALE, BlindReason.STALE)
    watch.in_trouble(BlindReason.REFUSED, "401", 10)
    assert watch.freshness(10, 2.0) == (Freshness.STALE, BlindReason.REFUSED, "401")
    watch.step(40, at(40))
    assert watch.freshness(41, 2.0) == (Freshness.BLIND, BlindReason.REFUSED, "401")


@given(st.lists(st.sampled_from([SEES, DEAD, SILENT, "black", "frozen"]), max_size=200))
def test_phases_are_always_in_order(says: list[str]) -> None:
    watch = BlindWatch("cam-1", BlindTerms(open_after_s=3, close_after_s=2, stale_after_s=4))
    expected_seq: int | None = None
    for second, word in enumerate(says):
        if word == SEES:
            watch.saw(second)
        elif word != SILENT:
            watch.in_trouble(BlindReason.BLACK if word == "black" else BlindReason.FROZEN, word, second)
        for event in watch.step(second, at(second)):
            if event.phase is EpisodePhase.OPENED:
                assert expected_seq is None
                expected_seq = 0
            assert event.phase_seq == expected_seq
            assert T0 <= event.started_at <= event.captured_at or event.started_at <= event.captured_at
            assert expected_seq is not None
            expected_seq = None if event.phase is EpisodePhase.CLOSED else expected_seq + 1


def street(rng: np.random.Generator) -> np.ndarray:
    blocks = rng.integers(40, 220, (27, 48, 3), np.uint8).repeat(40, 0).repeat(40, 1)
    return np.clip(blocks.astype(np.int16) + rng.integers(-4, 5, blocks.shape), 0, 255).astype(np.uint8)


def blurred(picture: np.ndarray, sigma_px: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma_px))


def with_stamp(picture: np.ndarray) -> np.ndarray:
    out = picture.copy()
    out[20:60, 20:500:40] = 255
    return out


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (street, None),
        (lambda rng: (street(rng) * 0.08).astype(np.uint8), None),
        (lambda _rng: np.full((1080, 1920, 3), 0, np.uint8), BlindReason.BLACK),
        (lambda _rng: np.full((1080, 1920, 3), 128, np.uint8), BlindReason.BLACK),
        (lambda rng: rng.integers(14, 19, (1080, 1920, 3)).astype(np.uint8), BlindReason.BLACK),
        (lambda rng: blurred(street(rng), 60), BlindReason.BLURRED),
        (lambda rng: with_stamp(blurred(street(rng), 60)), BlindReason.BLURRED),
        (lambda _rng: with_stamp(np.zeros((1080, 1920, 3), np.uint8)), BlindReason.BLURRED),
        (lambda rng: street(rng)[:90, :160], None),
        (lambda _rng: np.full((1, 1, 3), 9, np.uint8), BlindReason.BLACK),
    ],
    ids=[
        "street",
        "the same at night",
        "black",
        "grey",
        "lens cap with noise",
        "blurred",
        "blurred behind a time stamp",
        "black behind a time stamp",
        "small picture",
        "one pixel",
    ],
)
def test_what_shows_nothing_is_told_from_night(make: object, reason: BlindReason | None) -> None:
    found, detail = judge_picture(reduce_luma(make(np.random.default_rng(3))))  # type: ignore[operator]
    assert found is reason, detail
    assert bool(detail) == (reason is not None)


def test_real_pictures_are_seen_and_blurred_ones_are_not(shared_data) -> None:
    pictures = sorted((shared_data / "smoke" / "nemo_clean").rglob("*.jpg"))
    pictures += sorted((shared_data / "smoke" / "dfire").rglob("*.jpg"))[:20]
    assert pictures
    for path in pictures:
        picture = cv2.imread(str(path))
        assert picture is not None
        assert judge_picture(reduce_luma(picture))[0] is None, path.name
        out_of_focus = reduce_luma(blurred(picture, picture.shape[1] / 40))
        assert judge_picture(out_of_focus)[0] is BlindReason.BLURRED, path.name

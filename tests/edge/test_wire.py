"""What leaves the box fits the contract, whatever a rule measured."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from edge_scenes import at

from alerts.messages import AlertMessage, ClockState, decode, encode
from edge.episode import EpisodeEvent, EpisodePhase, LabelledBox
from edge.wire import Sender, to_message

SENDER = Sender("riverside", "box-1", "a" * 32, "b" * 32)
EVENT = EpisodeEvent(
    alert_id="c" * 32,
    phase=EpisodePhase.OPENED,
    phase_seq=0,
    kind="illegal_parking",
    camera="street-1",
    preset="fixed",
    zone="kerb",
    place_key="kerb/0.1-0.2-3",
    started_at=at(0),
    captured_at=at(300),
    confidence=0.6,
    boxes=(LabelledBox("car", 0.6, (0.1, 0.2, 0.3, 0.4)),),
    rule="illegal_parking/1",
    model="vehicle@1.0.0",
    precision="f32",
    measures={"dwell_s": 300.0},
)


def message(event: EpisodeEvent) -> AlertMessage:
    return to_message(event, SENDER, outbox_seq=7, clock=ClockState(synchronised=True, offset_ms=1.5))


def test_an_opened_episode_becomes_its_message_and_survives_the_wire() -> None:
    sent = message(EVENT)
    assert decode("alert", encode(sent)) == sent
    assert (sent.alert_id, sent.phase, sent.phase_seq, sent.outbox_seq) == ("c" * 32, "opened", 0, 7)
    assert (sent.site, sent.edge, sent.outbox_id, sent.boot_id) == ("riverside", "box-1", "a" * 32, "b" * 32)
    assert sent.boxes[0].x2 == 0.3
    assert sent.measures == {"dwell_s": 300.0}
    assert sent.started_at == at(0)


@pytest.mark.parametrize("phase", [EpisodePhase.CANDIDATE, EpisodePhase.DISSOLVED])
def test_candidates_stay_on_the_box(phase: EpisodePhase) -> None:
    with pytest.raises(ValueError, match="stays on the box"):
        message(replace(EVENT, phase=phase, phase_seq=-1))


def test_boxes_are_clipped_bounded_and_empty_ones_dropped() -> None:
    boxes = [
        LabelledBox("car", 1.2, (-0.1, 0.2, 0.3, 1.4)),
        LabelledBox("car", 0.5, (1.1, 0.2, 1.3, 0.4)),
        *[LabelledBox("car", 0.5, (0.1, 0.2, 0.3, 0.4))] * 40,
    ]
    sent = message(replace(EVENT, boxes=tuple(boxes), confidence=1.01))
    assert len(sent.boxes) == 32
    assert (sent.boxes[0].x1, sent.boxes[0].y2, sent.boxes[0].confidence) == (0.0, 1.0, 1.0)
    assert sent.confidence == 1.0


def test_measures_that_are_no_numbers_are_left_out() -> None:
    many = {f"m{i}_s": 1.0 for i in range(40)}
    sent = message(replace(EVENT, measures={"speed_bl_s": math.nan, "far_m": math.inf, "dwell_s": 2.0}))
    assert sent.measures == {"dwell_s": 2.0}
    assert len(message(replace(EVENT, measures=many)).measures) == 32


def test_a_closed_episode_says_when_it_ended() -> None:
    sent = message(replace(EVENT, phase=EpisodePhase.CLOSED, phase_seq=3, ended_at=at(400)))
    assert sent.ended_at == at(400)

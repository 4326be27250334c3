"""An episode is opened once, told in order, closed once, and keeps its id and start throughout."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime

import pytest
from edge_scenes import at, ids
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge.episode import EpisodeEvent, EpisodePhase
from edge.lifecycle import Lifecycle, Terms
from edge.observe import Finding

TERMS = Terms(rule="test/1", hold_s=10, update_s=60, interval_s=2, model="m@1", precision="f32")
BOX = (0.1, 0.1, 0.2, 0.2)


def finding(
    confirmed: bool = True, since: float = 0.0, confidence: float = 0.5, key: str = "here", **more: object
) -> Finding:
    values = {"kind": "smoke", "boxes": (BOX,)} | more
    return Finding(place_key=key, confirmed=confirmed, since=at(since), confidence=confidence, **values)  # type: ignore[arg-type]


def lifecycle(terms: Terms = TERMS) -> Lifecycle:
    return Lifecycle("cam", "fixed", terms, ids())


def phases(events: list[EpisodeEvent]) -> list[tuple[str, int]]:
    return [(event.phase.value, event.phase_seq) for event in events]


def test_a_candidate_that_is_never_confirmed_dissolves_in_silence() -> None:
    life = lifecycle()
    assert phases(life.step(at(0), float("inf"), [finding(False)])) == [("candidate", -1)]
    assert [life.step(at(t), 2, []) for t in (2, 4, 6, 8)] == [[]] * 4
    (event,) = life.step(at(10), 2, [])
    assert (event.phase, event.phase_seq) == (EpisodePhase.DISSOLVED, -1)
    assert life.episodes() == ()


def test_an_episode_keeps_its_id_from_candidate_to_closed() -> None:
    life = lifecycle()
    events = life.step(at(0), float("inf"), [finding(False)])
    events += life.step(at(2), 2, [finding()])
    for t in range(4, 16, 2):
        events += life.step(at(t), 2, [])
    assert phases(events) == [("candidate", -1), ("opened", 0), ("closed", 1)]
    assert len({event.alert_id for event in events}) == 1
    assert events[-1].ended_at == at(2)
    assert events[-1].captured_at == at(12)
    assert (events[1].rule, events[1].model, events[1].precision) == ("test/1", "m@1", "f32")


def test_a_blind_hour_ends_nothing() -> None:
    life = lifecycle()
    life.step(at(0), float("inf"), [finding()])
    assert life.step(at(3600), 3600, []) == []
    assert [episode.opened for episode in life.episodes()] == [True]
    assert life.step(at(3602), 2, []) == []


def test_an_update_comes_in_its_time_or_on_something_notable() -> None:
    life = lifecycle()
    life.step(at(0), float("inf"), [finding()])
    assert life.step(at(2), 2, [finding(confidence=0.6)]) == []
    assert phases(life.step(at(4), 2, [finding(confidence=0.7)])) == [("updated", 1)]
    assert life.step(at(6), 2, [finding(confidence=0.7)]) == []
    assert phases(life.step(at(8), 2, [finding(since=-6)])) == [("updated", 2)]
    moved = finding(since=-6, boxes=((0.5, 0.5, 0.6, 0.6),))
    assert phases(life.step(at(10), 2, [moved])) == [("updated", 3)]
    quiet = [life.step(at(t), 2, [moved]) for t in range(12, 70, 2)]
    assert not any(quiet)
    assert phases(life.step(at(70), 2, [moved])) == [("updated", 4)]


def test_a_start_moves_back_and_never_forward() -> None:
    life = lifecycle()
    life.step(at(0), float("inf"), [finding(since=-30)])
    life.step(at(2), 2, [finding(since=1)])
    assert life.episodes()[0].started_at == at(-30)


def test_a_rule_that_knows_the_end_closes_at_once() -> None:
    life = lifecycle()
    life.step(at(0), float("inf"), [finding()])
    (event,) = life.step(at(50), 50, [finding(False, over=True, until=at(20))])
    assert (event.phase, event.ended_at) == (EpisodePhase.CLOSED, at(20))
    assert life.step(at(52), 2, [finding(False, over=True)]) == []


def test_what_follows_at_the_same_place_is_another_alert() -> None:
    life = lifecycle()
    (_, first) = life.step(at(0), float("inf"), [finding()])
    life.step(at(2), 2, [finding(over=True)])
    (_, second) = life.step(at(4), 2, [finding()])
    assert first.alert_id != second.alert_id


def test_boxes_are_named_and_the_reason_travels() -> None:
    life = lifecycle()
    (event,) = life.step(
        at(0), float("inf"), [finding(False, label="truck", reason="frozen", measures={"a_s": 1.0})]
    )
    assert event.boxes[0].label == "truck"
    assert event.reason == "frozen"
    assert event.measures == {"a_s": 1.0}
    (event,) = lifecycle().step(at(0), float("inf"), [finding(False)])
    assert event.boxes[0].label == "smoke"


@pytest.mark.parametrize("key", ["a", "b"])
def test_a_place_has_one_episode_whatever_the_rule_repeats(key: str) -> None:
    life = lifecycle()
    events = life.step(at(0), float("inf"), [finding(key=key), finding(key=key, confidence=0.9)])
    assert phases(events) == [("candidate", -1), ("opened", 0)]
    assert events[0].confidence == 0.5


class Episodes(RuleBasedStateMachine):
    """Any findings, gaps and restarts: the story of each id stays in order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.mint = ids()
        self.life = Lifecycle("cam", "fixed", TERMS, self.mint)
        self.stories: dict[str, list[EpisodeEvent]] = defaultdict(list)

    @rule(
        gap=st.sampled_from([0.5, 2.0, 6.0, 7.0, 3600.0]),
        stated=st.lists(
            st.tuples(
                st.sampled_from("abc"),
                st.booleans(),
                st.sampled_from([0.0, 0.0, 0.0, 30.0]),
                st.floats(0, 1),
                st.sampled_from([False, False, False, True]),
            ),
            max_size=3,
        ),
    )
    def observe(self, gap: float, stated: list[tuple[str, bool, float, float, bool]]) -> None:
        self.now += gap
        findings = [
            finding(confirmed, self.now - back, confidence, key, over=over)
            for key, confirmed, back, confidence, over in stated
        ]
        for event in self.life.step(at(self.now), gap, findings):
            self.stories[event.alert_id].append(event)

    @rule()
    def restart(self) -> None:
        state = json.loads(json.dumps(self.life.dump()))
        self.life = Lifecycle("cam", "fixed", TERMS, self.mint)
        self.life.load(state)
        assert self.life.dump() == state

    @invariant()
    def each_story_is_in_order(self) -> None:
        for story in self.stories.values():
            names = [event.phase.value for event in story]
            assert names[0] == "candidate"
            assert names.count("candidate") == 1
            assert names.count("opened") <= 1
            sent = [event for event in story if event.phase_seq >= 0]
            assert [event.phase_seq for event in sent] == list(range(len(sent)))
            assert not sent or sent[0].phase is EpisodePhase.OPENED
            assert not set(names[:-1]) & {"closed", "dissolved"}
            if names[-1] == "dissolved":
                assert not sent
            starts: list[datetime] = [event.started_at for event in story]
            assert starts == sorted(starts, reverse=True)
            assert all(e.ended_at is None or e.ended_at >= e.started_at for e in story)
            assert all((e.phase is EpisodePhase.CLOSED) == (e.ended_at is not None) for e in story)

    @invariant()
    def what_is_told_is_what_is_open(self) -> None:
        alive = {
            alert_id
            for alert_id, story in self.stories.items()
            if story[-1].phase not in {EpisodePhase.CLOSED, EpisodePhase.DISSOLVED}
        }
        assert alive == {episode.alert_id for episode in self.life.episodes()}
        assert len({episode.place_key for episode in self.life.episodes()}) == len(alive)


TestEpisodes = Episodes.TestCase
TestEpisodes.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)

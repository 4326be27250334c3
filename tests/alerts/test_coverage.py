"""How long a camera was seeing in each hour, from its changes of state and those of its box."""

from datetime import timedelta

import pytest
from central_kit import T0, camera_health, health, incoming, status
from sqlalchemy import select, text, update

from alerts.config import EvidenceSettings, WatchSettings
from alerts.inbox import Inbox
from alerts.messages import Freshness
from alerts.retention import KEEP_STATES, Keeper
from alerts.services.coverage import hours_of
from alerts.silence import open_silences
from alerts.store import migrate
from alerts.store.database import Database
from alerts.store.seeing import BOX
from alerts.store.tables import CameraStateChange, Edge
from towerwatch.timebase import utc_now

HOUR = T0.replace(minute=0, second=0, microsecond=0)


def say(database, message, channel):
    Inbox(database).commit([incoming(message, channel)])


def kept(database):
    with database.read() as session:
        rows = session.scalars(select(CameraStateChange).order_by(CameraStateChange.at))
        return [(row.camera, row.state) for row in rows]


def changed(database, *changes):
    """Enter changes (camera, minutes after HOUR, state) of a box."""
    with database.write() as session:
        session.add(Edge(id="box-1", site="s", first_seen_at=HOUR))
        session.flush()
        for camera, minute, state in changes:
            moment = HOUR + timedelta(minutes=minute)
            session.add(CameraStateChange(edge="box-1", camera=camera, at=moment, state=state))


def hours(database, until_minute):
    now = HOUR + timedelta(minutes=until_minute)
    return {
        round((hour.start - HOUR) / timedelta(hours=1)): (hour.seeing_s, hour.blind_s, hour.away_s)
        for hour in hours_of(database, "box-1", "a", now, 1)
        if hour.seeing_s or hour.blind_s or hour.away_s
    }


MINUTES = {
    "all of it seeing": ([("a", -5000, "fresh")], 30, {0: (1800, 0, 0)}),
    "blind in between": (
        [("a", 0, "fresh"), ("a", 10, "blind"), ("a", 15, "stale"), ("a", 70, "fresh")],
        80,
        {0: (600, 3000, 0), 1: (600, 600, 0)},
    ),
    "what is not known is in none": ([("a", 50, "fresh")], 60, {0: (600, 0, 0)}),
    "another camera": ([("b", 0, "fresh")], 60, {}),
    "its box away, whatever it said last": (
        [("a", 0, "fresh"), (BOX, 20, "offline"), ("a", 40, "blind"), (BOX, 50, "online")],
        60,
        {0: (1200, 600, 1800)},
    ),
}


@pytest.mark.parametrize(("changes", "until", "expected"), MINUTES.values(), ids=MINUTES)
def test_time_is_seeing_blind_or_away(database, changes, until, expected):
    changed(database, *changes)
    got = hours(database, until)
    assert {hour: got[hour] for hour in got if hour >= 0} == expected


def test_night_without_a_watch_for_smoke_is_neither_seeing_nor_blind(database):
    changed(database, ("a", 0, "fresh"), ("a", 20, "night"), ("a", 50, "fresh"))
    last = hours_of(database, "box-1", "a", HOUR + timedelta(minutes=60), 1)[-2]
    assert (last.seeing_s, last.night_s, last.blind_s, last.away_s) == (1800, 1800, 0, 0)


def test_all_hours_asked_for_are_there(database):
    changed(database, ("a", -5000, "fresh"))
    got = hours_of(database, "box-1", "a", HOUR + timedelta(minutes=30), 2)
    assert [hour.seeing_s for hour in got] == [3600.0] * 47 + [1800.0]
    assert got[-1].start == HOUR


def test_a_state_is_kept_once_until_it_is_another(database):
    def of_camera(**changes):
        return health(cameras=(camera_health(**changes),))

    say(database, of_camera(), "health")
    say(database, of_camera(analysed=40), "health")
    say(database, of_camera(state=Freshness.BLIND, reason="frozen"), "health")
    say(database, of_camera(state=Freshness.BLIND, reason="black"), "health")
    say(database, of_camera(), "health")
    street = camera_health().camera
    assert [row for row in kept(database) if row[0]] == [
        (street, "fresh"),
        (street, "blind"),
        (street, "fresh"),
    ]


def test_a_box_is_away_by_its_last_will_and_by_its_silence(database):
    say(database, status(online=True), "status")
    say(database, status(online=False, reason="power"), "status")
    say(database, health(), "health")
    assert [state for camera, state in kept(database) if camera == BOX] == ["online", "offline", "online"]
    long_ago = utc_now() - timedelta(minutes=10)
    with database.write() as session:
        session.execute(update(Edge).values(health_received_at=long_ago, status_received_at=long_ago))
    assert open_silences(database, utc_now(), long_ago, WatchSettings()) == 1
    assert kept(database)[0] == (BOX, "offline")  # since it was last heard
    say(database, health(), "health")
    assert kept(database)[-1] == (BOX, "online")


def test_old_changes_are_forgotten_but_the_state_at_the_horizon_stays(database):
    changed(database, ("a", 0, "fresh"), ("a", 10, "blind"), ("a", 90, "fresh"), ("b", 5, "stale"))
    horizon = HOUR + timedelta(minutes=60)
    keeper = Keeper(database, None, EvidenceSettings(), lambda _sha256: None)
    keeper.prune_states(horizon + KEEP_STATES)
    assert kept(database) == [("b", "stale"), ("a", "blind"), ("a", "fresh")]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_migration_begins_with_how_all_are_now(kind, request, tmp_path):
    url = f"sqlite:///{tmp_path}/old.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    old = Database(url)
    migrate.upgrade(old, "0008")
    moment = "'2026-06-01 04:00:00+00:00'"
    with old.write() as session:
        session.execute(
            text(
                "INSERT INTO edges (id, site, first_seen_at, online, outbox, health_round, unknown_open, "
                "workers_restarted, status_received_at) "
                f"VALUES ('e', 's', {moment}, false, '{{}}', '{{}}', '{{}}', 0, {moment})"
            )
        )
        session.execute(
            text(
                "INSERT INTO cameras (edge, camera, state, detail, state_since, covered_s, analysed, "
                f"dropped) VALUES ('e', 'c', 'fresh', '', {moment}, 0, 0, 0)"
            )
        )
    migrate.upgrade(old)
    assert sorted(kept(old)) == [(BOX, "offline"), ("c", "fresh")]
    old.close()

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from components import need_program

from alerts.messages import HealthMessage, Phase, decode
from benchmarks import fleet, fleet_load
from benchmarks.fleet_load import Traffic, Voice


def test_the_fleet_has_all_streams() -> None:
    cameras = [fleet_load.cameras_of(number) for number in range(fleet_load.BOXES)]
    assert sum(cameras) == fleet_load.STREAMS
    assert set(cameras) == {15, 16}


def test_what_a_box_says_fits_the_contract() -> None:
    voice, traffic = Voice("box-1", 16), Traffic(seed=1)
    kinds, phases = set(), []
    for _ in range(300):
        seq = voice.queue(traffic.alert(voice))
        message = decode("alert", voice.waiting[seq])
        kinds.add(message.kind)
        phases.append(message.phase)
    assert kinds == set(fleet_load.KINDS)
    assert phases.count(Phase.OPENED) == phases.count(Phase.CLOSED) + len(voice.open)
    health = decode("health", voice.health(trouble=True))
    assert isinstance(health, HealthMessage)
    assert set(health.open_alerts) == voice.open.keys()
    assert (health.outbox.depth, health.outbox.last_seq) == (300, 300)
    assert [camera.state for camera in health.cameras].count("stale") == 1


def test_a_miniature_city_loses_and_doubles_nothing() -> None:
    need_program("mosquitto", "mosquitto", "/usr/sbin/mosquitto")
    need_program("postgres", "postgresql", *map(str, Path("/usr/lib/postgresql").glob("*/bin/postgres")))
    plan = fleet.Plan(
        boxes=5,
        alerts_per_s=5.0,
        pace_per_s=30.0,
        pace_alerts_per_s=10.0,
        storm=30,
        phase_s=1.0,
        storm_s=1.0,
        down_s=0.1,
        first_s=0.5,
        resend_s=1.0,
    )
    # not pytest's folder, which is closed to the user that PostgreSQL must run as
    with tempfile.TemporaryDirectory() as folder:
        found = fleet.run(Path(folder), plan)
    assert (found["broker"], found["database"]) == ("mosquitto", "postgresql")
    assert (found["lost"], found["doubled"], found["audit"]) == (0, 0, "whole")
    assert found["messages_per_s"] > 0
    assert found["city"]["unseen"] == 0
    assert [kill["killed"] for kill in found["kills"]] == list(fleet.VICTIMS)
    assert found["storm"]["alerts"] == 30


@pytest.mark.parametrize(("boxes", "storm"), [(4475, 20_000), (300, 1341)])
def test_a_part_of_the_fleet_has_its_share_of_the_load(boxes: int, storm: int) -> None:
    plan = fleet.plan_of(boxes, quick=False)
    assert plan.storm == storm
    assert plan.health_per_s == pytest.approx(boxes / 30)

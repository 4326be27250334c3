from __future__ import annotations

from pathlib import Path

from alerts.services.bundle import open_services
from alerts.states import State
from benchmarks import console


def test_the_wall_is_filled_with_open_incidents(tmp_path: Path) -> None:
    database = console.prepare(tmp_path, 25, seed=3)
    try:
        incidents = open_services(database).incidents
        counted = incidents.count_by_state()
        assert {state: count for state, count in counted.items() if count} == {State.TO_VERIFY: 25}
    finally:
        database.close()

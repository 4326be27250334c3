"""The commands for catalogue, areas, rosters and people, as somebody types them."""

import json

import pytest
from area_kit import town, write_roster
from catalogue_kit import DEPARTMENTS, flow_row, table, write_xlsx
from typer.testing import CliRunner

from alerts.cli import app
from alerts.config import CentralConfig
from alerts.program import open_database
from alerts.store import audit
from alerts.store.tables import AuditRow
from towerwatch.errors import ConfigError


@pytest.fixture
def central(tmp_path, monkeypatch):
    monkeypatch.setattr("alerts.cli_base.configure_logging", lambda *_args, **_more: None)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments, **options):
        command = [*map(str, arguments), "--data-dir", str(tmp_path / "data")]
        result = CliRunner().invoke(app, command, catch_exceptions=False, **options)
        assert result.exit_code == 0, result.output
        return result.output

    return call


def test_a_catalogue_is_checked_imported_listed_and_written(central, tmp_path):
    assert "starter, version 1: 12 categories" in central("catalogue", "list", "--category", "10")
    file = write_xlsx(tmp_path / "city.xlsx", table(flow_row()), DEPARTMENTS)
    checked = CliRunner().invoke(app, ["catalogue", "check", str(file)])
    assert "1 categories, 1 items, 1 flows, 2 departments: as it should be" in checked.output
    assert "version 2: 1 categories" in central("catalogue", "import", file)
    listed = central("catalogue", "list", "--language", "en")
    assert "Traffic police, Fire and rescue" in listed
    assert "15 min" in listed
    central("catalogue", "write", tmp_path / "again.xlsx")
    assert "version 2:" in central("catalogue", "import", tmp_path / "again.xlsx")  # the same: no new version


def test_a_broken_catalogue_changes_nothing(central, tmp_path):
    central("catalogue", "list")
    file = write_xlsx(
        tmp_path / "city.xlsx", table(flow_row(), flow_row(flow="02", close="soon")), DEPARTMENTS
    )
    with pytest.raises(ConfigError, match=r"city.xlsx\[flows\]:3: S close: 'soon' is no limit"):
        central("catalogue", "import", file)
    assert "version 1" in central("catalogue", "list")


def test_areas_and_rosters_are_imported_and_say_who_is_in_charge(central, tmp_path):
    areas = tmp_path / "areas.geojson"
    areas.write_text(json.dumps(town()), encoding="utf-8")
    assert central("areas", "import", areas).endswith("5 areas\n")
    assert central("rosters", "import", write_roster(tmp_path / "r.csv")) == "5 shifts\n"
    assert "township t1" in central("areas", "list")
    assert "t1               police               Wang, 13800000001 mon" in central("rosters", "list")
    found = central("areas", "find", 33.05, 112.05, "--at", "2026-06-01T12:00:00", "--department", "police")
    assert found.splitlines()[0].startswith("grid     g1")
    assert "on duty  t1               Wang, 13800000001" in found
    assert "nobody is on duty there" in central("areas", "find", 33.15, 112.9)


def test_people_and_tokens_get_a_part_of_the_city_and_a_part_of_their_rights(central, tmp_path):
    central("user", "add", "li", "--role", "department", "--department", "police", input="a long password\n")
    central("token", "create", "wall", "--scope", "look", "--days", "30")
    assert "li department police" in central("user", "list")
    assert "wall operator look until 20" in central("token", "list")
    database = open_database(CentralConfig(data_dir=tmp_path / "data"))
    with database.read() as session:
        assert audit.verify(session).fault is None
        assert {row.action for row in session.query(AuditRow)} >= {"user add", "token create"}
    database.close()

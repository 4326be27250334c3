"""Where cameras look, read from the configurations that central holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerts.evidence import BlobStore, add_artifact
from alerts.sectors import GUARDED_M, Sector, sectors_of
from alerts.services.zones import ZoneService
from alerts.store.tables import Edge
from edge.config import load_config
from towerwatch.timebase import utc_now

EXAMPLES = Path(__file__).parents[2] / "configs" / "examples"
TOWER = EXAMPLES / "tower.yaml"


def test_a_calibrated_view_has_a_sector_as_wide_as_the_edge_takes_it():
    (camera,) = load_config(TOWER).cameras
    assert camera.mount is not None
    wide_deg = camera.mount.hfov_deg(2)
    assert sectors_of(TOWER.read_text(encoding="utf-8")) == {
        camera.id: (
            Sector("north", 12.374, 31.482, GUARDED_M),
            Sector("east", 102.4, pytest.approx(wide_deg), GUARDED_M),
        )
    }


def test_a_site_without_places_has_none():
    assert sectors_of((EXAMPLES / "street.yaml").read_text(encoding="utf-8")) == {}


def test_sectors_are_those_of_the_configuration_that_a_box_runs(sqlite, tmp_path):
    store = BlobStore(tmp_path / "artifacts")
    store.open()
    held = add_artifact(sqlite, store, TOWER)
    with sqlite.write() as session:
        for edge, version in (("tower-7", held), ("tower-8", "0" * 64), ("tower-9", None)):
            session.add(Edge(id=edge, site="a", first_seen_at=utc_now(), config_sha256=version))
    service = ZoneService(sqlite, store)
    wanted = [(edge, "tower-7-ptz") for edge in ("tower-7", "tower-8", "tower-9")]
    found = service.sectors([*wanted, ("tower-7", "another")])
    assert list(found) == [("tower-7", "tower-7-ptz")]
    assert [sector.preset for sector in found["tower-7", "tower-7-ptz"]] == ["north", "east"]

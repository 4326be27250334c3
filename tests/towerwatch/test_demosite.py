"""The demo's configurations are real ones, with the default rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from alerts.config import load_config as load_central
from edge.config import EdgeConfig
from edge.rule_config import BlockedRoadRuleConfig, ParkingRuleConfig, SmokeRuleConfig
from streams.simulator.names import EVENT_SCENES
from towerwatch import demosite
from towerwatch.errors import ConfigError

ZONES = {
    "tower": {},
    "street": {"kerb": [(0.1, 0.5), (0.9, 0.5), (0.9, 0.75)]},
    "road": {"road": [(0.2, 0.2), (0.8, 0.2), (0.8, 0.9)]},
}
SHORTER = {"legal_time_s", "duration_s", "stop_time_s"}


def test_every_camera_shows_a_scene_with_an_event() -> None:
    assert sorted(demosite.SCENES.values()) == sorted(EVENT_SCENES)
    assert set(demosite.KINDS.values()) == set(demosite.SCENES)


def test_rules_differ_from_the_defaults_in_listed_times_alone() -> None:
    classes = {
        "smoke": SmokeRuleConfig,
        "illegal_parking": ParkingRuleConfig,
        "blocked_road": BlockedRoadRuleConfig,
    }
    kinds = set()
    for camera in demosite.template("edge.yaml")["cameras"]:
        for view in camera["views"]:
            for rule in view["rules"]:
                kinds.add(rule["kind"])
                parsed = classes[rule["kind"]].model_validate(rule)
                given = parsed.model_fields_set - {"kind", "zone"}
                assert given <= SHORTER
                for name in given:
                    assert getattr(parsed, name) < type(parsed).model_fields[name].default
    assert kinds == set(demosite.KINDS)


def test_the_edge_configuration_is_one_and_has_the_scenes_zones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.config._missing_models", lambda _config, _base: [])
    (tmp_path / "box-1.enrol.json").write_text("{}")
    models = tmp_path / "models"
    models.mkdir()
    path = demosite.write_yaml(tmp_path / "edge.yaml", demosite.edge_document(ZONES, 18554, models))
    config = EdgeConfig.model_validate(
        yaml.safe_load(path.read_text(encoding="utf-8")), context={"base_dir": tmp_path}
    )
    assert (config.site, config.edge) == (demosite.SITE, demosite.EDGE)
    assert config.models_dir == models
    assert {camera.id: camera.url for camera in config.cameras} == {
        camera: f"rtsp://127.0.0.1:18554/{scene}.mp4" for camera, scene in demosite.SCENES.items()
    }
    assert demosite.edge_document(ZONES, 18554, None)["cameras"][1]["views"][0]["zones"] == [
        {"id": "kerb", "points": [[0.1, 0.5], [0.9, 0.5], [0.9, 0.75]]}
    ]


def test_the_central_configuration_is_one(tmp_path: Path) -> None:
    path = demosite.write_yaml(tmp_path / "central.yaml", demosite.central_document(11883, 18080))
    config = load_central(path)
    assert (config.broker.port, config.serve.port) == (11883, 18080)
    assert config.serve.host == config.broker.host == "127.0.0.1"
    assert config.public_url() == "http://127.0.0.1:18080"


def test_cameras_have_places() -> None:
    places = demosite.template("cameras.yaml")
    assert set(places) == set(demosite.SCENES)
    for place in places.values():
        assert -90 <= place["lat_deg"] <= 90
        assert -180 <= place["lon_deg"] <= 180


def test_only_scenes_without_both_files_are_rendered(tmp_path: Path) -> None:
    assert set(demosite.scenes_to_render(tmp_path)) == set(EVENT_SCENES)
    (tmp_path / "road.mp4").write_bytes(b"")
    (tmp_path / "street.mp4").write_bytes(b"")
    (tmp_path / "street.truth.json").write_text("{}")
    assert set(demosite.scenes_to_render(tmp_path)) == {"farmland", "road"}
    assert demosite.video_folder(tmp_path, 1) != demosite.video_folder(tmp_path, 2)


def test_zones_are_read_from_the_truth(tmp_path: Path) -> None:
    truth = tmp_path / "street.truth.json"
    truth.write_text(
        json.dumps({"zones": [{"id": "kerb", "use": "no_parking", "points": [[0, 1], [1, 0.5]]}]})
    )
    assert demosite.zones_of(truth) == {"kerb": [[0.0, 1.0], [1.0, 0.5]]}


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"zones": [{"id": "a"}]}'], ids=["empty", "none", "list", "bare"]
)
def test_no_truth_is_said_with_its_file(tmp_path: Path, text: str) -> None:
    truth = tmp_path / "street.truth.json"
    truth.write_text(text)
    with pytest.raises(ConfigError, match=r"street\.truth\.json: no usable truth"):
        demosite.zones_of(truth)


def test_ports_differ() -> None:
    ports = demosite.free_ports(5)
    assert len(set(ports)) == 5

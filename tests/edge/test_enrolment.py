"""What central hands to a box is read, checked, written for its owner alone, and never shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from edge_rig import Rig, camera

from edge.config import load_config
from edge.enrolment import load_enrolment, materialise
from edge.links import resolve_links
from towerwatch.errors import ConfigError

PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nverysecretkeybytes\n-----END PRIVATE KEY-----\n"


def document(**broker: Any) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "site": "riverside",
        "edge": "box-1",
        "broker": {"host": "broker.example", "port": 8883, "username": "box-1", **broker},
        "central": {"url": "https://central.example/", "token": "twe_tokentoken", "ca_pem": PEM},
    }


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def config_with(folder: Path, enrolment: dict[str, Any]) -> Path:
    rig = Rig(folder, [camera("cam-1", "rtsp://127.0.0.1/x")])
    rig.write()
    plain = rig.document()
    for section in ("broker", "central"):
        plain.pop(section)
    write(folder / "box-1.enrol.json", enrolment)
    rig.config_file.write_text(yaml.safe_dump({**plain, "enrolment": "box-1.enrol.json"}))
    return rig.config_file


def test_keys_are_written_for_the_owner_alone_and_links_point_to_them(tmp_path: Path) -> None:
    full = document(ca_pem=PEM, certificate_pem=PEM, key_pem=KEY, password="broker-password")
    config = load_config(config_with(tmp_path, full))
    links = resolve_links(config)
    assert (links.broker.host, links.broker.port, links.broker.username) == ("broker.example", 8883, "box-1")
    assert links.broker.password is not None
    assert links.broker.password.reveal() == "broker-password"
    assert links.broker.key is not None
    assert links.broker.key.read_text() == KEY
    for path in (links.broker.ca, links.broker.certificate, links.broker.key, links.central.ca):
        assert path is not None
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
    assert links.central.url == "https://central.example"
    assert links.central.token.reveal() == "twe_tokentoken"
    with pytest.raises(ConfigError, match="cannot be used"):
        links.broker.tls()
    with pytest.raises(ConfigError, match="cannot be used"):
        links.central.tls()


def test_without_certificates_the_connection_is_plain(tmp_path: Path) -> None:
    plain = document()
    del plain["central"]["ca_pem"]
    links = resolve_links(load_config(config_with(tmp_path, plain)))
    assert links.broker.tls() is None
    assert links.central.tls() is True
    files = materialise(load_enrolment(write(tmp_path / "e.json", plain)), tmp_path / "d")
    assert (files.broker_ca, files.broker_key) == (None, None)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not a JSON file"),
        ("[]", "valid dictionary"),
        ({**document(), "extra": 1}, "extra"),
        ({**document(), "site": "Not An Id"}, "site"),
        (document(port=0), "broker.port"),
        (document(key_pem="not a pem KEYSECRET"), "broker.key_pem"),
        (document(ca_pem="x"), "broker.ca_pem"),
        ({**document(), "central": {"url": "https://u:p@h/", "token": "t"}}, "central.url"),
        ("x" * 300_000, "larger than"),
    ],
    ids=[
        "no JSON",
        "a list",
        "unknown key",
        "bad id",
        "port",
        "key",
        "ca",
        "credentials in the address",
        "huge",
    ],
)
def test_what_does_not_fit_is_one_line_without_values(tmp_path: Path, content: Any, says: str) -> None:
    path = write(tmp_path / "bad.json", content)
    with pytest.raises(ConfigError) as caught:
        load_enrolment(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "KEYSECRET" not in str(caught.value)
    assert "twe_" not in str(caught.value)


def test_a_missing_file_and_a_file_for_another_box_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_enrolment(tmp_path / "absent.json")
    config = load_config(config_with(tmp_path, {**document(), "edge": "box-2"}))
    with pytest.raises(ConfigError, match="riverside/box-2"):
        resolve_links(config)


def test_running_needs_broker_and_central(tmp_path: Path) -> None:
    rig = Rig(tmp_path, [camera("cam-1", "rtsp://127.0.0.1/x")])
    rig.write()
    plain = rig.document()
    del plain["central"]
    rig.config_file.write_text(yaml.safe_dump(plain))
    with pytest.raises(ConfigError, match="central: is missing"):
        resolve_links(load_config(rig.config_file))


def test_both_enrolment_and_broker_are_one_too_many(tmp_path: Path) -> None:
    path = config_with(tmp_path, document())
    text = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**text, "broker": {"host": "h"}}))
    with pytest.raises(ConfigError, match="keep one of the two"):
        load_config(path)

import json
import re
import socket
import stat

import pytest
from central_kit import alert, apply_all
from cryptography import x509
from typer.testing import CliRunner

from alerts.cli import app
from alerts.config import CentralConfig
from alerts.enrol import edge_of_token
from alerts.http.app import openapi_document
from alerts.inbox import Inbox, Incoming
from alerts.program import open_database
from alerts.services.people import PeopleService
from towerwatch.cli import app as front_door
from towerwatch.errors import ConfigError, TowerwatchError
from towerwatch.timebase import utc_now

PASSWORD = "correct horse battery"


@pytest.fixture
def central(tmp_path, monkeypatch):
    """Call the command line with a data folder of its own; fails on an exit code other than 0."""
    monkeypatch.setattr("alerts.cli_base.configure_logging", lambda _program, **_options: None)

    def call(*arguments, data_dir=True, **options):
        extra = ["--data-dir", str(tmp_path / "data")] if data_dir else []
        result = CliRunner().invoke(app, [*map(str, arguments), *extra], catch_exceptions=False, **options)
        assert result.exit_code == 0, result.output
        return result.output

    return call


@pytest.fixture
def database(central, tmp_path):
    opened = open_database(CentralConfig(data_dir=tmp_path / "data"))
    yield opened
    opened.close()


def test_people_and_tokens_are_made_and_ended(central, database):
    people = PeopleService(database)
    assert "added li" in central("user", "add", "li", "--role", "viewer", input=PASSWORD + "\n")
    assert people.login("li", PASSWORD, "x").user.role == "viewer"
    central("user", "passwd", "li", input="another " + PASSWORD + "\n")
    assert people.login("li", "another " + PASSWORD, "x")
    token = central("token", "create", "demo").strip()
    assert people.user_of_token(token).name == "token:demo"
    central("token", "revoke", "demo")
    assert people.user_of_token(token) is None


def test_a_box_is_enrolled_into_one_file_and_revoked(central, database, tmp_path):
    file = tmp_path / "box.json"
    said = central("enrol", "box-1", "--site", "riverside", "--out", file)
    assert str(file) in said
    assert "no certificate in it: 127.0.0.1:1883 is used without TLS" in said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    token = json.loads(file.read_text())["central"]["token"]
    assert edge_of_token(database, token) == "box-1"
    central("enrol", "box-1", "--site", "riverside", "--out", file, "--again", "--plain")
    assert "key_pem" not in json.loads(file.read_text())["broker"]
    settings = tmp_path / "central.yaml"
    settings.write_text("enrol: {broker_port: 8883}")
    said = central("enrol", "box-1", "--site", "riverside", "--out", file, "--again", "--config", settings)
    assert "a key and a token" in said
    assert "key_pem" in json.loads(file.read_text())["broker"]
    central("revoke", "box-1")
    assert edge_of_token(database, json.loads(file.read_text())["central"]["token"]) is None


@pytest.mark.parametrize(
    ("arguments", "purpose"),
    [
        (["broker", "--host", "mqtt.example.org", "--host", "10.0.0.5"], "serverAuth"),
        (["central"], "clientAuth"),
    ],
    ids=["a server", "a client"],
)
def test_certificates_of_our_own_authority_are_issued(central, tmp_path, arguments, purpose):
    central("certificate", *arguments, "--out", tmp_path / "pki")
    name = arguments[0]
    assert sorted(path.name for path in (tmp_path / "pki").iterdir()) == sorted(
        ["ca.pem", f"{name}.pem", f"{name}.key"] + (["revoked.pem"] if purpose == "serverAuth" else [])
    )
    issued = x509.load_pem_x509_certificate((tmp_path / "pki" / f"{name}.pem").read_bytes())
    (usage,) = issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert usage._name == purpose


def test_a_certificate_that_would_leave_its_folder_is_refused(tmp_path):
    arguments = ["certificate", "../x", "--out", str(tmp_path), "--data-dir", str(tmp_path)]
    assert CliRunner().invoke(app, arguments).exit_code == 2


@pytest.mark.usefixtures("database")
def test_an_artifact_is_added(central, tmp_path):
    model = tmp_path / "model.onnx"
    model.write_bytes(b"weights")
    sha256 = central("artifact", "add", model).strip()
    assert (tmp_path / "data/artifacts" / sha256[:2] / sha256).read_bytes() == b"weights"


def test_verdicts_are_exported(central, database, tmp_path):
    apply_all(database, [alert("a")])
    assert "wrote 0 judged alerts" in central("export-verdicts", "--out", tmp_path / "out.jsonl")


def test_what_could_not_be_used_is_listed_and_tried_again(central, database):
    Inbox(database).commit([Incoming("towerwatch/v1/a/b/alert", b"nonsense", utc_now())])
    (line,) = central("dead-letters", "list").splitlines()
    assert json.loads(line)["topic"] == "towerwatch/v1/a/b/alert"
    assert "0 dead letters went in, 1 stay" in central("dead-letters", "retry")


@pytest.mark.parametrize(
    ("what", "key"), [("messages", "alert"), ("verdicts", "properties"), ("api", "paths")]
)
def test_schemas_are_printed(central, what, key):
    assert key in json.loads(central("schema", what, data_dir=False))


BAD_INPUT = {
    "a box id": ["enrol", "Box 1", "--site", "riverside"],
    "a box that is not known": ["revoke", "box-9"],
    "a token's name": ["token", "create", "a name"],
    "a role": ["token", "create", "demo", "--role", "king"],
    "a token that is not there": ["token", "revoke", "nobody"],
    "an end of the audit": ["audit", "verify", "--known", "x"],
}


@pytest.mark.parametrize("arguments", BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_is_told_from_failure(database, tmp_path, monkeypatch, arguments):
    monkeypatch.setattr("alerts.cli_base.configure_logging", lambda _program, **_options: None)
    arguments = ["central", *arguments, "--data-dir", str(tmp_path / "data")]
    assert CliRunner().invoke(front_door, arguments).exit_code == 2
    # a name that is taken is no mistake of writing: the world is another than thought
    PeopleService(database).create_token("demo")
    taken = ["central", "token", "create", "demo", "--data-dir", str(tmp_path / "data")]
    assert CliRunner().invoke(front_door, taken).exit_code == 1


def test_a_port_that_is_taken_is_a_failure_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("alerts.cli_base.configure_logging", lambda _program, **_options: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file = tmp_path / "central.yaml"
        settings = {"data_dir": str(tmp_path), "serve": {"port": port}, "console": {"enabled": False}}
        file.write_text(json.dumps(settings))
        done = CliRunner().invoke(front_door, ["central", "serve", "--config", str(file)])
    assert done.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.output


NO_TLS = {
    "consume": ({"broker": {"tls": {"ca": "nowhere.pem"}}}, "broker.tls: no file "),
    "serve": ({"serve": {"certificate": "bad.pem", "key": "bad.pem"}}, "cannot be used: "),
}


@pytest.mark.parametrize("command", NO_TLS)
def test_files_of_tls_that_cannot_be_used_are_a_mistake_of_configuration(tmp_path, monkeypatch, command):
    monkeypatch.setattr("alerts.cli_base.configure_logging", lambda _program, **_options: None)
    settings, said = NO_TLS[command]
    (tmp_path / "bad.pem").write_text("no certificate")
    file = tmp_path / "central.yaml"
    file.write_text(json.dumps({"data_dir": "data", "console": {"enabled": False}, **settings}))
    done = CliRunner().invoke(front_door, ["central", command, "--config", str(file)])
    assert (done.exit_code, said in done.output) == (2, True)


def test_an_unknown_schema_is_refused():
    assert CliRunner().invoke(app, ["schema", "poetry"]).exit_code == 2


def test_the_openapi_names_every_route_and_its_answers():
    document = openapi_document()
    assert document["info"]["title"] == "Towerwatch"
    assert "/api/v1/incidents/{incident_id}/dismiss" in document["paths"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (path, method)
            assert re.match(r"^2\d\d$", min(operation["responses"])), (path, method)


def test_a_broken_file_ends_every_command_with_its_line(central, tmp_path):
    file = tmp_path / "central.yaml"
    file.write_text("brokr: 1\n")
    with pytest.raises(ConfigError, match=r"central\.yaml:1: brokr: unknown key"):
        central("token", "create", "x", "--config", file)


@pytest.mark.parametrize("command", ["up", "consume", "work", "serve"])
def test_a_part_that_cannot_run_is_an_error(central, monkeypatch, command):
    monkeypatch.setattr("alerts.program.Program.run", lambda _self, _ready: 1)
    arguments = [command, "--embedded-broker"] if command == "up" else [command]
    with pytest.raises(TowerwatchError, match="died or did not stop"):
        central(*arguments, data_dir=True)


def test_a_single_command_logs_only_what_is_wrong(tmp_path, monkeypatch):
    levels = []
    monkeypatch.setattr(
        "alerts.cli_base.configure_logging", lambda program, level: levels.append((program, level))
    )
    CliRunner().invoke(app, ["export-verdicts", "--out", str(tmp_path / "out"), "--data-dir", str(tmp_path)])
    assert levels == [("central", "WARNING")]

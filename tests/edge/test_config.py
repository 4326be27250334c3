"""Whatever an operator gets wrong comes back as file, line, key and what would be right."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from edge_scenes import write_model
from typer.testing import CliRunner

from edge.config import load_config
from towerwatch.cli import app
from towerwatch.errors import ConfigError

GOOD = """\
site: riverside
edge: box-1
timezone: Asia/Shanghai
data_dir: ./data
models_dir: ./models
broker:
  host: 127.0.0.1
  port: 1883
  username: box-1
  password: env:TW_TEST_PASSWORD
central:
  url: http://127.0.0.1:8080
  token: file:token.txt
limits: {outbox_mib: 64, evidence_mib: 2048, ring_mib: 16}
models:
  vehicle: {runtime: auto, threads: 1}
cameras:
  - id: street-1
    url: rtsp://127.0.0.1:8554/street.mp4
    username: viewer
    password: env:TW_TEST_PASSWORD
    decode: keyframes
    interval_s: 2
    views:
      - preset: fixed
        zones:
          - id: kerb
            points: [[0.1, 0.5], [0.9, 0.5], [0.9, 0.9], [0.1, 0.9]]
          - id: road
            points: [[0.1, 0.1], [0.9, 0.1], [0.9, 0.4]]
        masks:
          - points: [[0, 0], [0.2, 0], [0.2, 0.1]]
        rules:
          - kind: illegal_parking
            zone: kerb
            stop_time_s: 15
            legal_time_s: 300
            schedule:
              windows:
                - {days: [mon, tue], from: 7:00, to: 22:00}
          - kind: blocked_road
            zone: road
            duration_s: 120
  - id: field-1
    url: clip.mp4
    views:
      - preset: north
        rules:
          - kind: smoke
            min_confidence: 0.3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TW_TEST_PASSWORD", "s3cret-word")
    (tmp_path / "token.txt").write_text("token-of-the-box")
    (tmp_path / "clip.mp4").write_bytes(b"x")
    write_model(tmp_path / "models", "vehicle", ["car", "truck"])
    write_model(tmp_path / "models", "smoke", ["smoke"])
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "edge.yaml"
    path.write_text(text)
    return path


# name: (what is replaced, by what, text in the line that is blamed, key, part of the message)
BROKEN: dict[str, tuple[str, str, str, str, str]] = {
    "unknown key at the top": ("site:", "sight:", "sight:", "sight", "did you mean 'site'"),
    "unknown key of a camera": (
        "interval_s: 2",
        "intervall_s: 2",
        "intervall_s",
        "cameras[0].intervall_s",
        "'interval_s'",
    ),
    "unknown key of a rule": (
        "legal_time_s:",
        "legal_tim_s:",
        "legal_tim_s",
        "cameras[0].views[0].rules[0].legal_tim_s",
        "'legal_time_s'",
    ),
    "an authority for an address without TLS": (
        "interval_s: 2",
        "tls_ca: token.txt\n    interval_s: 2",
        "tls_ca",
        "cameras[0].tls_ca",
        "rtsps://",
    ),
    "unknown key of limits": ("ring_mib", "ring_mb", "ring_mb", "limits.ring_mb", "'ring_mib'"),
    "unknown key without a likeness": ("site:", "zzz: 1\nsite:", "zzz", "zzz", "valid here"),
    "missing key": ("edge: box-1\n", "", "site:", "edge", "is missing"),
    "missing key of a camera": (
        "  - id: street-1\n    url: rtsp://127.0.0.1:8554/street.mp4\n",
        "  - id: street-1\n",
        "- id: street-1",
        "cameras[0].url",
        "is missing",
    ),
    "missing kind": (
        "- kind: smoke\n            min_confidence: 0.3",
        "- min_confidence: 0.3",
        "- min_confidence",
        "cameras[1].views[0].rules[0].kind",
        "is missing",
    ),
    "unknown kind": (
        "kind: illegal_parking",
        "kind: ilegal_parking",
        "ilegal",
        "cameras[0].views[0].rules[0].kind",
        "did you mean 'illegal_parking'",
    ),
    "text for a number": (
        "interval_s: 2",
        "interval_s: two",
        "interval_s",
        "cameras[0].interval_s",
        "valid number",
    ),
    "quoted number": ("port: 1883", "port: '1883'", "port", "broker.port", "valid integer"),
    "true for a number": (
        "interval_s: 2",
        "interval_s: true",
        "interval_s",
        "cameras[0].interval_s",
        "valid number",
    ),
    "fraction for a whole number": ("port: 1883", "port: 18.5", "port", "broker.port", "integer"),
    "port out of range": ("port: 1883", "port: 70000", "port", "broker.port", "less than or equal to 65535"),
    "interval of nothing": (
        "interval_s: 2",
        "interval_s: 0",
        "interval_s",
        "cameras[0].interval_s",
        "greater than or equal to 0.05",
    ),
    "number for an id": ("site: riverside", "site: 17", "site:", "site", "put it in quotes"),
    "id with a blank": ("edge: box-1", "edge: Box 1", "edge:", "edge", "lower-case letters"),
    "list for a mapping": (
        "  host: 127.0.0.1\n  port: 1883\n  username: box-1\n  password: env:TW_TEST_PASSWORD",
        "  - host",
        "broker:",
        "broker",
        "expected keys and values, got a list",
    ),
    "mapping for a list": (
        "        masks:\n          - points:",
        "        masks:\n            points:",
        "masks:",
        "cameras[0].views[0].masks",
        "expected a list, got keys and values",
    ),
    "nothing where keys belong": (
        "limits: {outbox_mib: 64, evidence_mib: 2048, ring_mib: 16}",
        "limits:",
        "limits:",
        "limits",
        "expected keys and values, got nothing",
    ),
    "self-crossing zone": (
        "[[0.1, 0.5], [0.9, 0.5], [0.9, 0.9], [0.1, 0.9]]",
        "[[0.1, 0.5], [0.9, 0.9], [0.9, 0.5], [0.1, 0.9]]",
        "points: [[0.1, 0.5]",
        "cameras[0].views[0].zones[0].points",
        "crosses itself at [0.500, 0.700]",
    ),
    "zone of two corners": (
        "[[0.1, 0.1], [0.9, 0.1], [0.9, 0.4]]",
        "[[0.1, 0.1], [0.9, 0.1]]",
        "points: [[0.1, 0.1]",
        "cameras[0].views[0].zones[1].points",
        "at least 3",
    ),
    "zone without area": (
        "[[0.1, 0.1], [0.9, 0.1], [0.9, 0.4]]",
        "[[0.1, 0.1], [0.5, 0.1], [0.9, 0.1]]",
        "points: [[0.1, 0.1]",
        "cameras[0].views[0].zones[1].points",
        "no area",
    ),
    "corner in pixels": (
        "[[0.1, 0.1], [0.9, 0.1], [0.9, 0.4]]",
        "[[0.1, 0.1], [640, 0.1], [0.9, 0.4]]",
        "points: [[0.1, 0.1]",
        "cameras[0].views[0].zones[1].points[1][0]",
        "less than or equal to 1",
    ),
    "corner of three numbers": (
        "[0.9, 0.4]]",
        "[0.9, 0.4, 3]]",
        "points: [[0.1, 0.1]",
        "cameras[0].views[0].zones[1].points[2]",
        "at most 2",
    ),
    "rule with an unknown zone": (
        "zone: road",
        "zone: raod",
        "zone: raod",
        "cameras[0].views[0].rules[1].zone",
        "did you mean 'road'",
    ),
    "two cameras of one id": ("id: field-1", "id: street-1", "", "cameras[1].id", "taken by cameras[0]"),
    "two zones of one id": (
        "- id: road",
        "- id: kerb",
        "",
        "cameras[0].views[0].zones[1].id",
        "taken by zones[0]",
    ),
    "same rule twice": (
        "kind: blocked_road\n            zone: road\n            duration_s: 120",
        "kind: illegal_parking\n            zone: kerb",
        "",
        "cameras[0].views[0].rules[1]",
        "a second illegal_parking rule",
    ),
    "no cameras": ("", "", "", "cameras", "at least 1"),
    "missing clip": ("url: clip.mp4", "url: clap.mp4", "clap.mp4", "cameras[1].url", "no file or folder"),
    "missing models folder": (
        "models_dir: ./models",
        "models_dir: ./modles",
        "modles",
        "models_dir",
        "no folder",
    ),
    "missing model": (
        "min_confidence: 0.3",
        "model: smock",
        "smock",
        "cameras[1].views[0].rules[0].model",
        "no model 'smock'",
    ),
    "model not imported": (
        "min_confidence: 0.3",
        "model: ./net.onnx",
        "net.onnx",
        "cameras[1].views[0].rules[0].model",
        "import it first",
    ),
    "labels that the model lacks": (
        "min_confidence: 0.3",
        "labels: [fog]",
        "labels: [fog]",
        "cameras[1].views[0].rules[0].labels",
        "it knows smoke",
    ),
    "missing token file": ("file:token.txt", "file:tokken.txt", "tokken", "central.token", "cannot be read"),
    "unset variable": (
        "    password: env:TW_TEST_PASSWORD\n    decode",
        "    password: env:TW_NOT_SET\n    decode",
        "TW_NOT_SET",
        "cameras[0].password",
        "not set",
    ),
    "password written out": (
        "    password: env:TW_TEST_PASSWORD\n    decode",
        "    password: hunter2hunter2\n    decode",
        "hunter2",
        "cameras[0].password",
        "write env:NAME or file:/path",
    ),
    "password in the address": (
        "rtsp://127.0.0.1:8554",
        "rtsp://viewer:hunter2hunter2@127.0.0.1:8554",
        "rtsp://",
        "cameras[0].url",
        "holds a password",
    ),
    "user in the address": (
        "rtsp://127.0.0.1:8554",
        "rtsp://viewer@127.0.0.1:8554",
        "rtsp://",
        "cameras[0].url",
        "user name",
    ),
    "camera by http": (
        "rtsp://127.0.0.1:8554",
        "http://127.0.0.1:8554",
        "http://127.0.0.1:8554",
        "cameras[0].url",
        "rtsp://",
    ),
    "camera without a host": (
        "rtsp://127.0.0.1:8554/street.mp4",
        "rtsp:///street.mp4",
        "rtsp:///",
        "cameras[0].url",
        "names no host",
    ),
    "port of a camera": (
        "rtsp://127.0.0.1:8554",
        "rtsp://127.0.0.1:eight",
        "rtsp://",
        "cameras[0].url",
        "no address",
    ),
    "password without a user": (
        "    username: viewer\n",
        "",
        "- id: street-1",
        "cameras[0].username",
        "needs a user name",
    ),
    "central by ftp": (
        "url: http://127.0.0.1:8080",
        "url: ftp://127.0.0.1",
        "ftp",
        "central.url",
        "expected http://",
    ),
    "password in central's address": (
        "http://127.0.0.1:8080",
        "http://a:hunter2hunter2@127.0.0.1",
        "http://",
        "central.url",
        "token: env:NAME",
    ),
    "half a certificate": (
        "  username: box-1\n",
        "  tls: {ca: token.txt, certificate: token.txt}\n  username: box-1\n",
        "tls",
        "broker.tls.key",
        "come together",
    ),
    "missing certificate": (
        "  username: box-1\n",
        "  tls: {ca: ca.pem}\n  username: box-1\n",
        "tls",
        "broker.tls.ca",
        "no file",
    ),
    "legal time before stop time": (
        "legal_time_s: 300",
        "legal_time_s: 5",
        "legal_time_s",
        "cameras[0].views[0].rules[0].legal_time_s",
        "at least stop_time_s (15 s)",
    ),
    "negative time": (
        "stop_time_s: 15",
        "stop_time_s: -15",
        "stop_time_s",
        "cameras[0].views[0].rules[0].stop_time_s",
        "greater than or equal to 1",
    ),
    "duration of a moment": (
        "duration_s: 120",
        "duration_s: 1",
        "duration_s",
        "cameras[0].views[0].rules[1].duration_s",
        "greater than or equal to 10",
    ),
    "hour that does not exist": (
        "to: 22:00",
        "to: 25:00",
        "25:00",
        "cameras[0].views[0].rules[0].schedule.windows[0].to",
        "time of day",
    ),
    "window of nothing": (
        "to: 22:00",
        "to: 7:00",
        "to: 7:00",
        "cameras[0].views[0].rules[0].schedule.windows[0].to",
        "same as from",
    ),
    "weekday that does not exist": (
        "[mon, tue]",
        "[mon, tues]",
        "tues",
        "cameras[0].views[0].rules[0].schedule.windows[0].days[1]",
        "'tue'",
    ),
    "time zone that does not exist": ("Asia/Shanghai", "Asia/Shanghigh", "Shanghigh", "timezone", "IANA"),
    "decode that does not exist": (
        "decode: keyframes",
        "decode: keyframe",
        "decode",
        "cameras[0].decode",
        "keyframes, full or",
    ),
    "decode every zeroth": (
        "decode: keyframes",
        "decode: {every: 0}",
        "decode",
        "cameras[0].decode",
        "at least 1",
    ),
    "confidence in percent": (
        "min_confidence: 0.3",
        "min_confidence: 30",
        "min_confidence",
        "cameras[1].views[0].rules[0].min_confidence",
        "less than or equal to 1",
    ),
    "duplicate key": (
        "edge: box-1",
        "edge: box-1\nsite: other",
        "site: other",
        "site",
        "a second time, first in line 1",
    ),
    "tab": ("  host: 127.0.0.1", "\thost: 127.0.0.1", "\thost", "", "not valid YAML"),
    "open bracket": ("limits: {outbox_mib: 64,", "limits: {outbox_mib: 64", "", "", "not valid YAML"),
    "unknown alias": ("interval_s: 2", "interval_s: *two", "*two", "", "undefined alias"),
    "second document": ("cameras:", "---\ncameras:", "---", "", "single document"),
}


def broken(name: str) -> tuple[str, int | None]:
    old, new, marker, _, _ = BROKEN[name]
    text = (
        GOOD[: GOOD.index("cameras:")] + "cameras: []\n"
        if name == "no cameras"
        else GOOD.replace(old, new, 1)
    )
    assert text != GOOD
    line = next((n for n, row in enumerate(text.splitlines(), 1) if marker and marker in row), None)
    return text, line


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_configuration_is_one_line_with_file_line_key_and_what_is_right(
    folder: Path, name: str
) -> None:
    _, _, _, key, part = BROKEN[name]
    text, line = broken(name)
    path = write(folder, text)
    result = CliRunner().invoke(app, ["edge", "check", str(path)])
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert "hunter2" not in result.output
    rows = result.stderr.strip().splitlines()
    assert len(rows) == 1, rows
    place, _, rest = rows[0].partition(": ")
    assert place.startswith(f"{path}:")
    assert line is None or place == f"{path}:{line}", rows[0]
    assert not key or rest.startswith(f"{key}: "), rows[0]
    assert part in rest, rows[0]


def test_there_are_more_than_thirty_broken_configurations() -> None:
    assert len(BROKEN) >= 30


def test_several_problems_are_several_lines(folder: Path) -> None:
    text = GOOD.replace("interval_s: 2", "interval_s: two").replace("port: 1883", "port: 0")
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, text))
    assert [problem.key for problem in caught.value.problems] == ["broker.port", "cameras[0].interval_s"]


@pytest.mark.parametrize(
    ("data", "part"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"# only a remark\n", "is empty", id="only a remark"),
        pytest.param("site: café".encode("latin-1"), "UTF-8", id="latin-1"),
        pytest.param(b"- a\n- b\n", "expected keys and values, got a list", id="a list"),
        pytest.param(b"just words", "expected keys and values, got text", id="text"),
        pytest.param(b"site: \x00", "not valid YAML", id="control character"),
        pytest.param(b"site: &a [*a]", "without end", id="alias in itself"),
    ],
)
def test_what_is_no_configuration_at_all_is_told_in_one_line(folder: Path, data: bytes, part: str) -> None:
    path = folder / "edge.yaml"
    path.write_bytes(data)
    result = CliRunner().invoke(app, ["edge", "check", str(path)])
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert part in result.stderr


def test_a_missing_file_is_told(folder: Path) -> None:
    result = CliRunner().invoke(app, ["edge", "check", str(folder / "none.yaml")])
    assert result.exit_code == 2
    assert "none.yaml: cannot be read: No such file" in result.stderr


def test_a_good_configuration_is_frozen_and_absolute(folder: Path) -> None:
    config = load_config(write(folder, GOOD))
    street, field = config.cameras
    assert config.data_dir == (folder / "data").resolve()
    assert field.url == str((folder / "clip.mp4").resolve())
    assert not field.is_live
    assert street.is_live
    assert street.tz == ZoneInfo("Asia/Shanghai")
    assert config.model_names() == ("smoke", "vehicle")
    assert config.model_names(field) == ("smoke",)
    assert config.model_config_of("smoke").model == "smoke"
    assert config.model_config_of("vehicle").runtime == "auto"
    assert config.camera("field-1") is field
    assert street.view("fixed") is street.views[0]
    assert street.view("west") is None
    assert "s3cret-word" not in repr(config)
    assert "s3cret-word" not in config.model_dump_json()
    with pytest.raises(KeyError):
        config.camera("none")
    with pytest.raises(KeyError):
        street.views[0].zone("none")


def test_secrets_and_certificates_are_found_beside_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    config = load_config(write(folder, GOOD))
    assert config.central is not None
    assert config.central.token.reveal() == "token-of-the-box"


def test_anchors_and_merge_keys_share_rules_between_cameras(folder: Path) -> None:
    text = """\
site: riverside
edge: box-1
models_dir: models
cameras:
  - &first
    id: one
    url: clip.mp4
    views: &views
      - rules: [{kind: smoke}]
  - <<: *first
    id: two
  - id: three
    url: clip.mp4
    views: *views
"""
    config = load_config(write(folder, text))
    assert [camera.id for camera in config.cameras] == ["one", "two", "three"]
    assert config.cameras[1].url == config.cameras[0].url
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, text.replace("kind: smoke", "kind: smoke, windw: 3")))
    problems = caught.value.problems
    assert [problem.line for problem in problems] == [9, 9, 9]
    assert all("did you mean 'window'" in problem.message for problem in problems)


def test_a_time_of_day_needs_no_quotes(folder: Path) -> None:
    rule = load_config(write(folder, GOOD)).cameras[0].views[0].rules[0]
    assert rule.schedule is not None
    window = rule.schedule.windows[0]
    assert (timedelta(minutes=window.start), timedelta(minutes=window.end)) == (
        timedelta(hours=7),
        timedelta(hours=22),
    )


def test_broker_and_central_may_wait_until_the_box_runs(folder: Path) -> None:
    text = GOOD[: GOOD.index("broker:")] + GOOD[GOOD.index("limits:") :]
    config = load_config(write(folder, text))
    assert config.broker is None
    assert config.central is None

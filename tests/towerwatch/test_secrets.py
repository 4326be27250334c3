"""No secret is ever printed, and each wrong reference says what would be right."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from towerwatch.secrets import Secret, redact, resolve, url_with_credentials


def test_a_secret_prints_as_stars_everywhere() -> None:
    secret = Secret("hunter2hunter2")
    shown = [str(secret), repr(secret), f"{secret}", f"{[secret]}", json.dumps({"p": str(secret)})]
    assert not any("hunter2" in text for text in shown)
    assert secret.reveal() == "hunter2hunter2"


def test_a_secret_travels_between_processes_and_is_redacted_there() -> None:
    again = pickle.loads(pickle.dumps(Secret("travelling-secret")))
    assert again == Secret("travelling-secret")
    assert hash(again) == hash(Secret("travelling-secret"))
    assert redact("got travelling-secret") == "got ***"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("rtsp://admin:p%40ss@10.0.0.7/s", "rtsp://admin:***@10.0.0.7/s", id="url"),
        pytest.param("open rtsp://a:b@h failed", "open rtsp://a:***@h failed", id="url-in-a-sentence"),
        pytest.param("rtsp://u:p@ss@h/x", "rtsp://u:***@h/x", id="at-sign-in-password"),
        pytest.param("rtsp://:pw@h/x", "rtsp://:***@h/x", id="no-user"),
        pytest.param("rtsp://10.0.0.7:554/a", "rtsp://10.0.0.7:554/a", id="port-is-no-password"),
        pytest.param("mail a:b@c", "mail a:b@c", id="no-scheme-no-change"),
    ],
)
def test_passwords_in_urls_are_removed(text: str, expected: str) -> None:
    assert redact(text) == expected


@given(st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=4, max_size=40))
def test_whatever_the_secret_neither_it_nor_its_url_form_survives(value: str) -> None:
    secret = Secret(value)
    url = url_with_credentials("rtsp://cam.example/stream", "viewer", secret)
    assert value not in redact(f"plain {value} and {url}").replace("plain", "").replace(
        "and rtsp://viewer:", ""
    )
    assert redact(url) == "rtsp://viewer:***@cam.example/stream"


def test_credentials_go_into_a_url_only_where_a_library_needs_them() -> None:
    assert url_with_credentials("rtsp://h:554/a?x=1", "me@home", Secret("a/b:c@d")) == (
        "rtsp://me%40home:a%2Fb%3Ac%40d@h:554/a?x=1"
    )
    assert url_with_credentials("rtsp://h/a", None, None) == "rtsp://h/a"
    assert url_with_credentials("rtsp://h/a", "u", None) == "rtsp://u@h/a"


def test_a_reference_is_read_from_environment_or_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TW_TEST_SECRET", "from-environment")
    (tmp_path / "pw").write_text("from-file\n")
    assert resolve("env:TW_TEST_SECRET").reveal() == "from-environment"
    assert resolve(f"file:{tmp_path}/pw").reveal() == "from-file"


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        pytest.param("hunter2", "never the secret itself", id="the-secret-itself"),
        pytest.param("env:TW_NOT_SET_ANYWHERE", "TW_NOT_SET_ANYWHERE is not set", id="unset-variable"),
        pytest.param("file:/nowhere/pw", "/nowhere/pw cannot be read: No such file", id="absent-file"),
        pytest.param("env:", "never the secret itself", id="no-name"),
    ],
)
def test_a_wrong_reference_says_what_would_be_right(reference: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        resolve(reference)


@pytest.mark.parametrize(("content", "says"), [(b"\n", "is empty"), (b"\xff\xfe\x00", "not UTF-8 text")])
def test_an_unusable_secret_file_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "pw").write_bytes(content)
    with pytest.raises(ValueError, match=says):
        resolve(f"file:{tmp_path}/pw")


def test_a_model_field_resolves_and_never_serialises_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    class Login(BaseModel):
        password: Secret

    monkeypatch.setenv("TW_TEST_SECRET", "model-secret")
    login = Login.model_validate({"password": "env:TW_TEST_SECRET"})
    assert login.password.reveal() == "model-secret"
    assert login.model_dump_json() == '{"password":"***"}'
    assert Login(password=Secret("ready-made")).password.reveal() == "ready-made"
    with pytest.raises(ValidationError, match="never the secret itself"):
        Login.model_validate({"password": "plain-password"})

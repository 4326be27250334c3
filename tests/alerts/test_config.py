from pathlib import Path

import pytest

import configs
from alerts.config import CentralConfig, load_config
from towerwatch.errors import ConfigError

EXAMPLE = Path(configs.__file__).parent / "examples" / "central.yaml"


def test_everything_has_a_default_but_the_secrets(tmp_path):
    config = load_config(None, tmp_path)
    assert config.database_url() == f"sqlite:///{tmp_path}/central.db"
    assert (config.serve.host, config.serve.secure) == ("127.0.0.1", False)
    assert config.public_url() == "http://127.0.0.1:8080"


def test_the_example_is_good(monkeypatch):
    monkeypatch.setenv("TW_DATABASE_PASSWORD", "p@ss/word")
    monkeypatch.setenv("TW_WEBHOOK_SECRET", "shared secret")
    config = load_config(EXAMPLE)
    assert config.data_dir == EXAMPLE.parent / "central-data"
    assert config.broker.tls.ca == EXAMPLE.parent / "pki/ca.pem"
    assert config.database_url() == "postgresql://towerwatch:p%40ss%2Fword@db.internal/towerwatch"
    assert config.webhooks[0].secret.reveal() == "shared secret"
    assert config.serve.secure
    assert config.public_url() == "https://towerwatch.example.org"
    assert "p@ss" not in repr(config)


def test_a_secret_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("TW_DATABASE_PASSWORD", raising=False)
    monkeypatch.setenv("TW_WEBHOOK_SECRET", "shared secret")
    with pytest.raises(ConfigError, match=r"central\.yaml:7: database\.password: .*TW_DATABASE_PASSWORD"):
        load_config(EXAMPLE)


BROKEN = {
    "an unknown key": ("brokr: {}", ":1: brokr: unknown key; did you mean 'broker'"),
    "a port that is none": ("broker: {port: 0}", ":1: broker.port: "),
    "a password in the database address": ("database: {url: 'postgresql://a:b@c/d'}", "has a password in it"),
    "another database": ("database: {url: 'mysql://a/b'}", "mysql is not supported"),
    "no database address": ("database: {url: nonsense}", "is no database address"),
    "a time zone that is none": ("console: {timezone: Mars/Base}", "is no time zone"),
    "half a certificate": ("serve: {certificate: a.pem}", "certificate and key belong together"),
    "half a client certificate": ("broker: {tls: {ca: a, key: b}}", "certificate and key belong together"),
    "open to all without TLS": ("serve: {host: 0.0.0.0}", "reachable from outside"),
    "a webhook that is no address": (
        "webhooks: [{name: a, url: ftp://x, secret: 'env:HOME'}]",
        "no web address",
    ),
    "a webhook with a password": (
        "webhooks: [{name: a, url: 'http://a:b@c', secret: 'env:HOME'}]",
        "has a password in it",
    ),
    "a secret written down": (
        "webhooks: [{name: a, url: 'http://c', secret: swordfish}]",
        "never the secret itself",
    ),
    "two of one name": (
        "webhooks: [&w {name: a, url: 'http://c', secret: 'env:HOME'}, *w]",
        "two receivers of webhooks and notify are named 'a'",
    ),
    "data_dir is a file": ("data_dir: central.yaml", "data_dir: is not a folder"),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_named_with_what_would_be_right(tmp_path, text, message):
    file = tmp_path / "central.yaml"
    file.write_text(text + "\n")
    with pytest.raises(ConfigError) as error:
        load_config(file)
    assert message in str(error.value)
    assert str(file) in str(error.value)


def test_https_is_told_to_boxes(tmp_path):
    config = CentralConfig.model_validate({"serve": {"certificate": "a", "key": "b", "host": "10.0.0.1"}})
    assert config.public_url() == "https://10.0.0.1:8080"

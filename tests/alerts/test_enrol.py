import json
import stat

import pytest
from components import Mosquitto, free_port, wait_until
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from alerts.config import BrokerSettings, EnrolSettings, TlsFiles
from alerts.consume import Consumer
from alerts.enrol import Authority, edge_of_token, enrol, revoke, write_private
from alerts.services.errors import Conflict, Invalid, NotFound


def with_tls(config):
    return config.model_copy(update={"enrol": EnrolSettings(tls=True)})


def test_a_box_gets_all_it_needs_in_one_private_file(config, database, tmp_path):
    file = tmp_path / "box-1.enrol.json"
    enrol(database, with_tls(config), "box-1", "riverside", path=file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    read = json.loads(file.read_text())
    assert (read["schema_version"], read["site"], read["edge"]) == (1, "riverside", "box-1")
    certificate = x509.load_pem_x509_certificate(read["broker"]["certificate_pem"].encode())
    (name,) = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    assert name.value == read["broker"]["username"] == "box-1"
    authority = x509.load_pem_x509_certificate(read["broker"]["ca_pem"].encode())
    certificate.verify_directly_issued_by(authority)
    assert read["central"]["url"] == "http://127.0.0.1:8080"
    assert edge_of_token(database, read["central"]["token"]) == "box-1"


@pytest.mark.parametrize(
    ("central_uses_tls", "told", "certificate"),
    [
        pytest.param(False, {}, False, id="the plain listener of central"),
        pytest.param(True, {}, True, id="the TLS listener of central"),
        pytest.param(False, {"broker_port": 8883}, True, id="another port"),
        pytest.param(False, {"broker_host": "mqtt.example.org"}, True, id="another name"),
        pytest.param(False, {"tls": True}, True, id="asked for"),
        pytest.param(True, {"tls": False}, False, id="declined"),
    ],
)
def test_a_box_gets_a_certificate_where_its_broker_asks_for_one(
    config, sqlite, central_uses_tls, told, certificate
):
    broker = BrokerSettings(tls=TlsFiles(ca="ca.pem") if central_uses_tls else None)
    settings = config.model_copy(update={"broker": broker, "enrol": EnrolSettings(**told)})
    assert ("key_pem" in enrol(sqlite, settings, "box-1", "riverside")["broker"]) is certificate


def test_a_box_is_not_entered_where_its_file_cannot_be_written(config, database, tmp_path):
    with pytest.raises(FileNotFoundError):
        enrol(database, config, "box-1", "riverside", path=tmp_path / "nowhere" / "box-1.json")
    token = enrol(database, config, "box-1", "riverside", path=tmp_path / "box-1.json")["central"]["token"]
    assert edge_of_token(database, token) == "box-1"


def test_without_tls_there_is_no_certificate(config, sqlite):
    plain = config.model_copy(update={"enrol": EnrolSettings(tls=False, broker_host="mqtt", broker_port=99)})
    assert enrol(sqlite, plain, "box-1", "riverside")["broker"] == {"host": "mqtt", "port": 99}


def test_https_brings_the_authority_along(config, sqlite):
    public = config.model_copy(update={"enrol": EnrolSettings(central_url="https://central.example")})
    assert "BEGIN CERTIFICATE" in enrol(sqlite, public, "box-1", "riverside")["central"]["ca_pem"]


def test_enrolling_again_is_asked_for_and_ends_the_old_token(config, database):
    old = enrol(database, config, "box-1", "riverside")["central"]["token"]
    with pytest.raises(Conflict, match="--again"):
        enrol(database, config, "box-1", "riverside")
    new = enrol(database, config, "box-1", "riverside", again=True)["central"]["token"]
    assert edge_of_token(database, old) is None
    assert edge_of_token(database, new) == "box-1"
    with pytest.raises(Conflict, match="belongs to site riverside"):
        enrol(database, config, "box-1", "hill", again=True)


def test_a_revoked_box_is_nobody(config, database):
    token = enrol(database, config, "box-1", "riverside")["central"]["token"]
    revoke(database, "box-1")
    assert edge_of_token(database, token) is None
    with pytest.raises(NotFound):
        revoke(database, "box-9")


@pytest.mark.parametrize(
    ("edge", "site"), [("Box", "riverside"), ("box/1", "a"), ("box-1", "+"), ("box-1\n", "a")]
)
def test_ids_that_topics_cannot_carry_are_refused(config, sqlite, edge, site):
    with pytest.raises(Invalid, match="id"):
        enrol(sqlite, config, edge, site)


def test_the_authority_is_made_once_and_kept_private(tmp_path):
    authority = Authority(tmp_path / "authority")
    authority.open()
    first = authority.certificate_pem
    authority.open()
    assert authority.certificate_pem == first
    assert stat.S_IMODE((tmp_path / "authority" / "ca.key").stat().st_mode) == 0o600


def test_an_authority_of_another_kind_is_refused(tmp_path):
    authority = Authority(tmp_path / "authority")
    authority.open()
    key = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(tmp_path / "authority" / "ca.key", key)
    with pytest.raises(Invalid, match="no elliptic-curve key"):
        authority.issue("box-1")


def test_central_reaches_a_broker_with_certificates_of_its_own_authority(tmp_path, config, sqlite):
    """Mosquitto with TLS that asks for client certificates."""
    authority = Authority(tmp_path / "authority")
    authority.open()
    server, server_key = authority.issue("broker", hosts=("127.0.0.1", "localhost"))
    client, client_key = authority.issue("towerwatch-central")
    pki = tmp_path / "pki"
    pki.mkdir(mode=0o755)
    files = {"ca.pem": authority.certificate_pem, "server.pem": server, "server.key": server_key}
    for name, text in {**files, "client.pem": client, "client.key": client_key}.items():
        (pki / name).write_text(text)
        (pki / name).chmod(0o644)
    for parent in pki.parents:
        if str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    port = free_port()
    lines = [
        f"listener {port} 127.0.0.1",
        f"cafile {pki / 'ca.pem'}",
        f"certfile {pki / 'server.pem'}",
        f"keyfile {pki / 'server.key'}",
        "require_certificate true",
        "use_identity_as_username true",
    ]
    broker = Mosquitto(tmp_path / "m", port=port, lines=lines).start()
    tls = TlsFiles(ca=pki / "ca.pem", certificate=pki / "client.pem", key=pki / "client.key")
    settings = config.model_copy(update={"broker": BrokerSettings(port=port, tls=tls)})
    consumer = Consumer(settings, sqlite)
    consumer.start()
    try:
        wait_until(lambda: consumer.connected, what="connected by TLS")
    finally:
        assert consumer.stop(10)
        broker.stop()

import json
import shutil
import signal
import ssl
import stat
from contextlib import suppress

import paho.mqtt.client as mqtt
import pytest
from components import Mosquitto, free_port, wait_until
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import select

from alerts.config import BrokerSettings, EnrolSettings, TlsFiles
from alerts.consume import Consumer
from alerts.enrol import Authority, edge_of_token, enrol, revoke, write_private
from alerts.services.errors import Conflict, Invalid, NotFound
from alerts.store.tables import AuditRow


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
    assert revoke(database, config, "box-1") == config.data_dir / "authority" / "revoked.pem"
    assert edge_of_token(database, token) is None
    with pytest.raises(NotFound):
        revoke(database, config, "box-9")


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


@pytest.fixture
def tls_broker(tmp_path, config):
    """Mosquitto with TLS that asks for client certificates and reads the list of what is revoked."""
    authority = Authority(config.data_dir / "authority")
    authority.open()
    pki = tmp_path / "pki"
    pki.mkdir(mode=0o755)
    server, server_key = authority.issue("broker", hosts=("127.0.0.1", "localhost"))
    for name, text in {
        "server.pem": server,
        "server.key": server_key,
        "ca.pem": authority.certificate_pem,
    }.items():
        (pki / name).write_text(text)
    shutil.copy(authority.revoked_file, pki)
    for file in pki.iterdir():
        file.chmod(0o644)
    for parent in pki.parents:
        if str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    port = free_port()
    lines = [
        f"listener {port} 127.0.0.1",
        f"cafile {pki / 'ca.pem'}",
        f"certfile {pki / 'server.pem'}",
        f"keyfile {pki / 'server.key'}",
        f"crlfile {pki / 'revoked.pem'}",
        "require_certificate true",
        "use_identity_as_username true",
    ]
    broker = Mosquitto(tmp_path / "m", port=port, lines=lines).start()
    yield broker, pki
    broker.stop()


def test_central_reaches_a_broker_with_certificates_of_its_own_authority(tls_broker, config, sqlite):
    broker, pki = tls_broker
    client, client_key = Authority(config.data_dir / "authority").issue("towerwatch-central")
    (pki / "client.pem").write_text(client)
    (pki / "client.key").write_text(client_key)
    tls = TlsFiles(ca=pki / "ca.pem", certificate=pki / "client.pem", key=pki / "client.key")
    settings = config.model_copy(update={"broker": BrokerSettings(port=broker.port, tls=tls)})
    consumer = Consumer(settings, sqlite)
    consumer.start()
    try:
        wait_until(lambda: consumer.connected, what="connected by TLS")
    finally:
        assert consumer.stop(10)


def comes_in(bundle, port, folder):
    """Say whether a broker takes what an enrolment file holds."""
    (folder / "box.pem").write_text(bundle["broker"]["certificate_pem"])
    (folder / "box.key").write_text(bundle["broker"]["key_pem"])
    context = ssl.create_default_context(cadata=bundle["broker"]["ca_pem"])
    context.load_cert_chain(folder / "box.pem", folder / "box.key")
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.tls_set_context(context)
    with suppress(ssl.SSLError, OSError):  # with TLS 1.2 the handshake is refused, with 1.3 what follows it
        client.connect("localhost", port)
    said = mqtt.MQTTErrorCode.MQTT_ERR_SUCCESS
    while said == mqtt.MQTTErrorCode.MQTT_ERR_SUCCESS and not client.is_connected():
        said = client.loop(1)
    came_in = client.is_connected()
    client.disconnect()
    return came_in


def test_a_broker_refuses_the_certificate_of_a_revoked_box_once_it_has_read_the_list(
    tls_broker, config, sqlite, tmp_path
):
    broker, pki = tls_broker
    one, other, first = (
        enrol(sqlite, with_tls(config), box, "riverside") for box in ("box-1", "box-2", "box-3")
    )
    assert all(comes_in(bundle, broker.port, tmp_path) for bundle in (one, other, first))
    second = enrol(sqlite, with_tls(config), "box-3", "riverside", again=True)
    shutil.copy(revoke(sqlite, config, "box-1"), pki / "revoked.pem")
    broker.program.process.send_signal(signal.SIGHUP)
    wait_until(lambda: not comes_in(one, broker.port, tmp_path), what="the revoked box is refused")
    assert comes_in(other, broker.port, tmp_path)
    assert not comes_in(first, broker.port, tmp_path), "a certificate that was replaced"
    assert comes_in(second, broker.port, tmp_path)
    with sqlite.read() as session:
        actions = session.scalars(select(AuditRow.action).order_by(AuditRow.seq)).all()
    assert actions == ["box enrol"] * 4 + ["box revoke"]

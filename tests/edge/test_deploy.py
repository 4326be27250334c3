"""The example broker configuration and the units do what they say, on a real Mosquitto."""

from __future__ import annotations

import configparser
import os
import shutil
import ssl
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import components
import pytest
from edge_kit import add
from mqtt_peer import Peer

from edge.config import EdgeConfig
from edge.doctor import check_broker
from edge.links import BrokerLink
from edge.outbox import Outbox
from edge.publisher import Publisher, PublisherTerms
from edge.store import Store

DEPLOY = Path(str(resources.files("configs") / "deploy"))


@dataclass
class Secured:
    folder: Path
    port: int

    def link(self, name: str | None) -> BrokerLink:
        path = self.folder
        if name is None:
            return BrokerLink("localhost", self.port, ca=path / "ca.pem")
        return BrokerLink(
            "localhost",
            self.port,
            ca=path / "ca.pem",
            certificate=path / f"{name}.pem",
            key=path / f"{name}.key",
        )


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    enrol = pytest.importorskip("alerts.enrol", reason="the authority comes with the [central] extra")
    folder = tmp_path_factory.mktemp("secured")
    authority = enrol.Authority(folder / "authority")
    authority.open()
    (folder / "ca.pem").write_text(authority.certificate_pem)
    shutil.copy(authority.revoked_file, folder / "revoked.pem")
    for name, hosts in (("broker", ("localhost",)), ("box-1", ()), ("box-2", ()), ("towerwatch-central", ())):
        certificate, key = authority.issue(name, hosts=hosts)
        (folder / f"{name}.pem").write_text(certificate)
        (folder / f"{name}.key").write_text(key)
    port = components.free_port()
    text = (DEPLOY / "mosquitto.conf").read_text()
    shutil.copy(DEPLOY / "acl", folder / "acl")
    text = text.replace("/etc/mosquitto/towerwatch", str(folder)).replace(
        "listener 8883", f"listener {port} 127.0.0.1"
    )
    text = text.replace("/var/lib/mosquitto/", f"{folder}/").replace("log_dest syslog", "log_dest stderr")
    # our own line, because the rig adds max_queued_messages for itself
    lines = [line for line in text.splitlines() if not line.startswith("max_queued_messages")]
    if os.geteuid() == 0:
        lines.append("user root")
    broker = components.Mosquitto(folder / "mosquitto", port=port, lines=lines)
    with components.started(broker):
        yield Secured(folder, port)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[tuple[Store, Outbox]]:
    with Store(tmp_path) as store:
        yield store, Outbox(store, 1 << 20)


def publisher(outbox: Outbox, link: BrokerLink, edge: str) -> Publisher:
    return Publisher(
        link, "riverside", edge, outbox, boot_id=uuid.uuid4().hex, version="test", on_command=lambda _c: None,
        terms=PublisherTerms(resend_first_s=0.5, resend_cap_s=1, reconnect_first_s=0.05, reconnect_cap_s=0.1),
    )  # fmt: skip


def central(secured: Secured) -> Peer:
    context = ssl.create_default_context(cafile=str(secured.folder / "ca.pem"))
    name = secured.folder / "towerwatch-central"
    context.load_cert_chain(f"{name}.pem", f"{name}.key")
    return Peer(secured.port, acks=True, tls=context)


def test_a_box_publishes_under_its_own_id_and_central_acks_it(
    secured: Secured, outbox: tuple[Store, Outbox]
) -> None:
    made = add(*outbox)
    peer = central(secured)
    sender = publisher(outbox[1], secured.link("box-1"), "box-1")
    sender.start()
    components.wait_until(lambda: not outbox[1].sequences(10), what="acked")
    assert sender.stop(5)
    peer.close()
    assert {one.alert_id for one in peer.alerts()} == {made.alert_id}
    assert sender.refused_messages == 0


def test_a_box_cannot_publish_under_another_id(secured: Secured, outbox: tuple[Store, Outbox]) -> None:
    add(*outbox)
    peer = central(secured)
    sender = publisher(outbox[1], secured.link("box-2"), "box-1")
    sender.start()
    components.wait_until(lambda: sender.refused_messages >= 2, what="refused by the ACL")
    assert sender.stop(5)
    peer.close()
    assert not peer.alerts()
    assert len(outbox[1].sequences(10)) == 1


def test_without_a_certificate_nobody_comes_in(secured: Secured, outbox: tuple[Store, Outbox]) -> None:
    sender = publisher(outbox[1], secured.link(None), "box-1")
    sender.start()
    config = EdgeConfig.model_construct(site="riverside", edge="box-1")
    with pytest.raises(OSError):  # noqa: PT011 - TLS alert or closed connection, as the versions have it
        check_broker(config, secured.link(None))
    assert "accepted" in check_broker(config, secured.link("box-1"))
    assert not sender.online
    assert sender.stop(5)


@pytest.mark.parametrize("name", ["towerwatch-edge.service", "towerwatch-central.service"])
def test_units_are_sound_and_start_commands_that_exist(name: str, tmp_path: Path) -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[method-assign,assignment]
    unit.read(DEPLOY / name)
    words = unit["Service"]["ExecStart"].split()
    help_text = subprocess.run(
        components.towerwatch(words[1], words[2], "--help"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    for option in [word for word in words if word.startswith("--")]:
        assert option in help_text
    if shutil.which("systemd-analyze"):
        copy = tmp_path / name
        copy.write_text((DEPLOY / name).read_text().replace("/opt/towerwatch/bin/towerwatch", "/bin/true"))
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(copy)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        ours = [line for line in done.stderr.splitlines() if name in line and "User" not in line]
        assert not ours

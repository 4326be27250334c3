"""Alerts leave over a real broker, come back as acks, and survive brokers that die or refuse."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import components
import pytest
from edge_kit import add, message
from mqtt_peer import Peer

from alerts.messages import CommandMessage, ReplyMessage, encode
from edge.links import BrokerLink
from edge.outbox import Outbox
from edge.publisher import MAX_POSTS, Publisher, PublisherTerms
from edge.store import Store
from towerwatch.secrets import Secret
from towerwatch.timebase import utc_now

FAST = PublisherTerms(
    window=20,
    resend_first_s=0.6,
    resend_cap_s=2.0,
    reconnect_first_s=0.1,
    reconnect_cap_s=0.3,
    historical_after_s=60,
)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[tuple[Store, Outbox]]:
    with Store(tmp_path / "data") as store:
        yield store, Outbox(store, 64 << 20)


def publisher(
    outbox: Outbox,
    port: int,
    *,
    on_command: Callable[[CommandMessage], None] = lambda _command: None,
    **link: object,
) -> Publisher:
    return Publisher(
        BrokerLink("127.0.0.1", port, **link),  # type: ignore[arg-type]
        "riverside",
        "box-1",
        outbox,
        boot_id=uuid.uuid4().hex,
        version="test",
        on_command=on_command,
        terms=FAST,
    )


def test_a_row_leaves_on_centrals_ack_and_not_on_the_brokers(
    mosquitto: components.Mosquitto, box: tuple[Store, Outbox]
) -> None:
    store, outbox = box
    made = [add(store, outbox) for _ in range(50)]
    peer = Peer(mosquitto.port, acks=False)
    sender = publisher(outbox, mosquitto.port)
    sender.start()
    try:
        components.wait_until(lambda: len({one.alert_id for one in peer.alerts()}) == FAST.window)
        assert len(outbox.sequences(100)) == 50, "the broker has confirmed, central has not"
        # sent again after a while, without any reconnect, and never beyond the window
        components.wait_until(lambda: len(peer.alerts()) >= 2 * FAST.window)
        assert {one.outbox_seq for one in peer.alerts()} == set(range(1, FAST.window + 1))
        peer.acks = True
        peer.ack(store.outbox_id, *range(1, FAST.window + 1))
        components.wait_until(lambda: not outbox.sequences(100), what="outbox empty")
        assert {one.alert_id for one in peer.alerts()} == {one.alert_id for one in made}
        assert not any(one.historical for one in peer.alerts())
    finally:
        assert sender.stop(5)
        peer.close()


def test_status_is_retained_online_then_offline_in_good_order(
    mosquitto: components.Mosquitto, box: tuple[Store, Outbox]
) -> None:
    peer = Peer(mosquitto.port, acks=True)
    sender = publisher(box[1], mosquitto.port)
    sender.start()
    components.wait_until(lambda: peer.statuses() == [True])
    assert sender.online
    assert sender.stop(5)
    components.wait_until(lambda: peer.statuses() == [True, False])
    peer.close()
    late = Peer(mosquitto.port, acks=True)
    components.wait_until(lambda: late.statuses() == [False], what="retained status")
    late.close()


def test_everything_arrives_although_the_broker_is_killed_in_between(
    mosquitto: components.Mosquitto, box: tuple[Store, Outbox]
) -> None:
    store, outbox = box
    sender = publisher(outbox, mosquitto.port)
    sender.start()
    components.wait_until(lambda: sender.online)
    made = [add(store, outbox) for _ in range(30)]
    sender.wake()
    assert mosquitto.program is not None
    mosquitto.program.kill(signal.SIGKILL)
    made += [add(store, outbox) for _ in range(30)]
    components.wait_until(lambda: not sender.online)
    mosquitto.start()
    peer = Peer(mosquitto.port, acks=True)
    try:
        components.wait_until(lambda: not outbox.sequences(100), what="outbox empty")
        assert {one.alert_id for one in peer.alerts()} == {one.alert_id for one in made}
    finally:
        assert sender.stop(5)
        peer.close()


def test_1600_messages_survive_a_broker_killed_while_central_was_away(
    mosquitto: components.Mosquitto, box: tuple[Store, Outbox]
) -> None:
    store, outbox = box
    with store.transaction() as connection:
        made = [message(outbox, outbox.reserve(connection)) for _ in range(1600)]
        for one in made:
            outbox.put(connection, one)
    sender = publisher(outbox, mosquitto.port)
    sender.start()
    components.wait_until(lambda: sender.online)
    assert mosquitto.program is not None
    mosquitto.program.kill(signal.SIGKILL)
    mosquitto.start()
    peer = Peer(mosquitto.port, acks=True)
    components.wait_until(lambda: not outbox.sequences(1), 60, "outbox empty")
    assert sender.stop(5)
    peer.close()
    assert {one.alert_id for one in peer.alerts()} == {one.alert_id for one in made}


def test_what_was_held_back_is_marked_historical(
    mosquitto: components.Mosquitto, box: tuple[Store, Outbox]
) -> None:
    store, outbox = box
    add(store, outbox)
    with store.transaction() as connection:
        connection.execute("UPDATE outbox SET created_mono = created_mono - 3600")
    add(store, outbox)
    peer = Peer(mosquitto.port, acks=True)
    sender = publisher(outbox, mosquitto.port)
    sender.start()
    components.wait_until(lambda: not outbox.sequences(10))
    assert sender.stop(5)
    peer.close()
    assert {one.outbox_seq: one.historical for one in peer.alerts()} == {1: True, 2: False}


def test_commands_come_in_replies_go_out_and_nonsense_harms_nobody(
    mosquitto: components.Mosquitto, box: tuple[Store, Outbox]
) -> None:
    commands: list[CommandMessage] = []
    peer = Peer(mosquitto.port, acks=True)
    sender = publisher(box[1], mosquitto.port, on_command=commands.append)
    sender.start()
    try:
        components.wait_until(lambda: sender.online and peer.statuses())
        for channel in ("ack", "command"):
            for junk in (b"", b"{", b"\xff\xfe", b"[]", b'{"schema_version": 9}', b"x" * 20_000):
                peer.send(channel, junk)
        command = CommandMessage(command_id=uuid.uuid4().hex, at=utc_now(), name="reconcile")
        peer.send("command", command)
        components.wait_until(lambda: commands == [command])
        reply = ReplyMessage(command_id=command.command_id, at=utc_now(), ok=True)
        sender.post("reply", encode(reply), qos=1)
        components.wait_until(lambda: peer.replies() == [reply])
    finally:
        assert sender.stop(5)
        peer.close()


def test_a_reply_outlasts_the_health_of_a_long_outage(
    mosquitto: components.Mosquitto, box: tuple[Store, Outbox]
) -> None:
    peer = Peer(mosquitto.port, acks=True)
    sender = publisher(box[1], mosquitto.port)
    reply = ReplyMessage(command_id=uuid.uuid4().hex, at=utc_now(), ok=True)
    sender.post("reply", encode(reply), qos=1)
    for _ in range(10 * MAX_POSTS):  # hours of it, before the broker is there
        sender.post("health", b"", qos=0)
    sender.start()
    try:
        components.wait_until(lambda: peer.replies() == [reply])
    finally:
        assert sender.stop(5)
        peer.close()


def test_a_command_given_while_the_box_was_away_still_comes(
    mosquitto: components.Mosquitto, box: tuple[Store, Outbox]
) -> None:
    commands: list[CommandMessage] = []
    peer = Peer(mosquitto.port, acks=True)
    for away in (True, False):
        sender = publisher(box[1], mosquitto.port, on_command=commands.append)
        sender.start()
        components.wait_until(lambda sender=sender: sender.online)
        if away:
            components.wait_until(lambda: peer.statuses() == [True])
            assert sender.stop(5)
            command = CommandMessage(command_id=uuid.uuid4().hex, at=utc_now(), name="reconcile")
            peer.send("command", command)
            components.wait_until(lambda: peer.statuses() == [True, False])
    components.wait_until(lambda: commands == [command])
    assert sender.stop(5)
    peer.close()


def test_a_broker_that_refuses_or_is_away_is_tried_again_and_a_stop_does_not_hang(
    box: tuple[Store, Outbox], tmp_path: Path
) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text("box-1:right-password\n")
    passwords.chmod(0o600)
    port = components.free_port()
    sender = publisher(box[1], port, username="box-1", password=Secret("right-password"))
    sender.start()
    wrong = publisher(box[1], port, username="box-1", password=Secret("wrong-password"))
    wrong.start()
    tool = components.need_program("mosquitto_passwd", "mosquitto", "/usr/bin/mosquitto_passwd")
    subprocess.run([tool, "-U", str(passwords)], check=True, timeout=10)
    passwords.chmod(0o644)
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous false", f"password_file {passwords}", "user root"]
    broker = components.Mosquitto(tmp_path / "secured", port=port, lines=lines)
    try:
        with components.started(broker):
            components.wait_until(lambda: sender.online, what="the right password lets in")
            assert not wrong.online
    finally:
        assert wrong.stop(5)
        assert sender.stop(5)


def test_it_works_with_the_embedded_broker(box: tuple[Store, Outbox], tmp_path: Path) -> None:
    pytest.importorskip("iotcore", reason="the embedded broker comes with the [demo] extra")
    store, outbox = box
    port = components.free_port()
    code = (
        "import sys\nfrom alerts.broker import EmbeddedBroker\n"
        "broker = EmbeddedBroker(int(sys.argv[1]))\nbroker.start()\nsys.stdin.read()\n"
    )
    pytest.importorskip("alerts.broker")
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        components.wait_until(lambda: components.port_open(port) or child.poll() is not None)
        assert child.poll() is None, "embedded broker ended"
        made = [add(store, outbox) for _ in range(40)]
        peer = Peer(port, acks=True)
        sender = publisher(outbox, port)
        sender.start()
        components.wait_until(lambda: not outbox.sequences(100), what="outbox empty")
        assert {one.alert_id for one in peer.alerts()} == {one.alert_id for one in made}
        assert sender.stop(5)
        peer.close()
    finally:
        child.kill()
        child.communicate(timeout=10)


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["silence", "another protocol"]
)
def test_what_is_no_broker_is_given_up_and_tried_again(box: tuple[Store, Outbox], answer: bytes) -> None:
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        sender = Publisher(
            BrokerLink("127.0.0.1", server.getsockname()[1]), "riverside", "box-1", box[1],
            boot_id="0" * 32, version="test", on_command=lambda _command: None,
            terms=PublisherTerms(connack_timeout_s=0.3, reconnect_first_s=0.05, reconnect_cap_s=0.1),
        )  # fmt: skip
        sender.start()
        deadline = time.monotonic() + 10
        while len(connections) < 3 and time.monotonic() < deadline:
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            connection.sendall(answer)
            connections.append(connection)
        assert sender.stop(5)
        for connection in connections:
            connection.close()
    assert len(connections) == 3
    assert not sender.online


def test_the_password_is_in_no_log(
    mosquitto: components.Mosquitto, box: tuple[Store, Outbox], caplog: pytest.LogCaptureFixture
) -> None:
    sender = publisher(box[1], mosquitto.port, username="box-1", password=Secret("xyzzy-not-in-logs"))
    sender.start()
    components.wait_until(lambda: sender.online)
    assert sender.stop(5)
    assert "xyzzy" not in json.dumps([record.getMessage() for record in caplog.records])

"""The contract over real brokers: Mosquitto, and the embedded one."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator

import paho.mqtt.client as mqtt
import pytest
from central_kit import OUTBOX, alert, health, hex_id, incoming, status
from components import Mosquitto, free_port, port_open, wait_until
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions
from sqlalchemy import select

from alerts import commands, consume
from alerts.broker import BrokerError, EmbeddedBroker
from alerts.broker_part import BrokerPart
from alerts.config import BrokerSettings, CentralConfig, TlsFiles, WatchSettings
from alerts.consume import Consumer
from alerts.enrol import Authority
from alerts.inbox import DatabaseAway, Inbox
from alerts.leader import Leadership
from alerts.messages import AckMessage, decode, encode
from alerts.store.database import Database
from alerts.store.tables import Command, Edge, InboxRow
from alerts.topics import Address
from towerwatch.errors import ConfigError
from towerwatch.secrets import Secret


class Box:
    """An edge box as the broker sees it: persistent session, last will, what it is sent in queues."""

    def __init__(self, port: int, edge: str = "box-1") -> None:
        self.edge = edge
        self.heard: dict[str, queue.Queue[bytes]] = {"ack": queue.Queue(), "command": queue.Queue()}
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=edge, protocol=mqtt.MQTTv5)
        self.client.will_set(self.topic("status"), encode(status(online=False)), qos=1, retain=True)
        self.client.on_message = lambda _c, _d, m: self.heard[m.topic.rsplit("/", 1)[1]].put(m.payload)
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 600
        self.client.connect("127.0.0.1", port, clean_start=False, properties=properties)
        self.client.loop_start()
        for channel in self.heard:
            self.client.subscribe(self.topic(channel), options=SubscribeOptions(qos=1))

    def topic(self, channel: str) -> str:
        return str(Address("riverside", self.edge, channel))

    def say(self, message, channel: str = "alert", *, retain: bool = False) -> None:
        payload = message if isinstance(message, bytes) else encode(message)
        self.client.publish(self.topic(channel), payload, qos=1, retain=retain).wait_for_publish(10)

    def acked(self, count: int) -> set[int]:
        """Wait until ``count`` sequences are acknowledged."""
        sequences: set[int] = set()
        while len(sequences) < count:
            message = decode("ack", self.heard["ack"].get(timeout=15))
            assert isinstance(message, AckMessage)
            assert message.outbox_id == OUTBOX
            sequences |= set(message.sequences)
        return sequences

    def vanish(self) -> None:
        """Lose the connection without a word."""
        self.client._sock_close()
        self.client.loop_stop()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture(params=["mosquitto", "embedded"])
def broker_port(request) -> Iterator[int]:
    if request.param == "mosquitto":
        yield request.getfixturevalue("mosquitto").port
        return
    broker = EmbeddedBroker(free_port())
    broker.start()
    yield broker.port
    broker.stop()


def settings(config: CentralConfig, port: int, **changes) -> CentralConfig:
    return config.model_copy(update={"broker": BrokerSettings(port=port, keepalive_s=5), **changes})


@pytest.fixture
def box(broker_port) -> Iterator[Box]:
    made = Box(broker_port)
    yield made
    made.close()


@pytest.fixture
def consumer(config, broker_port, sqlite) -> Iterator[Consumer]:
    made = Consumer(settings(config, broker_port), sqlite)
    made.start()
    wait_until(lambda: made.connected, what="consumer connected")
    yield made
    assert made.stop(10)


def inbox_count(database) -> int:
    with database.read() as session:
        return len(session.scalars(select(InboxRow.id)).all())


def test_what_is_published_is_committed_and_acknowledged(consumer, box, sqlite):
    numbers = range(1, 301)
    for number in numbers:
        box.say(alert(f"a{number}", outbox_seq=number))
    assert box.acked(300) == set(numbers)
    assert inbox_count(sqlite) == 300
    assert consumer.alive()
    assert consumer.report()["committed"] >= 300


def test_poison_is_acknowledged_to_the_box_and_does_not_stop_what_follows(consumer, box, sqlite):
    box.say(encode(alert(outbox_seq=1)).replace(b'"rule"', b'"rulez"'))
    box.say(b"\xff not even JSON")
    box.say(alert("good", outbox_seq=2))
    assert box.acked(2) == {1, 2}
    assert inbox_count(sqlite) == 1


def test_what_comes_while_central_is_away_comes_when_it_is_back(config, broker_port, box, sqlite):
    first = Consumer(settings(config, broker_port), sqlite)
    first.start()
    wait_until(lambda: first.connected)
    assert first.stop(10)
    for number in range(1, 101):
        box.say(alert(f"a{number}", outbox_seq=number))
    second = Consumer(settings(config, broker_port), sqlite)
    second.start()
    try:
        assert box.acked(100) == set(range(1, 101))
    finally:
        assert second.stop(10)


def test_the_last_will_of_a_box_that_vanishes_is_retained(consumer, broker_port, box, sqlite, config):
    def online():
        with sqlite.read() as session:
            edge = session.get(Edge, "box-1")
            return edge and edge.online

    box.say(status(online=True), "status", retain=True)
    wait_until(online, what="online")
    box.vanish()
    wait_until(lambda: online() is False, what="offline")
    heard: queue.Queue[mqtt.MQTTMessage] = queue.Queue()
    late = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    late.on_message = lambda _c, _d, message: heard.put(message)
    late.connect("127.0.0.1", broker_port)
    late.loop_start()
    try:
        late.subscribe(box.topic("status"), 1)
        message = heard.get(timeout=10)
        assert message.retain
        assert b'"online":false' in message.payload
    finally:
        late.disconnect()
        late.loop_stop()


def test_nothing_is_acknowledged_that_is_not_committed(config, broker_port, box, sqlite, monkeypatch):
    """The database is away twice; the batch is kept, tried again, and acknowledged once it is in."""
    consumer = Consumer(settings(config, broker_port), sqlite)
    commit, failures = consumer._inbox.commit, iter([True, True])
    acks_before_commit: list[int] = []

    def flaky(batch):
        if any(b'"alert_id"' in raw.payload for raw in batch) and next(failures, False):
            acks_before_commit.append(box.heard["ack"].qsize())
            raise DatabaseAway("gone")
        return commit(batch)

    monkeypatch.setattr(consumer._inbox, "commit", flaky)
    consumer.start()
    try:
        wait_until(lambda: consumer.connected)
        box.say(alert(outbox_seq=1))
        assert box.acked(1) == {1}
    finally:
        assert consumer.stop(10)
    assert acks_before_commit == [0, 0]


def test_a_consumer_stopped_while_the_database_is_away_stops_and_leaves_it_to_the_next(
    config, broker_port, box, sqlite, monkeypatch
):
    consumer = Consumer(settings(config, broker_port), sqlite)
    tried = []

    def away(batch):
        tried.append(batch)
        raise DatabaseAway("gone")

    monkeypatch.setattr(consumer._inbox, "commit", away)
    consumer.start()
    wait_until(lambda: consumer.connected)
    box.say(alert(outbox_seq=1))
    wait_until(lambda: tried)
    assert consumer.stop(10)
    after = Consumer(settings(config, broker_port), sqlite)
    after.start()
    try:
        assert box.acked(1) == {1}
    finally:
        assert after.stop(10)


def test_a_command_reaches_the_box_once(consumer, box, sqlite):
    box.say(status(online=True), "status", retain=True)
    for _round in range(2):
        box.say(health(open_alerts=(hex_id("unknown"),)), "health")
    message = decode("command", box.heard["command"].get(timeout=15))
    assert message.name == "reconcile"

    def sent():
        with sqlite.read() as session:
            return [row for row in session.scalars(select(Command)) if row.sent_at]

    wait_until(sent)
    assert box.heard["command"].empty()


class Broker:
    """A client whose broker confirms when it is told to."""

    def __init__(self):
        self.infos = []

    def publish(self, _topic, _payload, qos):
        assert qos == 1
        self.infos.append(mqtt.MQTTMessageInfo(len(self.infos)))
        return self.infos[-1]


def test_a_command_that_is_not_confirmed_is_published_once(config, sqlite):
    consumer, broker = Consumer(config, sqlite), Broker()
    Inbox(sqlite).commit([incoming(health(), "health")])
    with sqlite.write() as session:
        commands.order(session, "box-1", "reconcile", {})
    for _turn in range(5):
        consumer._publish_commands(broker)
    assert len(broker.infos) == 1
    # the client says that it never went out: it goes out anew
    broker.infos[0].rc = mqtt.MQTT_ERR_NO_CONN
    consumer._publish_commands(broker)
    assert len(broker.infos) == 2
    broker.infos[1]._set_as_published()
    consumer._publish_commands(broker)
    assert commands.unsent(sqlite) == []
    assert consumer._sending == {}


def test_a_silent_box_is_noticed(config, broker_port, sqlite):
    watch = WatchSettings(health_missing_s=0.2, offline_grace_s=0.1)
    consumer = Consumer(settings(config, broker_port, watch=watch), sqlite)
    Inbox(sqlite).commit([incoming(health(), "health")])
    consumer.start()
    try:
        wait_until(lambda: inbox_count(sqlite), what="edge_silent in the inbox")
    finally:
        assert consumer.stop(10)


def test_a_broker_that_was_killed_is_found_again(tmp_path, config, sqlite):
    broker = Mosquitto(tmp_path / "m").start()
    consumer = Consumer(settings(config, broker.port), sqlite)
    consumer.start()
    try:
        wait_until(lambda: consumer.connected)
        broker.kill()
        wait_until(lambda: not consumer.connected)
        broker.start()
        wait_until(lambda: consumer.connected, 30)
        box = Box(broker.port)
        box.say(alert(outbox_seq=1))
        assert box.acked(1) == {1}
        box.close()
    finally:
        assert consumer.stop(10)
        broker.stop()


def test_health_that_comes_too_fast_is_dropped_and_counted(config, sqlite, monkeypatch):
    monkeypatch.setattr(consume, "MAX_WAITING_QOS0", 1)
    consumer = Consumer(config, sqlite)
    for _ in range(3):
        message = mqtt.MQTTMessage(topic=b"towerwatch/v1/a/b/health")
        consumer._on_message(mqtt.Client(CallbackAPIVersion.VERSION2), None, message)
    assert consumer.report()["dropped_qos0"] == 2


def test_a_refusal_of_the_broker_is_no_connection(config, sqlite):
    consumer = Consumer(config, sqlite)
    client = consumer._make_client()
    refused = mqtt.ReasonCode(PacketTypes.CONNACK, "Not authorized")
    consumer._on_connect(client, None, None, refused, None)
    consumer._on_subscribe(client, None, 1, [mqtt.ReasonCode(PacketTypes.SUBACK, "Not authorized")], None)
    assert not consumer.connected
    assert consumer.stop(1)
    assert not consumer.alive()


def test_credentials_and_certificates_reach_the_library(config, sqlite, tmp_path):
    authority = Authority(tmp_path / "authority")
    authority.open()
    certificate, key = authority.issue("towerwatch-central")
    files = {"ca": authority.certificate_pem, "cert": certificate, "key": key}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    tls = TlsFiles(ca=tmp_path / "ca", certificate=tmp_path / "cert", key=tmp_path / "key")
    broker = BrokerSettings(username="central", password=Secret("open sesame"), tls=tls)
    client = Consumer(config.model_copy(update={"broker": broker}), sqlite)._make_client()
    assert client.username == "central"
    assert client._ssl_context is not None


def test_the_embedded_broker_starts_stops_and_starts_again(tmp_path):
    part = BrokerPart(BrokerSettings(port=free_port()))
    assert not part.alive()
    for _ in range(2):
        part.start()
        assert part.alive()
        assert part.stop(5)
        assert part.stop(5)


def test_the_embedded_broker_is_for_loopback_alone():
    with pytest.raises(ConfigError, match=r"knows no users"):
        EmbeddedBroker(1883, "0.0.0.0")


def test_a_taken_port_of_the_embedded_broker_is_named(mosquitto):
    with pytest.raises(BrokerError, match=str(mosquitto.port)):
        EmbeddedBroker(mosquitto.port).start()


def test_a_dead_embedded_broker_is_seen(tmp_path):
    broker = EmbeddedBroker(free_port())
    broker.start()
    broker._process._process.send_signal(signal.SIGKILL)
    wait_until(lambda: not broker.alive())
    broker.stop()


def test_an_embedded_broker_that_is_killed_leaves_nothing_behind(tmp_path):
    port = free_port()
    script = (
        "import sys\nfrom alerts.broker import EmbeddedBroker\n"
        f"EmbeddedBroker({port}).start()\nsys.stdin.read()\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as program:
        assert b"listening" in program.stdout.readline()
        assert port_open(port)
        program.kill()
    wait_until(lambda: not port_open(port), what="the broker's end")
    assert list(tmp_path.iterdir()) == []


def test_another_consumer_takes_over_when_the_one_that_leads_is_gone(
    config, mosquitto, migrated_postgres, postgres, monkeypatch
):
    monkeypatch.setattr(consume, "STANDBY_S", 0.05)
    name = "two_consumers"
    postgres.sql(f'CREATE DATABASE "{name}" TEMPLATE "{migrated_postgres}"')
    url = f"postgresql+psycopg://towerwatch@127.0.0.1:{postgres.port}/{name}"
    databases = [Database(url), Database(url)]
    first, second = (Consumer(settings(config, mosquitto.port), database) for database in databases)
    box = Box(mosquitto.port)
    try:
        first.start()
        wait_until(lambda: first.connected, what="the first leads")
        second.start()
        box.say(alert("one", outbox_seq=1))
        assert box.acked(1) == {1}
        assert not second.connected
        assert first.stop(10)  # its session stays at the broker, and with it what comes now
        box.say(alert("two", outbox_seq=2))
        wait_until(lambda: second.connected, what="the second leads")
        assert box.acked(1) == {2}
        assert inbox_count(databases[1]) == 2
    finally:
        box.close()
        for consumer in (first, second):
            consumer.stop(10)
        for database in databases:
            database.close()


def test_one_whose_connection_broke_leads_again_unless_another_does(postgres):
    url = postgres.new_database("leading")
    databases = [Database(url), Database(url)]
    one, other = (Leadership(database, "it") for database in databases)
    try:
        assert [one.held(), other.held(), one.held()] == [True, False, True]
        postgres.sql("SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory'")
        assert [one.held(), other.held()] == [True, False]
        postgres.sql("SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory'")
        assert [other.held(), one.held()] == [True, False]
    finally:
        for leadership in (one, other):
            leadership.give_up()
        for database in databases:
            database.close()

"""``central consume``: take messages from the broker, commit them, and only then acknowledge them.

The broker is told (PUBACK) and the box is told (``…/ack``) after the commit. What is not committed when this
process dies is sent again by the broker, whose session outlives us, or else by the box. Of several consumers
of one PostgreSQL one leads; when it is gone another takes its session over.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions
from sqlalchemy.exc import DBAPIError

from alerts import commands
from alerts.clock import JumpWatch
from alerts.config import CentralConfig
from alerts.inbox import Acknowledged, DatabaseAway, Inbox, Incoming
from alerts.leader import Leadership
from alerts.messages import AckMessage, encode
from alerts.parts import BEAT_S, beat
from alerts.silence import open_silences
from alerts.store.database import Database
from alerts.thread_part import ThreadPart
from alerts.tls import check_files
from alerts.topics import Address, Channel, wildcard
from towerwatch.logs import get_logger
from towerwatch.timebase import utc_now

CHANNELS: tuple[Channel, ...] = ("alert", "status", "health", "reply")
MAX_WAITING_QOS0 = 20_000
MAX_SEQUENCES = 1000  # as the contract allows in one ack
# each second: there is one of us, and what boxes say to a broker that has lost our session is heard by nobody
RECONNECT_S = (1, 1)
IDLE_S = 0.25
STANDBY_S = 1.0  # how often the lead is looked at

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """A message and what acknowledging it takes; ``connection`` counts connections of this client."""

    raw: Incoming
    mid: int
    qos: int
    connection: int


class Consumer(ThreadPart):
    """The one thread between broker and inbox; paho's own thread only fills its queue."""

    def __init__(
        self, config: CentralConfig, database: Database, *, on_commit: Callable[[], None] = lambda: None
    ) -> None:
        """Keep what it needs; ``on_commit`` is called after each commit that may hold alerts."""
        super().__init__("consume")
        self._config = config
        self._database = database
        self._leadership = Leadership(database, "consume")
        self._leads = False
        self._inbox = Inbox(database, lost_after_rounds=config.watch.lost_after_rounds)
        self._on_commit = on_commit
        self._waiting: queue.Queue[Received] = queue.Queue()
        self._client: mqtt.Client | None = None
        self._connection = 0
        self._listening_since: datetime | None = None
        self._counts = {"received": 0, "committed": 0, "dropped_qos0": 0}
        self._due = {"lead": 0.0, "commands": 0.0, "watch": 0.0, "beat": 0.0}
        self._jumps = JumpWatch()
        self._sending: dict[str, mqtt.MQTTMessageInfo] = {}  # commands that paho holds, by id

    def start(self) -> None:
        """Start the thread; raise ConfigError for files of TLS that cannot be used."""
        if (tls := self._config.broker.tls) is not None:
            check_files("broker.tls", ca=tls.ca, certificate=tls.certificate, key=tls.key)
        super().start()

    @property
    def connected(self) -> bool:
        """Whether the broker is connected and subscribed to."""
        return self._listening_since is not None

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if self._may_lead():
                    self._lead()
                else:
                    self._stop.wait(STANDBY_S)
        finally:
            self._leadership.give_up()

    def _may_lead(self) -> bool:
        try:
            leads = self._leadership.held()
        except DBAPIError as error:
            log.warning("database is away", error=str(error.orig))
            return False
        if leads != self._leads:
            log.info("this consumer leads" if leads else "another consumer leads")
        self._leads = leads
        return leads

    def _lead(self) -> None:
        """Consume until told to stop, or until another consumer leads."""
        client = self._client = self._make_client()
        broker = self._config.broker
        client.connect_async(
            broker.host,
            broker.port,
            keepalive=broker.keepalive_s,
            clean_start=False,
            properties=self._connect_properties(),
        )
        client.loop_start()
        try:
            while self._leads and not self._stop.is_set():
                batch = self._gather()
                if batch:
                    self._handle(client, batch)
                self._tick(client)
        finally:
            client.disconnect()
            client.loop_stop()
            self._waiting = queue.Queue()  # nobody was told: whoever leads gets it again
            self._sending.clear()

    def _connect_properties(self) -> Properties:
        properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
        properties.SessionExpiryInterval = self._config.consume.session_expiry_s
        properties.ReceiveMaximum = self._config.consume.receive_maximum
        return properties  # type: ignore[no-any-return]  # its fields are made at run time

    def _make_client(self) -> mqtt.Client:
        broker = self._config.broker
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            protocol=mqtt.MQTTv5,
            manual_ack=True,
        )
        client.max_inflight_messages_set(self._config.consume.receive_maximum)
        client.reconnect_delay_set(*RECONNECT_S)
        if broker.username is not None:
            client.username_pw_set(broker.username, broker.password.reveal() if broker.password else None)
        if broker.tls is not None:
            tls = broker.tls
            client.tls_set(
                str(tls.ca),
                str(tls.certificate) if tls.certificate else None,
                str(tls.key) if tls.key else None,
            )
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        return client

    # paho's thread

    def _on_connect(self, client: mqtt.Client, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            log.error("broker refuses the connection", reason=str(reason))
            return
        self._connection += 1
        log.info("broker connected", session_present=flags.session_present)
        client.subscribe([(wildcard(channel), SubscribeOptions(qos=1)) for channel in CHANNELS])

    def _on_subscribe(
        self, _client: mqtt.Client, _data: Any, _mid: int, reasons: list[Any], _properties: Any
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            log.error("broker refuses subscriptions", reasons=refused)
            return
        self._listening_since = utc_now()

    def _on_disconnect(
        self, _client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        self._listening_since = None
        self._connection += 1  # what waits from before is acknowledged by nobody: it comes again
        log.warning("broker disconnected", reason=str(reason))

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        self._counts["received"] += 1
        if message.qos == 0 and self._waiting.qsize() >= MAX_WAITING_QOS0:
            self._counts["dropped_qos0"] += 1
            return
        # what comes with QoS 1 is bounded by the receive maximum
        raw = Incoming(message.topic, bytes(message.payload), utc_now())
        self._waiting.put(Received(raw, message.mid, message.qos, self._connection))

    # our thread

    def _gather(self) -> list[Received]:
        batch: list[Received] = []
        with suppress(queue.Empty):
            batch.append(self._waiting.get(timeout=IDLE_S))
            until = time.monotonic() + self._config.consume.batch_wait_s
            while len(batch) < self._config.consume.batch:
                batch.append(self._waiting.get(timeout=max(0.0, until - time.monotonic())))
        return batch

    def _handle(self, client: mqtt.Client, batch: list[Received]) -> None:
        """Commit a batch, as often as it takes; then acknowledge it."""
        wait_s = 0.2
        while True:
            try:
                acks = self._inbox.commit([item.raw for item in batch])
                break
            except DatabaseAway as error:
                log.warning("database is away; nothing is acknowledged", error=str(error), retry_s=wait_s)
                if self._stop.wait(wait_s):
                    return
                wait_s = min(10.0, wait_s * 2)
        self._counts["committed"] += len(batch)
        self._on_commit()
        for item in batch:
            if item.qos and item.connection == self._connection:
                client.ack(item.mid, item.qos)
        for ack in acks:
            self._acknowledge(client, ack)

    def _acknowledge(self, client: mqtt.Client, ack: Acknowledged) -> None:
        topic = str(Address(ack.address.site, ack.address.edge, "ack"))
        for start in range(0, len(ack.sequences), MAX_SEQUENCES):
            part = ack.sequences[start : start + MAX_SEQUENCES]
            client.publish(topic, encode(AckMessage(outbox_id=ack.outbox_id, sequences=part)), qos=1)

    def _tick(self, client: mqtt.Client) -> None:
        """Do what is due beside messages; a database that is away is tried again at the next turn."""
        now = time.monotonic()
        try:
            if now >= self._due["lead"]:
                self._due["lead"] = now + STANDBY_S
                self._leads = self._leadership.held()
            if self.connected and now >= self._due["commands"]:
                self._due["commands"] = now + 1.0
                self._publish_commands(client)
            if now >= self._due["watch"]:
                self._due["watch"] = now + 2.0
                self._watch()
        except DBAPIError as error:
            log.warning("database is away", error=str(error.orig))
        if now >= self._due["beat"]:
            self._due["beat"] = now + BEAT_S
            beat(self._database, self.name, self.report())

    def report(self) -> dict[str, Any]:
        """Say how it goes: connected or not, messages waiting, counts."""
        return {"connected": self.connected, "waiting": self._waiting.qsize(), **self._counts}

    def _watch(self) -> None:
        if (jump_s := self._jumps.jumped_s()) and self._listening_since is not None:
            # neither the time before the jump nor the jump itself says that a box was silent
            log.warning("the clock has jumped; silences are counted anew", jump_s=round(jump_s))
            self._listening_since = utc_now()
        since = self._listening_since
        if since is not None and self._waiting.qsize() < self._config.consume.batch:
            open_silences(self._database, utc_now(), since, self._config.watch)

    def _publish_commands(self, client: mqtt.Client) -> None:
        """Publish what waits, once: paho repeats by itself what the broker has not confirmed."""
        sent = []
        for command_id, info in list(self._sending.items()):
            try:
                if info.is_published():
                    sent.append(command_id)
            except (RuntimeError, ValueError):  # not connected, or too many waited: it goes out anew
                del self._sending[command_id]
        if sent:
            commands.mark_sent(self._database, sent)
        for command_id in sent:
            del self._sending[command_id]
        for topic, payload, command_id in commands.unsent(self._database):
            if command_id not in self._sending:
                self._sending[command_id] = client.publish(str(topic), payload, qos=1)

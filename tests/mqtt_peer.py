"""The other end of a box's broker, for tests: sees everything, acks when told to."""

from __future__ import annotations

import ssl
import threading
import uuid

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from alerts.messages import (
    AckMessage,
    AlertMessage,
    HealthMessage,
    ReplyMessage,
    StatusMessage,
    WireModel,
    decode,
    encode,
)
from alerts.topics import Address


class Peer:
    """The other end: everything the box publishes, and acks on demand."""

    def __init__(self, port: int, *, acks: bool, tls: ssl.SSLContext | None = None) -> None:
        self.acks = acks
        self.seen: list[tuple[str, WireModel]] = []
        self.ready = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=f"peer-{uuid.uuid4().hex[:8]}", protocol=mqtt.MQTTv5
        )
        self._client.on_connect = lambda client, *_: client.subscribe(
            [(f"towerwatch/v1/+/+/{channel}", 1) for channel in ("alert", "status", "health", "reply")]
        )
        self._client.on_subscribe = lambda *_: self.ready.set()
        self._client.on_message = self._on_message
        if tls is not None:
            self._client.tls_set_context(tls)
        self._client.connect("127.0.0.1" if tls is None else "localhost", port)
        self._client.loop_start()
        assert self.ready.wait(10)

    def _on_message(self, _client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        channel = message.topic.rsplit("/", 1)[1]
        if channel in {"ack", "command"} or not message.payload:
            return
        received = decode(channel, bytes(message.payload))
        self.seen.append((channel, received))
        if isinstance(received, AlertMessage) and self.acks:
            self.ack(received.outbox_id, received.outbox_seq)

    def ack(self, outbox_id: str, *sequences: int) -> None:
        self.send("ack", AckMessage(outbox_id=outbox_id, sequences=sequences))

    def send(self, channel: str, message: WireModel | bytes) -> None:
        payload = message if isinstance(message, bytes) else encode(message)
        self._client.publish(str(Address("riverside", "box-1", channel)), payload, qos=1)  # type: ignore[arg-type]

    def alerts(self) -> list[AlertMessage]:
        return [message for _channel, message in self.seen if isinstance(message, AlertMessage)]

    def healths(self) -> list[HealthMessage]:
        return [message for _channel, message in self.seen if isinstance(message, HealthMessage)]

    def replies(self) -> list[ReplyMessage]:
        return [message for _channel, message in self.seen if isinstance(message, ReplyMessage)]

    def statuses(self) -> list[bool]:
        return [message.online for _channel, message in self.seen if isinstance(message, StatusMessage)]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

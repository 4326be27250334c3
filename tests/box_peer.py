"""A box without cameras, for tests of central: it speaks the wire through a real broker, and does as told."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Any

import httpx
import paho.mqtt.client as mqtt
from central_kit import health, status
from paho.mqtt.enums import CallbackAPIVersion

from alerts.messages import CommandMessage, Evidence, EvidenceRole, ReplyMessage, WireModel, decode, encode
from alerts.topics import Address
from towerwatch.timebase import utc_now

Answer = Callable[[CommandMessage], dict[str, Any]]


class BoxPeer:
    """The box ``edge`` of ``riverside``; ``answers`` says by the name of a command what it replies."""

    def __init__(
        self, broker_port: int, central: str, enrolment: dict[str, Any], answers: dict[str, Answer]
    ) -> None:
        self._central, self._answers = central, answers
        self._site, self._edge, self._token = (
            enrolment["site"],
            enrolment["edge"],
            enrolment["central"]["token"],
        )
        self.commands: list[CommandMessage] = []
        self.acks = 0
        self._ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=self._edge, protocol=mqtt.MQTTv5)
        topics = [(self._topic("command"), 1), (self._topic("ack"), 1)]
        self._client.on_connect = lambda client, *_: client.subscribe(topics)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._heard
        self._client.connect("127.0.0.1", broker_port)
        self._client.loop_start()
        assert self._ready.wait(20)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def report_for_duty(self, *, online: bool = True, **changes: Any) -> None:
        """Say that the box is there, or was, and how its cameras are."""
        self.send("health", health(at=utc_now(), **changes))
        self.send("status", status(online=online, at=utc_now()))

    def send(self, channel: str, message: WireModel) -> None:
        """Publish as a box does; its status is retained, for a central that subscribes only afterwards."""
        retain = channel == "status"
        self._client.publish(self._topic(channel), encode(message), qos=1, retain=retain).wait_for_publish(20)

    def upload(self, data: bytes, role: EvidenceRole = EvidenceRole.CONTEXT_NOW) -> Evidence:
        """Send a picture to central's evidence store."""
        sha256 = hashlib.sha256(data).hexdigest()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "image/jpeg"}
        answer = httpx.put(f"{self._central}/evidence/{sha256}", content=data, headers=headers, timeout=20)
        assert answer.status_code in {200, 201}, answer.text
        return Evidence(
            role=role, sha256=sha256, bytes=len(data), media_type="image/jpeg", captured_at=utc_now()
        )

    def _topic(self, channel: Any) -> str:
        return str(Address(self._site, self._edge, channel))

    def _heard(self, _client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        if message.topic.endswith("/ack"):
            self.acks += 1
            return
        command = decode("command", bytes(message.payload))
        assert isinstance(command, CommandMessage)
        self.commands.append(command)
        # not in this thread: an answer that is published waits for it
        threading.Thread(target=self._answer, args=(command,), name="AnyIO worker thread of a box").start()

    def _answer(self, command: CommandMessage) -> None:
        result = self._answers[command.name](command)
        self.send(
            "reply",
            ReplyMessage(command_id=command.command_id, at=utc_now(), ok=True, detail="done", result=result),
        )

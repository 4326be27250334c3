"""Thousands of simulated boxes in one thread, each with an MQTT connection of its own to a real broker.

paho speaks the protocol; one selector serves all sockets in place of paho's thread a client. A box keeps an
alert until central's own acknowledgement and sends it again, as a real one does; a connection that ends is
made anew after a moment, and the health of the time between is lost, as a real box loses it.
"""

from __future__ import annotations

import heapq
import json
import selectors
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from alerts.messages import AlertMessage, Phase, StatusMessage, encode
from alerts.topics import Address, Channel
from benchmarks.fleet_load import OF_ITS_OWN, SITE, TROUBLE_SHARE, Traffic, Voice, cameras_of
from towerwatch.timebase import utc_now

RESEND_S = 30.0  # as a box does: edge/publisher.py
RECONNECT_S = (0.5, 3.0)
KEEPALIVE_S = 60
_TURN_S = 0.01
_CARE_S = 1.0
_AT_ONCE = 200  # connections made, or messages drawn, in one turn


@dataclass(slots=True, eq=False)
class Box:
    """One box and its connection."""

    voice: Voice
    client: mqtt.Client | None = None
    connected: bool = False
    sent_at: dict[int, float] = field(default_factory=dict)  # by sequence, of what waits

    def topic(self, channel: Channel) -> str:
        """Return one of its topics."""
        return str(Address(SITE, self.voice.edge, channel))


@dataclass(slots=True)
class Counts:
    """What was said since the start."""

    health: int = 0
    alerts: int = 0
    acknowledged: int = 0
    connections: int = 0


class Fleet(threading.Thread):
    """All boxes; :attr:`health_per_s` and :meth:`say_alerts` set how much they say."""

    def __init__(self, port: int, boxes: int, seed: int, resend_s: float = RESEND_S) -> None:
        """Make the boxes, which send again after ``resend_s``; :meth:`start` connects them."""
        super().__init__(name="fleet", daemon=True)
        self.health_per_s = 0.0
        self.counts = Counts()
        self.phases: set[tuple[str, int]] = set()  # every alert message that was put into an outbox
        self.seen_as: dict[tuple[str, str, str], float] = {}  # box, camera, start -> when it was said
        self._port, self._resend_s = port, resend_s
        self._traffic = Traffic(seed)
        self._boxes = [Box(Voice(f"box-{n:04d}", cameras_of(n, boxes))) for n in range(boxes)]
        self._selector = selectors.DefaultSelector()
        self._connect_at: list[tuple[float, int]] = [(0.0, number) for number in range(boxes)]
        self._halted = threading.Event()
        self._wanted = (0.0, False)  # alert messages a second, and whether each opens an alert
        self._due_health = self._due_alerts = 0.0
        self._next_health = self._next_care = 0
        self.error: BaseException | None = None

    def say_alerts(self, per_s: float, *, only_opened: bool = False) -> None:
        """Say so many alert messages a second from now on."""
        self._wanted = (per_s, only_opened)

    def halt(self) -> None:
        """Close every connection and end."""
        self._halted.set()
        self.join()

    def connected(self) -> int:
        """Return how many boxes are connected."""
        return sum(box.connected for box in self._boxes)

    def waiting(self) -> int:
        """Return how many alert messages central has not acknowledged."""
        return sum(len(box.voice.waiting) for box in self._boxes)

    def run(self) -> None:
        """Serve all sockets until :meth:`halt`."""
        before = time.monotonic()
        try:
            while not self._halted.is_set():
                for key, _events in self._selector.select(_TURN_S):
                    self._serve(key.data)
                now = time.monotonic()
                self._connect_due(now)
                self._care(now, now - before)
                self._speak(now, now - before)
                before = now
        except BaseException as error:
            self.error = error
            raise
        finally:
            for box in self._boxes:
                if box.client is not None:
                    box.client.disconnect()
            self._selector.close()

    # connections

    def _connect_due(self, now: float) -> None:
        for _ in range(_AT_ONCE):
            if not self._connect_at or self._connect_at[0][0] > now:
                return
            _, number = heapq.heappop(self._connect_at)
            self._connect(self._boxes[number], number)

    def _connect(self, box: Box, number: int) -> None:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=box.voice.edge, protocol=mqtt.MQTTv5, userdata=box
        )
        client.will_set(box.topic("status"), _status(box.voice, online=False), qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        try:
            client.connect("127.0.0.1", self._port, KEEPALIVE_S)
        except OSError:  # the broker is away
            self._later(number)
            return
        box.client = client
        sock: Any = client.socket()
        sock.setblocking(False)  # noqa: FBT003 - the socket's own signature
        self._selector.register(sock, selectors.EVENT_READ, (box, number, sock))

    def _later(self, number: int) -> None:
        wait_s = RECONNECT_S[0] + (RECONNECT_S[1] - RECONNECT_S[0]) * self._traffic.pick(1000) / 1000
        heapq.heappush(self._connect_at, (time.monotonic() + wait_s, number))

    def _serve(self, at: tuple[Box, int, Any]) -> None:
        box, number, sock = at
        if box.client is None:
            return
        result = box.client.loop_read()
        if result == MQTTErrorCode.MQTT_ERR_SUCCESS:
            if box.client.want_write():
                box.client.loop_write()
            return
        self._selector.unregister(sock)
        box.client, box.connected = None, False
        box.sent_at.clear()
        self._later(number)

    def _on_connect(self, client: mqtt.Client, box: Box, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            return
        self.counts.connections += 1
        box.connected = True
        client.subscribe([(box.topic("ack"), 1), (box.topic("command"), 1)])
        client.publish(box.topic("status"), _status(box.voice, online=True), qos=1, retain=True)
        for seq in box.voice.waiting:
            self._send(box, seq)

    def _on_message(self, _client: mqtt.Client, box: Box, message: mqtt.MQTTMessage) -> None:
        if not message.topic.endswith("/ack"):
            return  # a command: what is asked of a simulated box is answered by nobody
        for seq in json.loads(message.payload)["sequences"]:
            if box.voice.waiting.pop(seq, None) is not None:
                box.sent_at.pop(seq, None)
                self.counts.acknowledged += 1

    def _care(self, now: float, passed_s: float) -> None:
        """Keep connections alive, and send again what is not acknowledged: each box once in a while."""
        for _ in range(max(1, int(len(self._boxes) * passed_s / _CARE_S))):
            box = self._boxes[self._next_care]
            self._next_care = (self._next_care + 1) % len(self._boxes)
            if box.client is None or not box.connected:
                continue
            box.client.loop_misc()
            for seq in [seq for seq, at in box.sent_at.items() if now - at > self._resend_s]:
                self._send(box, seq)

    # messages

    def _speak(self, now: float, passed_s: float) -> None:
        per_s, only_opened = self._wanted
        self._due_health = min(_AT_ONCE, self._due_health + passed_s * self.health_per_s)
        self._due_alerts += passed_s * per_s
        while self._due_health >= 1:
            self._due_health -= 1
            self._say_health(self._boxes[self._next_health])
            self._next_health = (self._next_health + 1) % len(self._boxes)
        while self._due_alerts >= 1:
            self._due_alerts -= 1
            self._say_alert(self._boxes[self._traffic.pick(len(self._boxes))], now, opened=only_opened)

    def _say_health(self, box: Box) -> None:
        if box.client is None or not box.connected:
            return
        text = box.voice.health(trouble=self._traffic.chance(TROUBLE_SHARE))
        box.client.publish(box.topic("health"), text, qos=0)
        self.counts.health += 1

    def _say_alert(self, box: Box, now: float, *, opened: bool) -> None:
        message = self._traffic.alert(box.voice, opened=opened)
        seq = box.voice.queue(message)
        self.phases.add((message.alert_id, message.phase_seq))
        self.counts.alerts += 1
        if message.phase is Phase.OPENED and message.kind in OF_ITS_OWN:
            self.seen_as[_place_of(message)] = now
        if box.connected:
            self._send(box, seq)

    def _send(self, box: Box, seq: int) -> None:
        if box.client is not None:
            box.sent_at[seq] = time.monotonic()
            box.client.publish(box.topic("alert"), box.voice.waiting[seq], qos=1)


def _place_of(message: AlertMessage) -> tuple[str, str, str]:
    return message.edge, message.camera, message.started_at.isoformat()


def _status(voice: Voice, *, online: bool) -> bytes:
    return encode(StatusMessage(online=online, boot_id=voice.boot_id, at=utc_now(), version="0.1.0"))

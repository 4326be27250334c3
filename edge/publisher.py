"""MQTT 5 out of the box: alerts from the outbox at QoS 1, status, health, replies; acks and commands in.

One thread, which owns the connection. PUBACK is the broker's word and only says that the
connection works; a row leaves the outbox on central's ack alone. Until then it is sent again on
every reconnect, and after a time that doubles from 30 s to 10 min; the oldest row is tried every
30 s, and the first ack that comes wakes all the others.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from alerts.messages import AckMessage, CommandMessage, StatusMessage, decode, encode
from alerts.topics import Address, Channel, parse_topic
from edge.backoff import Backoff
from edge.links import BrokerLink
from edge.outbox import Outbox, mark_historical
from towerwatch.errors import ConfigError, RetryableError
from towerwatch.logs import get_logger
from towerwatch.timebase import utc_now

log = get_logger(__name__)

LOOP_S = 0.1
CONNECT_TIMEOUT_S = 5.0
KEEPALIVE_S = 20
DEFAULT_RECEIVE_MAXIMUM = 20
SESSION_EXPIRY_S = 24 * 3600
MAX_POSTS = 128


@dataclass(frozen=True, slots=True)
class PublisherTerms:
    """Times and bounds of the publisher.

    Attributes:
        window: rows sent and not yet acked by central.
        resend_first_s, resend_cap_s: when an unacked row is sent again; doubles in between.
        historical_after_s: a row sent this long after it was made was held back by an outage.
        puback_timeout_s: without the broker's word for so long the connection counts as dead.
        connack_timeout_s: as above, for the first answer.
        reconnect_first_s, reconnect_cap_s: bounds of the pause before a reconnect.

    """

    window: int = 200
    resend_first_s: float = 30.0
    resend_cap_s: float = 600.0
    historical_after_s: float = 60.0
    puback_timeout_s: float = 20.0
    connack_timeout_s: float = 10.0
    reconnect_first_s: float = 1.0
    reconnect_cap_s: float = 60.0


@dataclass(slots=True)
class _Sent:
    """When a row was sent, and when it is due again."""

    at_s: float
    due_s: float
    tries: int


@dataclass(slots=True)
class _Session:
    """What belongs to one connection."""

    client: mqtt.Client
    started_s: float
    connected: bool = False
    ended: str = ""
    receive_maximum: int = DEFAULT_RECEIVE_MAXIMUM
    unconfirmed: dict[int, float] = field(default_factory=dict)  # mid -> when


class Publisher:
    """Owner of the broker connection. ``start`` and ``stop`` from one thread, the rest from any."""

    def __init__(
        self,
        link: BrokerLink,
        site: str,
        edge: str,
        outbox: Outbox,
        *,
        boot_id: str,
        version: str,
        on_command: Callable[[CommandMessage], None],
        terms: PublisherTerms | None = None,
    ) -> None:
        """Store what is needed; nothing is connected before :meth:`start`."""
        self._link = link
        self._site, self._edge = site, edge
        self._outbox = outbox
        self._boot_id, self._version = boot_id, version
        self._on_command = on_command
        self._terms = terms or PublisherTerms()
        self._sent: dict[int, _Sent] = {}
        # in this order; a long outage fills the second and leaves the first alone
        self._posts: dict[Channel, deque[tuple[bytes, int]]] = {
            "reply": deque(maxlen=MAX_POSTS),
            "health": deque(maxlen=MAX_POSTS),
        }
        self._dirty = threading.Event()
        self._stopping = threading.Event()
        self._online = threading.Event()
        self._thread: threading.Thread | None = None
        self._rng = random.Random()  # noqa: S311 - jitter, no secret
        self.refused_messages = 0

    @property
    def online(self) -> bool:
        """Whether the broker has accepted the connection."""
        return self._online.is_set()

    def start(self) -> None:
        """Begin to connect, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Say goodbye to the broker and end; return whether the thread ended in time."""
        self._stopping.set()
        self._dirty.set()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def wake(self) -> None:
        """Say that the outbox has something new."""
        self._dirty.set()

    def post(self, channel: Literal["reply", "health"], payload: bytes, *, qos: int) -> None:
        """Send a message that is not in the outbox when connected; of each kind the oldest fall out."""
        self._posts[channel].append((payload, qos))

    def _topic(self, channel: Channel) -> str:
        return str(Address(self._site, self._edge, channel))

    def _run(self) -> None:
        backoff = Backoff(self._terms.reconnect_first_s, self._terms.reconnect_cap_s)
        while not self._stopping.is_set():
            began_s = time.monotonic()
            try:
                why = self._serve()
            except (OSError, ValueError, mqtt.WebsocketConnectionError, ConfigError) as error:
                why = f"{type(error).__name__}: {error}"
            except Exception:  # the loop of a thread that must not end; traceback and count
                log.exception("publisher failed")
                why = "internal error"
            self._online.clear()
            if self._stopping.is_set():
                return
            if time.monotonic() - began_s > self._terms.reconnect_cap_s:
                backoff.reset()
            pause_s = backoff.pause_s()
            log.warning(
                "broker connection lost",
                broker=f"{self._link.host}:{self._link.port}", why=why, retry_in_s=round(pause_s, 1),
            )  # fmt: skip
            self._stopping.wait(pause_s)

    def _serve(self) -> str:
        """Connect and serve until the connection ends; return why it did."""
        session = self._open()
        client = session.client
        try:
            while not self._stopping.is_set():
                code = client.loop(LOOP_S)
                if session.ended:
                    return session.ended
                if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    return mqtt.error_string(code)
                if why := self._overdue(session):
                    return why
                if session.connected:
                    self._pump(session)
            self._goodbye(session)
        finally:
            client.on_disconnect = None
            with contextlib.suppress(OSError, ValueError):
                client.disconnect()
                client.loop(0.0)
            sock = client.socket()
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.close()
        return "stopped"

    def _open(self) -> _Session:
        # a fresh client for each connection: no queue of a former one is sent behind our back
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            # no id holds a dot: two boxes can never share a name, and throw each other out
            client_id=f"towerwatch.{self._site}.{self._edge}",
            protocol=mqtt.MQTTv5,
        )
        session = _Session(client, time.monotonic())
        client.max_queued_messages_set(self._terms.window)
        client.connect_timeout = CONNECT_TIMEOUT_S
        if self._link.username is not None:
            password = self._link.password
            client.username_pw_set(self._link.username, password.reveal() if password else None)
        if (tls := self._link.tls()) is not None:
            client.tls_set_context(tls)
        will = self._status(online=False, reason="connection lost")
        client.will_set(self._topic("status"), will, qos=1, retain=True)
        client.on_connect = lambda _c, _u, _flags, code, properties: self._connected(
            session, code, properties
        )
        client.on_disconnect = lambda _c, _u, _flags, code, _p: self._ended(session, str(code))
        client.on_publish = lambda _c, _u, mid, code, _p: self._confirmed(session, mid, code)
        client.on_message = lambda _c, _u, message: self._received(message)
        self._sent.clear()
        # the broker keeps the session for a while: a command given while the box was away still comes
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # as paho has it
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        client.connect(
            self._link.host, self._link.port, keepalive=KEEPALIVE_S, clean_start=False, properties=properties
        )
        return session

    def _status(self, *, online: bool, reason: str | None) -> bytes:
        return encode(
            StatusMessage(
                online=online, boot_id=self._boot_id, at=utc_now(), version=self._version, reason=reason
            )
        )

    def _connected(self, session: _Session, code: ReasonCode, properties: Properties | None) -> None:
        if code.is_failure:
            session.ended = f"broker refused: {code}"
            return
        session.connected = True
        session.receive_maximum = min(
            int(getattr(properties, "ReceiveMaximum", DEFAULT_RECEIVE_MAXIMUM)), DEFAULT_RECEIVE_MAXIMUM
        )
        client = session.client
        client.subscribe([(self._topic("ack"), SubscribeOptions(qos=1)),
                          (self._topic("command"), SubscribeOptions(qos=1))])  # fmt: skip
        self._publish(session, "status", self._status(online=True, reason=None), qos=1, retain=True)
        self._online.set()
        self._dirty.set()
        log.info("broker connected", broker=f"{self._link.host}:{self._link.port}")

    @staticmethod
    def _ended(session: _Session, why: str) -> None:
        session.ended = session.ended or f"disconnected: {why}"

    def _confirmed(self, session: _Session, mid: int, code: ReasonCode) -> None:
        session.unconfirmed.pop(mid, None)
        self._dirty.set()
        if code.is_failure:
            self.refused_messages += 1
            log.error("broker refused a message", code=str(code), count=self.refused_messages)

    def _overdue(self, session: _Session) -> str:
        now_s = time.monotonic()
        if not session.connected:
            late = now_s - session.started_s > self._terms.connack_timeout_s
            return "broker did not answer the connect" if late else ""
        oldest = min(session.unconfirmed.values(), default=now_s)
        return "broker confirms nothing" if now_s - oldest > self._terms.puback_timeout_s else ""

    def _publish(
        self, session: _Session, channel: Channel, payload: bytes, *, qos: int, retain: bool = False
    ) -> None:
        info = session.client.publish(self._topic(channel), payload, qos=qos, retain=retain)
        if qos:
            session.unconfirmed[info.mid] = time.monotonic()

    def _pump(self, session: _Session) -> None:
        for channel, posts in self._posts.items():
            while posts and len(session.unconfirmed) < session.receive_maximum:
                payload, qos = posts.popleft()
                self._publish(session, channel, payload, qos=qos)
        now_s = time.monotonic()
        if not self._dirty.is_set() and not any(sent.due_s <= now_s for sent in self._sent.values()):
            return
        self._dirty.clear()
        try:
            self._send_due(session, now_s)
        except RetryableError as error:
            log.warning("outbox cannot be read", why=str(error))

    def _send_due(self, session: _Session, now_s: float) -> None:
        window = self._outbox.sequences(self._terms.window)
        gone = self._sent.keys() - set(window)
        for seq in gone:
            del self._sent[seq]
        for seq in window:
            if len(session.unconfirmed) >= session.receive_maximum:
                self._dirty.set()
                return
            sent = self._sent.get(seq)
            if sent is not None and sent.due_s > now_s:
                continue
            row = self._outbox.row(seq)
            if row is None:
                continue
            late = row.age_s > self._terms.historical_after_s
            payload = mark_historical(row.payload) if late else row.payload
            self._publish(session, "alert", payload, qos=1)
            tries = sent.tries + 1 if sent else 1
            self._sent[seq] = _Sent(
                now_s, now_s + self._resend_after_s(tries, oldest=seq == window[0]), tries
            )

    def _resend_after_s(self, tries: int, *, oldest: bool) -> float:
        terms = self._terms
        cap_s = terms.resend_first_s if oldest else terms.resend_cap_s
        pause_s = min(terms.resend_first_s * 2.0 ** min(tries - 1, 16), cap_s)
        return pause_s * self._rng.uniform(0.9, 1.1)

    def _received(self, message: mqtt.MQTTMessage) -> None:
        try:
            received = decode(parse_topic(message.topic).channel, bytes(message.payload))
            if isinstance(received, AckMessage):
                self._acked(received)
            elif isinstance(received, CommandMessage):
                self._on_command(received)
        except ValueError as error:
            log.warning(
                "message from the broker does not fit the contract", topic=message.topic, why=str(error)[:300]
            )
        except RetryableError as error:
            # the row stays and is sent again; central acks it again
            log.warning("ack could not be written", why=str(error))
        except Exception:  # guard of one message; the connection goes on
            log.exception("message from the broker failed", topic=message.topic)

    def _acked(self, ack: AckMessage) -> None:
        self._outbox.acknowledge(ack.outbox_id, ack.sequences)
        # central is alive: what waits for its back-off need not wait any longer
        for sent in self._sent.values():
            sent.due_s = min(sent.due_s, sent.at_s + self._terms.resend_first_s / 6)
        self._dirty.set()

    def _goodbye(self, session: _Session) -> None:
        if not session.connected:
            return
        self._publish(session, "status", self._status(online=False, reason="stopped"), qos=1, retain=True)
        deadline_s = time.monotonic() + 1.0
        while session.unconfirmed and not session.ended and time.monotonic() < deadline_s:
            if session.client.loop(0.05) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return

"""The embedded broker behind a two-method seam, for the demo and a first look.

``iotcore`` is rumqttd in a wheel; it runs in a child process, which ends with us. What holds, by test:
MQTT 5, QoS 1, retained last will, persistent sessions while it runs. What does not: it keeps everything in
memory (a restart forgets retained messages and sessions), knows neither passwords nor rights for each
user over the MQTT 5 listener, and so listens on loopback alone. Beyond a demo use Mosquitto or EMQX.
"""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path
from typing import Any, Protocol

from alerts.messages import MAX_MESSAGE_BYTES
from towerwatch.errors import ConfigError, TowerwatchError
from towerwatch.logs import get_logger

LOOPBACK = "127.0.0.1"
START_S = 15.0
STOP_S = 5.0

log = get_logger(__name__)

# rumqttd's own file: one router, one MQTT 5 listener. Segments are its in-memory log of a topic filter;
# a session that is away can catch up within max_segment_count x max_segment_size.
CONFIG = """\
id = 0

[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 500
max_segment_size = 10485760
max_segment_count = 10

[v5.1]
name = "v5-1"
listen = "{listen}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 20000
max_payload_size = {max_payload}
max_inflight_count = 500
dynamic_filters = true
"""


class BrokerError(TowerwatchError):
    """The embedded broker does not start."""


class Broker(Protocol):
    """Whatever can be started and stopped and then speaks MQTT 5."""

    def start(self) -> None:
        """Return once it accepts connections."""
        ...

    def stop(self) -> None:
        """Return once its port is free again; a second call does nothing."""
        ...


class EmbeddedBroker:
    """rumqttd in a child process, on loopback."""

    def __init__(self, port: int, host: str = LOOPBACK) -> None:
        """Keep the port; refuse an address that is reachable from outside."""
        if host not in {LOOPBACK, "localhost"}:
            msg = f"the embedded broker knows no users and listens on {LOOPBACK} alone, not on {host}"
            raise ConfigError(msg)
        self.port = port
        self._process: Any = None

    def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            BrokerError: the package is missing, the port is taken, or it does not come up.

        """
        try:
            from iotcore import Broker as Rumqttd  # noqa: PLC0415 - only the demo has it
        except ImportError:
            msg = "the embedded broker needs the package iotcore: pip install 'towerwatch[demo]'"
            raise BrokerError(msg) from None
        listen = f"{LOOPBACK}:{self.port}"
        try:
            # the child has read the file before it listens: gone by then, it outlives no kill of ours
            with tempfile.TemporaryDirectory(prefix="towerwatch-broker-") as folder:
                file = Path(folder) / "rumqttd.toml"
                file.write_text(CONFIG.format(listen=listen, max_payload=4 * MAX_MESSAGE_BYTES), "utf-8")
                self._process = Rumqttd(config_path=str(file))
                self._process.start(timeout=START_S)
        except (OSError, RuntimeError, ValueError) as error:
            self.stop()
            msg = f"the embedded broker does not start on {listen}: {error}"
            raise BrokerError(msg) from error
        log.info("embedded broker listening", address=listen)

    def alive(self) -> bool:
        """Say whether the child process runs."""
        return self._process is not None and bool(self._process.is_running)

    def stop(self) -> None:
        """End the child process."""
        if self._process is not None:
            self._process.stop(timeout=STOP_S)
            self._process = None


def free_port() -> int:
    """Return a port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])

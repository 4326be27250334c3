"""The embedded broker as a part of a program."""

from __future__ import annotations

from alerts.broker import EmbeddedBroker
from alerts.config import BrokerSettings


class BrokerPart:
    """Starts first and stops last."""

    name = "broker"

    def __init__(self, settings: BrokerSettings) -> None:
        """Keep where it is to listen."""
        self._broker = EmbeddedBroker(settings.port, settings.host)

    def start(self) -> None:
        """Return once it accepts connections."""
        self._broker.start()

    def stop(self, timeout_s: float) -> bool:  # noqa: ARG002 - it has a time limit of its own
        """End the child process."""
        self._broker.stop()
        return True

    def alive(self) -> bool:
        """Say whether the child process runs."""
        return self._broker.alive()

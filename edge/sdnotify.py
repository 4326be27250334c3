"""Tell systemd that the service is ready, alive, or stopping; silent without systemd.

Protocol: ``sd_notify(3)``, datagrams to the socket named in ``NOTIFY_SOCKET``.
"""

from __future__ import annotations

import os
import socket

from towerwatch.logs import get_logger

log = get_logger(__name__)


class Notifier:
    """The service's line to systemd."""

    def __init__(self, address: str | None, watchdog_us: str | None) -> None:
        """Take the values of ``NOTIFY_SOCKET`` and ``WATCHDOG_USEC``; None or empty without systemd."""
        self._address = address or ""
        self.watchdog_s = int(watchdog_us) / 1e6 if watchdog_us and watchdog_us.isdigit() else None

    @classmethod
    def from_environment(cls) -> Notifier:
        """Read both from the environment."""
        return cls(os.environ.get("NOTIFY_SOCKET"), os.environ.get("WATCHDOG_USEC"))

    def send(self, *assignments: str) -> bool:
        """Send ``READY=1``, ``WATCHDOG=1``, ``STATUS=…``; return whether it went out."""
        if not self._address:
            return False
        # a leading @ is Linux' abstract namespace, spelled with a zero byte
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
                line.settimeout(1.0)
                line.sendto("\n".join(assignments).encode(), address)
        except OSError as error:
            log.warning("systemd cannot be notified", why=str(error))
            return False
        return True

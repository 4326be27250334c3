"""systemd hears that the box is ready and alive; without systemd nothing happens."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from edge.sdnotify import Notifier


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_assignments_arrive_as_one_datagram(
    tmp_path: Path, abstract: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"@towerwatch-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + name[1:] if abstract else name)
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        monkeypatch.setenv("WATCHDOG_USEC", "60000000")
        notifier = Notifier.from_environment()
        assert notifier.watchdog_s == 60.0
        assert notifier.send("READY=1", "STATUS=watching")
        assert systemd.recv(100) == b"READY=1\nSTATUS=watching"


def test_without_systemd_or_with_a_dead_socket_nothing_breaks(tmp_path: Path) -> None:
    assert not Notifier(None, None).send("READY=1")
    assert Notifier(None, "nonsense").watchdog_s is None
    assert not Notifier(str(tmp_path / "absent"), None).send("READY=1")

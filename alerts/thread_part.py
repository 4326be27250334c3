"""A part of central that is one thread: started once, asked to stop, waited for."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod


class ThreadPart(ABC):
    """Owns the thread in which :meth:`_run` works until ``_stop`` is set."""

    def __init__(self, name: str) -> None:
        """Keep the name; the thread begins with :meth:`start`."""
        self.name = name
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @abstractmethod
    def _run(self) -> None:
        """Work until ``_stop`` is set."""

    def start(self) -> None:
        """Start the thread; what it needs and is away is waited for in it."""
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Stop after the piece of work that is under way; False if that takes longer."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            return not self._thread.is_alive()
        return True

    def alive(self) -> bool:
        """Say whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

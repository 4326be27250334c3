"""Handing pictures from a reader to a consumer: the latest wins, what is overwritten is counted."""

from __future__ import annotations

import threading
import time
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestWins(Generic[T]):
    """A slot for one item. A new item replaces one that nobody took, and that one is counted."""

    def __init__(self) -> None:
        self._item: T | None = None
        self._closed = False
        self._dropped = 0
        self._changed = threading.Condition()

    @property
    def dropped(self) -> int:
        """Items that were overwritten before anybody took them."""
        return self._dropped

    def put(self, item: T) -> None:
        """Offer an item, replacing one that was not taken."""
        with self._changed:
            if self._item is not None:
                self._dropped += 1
            self._item = item
            self._changed.notify()

    def take(self, timeout_s: float) -> T | None:
        """Take the item, waiting up to ``timeout_s``; None if none came, at once when closed."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while self._item is None and not self._closed:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or not self._changed.wait(left_s):
                    break
            item, self._item = self._item, None
            return item

    def close(self) -> None:
        """Let every waiting and later :meth:`take` return at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

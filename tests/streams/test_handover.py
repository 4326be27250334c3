from __future__ import annotations

import threading
import time

from components import wait_until

from streams.handover import LatestWins


def test_the_latest_wins_and_what_was_overwritten_is_counted() -> None:
    slot: LatestWins[int] = LatestWins()
    for item in range(5):
        slot.put(item)
    assert slot.take(0) == 4
    assert slot.dropped == 4
    assert slot.take(0) is None


def test_a_waiting_consumer_gets_the_next_item() -> None:
    slot: LatestWins[str] = LatestWins()
    taken: list[str | None] = []
    thread = threading.Thread(target=lambda: taken.append(slot.take(10)))
    thread.start()
    slot.put("picture")
    thread.join(5)
    assert taken == ["picture"]
    assert slot.dropped == 0


def test_waiting_ends_at_the_deadline() -> None:
    slot: LatestWins[int] = LatestWins()
    began = time.monotonic()
    assert slot.take(0.05) is None
    assert 0.04 < time.monotonic() - began < 2


def test_closing_wakes_a_waiting_consumer_at_once() -> None:
    slot: LatestWins[int] = LatestWins()
    began = time.monotonic()
    thread = threading.Thread(target=slot.take, args=(30,))
    thread.start()
    slot.close()
    thread.join(5)
    assert not thread.is_alive()
    assert time.monotonic() - began < 5
    wait_until(lambda: slot.take(30) is None, 1)

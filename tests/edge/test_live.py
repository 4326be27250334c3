"""A live look ends with its lease, and costs nothing before and after."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from components import wait_until

from edge import live
from edge.links import CentralLink
from edge.live import MAX_CAMERAS, LiveLooks
from edge.records import Snapshot
from edge.small_picture import small_jpeg
from streams.pictures import read_picture
from towerwatch.errors import RetryableError
from towerwatch.secrets import Secret


class Central(ThreadingHTTPServer):
    """Takes live pictures; ``status`` is its answer."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, bytes]] = []
        self.status = 204
        super().__init__(("127.0.0.1", 0), _Take)


class _Take(BaseHTTPRequestHandler):
    server: Central

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.shown.append((self.path, body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def central() -> Iterator[Central]:
    server = Central()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join(5)
    server.server_close()


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def looks(central: Central, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[LiveLooks, Clock, list[str]]]:
    """Looks that follow each other at once, the clock that their leases go by, and what was looked at."""
    monkeypatch.setattr(live, "PACE_S", 0.01)
    clock, looked = Clock(), []

    def look(camera: str) -> Snapshot:
        looked.append(camera)
        return (
            Snapshot("r", None, picture=b"picture") if camera != "dark" else Snapshot("r", None, "no picture")
        )

    made = LiveLooks(look, CentralLink(f"http://127.0.0.1:{central.server_port}", Secret("t")), clock=clock)
    yield made, clock, looked
    assert made.stop(5)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("live-")]


def at_rest() -> Callable[[], bool]:
    return lambda: not threads()


def test_pictures_come_until_nobody_asks_again(
    looks: tuple[LiveLooks, Clock, list[str]], central: Central
) -> None:
    made, clock, _looked = looks
    made.lease("street-1", 10)
    wait_until(lambda: len(central.shown) >= 3, what="pictures")
    assert central.shown[0] == ("/live/street-1", b"picture")
    clock.now_s = 8.0
    made.lease("street-1", 10)  # somebody still looks
    clock.now_s = 15.0
    before = len(central.shown)
    wait_until(lambda: len(central.shown) > before + 1, what="more pictures")
    assert threads() == ["live-street-1"]
    clock.now_s = 18.0
    wait_until(at_rest(), what="the look has ended by itself")
    made.lease("street-1", 10)
    wait_until(lambda: threads() == ["live-street-1"], what="it begins anew")


def test_a_look_ends_at_once_where_central_says_that_nobody_looks(
    looks: tuple[LiveLooks, Clock, list[str]], central: Central
) -> None:
    central.status = 410
    looks[0].lease("street-1", 10)
    wait_until(at_rest(), what="the look has ended")
    assert len(central.shown) == 1


def test_a_camera_without_a_picture_sends_nothing_and_a_box_shows_some_at_a_time(
    looks: tuple[LiveLooks, Clock, list[str]], central: Central
) -> None:
    made, _clock, looked = looks
    made.lease("dark", 10)
    wait_until(lambda: looked.count("dark") > 1, what="tried again")
    assert central.shown == []
    for number in range(1, MAX_CAMERAS):
        made.lease(f"street-{number}", 10)
    with pytest.raises(RetryableError, match="looked at already"):
        made.lease("one-too-many", 10)


def test_a_small_picture_is_no_wider_than_asked(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for width, expected in ((1920, (540, 960, 3)), (320, (180, 320, 3))):
        (tmp_path / "p.jpg").write_bytes(small_jpeg(np.zeros((width * 9 // 16, width, 3), np.uint8), 960))
        assert read_picture(tmp_path / "p.jpg").shape == expected

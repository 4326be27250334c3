"""Looking at a camera now: asked for through a real broker, shown over HTTP, over when nobody asks."""

from datetime import timedelta

import httpx
import pytest
from box_peer import BoxPeer
from components import wait_until
from sqlalchemy import select, update

from alerts.config import BrokerSettings, ServeSettings
from alerts.consume import Consumer
from alerts.enrol import enrol
from alerts.http.app import make_api
from alerts.http.context import make_context
from alerts.store.tables import AuditRow, Command, Edge
from alerts.web import WebServer
from towerwatch.timebase import utc_now

JPEG = b"\xff\xd8\xff\xe0" + b"live" * 20
LIVE = "/api/v1/cameras/box-1/street-1/live"


@pytest.fixture
def central(config, sqlite, mosquitto):
    """A consumer, a server and an operator; yields (server's address, client, token of the box)."""
    settings = config.model_copy(update={"broker": BrokerSettings(port=mosquitto.port)})
    token = enrol(sqlite, settings, "box-1", "riverside")["central"]["token"]
    context = make_context(settings, sqlite)
    server, consumer = WebServer(make_api(context), ServeSettings(port=0), sqlite), Consumer(settings, sqlite)
    server.start()
    consumer.start()
    bearer = {"Authorization": f"Bearer {context.services.people.create_token('li')}"}
    with httpx.Client(base_url=server.url, headers=bearer, timeout=20) as client:
        yield server.url, client, token
    assert consumer.stop(10)
    assert server.stop(8)


def passed(database, seconds):
    """Let so much time pass since a look was asked for."""
    with database.write() as session:
        session.execute(update(Command).values(created_at=utc_now() - timedelta(seconds=seconds)))


def orders(database):
    with database.read() as session:
        return session.scalars(select(Command).where(Command.name == "live")).all()


def test_a_camera_is_looked_at_for_as_long_as_somebody_asks(central, sqlite, mosquitto):
    url, client, token = central
    assert client.get(LIVE).status_code == 404
    enrolment = {"site": "riverside", "edge": "box-1", "central": {"token": token}}

    def show(data=JPEG):
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.put(f"{url}/live/street-1", content=data, headers=headers, timeout=20)

    box = BoxPeer(mosquitto.port, url, enrolment, {"live": lambda _command: {}})
    try:
        box.report_for_duty()
        wait_until(lambda: client.get(LIVE).status_code == 202, 20, "the look is ordered")
        assert client.get(LIVE).headers["Retry-After"] == "1"
        wait_until(lambda: box.commands, 20, "the box has heard")
        assert box.commands[0].arguments == {"camera": "street-1", "seconds": 10.0}
        assert show().status_code == 204
        answer = client.get(LIVE)
        assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (
            200,
            "image/jpeg",
            JPEG,
        )
        assert answer.headers["Cache-Control"] == "no-store"
        assert len(orders(sqlite)) == 1, "one order for all who look"
        passed(sqlite, 6)
        client.get(LIVE)
        assert len(orders(sqlite)) == 2, "and another when half the time is over"
        passed(sqlite, 16)
        assert show().status_code == 410
        assert show(b"GIF89a").status_code == 415
    finally:
        box.close()
    with sqlite.read() as session:
        looks = session.scalars(select(AuditRow.subject).where(AuditRow.action == "live look")).all()
    assert looks == ["camera box-1/street-1"]


def test_a_box_that_is_away_shows_nothing(central, sqlite, mosquitto):
    url, client, token = central
    box = BoxPeer(
        mosquitto.port, url, {"site": "riverside", "edge": "box-1", "central": {"token": token}}, {}
    )
    box.report_for_duty(online=False)
    box.close()

    def has_said_so():
        with sqlite.read() as session:
            edge = session.get(Edge, "box-1")
            return edge is not None and edge.status_at is not None

    # its health alone would count as a sign of life
    wait_until(has_said_so, 20, "the box is known and away")
    assert client.get(LIVE).status_code == 409
    assert orders(sqlite) == []

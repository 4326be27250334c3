"""People are told in their own channel: by Apprise, in their language, with retry."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from zoneinfo import ZoneInfo

import pytest
from area_kit import town
from central_kit import alert, apply_all, place
from sqlalchemy import select

from alerts.areas.geojson import read_areas
from alerts.areas.roster import ShiftRow
from alerts.areas.service import AreaService
from alerts.config import NotifySettings
from alerts.notify import PeopleSender, compose
from alerts.store.tables import Delivery
from towerwatch.errors import ConfigError
from towerwatch.secrets import Secret

# what Apprise's own modules import on Python before 3.13
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Channel(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append(json.loads(body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args):
        pass


@pytest.fixture
def channel():
    server = HTTPServer(("127.0.0.1", 0), Channel)
    server.heard, server.answers = [], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join(5)
    server.server_close()


def settings(url, **more):
    return NotifySettings(name="duty", url=Secret(url), language="en", **more)


def test_a_channel_that_fails_is_tried_again_and_gets_the_message(sqlite, channel, tmp_path):
    apply_all(sqlite, [alert("a", position=place(33.05, 112.05))], targets=("duty",))
    areas = AreaService(sqlite, ZoneInfo("Asia/Shanghai"))
    (tmp_path / "town.geojson").write_text(json.dumps(town()))
    areas.import_areas(read_areas(tmp_path / "town.geojson"), "li")
    areas.import_roster([ShiftRow(area="g1", person="Sun", contact="wecom:sun")], "li")
    url = f"json://127.0.0.1:{channel.server_port}/key"
    sender = PeopleSender(sqlite, settings(url), areas, "Asia/Shanghai")
    channel.answers = [500]
    assert sender.send_due()
    with sqlite.write() as session:
        row = session.scalars(select(Delivery)).one()
        assert (row.state, row.error) == ("pending", "the channel did not take it")
        row.next_try_at = row.created_at
    assert sender.send_due()
    assert not sender.send_due()
    assert channel.heard[-1]["title"] == "New incident: Illegal parking #1"
    assert "Camera: street-1 · kerb" in channel.heard[-1]["message"]
    assert "Started: 2026-06-01 12:00" in channel.heard[-1]["message"]
    assert "On duty: Sun (wecom:sun)" in channel.heard[-1]["message"]


def test_an_address_that_apprise_does_not_know_is_a_mistake_of_configuration(sqlite):
    with pytest.raises(ConfigError, match="notify duty: url is no address") as refused:
        PeopleSender(sqlite, settings("smoke-signal://hill/key"), AreaService(sqlite, ZoneInfo("UTC")))
    assert "key" not in str(refused.value).replace("Apprise knows", "")


TASK = {
    "department": "police",
    "due_at": "2026-06-01T04:30:00.000Z",
    "stage": "arrive",
    "level": 2,
    "note": "",
}


@pytest.mark.parametrize(
    ("language", "title", "line"),
    [("zh", "已超时: 违法停车 #7", "督办级别: 2"), ("en", "Overdue: Illegal parking #7", "Level: 2")],
)
def test_a_message_says_what_is_late_in_the_language_of_its_readers(language, title, line):
    incident = {
        "id": 7,
        "kind": "illegal_parking",
        "camera": "c",
        "zone": None,
        "started_at": "2026-06-01T04:00:00Z",
    }
    document = {"event": "task.overdue", "incident": incident, "task": TASK}
    said = compose(document, language, ZoneInfo("Asia/Shanghai"))
    assert said[0] == title
    assert line in said[1].splitlines()
    assert "12:30" in said[1]

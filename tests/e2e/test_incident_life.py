"""One incident's whole life: a real broker, central as a process of its own, its ticker, and a real browser.

A box raises the alert and looks again when asked; an operator confirms and dispatches by keyboard; one of two
departments misses its limit, and the level above is told; both handle with a picture; it is closed and
evaluated. Then the timeline, what receivers heard, and the audit must tell the same story.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from box_peer import BoxPeer
from catalogue_kit import DEPARTMENTS, flow_row, table, write_xlsx
from central_kit import alert
from city import City
from components import CHROMIUM_FLAGS, REPOSITORY, run_command, wait_until
from console_world import BOXES, KERB, picture, street

from alerts.catalogue.read import read_catalogue
from alerts.config import load_config
from alerts.enrol import enrol
from alerts.messages import EvidenceRole
from alerts.program import open_database
from alerts.services.bundle import open_services
from alerts.webhooks import verify
from towerwatch.secrets import Secret
from towerwatch.timebase import utc_now

playwright_api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
from playwright.sync_api import Page, expect  # noqa: E402 - after the skip above

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
ARTEFACTS = REPOSITORY / "artefacts" / "life"
PASSWORD, SECRET = "correct horse battery", "shared with the city"
POLICE, FIRE = "police", "fire"
WAIT_MS = 30_000


class Receivers(ThreadingHTTPServer):
    """The city's webhook, and the channels of people: /city, /duty, /chief."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), _Take)

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [json.loads(body) for at, _headers, body in self.heard if at.startswith(path)]


class _Take(BaseHTTPRequestHandler):
    server: Receivers

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.path, dict(self.headers), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    server = Receivers()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join(5)
    server.server_close()


@dataclass
class Town:
    """What the test talks to."""

    city: City
    url: str
    receivers: Receivers
    pictures: list[bytes] = field(default_factory=list)
    enrolment: dict[str, Any] = field(default_factory=dict)

    def prepare(self, folder: Path) -> None:
        """Enter catalogue, operator and box before central starts."""
        config = load_config(self.city.config)
        database = open_database(config)
        services = open_services(database)
        notices = "department:duty, along:duty, operator:duty"
        # 0.2 min: long enough for one key after another on a busy machine, short enough to wait for
        row = flow_row(accept="0.2 min", arrive="1 h", close="2 h", notify=notices)
        file = write_xlsx(folder / "town.xlsx", table(row), DEPARTMENTS)
        services.catalogue.import_catalogue(read_catalogue(file), "test")
        services.people.create_user("li", PASSWORD, "operator")
        self.city.token = services.people.create_token("test", "administrator")
        self.enrolment = enrol(database, config, "box-1", "riverside")
        database.close()


@pytest.fixture
def town(tmp_path: Path, receivers: Receivers) -> Iterator[Town]:
    city = City(tmp_path / "city")
    made = Town(city, f"http://127.0.0.1:{city.port}", receivers)
    at = f"127.0.0.1:{receivers.server_port}"

    def secret(name: str, text: str) -> str:
        file = tmp_path / f"{name}.secret"
        file.write_text(text)
        file.chmod(0o600)
        return f"file:{file}"

    with contextlib.ExitStack() as stack:
        stack.callback(city.close)
        city.broker.start()
        city.write_config(
            console={"language": "en", "timezone": "Asia/Shanghai"},
            handling={"remind_frac": 0.7},
            webhooks=[{"name": "city", "url": f"http://{at}/city", "secret": secret("city", SECRET)}],
            notify=[
                {
                    "name": "duty",
                    "url": secret("duty", f"json://{at}/duty"),
                    "flows_only": True,
                    "language": "en",
                },
                {
                    "name": "chief",
                    "url": secret("chief", f"json://{at}/chief"),
                    "events": ["task.overdue"],
                    "levels": [1],
                    "language": "en",
                },
            ],
        )
        made.prepare(tmp_path)
        city.start_central()
        yield made


@pytest.fixture
def box(town: Town) -> Iterator[BoxPeer]:
    def look(_command: object) -> dict[str, Any]:
        data = picture(street(cars=0))
        town.pictures.append(data)
        seen = peer.upload(data)
        return {"sha256": seen.sha256, "bytes": seen.bytes}

    peer = BoxPeer(town.city.broker.port, town.url, town.enrolment, {"snapshot": look})
    peer.report_for_duty()
    yield peer
    peer.close()


@pytest.fixture
def page(town: Town, chromium_path: str) -> Iterator[Page]:
    expect.set_options(timeout=WAIT_MS)
    with playwright_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium_path, args=list(CHROMIUM_FLAGS))
        context = launched.new_context(viewport={"width": 1440, "height": 900}, timezone_id="Asia/Shanghai")
        context.set_default_timeout(WAIT_MS)
        opened = context.new_page()
        trouble: list[str] = []
        opened.on("pageerror", lambda error: trouble.append(str(error)))
        opened.goto(f"{town.url}/login")
        opened.fill("[name=name]", "li")
        opened.fill("[name=password]", PASSWORD)
        opened.keyboard.press("Enter")
        opened.wait_for_selector(".tw-queue")
        opened.wait_for_function("window.did_handshake === true")
        yield opened
        context.close()
        launched.close()
        assert trouble == []


def shot(page: Page, name: str) -> None:
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)


def raise_alert(box: BoxPeer) -> None:
    """A car that has stood for six minutes, with a picture from then and one from now."""
    now = utc_now()
    before = box.upload(picture(street(cars=2)), EvidenceRole.CONTEXT_T0)
    evidence = (before, box.upload(picture(street(cars=3))))
    about = {
        "started_at": now - timedelta(minutes=6),
        "captured_at": now,
        "boxes": BOXES,
        "zone_points": KERB,
    }
    box.send("alert", alert("life", evidence=evidence, **about))


def confirm_and_dispatch(page: Page) -> None:
    row = page.locator('[data-incident="1"]')
    expect(row).to_contain_text("Illegal parking")
    shot(page, "1-arrived")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/incidents/1$"))
    page.wait_for_function("window.did_handshake === true")
    page.keyboard.press("c")
    expect(page.locator(".tw-state-filed")).to_be_visible()
    page.keyboard.press("g")
    expect(page.locator('.tw-dialog [aria-pressed="true"]')).to_have_count(2)  # those of the flow
    page.keyboard.press("Enter")
    expect(page.locator(".tw-task")).to_have_count(2)
    page.keyboard.press("a")  # the one in time
    expect(page.locator(".tw-task-accepted")).to_have_count(1)
    shot(page, "2-dispatched")


def handle(page: Page) -> None:
    """The late one accepts, both arrive, both hand in a picture; then the camera looks again by itself."""
    expect(page.locator(".tw-task .tw-bad").filter(has_text="1").first).to_be_visible()
    shot(page, "3-overdue")
    page.keyboard.press("a")
    expect(page.locator(".tw-task-accepted")).to_have_count(2)
    for done in (1, 2):
        page.keyboard.press("o")
        expect(page.locator(".tw-task-on_site")).to_have_count(done)
    for done in (1, 2):
        page.keyboard.press("h")
        submit = page.locator('.tw-dialog [data-key="Enter"]')
        proof = {"name": "done.jpg", "mimeType": "image/jpeg", "buffer": picture(street(cars=1, shift=done))}
        page.locator('.tw-dialog input[type="file"]').set_input_files(proof)
        expect(submit).to_be_enabled()
        submit.click()
        expect(submit).to_have_count(0)
        expect(page.locator(".tw-task-handled")).to_have_count(done)
    expect(page.locator(".tw-state-to_check")).to_be_visible()
    expect(page.locator(".tw-looks")).to_be_visible()
    shot(page, "4-looked-again")


def close_and_evaluate(page: Page) -> None:
    page.keyboard.press("x")
    page.locator('.tw-dialog [data-key="Enter"]').click()
    expect(page.locator(".tw-state-closed")).to_be_visible()
    expect(page.locator(".tw-dialog")).to_have_count(0)
    page.keyboard.press("e")
    expect(page.locator(".tw-dialog")).to_be_visible()
    page.keyboard.press("5")
    expect(page.locator(".tw-state-evaluated")).to_be_visible()
    shot(page, "5-evaluated")


def test_the_whole_life_of_an_incident(town: Town, box: BoxPeer, page: Page) -> None:
    raise_alert(box)
    confirm_and_dispatch(page)
    handle(page)
    close_and_evaluate(page)
    incident = town.city.get("/api/v1/incidents/1")
    assert (incident["state"], incident["score"], incident["flow"]) == ("evaluated", 5, "050501")
    assert_timeline(town, incident)
    assert_told(town, incident)
    assert_audited(town, incident)
    assert [command.name for command in box.commands] == ["snapshot"]


def late_department(incident: dict[str, Any]) -> str:
    (line,) = [line for line in incident["timeline"] if line["action"] == "overdue"]
    assert line["detail"]["level"] == 1
    return str(line["detail"]["department"])


def assert_timeline(town: Town, incident: dict[str, Any]) -> None:
    actions = [line["action"] for line in incident["timeline"] if line["action"] != "reminder"]
    assert actions == [
        "detected", "submit", "alert", "confirm", "dispatch", "accept", "overdue", "accept", "arrive",
        "arrive", "handle", "handle", "look_again", "looked_again", "check", "close", "evaluate",
    ]  # fmt: skip
    states = [line["to_state"] for line in incident["timeline"] if line["to_state"]]
    assert states == [
        "detected", "to_verify", "filed", "dispatched", "accepted", "on_site", "handled", "to_check",
        "closed", "evaluated",
    ]  # fmt: skip
    tasks = {task["department"]: task for task in incident["tasks"]}
    assert {name: task["level"] for name, task in tasks.items()} == {
        POLICE: int(late_department(incident) == POLICE),
        FIRE: int(late_department(incident) == FIRE),
    }
    assert all(task["state"] == "handled" and len(task["proofs"]) == 1 for task in tasks.values())
    closing = next(line["detail"] for line in incident["timeline"] if line["action"] == "close")
    assert town.city.fetch(f"/evidence/{closing['after']}") == town.pictures[0], "the look again goes along"
    assert town.city.fetch(f"/evidence/{closing['before']}") == picture(street(cars=3))


def assert_told(town: Town, incident: dict[str, Any]) -> None:
    """Every receiver heard what is for it, once: the city all, departments theirs, the chief what is late."""
    late, tasks = late_department(incident), incident["tasks"]
    reminded = [line["detail"]["task"] for line in incident["timeline"] if line["action"] == "reminder"]
    late_id = next(task["id"] for task in tasks if task["department"] == late)
    of_tasks = [f"task.assigned:{task['id']}" for task in tasks]
    of_tasks += [f"task.reminder:{task}:accept:0" for task in reminded] + [f"task.overdue:{late_id}:accept:1"]
    heard = town.receivers
    wait_until(lambda: len(heard.bodies("/city")) >= 4 + len(of_tasks), 30, "the city heard all")
    keys = [body["key"] for body in heard.bodies("/city")]
    assert len(keys) == len(set(keys))
    assert sorted(key for key in keys if key.startswith("task.")) == sorted(of_tasks)
    of_incident = [key.partition(":")[0] for key in keys if key.startswith("incident.")]
    assert of_incident == ["incident.created", "incident.filed", "incident.to_check", "incident.closed"]
    for _path, headers, body in (one for one in heard.heard if one[0] == "/city"):
        assert verify(Secret(SECRET), body, headers["Towerwatch-Signature"], utc_now())
    wait_until(lambda: len(heard.bodies("/duty")) >= 2 + len(of_tasks), 30, "the departments heard all")
    titles = [body["title"].partition(":")[0] for body in heard.bodies("/duty")]
    assert sorted(titles) == sorted(
        ["New incident", "To check", "New task", "New task", "Overdue", *["Due soon"] * len(reminded)]
    )
    (chief,) = heard.bodies("/chief")
    assert chief["title"].startswith("Overdue")
    assert late in chief["message"]


def assert_audited(town: Town, incident: dict[str, Any]) -> None:
    rows = town.city.get("/api/v1/audit", subject="incident 1", limit=100)["items"]
    told = [(row["actor"], row["action"]) for row in reversed(rows)]
    assert told == [(line["actor"], line["action"]) for line in incident["timeline"]]
    assert "unbroken" in run_command("central", "audit", "verify", "--config", town.city.config)

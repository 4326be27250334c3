"""The console in a real browser, served by the real application: what an operator does in a shift."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
import uvicorn
from area_kit import town, write_roster
from components import CHROMIUM_FLAGS, REPOSITORY, wait_until
from console_world import EDGE, OPERATOR, PASSWORD, World, camera, parked_car, picture, street
from fresh_nicegui import fresh_nicegui
from sqlalchemy import select

from alerts.areas.geojson import read_areas
from alerts.areas.roster import read_roster
from alerts.catalogue.read import read_catalogue, starter_path
from alerts.config import CentralConfig, ConsoleSettings
from alerts.http.app import create_app
from alerts.http.context import make_context
from alerts.messages import BlindReason, Freshness, Kind
from alerts.services.rights import Within
from alerts.states import State
from alerts.store.tables import CameraStateChange, Command, Edge
from alerts.zones import views_of
from towerwatch.timebase import utc_now

playwright_api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
from playwright.sync_api import Browser, Page, expect  # noqa: E402 - after the skip above

pytestmark = [
    pytest.mark.e2e,
    # Chromium and the server share two cores with whatever else runs there
    pytest.mark.timeout(240),
]
ARTEFACTS = REPOSITORY / "artefacts" / "console"
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
WAIT_MS = 20_000
CHIEF = "chief"
OTHERWISE = "060302"  # the second flow of an item that no camera files


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World.create(tmp_path_factory.mktemp("central"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def address(world: World) -> Iterator[str]:
    """Serve the application from a thread; give its address."""
    with fresh_nicegui():
        config = CentralConfig(data_dir=world.folder / "data", console=ConsoleSettings(title="Towerwatch"))
        app = create_app(make_context(config, world.database))
        settings = uvicorn.Config(
            app, host="127.0.0.1", port=0, log_level="warning", timeout_graceful_shutdown=2, lifespan="on"
        )
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, name="AnyIO worker thread of the test server")
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive(), what="the server listening")
            port = server.servers[0].sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    with playwright_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium_path, args=list(CHROMIUM_FLAGS))
        yield launched
        launched.close()


class Watched:
    """What a page did that nobody wants to see: errors, and requests to anywhere but us."""

    def __init__(self, page: Page, address: str) -> None:
        self.trouble: list[str] = []
        page.on("console", lambda m: self._add(m.type in {"error", "warning"}, f"console: {m.text}"))
        page.on("pageerror", lambda e: self._add(True, f"error: {e}"))
        page.on("requestfailed", lambda r: self._add("ERR_ABORTED" not in str(r.failure), f"failed: {r.url}"))
        page.on("response", lambda r: self._add(r.status >= 400, f"{r.status}: {r.url}"))
        ours = (address, address.replace("http", "ws"), "data:", "blob:")
        page.on("request", lambda r: self._add(not r.url.startswith(ours), f"outside: {r.url}"))
        page.on("websocket", lambda w: self._add(not w.url.startswith(ours), f"outside: {w.url}"))

    def _add(self, bad: bool, text: str) -> None:
        if bad:
            self.trouble.append(text)


@contextlib.contextmanager
def visit(
    browser: Browser, address: str, *, phone: bool = False, english: bool = True, name: str = OPERATOR
) -> Iterator[Page]:
    """Log in, as an operator by default; whatever the page did wrong fails the test at the end."""
    context = browser.new_context(viewport=PHONE if phone else DESKTOP, timezone_id="Asia/Shanghai")
    context.set_default_timeout(WAIT_MS)
    expect.set_options(timeout=WAIT_MS)
    page = context.new_page()
    watched = Watched(page, address)
    try:
        page.goto(f"{address}/console/prefs?lang={'en' if english else 'zh'}&next=/")
        assert "/login" in page.url
        page.fill("[name=name]", name)
        page.fill("[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector(".tw-queue")
        page.wait_for_function("window.did_handshake === true")
        yield page
        assert watched.trouble == []
    finally:
        context.close()


def shot(page: Page, name: str, *, whole: bool = False) -> None:
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=whole)


def state_of(world: World, incident_id: int) -> State:
    return world.services.incidents.get_incident(incident_id).state


def judge_a_box(page: Page, world: World, alert_id: str) -> None:
    page.locator(".tw-role-context_now .tw-box").nth(1).click()
    page.keyboard.press("w")
    expect(page.locator(".tw-role-context_now .tw-box-false")).to_have_count(1)
    (verdict,) = world.services.verdicts.of_alert(alert_id)
    assert (verdict.box_index, verdict.verdict, verdict.user) == (1, "false", OPERATOR)


def test_an_alert_from_arrival_to_closure_by_keyboard(browser: Browser, address: str, world: World) -> None:
    world.send(world.alert(Kind.SMOKE, camera="field-3", zone=None))
    with visit(browser, address) as page:
        expect(page.locator(".tw-row")).not_to_have_count(0)
        message = parked_car(world, camera="street-live", with_files=False)
        incident_id = world.send(message)
        # it appears by itself, within about a second; the margin is for a busy machine
        row = page.locator(f'[data-incident="{incident_id}"]')
        expect(row).to_be_visible(timeout=8000)
        expect(row).to_contain_text("Illegal parking")
        shot(page, "wall-1440-en")
        for _ in range(30):
            if "tw-selected" in (row.get_attribute("class") or ""):
                break
            page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(rf"/incidents/{incident_id}$"))
        page.wait_for_function("window.did_handshake === true")

        # the pictures are still on their way from the box, and come by themselves
        expect(page.locator(".tw-missing")).to_have_count(5)
        parked_car(world, camera="elsewhere")
        expect(page.locator(".tw-missing")).to_have_count(0)
        expect(page.locator(".tw-frame img")).to_have_count(4)
        images = "[...document.querySelectorAll('.tw-frame img')]"
        page.wait_for_function(f"{images}.every((i) => i.complete && i.naturalWidth > 0)")

        video = page.locator("video")
        video.evaluate("(v) => v.play()")
        page.wait_for_function("document.querySelector('video').currentTime > 0.3")
        assert video.evaluate("(v) => v.videoWidth") == 640

        expect(page.locator(".tw-box")).to_have_count(6)
        expect(page.locator(".tw-zone")).to_have_count(3)
        page.keyboard.press("b")
        expect(page.locator(".tw-box")).to_have_count(0)
        page.keyboard.press("z")
        expect(page.locator(".tw-zone")).to_have_count(0)
        page.keyboard.press("b")
        page.keyboard.press("z")
        shot(page, "incident-1440-en", whole=True)

        judge_a_box(page, world, message.alert_id)
        page.keyboard.press("c")
        expect(page.locator(".tw-state-filed")).to_be_visible()
        assert state_of(world, incident_id) is State.FILED
        page.keyboard.press("x")
        page.locator(".tw-dialog textarea").fill("towed away <b>at once</b>")
        page.locator('.tw-dialog [data-key="Enter"]').click()
        expect(page.locator(".tw-state-closed")).to_be_visible()
        expect(page.locator(".tw-dialog")).to_have_count(0)
        expect(page.locator(".tw-timeline")).to_contain_text("towed away <b>at once</b>")
        assert state_of(world, incident_id) is State.CLOSED
        expect(page.locator(".tw-dialog textarea")).to_have_count(0)
        page.keyboard.press("r")
        expect(page.locator(".tw-state-to_verify")).to_be_visible()


def test_dismiss_with_a_reason_and_go_on_to_the_next(browser: Browser, address: str, world: World) -> None:
    first = world.send(world.alert(Kind.BLOCKED_ROAD, camera="road-1", zone="lane"))
    second = world.send(world.alert(Kind.BLOCKED_ROAD, camera="road-2", zone="lane"))
    with visit(browser, address) as page:
        page.locator('[data-kind="blocked_road"]').click()
        expect(page.locator(".tw-row")).to_have_count(2)
        expect(page).to_have_url(re.compile("kind=blocked_road"))
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("/incidents/"))
        page.wait_for_function("window.did_handshake === true")
        page.keyboard.press("d")
        submit = page.locator('.tw-dialog [data-key="Enter"]')
        expect(submit).to_be_disabled()
        page.keyboard.press("7")
        expect(submit).to_be_enabled()
        shot(page, "dismiss-1440-en")
        page.keyboard.press("Enter")
        expect(page.locator(".tw-state-dismissed")).to_be_visible()
        expect(page.locator(".tw-facts")).to_contain_text("Queue at a red light")
        here = int(page.url.rpartition("/")[2])
        page.keyboard.press("n")
        page.wait_for_url(f"**/incidents/{first + second - here}")
        page.wait_for_function("window.did_handshake === true")
        page.keyboard.press("Escape")
        page.wait_for_selector(".tw-queue")
    dismissed = [key for key in (first, second) if state_of(world, key) is State.DISMISSED]
    assert len(dismissed) == 1
    assert world.services.incidents.get_incident(dismissed[0]).dismiss_reason == "red_light"


def test_what_a_colleague_does_shows_on_an_open_page(browser: Browser, address: str, world: World) -> None:
    incident_id = world.send(parked_car(world, camera="street-colleague"))
    with visit(browser, address) as page:
        page.goto(f"{address}/incidents/{incident_id}")
        page.wait_for_function("window.did_handshake === true")
        world.services.incidents.confirm(incident_id, user="colleague")
        expect(page.locator(".tw-state-filed")).to_be_visible()
        expect(page.locator(".tw-timeline")).to_contain_text("colleague")


def test_texts_from_outside_stay_texts(browser: Browser, address: str, world: World) -> None:
    evil = "<img src=x onerror=alert(1)>"
    world.health([camera("street-x", Freshness.BLIND, reason=BlindReason.FROZEN, detail=evil)])
    place = {"lat_deg": 25.0, "lon_deg": 102.7}
    world.services.fleet.place_camera(EDGE, "street-x", **place, name="<script>alert(1)</script>")
    incident_id = world.send(world.alert(Kind.SMOKE, camera="street-x", zone=None))
    with visit(browser, address) as page:
        page.on("dialog", lambda d: pytest.fail(f"a script ran: {d.message}"))
        expect(page.locator(f'[data-incident="{incident_id}"]')).to_contain_text("<script>alert(1)</script>")
        page.locator(".tw-spot.tw-sev-1").hover()
        expect(page.locator(".leaflet-tooltip")).to_contain_text("<script>")
        page.goto(f"{address}/cameras")
        expect(page.locator(".tw-table").first).to_contain_text(evil)
        shot(page, "cameras-1440-en")


def test_on_a_phone_in_chinese(browser: Browser, address: str, world: World) -> None:
    incident_id = world.send(parked_car(world, camera="street-phone"))
    with visit(browser, address, phone=True, english=False) as page:
        expect(page.locator(".tw-row").first).to_be_visible()
        assert page.evaluate("document.documentElement.lang") == "zh-CN"
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        shot(page, "wall-390-zh")
        page.locator(".tw-tabs button").nth(1).click()
        expect(page.locator(".tw-spot").first).to_be_visible()
        shot(page, "map-390-zh")
        page.goto(f"{address}/incidents/{incident_id}")
        page.wait_for_function("window.did_handshake === true")
        expect(page.locator(".tw-frame img")).to_have_count(4)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        shot(page, "incident-390-zh", whole=True)
        page.locator(".tw-role-context_t0 .tw-frame").click(position={"x": 5, "y": 5})
        expect(page.locator(".tw-light")).to_be_visible()
        page.keyboard.press("ArrowRight")
        expect(page.locator(".tw-light-bar b")).to_have_text("确认全景")
        page.keyboard.press("Escape")
        expect(page.locator(".tw-light")).to_have_count(0)
        page.locator('[data-action="confirm"]').click()
        expect(page.locator(".tw-state-filed")).to_be_visible()
        page.locator('[data-action="dispatch"]').click()
        page.locator(".tw-dialog textarea").first.fill("traffic-police")
        shot(page, "dispatch-390-zh")
        page.locator('.tw-dialog [data-key="Enter"]').click()
        expect(page.locator(".tw-task")).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        shot(page, "dispatched-390-zh", whole=True)
        page.goto(f"{address}/cameras")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


PAGES = {
    "report": "/report",
    "cameras": "/cameras",
    "statistics": "/statistics",
    "catalogue": "/catalogue?category=05",
    "areas": "/areas",
    "users": "/users",
    "audit": "/audit",
    "camera": f"/cameras/{EDGE}/street-zones",
}


WEEK = (  # hours ago, camera or box (empty), state
    (150, "street-zones", "fresh"), (101.3, "street-zones", "blind"), (97.8, "street-zones", "fresh"),
    (60.5, "", "offline"), (49.2, "", "online"), (30, "street-zones", "stale"),
    (29.7, "street-zones", "fresh"),
)  # fmt: skip


@pytest.fixture(scope="module")
def city(world: World) -> World:
    """An administrator, a catalogue, areas and rosters, and a box whose configuration central holds."""
    services, folder = world.services, world.folder
    services.people.create_user(CHIEF, PASSWORD, "administrator")
    services.catalogue.import_catalogue(read_catalogue(starter_path()), CHIEF)
    (folder / "areas.geojson").write_text(json.dumps(town()), encoding="utf-8")
    services.areas.import_areas(read_areas(folder / "areas.geojson"), CHIEF)
    known = {area.id for area in services.areas.list_areas()}
    services.areas.import_roster(read_roster(write_roster(folder / "roster.csv"), known), CHIEF)
    text = (REPOSITORY / "configs" / "examples" / "street.yaml").read_text(encoding="utf-8")
    text = text.replace("market-street", "street-zones")
    world.health([camera("street-zones")])
    with world.database.write() as session:
        edge = session.get_one(Edge, EDGE)
        edge.online, edge.config_sha256 = True, hashlib.sha256(text.encode()).hexdigest()
        for hours, of, state in WEEK:
            at = utc_now() - timedelta(hours=hours)
            session.add(CameraStateChange(edge=EDGE, camera=of, at=at, state=state))
    world.zones.keep_config(EDGE, text.encode(), CHIEF)
    return world


def test_every_page_of_the_city_fits_desk_and_phone(browser: Browser, address: str, city: World) -> None:
    city.send(parked_car(city, camera="street-city", with_files=False))
    for phone, english in ((False, True), (True, False)):
        with visit(browser, address, phone=phone, english=english, name=CHIEF) as page:
            if phone:
                page.locator(".tw-menu").click()
                expect(page.locator(".tw-navs a")).to_have_count(8)
            for name, path in PAGES.items():
                page.goto(f"{address}{path}")
                page.wait_for_function("window.did_handshake === true")
                width = (PHONE if phone else DESKTOP)["width"]
                assert page.evaluate("document.documentElement.scrollWidth") <= width, name
                shot(page, f"{name}-{'390-zh' if phone else '1440-en'}", whole=True)


def test_a_grid_worker_reports_by_phone_and_an_operator_files_it_otherwise(
    browser: Browser, address: str, city: World
) -> None:
    city.services.people.create_user("li", PASSWORD, "grid_worker", where=Within(area="west"))
    item = city.services.catalogue.get().flows[OTHERWISE].item
    with visit(browser, address, phone=True, english=False, name="li") as page:
        page.goto(f"{address}/report")
        page.wait_for_function("window.did_handshake === true")
        send = page.locator('[data-do="report"]')
        expect(send).to_be_disabled()
        page.select_option("[name=item]", item)
        file = {"name": "spot.jpg", "mimeType": "image/jpeg", "buffer": picture(street())}
        page.set_input_files("input[type=file]", file)
        expect(page.get_by_text("已收到 1 张照片")).to_be_visible()
        page.fill("[name=note]", "线缆垂落")
        page.fill("[name=lat_deg]", "33.5")
        page.fill("[name=lon_deg]", "112.25")
        page.keyboard.press("Tab")
        expect(send).to_be_enabled()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        shot(page, "reported-390-zh", whole=True)
        send.click()
        page.wait_for_url(re.compile(r"/incidents/\d+$"))
        incident_id = int(page.url.rpartition("/")[2])
        expect(page.locator(".tw-timeline")).to_contain_text("人工上报")
    with visit(browser, address) as page:
        page.goto(f"{address}/incidents/{incident_id}")
        page.wait_for_function("window.did_handshake === true")
        page.keyboard.press("f")
        expect(page.locator(".tw-flows")).to_be_visible()
        shot(page, "flows-1440-en")
        page.locator(f'[data-flow="{OTHERWISE}"]').click()
        expect(page.locator(".tw-panel .tw-facts").last).to_contain_text(OTHERWISE)
    assert city.services.incidents.get_incident(incident_id).flow == OTHERWISE


def test_zones_are_drawn_with_the_keyboard_and_sent(browser: Browser, address: str, city: World) -> None:
    with visit(browser, address, name=CHIEF) as page:
        page.goto(f"{address}{PAGES['camera']}")
        page.wait_for_function("window.did_handshake === true")
        page.get_by_role("button", name="kerb").click()
        page.locator(".tw-corner").first.focus()
        for _ in range(4):
            page.keyboard.press("ArrowRight")
        page.get_by_role("button", name="Add a corner").click()
        expect(page.locator(".tw-corner")).to_have_count(5)
        page.locator('[data-do="send"]').click()
        expect(page.locator(".tw-result")).to_contain_text("The box is trying it")
        shot(page, "zones-1440-en")
    with city.database.read() as session:
        command = session.scalars(select(Command).where(Command.name == "apply_config")).one()
    file = city.folder / "data" / "artifacts" / command.arguments["sha256"][:2] / command.arguments["sha256"]
    kerb = next(zone for zone in views_of(file.read_text(), "street-zones")[0].zones if zone.id == "kerb")
    assert kerb.points[0] == (0.07, 0.6)
    assert len(kerb.points) == 5


def test_dark_and_help_and_log_out(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        page.goto(f"{address}/console/prefs?theme=dark&next=/")
        page.wait_for_function("document.body.classList.contains('body--dark')")
        page.wait_for_function("window.did_handshake === true")
        page.keyboard.press("?")
        expect(page.locator(".tw-keys")).to_be_visible()
        shot(page, "help-1440-en-dark")
        page.keyboard.press("Escape")
        expect(page.locator(".tw-keys")).not_to_be_visible()
        page.locator('form[action$="/logout"] button').click()
        page.wait_for_selector(".tw-login")
        page.goto(f"{address}/cameras")
        assert "/login?next=%2Fcameras" in page.url


def test_the_wall_shows_where_a_calibrated_camera_looks(browser: Browser, address: str, world: World) -> None:
    text = (REPOSITORY / "configs" / "examples" / "tower.yaml").read_bytes()
    world.add_edge("tower-7")
    world.health([camera("tower-7-ptz")], edge="tower-7")
    world.services.fleet.place_camera("tower-7", "tower-7-ptz", lat_deg=33.6124, lon_deg=113.0917)
    with world.database.write() as session:
        session.get_one(Edge, "tower-7").config_sha256 = hashlib.sha256(text).hexdigest()
    world.zones.keep_config("tower-7", text, OPERATOR)
    with visit(browser, address) as page:
        page.wait_for_function("window.tw?.map?.map !== undefined")
        page.evaluate("window.tw.map.map.setView([33.6124, 113.0917], 14, { animate: false })")
        # the board may hear of the new camera only now; the map asks again by itself
        page.wait_for_function("window.tw.map.sectors.getLayers().length === 2")
        shot(page, "sectors-1440-en")
        frozen = camera("tower-7-ptz", Freshness.BLIND, reason=BlindReason.FROZEN)
        world.health([frozen], edge="tower-7")
        page.wait_for_selector(".tw-cam-blind")  # nobody moves the map, and there is no incident
        page.evaluate("window.tw.map.map.setZoom(9, { animate: false })")
        page.wait_for_function("window.tw.map.sectors.getLayers().length === 0")

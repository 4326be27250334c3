"""The wall of the whole city in a real browser: 71,591 cameras on the map and 5,000 open incidents.

``python -m benchmarks.fleet_wall [--quick] --json OUT``

``central serve`` over a filled database, and Chromium that logs in, looks at the wall, drags its map and
turns the wheel over it, while cameras change their state. Server times are what each answer says of itself
in ``Server-Timing``. ``first_view_server_ms``: how long the server had answers under way from the press of
the button until clusters stand on the map; ``first_view_ms``: all that passed until then. ``look_…_ms``:
what one pan or zoom costs the server; ``look_browser_p95_ms``: until the browser has the answer.
``cameras_seen``, ``incidents_seen``: the numbers on the map, summed up. ``ok`` is false if one of them is
missing, the first view costs the server over 2 s or a look over 300 ms.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from sqlalchemy import insert, select

from alerts.store import journal
from alerts.store.database import Database
from alerts.store.tables import Camera, Edge
from benchmarks.command import run_command
from benchmarks.console import NAME, PASSWORD, prepare
from benchmarks.fleet_load import BOXES, STREAMS, cameras_of
from benchmarks.latency import quantile
from benchmarks.report import Row, document, print_machine, print_table, write_json
from towerwatch import demosite
from towerwatch.children import towerwatch_command
from towerwatch.timebase import utc_now

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Response

INCIDENTS = 5000
STATES, SHARES = ("fresh", "stale", "blind", "starting"), (0.96, 0.02, 0.015, 0.005)
FIRST_MS, LOOK_MS = 2000.0, 300.0  # what may pass at most
WIDTH, HEIGHT = 1440, 900
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
# what is done at a place of the map, again and again; the wheel's way is in pixels
MOVES: tuple[tuple[str, int], ...] = (
    ("wheel", -240), ("wheel", -240), ("drag", 260), ("wheel", -240), ("drag", -180), ("wheel", 240),
    ("drag", 320), ("wheel", 240), ("wheel", 240), ("drag", -260),
)  # fmt: skip
_READY_S = 60.0
_WAIT_MS = 60_000
_STIR_S, _STIRRED = 0.5, 10
# the numbers on the markers of a kind; one without a number is one
_SUM = """(css) => [...document.querySelectorAll(css)]
    .reduce((sum, el) => sum + Number(el.textContent || 1), 0)"""


def fill(folder: Path, boxes: int, incidents: int, seed: int = 0) -> int:
    """Make the city's database below a folder; return how many cameras are in it."""
    rng = np.random.default_rng(seed)
    (folder / "data").mkdir(parents=True)
    database = prepare(folder / "data", incidents, seed)
    now = utc_now()
    counts = [cameras_of(number, boxes) for number in range(boxes)]
    of_box = np.repeat(np.arange(boxes), counts)
    places = rng.normal((30.59, 114.31), (0.2, 0.25), (boxes, 2))[of_box]
    places = np.clip(rng.normal(places, 0.003), (29.8, 113), (31.4, 115.6))
    states = rng.choice(STATES, of_box.size, p=SHARES).tolist()
    names = [f"cam-{index:02d}" for count in counts for index in range(count)]
    about = {"detail": "", "state_since": now, "reported_at": now, "covered_s": 30.0, "interval_s": 2.0}
    cameras = [
        {"edge": f"box-{box:04d}", "camera": name, "state": state, "lat_deg": lat, "lon_deg": lon, **about}
        for box, name, state, (lat, lon) in zip(of_box, names, states, places.tolist(), strict=True)
    ]
    with database.write() as session:
        about = {"site": "city", "first_seen_at": now, "online": True, "health_received_at": now}
        session.execute(insert(Edge), [{"id": f"box-{n:04d}", **about} for n in range(boxes)])
        session.execute(insert(Camera), cameras)
    database.close()
    return len(cameras)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a filled database as a city does; yield the address."""
    broker, port = demosite.free_ports(2)
    settings = demosite.central_document(broker, port) | {"data_dir": str(folder / "data")}
    config = demosite.write_yaml(folder / "central.yaml", settings | {"console": {"language": "en"}})
    with (folder / "central.log").open("w") as log:
        command = towerwatch_command("central", "serve", "--config", str(config))
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + _READY_S
        while not _listens(port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise typer.BadParameter((folder / "central.log").read_text())
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(15)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def stirred(folder: Path, seed: int = 0) -> Iterator[None]:
    """Change the states of some cameras twice a second, as health messages of a city do."""
    rng, ending = np.random.default_rng(seed), threading.Event()
    database = Database(f"sqlite:///{folder / 'data' / 'central.db'}")
    with database.read() as session:
        keys = session.execute(select(Camera.edge, Camera.camera)).all()

    def stir() -> None:
        while not ending.wait(_STIR_S):
            with database.write() as session:
                for index in rng.choice(len(keys), _STIRRED, replace=False):
                    edge, camera = keys[index]
                    row = session.get_one(Camera, (edge, camera))
                    row.state = str(rng.choice(STATES, p=SHARES))
                    journal.changed(session, "camera", f"{edge}/{camera}", row.state)

    thread = threading.Thread(target=stir, name="stir")
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
        database.close()


class Eyes:
    """One operator's browser."""

    def __init__(self, page: Page, url: str) -> None:
        """Watch a page's answers."""
        self._page = page
        self._url = url
        self._answers: list[Response] = []
        page.set_default_timeout(_WAIT_MS)
        page.on("response", self._keep)

    def _keep(self, response: Response) -> None:
        self._answers.append(response)

    def first_view(self) -> Row:
        """Log in and wait for the clusters of the whole city."""
        page = self._page
        page.goto(f"{self._url}/login")
        page.fill("[name=name]", NAME)
        page.fill("[name=password]", PASSWORD)
        page.wait_for_load_state("networkidle")
        self._answers.clear()
        begun = time.monotonic()
        page.keyboard.press("Enter")
        page.wait_for_selector(".tw-spot")
        took_ms = 1e3 * (time.monotonic() - begun)
        return {
            "first_view_ms": round(took_ms),
            "first_view_server_ms": round(_busy_ms(self._answers)),
            "cameras_seen": page.evaluate(_SUM, ".tw-cam"),
            "incidents_seen": page.evaluate(_SUM, ".tw-spot"),
        }

    def look_around(self, looks: int, seed: int = 0) -> Row:
        """Drag the map and turn the wheel over it."""
        page, rng = self._page, np.random.default_rng(seed)
        box = page.locator(".tw-mapbox .tw-map").bounding_box()
        assert box is not None
        took: list[float] = []
        browser_ms: list[float] = []
        for number in range(looks):
            what, way = MOVES[number % len(MOVES)]
            x, y = (
                box["x"] + box["width"] * rng.uniform(0.4, 0.6),
                box["y"] + box["height"] * rng.uniform(0.4, 0.6),
            )
            page.mouse.move(x, y)
            with page.expect_response(lambda response: "/console/map?" in response.url) as answer:
                if what == "wheel":
                    page.mouse.wheel(0, way)
                else:
                    page.mouse.down()
                    page.mouse.move(x + way, y + way / 2, steps=4)
                    page.mouse.up()
            answer.value.finished()
            timing = answer.value.request.timing
            took.append(_server_ms(answer.value))
            browser_ms.append(timing["responseEnd"] - timing["requestStart"])
        return {
            "looks": looks,
            "look_p50_ms": round(quantile(took, 0.5), 1),
            "look_p95_ms": round(quantile(took, 0.95), 1),
            "look_max_ms": round(max(took), 1),
            "look_browser_p95_ms": round(quantile(browser_ms, 0.95), 1),
        }


def _busy_ms(answers: Sequence[Response]) -> float:
    """Return for how long at least one of the answers was under way at the server."""
    busy, until = 0.0, 0.0
    ends = [(one.request.timing["startTime"] + one.request.timing["responseStart"], one) for one in answers]
    for begin, end in sorted((end - _server_ms(one), end) for end, one in ends):
        busy += max(0.0, end - max(begin, until))
        until = max(until, end)
    return busy


def _server_ms(response: Response) -> float:
    """Return what an answer says that it cost; 0 where it says nothing, as what the browser has kept."""
    name, _, value = response.headers.get("server-timing", "").partition(";dur=")
    return float(value) if name == "total" else 0.0


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser that is installed here."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - a tool of development

    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        msg = f"none of {', '.join(CHROMIUM)} is installed"
        raise typer.BadParameter(msg)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def main(
    json_path: Annotated[Path, typer.Option("--json", help="Where to write the results.")],
    quick: Annotated[bool, typer.Option("--quick", help="500 boxes, 500 incidents.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Open the wall of the whole city and move about its map."""
    content: dict[str, Any] = document("fleet_wall", quick=quick)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        boxes, incidents = (500, 500) if quick else (BOXES, INCIDENTS)
        content["cameras"] = fill(folder, boxes, incidents)
        content["incidents"] = incidents
        with served(folder) as url, chromium() as browser:
            eyes = Eyes(browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}), url)
            content |= eyes.first_view()
            with stirred(folder):
                content |= eyes.look_around(30 if quick else 100)
    whole = content["cameras_seen"] == (content["cameras"] if quick else STREAMS)
    whole = whole and content["incidents_seen"] == incidents
    content["ok"] = (
        whole and content["first_view_server_ms"] <= FIRST_MS and content["look_max_ms"] <= LOOK_MS
    )
    print_machine(content)
    head = (
        "cameras_seen", "incidents_seen", "first_view_server_ms", "first_view_ms",
        "look_p50_ms", "look_p95_ms", "look_max_ms", "look_browser_p95_ms",
    )  # fmt: skip
    print_table("the wall", [content], head)
    write_json(json_path, content)
    if not content["ok"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(main)

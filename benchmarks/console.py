"""How many operators one console bears: 200 simulated browsers on the real wall, 5,000 open incidents.

Each simulated browser loads the wall, opens NiceGUI's socket as a real one does, receives every
difference of its list, and asks for the map when it is told that places changed, as the page's own
script does. The server is a process of its own; its CPU time and memory are read from ``/proc``, so
other work on the machine lengthens latencies and not the CPU share.

    python -m benchmarks.console [--quick] --json OUT
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import numpy as np
import uvicorn
from fastapi import FastAPI
from sqlalchemy import select

from alerts.config import ConsoleSettings
from alerts.console.mount import mount_console
from alerts.services.bundle import open_services
from alerts.store import journal
from alerts.store.database import Database
from alerts.store.migrate import upgrade
from alerts.store.tables import Edge, Incident
from benchmarks.machine import Usage
from towerwatch.timebase import utc_now

NAME, PASSWORD = "bench", "a password for a benchmark"
KINDS = ("smoke", "illegal_parking", "blocked_road")
# what 200 operators look at: most the whole queue, some a kind, a few one camera
FILTERS: tuple[dict[str, str], ...] = (
    *[{}] * 6,
    {"kind": "smoke"},
    {"kind": "blocked_road"},
    {"sort": "newest"},
    {"camera": "cam-7"},
)
VIEWS = (
    ("112.5,29.5,116.0,31.6", 8),
    ("113.9,30.3,114.8,30.9", 11),
    ("114.2,30.5,114.4,30.7", 13),
)
NEW_SHARE = 0.2  # of the changes; the others are updates of what is known
MAP_EVERY_S = 2.0  # as in city_map.js


def incident(rng: np.random.Generator, number: int, age_s: float) -> Incident:
    """Make an open incident somewhere around a city."""
    now = utc_now()
    started = now - timedelta(seconds=age_s)
    lat, lon = 30.59 + float(rng.normal(0, 0.2)), 114.31 + float(rng.normal(0, 0.25))
    place = {"lat_deg": lat, "lon_deg": lon}
    ellipse = {"semi_major_m": 80.0, "semi_minor_m": 30.0, "orientation_deg": 40.0}
    return Incident(
        kind=str(rng.choice(KINDS, p=[0.1, 0.75, 0.15])),
        state="to_verify",
        open=True,
        correlation_key=f"bench {number} {uuid.uuid4().hex}",
        site="site",
        edge="box",
        camera=f"cam-{int(rng.integers(2000))}",
        zone="kerb",
        state_at=started,
        started_at=started,
        last_seen_at=now,
        created_at=started,
        updated_at=now,
        confidence=0.8,
        alert_count=1,
        open_alert_count=1,
        position=place | ellipse,
        **place,
    )


def prepare(folder: Path, incidents: int, seed: int) -> Database:
    """Make the database: one user, one box, many open incidents."""
    database = Database(f"sqlite:///{folder / 'central.db'}")
    upgrade(database)
    open_services(database).people.create_user(NAME, PASSWORD, "operator")
    rng = np.random.default_rng(seed)
    with database.write() as session:
        session.add(Edge(id="box", site="site", first_seen_at=utc_now()))
        session.add_all(incident(rng, n, float(rng.uniform(60, 6 * 3600))) for n in range(incidents))
    return database


def serve(folder: Path, port: int) -> None:
    """Serve the console alone over a prepared database, until the process is ended."""
    services = open_services(Database(f"sqlite:///{folder / 'central.db'}"))

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        services.live.start()
        yield
        services.live.stop()

    app = FastAPI(lifespan=lifespan)
    mount_console(app, services, ConsoleSettings())
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False, backlog=2048)


@dataclass
class Crowd:
    """Many simulated browsers on one server."""

    url: str
    session: aiohttp.ClientSession
    sockets: aiohttp.ClientSession
    connected: int = 0
    messages: int = 0
    received_bytes: int = 0
    maps: int = 0
    latencies_s: list[float] = field(default_factory=list)
    map_s: list[float] = field(default_factory=list)
    sent: dict[tuple[int, int], float] = field(default_factory=dict)

    def reset(self) -> None:
        """Begin to count anew."""
        self.messages = self.received_bytes = self.maps = 0
        self.latencies_s.clear()
        self.map_s.clear()

    async def page(self, number: int) -> tuple[str, float]:
        """Load the wall as browser ``number`` does; return it and the seconds it took."""
        begun = time.monotonic()
        async with self.session.get(f"{self.url}/", params=FILTERS[number % len(FILTERS)]) as response:
            text = await response.text()
            response.raise_for_status()
        return text, time.monotonic() - begun

    async def browse(self, number: int) -> None:
        """Be one browser until cancelled."""
        text, _ = await self.page(number)
        found = re.search(r"'client_id': '([0-9a-f-]+)'", text)
        if found is None:
            msg = "the page names no client"
            raise RuntimeError(msg)
        query = {
            "client_id": found[1],
            "next_message_id": 0,
            "implicit_handshake": "true",
            "tab_id": str(uuid.uuid4()),
            "document_id": str(uuid.uuid4()),
            "EIO": 4,
            "transport": "websocket",
        }
        address = f"{self.url}/_nicegui_ws/socket.io/?{urlencode(query)}"
        async with self.sockets.ws_connect(address) as ws, asyncio.TaskGroup() as tasks:
            wanted = asyncio.Event()
            tasks.create_task(self._maps(number, wanted))
            async for message in ws:
                data = str(message.data)
                if data[0] == "0":
                    await ws.send_str("40")
                elif data.startswith("40"):
                    self.connected += 1
                elif data == "2":
                    await ws.send_str("3")
                elif data.startswith("42"):
                    self._take(data, wanted)
            msg = f"the server closed the socket of browser {number}: {ws.close_code}"
            raise RuntimeError(msg)

    def _take(self, data: str, wanted: asyncio.Event) -> None:
        now = time.time()
        self.messages += 1
        self.received_bytes += len(data)
        for key, version in re.findall(r'id\\":(\d+),\\"kind.*?version\\":(\d+)', data):
            begun = self.sent.get((int(key), int(version)))
            if begun is not None:
                self.latencies_s.append(now - begun)
        if "map?.refresh" in data:
            wanted.set()

    async def _maps(self, number: int, wanted: asyncio.Event) -> None:
        bbox, zoom = VIEWS[number % len(VIEWS)]
        query: dict[str, str] = {"bbox": bbox, "zoom": str(zoom), "state": "open"} | FILTERS[
            number % len(FILTERS)
        ]
        while True:
            await wanted.wait()
            await asyncio.sleep(MAP_EVERY_S)
            wanted.clear()
            begun = time.monotonic()
            async with self.session.get(f"{self.url}/console/map", params=query) as response:
                await response.read()
                response.raise_for_status()
            self.maps += 1
            self.map_s.append(time.monotonic() - begun)


async def change(crowd: Crowd, database: Database, rate_per_s: float, seconds: float, seed: int) -> None:
    """Change incidents at a steady rate, as workers in another process do."""
    rng = np.random.default_rng(seed)
    with database.read() as session:
        query = select(Incident.id).where(Incident.kind == "smoke").order_by(Incident.started_at.desc())
        known = list(session.scalars(query.limit(50)))
    begun = time.monotonic()
    for number in range(int(rate_per_s * seconds)):
        await asyncio.sleep(max(0.0, begun + number / rate_per_s - time.monotonic()))
        fresh = rng.random() < NEW_SHARE
        await asyncio.to_thread(_change_one, crowd, database, rng, None if fresh else int(rng.choice(known)))


def _change_one(crowd: Crowd, database: Database, rng: np.random.Generator, known: int | None) -> None:
    with database.write() as session:
        if known is None:
            row = incident(rng, 0, 1.0)
            session.add(row)
            session.flush()
        else:
            row = session.get_one(Incident, known)
            row.version += 1
            row.updated_at = utc_now()
        journal.changed(session, "incident", str(row.id), "bench")
        key = (row.id, row.version or 1)
    crowd.sent[key] = time.time()


def summary(values: list[float]) -> dict[str, float | None]:
    """Return median, 95th percentile and maximum in ms."""
    if not values:
        return {"p50_ms": None, "p95_ms": None, "max_ms": None}
    p50, p95 = np.percentile(values, [50, 95])
    return {"p50_ms": round(p50 * 1e3), "p95_ms": round(p95 * 1e3), "max_ms": round(max(values) * 1e3)}


async def measure(url: str, pid: int, database: Database, options: argparse.Namespace) -> dict[str, Any]:
    """Connect the crowd and measure it at each rate of change."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        aiohttp.ClientSession(
            cookie_jar=jar, connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
        ) as session,
        # a browser opens a socket on a connection of its own, never on one that served a page
        aiohttp.ClientSession(
            cookie_jar=jar, connector=aiohttp.TCPConnector(limit=0, force_close=True)
        ) as sockets,
    ):
        form = {"name": NAME, "password": PASSWORD}
        async with session.post(f"{url}/login", data=form) as response:
            response.raise_for_status()
        crowd = Crowd(url, session, sockets)
        alone = [(await crowd.page(0))[1] for _ in range(10)]
        page_bytes = len((await crowd.page(0))[0])
        before = Usage.of(pid)
        begun = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            browsers = [tasks.create_task(crowd.browse(n)) for n in range(options.clients)]
            async with asyncio.timeout(120):
                while crowd.connected < options.clients:  # noqa: ASYNC110 - a counter, no event
                    await asyncio.sleep(0.05)
            connect_s = time.monotonic() - begun
            await asyncio.sleep(3)
            after = Usage.of(pid)
            rates = [await _at_rate(crowd, pid, database, rate, options) for rate in options.rates]
            crowded = [(await crowd.page(0))[1] for _ in range(10)]
            for browser in browsers:
                browser.cancel()
    return {
        "clients": options.clients,
        "incidents": options.incidents,
        "connect_all_s": round(connect_s, 1),
        "cpu_ms_per_client_to_connect": round(1e3 * (after.cpu_s - before.cpu_s) / options.clients, 1),
        "page_alone_ms": round(1e3 * statistics.median(alone)),
        "page_crowded_ms": round(1e3 * statistics.median(crowded)),
        "page_bytes": page_bytes,
        "rss_before_mib": round(before.rss_mib),
        "rss_after_mib": round(Usage.of(pid).rss_mib),
        "rss_per_client_kib": round(1024 * (after.rss_mib - before.rss_mib) / options.clients),
        "rates": rates,
    }


async def _at_rate(
    crowd: Crowd, pid: int, database: Database, rate: float, options: argparse.Namespace
) -> dict[str, Any]:
    crowd.reset()
    begun, before = time.monotonic(), Usage.of(pid)
    if rate:
        await change(crowd, database, rate, options.seconds, options.seed)
    else:
        await asyncio.sleep(options.seconds)
    wall_s = time.monotonic() - begun
    used = Usage.of(pid).cpu_s - before.cpu_s
    await asyncio.sleep(2.5)  # what is on its way, the map included
    return {
        "changes_per_s": rate,
        "cpu_share_of_a_core": round(used / wall_s, 3),
        "messages": crowd.messages,
        "mean_message_bytes": round(crowd.received_bytes / max(1, crowd.messages)),
        "map_answers": crowd.maps,
        "change_to_browser": summary(crowd.latencies_s),
        "map_answer": summary(crowd.map_s),
        "load_average": round(os.getloadavg()[0], 2),
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Prepare, serve in a process of its own, measure, end the process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = prepare(folder, options.incidents, options.seed)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        command = [sys.executable, "-m", "benchmarks.console", "--serve", str(folder), "--port", str(port)]
        server = subprocess.Popen(command)
        try:
            _wait(port)
            result = asyncio.run(measure(f"http://127.0.0.1:{port}", server.pid, database, options))
        finally:
            server.terminate()
            server.wait(15)
            database.engine.dispose()
    machine = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    return {"benchmark": "console", "python": platform.python_version(), "machine": machine} | result


def _wait(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    msg = "the server did not listen within 30 s"
    raise RuntimeError(msg)


def main() -> None:
    """Run the benchmark, or (``--serve``) the server that it measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", type=Path, help="write the result here")
    parser.add_argument("--quick", action="store_true", help="40 clients, 8 s a rate")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--incidents", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rates", type=float, nargs="*", default=[0, 1, 10])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.port)
        return
    if options.quick:
        options.clients, options.seconds = min(40, options.clients), min(8.0, options.seconds)
    result = run(options)
    text = json.dumps(result, indent=2)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()

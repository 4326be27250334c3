"""The wall of the whole city: 71,591 cameras on the map and 5,000 open incidents.

``python -m benchmarks.fleet_wall [--quick] --json OUT``

The console is a process of its own over HTTP, as in ``benchmarks.console``. ``first_view_ms``: the page with
the first list, and the first look of its map. ``look_…_ms``: pans and zooms, each to a part of the map that
nobody has asked for, so that no kept answer helps. ``cameras_seen``: what the clusters of the whole city sum
up to. ``ok`` is false if a camera is missing, the first view takes over 2 s or the looks' p95 over 300 ms.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from sqlalchemy import insert

from alerts.store.tables import Camera, Edge
from benchmarks.console import NAME, PASSWORD, prepare
from benchmarks.fleet_load import BOXES, STREAMS, cameras_of
from benchmarks.latency import quantile
from benchmarks.report import Row, document, print_machine, print_table, write_json
from towerwatch.timebase import utc_now

INCIDENTS = 5000
CITY = "113.0,29.8,115.6,31.4"
ZOOMS = (9, 11, 13, 15)
STATES, SHARES = ("fresh", "stale", "blind", "starting"), (0.96, 0.02, 0.015, 0.005)
FIRST_MS, LOOK_MS = 2000.0, 300.0  # what may pass at most
_READY_S = 120.0


def fill(folder: Path, boxes: int, incidents: int, seed: int = 0) -> int:
    """Make the city's database; return how many cameras are in it."""
    rng = np.random.default_rng(seed)
    database = prepare(folder, incidents, seed)
    now = utc_now()
    cameras: list[Row] = []
    for number in range(boxes):
        lat, lon = 30.59 + rng.normal(0, 0.2), 114.31 + rng.normal(0, 0.25)
        cameras += [
            {
                "edge": f"box-{number:04d}",
                "camera": f"cam-{index:02d}",
                "state": str(rng.choice(STATES, p=SHARES)),
                "detail": "",
                "state_since": now,
                "reported_at": now,
                "lat_deg": float(np.clip(lat + rng.normal(0, 0.003), 29.8, 31.4)),
                "lon_deg": float(np.clip(lon + rng.normal(0, 0.003), 113.0, 115.6)),
            }
            for index in range(cameras_of(number, boxes))
        ]
    with database.write() as session:
        edges = [{"id": f"box-{n:04d}", "site": "city", "first_seen_at": now} for n in range(boxes)]
        session.execute(insert(Edge), edges)
        session.execute(insert(Camera), cameras)
    database.close()
    return len(cameras)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the console over a filled database; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "benchmarks.console", "--serve", str(folder), "--port", str(port)]
    server = subprocess.Popen(command)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(15)


def look_around(url: str, looks: int, seed: int = 0) -> Row:
    """Log in, open the wall, and move about its map."""
    with httpx.Client(base_url=url, follow_redirects=True, timeout=60) as client:
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                client.post("/login", data={"name": NAME, "password": PASSWORD}).raise_for_status()
                break
            except httpx.ConnectError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        page_ms, _page = _timed(client, "/", {})
        map_ms, whole = _timed(client, "/console/map", {"bbox": CITY, "zoom": "9", "state": "open"})
        rng = np.random.default_rng(seed)
        took: list[float] = []
        for number in range(looks):
            zoom = ZOOMS[number % len(ZOOMS)]
            west, south = 114.31 + rng.normal(0, 0.2), 30.59 + rng.normal(0, 0.15)
            wide, high = 360 * 1280 / 256 / 2**zoom, 180 * 800 / 256 / 2**zoom
            box = f"{west - wide / 2},{south - high / 2},{west + wide / 2},{south + high / 2}"
            took.append(_timed(client, "/console/map", {"bbox": box, "zoom": str(zoom), "state": "open"})[0])
    seen = whole.json()
    return {
        "first_view_ms": round(page_ms + map_ms),
        "look_p50_ms": round(quantile(took, 0.5)),
        "look_p95_ms": round(quantile(took, 0.95)),
        "look_max_ms": round(max(took)),
        "looks": looks,
        "cameras_seen": sum(mark["n"] for mark in seen["cameras"]),
        "incidents_seen": sum(mark["n"] for mark in seen["incidents"]),
    }


def _timed(client: httpx.Client, path: str, query: dict[str, str]) -> tuple[float, httpx.Response]:
    begun = time.monotonic()
    response = client.get(path, params=query)
    response.raise_for_status()
    return 1e3 * (time.monotonic() - begun), response


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
        with served(folder) as url:
            content |= look_around(url, 20 if quick else 100)
    whole = boxes < BOXES or content["cameras_seen"] == STREAMS
    content["ok"] = whole and content["first_view_ms"] <= FIRST_MS and content["look_p95_ms"] <= LOOK_MS
    print_machine(content)
    head = (
        "cameras",
        "incidents",
        "first_view_ms",
        "look_p50_ms",
        "look_p95_ms",
        "look_max_ms",
        "cameras_seen",
    )
    print_table("the wall", [content], head)
    write_json(json_path, content)
    if not content["ok"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)

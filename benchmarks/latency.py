"""How soon the city knows: from a picture's arrival to its analysis, and from capture to an incident.

``python -m benchmarks.latency [--quick] [--cameras N] [--embedded] --json OUT``

Real processes on loopback: RTSP server, broker (Mosquitto where installed), database (PostgreSQL where
installed), central and a box with the shipped detectors.

``analysis``: four 1080p25 H.264 cameras with B-frames, a key frame every 2 s, each key frame analysed
by the shipped vehicle detector. From the arrival of a key frame's packet to the end of its analysis,
as the box itself reports it in health (p95 of each camera and health period)::

    streams, reports, lag_p95_ms_median, lag_p95_ms_max

``incidents``: ``--cameras`` rendered cameras, a third each of the demo's scenes; with ``--quick`` all of
its street, where cars may then stand for 15 s. From the capture of
the picture that a message is about (for ``opened``: the one that confirmed the alert, so the rule's
own time is not in it) until the message's effect can be read from the database, looked at every
50 ms. One object for each phase::

    phase, messages, p50_s, p95_s, p99_s, max_s

``asked``: the p95 of ``opened`` beside its limit; it does not make the benchmark fail.
``broker`` and ``database`` name what was used; ``ok`` is false if a camera of ``incidents`` gave no
alert, with the cameras in ``silent``.
"""

from __future__ import annotations

import queue
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import paho.mqtt.client as mqtt
import typer
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import select

from alerts.messages import HealthMessage
from alerts.store.database import Database
from alerts.store.tables import Alert, AlertPhase
from benchmarks.clips import write_clip
from benchmarks.command import run_command
from benchmarks.report import Row, document, print_machine, print_table, write_json
from benchmarks.site import Site
from towerwatch import demosite

STREAMS = 4
LOOK_S = 0.05
ASKED_S = 2.0
QUICK_PERIODS, FULL_PERIODS = 1, 4  # of health, after the first, which speaks of the start
QUICK_HEALTH_S, FULL_HEALTH_S = 4.0, 30.0
QUICK_CAMERAS, FULL_CAMERAS = 3, 30
QUICK_CLIP_S, FULL_CLIP_S = 4, 12
ANALYSED = "analysed.mp4"
WHOLE_FRAME = ((0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98))
_START_S = 30.0
_RENDER_S = 240.0


def analysis_cameras(port: int) -> list[Row]:
    """Return the configuration of the cameras whose analysis is timed."""
    zone = {"id": "all", "points": [list(point) for point in WHOLE_FRAME]}
    rule = {"kind": "illegal_parking", "zone": "all"}
    return [
        {
            "id": f"street-{index}",
            "url": f"rtsp://127.0.0.1:{port}/{ANALYSED}",
            "interval_s": 1.0,  # shorter than the key frames' distance, so that each is analysed
            "views": [{"zones": [zone], "rules": [rule]}],
        }
        for index in range(STREAMS)
    ]


def measure_analysis(site: Site, port: int, *, quick: bool) -> Row:
    """Run four cameras and collect what the box says of their lag."""
    periods, health_s = (QUICK_PERIODS, QUICK_HEALTH_S) if quick else (FULL_PERIODS, FULL_HEALTH_S)
    site.run_box("box-1", analysis_cameras(port), health_s)
    lags = health_lags(site.broker_port, periods, _START_S + (periods + 2) * health_s)
    site.kill("box-1")
    return {
        "streams": STREAMS,
        "reports": len(lags),
        "lag_p95_ms_median": statistics.median(lags) if lags else None,
        "lag_p95_ms_max": max(lags, default=None),
    }


def health_lags(port: int, periods: int, timeout_s: float) -> list[float]:
    """Return the p95 of every camera in as many health messages, after the first that has any."""
    messages: queue.Queue[HealthMessage] = queue.Queue()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_connect = lambda client, *_: client.subscribe("towerwatch/v1/+/+/health")
    client.on_message = lambda _c, _u, message: messages.put(
        HealthMessage.model_validate_json(message.payload)
    )
    client.connect("127.0.0.1", port)
    client.loop_start()
    lags: list[float] = []
    deadline = time.monotonic() + timeout_s
    try:
        heard = -1  # the first message with a lag speaks of the start
        while heard < periods:
            message = messages.get(timeout=max(0.1, deadline - time.monotonic()))
            own = [camera.lag_p95_ms for camera in message.cameras if camera.lag_p95_ms is not None]
            heard += bool(own)
            lags += own if heard else []
    except queue.Empty:
        pass
    finally:
        client.disconnect()
        client.loop_stop()
    return lags


@dataclass(frozen=True, slots=True)
class Scenes:
    """What the cameras of ``incidents`` show, and for how long at most an alert of each is awaited.

    ``names``: scene by the demo's camera; ``legal_s``: how long cars may stand, None as in the demo.
    """

    names: Mapping[str, str]
    rendered_s: float
    wait_s: float
    legal_s: float | None = None

    def cameras(self, port: int, videos: Path, count: int) -> list[Row]:
        """Return the demo's cameras, each as often as makes ``count`` in all."""
        zones = {
            camera: demosite.zones_of(videos / f"{scene}.truth.json") for camera, scene in self.names.items()
        }
        templates = demosite.edge_document(zones, port, None)["cameras"]
        for view in (view for camera in templates for view in camera["views"]):
            for rule in view["rules"]:
                if self.legal_s is not None and rule["kind"] == "illegal_parking":
                    rule["legal_time_s"] = self.legal_s
        named = [templates[index % len(templates)] for index in range(count)]
        return [{**one, "id": f"{one['id']}-{index:02d}"} for index, one in enumerate(named)]


FULL = Scenes(demosite.SCENES, demosite.SECONDS, wait_s=240.0)
QUICK = Scenes({"street": "street"}, rendered_s=60.0, wait_s=60.0, legal_s=15.0)  # one parks after 15 s


@dataclass(slots=True)
class Seen:
    """What stood in the database, and how old it was when it was first read."""

    ages_s: dict[str, list[float]] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    known: set[tuple[str, int]] = field(default_factory=set)

    def look(self, database: Database) -> None:
        """Read what is new."""
        wanted = select(
            AlertPhase.alert_id, AlertPhase.phase_seq, AlertPhase.phase, AlertPhase.captured_at, Alert.camera
        )
        with database.read() as session:
            found = session.execute(wanted.join(Alert, Alert.id == AlertPhase.alert_id)).all()
        now = datetime.now(UTC)
        for alert_id, phase_seq, phase, captured_at, camera in found:
            if (alert_id, phase_seq) not in self.known:
                self.known.add((alert_id, phase_seq))
                self.ages_s.setdefault(str(phase), []).append((now - captured_at).total_seconds())
                self.opened.add(camera)

    def rows(self) -> list[Row]:
        """Return the figures of each phase."""
        return [
            {
                "phase": phase,
                "messages": len(ages),
                "p50_s": quantile(ages, 0.50),
                "p95_s": quantile(ages, 0.95),
                "p99_s": quantile(ages, 0.99),
                "max_s": max(ages),
            }
            for phase, ages in sorted(self.ages_s.items())
        ]


def quantile(values: list[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def asked_of(phases: Sequence[Row]) -> list[Row]:
    """Judge how soon ``opened`` stands in the database: the rule's own time is not in it."""
    return [
        {
            "what": "opened p95_s",
            "got": row["p95_s"],
            "asked": f"<= {ASKED_S:g}",
            "ok": row["p95_s"] <= ASKED_S,
        }
        for row in phases
        if row["phase"] == "opened"
    ]


def measure_incidents(site: Site, cameras: Sequence[Row], wait_s: float) -> Row:
    """Run cameras until each has alerted, or it was awaited for long enough."""
    database = Database(site.database_url or f"sqlite:///{site.folder / 'central-data' / 'central.db'}")
    earlier = Seen()
    earlier.look(database)
    seen, names = Seen(known=earlier.known), {camera["id"] for camera in cameras}
    site.run_box("box-2", cameras, FULL_HEALTH_S)
    deadline = time.monotonic() + _START_S + wait_s
    try:
        while not names <= seen.opened and time.monotonic() < deadline:
            site.family.check()
            seen.look(database)
            time.sleep(LOOK_S)
    finally:
        database.close()
    return {
        "cameras": len(cameras),
        "broker": site.broker,
        "database": site.database,
        "phases": seen.rows(),
        "silent": sorted(names - seen.opened),
    }


def run(folder: Path, count: int, *, quick: bool, embedded: bool) -> Row:
    """Render what is watched, start the site and measure both ways on it."""
    videos, scenes = folder / "videos", QUICK if quick else FULL
    videos.mkdir()
    write_clip(videos / ANALYSED, QUICK_CLIP_S if quick else FULL_CLIP_S, b_frames=2)
    with Site(folder / "site", embedded=embedded) as site:
        for scene in scenes.names.values():
            site.job(f"render-{scene}", *demosite.render_arguments(scene, 0, videos, scenes.rendered_s))
        port = site.serve(videos)
        return {
            "analysis": measure_analysis(site, port, quick=quick),
            "incidents": measure_incidents(site, scenes.cameras(port, videos, count), scenes.wait_s),
        }


def main(
    json_path: Annotated[Path, typer.Option("--json", help="Where to write the results.")],
    quick: Annotated[bool, typer.Option("--quick", help="Few cameras, for a short time.")] = False,  # noqa: FBT002
    cameras: Annotated[int | None, typer.Option(min=3, help="Of the incidents; default 30, quick 3.")] = None,
    embedded: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--embedded", help="Embedded broker and SQLite, even where others are installed.")
    ] = False,
) -> None:
    """Time arrival to analysis, and capture to incident."""
    content: dict[str, Any] = document("latency", quick=quick)
    count = cameras or (QUICK_CAMERAS if quick else FULL_CAMERAS)
    with tempfile.TemporaryDirectory() as name:
        content |= run(Path(name), count, quick=quick, embedded=embedded)
    content["asked"] = asked_of(content["incidents"]["phases"])
    content["ok"] = not content["incidents"]["silent"]
    print_machine(content)
    shown = ("streams", "reports", "lag_p95_ms_median", "lag_p95_ms_max")
    print_table("arrival to analysis", [content["analysis"]], shown)
    title = "capture to incident, {cameras} cameras, {broker}, {database}".format(**content["incidents"])
    print_table(
        title, content["incidents"]["phases"], ("phase", "messages", "p50_s", "p95_s", "p99_s", "max_s")
    )
    print_table("asked", content["asked"], ("what", "got", "asked", "ok"))
    if content["incidents"]["silent"]:
        typer.echo(f"no alert from: {', '.join(content['incidents']['silent'])}")
    write_json(json_path, content)
    if not content["ok"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(main)

"""``towerwatch edge doctor``: what a technician wants to know before driving away.

Every check is bounded in time, says what it found, and never shows a credential.
"""

from __future__ import annotations

import contextlib
import sqlite3
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode
from rich.console import Console
from rich.table import Table

from edge.clock import clock_state
from edge.config import CameraConfig, EdgeConfig, load_config
from edge.files import free_bytes
from edge.links import BrokerLink, CentralLink, Links, resolve_links
from edge.store import FILE_NAME
from edge.uploader import central_client
from towerwatch.errors import TowerwatchError
from towerwatch.secrets import redact

MIB = 1 << 20
MIN_FREE_MIB = 256
BROKER_WAIT_S = 8.0
PROBE_S = 3.0
AT_ONCE = 4
NO_ARTIFACT = "0" * 64
MAX_OFFSET_MS = 1000.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination."""

    what: str
    ok: bool
    detail: str


def examine(config: EdgeConfig, links: Links) -> Iterator[Finding]:
    """Run all checks, quick ones first."""
    yield check_clock()
    yield check_disk(config)
    yield check_database(config.data_dir)
    yield _guarded("broker", lambda: check_broker(config, links.broker))
    yield _guarded("central", lambda: check_central(links.central))
    for name in config.model_names():
        yield _guarded(f"model {name}", lambda name=name: check_model(config, name))  # type: ignore[misc] # bound now
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="doctor") as pool:
        yield from pool.map(
            lambda one: _guarded(one[0], lambda: check_camera(one[1])), _streams(config.cameras)
        )
    for camera in config.cameras:
        if camera.onvif is not None:
            yield _guarded(f"camera {camera.id} head", lambda camera=camera: check_head(camera))  # type: ignore[misc] # bound now


def _streams(cameras: Sequence[CameraConfig]) -> Iterator[tuple[str, CameraConfig]]:
    """Name each stream, with a camera that has it for its address."""
    for camera in cameras:
        yield f"camera {camera.id}", camera
        if camera.substream is not None:
            yield f"camera {camera.id} substream", camera.model_copy(update={"url": camera.substream})


def _guarded(what: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(what, ok=True, detail=check())
    except (TowerwatchError, OSError, ValueError, httpx.HTTPError) as error:
        return Finding(what, ok=False, detail=redact(str(error) or type(error).__name__))


def check_clock() -> Finding:
    """Ask the kernel whether something disciplines the clock."""
    state = clock_state()
    if not state.synchronised:
        return Finding("clock", ok=False, detail="not synchronised; set up chrony or systemd-timesyncd")
    offset_ms = state.offset_ms or 0.0
    return Finding(
        "clock", ok=abs(offset_ms) <= MAX_OFFSET_MS, detail=f"synchronised, {offset_ms:+.1f} ms to correct"
    )


def check_disk(config: EdgeConfig) -> Finding:
    """Look for room for the outbox and for evidence, and whether the folder can be written."""
    needed_mib = config.limits.outbox_mib + MIN_FREE_MIB
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True)
        probe = config.data_dir / f".doctor-{uuid.uuid4().hex}"
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
    except OSError as error:
        return Finding("disk", ok=False, detail=f"{config.data_dir} cannot be written: {error.strerror}")
    free_mib = free_bytes(config.data_dir) // MIB
    wanted_mib = needed_mib + config.limits.evidence_mib
    detail = f"{free_mib} MiB free; {needed_mib} needed, {wanted_mib} to hold all evidence that is allowed"
    return Finding("disk", ok=free_mib >= needed_mib, detail=detail)


def check_database(data_dir: Path) -> Finding:
    """Read the outbox without disturbing a box that runs."""
    path = data_dir / FILE_NAME
    if not path.exists():
        return Finding("database", ok=True, detail="none yet, made at the first start")
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2.0)) as connection:
            depth = connection.execute("SELECT count(*) FROM outbox").fetchone()[0]
            waiting = connection.execute("SELECT count(*) FROM evidence WHERE state='queued'").fetchone()[0]
    except sqlite3.Error as error:
        return Finding("database", ok=False, detail=f"{path}: {error}")
    return Finding("database", ok=True, detail=f"{depth} messages and {waiting} files wait for central")


def check_broker(config: EdgeConfig, link: BrokerLink) -> str:
    """Connect as the box does, under a client id of its own so that a running box is not thrown out."""
    answered = threading.Event()
    verdict: list[str] = []
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=f"towerwatch.{config.site}.{config.edge}.doctor",
        protocol=mqtt.MQTTv5,
    )
    if link.username is not None:
        client.username_pw_set(link.username, link.password.reveal() if link.password else None)
    if (tls := link.tls()) is not None:
        client.tls_set_context(tls)

    def on_connect(_client: object, _data: object, _flags: object, code: ReasonCode, _props: object) -> None:
        verdict.append(str(code) if code.is_failure else "")
        answered.set()

    client.on_connect = on_connect
    client.connect_timeout = 5.0
    try:
        client.connect(link.host, link.port, keepalive=20)
    except ssl.SSLCertVerificationError as error:
        msg = f"{link.host}:{link.port}: its certificate is not trusted: {error.verify_message}"
        raise OSError(msg) from error
    except ssl.SSLError as error:
        why = error.reason or error
        msg = f"{link.host}:{link.port}: no TLS connection ({why}); does the broker speak TLS?"
        raise OSError(msg) from error
    deadline_s = time.monotonic() + BROKER_WAIT_S
    while not answered.is_set() and time.monotonic() < deadline_s:
        if client.loop(0.1) != mqtt.MQTT_ERR_SUCCESS and not answered.is_set():
            msg = "the broker ended the connection; a certificate or password it does not take?"
            raise OSError(msg)
    with contextlib.suppress(OSError, ValueError):
        client.disconnect()
        client.loop(0.1)
    if not verdict:
        msg = f"no answer within {BROKER_WAIT_S:.0f} s; is it an MQTT 5 broker?"
        raise OSError(msg)
    if verdict[0]:
        msg = f"refused: {verdict[0]}"
        raise OSError(msg)
    return f"{link.host}:{link.port}, {'TLS' if link.ca else 'plain'}, accepted"


def check_central(link: CentralLink) -> str:
    """Ask for an artifact that cannot exist: 404 says that the token is good."""
    with central_client(link) as client:
        status = client.get(f"/artifacts/{NO_ARTIFACT}").status_code
    if status == httpx.codes.NOT_FOUND:
        return f"{link.url}, token accepted"
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        msg = f"{link.url} refuses the token ({status}); enrol the box again"
        raise OSError(msg)
    msg = f"{link.url} answered {status}; is it the central side?"
    raise OSError(msg)


def check_model(config: EdgeConfig, name: str) -> str:
    """Check the digest of a model and load it."""
    from edge.detectors import open_detector  # noqa: PLC0415 - runtimes are loaded when needed

    began_s = time.monotonic()
    detector = open_detector(config, name, tuned=True)
    detector.close()
    return f"{detector.name}, {detector.runtime_description}, loaded in {time.monotonic() - began_s:.1f} s"


def check_camera(camera: CameraConfig) -> str:
    """Read a few seconds of a camera."""
    from streams.opening import Source  # noqa: PLC0415 - decoders are loaded when needed
    from streams.probe import probe  # noqa: PLC0415

    path = Path(camera.url)
    if not camera.is_live and path.is_dir():
        return f"{path}, a folder of pictures"
    source = Source(
        camera.url,
        camera.username,
        camera.password,
        camera.open_timeout_s,
        camera.read_timeout_s,
        camera.tls_ca,
    )
    seen, _picture = probe(source, PROBE_S)
    key = "one" if seen.key_interval_s is None else f"every {seen.key_interval_s:.1f} s"
    return f"{seen.codec} {seen.width_px}x{seen.height_px}, {seen.frame_rate_hz:.1f} fps, key frames: {key}"


def check_head(camera: CameraConfig) -> str:
    """Ask a camera's head by ONVIF where it looks."""
    from edge.watched import head_of  # noqa: PLC0415 - decoders are loaded when needed

    head = head_of(camera)
    if head is None:
        return "not asked"
    sight = head.ask_once()
    where = "moves" if sight.moving else f"rests at {sight.preset or 'none of the presets'}"
    return f"{where}: pan {sight.place[0]:.3f}, tilt {sight.place[1]:.3f}, zoom {sight.place[2]:.3f}"


def examine_on_screen(config_file: Path) -> bool:
    """Print the examination as a table, line by line in the order of the checks; tell whether all is well.

    Raises:
        ConfigError: the configuration or the enrolment cannot be used.

    """
    config = load_config(config_file)
    links = resolve_links(config)
    console = Console(highlight=False)
    table = Table("check", "", "found", title=f"{config.site}/{config.edge}", title_justify="left")
    findings = []
    with console.status("examining") as status:
        for finding in examine(config, links):
            findings.append(finding)
            mark = "[green]ok[/]" if finding.ok else "[red]wrong[/]"
            table.add_row(finding.what, mark, finding.detail.replace("[", "\\["))
            status.update(f"examined {finding.what}")
    console.print(table)
    wrong = [finding.what for finding in findings if not finding.ok]
    summary = f"{len(findings) - len(wrong)} of {len(findings)} checks passed"
    console.print(f"{summary}; wrong: {', '.join(wrong)}" if wrong else summary)
    return not wrong

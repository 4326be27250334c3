"""The doctor finds what is wrong, says it in a line, and shows no secret."""

from __future__ import annotations

import contextlib
import gc
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import components
import pytest
from edge_kit import central_double
from edge_rig import Rig, camera, scene
from onvif_camera import OnvifCamera

from alerts.enrol import Authority
from alerts.messages import ClockState
from edge import doctor
from edge.config import load_config
from edge.doctor import (
    Finding,
    check_broker,
    check_clock,
    check_database,
    check_disk,
    check_head,
    examine,
)
from edge.links import BrokerLink, resolve_links
from edge.store import Store
from towerwatch.errors import RetryableError


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene(tmp_path_factory.mktemp("clip") / "street.mp4", seconds=4)


def test_a_sound_box_passes_every_check(tmp_path: Path, clip: Path, mosquitto: components.Mosquitto) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    with central_double() as central:
        cameras = [camera("file", clip), camera("folder", pictures)]
        rig = Rig(tmp_path / "box", cameras, mosquitto.port, central.url)
        config = load_config(rig.write())
        found = {finding.what: finding for finding in examine(config, resolve_links(config))}
    assert list(found) == [
        "clock", "disk", "database", "broker", "central", "model bright", "camera file", "camera folder"
    ]  # fmt: skip
    # the clock is this machine's own affair
    assert [finding for what, finding in found.items() if not finding.ok and what != "clock"] == []
    assert "h264 320x240" in found["camera file"].detail
    assert "bright@1.0.0, onnxruntime" in found["model bright"].detail
    assert "token accepted" in found["central"].detail


def test_a_sick_box_exits_1_names_what_is_wrong_and_shows_no_secret(tmp_path: Path, clip: Path) -> None:
    with central_double() as central:
        central.token = "another"  # so that ours is refused
        dead = f"rtsp://127.0.0.1:{components.free_port()}/x"
        rig = Rig(
            tmp_path / "box",
            [camera("dead", dead, username="viewer", password="env:DEAD_PASSWORD")],
            components.free_port(),
            central.url,
        )
        rig.write()
        manifest = rig.folder / "models" / "bright" / "1.0.0" / "manifest.json"
        document = json.loads(manifest.read_text())
        document["files"][0]["sha256"] = "0" * 64
        manifest.write_text(json.dumps(document))
        done = subprocess.run(
            components.towerwatch("edge", "doctor", rig.config_file),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**__import__("os").environ, "DEAD_PASSWORD": "top-secret-word", "COLUMNS": "200"},
        )
    assert done.returncode == 1, done.stderr
    last = done.stdout.strip().splitlines()[-1]
    for what in ("broker", "central", "model bright", "camera dead"):
        assert what in last
    assert "refuses the token" in done.stdout
    for secret in ("top-secret-word", "box-token-1"):
        assert secret not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("state", "ok", "says"),
    [
        (ClockState(synchronised=True, offset_ms=2.0), True, "+2.0 ms"),
        (ClockState(synchronised=True, offset_ms=-5000.0), False, "-5000.0 ms"),
        (ClockState(synchronised=False), False, "chrony"),
    ],
    ids=["good", "far off", "undisciplined"],
)
def test_the_clock(monkeypatch: pytest.MonkeyPatch, state: ClockState, ok: bool, says: str) -> None:
    monkeypatch.setattr(doctor, "clock_state", lambda: state)
    finding = check_clock()
    assert finding.ok is ok
    assert says in finding.detail


def test_a_full_disk_and_a_folder_that_cannot_be_written_are_found(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(Rig(tmp_path / "box", [camera("file", clip)]).write())
    monkeypatch.setattr(doctor, "free_bytes", lambda _folder: 10 << 20)
    finding = check_disk(config)
    assert not finding.ok
    assert finding.detail.startswith("10 MiB free; 320 needed")
    (tmp_path / "file").write_bytes(b"")
    blocked = config.model_copy(update={"data_dir": tmp_path / "file" / "data"})
    assert not check_disk(blocked).ok


def test_the_database_is_read_without_disturbing_the_box(tmp_path: Path) -> None:
    assert check_database(tmp_path).ok
    with Store(tmp_path) as store:
        assert check_database(tmp_path) == Finding(
            "database", ok=True, detail="0 messages and 0 files wait for central"
        )
        path = store.path
    path.write_bytes(b"nonsense" * 600)
    assert not check_database(tmp_path).ok


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Take one connection, answer it, and close it; yields the port."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(10)
            with contextlib.suppress(OSError):
                answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


class TrustsTheSystem(BrokerLink):
    """A broker link with TLS and the authorities of this machine."""

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()


def tls_of_an_unknown_authority(folder: Path) -> Callable[[socket.socket], None]:
    authority = Authority(folder / "authority")
    authority.open()
    certificate, key = authority.issue("broker", hosts=("127.0.0.1",))
    (folder / "broker.pem").write_text(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "broker.pem")

    def answer(connection: socket.socket) -> None:
        context.wrap_socket(connection, server_side=True).close()

    return answer


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # paho leaves such a socket open
def test_a_broker_without_tls_is_told_from_one_that_is_not_trusted(tmp_path: Path) -> None:
    config = load_config(Rig(tmp_path / "box", [camera("a", tmp_path)], 1, "http://127.0.0.1:1").write())
    with answering(lambda connection: connection.sendall(b"no TLS here")) as port:
        with pytest.raises(OSError, match=r"no TLS connection .*does the broker speak TLS") as caught:
            check_broker(config, TrustsTheSystem("127.0.0.1", port))
        assert str(caught.value).startswith(f"127.0.0.1:{port}: ")
        del caught
    with (
        answering(tls_of_an_unknown_authority(tmp_path)) as port,
        pytest.raises(OSError, match="its certificate is not trusted: "),
    ):
        check_broker(config, TrustsTheSystem("127.0.0.1", port))
    gc.collect()  # here, where it is expected


def test_a_head_says_where_it_looks_and_one_that_lacks_a_view_is_wrong(tmp_path: Path) -> None:
    with OnvifCamera({"fixed": (0.1, 0.0, 0.2)}, at=(0.1, 0.0, 0.2)) as head:
        cameras = [camera("a", tmp_path) | {"onvif": {"url": head.url.rsplit("/onvif", 1)[0]}}]
        config = load_config(Rig(tmp_path / "box", cameras, 1, "http://127.0.0.1:1").write())
        assert check_head(config.cameras[0]) == "rests at fixed: pan 0.100, tilt 0.000, zoom 0.200"
        head.presets = {}
        with pytest.raises(RetryableError, match="no preset fixed with a position"):
            check_head(config.cameras[0])

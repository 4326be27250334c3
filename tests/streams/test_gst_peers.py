"""Against GStreamer's RTSP server, which shares no code with ours: digest, rtsps, MJPEG, H.265."""

from __future__ import annotations

import logging
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from components import gst_server, need_program, wait_until
from media import decode_all, make_video

from streams.backoff import BackoffPolicy
from streams.errors import StreamUnavailable
from streams.live import LiveCamera, LiveSettings, StreamReason, StreamState
from streams.modes import FULL, KEYFRAMES, DecodeMode
from streams.opening import Source, opened
from streams.probe import probe
from towerwatch.secrets import Secret

PASSWORD = "swordfish:4/2@home"
QUICK = BackoffPolicy(first_s=0.1, cap_s=0.2, refused_s=60)


def self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [
        need_program("openssl", "openssl"),
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
    ]
    subprocess.run(
        [*command, *subject, "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=60
    )
    return certificate, key


def watch(
    url: str, tmp_path: Path, mode: DecodeMode = KEYFRAMES, password: str | None = None
) -> LiveSettings:
    """See three pictures, cut a clip that plays, and return the settings that were used."""
    secret = Secret(password) if password is not None else None
    settings = LiveSettings(
        url, "viewer" if secret else None, secret, decode=mode, min_interval_s=0.2, backoff=QUICK, name="gst"
    )
    with LiveCamera(settings) as camera:
        for _ in range(3):
            frame = camera.latest(10)
            assert frame is not None, camera.status()
            assert (frame.width_px, frame.height_px) == (640, 360)
            assert time.monotonic() - frame.monotonic_s < 1
        wait_until(lambda: camera.status().packets > 50, what="2 s of packets")
        now = datetime.now(UTC)
        path = camera.ring.cut(now - timedelta(seconds=2), now, tmp_path / "clip.mp4")
        assert camera.status().decode_errors == 0
    assert path is not None
    times = decode_all(path)
    assert len(times) >= 20
    assert times == sorted(set(times))
    assert times[-1] - times[0] == pytest.approx((len(times) - 1) / 25, abs=0.2)
    return settings


@pytest.mark.parametrize(
    ("arguments", "mode"),
    [
        (["--codec", "h264", "--bframes", "2"], KEYFRAMES),
        (["--codec", "h264", "--bframes", "2"], FULL),
        (["--codec", "h265"], KEYFRAMES),
        (["--codec", "mjpeg"], KEYFRAMES),
    ],
    ids=["H.264", "H.264 full", "H.265", "MJPEG"],
)
def test_each_codec_is_seen_and_cut(tmp_path: Path, arguments: list[str], mode: DecodeMode) -> None:
    with gst_server(tmp_path, *arguments) as port:
        watch(f"rtsp://127.0.0.1:{port}/test", tmp_path, mode)


def test_mjpeg_is_not_decoded_whole(tmp_path: Path) -> None:
    with gst_server(tmp_path, "--codec", "mjpeg") as port:
        settings = LiveSettings(f"rtsp://127.0.0.1:{port}/test", min_interval_s=1.0)
        with LiveCamera(settings) as camera:
            wait_until(lambda: camera.status().packets >= 75, what="3 s of packets")
            assert 2 <= camera.status().pictures <= 5


@pytest.mark.parametrize("scheme", ["digest", "basic"])
def test_credentials_are_given_by_reference_and_shown_nowhere(
    tmp_path: Path, scheme: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    arguments = ["--user", "viewer", "--password", PASSWORD, *(["--basic"] if scheme == "basic" else [])]
    with gst_server(tmp_path, *arguments) as port, caplog.at_level(logging.DEBUG):
        url = f"rtsp://127.0.0.1:{port}/test"
        watch(url, tmp_path, password=PASSWORD)
        wrong = LiveSettings(url, "viewer", Secret("not-the-password"), backoff=QUICK)
        with LiveCamera(wrong) as camera:
            wait_until(lambda: camera.status().reason is StreamReason.REFUSED, what="refused")
            assert camera.status().retry_in_s >= 30
            detail = camera.status().detail
    printed = "".join(capfd.readouterr()) + caplog.text + detail
    for secret in (PASSWORD, "not-the-password", "swordfish"):
        assert secret not in printed


def test_rtsps_with_a_self_signed_certificate_that_is_vouched_for_or_not(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "camera")
    stranger, _ = self_signed(tmp_path, "stranger")
    tls = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    with gst_server(tmp_path, *tls, "--user", "viewer", "--password", PASSWORD) as port:
        url = f"rtsps://127.0.0.1:{port}/test"
        watch(url, tmp_path, password=PASSWORD)
        vouched = Source(url, "viewer", Secret(PASSWORD), tls_ca=certificate)
        with opened(vouched) as (_container, stream):
            assert stream.codec_context.name == "h264"
        unknown = replace(vouched, tls_ca=stranger)
        with pytest.raises(StreamUnavailable, match="not vouched for"), opened(unknown):
            pass


def test_a_probe_agrees_with_the_server(tmp_path: Path) -> None:
    with gst_server(tmp_path, "--bframes", "2", "--gop", "50", "--fps", "20") as port:
        result, _image = probe(Source(f"rtsp://127.0.0.1:{port}/test"), seconds=3.0)
    assert (result.codec, result.width_px, result.height_px) == ("h264", 640, 360)
    assert result.frame_rate_hz == pytest.approx(20, rel=0.05)
    assert result.key_interval_s == pytest.approx(2.5, abs=0.1)
    assert result.b_frames


def test_a_server_whose_file_ends_is_connected_to_again(tmp_path: Path) -> None:
    film = make_video(tmp_path / "film.mp4", seconds=2.4, b_frames=2)
    with (
        gst_server(tmp_path, "--file", str(film)) as port,
        LiveCamera(
            LiveSettings(f"rtsp://127.0.0.1:{port}/film.mp4", backoff=QUICK, read_timeout_s=2)
        ) as camera,
    ):
        wait_until(lambda: camera.status().connects == 2, 20, what="the second connection")
        wait_until(lambda: camera.status().state is StreamState.LIVE, 20, what="live again")

"""GStreamer's RTSP server as a foreign peer for tests; run by the system's Python, not by ours.

    /usr/bin/python3 tests/gst_rtsp_server.py --port 0 --file street.mp4
    /usr/bin/python3 tests/gst_rtsp_server.py --codec h265 --user viewer --password pw
    /usr/bin/python3 tests/gst_rtsp_server.py --codec mjpeg --tls-cert cert.pem --tls-key key.pem

Files are at /NAME, a test pattern is at /test. The port is the first line printed.
"""

import argparse
import signal
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 - versions come first

DEMUXERS = {".mp4": "qtdemux", ".mov": "qtdemux", ".mkv": "matroskademux", ".avi": "avidemux"}
PARSERS = {"h264": "h264parse", "h265": "h265parse", "mjpeg": "jpegparse"}
PAYLOADERS = {
    "h264": "rtph264pay name=pay0 pt=96 config-interval=-1",
    "h265": "rtph265pay name=pay0 pt=96 config-interval=-1",
    "mjpeg": "rtpjpegpay name=pay0 pt=26",
}
ROLE = "viewer"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument(
        "--file", type=Path, action="append", default=[], help="a media file; may be repeated"
    )
    parser.add_argument(
        "--codec", choices=sorted(PARSERS), default="h264", help="of the files or the pattern"
    )
    parser.add_argument("--pattern", default="ball", help="videotestsrc's pattern where there is no file")
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--gop", type=int, default=25, help="frames from key frame to key frame")
    parser.add_argument("--bframes", type=int, default=0)
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--basic", action="store_true", help="basic instead of digest authentication")
    parser.add_argument("--tls-cert", type=Path)
    parser.add_argument("--tls-key", type=Path)
    return parser.parse_args()


def file_launch(path: Path, codec: str) -> str:
    source = f'filesrc location="{path.resolve()}" ! {DEMUXERS[path.suffix.lower()]}'
    return f"( {source} ! {PARSERS[codec]} ! {PAYLOADERS[codec]} )"


def pattern_launch(options: argparse.Namespace) -> str:
    width, height = options.size.split("x")
    gop = f"key-int-max={options.gop} speed-preset=ultrafast"
    encoder = {
        "h264": f"x264enc {gop} bframes={options.bframes} threads=1 ! video/x-h264,profile=main",
        "h265": f"x265enc {gop} option-string=log-level=none",
        "mjpeg": "jpegenc",
    }[options.codec]
    raw = f"video/x-raw,format=I420,width={width},height={height},framerate={options.fps}/1"
    source = f"videotestsrc is-live=true pattern={options.pattern} ! {raw}"
    return f"( {source} ! {encoder} ! {PAYLOADERS[options.codec]} )"


def token() -> GstRtspServer.RTSPToken:
    made = GstRtspServer.RTSPToken.new()
    made.set_string("media.factory.role", ROLE)
    return made


def auth_of(options: argparse.Namespace) -> GstRtspServer.RTSPAuth:
    auth = GstRtspServer.RTSPAuth.new()
    if options.user and options.basic:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(options.user, options.password), token())
    elif options.user:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(options.user, options.password, token())
    else:
        auth.set_default_token(token())
    if options.tls_cert:
        certificate = Gio.TlsCertificate.new_from_files(str(options.tls_cert), str(options.tls_key))
        auth.set_tls_certificate(certificate)
    return auth


def mount(server: GstRtspServer.RTSPServer, name: str, launch: str, *, guarded: bool) -> None:
    factory = GstRtspServer.RTSPMediaFactory.new()
    factory.set_launch(launch)
    factory.set_shared(True)
    if guarded:
        factory.add_role_from_structure(
            Gst.Structure.from_string(f"{ROLE}, media.factory.access=true, media.factory.construct=true")[0]
        )
    server.get_mount_points().add_factory(f"/{name}", factory)


def main() -> None:
    Gst.init(None)
    options = arguments()
    server = GstRtspServer.RTSPServer.new()
    server.set_address(options.host)
    server.set_service(str(options.port))
    guarded = bool(options.user or options.tls_cert)
    if guarded:
        server.set_auth(auth_of(options))
    for path in options.file:
        mount(server, path.name, file_launch(path, options.codec), guarded=guarded)
    if not options.file:
        mount(server, "test", pattern_launch(options), guarded=guarded)
    server.attach(None)
    print(server.get_bound_port(), flush=True)  # noqa: T201 - the port is its answer
    loop = GLib.MainLoop()
    for number in (signal.SIGTERM, signal.SIGINT):
        GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, loop.quit)
    loop.run()


if __name__ == "__main__":
    main()

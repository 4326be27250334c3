"""Plays ``towerwatch`` for the demo's tests: answers each of its commands in a few lines.

What goes wrong is said by the environment variable FAKE_TOWERWATCH: ``edge-dies``, ``no-smoke``,
``render-fails``, ``silent`` (central never gets ready) or nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml

MODE = os.environ.get("FAKE_TOWERWATCH", "")
PICTURE = b"\xff\xd8 a picture"
DIGEST = hashlib.sha256(PICTURE).hexdigest()
PASSWORD = "first-password-123"
TOKEN = "tws_" + "t" * 20


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


def wait_for_the_end() -> None:
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait(60)


class Central(BaseHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        pass

    def do_PUT(self) -> None:
        self._answer(b"{}", 404 if "road" in self.path else 200)

    def do_GET(self) -> None:
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._answer(b"", 401)
            return
        parts = urlsplit(self.path)
        if parts.path == "/api/v1/incidents":
            kind = parse_qs(parts.query)["kind"][0]
            empty = MODE == "no-smoke" and kind == "smoke"
            self._json({"items": [] if empty else [{"id": 7}], "next_cursor": None})
        elif parts.path == "/api/v1/incidents/7":
            evidence = {
                "sha256": DIGEST,
                "media_type": "image/jpeg",
                "present": True,
                "url": f"/evidence/{DIGEST}",
            }
            alert = {"evidence": [evidence, {**evidence, "media_type": "video/mp4"}]}
            self._json({"id": 7, "started_at": "2026-01-01T00:00:00Z", "alerts": [alert]})
        elif parts.path == "/api/v1/cameras":
            self._json([{"camera": "tower", "state": "fresh"}])
        else:
            self._answer(PICTURE)

    def _json(self, document: object) -> None:
        self._answer(json.dumps(document).encode())

    def _answer(self, body: bytes, code: int = 200) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> int:
    command = sys.argv[1:3]
    if command == ["streams", "render"]:
        scene, out = sys.argv[3], Path(option("--out"))
        if MODE == "render-fails":
            sys.stderr.write("no paint left\n")
            return 3
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{scene}.mp4").write_bytes(b"video")
        zone = {"id": {"street": "kerb"}.get(scene, "road"), "points": [[0, 0.5], [1, 0.5], [1, 0.75]]}
        (out / f"{scene}.truth.json").write_text(json.dumps({"zones": [zone]}))
    elif command == ["central", "enrol"]:
        Path(option("--out")).write_text("{}")
    elif command == ["central", "token"]:
        say(TOKEN)
    elif command == ["central", "up"]:
        say(f"first start: log in as admin with password {PASSWORD} (shown this once)")
        if MODE != "silent":
            port = yaml.safe_load(Path(option("--config")).read_text())["serve"]["port"]
            server = ThreadingHTTPServer(("127.0.0.1", port), Central)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            say(f"serving http://127.0.0.1:{port}")
        wait_for_the_end()
    elif command == ["streams", "serve"]:
        say("rtsp://127.0.0.1:1/road.mp4")
        wait_for_the_end()
    elif command == ["edge", "run"]:
        if MODE == "edge-dies":
            sys.stderr.write("no model 'smoke'\n")
            return 2
        wait_for_the_end()
    else:
        return 64
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A whole small city for end-to-end tests: broker, central and boxes as real processes on loopback."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import components
import httpx
import yaml
from components import Mosquitto, Program, free_port, run_command, towerwatch, wait_until

SITE = "riverside"


@dataclass
class City:
    """Mosquitto, ``central up`` and the API; ``box()`` enrols an edge box and writes its configuration."""

    folder: Path
    database_url: str | None = None
    broker: Mosquitto = field(init=False)
    port: int = field(default_factory=free_port)
    central: Program = field(init=False)
    token: str = ""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.broker = Mosquitto(self.folder / "mosquitto")
        self.config = self.folder / "central.yaml"
        self.central = Program(
            towerwatch("central", "up", "--config", self.config), self.folder / "central.log"
        )

    def open(self) -> City:
        """Start the broker and central, and make a token for the API."""
        self.broker.start()
        self.write_config()
        self.token = run_command("central", "token", "create", "e2e", "--config", self.config).strip()
        self.start_central()
        return self

    def write_config(self, **more: Any) -> None:
        document: dict[str, Any] = {
            "data_dir": str(self.folder / "central"),
            "broker": {"port": self.broker.port},
            "serve": {"port": self.port},
            "console": {"enabled": False},
            "enrol": {"tls": False},
            **more,
        }
        if self.database_url is not None:
            document["database"] = {"url": self.database_url}
        self.config.write_text(yaml.safe_dump(document))

    def start_central(self) -> None:
        self.central.start()
        wait_until(
            lambda: components.port_open(self.port) or not self.central.running(), 60, "central serving"
        )
        assert self.central.running(), self.central.output()

    def close(self) -> None:
        if self.central.process is not None and self.central.running():
            self.central.stop()
        self.broker.stop()

    def __enter__(self) -> City:
        try:
            return self.open()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def get(self, path: str, **params: Any) -> Any:
        """Ask the API and return its JSON."""
        answer = httpx.get(
            f"http://127.0.0.1:{self.port}{path}", params=params, headers=self.headers, timeout=20
        )
        answer.raise_for_status()
        return answer.json()

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def fetch(self, url: str) -> bytes:
        """Return what lies in the evidence store under a view's ``url``."""
        answer = httpx.get(f"http://127.0.0.1:{self.port}{url}", headers=self.headers, timeout=20)
        answer.raise_for_status()
        return answer.content

    def incidents(self, **params: Any) -> list[dict[str, Any]]:
        """Return every incident, whole, with its alerts, evidence and timeline."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self.get(
                "/api/v1/incidents", limit=100, **params, **({"cursor": cursor} if cursor else {})
            )
            found += [self.get(f"/api/v1/incidents/{item['id']}") for item in page["items"]]
            cursor = page.get("next_cursor")
            if cursor is None:
                return found

    def alerts(self, **params: Any) -> list[dict[str, Any]]:
        """Return every alert of every incident."""
        return [alert for incident in self.incidents(**params) for alert in incident["alerts"]]

    def box(self, name: str, cameras: list[dict[str, Any]], **more: Any) -> Box:
        """Enrol a box and write its configuration."""
        folder = self.folder / name
        folder.mkdir()
        enrolment = folder / f"{name}.enrol.json"
        run_command(
            "central", "enrol", name, "--site", SITE, "--out", enrolment, "--config", self.config, "--plain"
        )
        box = Box(folder, name, cameras, more)
        box.write()
        return box


@dataclass
class Box:
    """One edge box: a folder with its configuration, and its process."""

    folder: Path
    name: str
    cameras: list[dict[str, Any]]
    more: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.program = Program(
            towerwatch("edge", "run", self.config_file), self.folder / "edge.log", env=self.env
        )

    @property
    def config_file(self) -> Path:
        return self.folder / "edge.yaml"

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    def write(self) -> None:
        document = {
            "site": SITE,
            "edge": self.name,
            "data_dir": "data",
            "enrolment": f"{self.name}.enrol.json",
            "cameras": self.cameras,
            **self.more,
        }
        self.config_file.write_text(yaml.safe_dump(document, sort_keys=False))

    def __enter__(self) -> Box:
        self.program.env.update(self.env)
        self.program.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.program.__exit__(*exc)

    def log_lines(self) -> list[dict[str, Any]]:
        """Return the log's JSON objects; what else is there (coverage speaks at the end) is left out."""
        whole, _newline, _rest = self.program.output().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]


def import_yolox(weights: Path, models_dir: Path) -> None:
    """Import the third-party YOLOX-Nano under the name ``yolox_nano``."""
    run_command(
        "models", "import", weights / "yolox_nano.onnx", "--name", "yolox_nano", "--labels", "coco80",
        "--models-dir", models_dir,
    )  # fmt: skip


def until(condition: Callable[[], object], timeout_s: float, what: str) -> object:
    """Wait at the pace of a person looking: the API is asked once a second, not 50 times."""

    def paced() -> object:
        value = condition()
        if not value:
            time.sleep(1.0)
        return value

    return wait_until(paced, timeout_s, what)

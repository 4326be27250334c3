"""The demo's site: which scenes are rendered, and the configurations that watch them."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from towerwatch.errors import ConfigError

SITE, EDGE = "demo", "box-1"
SCENES = {"tower": "farmland", "street": "street", "road": "road"}
"""Camera id -> scene."""
KINDS = {"smoke": "tower", "illegal_parking": "street", "blocked_road": "road"}
"""Kind of incident -> the camera that must see it."""
SECONDS, FPS, SIZE, KEYFRAME_S = 180.0, 5.0, (960, 540), 2.0


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a run keeps its things. ``videos`` may be shared by runs, ``run`` is this run's own."""

    videos: Path
    run: Path

    @property
    def logs(self) -> Path:
        """Folder of the children's logs."""
        return self.run / "logs"

    @property
    def enrolment(self) -> Path:
        """The box's enrolment file."""
        return self.run / f"{EDGE}.enrol.json"


def video_folder(base: Path, seed: int) -> Path:
    """Return where the rendered scenes of a seed belong."""
    width, height = SIZE
    return base / f"seed-{seed}-{width}x{height}-{SECONDS:g}s-{FPS:g}fps"


def scenes_to_render(videos: Path) -> tuple[str, ...]:
    """Return the scenes that are not in the folder yet; the truth is written last, so it stands for both."""
    return tuple(
        scene
        for scene in SCENES.values()
        if not ((videos / f"{scene}.truth.json").is_file() and (videos / f"{scene}.mp4").is_file())
    )


def render_arguments(scene: str, seed: int, videos: Path, seconds: float = SECONDS) -> list[str]:
    """Return the arguments of ``towerwatch`` that render one scene."""
    width, height = SIZE
    return [
        "streams", "render", scene, "--seed", str(seed), "--seconds", f"{seconds:g}", "--fps", f"{FPS:g}",
        "--size", f"{width}x{height}", "--keyframe-s", f"{KEYFRAME_S:g}", "--out", str(videos),
    ]  # fmt: skip


def template(name: str) -> Any:
    """Read one of the demo's configurations from the package data."""
    return yaml.safe_load((files("configs") / "demo" / name).read_text(encoding="utf-8"))


def zones_of(truth_file: Path) -> dict[str, list[list[float]]]:
    """Return the zones of a rendered scene by id, points in [0, 1] of the frame."""
    try:
        zones = json.loads(truth_file.read_text(encoding="utf-8"))["zones"]
        return {zone["id"]: [[float(x), float(y)] for x, y in zone["points"]] for zone in zones}
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{truth_file}: no usable truth of a scene: {error}"
        raise ConfigError(msg) from None


def edge_document(
    zones: Mapping[str, Mapping[str, Sequence[Sequence[float]]]], rtsp_port: int, models_dir: Path | None
) -> dict[str, Any]:
    """Return the box's configuration; ``zones``, by camera and then by zone, says of which cameras."""
    document: dict[str, Any] = template("edge.yaml")
    document["cameras"] = [camera for camera in document["cameras"] if camera["id"] in zones]
    document["enrolment"] = f"{EDGE}.enrol.json"
    if models_dir is not None:
        document["models_dir"] = str(models_dir.resolve())
    for camera in document["cameras"]:
        name = camera["id"]
        camera["url"] = f"rtsp://127.0.0.1:{rtsp_port}/{SCENES[name]}.mp4"
        for view in camera["views"]:
            for zone in view.get("zones", []):
                zone["points"] = [list(point) for point in zones[name][zone["id"]]]
    return document


def central_document(broker_port: int, http_port: int) -> dict[str, Any]:
    """Return the central side's configuration on the given ports."""
    document: dict[str, Any] = template("central.yaml")
    document["broker"]["port"] = broker_port
    document["serve"]["port"] = http_port
    return document


def write_yaml(path: Path, document: Mapping[str, Any]) -> Path:
    """Write a configuration and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True)
    path.write_text(text, encoding="utf-8")
    return path


def free_ports(count: int) -> list[int]:
    """Return ports on loopback that are free now; held together, so that they differ."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()

"""A whole box for tests: a model that finds bright rectangles, a scene in a file, a configuration.

The model is a real ONNX file in the registry's own layout, the scene a real video on a real RTSP
server: nothing in the box knows that it is being tested.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

from edge.supervisor import Supervisor

SIDE = 64  # the model sees 64 x 64 pixels
MODEL_NAME = "bright"


def bright_model(models_dir: Path) -> Path:
    """Write ``bright@1.0.0``: a network whose one box is the bounding box of what is nearly white.

    Output as of an end-to-end head, (1, 1, 6): x1, y1, x2, y2, score, class.
    """
    ramp = np.arange(SIDE, dtype=np.float32)

    def constant(name: str, value: np.ndarray) -> onnx.TensorProto:
        return numpy_helper.from_array(value, name)

    nodes = [
        helper.make_node("ReduceMin", ["images"], ["gray"], axes=[1], keepdims=0),  # (1, S, S)
        helper.make_node("Greater", ["gray", "threshold"], ["mask_b"]),
        helper.make_node("Cast", ["mask_b"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["mask"], ["cols"], axes=[1], keepdims=0),  # (1, S)
        helper.make_node("ReduceMax", ["mask"], ["rows"], axes=[2], keepdims=0),
        helper.make_node("ReduceMax", ["cols"], ["score"], axes=[1], keepdims=1),  # (1, 1)
    ]
    edges = []
    for axis, bits in (("x", "cols"), ("y", "rows")):
        nodes += [
            helper.make_node("Sub", ["one", bits], [f"{axis}_off"]),
            helper.make_node("Mul", [f"{axis}_off", "far"], [f"{axis}_away"]),
            helper.make_node("Add", [f"{axis}_away", "ramp"], [f"{axis}_low_in"]),
            helper.make_node("ReduceMin", [f"{axis}_low_in"], [f"{axis}1"], axes=[1], keepdims=1),
            helper.make_node("Add", ["ramp", "one"], [f"{axis}_next"]),
            helper.make_node("Mul", [f"{axis}_next", bits], [f"{axis}_high_in"]),
            helper.make_node("ReduceMax", [f"{axis}_high_in"], [f"{axis}2"], axes=[1], keepdims=1),
        ]
        edges.append(axis)
    nodes += [
        helper.make_node("Concat", ["x1", "y1", "x2", "y2", "score", "class"], ["flat"], axis=1),
        helper.make_node("Unsqueeze", ["flat", "axis1"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, 6])],
        [
            constant("threshold", np.float32(0.85).reshape(())),
            constant("one", np.float32(1).reshape(1)),
            constant("far", np.float32(1000).reshape(1)),
            constant("ramp", ramp.reshape(1, SIDE)),
            constant("class", np.zeros((1, 1), np.float32)),
            constant("axis1", np.array([1], np.int64)),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return put_model(models_dir, model.SerializeToString())


def put_model(models_dir: Path, data: bytes, name: str = MODEL_NAME) -> Path:
    """Lay an ONNX file and its manifest down as the registry expects them."""
    folder = models_dir / name / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(data)
    manifest = {
        "name": name,
        "version": "1.0.0",
        "labels": ["car"],
        "input": {"name": "images", "width_px": SIDE, "height_px": SIDE, "placement": "centre"},
        "decoder": {"kind": "end2end", "outputs": ["output"], "nms": False},
        "files": [
            {
                "path": "model.onnx",
                "precision": "f32",
                "sha256": hashlib.sha256(data).hexdigest(),
                "bytes": len(data),
                "runtimes": ["onnxruntime"],
            }
        ],
        "default_runtime": "onnxruntime",
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def scene(path: Path, *, seconds: int = 20, fps: int = 10, key_every: int = 5, shade: int = 90) -> Path:
    """Write a street of noise with one white car standing in the middle; H.264."""
    rng = np.random.default_rng(1)
    background = rng.integers(shade - 40, shade + 40, (12, 20, 3), np.uint8).repeat(20, 0).repeat(16, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.time_base = Fraction(1, fps)
        stream.codec_context.gop_size = key_every
        stream.options = {"crf": "20", "preset": "ultrafast", "bf": "0"}
        for index in range(seconds * fps):
            picture = background.copy()
            picture[100:140, 140:200] = 255
            x = (index * 7) % 300
            picture[5:9, x : x + 12] = 200  # something that always moves: the picture is not frozen
            picture = np.clip(picture.astype(np.int16) + rng.integers(-4, 5, picture.shape), 0, 255)
            picture[102:138, 142:198] = 255
            frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@dataclass
class Rig:
    """A configuration file for one box."""

    folder: Path
    cameras: list[dict[str, object]]
    broker_port: int = 1
    central_url: str = "http://127.0.0.1:9"
    workers: int = 1
    tune: bool = False
    blind_after_s: float = 5.0

    @property
    def config_file(self) -> Path:
        return self.folder / "edge.yaml"

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    def document(self) -> dict[str, object]:
        return {
            "site": "riverside",
            "edge": "box-1",
            "data_dir": "data",
            "models_dir": "models",
            "broker": {"host": "127.0.0.1", "port": self.broker_port},
            "central": {"url": self.central_url, "token": "file:token.txt"},
            "limits": {
                "outbox_mib": 64,
                "evidence_mib": 256,
                "ring_mib": 8,
                "blind_after_s": self.blind_after_s,
            },
            "evidence": {"clip_before_s": 3.0, "clip_after_s": 1.0},
            "workers": self.workers,
            "tune": self.tune,
            "cameras": self.cameras,
        }

    def write(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "models").exists():
            bright_model(self.folder / "models")
        token = self.folder / "token.txt"
        token.write_text("box-token-1\n")
        token.chmod(0o600)
        self.config_file.write_text(yaml.safe_dump(self.document(), sort_keys=False))
        return self.config_file


def camera(
    camera_id: str, url: str | Path, *, stop_time_s: float = 2.0, legal_time_s: float = 4.0, **more: object
) -> dict[str, object]:
    return {
        "id": camera_id,
        "url": str(url),
        "decode": "keyframes",
        "interval_s": 0.5,
        "open_timeout_s": 2.0,
        "read_timeout_s": 2.0,
        "views": [
            {
                "zones": [{"id": "kerb", "points": [[0.02, 0.02], [0.98, 0.02], [0.98, 0.98], [0.02, 0.98]]}],
                "rules": [
                    {
                        "kind": "illegal_parking",
                        "zone": "kerb",
                        "model": MODEL_NAME,
                        "labels": ["car"],
                        "stop_time_s": stop_time_s,
                        "legal_time_s": legal_time_s,
                        "update_s": 2.0,
                    }
                ],
            }
        ],
        **more,
    }


@contextmanager
def running(box: Supervisor) -> Iterator[None]:
    """Run a box in a thread of this process until the block ends."""
    thread = threading.Thread(target=box.run, name="box")
    thread.start()
    try:
        yield
    finally:
        box.stop()
        thread.join(12)
        assert not thread.is_alive()

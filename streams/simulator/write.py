"""Scenes as files: an H.264 video or a folder of pictures, and the truth beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import av
import cv2

from streams.simulator.runner import Size, check_fps, frames_of, gather, open_scene
from streams.simulator.scene import Scene
from streams.simulator.truth import SceneTruth, TruthFrame, write_truth

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Time of the first picture of a folder, where no other is given."""
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class RenderOrder:
    """What to render. ``fps`` frames a second; ``keyframe_s`` seconds between key frames of a video."""

    scene: str
    seed: int = 0
    seconds: float = 60.0
    fps: float = 5.0
    size: Size = (960, 540)
    keyframe_s: float = 2.0


def write_video(order: RenderOrder, folder: Path, progress: Progress = lambda _frames: None) -> Path:
    """Render to ``<scene>.mp4`` (H.264, constant quality) and ``<scene>.truth.json`` in ``folder``.

    ``progress`` is called with the number of frames done. Returns the video's path.

    Raises:
        SourceConfigError: the order cannot be rendered.

    """
    opened = open_scene(order.scene, order.seed, order.seconds, order.size)
    check_fps(order.fps)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{order.scene}.mp4"
    rate = Fraction(order.fps).limit_denominator(1000)
    frames: list[TruthFrame] = []
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height = order.size
        stream.pix_fmt = "yuv420p"
        stream.time_base = 1 / rate
        stream.gop_size = max(1, math.ceil(order.keyframe_s * order.fps))
        stream.options = {"preset": "ultrafast", "crf": "23", "sc_threshold": "0", "bf": "0"}
        for frame in frames_of(opened, order.seconds, order.fps):
            picture = av.VideoFrame.from_ndarray(frame.image, format="bgr24")
            picture.pts = len(frames)
            picture.time_base = 1 / rate
            container.mux(stream.encode(picture))
            frames.append(TruthFrame(frame.t_s, frame.boxes))
            progress(len(frames))
        container.mux(stream.encode(None))
    write_truth(_truth(opened, frames, order), folder / f"{order.scene}.truth.json")
    return path


def write_pictures(
    order: RenderOrder, folder: Path, start: datetime = EPOCH, progress: Progress = lambda _frames: None
) -> Path:
    """Render to JPEG files in ``<scene>/``, named by their time (``20000101T000000.200Z.jpg``).

    The truth goes to ``<scene>.truth.json`` beside the folder. Returns the folder of pictures.

    Raises:
        SourceConfigError: the order cannot be rendered.
        OSError: a picture cannot be written.

    """
    opened = open_scene(order.scene, order.seed, order.seconds, order.size)
    check_fps(order.fps)
    target = folder / order.scene
    target.mkdir(parents=True, exist_ok=True)
    frames: list[TruthFrame] = []
    for frame in frames_of(opened, order.seconds, order.fps):
        at = start + timedelta(seconds=frame.t_s)
        name = f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03d}Z.jpg"
        if not cv2.imwrite(str(target / name), frame.image, [cv2.IMWRITE_JPEG_QUALITY, 92]):
            msg = f"cannot write {target / name}"
            raise OSError(msg)
        frames.append(TruthFrame(frame.t_s, frame.boxes))
        progress(len(frames))
    write_truth(_truth(opened, frames, order), folder / f"{order.scene}.truth.json")
    return target


def _truth(opened: Scene, frames: list[TruthFrame], order: RenderOrder) -> SceneTruth:
    return gather(opened, frames, scene=order.scene, seed=order.seed, seconds=order.seconds, fps=order.fps)

"""What ``edge check --draw`` does: one picture of each camera with its zones and masks on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from edge.config import CameraConfig, EdgeConfig
from edge.draw import draw_view
from streams.errors import StreamError
from streams.frame import Picture
from streams.opening import Source
from streams.pictures import encode_jpeg
from streams.probe import probe
from streams.sources import open_replay


@dataclass(frozen=True, slots=True)
class Drawn:
    """What came of one camera: the pictures written, or why there are none."""

    camera: str
    pictures: tuple[Path, ...] = ()
    problem: str | None = None


def snapshot(camera: CameraConfig) -> Picture:
    """Return one picture of a camera, uint8 (height, width, 3) BGR.

    Raises:
        StreamError: it cannot be reached, or shows no picture.

    """
    if not camera.is_live:
        for frame in islice(open_replay(Path(camera.url)), 1):
            return frame.image
        msg = f"{camera.url}: holds no picture"
        raise StreamError(msg)
    source = Source(
        camera.url,
        username=camera.username,
        password=camera.password,
        open_timeout_s=camera.open_timeout_s,
        read_timeout_s=camera.read_timeout_s,
        tls_ca=camera.tls_ca,
    )
    return probe(source, seconds=0.1)[1]


def draw_all(
    config: EdgeConfig, folder: Path, take: Callable[[CameraConfig], Picture] = snapshot
) -> Iterator[Drawn]:
    """Write ``CAMERA_PRESET.jpg`` for every view; yield camera by camera as it is done.

    A PTZ camera is drawn as it stands: only one of its presets can be right, and the file names say
    which zones were drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for camera in config.cameras:
        try:
            image = take(camera)
        except StreamError as error:
            yield Drawn(camera.id, problem=" ".join(str(error).split()))
            continue
        written = []
        for view in camera.views:
            path = folder / f"{camera.id}_{view.preset}.jpg"
            path.write_bytes(encode_jpeg(draw_view(image, view)))
            written.append(path)
        yield Drawn(camera.id, tuple(written))

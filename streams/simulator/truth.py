"""What really happens in a rendered scene, as values and as JSON beside the video.

Schema of ``<scene>.truth.json`` (``schema_version`` 1); every box and polygon is in [0, 1] of the
frame, left, top, right, bottom; every time is in seconds from the first picture::

    {"schema_version": 1, "scene": str, "seed": int, "fps": float, "size": [width, height],
     "seconds": float, "camera_id": str, "start_at": str, "condition": str,
     "camera": {"height_m", "yaw_deg", "pitch_deg", "roll_deg", "hfov_deg"},
     "zones": [{"id": str, "use": str, "points": [[x, y], ...]}],
     "events": [{"kind": str, "alarm": bool, "object_id": int|null, "zone": str|null,
                 "started_s": float, "ended_s": float|null, "box": [x1, y1, x2, y2],
                 "ground_m": [x, y], "lat_lon_deg": [lat, lon]|null}],
     "frames": [{"t_s": float, "boxes": [{"object_id": int, "label": str, "box": [...],
                 "visible_frac": float, "speed_m_s": float}]}]}

``ended_s`` is null where the event outlasts the scene. ``alarm`` says whether a rule ought to report
it: a lawful stop or a red-light queue is an event that must stay silent. ``camera_id`` names the
camera whose alerts the scene is to be compared with, ``start_at`` is the time of the first picture,
and ``condition`` a word under which figures are grouped; the three may be absent.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter, ValidationError

from towerwatch.errors import PermanentError
from towerwatch.timebase import iso_z, parse_utc

SCHEMA_VERSION = 1
FIXED_START = "2000-01-01T00:00:00.000Z"
"""When a scene starts that knows no time of its own: the same as for a replayed video."""
Seconds = Annotated[float, Field(ge=-1e9, le=1e9)]
"""From the first picture: no scene and no event lasts longer than decades."""
Box = tuple[float, float, float, float]
Point = tuple[float, float]


class TruthError(PermanentError):
    """A truth file that cannot be read, or has another schema."""


@dataclass(frozen=True, slots=True)
class TruthBox:
    """One object in one picture.

    ``box`` in [0, 1] of the frame, cut at its border; ``visible_frac`` the share of the object's
    outline that is inside the picture and not hidden; ``speed_m_s`` over the ground.
    """

    object_id: int
    label: str
    box: Box
    visible_frac: float
    speed_m_s: float = 0.0

    def pixels(self, size: tuple[int, int]) -> Box:
        """Return left, top, right, bottom in pixels of a picture of ``size`` (width, height)."""
        x1, y1, x2, y2 = self.box
        return (x1 * size[0], y1 * size[1], x2 * size[0], y2 * size[1])


@dataclass(frozen=True, slots=True)
class TruthZone:
    """An area of the view; ``use`` is ``no_parking``, ``bay``, ``road`` or ``fields``."""

    id: str
    use: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class TruthEvent:
    """One thing that happens. ``kind``: smoke, illegal_parking, blocked_road, lawful_stop, parked, queue.

    ``started_s`` is the ignition for smoke, the standstill for a vehicle, and for a road the moment
    when the first vehicle stands for good behind the block. ``box`` is the place in the picture at its
    largest. ``ground_m`` is the place in the scene's own ground coordinates (x to the right, y away),
    ``lat_lon_deg`` the same on the map (WGS 84), None where the scene is on none.
    """

    kind: str
    alarm: bool
    started_s: Seconds
    ended_s: Seconds | None
    zone: str | None
    box: Box
    ground_m: Point
    object_id: int | None = None
    lat_lon_deg: Point | None = None


@dataclass(frozen=True, slots=True)
class TruthCamera:
    """Where the camera stands and looks: yaw to the right of the scene's y axis, pitch below the horizon."""

    height_m: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    hfov_deg: float


@dataclass(frozen=True, slots=True)
class TruthFrame:
    """The boxes of one picture."""

    t_s: Seconds
    boxes: tuple[TruthBox, ...]


@dataclass(frozen=True, slots=True)
class SceneTruth:
    """All that a rendered scene holds; see the module for the file's schema."""

    scene: str
    seed: int
    fps: float
    size: tuple[int, int]
    seconds: Seconds
    camera: TruthCamera
    zones: tuple[TruthZone, ...]
    events: tuple[TruthEvent, ...]
    frames: tuple[TruthFrame, ...]
    camera_id: str = ""
    start_at: str = FIXED_START
    condition: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class RenderedFrame:
    """One picture (uint8, (height, width, 3), BGR) at ``t_s`` from the start, with what is in it."""

    image: npt.NDArray[np.uint8]
    t_s: float
    boxes: tuple[TruthBox, ...]


_SCENE = TypeAdapter(SceneTruth)


def write_truth(truth: SceneTruth, path: Path) -> None:
    """Write ``truth`` as JSON; numbers rounded to 1e-5, which is well below a pixel."""
    document = {"schema_version": SCHEMA_VERSION, **asdict(truth)}
    path.write_text(json.dumps(_rounded(document), separators=(",", ":")) + "\n", encoding="utf-8")


def read_truth(path: Path) -> SceneTruth:
    """Read what :func:`write_truth` wrote.

    Raises:
        TruthError: the file is absent, no JSON, of another version, or lacks a field.

    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        version = document["schema_version"]
        if version != SCHEMA_VERSION:
            msg = f"{path}: schema_version {version}; this program reads {SCHEMA_VERSION}"
            raise TruthError(msg)
        scene = _SCENE.validate_python(document)
        return replace(scene, start_at=iso_z(parse_utc(scene.start_at)))
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise TruthError(msg) from None
    except ValidationError as error:
        first = error.errors()[0]
        msg = f"{path}: is no truth file: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise TruthError(msg) from None
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        msg = f"{path}: is no truth file: {type(error).__name__}: {error}"
        raise TruthError(msg) from None


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value

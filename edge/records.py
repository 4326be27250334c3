"""What travels over the pipe between a worker process and the supervisor process.

Plain frozen values, pickled by multiprocessing between processes of our own that trust each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from alerts.messages import BlindReason, EvidenceRole
from edge.episode import EpisodeEvent


@dataclass(frozen=True, slots=True)
class EvidenceRef:
    """A file in the evidence folder, named by its digest.

    ``bytes`` is its size; ``captured_at`` the time of the picture, or of the clip's first moment.
    """

    role: EvidenceRole
    sha256: str
    bytes: int
    media_type: str
    captured_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """One step of one episode, with the evidence that goes with it.

    ``evidence`` belongs into the message (or, of a candidate, is only kept until it opens).
    """

    event: EpisodeEvent
    evidence: tuple[EvidenceRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """Provisional evidence of an episode, outside any event (a picture half way to the limit)."""

    alert_id: str
    evidence: EvidenceRef


@dataclass(frozen=True, slots=True)
class CameraRecord:
    """What must be committed together: state of a camera (JSON) and what has changed with it."""

    camera: str
    state: bytes
    changes: tuple[Change, ...] = ()
    kept: tuple[Kept, ...] = ()


@dataclass(frozen=True, slots=True)
class CameraReport:
    """How one camera does, about once a second and after each analysis.

    Attributes:
        camera: camera id.
        at_s: ``time.monotonic()`` of the report.
        trouble: why nothing is seen now, None while it sees; persistence is judged elsewhere.
        lasting_s: how long the trouble had lasted already when it was noticed (a picture counts as
            frozen only after a while).
        detail: a sentence for people, without credentials.
        last_captured_at: capture time of the last analysed picture.
        analysed: pictures analysed since the last report.
        dropped: pictures the stream dropped since the last report.
        lag_ms: from arrival to the end of analysis, one for each picture analysed since.
        spacing_s: seconds between the stream's own pictures; where they are sparser than the interval, no
            box can look more often.
        looks, spared: times a model was shown a picture, and times the change gate spared it one, since.
        picture: evidence of the trouble where there is a picture to show.
        note: a sentence on what works worse than it should, though pictures are seen; without credentials.
        night: why smoke cannot be seen now, though pictures are; None while it can, or is not watched for.

    """

    camera: str
    at_s: float
    trouble: BlindReason | None
    detail: str = ""
    lasting_s: float = 0.0
    last_captured_at: datetime | None = None
    analysed: int = 0
    dropped: int = 0
    lag_ms: tuple[float, ...] = ()
    spacing_s: float = 0.0
    looks: int = 0
    spared: int = 0
    picture: EvidenceRef | None = None
    note: str = ""
    night: BlindReason | None = None


@dataclass(frozen=True, slots=True)
class Resumed:
    """A worker has taken a camera up again; these episodes of it are still open."""

    camera: str
    open_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The worker's loop turns; ``ready`` once its models are loaded and its cameras started."""

    ready: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Answer to :class:`TakeSnapshot`; ``evidence`` is None when there is no picture.

    ``picture`` is a JPEG for a live look, which leaves nothing on the disk.
    """

    request_id: str
    evidence: EvidenceRef | None
    detail: str = ""
    picture: bytes | None = None


FromWorker = CameraRecord | CameraReport | Resumed | Heartbeat | Snapshot


@dataclass(frozen=True, slots=True)
class Resume:
    """First message to a worker: the stored states of its cameras, JSON by camera id."""

    states: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TakeSnapshot:
    """Ask for the next picture of a camera; for a live look at most so many pixels wide."""

    request_id: str
    camera: str
    live_px: int | None = None


@dataclass(frozen=True, slots=True)
class Dismissed:
    """Tell a camera's smoke rules what an operator has dismissed: ``box`` in [0, 1] of the frame."""

    camera: str
    preset: str
    box: tuple[float, float, float, float]
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Stop:
    """Write states, stop cameras, end."""


ToWorker = Resume | TakeSnapshot | Dismissed | Stop

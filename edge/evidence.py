"""Pictures and clips of an episode, written by the worker that sees it: clean pixels, always.

A candidate keeps its first picture, a few pictures on the way (at ages that double) and a short
clip provisionally; they go with it when it dissolves, and into the message when it opens. A clip
whose end still lies in the future when an alert opens follows with the alert's next message: no
alert waits for evidence. Every file is named by its SHA-256 and is whole or absent.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from alerts.messages import EvidenceRole
from edge.config import EvidenceConfig
from edge.episode import EpisodeEvent, EpisodePhase
from edge.evidence_index import evidence_path
from edge.files import TEMPORARY_SUFFIX, file_sha256, free_bytes, move_into_place, write_atomic
from edge.observe import Box
from edge.records import Change, EvidenceRef, Kept
from streams.frame import Frame, Picture
from streams.pictures import encode_jpeg
from towerwatch.errors import TowerwatchError
from towerwatch.logs import get_logger
from towerwatch.timebase import iso_z, parse_utc

log = get_logger(__name__)

# room that evidence leaves for the database, which must be able to write alerts to the last
RESERVE_PICTURES_BYTES = 32 << 20
RESERVE_CLIPS_BYTES = 128 << 20
FIRST_MID_S = 10.0
UPDATE_PICTURE_S = 600.0
MIN_CLOSE_UP_PX = 96
MAX_PROVISIONAL_CLIPS = 32

CutClip = Callable[[datetime, datetime, Path], Path | None]
"""Cut a clip from ``start`` to ``end`` into a file; None when there is nothing to cut."""
Sharp = Callable[[Frame], Frame]
"""Return the best picture of a frame's moment, perhaps of another size, with the same field of view."""


class _DiskNearlyFull(Exception):
    """What is left belongs to the database."""


class EvidenceWriter:
    """Writes files into the evidence folder. A disk that is full costs evidence, never an alert."""

    def __init__(self, folder: Path, jpeg_quality: int = 90) -> None:
        """Write below ``folder``."""
        self._folder = folder
        self._quality = jpeg_quality
        self.failures = 0

    def picture(self, image: Picture, role: EvidenceRole, captured_at: datetime) -> EvidenceRef | None:
        """Write a picture, uint8 (height, width, 3) BGR, as JPEG; None when it cannot be written."""
        try:
            self._need_room(RESERVE_PICTURES_BYTES)
            data = encode_jpeg(image, self._quality)
            ref = EvidenceRef(role, hashlib.sha256(data).hexdigest(), len(data), "image/jpeg", captured_at)
            path = evidence_path(self._folder, ref.sha256, ref.media_type)
            if not _refreshed(path, ref.bytes):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, data)
        except (OSError, TowerwatchError, _DiskNearlyFull) as error:
            self._failed(error)
            return None
        return ref

    def clip(self, cut: CutClip, start: datetime, end: datetime) -> EvidenceRef | None:
        """Cut a clip; None when there is nothing to cut or it cannot be written."""
        temporary = self._folder / "new" / f"{uuid.uuid4().hex}{TEMPORARY_SUFFIX}.mp4"
        try:
            self._need_room(RESERVE_CLIPS_BYTES)
            temporary.parent.mkdir(parents=True, exist_ok=True)
            if cut(start, end, temporary) is None:
                return None
            size = temporary.stat().st_size
            ref = EvidenceRef(EvidenceRole.CLIP, file_sha256(temporary), size, "video/mp4", start)
            path = evidence_path(self._folder, ref.sha256, ref.media_type)
            if not _refreshed(path, size):
                path.parent.mkdir(parents=True, exist_ok=True)
                move_into_place(temporary, path)
        except (OSError, TowerwatchError, _DiskNearlyFull) as error:
            self._failed(error)
            return None
        else:
            return ref
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _need_room(self, reserve_bytes: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if free_bytes(self._folder) < reserve_bytes:
            raise _DiskNearlyFull

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        log.warning("evidence not written", why=f"{type(error).__name__}: {error}", count=self.failures)


def _refreshed(path: Path, size: int) -> bool:
    """Tell whether the very file is there already, and make it young so that no sweep takes it."""
    try:
        if path.stat().st_size != size:
            return False
        path.touch()
    except FileNotFoundError:
        return False
    return True


def close_up(image: Picture, box: Box, margin_frac: float) -> Picture | None:
    """Cut out a box with a margin around it, at least :data:`MIN_CLOSE_UP_PX` wide and high.

    Args:
        image: uint8 (height, width, 3).
        box: in [0, 1] of the frame.
        margin_frac: margin on each side, as a share of the box.

    Returns:
        a view into ``image``; None for a box without area.

    """
    height, width = image.shape[:2]
    x1, x2 = _span(box[0] * width, box[2] * width, margin_frac, width)
    y1, y2 = _span(box[1] * height, box[3] * height, margin_frac, height)
    return image[y1:y2, x1:x2] if x2 > x1 and y2 > y1 else None


def _span(low_px: float, high_px: float, margin_frac: float, limit_px: int) -> tuple[int, int]:
    if high_px <= low_px:
        return 0, 0
    half_px = max((high_px - low_px) * (0.5 + margin_frac), MIN_CLOSE_UP_PX / 2)
    middle_px = (low_px + high_px) / 2
    return max(0, int(middle_px - half_px)), min(limit_px, round(middle_px + half_px))


@dataclass(slots=True)
class _Episode:
    """What is kept of one episode."""

    first_at: datetime
    next_mid_s: float = FIRST_MID_S
    t0: EvidenceRef | None = None
    mids: list[EvidenceRef] = field(default_factory=list)
    clips: list[EvidenceRef] = field(default_factory=list)
    clip_start: datetime | None = None
    clip_end: datetime | None = None  # a clip is cut once this moment has passed
    opened: bool = False
    pictured_at: datetime | None = None


class _FrameEvidence:
    """The files of one frame: each picture and clip is made once, however many episodes want it."""

    def __init__(
        self, writer: EvidenceWriter, cut: CutClip | None, frame: Frame, sharp: Sharp | None
    ) -> None:
        self._writer, self._cut, self._analysed, self._sharp = writer, cut, frame, sharp
        self._best: Frame | None = None
        self._whole: EvidenceRef | None = None
        self._clips: dict[tuple[datetime, datetime], EvidenceRef | None] = {}

    @property
    def _frame(self) -> Frame:
        """The picture that is kept: looked for once, when the first episode wants it."""
        if self._best is None:
            self._best = self._analysed if self._sharp is None else self._sharp(self._analysed)
        return self._best

    def context(self, role: EvidenceRole) -> EvidenceRef | None:
        if self._whole is None:
            self._whole = self._writer.picture(self._frame.image, role, self._frame.captured_at)
        return None if self._whole is None else _with_role(self._whole, role)

    def close_up(self, box: Box, margin_frac: float) -> EvidenceRef | None:
        cut = close_up(self._frame.image, box, margin_frac)
        if cut is None:
            return None
        return self._writer.picture(cut, EvidenceRole.CLOSE_UP, self._frame.captured_at)

    def clip(self, start: datetime, end: datetime) -> EvidenceRef | None:
        if self._cut is None:
            return None
        if (start, end) not in self._clips:
            self._clips[start, end] = self._writer.clip(self._cut, start, end)
        return self._clips[start, end]


class EvidenceKeeper:
    """The evidence of one camera's episodes. Reads time from frames alone."""

    def __init__(
        self,
        writer: EvidenceWriter,
        config: EvidenceConfig,
        cut: CutClip | None,
        sharp: Sharp | None = None,
    ) -> None:
        """Write through ``writer``.

        ``cut`` is None for a source without a packet ring, ``sharp`` where the analysed picture is the best.
        """
        self._writer = writer
        self._config = config
        self._cut = cut
        self._sharp = sharp
        self._before = timedelta(seconds=config.clip_before_s)
        self._after = timedelta(seconds=config.clip_after_s)
        self._episodes: dict[str, _Episode] = {}

    def attend(
        self, frame: Frame, events: Sequence[EpisodeEvent]
    ) -> tuple[tuple[Change, ...], tuple[Kept, ...]]:
        """Make the evidence of one frame's events, and what candidates keep on the way."""
        made = _FrameEvidence(self._writer, self._cut, frame, self._sharp)
        kept = self._on_the_way(made, frame.captured_at)
        changes = tuple(Change(event, _present(self._of(made, event))) for event in events)
        return changes, kept

    def _of(self, made: _FrameEvidence, event: EpisodeEvent) -> Sequence[EvidenceRef | None]:
        if event.phase is EpisodePhase.CANDIDATE:
            return self._candidate(made, event)
        if event.phase is EpisodePhase.OPENED:
            return self._opened(made, event)
        if event.phase is EpisodePhase.UPDATED:
            return self._updated(made, event)
        if event.phase is EpisodePhase.CLOSED:
            episode = self._episodes.pop(event.alert_id, None)
            return (made.context(EvidenceRole.CONTEXT_END), *(episode.clips if episode else ()))
        self._episodes.pop(event.alert_id, None)
        return ()

    def _candidate(self, made: _FrameEvidence, event: EpisodeEvent) -> Sequence[EvidenceRef | None]:
        episode = _Episode(event.captured_at, t0=made.context(EvidenceRole.CONTEXT_T0))
        if len(self._episodes) < MAX_PROVISIONAL_CLIPS:
            self._plan_clip(episode, event.captured_at)
        self._episodes[event.alert_id] = episode
        return (episode.t0,)

    def _opened(self, made: _FrameEvidence, event: EpisodeEvent) -> Sequence[EvidenceRef | None]:
        episode = self._episodes.setdefault(event.alert_id, _Episode(event.captured_at))
        out: list[EvidenceRef | None] = [episode.t0 or made.context(EvidenceRole.CONTEXT_T0)]
        middle = episode.first_at + (event.captured_at - episode.first_at) / 2
        if episode.mids:
            out.append(min(episode.mids, key=lambda ref: abs(ref.captured_at - middle)))
        out.append(made.context(EvidenceRole.CONTEXT_NOW))
        if event.boxes:
            out.append(made.close_up(_shown(event), self._config.close_up_margin_frac))
        out += [*episode.clips, made.clip(event.captured_at - self._before, event.captured_at)]
        episode.opened, episode.pictured_at = True, event.captured_at
        episode.t0, episode.mids, episode.clips = None, [], []
        if self._after:
            self._plan_clip(episode, event.captured_at)
        return out

    def _updated(self, made: _FrameEvidence, event: EpisodeEvent) -> Sequence[EvidenceRef | None]:
        episode = self._episodes.setdefault(event.alert_id, _Episode(event.captured_at, opened=True))
        out: list[EvidenceRef | None] = list(episode.clips)
        episode.clips = []
        since = None if episode.pictured_at is None else event.captured_at - episode.pictured_at
        if since is None or since.total_seconds() >= UPDATE_PICTURE_S:
            episode.pictured_at = event.captured_at
            out.append(made.context(EvidenceRole.CONTEXT_NOW))
        return out

    def _plan_clip(self, episode: _Episode, at: datetime) -> None:
        episode.clip_start, episode.clip_end = at - self._before, at + self._after

    def _on_the_way(self, made: _FrameEvidence, now: datetime) -> tuple[Kept, ...]:
        kept: list[Kept] = []
        for alert_id, episode in self._episodes.items():
            new: list[EvidenceRef | None] = []
            if episode.clip_start and episode.clip_end and now >= episode.clip_end:
                clip = made.clip(episode.clip_start, episode.clip_end)
                episode.clip_start = episode.clip_end = None
                new.append(clip)
                episode.clips += _present([clip])
            age_s = (now - episode.first_at).total_seconds()
            if not episode.opened and age_s >= episode.next_mid_s:
                while episode.next_mid_s <= age_s:
                    episode.next_mid_s *= 2
                mid = made.context(EvidenceRole.CONTEXT_MID)
                new.append(mid)
                episode.mids += _present([mid])
            kept += [Kept(alert_id, ref) for ref in _present(new)]
        return tuple(kept)

    def dump(self) -> dict[str, Any]:
        """Return what is kept as JSON-able values."""
        return {alert_id: _dump(episode) for alert_id, episode in self._episodes.items()}

    def load(self, state: Mapping[str, Any], alive: frozenset[str]) -> None:
        """Continue from a dumped state; episodes that are not ``alive`` any more are let go."""
        self._episodes = {alert_id: _load(item) for alert_id, item in state.items() if alert_id in alive}


def _shown(event: EpisodeEvent) -> Box:
    """Return what a close-up shows: the first box, or all that together block a road."""
    boxes = [one.box for one in event.boxes]
    if event.kind != "blocked_road":
        return boxes[0]
    left, top, right, bottom = zip(*boxes, strict=True)
    return (min(left), min(top), max(right), max(bottom))


def _with_role(ref: EvidenceRef, role: EvidenceRole) -> EvidenceRef:
    return EvidenceRef(role, ref.sha256, ref.bytes, ref.media_type, ref.captured_at)


def _present(refs: Sequence[EvidenceRef | None]) -> tuple[EvidenceRef, ...]:
    return tuple(ref for ref in refs if ref is not None)


def _dump(episode: _Episode) -> dict[str, Any]:
    return {
        "first_at": iso_z(episode.first_at),
        "next_mid_s": episode.next_mid_s,
        "t0": None if episode.t0 is None else _dump_ref(episode.t0),
        "mids": [_dump_ref(ref) for ref in episode.mids],
        "clips": [_dump_ref(ref) for ref in episode.clips],
        "opened": episode.opened,
        "pictured_at": None if episode.pictured_at is None else iso_z(episode.pictured_at),
    }


def _load(item: Mapping[str, Any]) -> _Episode:
    return _Episode(
        first_at=parse_utc(item["first_at"]),
        next_mid_s=float(item["next_mid_s"]),
        t0=None if item["t0"] is None else _load_ref(item["t0"]),
        mids=[_load_ref(ref) for ref in item["mids"]],
        clips=[_load_ref(ref) for ref in item["clips"]],
        opened=bool(item["opened"]),
        pictured_at=None if item["pictured_at"] is None else parse_utc(item["pictured_at"]),
    )


def _dump_ref(ref: EvidenceRef) -> list[Any]:
    return [ref.role.value, ref.sha256, ref.bytes, ref.media_type, iso_z(ref.captured_at)]


def _load_ref(item: Sequence[Any]) -> EvidenceRef:
    return EvidenceRef(EvidenceRole(item[0]), item[1], item[2], item[3], parse_utc(item[4]))

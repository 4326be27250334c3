"""One camera inside a worker: when to look, what a look costs and brings, what is written down.

Everything here happens in the worker's one loop and never waits: a picture is there or it is not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from alerts.messages import BlindReason, EvidenceRole
from edge.config import CameraConfig
from edge.evidence import EvidenceKeeper, EvidenceWriter
from edge.gate import Why
from edge.head_hold import HeadHold
from edge.night import night_watch_of
from edge.onvif_head import OnvifHead
from edge.pipeline import CameraPipeline
from edge.records import (
    CameraRecord,
    CameraReport,
    Dismissed,
    EvidenceRef,
    FromWorker,
    Resumed,
    Snapshot,
    TakeSnapshot,
)
from edge.sight import judge_picture
from edge.small_picture import small_jpeg
from edge.stillness import Stillness
from edge.view_registration import outline_of
from edge.view_watch import ViewState, ViewVerdict, ViewWatch, realigned
from streams.errors import StreamError
from streams.frame import Frame
from streams.freeze import FreezePolicy, FreezeState, FreezeVerdict, advance, sample_luma
from streams.modes import FULL, KEYFRAMES, DecodeMode
from streams.pictures import read_picture
from streams.status import StreamReason, StreamState, StreamStatus
from towerwatch.logs import get_logger

log = get_logger(__name__)

STATE_VERSION = 1
SAVE_EVERY_S = 20.0  # changes at once; 75 remembered places cost 14 ms of CPU each time
REPORT_EVERY_S = 1.0
SNAPSHOT_WAIT_S = 10.0
SHOW_TROUBLE_AFTER_S = 5.0
FREEZE = FreezePolicy()
# a stream is decoded whole, at ten times the cost, only while a candidate waits, its key frames come too
# seldom for the wanted interval, and not for longer than this; then it rests, the candidate served or not
BURST_S, REST_S = 20.0, 60.0
SELDOM = 1.5  # intervals between two key frames
_NOT_THE_VIEW = {ViewState.MOVED: BlindReason.MOVED, ViewState.HIDDEN: BlindReason.BLURRED}
_TROUBLE = {
    StreamReason.UNREACHABLE: BlindReason.UNREACHABLE,
    StreamReason.SILENT: BlindReason.UNREACHABLE,
    StreamReason.NOT_FOUND: BlindReason.UNREACHABLE,
    StreamReason.REFUSED: BlindReason.REFUSED,
    StreamReason.GARBAGE: BlindReason.GARBAGE,
    StreamReason.END_OF_FILE: BlindReason.STALE,
    StreamReason.INTERNAL: BlindReason.STALE,
}


class Ring(Protocol):
    """What clips are cut from."""

    def cut(self, start: datetime, end: datetime, path: Path) -> Path | None:
        """Write a clip; see :class:`streams.ring.PacketRing`."""
        ...


class Live(Protocol):
    """What a worker needs of :class:`streams.live.LiveCamera`."""

    @property
    def ring(self) -> Ring:
        """The packet ring."""
        ...

    def start(self) -> None:
        """Begin to read."""
        ...

    def stop(self, timeout_s: float) -> bool:
        """End."""
        ...

    def latest(self, timeout_s: float) -> Frame | None:
        """Return the newest picture that nobody has taken."""
        ...

    def set_decode(self, mode: DecodeMode) -> None:
        """Change what is decoded."""
        ...

    def want_from(self, at_s: float) -> None:
        """Say when the next picture is wanted."""
        ...

    def status(self) -> StreamStatus:
        """Return state and counters."""
        ...


class WatchedCamera:
    """One camera with its stream, pipeline and evidence. Times in seconds of ``time.monotonic()``."""

    def __init__(
        self,
        config: CameraConfig,
        live: Live,
        pipeline: CameraPipeline | None,
        keeper: EvidenceKeeper,
        writer: EvidenceWriter,
        *,
        model_trouble: str = "",
    ) -> None:
        """Store the parts; ``pipeline`` is None, and ``model_trouble`` says why, without its models."""
        self.config = config
        self.live = live
        self._pipeline = pipeline
        self._keeper = keeper
        self._writer = writer
        self._model_trouble = model_trouble
        self._freeze: FreezeState | None = None
        self._views = view_watch_of(config)
        self._head = head_of(config)
        self._hold = HeadHold() if config.onvif is not None and config.onvif.steer else None
        self._night = night_watch_of(config)
        self._still = Stillness()
        self._verdict: ViewVerdict | None = None  # on the picture that was judged in full
        self._lost: dict[str, tuple[BlindReason, str]] = {}  # presets that are not to be seen, and why
        self._analysed_s: float | None = None
        self._arrived: tuple[float, int] | None = None
        self._spacing_s = config.interval_s
        self._burst_until_s: float | None = None
        self._rest_until_s = float("-inf")
        self._told_looks = self._told_spared = 0
        self._saved_s = float("-inf")
        self._reported_s = float("-inf")
        self._dropped = 0
        self._picture_trouble: tuple[BlindReason, str] | None = None
        self._trouble_since_s: float | None = None
        self._shown = False
        self._lasting_s = 0.0
        self._asked: list[tuple[TakeSnapshot, float]] = []
        self._last_captured_at: datetime | None = None

    def resume(self, state: bytes | None) -> Resumed:
        """Continue from a stored state; one that cannot be read is left behind with a log line."""
        if state is not None and self._pipeline is not None:
            try:
                document = json.loads(state)
                if document.get("version") == STATE_VERSION:
                    self._pipeline.load(document["pipeline"])
                    alive = [*self._pipeline.open_alerts(), *self._pipeline.candidates()]
                    self._keeper.load(document["evidence"], frozenset(one.alert_id for one in alive))
            except Exception:  # guard of one state: a damaged one must not stop the camera
                log.exception("stored state cannot be used, the camera starts afresh", camera=self.config.id)
        opened = () if self._pipeline is None else self._pipeline.open_alerts()
        return Resumed(self.config.id, frozenset(one.alert_id for one in opened))

    @property
    def sees_alerts(self) -> bool:
        """Whether it has its models, and so may say which alerts are still open."""
        return self._pipeline is not None

    def due_s(self) -> float:
        """Return when to look next.

        A picture is taken as soon as it arrives, if it lies closer to the wanted interval than the
        picture after it will; so the way from arrival to analysis stays short whatever the stream's
        own rhythm is.
        """
        if self._analysed_s is None:
            return float("-inf")
        return self._analysed_s + self.config.interval_s - min(self._spacing_s, self.config.interval_s) / 2

    def look(self, now_s: float) -> list[FromWorker]:
        """Analyse a picture if one is there and due; return what the supervisor must know, else nothing."""
        frame = self.live.latest(0.0) if now_s >= self.due_s() else None
        if frame is None:
            return []
        self._learn_spacing(frame)
        return self._analyse(frame) if frame.monotonic_s >= self.due_s() else []

    def tend(self, now_s: float) -> list[FromWorker]:
        """Do what goes on without a picture; return what the supervisor must know."""
        self._choose_decode(now_s)
        out = self._snapshot_overdue(now_s)
        if now_s - self._reported_s >= REPORT_EVERY_S:
            out.append(self._report(now_s, analysed=0, lag_ms=()))
        return out

    def _choose_decode(self, now_s: float) -> None:
        """Decode whole for a while where a candidate waits and key frames come too seldom to judge it."""
        if self._pipeline is None or self.config.decode != KEYFRAMES:
            return
        waits = self._pipeline.awaits_confirmation
        if self._burst_until_s is not None:
            if waits and now_s < self._burst_until_s:
                return
            self._burst_until_s, self._rest_until_s = None, now_s + REST_S
            self.live.set_decode(KEYFRAMES)
        elif waits and now_s >= self._rest_until_s and self._spacing_s > SELDOM * self.config.interval_s:
            self._burst_until_s = now_s + BURST_S
            self.live.set_decode(FULL)

    def _learn_spacing(self, frame: Frame) -> None:
        """Measure how far apart the stream's own pictures lie, those that were not taken included."""
        if self._arrived is not None:
            arrived_s, index = self._arrived
            if frame.monotonic_s > arrived_s and frame.index > index:
                self._spacing_s = (frame.monotonic_s - arrived_s) / (frame.index - index)
        self._arrived = (frame.monotonic_s, frame.index)

    def _analyse(self, frame: Frame) -> list[FromWorker]:
        self._analysed_s = frame.monotonic_s
        self.live.want_from(self.due_s())
        self._last_captured_at = frame.captured_at
        out: list[FromWorker] = self._answer_snapshot(frame)
        verdict = self._see(frame)
        picture: EvidenceRef | None = None
        analysed = 0
        if verdict is not None and verdict.state is ViewState.SEEN:
            if verdict.preset is not None and verdict.light is not None:
                self._night.see(verdict.preset, verdict.light, frame.monotonic_s)
            out += self._process(frame, verdict)
            analysed = 1 if self._picture_trouble is None else 0  # the model may have failed
        trouble = self._picture_trouble
        if trouble is not None:
            picture = self._picture_of_trouble(frame)
        now_s = time.monotonic()
        lag_ms = (now_s - frame.monotonic_s) * 1000.0
        out.append(self._report(now_s, analysed=analysed, lag_ms=(lag_ms,) * analysed, picture=picture))
        return out

    def _see(self, frame: Frame) -> ViewVerdict | None:
        """Say which view the picture shows; None where it shows nothing new."""
        is_still = self._verdict is not None and self._still.holds(frame.reduced, frame.monotonic_s)
        if self._judge(frame, is_still=is_still) is not None:
            self._verdict = None
            return None
        if is_still:
            return self._verdict
        verdict = self._look_at_view(frame)
        # a head that turns is asked every time where it looks
        turns = len(self.config.views) > 1 or self._head is not None
        is_good = verdict.state is ViewState.SEEN and not self._lost and not turns
        self._verdict = verdict if is_good else None
        self._still.judged(frame.reduced, frame.monotonic_s)
        return verdict

    def _judge(self, frame: Frame, *, is_still: bool) -> tuple[BlindReason, str] | None:
        """Say whether the picture shows something new; what does not is not analysed."""
        reason, detail = (None, "") if is_still else judge_picture(frame.reduced)
        if reason is BlindReason.BLACK and self._night.is_night(frame.monotonic_s):
            reason, detail = None, ""
        self._freeze = advance(self._freeze, sample_luma(frame), FREEZE)
        self._lasting_s = 0.0
        if reason is None and self._freeze.verdict is FreezeVerdict.FROZEN:
            self._lasting_s = self._freeze.still_s
            reason, detail = BlindReason.FROZEN, f"the very same picture for {self._lasting_s:.0f} s"
        if reason is None and self._model_trouble:
            reason, detail = BlindReason.MODEL_FAILED, self._model_trouble
        self._picture_trouble = None if reason is None else (reason, detail)
        if reason is None and not self._lost:
            self._trouble_since_s, self._shown = None, False
        elif self._trouble_since_s is None:
            self._trouble_since_s = frame.monotonic_s
        return self._picture_trouble

    def _look_at_view(self, frame: Frame) -> ViewVerdict:
        """Say which view the picture shows; while the head moves, or in doubt, nothing is analysed.

        A preset that shows something else is trouble until it is seen again, also while others are fine.
        """
        patrol = self.config.patrol
        expected = None if patrol is None else patrol.preset_at(frame.captured_at)
        sight = None if self._head is None else self._head.sight(frame.monotonic_s)
        if sight is not None:  # what the head says of itself is worth more than its timetable
            expected = sight.preset
        if expected is None and (patrol is not None or sight is not None):
            return ViewVerdict(ViewState.MOVING, None)
        verdict = self._views.judge(frame.image, frame.monotonic_s, expected)
        if verdict.state in _NOT_THE_VIEW:
            self._lost[verdict.preset or ""] = (_NOT_THE_VIEW[verdict.state], verdict.detail)
        elif verdict.state is ViewState.SEEN:
            self._lost.pop(verdict.preset or "", None)
            self._lost.pop("", None)
        if self._lost:
            details = [detail for _, detail in self._lost.values()]
            self._picture_trouble = (next(iter(self._lost.values()))[0], "; ".join(details))
            if self._trouble_since_s is None:
                self._trouble_since_s = frame.monotonic_s
        return verdict

    def _picture_of_trouble(self, frame: Frame) -> EvidenceRef | None:
        since_s = self._trouble_since_s
        if self._shown or since_s is None or frame.monotonic_s - since_s < SHOW_TROUBLE_AFTER_S:
            return None
        self._shown = True
        return self._writer.picture(frame.image, EvidenceRole.CONTEXT_NOW, frame.captured_at)

    def _process(self, frame: Frame, view: ViewVerdict) -> list[FromWorker]:
        if self._pipeline is None or view.preset is None:
            return []
        frame = realigned(frame, view.shift)
        try:
            events = self._pipeline.process(frame, view.preset)
        except Exception as error:  # guard of one picture: the next one may pass
            log.exception("picture could not be analysed", camera=self.config.id)
            self._picture_trouble = (BlindReason.MODEL_FAILED, f"analysis failed: {type(error).__name__}")
            return []
        if self._head is not None and self._hold is not None:
            smoke = (one for one in self._pipeline.candidates() if one.kind == "smoke")
            waiting = [one.alert_id for one in smoke if one.preset == view.preset]
            self._head.hold(self._hold.until_s(waiting, frame.monotonic_s))
        changes, kept = self._keeper.attend(frame, events)
        now_s = time.monotonic()
        if not changes and not kept and now_s - self._saved_s < SAVE_EVERY_S:
            return []
        self._saved_s = now_s
        return [CameraRecord(self.config.id, self._state(), changes, kept)]

    def save(self) -> CameraRecord | None:
        """Return the state for a last time; None without models."""
        return None if self._pipeline is None else CameraRecord(self.config.id, self._state())

    def _state(self) -> bytes:
        assert self._pipeline is not None  # noqa: S101 - both callers have looked
        state: dict[str, Any] = {
            "version": STATE_VERSION,
            "pipeline": self._pipeline.dump(),
            "evidence": self._keeper.dump(),
        }
        return json.dumps(state, separators=(",", ":")).encode()

    def _report(
        self, now_s: float, *, analysed: int, lag_ms: tuple[float, ...], picture: EvidenceRef | None = None
    ) -> CameraReport:
        status = self.live.status()
        dropped, self._dropped = status.dropped - self._dropped, status.dropped
        trouble = self._stream_trouble(status) or self._picture_trouble
        if self._model_trouble:  # lasts until somebody acts, whatever else comes and goes
            trouble = (BlindReason.MODEL_FAILED, self._model_trouble)
        self._reported_s = now_s
        looks, spared = self._looks_since()
        unwatched = None if self._analysed_s is None else self._night.unwatched(self._analysed_s)
        notes = ("" if self._head is None else self._head.note(now_s), unwatched[1] if unwatched else "")
        return CameraReport(
            camera=self.config.id,
            at_s=now_s,
            trouble=None if trouble is None else trouble[0],
            detail="" if trouble is None else trouble[1],
            lasting_s=self._lasting_s,
            last_captured_at=self._last_captured_at,
            analysed=analysed,
            dropped=max(dropped, 0),
            lag_ms=lag_ms,
            spacing_s=self._spacing_s,
            looks=looks,
            spared=spared,
            picture=picture,
            note="; ".join(note for note in notes if note),
            night=unwatched[0] if unwatched else None,
        )

    def _looks_since(self) -> tuple[int, int]:
        """Return how often models were shown a picture, and spared one, since the last report."""
        if self._pipeline is None:
            return (0, 0)
        spared = self._pipeline.looks[Why.UNCHANGED]
        looks = self._pipeline.looks.total() - spared
        since = (looks - self._told_looks, spared - self._told_spared)
        self._told_looks, self._told_spared = looks, spared
        return since

    @staticmethod
    def _stream_trouble(status: StreamStatus) -> tuple[BlindReason, str] | None:
        if status.state is StreamState.LIVE or status.reason is None:
            return None
        return _TROUBLE[status.reason], status.detail or status.reason.value

    def take_snapshot(self, request: TakeSnapshot, now_s: float) -> None:
        """Write the next picture for somebody who asked."""
        self._asked.append((request, now_s + SNAPSHOT_WAIT_S))

    def dismissed(self, order: Dismissed) -> list[FromWorker]:
        """Learn what an operator has dismissed, and return the state at once; nothing without models."""
        if self._pipeline is None:
            return []
        self._pipeline.dismissed(order.preset, order.box, order.reason, order.at)
        return [CameraRecord(self.config.id, self._state())]

    def _answer_snapshot(self, frame: Frame) -> list[FromWorker]:
        asked, self._asked = self._asked, []
        return [self._taken(request, frame) for request, _until_s in asked]

    def _taken(self, request: TakeSnapshot, frame: Frame) -> Snapshot:
        if request.live_px is not None:
            return Snapshot(request.request_id, None, picture=small_jpeg(frame.image, request.live_px))
        ref = self._writer.picture(frame.image, EvidenceRole.CONTEXT_NOW, frame.captured_at)
        return Snapshot(request.request_id, ref, "" if ref else "picture could not be written")

    def _snapshot_overdue(self, now_s: float) -> list[FromWorker]:
        late = [request for request, until_s in self._asked if now_s >= until_s]
        if not late:
            return []
        self._asked = [(request, until_s) for request, until_s in self._asked if now_s < until_s]
        trouble = self._stream_trouble(self.live.status())
        why = trouble[1] if trouble else "no picture came"
        return [Snapshot(request.request_id, None, why) for request in late]

    def start(self) -> None:
        """Begin to read; an address that can never work is reported as a camera without picture."""
        if self._head is not None:
            self._head.start()
        try:
            self.live.start()
        except StreamError as error:
            log.warning("camera cannot be started", camera=self.config.id, why=str(error))

    def stop(self, timeout_s: float) -> bool:
        """End reading; tell whether the reader has ended, and what asks the head."""
        end_s = time.monotonic() + timeout_s
        if self._head is not None:
            self._head.stop(0.0)  # told first: it may have to let the head go on
        ended = self.live.stop(timeout_s)
        return (self._head is None or self._head.stop(max(0.1, end_s - time.monotonic()))) and ended


def head_of(config: CameraConfig) -> OnvifHead | None:
    """Build what asks a camera's head where it looks; None for one that is not to be asked."""
    if config.onvif is None:
        return None
    return OnvifHead(config.onvif, [view.preset for view in config.views], config.username, config.password)


def view_watch_of(config: CameraConfig) -> ViewWatch:
    """Build the watch over a camera's views; a reference that is no picture is left out with a log line."""
    references = {}
    for view in config.views:
        if view.reference is not None:
            try:
                references[view.preset] = outline_of(read_picture(view.reference))
            except StreamError as error:
                log.warning("reference cannot be used", camera=config.id, preset=view.preset, why=str(error))
    return ViewWatch(tuple(view.preset for view in config.views), references)


CameraFactory = Callable[[CameraConfig], WatchedCamera]

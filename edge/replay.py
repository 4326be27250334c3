"""The pipeline of ``edge run`` over a file or a folder, faster than real time and repeatable.

Times are the source's own, ids and sequences are counted: two runs over the same source with the
same configuration give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path

from alerts.messages import AlertMessage, ClockState, Evidence, encode
from edge.config import CameraConfig, EdgeConfig, GateConfig, ViewConfig
from edge.detectors import open_detector
from edge.draw import draw_gate, draw_view
from edge.episode import EpisodeEvent
from edge.evidence import EvidenceKeeper, EvidenceWriter
from edge.gate import Why
from edge.lifecycle import OpenEpisode
from edge.pipeline import CameraPipeline, Look, tile_budget
from edge.records import EvidenceRef
from edge.view_watch import ViewState, ViewWatch, realigned
from edge.wire import SENT_PHASES, Sender, to_message
from models.detector import Detector
from streams.frame import Frame
from streams.modes import FULL, DecodeMode
from streams.pictures import encode_jpeg
from streams.sources import open_replay
from towerwatch.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What to replay.

    Attributes:
        camera: id of the camera whose views and rules are used.
        source: a video file or a folder of pictures.
        preset: which view; None takes the camera's only one.
        start_at: when a video starts, where it should not be its own time.
        decode: ``full`` gives a picture every ``interval_s``; key frames only, as a live camera
            would be read by default, where they are dense enough.
        gate: False shows the models every picture, whatever the configuration says.
        evidence_dir, draw_dir: write pictures of alerts, clean, or with zones and boxes drawn.
        gate_dir: write every picture with what the change gate decided on it.

    """

    camera: str
    source: Path
    preset: str | None = None
    start_at: datetime | None = None
    decode: DecodeMode = FULL
    gate: bool = True
    evidence_dir: Path | None = None
    draw_dir: Path | None = None
    gate_dir: Path | None = None


@dataclass(slots=True)
class ReplayResult:
    """What came of a replay; filled while it runs. ``other_views``: pictures that showed another view."""

    frames: int = 0
    other_views: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    phases: Counter[tuple[str, str]] = field(default_factory=Counter)
    looks: Counter[Why] = field(default_factory=Counter)
    still_open: tuple[OpenEpisode, ...] = ()

    @property
    def source_s(self) -> float:
        """Seconds of the source's own time between the first and the last picture."""
        return (self.last_at - self.first_at).total_seconds() if self.first_at and self.last_at else 0.0


def counted_ids(*scope: str) -> Callable[[], str]:
    """Return a maker of alert ids that depend on the scope and their number alone."""
    numbers = count(1)

    def next_id() -> str:
        return _digest(*scope, str(next(numbers)))

    return next_id


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def run_pipeline(
    pipeline: CameraPipeline, frames: Iterable[Frame], preset: str, result: ReplayResult
) -> Iterator[tuple[Look, tuple[EpisodeEvent, ...]]]:
    """Feed frames to a pipeline, and yield each with what happened; fills ``result``."""
    result.looks = pipeline.looks
    for frame in aligned(frames, preset, result):
        look = pipeline.begin(frame, preset)
        events = pipeline.finish(look, pipeline.ask(look))
        result.frames += 1
        result.first_at = result.first_at or frame.captured_at
        result.last_at = frame.captured_at
        result.still_open = pipeline.open_alerts()
        result.phases.update((event.kind, event.phase.value) for event in events)
        yield look, events


def aligned(frames: Iterable[Frame], preset: str, result: ReplayResult) -> Iterator[Frame]:
    """Yield the frames that show the view of the first ones, moved to where those lie; count the others."""
    views = ViewWatch((preset,))
    for frame in frames:
        verdict = views.judge(frame.image, frame.monotonic_s, preset)
        if verdict.state is ViewState.SEEN:
            yield realigned(frame, verdict.shift)
        else:
            result.other_views += 1


def choose_view(config: EdgeConfig, camera_id: str, preset: str | None) -> tuple[CameraConfig, ViewConfig]:
    """Return camera and view by name.

    Raises:
        ConfigError: there is no such camera or preset, or the camera has several and none is named.

    """
    try:
        camera = config.camera(camera_id)
    except KeyError:
        known = ", ".join(one.id for one in config.cameras)
        msg = f"--camera {camera_id}: no such camera; there are: {known}"
        raise ConfigError(msg) from None
    presets = ", ".join(view.preset for view in camera.views)
    if preset is None and len(camera.views) > 1:
        msg = f"--preset: camera {camera_id} has several views; name one of: {presets}"
        raise ConfigError(msg)
    view = camera.views[0] if preset is None else camera.view(preset)
    if view is None:
        msg = f"--preset {preset}: camera {camera_id} has no such view; there are: {presets}"
        raise ConfigError(msg)
    return camera, view


def load_detectors(config: EdgeConfig, camera: CameraConfig) -> dict[str, Detector]:
    """Load the detectors that one camera's rules use."""
    return {name: open_detector(config, name) for name in config.model_names(camera)}


def replay(
    config: EdgeConfig,
    options: ReplayOptions,
    alerts: Path,
    *,
    detectors: Mapping[str, Detector] | None = None,
    on_frame: Callable[[ReplayResult], None] | None = None,
) -> ReplayResult:
    """Replay a source and write one alert message a line: opened, updated and closed.

    Args:
        config: of the box.
        options: what to replay.
        alerts: JSON Lines file to write; replaced when the replay has ended.
        detectors: by model name; None loads those of the configuration.
        on_frame: told after each picture, for progress.

    Raises:
        ConfigError: camera or preset is not in the configuration, ``alerts`` is a folder, no such source.
        StreamError: the source cannot be read.

    """
    camera, view = choose_view(config, options.camera, options.preset)
    if not options.gate:
        camera = camera.model_copy(update={"gate": GateConfig(enabled=False)})
    if alerts.is_dir():
        msg = f"--alerts {alerts}: is a folder; name a file"
        raise ConfigError(msg)
    if not options.source.exists():
        msg = f"--source {options.source}: no such file or folder"
        raise ConfigError(msg)
    result = ReplayResult()
    with ExitStack() as stack:
        if detectors is None:
            detectors = load_detectors(config, camera)
            for detector in detectors.values():
                stack.callback(detector.close)
        scope = (config.site, config.edge, camera.id, view.preset)
        pipeline = CameraPipeline(camera, detectors, counted_ids(*scope), tile_budget(config, [camera]))
        frames = open_replay(
            options.source,
            decode=options.decode,
            interval_s=camera.interval_s,
            start_at=options.start_at,
            zone=camera.tz,
        )
        writer = _Writer(config, view, options)
        alerts.parent.mkdir(parents=True, exist_ok=True)
        partial = alerts.with_name(alerts.name + ".part")
        stack.callback(partial.unlink, missing_ok=True)
        with partial.open("wb") as out:
            for look, events in run_pipeline(pipeline, frames, view.preset, result):
                writer.draw_gate(look)
                for message in writer.messages(look.frame, events):
                    out.write(encode(message) + b"\n")
                if on_frame is not None:
                    on_frame(result)
        partial.replace(alerts)
    return result


class _Writer:
    """Makes messages with counted sequences, and the pictures that were asked for."""

    def __init__(self, config: EdgeConfig, view: ViewConfig, options: ReplayOptions) -> None:
        self._sender = Sender(
            site=config.site,
            edge=config.edge,
            outbox_id=_digest("replay", config.site, config.edge),
            boot_id=_digest("boot", config.site, config.edge),
        )
        self._view = view
        self._draw_dir, self._gate_dir = options.draw_dir, options.gate_dir
        self._keeper: EvidenceKeeper | None = None
        self._sequence = count(1)
        if options.evidence_dir is not None:
            writer = EvidenceWriter(options.evidence_dir, config.evidence.jpeg_quality)
            self._keeper = EvidenceKeeper(writer, config.evidence, None)

    def messages(self, frame: Frame, events: tuple[EpisodeEvent, ...]) -> Iterator[AlertMessage]:
        evidence: dict[str, tuple[Evidence, ...]] = {}
        if self._keeper is not None:
            changes, _ = self._keeper.attend(frame, events)
            for change in changes:
                named = tuple(_evidence(ref) for ref in change.evidence)
                evidence[change.event.alert_id + change.event.phase] = named
        for event in events:
            if event.phase not in SENT_PHASES:
                continue
            self._draw(frame, event)
            yield to_message(
                event,
                self._sender,
                outbox_seq=next(self._sequence),
                clock=ClockState(synchronised=False),
                evidence=evidence.get(event.alert_id + event.phase, ())[:16],
            )

    def draw_gate(self, look: Look) -> None:
        if self._gate_dir is None:
            return
        self._gate_dir.mkdir(parents=True, exist_ok=True)
        name = f"{look.frame.captured_at:%Y%m%dT%H%M%S}_{look.frame.index:06}.jpg"
        (self._gate_dir / name).write_bytes(encode_jpeg(draw_gate(look.frame.image, look.decisions)))

    def _draw(self, frame: Frame, event: EpisodeEvent) -> None:
        if self._draw_dir is None:
            return
        self._draw_dir.mkdir(parents=True, exist_ok=True)
        stamp = frame.captured_at.strftime("%Y%m%dT%H%M%S")
        name = f"{stamp}_{event.kind}_{event.alert_id[:8]}_{event.phase_seq}_{event.phase}.jpg"
        picture = draw_view(frame.image, self._view, event.boxes)
        (self._draw_dir / name).write_bytes(encode_jpeg(picture))


def _evidence(ref: EvidenceRef) -> Evidence:
    return Evidence.model_validate(
        {
            "role": ref.role,
            "sha256": ref.sha256,
            "bytes": ref.bytes,
            "media_type": ref.media_type,
            "captured_at": ref.captured_at,
        }
    )

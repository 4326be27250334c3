"""What an edge box is told: site, cameras, views, zones and rules, parsed once into frozen types.

:func:`load_config` is the only way in. Whatever is wrong comes back as one
:class:`~towerwatch.errors.ConfigError` with file, line, key and what would be right.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    Strict,
    ValidationInfo,
    model_validator,
)

from edge.ids import Id
from edge.mount import MountConfig, PoseConfig, pose_problems
from edge.onvif_client import OnvifConfig
from edge.paths import ExistingFile, ExistingFolder, FolderPath, SecretRef, base_of, in_folder
from edge.patrol import Patrol
from edge.rule_config import AnyRuleConfig, Fraction, RuleConfig, SmokeRuleConfig, Text
from edge.schedule import Schedule
from edge.shapes import Area, Mask, Zone
from models.registry import find_model
from streams.modes import KEYFRAMES, DecodeMode, Hardware
from towerwatch.errors import TowerwatchError
from towerwatch.yamlconfig import Location, StrictModel, load_yaml, nearest, problems_at

URL_SCHEMES = ("rtsp", "rtsps")


class TlsConfig(StrictModel):
    """Certificates towards the broker; certificate and key come together."""

    ca: ExistingFile
    certificate: ExistingFile | None = None
    key: ExistingFile | None = None

    @model_validator(mode="after")
    def _pair(self) -> TlsConfig:
        if (self.certificate is None) != (self.key is None):
            missing = "key" if self.key is None else "certificate"
            raise problems_at(((missing,), "is missing; certificate and key come together"))
        return self


class BrokerConfig(StrictModel):
    """The MQTT 5 broker."""

    host: Text
    port: Annotated[int, Strict(), Field(ge=1, le=65535)] = 1883
    username: Text | None = None
    password: SecretRef | None = None
    tls: TlsConfig | None = None

    @model_validator(mode="after")
    def _password_has_user(self) -> BrokerConfig:
        if self.password is not None and self.username is None:
            raise problems_at((("username",), "is missing; a password needs a user name"))
        return self


def _http_url(value: str) -> str:
    parts = _split(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = f"expected http://host:port or https://host:port, got {_without_secret(value)!r}"
        raise ValueError(msg)
    if parts.password is not None or parts.username is not None:
        msg = "take user and password out of the address; write token: env:NAME or file:/path"
        raise ValueError(msg)
    return value.rstrip("/")


def _split(url: str) -> Any:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that is no number
    except ValueError as error:
        msg = f"is no address: {error}"
        raise ValueError(msg) from None
    return parts


def _without_secret(url: str) -> str:
    head, separator, tail = url.partition("://")
    return f"{head}{separator}{tail.rpartition('@')[2]}"


class CentralConfig(StrictModel):
    """Where evidence goes; ``ca`` where its certificate is no public one."""

    url: Annotated[str, AfterValidator(_http_url)]
    token: SecretRef
    ca: ExistingFile | None = None


class LimitsConfig(StrictModel):
    """Bounds on what the box keeps, in MiB, and on how long a camera may see nothing, in s.

    ``tiles_per_s``: how many tiles a second smoke rules may look at beside whole pictures, all cameras
    together.
    """

    outbox_mib: Annotated[int, Strict(), Field(ge=1, le=65536)] = 64
    evidence_mib: Annotated[int, Strict(), Field(ge=16, le=1048576)] = 2048
    ring_mib: Annotated[int, Strict(), Field(ge=1, le=1024)] = 16
    blind_after_s: Annotated[float, Strict(), Field(ge=5, le=3600)] = 30.0
    tiles_per_s: Annotated[float, Strict(), Field(ge=0, le=1000)] = 8.0


class EvidenceConfig(StrictModel):
    """What is kept of an alert besides its numbers."""

    clip_before_s: Annotated[float, Strict(), Field(ge=1, le=60)] = 10.0
    clip_after_s: Annotated[float, Strict(), Field(ge=0, le=60)] = 5.0
    jpeg_quality: Annotated[int, Strict(), Field(ge=50, le=100)] = 90
    close_up_margin_frac: Annotated[float, Strict(), Field(ge=0, le=2)] = 0.5


class ModelConfig(StrictModel):
    """How to run one detector; ``model`` is a name, ``name@version``, or a path to a model.

    What is not said here is measured at the first start, unless the box says ``tune: false``.
    """

    model: Text | None = None
    runtime: Literal["auto", "onnxruntime", "openvino"] = "auto"
    provider: Literal["auto", "cpu", "cuda", "tensorrt"] = "auto"
    precision: Literal["f32", "bf16", "f16", "int8"] | None = None
    threads: Annotated[int, Strict(), Field(ge=1, le=64)] | None = None
    confidence: Fraction | None = None


class KnownSource(Area):
    """A place that may smoke or steam: a chimney, a cooling tower. While it works its smoke is none.

    Attributes:
        schedule: when it works; None stands for always.

    """

    id: Id
    schedule: Schedule | None = None

    def works(self, at: datetime, tz: tzinfo) -> bool:
        """Whether smoke from here is expected at an aware time."""
        return self.schedule is None or self.schedule.in_force(at, tz)


class ViewConfig(StrictModel):
    """A camera at one PTZ preset: its pose where it is calibrated, its zones, masks and rules.

    Attributes:
        known_sources: places whose smoke is none.
        reference: a picture of the view as its zones were drawn on; the first good one where there is
            none. A head that turns without a timetable is recognised by it.

    """

    preset: Id = "fixed"
    pose: PoseConfig | None = None
    zones: tuple[Zone, ...] = ()
    masks: tuple[Mask, ...] = ()
    known_sources: tuple[KnownSource, ...] = ()
    reference: ExistingFile | None = None
    rules: tuple[AnyRuleConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> ViewConfig:
        known = [zone.id for zone in self.zones]
        if problems := _repeated("zones", known):
            raise problems_at(*problems)
        seen: set[tuple[str, str | None]] = set()
        for index, rule in enumerate(self.rules):
            if rule.zone is not None and rule.zone not in known:
                at: Location = ("rules", index, "zone")
                problems.append((at, f"no zone {rule.zone!r} in this view{nearest(rule.zone, known)}"))
            if (rule.kind, rule.zone) in seen:
                where = f"zone {rule.zone!r}" if rule.zone else "the whole view"
                problems.append((("rules", index), f"a second {rule.kind} rule for {where}; keep one"))
            seen.add((rule.kind, rule.zone))
        if problems:
            raise problems_at(*problems)
        return self

    def zone(self, zone_id: str) -> Zone:
        """Return the zone of this id; KeyError if the view has none."""
        for zone in self.zones:
            if zone.id == zone_id:
                return zone
        raise KeyError(zone_id)


def _decode(value: Any) -> DecodeMode:
    return DecodeMode.parse(value)


def _camera_url(value: str, info: ValidationInfo) -> str:
    if "://" in value:
        parts = _split(value)
        if parts.scheme not in URL_SCHEMES:
            msg = f"scheme {parts.scheme!r} is no camera; write rtsp://, rtsps:// or the path of a file"
            raise ValueError(msg)
        if not parts.hostname:
            msg = f"names no host; write {parts.scheme}://host:port/path"
            raise ValueError(msg)
        if parts.password is not None:
            msg = "holds a password; write username: NAME and password: env:NAME or file:/path beside it"
            raise ValueError(msg)
        if parts.username is not None:
            msg = "holds a user name; write username: NAME beside it"
            raise ValueError(msg)
        return value
    path: Path = in_folder(value, info)
    if not path.exists():
        msg = f"no file or folder {path}; write rtsp://host/path, or a path relative to this file"
        raise ValueError(msg)
    return str(path)


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = f"no time zone {name!r}; write an IANA name such as Asia/Shanghai"
        raise ValueError(msg) from None
    return name


class GateConfig(StrictModel):
    """Whether a model is spared pictures in which nothing has changed that matters.

    Attributes:
        enabled: false shows the model every picture.
        forced_look_s: and at least one in so many seconds, changed or not.

    """

    enabled: Annotated[bool, Strict()] = True
    forced_look_s: Annotated[float, Strict(), Field(ge=1, le=300)] = 30.0


class CameraConfig(StrictModel):
    """One camera.

    Attributes:
        url: ``rtsp://`` or ``rtsps://`` without credentials, or the absolute path of a file or folder.
        tls_ca: PEM file that vouches for the certificate of an ``rtsps://`` camera; without it the stream is
            encrypted, and nobody asks who answers.
        substream: address of the camera's small stream, with the same field of view: it is analysed in
            place of ``url``, whose pictures and clips are the evidence.
        interval_s: seconds between two analysed pictures.
        timezone: IANA name for schedules; the box's where the file names none.
        gate: whether the model sees every picture, or only what has changed.
        mount: where it stands; with it, and a pose in a view, alerts of that view have a place.
        patrol: timetable of a head that turns by itself.
        onvif: where the head is asked which preset it looks at; each view bears a preset's name there.

    """

    id: Id
    url: Annotated[str, AfterValidator(_camera_url)]
    substream: Annotated[str, AfterValidator(_camera_url)] | None = None
    username: Text | None = None
    password: SecretRef | None = None
    tls_ca: ExistingFile | None = None
    decode: Annotated[DecodeMode, PlainValidator(_decode), PlainSerializer(str)] = KEYFRAMES
    interval_s: Annotated[float, Strict(), Field(ge=0.05, le=3600)] = 2.0
    open_timeout_s: Annotated[float, Strict(), Field(ge=0.5, le=120)] = 10.0
    read_timeout_s: Annotated[float, Strict(), Field(ge=0.5, le=120)] = 10.0
    timezone: Annotated[str, AfterValidator(_timezone)] | None = None
    mount: MountConfig | None = None
    patrol: Patrol | None = None
    onvif: OnvifConfig | None = None
    gate: GateConfig = GateConfig()
    views: tuple[ViewConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> CameraConfig:
        problems = _repeated("views", [view.preset for view in self.views], key="preset")
        problems += pose_problems(self.mount, [view.pose for view in self.views])
        known = [view.preset for view in self.views]
        for index, stop in enumerate(self.patrol.stops if self.patrol else ()):
            if stop.preset not in known:
                at: Location = ("patrol", "stops", index, "preset")
                problems.append((at, f"no view {stop.preset!r}{nearest(stop.preset, known)}"))
        if self.patrol is not None and self.onvif is not None and self.onvif.steer:
            problems.append(
                (("patrol",), "a head that is steered keeps no timetable; leave one of the two out")
            )
        if self.password is not None and self.username is None:
            problems.append((("username",), "is missing; a password needs a user name"))
        if self.tls_ca is not None and not self.url.startswith("rtsps://"):
            problems.append((("tls_ca",), "is for rtsps:// addresses; write one, or leave it out"))
        if problems:
            raise problems_at(*problems)
        return self

    @property
    def is_live(self) -> bool:
        """Whether the source is a camera on the network, not a file or folder."""
        return self.url.startswith(tuple(f"{scheme}://" for scheme in URL_SCHEMES))

    @property
    def tz(self) -> ZoneInfo:
        """The time zone in which schedules are read."""
        return ZoneInfo(self.timezone or "UTC")

    def view(self, preset: str) -> ViewConfig | None:
        """Return the view of this preset, None if the camera has none."""
        return next((view for view in self.views if view.preset == preset), None)


def _repeated(field: str, ids: list[str], key: str = "id") -> list[tuple[Location, str]]:
    problems: list[tuple[Location, str]] = []
    for index, value in enumerate(ids):
        if value in ids[:index]:
            at: Location = (field, index, key)
            problems.append((at, f"{value!r} is taken by {field}[{ids.index(value)}]; make it unique"))
    return problems


class EdgeConfig(StrictModel):
    """All that one box is told.

    ``broker`` and ``central`` may be absent for ``edge check`` and ``edge replay``; ``edge run``
    needs both, or ``enrolment``, the file of ``central enrol``, in their place. ``models`` maps the
    names that rules use to what is loaded; a name that is not in it is loaded under that name with
    the defaults. ``workers``: processes that share the cameras; None takes as many as there are cores
    and work for. ``tune``: whether the box measures once how each model runs best on it.
    ``hardware_decode``: ``auto`` decodes on VAAPI or CUDA where it is there.
    """

    site: Id
    edge: Id
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    data_dir: FolderPath = Path("data")
    models_dir: ExistingFolder | None = None
    broker: BrokerConfig | None = None
    central: CentralConfig | None = None
    enrolment: ExistingFile | None = None
    limits: LimitsConfig = LimitsConfig()
    evidence: EvidenceConfig = EvidenceConfig()
    workers: Annotated[int, Strict(), Field(ge=1, le=64)] | None = None
    models: dict[Text, ModelConfig] = Field(default_factory=dict)
    tune: Annotated[bool, Strict()] = True
    hardware_decode: Hardware = "auto"
    cameras: tuple[CameraConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> EdgeConfig:
        problems = _repeated("cameras", [camera.id for camera in self.cameras])
        given = [name for name in ("broker", "central") if getattr(self, name) is not None]
        if self.enrolment is not None and given:
            problems.append(((given[0],), "stands in the enrolment file; keep one of the two"))
        if self.data_dir.exists() and not self.data_dir.is_dir():
            problems.append((("data_dir",), f"{self.data_dir} is a file; name a folder"))
        problems += _missing_models(self, base_of(info))
        if problems:
            raise problems_at(*problems)
        return self

    def camera(self, camera_id: str) -> CameraConfig:
        """Return the camera of this id; KeyError if there is none."""
        for camera in self.cameras:
            if camera.id == camera_id:
                return camera
        raise KeyError(camera_id)

    def model_config_of(self, name: str) -> ModelConfig:
        """Return how to run the detector that rules call ``name``, with ``model`` filled in."""
        found = self.models.get(name, ModelConfig())
        return found if found.model is not None else found.model_copy(update={"model": name})

    def confidence_of(self, name: str) -> float | None:
        """Return the lowest confidence that boxes of the detector called ``name`` must have.

        The smoke rule also weighs what its detector hardly believes; so where that rule alone uses a
        model, boxes are let through from its ``weak_confidence`` on. None is the manifest's threshold.
        """
        given = self.model_config_of(name).confidence
        rules = [
            rule for cam in self.cameras for view in cam.views for rule in view.rules if rule.model == name
        ]
        weak = [rule.weak_confidence for rule in rules if isinstance(rule, SmokeRuleConfig)]
        if given is not None or len(weak) < len(rules):
            return given
        return min(weak, default=None)

    def model_names(self, camera: CameraConfig | None = None) -> tuple[str, ...]:
        """Return the names of the detectors that rules of one camera, or of all, use; sorted."""
        cameras = self.cameras if camera is None else (camera,)
        return tuple(sorted({rule.model for cam in cameras for view in cam.views for rule in view.rules}))


def _missing_models(config: EdgeConfig, base: Path) -> list[tuple[Location, str]]:
    problems: list[tuple[Location, str]] = []
    labels: dict[str, tuple[str, ...]] = {}
    for name, entry in config.models.items():
        labels[name], text = _labels_of(entry.model or name, config.models_dir, base)
        if text:
            at: Location = ("models", name, "model") if entry.model is not None else ("models", name)
            problems.append((at, text))
    for c, camera in enumerate(config.cameras):
        for v, view in enumerate(camera.views):
            for r, rule in enumerate(view.rules):
                rule_at: Location = ("cameras", c, "views", v, "rules", r)
                if rule.model not in labels:
                    labels[rule.model], text = _labels_of(rule.model, config.models_dir, base)
                    if text:
                        problems.append(((*rule_at, "model"), text))
                known = labels[rule.model]
                if known and not set(known) & set(rule.labels):
                    problems.append(((*rule_at, "labels"), _no_label(rule, known)))
    return problems


def _no_label(rule: RuleConfig, known: tuple[str, ...]) -> str:
    shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return f"model {rule.model!r} knows none of {', '.join(rule.labels)}; it knows {shown}"


def _labels_of(name: str, models_dir: Path | None, base: Path) -> tuple[tuple[str, ...], str]:
    """Return the class names of a model, or () and why it cannot be found."""
    try:
        return find_model(_resolved(name, base), models_dir).manifest.labels, ""
    except TowerwatchError as error:
        return (), " ".join(str(error).split())


def _resolved(name: str, base: Path) -> str:
    is_path = "/" in name or name.endswith((".onnx", ".json"))
    return str((base / name).resolve()) if is_path else name


def load_config(path: Path) -> EdgeConfig:
    """Read and validate an edge configuration.

    Cameras without a time zone get the box's; paths become absolute.

    Raises:
        ConfigError: one problem, with file, line and key, for each thing that is wrong.

    """
    config = load_yaml(path, EdgeConfig)
    cameras = tuple(
        camera if camera.timezone else camera.model_copy(update={"timezone": config.timezone})
        for camera in config.cameras
    )
    data_dir = (path.resolve().parent / config.data_dir).resolve()
    models = {
        name: entry.model_copy(update={"model": _resolved(entry.model or name, path.parent)})
        for name, entry in config.models.items()
    }
    return config.model_copy(update={"cameras": cameras, "data_dir": data_dir, "models": models})

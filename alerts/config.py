"""Configuration of the central side, parsed once. Every value has a default but the secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from alerts.catalogue.model import DepartmentId
from alerts.messages import Kind
from alerts.outbox import Event, Target
from towerwatch.errors import ConfigError, Problem
from towerwatch.secrets import Secret
from towerwatch.yamlconfig import StrictModel, load_yaml

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
_LOCAL = {"127.0.0.1", "::1", "localhost"}


def _in_base(value: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base_dir")
    return Path(base) / value.expanduser() if base else value.expanduser()


def _calendar(value: str, info: ValidationInfo) -> str:
    return str(_in_base(Path(value), info)) if value.endswith(".yaml") else value


def _http(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = f"{value!r} is no web address; write http://HOST… or https://HOST…"
        raise ValueError(msg)
    if parts.password is not None:
        msg = "has a password in it; leave it out, calls are signed with the secret"
        raise ValueError(msg)
    return value.rstrip("/")


File = Annotated[Path, AfterValidator(_in_base)]
HttpUrl = Annotated[str, AfterValidator(_http)]


class DatabaseSettings(StrictModel):
    """Where the database is; the default is a SQLite file in ``data_dir``."""

    url: str | None = None
    password: Secret | None = None

    @field_validator("url")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            url = make_url(value)
            backend = url.get_backend_name()
        except ArgumentError:
            msg = f"{value!r} is no database address; write postgresql://USER@HOST/NAME"
            raise ValueError(msg) from None
        if url.password is not None:
            msg = "has a password in it; write it as password: env:NAME"
            raise ValueError(msg)
        if backend not in {"sqlite", "postgresql"}:
            msg = f"{backend} is not supported; write sqlite:///FILE or postgresql://USER@HOST/NAME"
            raise ValueError(msg)
        return value


class TlsFiles(StrictModel):
    """PEM files for a connection to the broker."""

    ca: File
    certificate: File | None = None
    key: File | None = None

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            msg = "certificate and key belong together"
            raise ValueError(msg)
        return self


class BrokerSettings(StrictModel):
    """How central reaches the MQTT broker."""

    host: str = "127.0.0.1"
    port: Port = 1883
    username: str | None = None
    password: Secret | None = None
    tls: TlsFiles | None = None
    client_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "towerwatch-central"
    keepalive_s: Annotated[int, Field(ge=5, le=600)] = 30


class ConsumeSettings(StrictModel):
    """How messages come in.

    What comes within ``batch_wait_s`` is one transaction, of ``batch`` messages at most: a longer wait costs
    an alert that much and saves the processor a transaction for every message.
    """

    receive_maximum: Annotated[int, Field(ge=10, le=65535)] = 2000
    batch: Annotated[int, Field(ge=1, le=10_000)] = 500
    batch_wait_s: Annotated[float, Field(ge=0, le=1)] = 0.25
    session_expiry_s: Annotated[int, Field(ge=60)] = 7 * 24 * 3600


class WorkSettings(StrictModel):
    """How messages become incidents. SQLite always has one worker."""

    workers: Annotated[int, Field(ge=1, le=32)] = 1
    batch: Annotated[int, Field(ge=1, le=1000)] = 200
    max_tries: Count = 5
    keep_inbox_days: Count = 7


class WatchSettings(StrictModel):
    """When a box counts as silent, and an alert as lost."""

    health_missing_s: Seconds = 120.0
    offline_grace_s: Seconds = 20.0
    lost_after_rounds: Count = 3


class ConsoleSettings(StrictModel):
    """What the console shows first."""

    enabled: bool = True
    language: Annotated[str, Field(pattern="^(zh|en)$")] = "zh"
    title: Annotated[str, Field(min_length=1, max_length=64)] = "Towerwatch"
    tile_url: str | None = None
    timezone: str | None = None  # IANA name of the city's local time; None is this machine's
    centre: tuple[Annotated[float, Field(ge=-90, le=90)], Annotated[float, Field(ge=-180, le=180)]] | None = (
        None
    )
    zoom: Annotated[int, Field(ge=1, le=20)] = 12

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError):
                msg = f"{value!r} is no time zone; write Asia/Shanghai or the like"
                raise ValueError(msg) from None
        return value


class ServeSettings(StrictModel):
    """Where HTTP is served. Plain HTTP only on loopback, unless a proxy in front does TLS."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    certificate: File | None = None
    key: File | None = None
    behind_tls_proxy: bool = False

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            msg = "certificate and key belong together"
            raise ValueError(msg)
        if self.host not in _LOCAL and self.certificate is None and not self.behind_tls_proxy:
            msg = (
                f"{self.host} is reachable from outside: give certificate and key, or behind_tls_proxy: true"
            )
            raise ValueError(msg)
        return self

    @property
    def secure(self) -> bool:
        """Whether browsers come by HTTPS, so that cookies may be marked so."""
        return self.certificate is not None or self.behind_tls_proxy


KeepDays = Annotated[int, Field(ge=1, le=36_500)]


class EvidenceSettings(StrictModel):
    """What the evidence store takes and keeps.

    The pictures and clips of an incident that is over go ``keep_days`` after it was closed or dismissed, or
    the days that ``keep_days_by_kind`` gives its kind; if all of them take more than ``quota_gib``, the
    oldest of these go earlier. Those of open incidents stay; what several incidents hold stays for the last.
    """

    max_mib: Annotated[int, Field(ge=1, le=4096)] = 64
    keep_days: KeepDays = 180
    keep_days_by_kind: dict[Kind, KeepDays] = Field(default_factory=dict)
    quota_gib: Annotated[float, Field(gt=0)] = 500.0


class EnrolSettings(StrictModel):
    """What a box is told about central; the defaults are those of ``broker`` and ``serve``.

    Where ``tls`` is not said, a box that is sent to the very listener that central uses without TLS uses
    it without TLS too; every other box gets a certificate.
    """

    broker_host: str | None = None
    broker_port: Port | None = None
    tls: bool | None = None
    central_url: HttpUrl | None = None


class ReceiverSettings(StrictModel):
    """Somebody who is told; empty ``events``, ``departments`` and ``levels`` mean all of them.

    One with ``departments`` hears of their tasks alone. Level 0 is the department itself, 1 and higher
    hear of a limit that has passed. Beside these a receiver hears what flows of the catalogue name it for
    (``notify: ["department:NAME"]``); with ``flows_only`` that alone.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
    events: tuple[Event, ...] = ()
    departments: tuple[DepartmentId, ...] = ()
    levels: tuple[Annotated[int, Field(ge=0, le=9)], ...] = ()
    flows_only: bool = False
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    give_up_after_h: Annotated[float, Field(gt=0, le=8760)] = 72.0

    def target(self) -> Target:
        """Return it as the outbox takes it."""
        return Target(
            self.name,
            frozenset(self.events),
            frozenset(self.departments),
            frozenset(self.levels),
            self.flows_only,
        )


class WebhookSettings(ReceiverSettings):
    """A program that is told by a signed call."""

    url: HttpUrl
    secret: Secret


class NotifySettings(ReceiverSettings):
    """People who are told in their own channel.

    ``url`` is an Apprise address (wecombot://…, dingtalk://…, feishu://…, mailtos://…), a secret because it
    carries the key to the channel.
    """

    url: Secret
    events: tuple[Event, ...] = ("task.assigned", "task.reminder", "task.overdue")
    language: Annotated[str, Field(pattern="^(zh|en)$")] = "zh"


class HandlingSettings(StrictModel):
    """Deadlines of departments: whose calendar, and how a limit that passes is escalated.

    ``calendar`` is one that we ship, or the path of a YAML file. The levels are told when the limit passes,
    and one after the other each ``escalate_every_min`` after that.
    """

    calendar: Annotated[str, AfterValidator(_calendar)] = "china"
    remind_frac: Annotated[float, Field(gt=0, lt=1)] = 0.75
    escalate_every_min: Annotated[float, Field(gt=0, le=14_400)] = 30.0
    levels: Annotated[int, Field(ge=0, le=9)] = 3


class OidcSettings(StrictModel):
    """The city's identity provider (OpenID Connect); people who come by it have an account here too.

    ``name_claim`` is what the account is called: the provider must not let people choose it themselves.
    The provider sends browsers back to ``enrol.central_url`` + ``/login/oidc/callback``.
    """

    issuer: HttpUrl
    client_id: Annotated[str, Field(min_length=1, max_length=256)]
    client_secret: Secret
    scopes: tuple[str, ...] = ("openid", "profile")
    name_claim: Annotated[str, Field(min_length=1, max_length=64)] = "preferred_username"
    label: Annotated[str, Field(min_length=1, max_length=64)] = "SSO"

    @field_validator("issuer")
    @classmethod
    def _trusted(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme != "https" and parts.hostname not in _LOCAL:
            msg = f"{value} is not https; who sits between could log in as anybody"
            raise ValueError(msg)
        return value


class CentralConfig(StrictModel):
    """All of it; ``CentralConfig()`` is a small town on one machine."""

    data_dir: File = Path("central-data")
    database: DatabaseSettings = DatabaseSettings()
    broker: BrokerSettings = BrokerSettings()
    consume: ConsumeSettings = ConsumeSettings()
    work: WorkSettings = WorkSettings()
    watch: WatchSettings = WatchSettings()
    serve: ServeSettings = ServeSettings()
    console: ConsoleSettings = ConsoleSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    enrol: EnrolSettings = EnrolSettings()
    handling: HandlingSettings = HandlingSettings()
    webhooks: tuple[WebhookSettings, ...] = ()
    notify: tuple[NotifySettings, ...] = ()
    oidc: OidcSettings | None = None

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [item.name for item in (*self.webhooks, *self.notify)]
        for name in names:
            if names.count(name) > 1:
                msg = f"two receivers of webhooks and notify are named {name!r}"
                raise ValueError(msg)
        return self

    def database_url(self) -> str:
        """Return the address with its password; never log it."""
        if self.database.url is None:
            return f"sqlite:///{(self.data_dir / 'central.db').absolute()}"
        if self.database.password is None:
            return self.database.url
        url = make_url(self.database.url).set(password=self.database.password.reveal())
        return url.render_as_string(hide_password=False)

    def boxes_use_tls(self) -> bool:
        """Say whether boxes reach the broker with TLS, and so need a certificate."""
        if self.enrol.tls is not None:
            return self.enrol.tls
        elsewhere = self.enrol.broker_host is not None or self.enrol.broker_port is not None
        return elsewhere or self.broker.tls is not None

    def public_url(self) -> str:
        """Return the address under which boxes and people reach central."""
        scheme = "https" if self.serve.certificate else "http"
        return self.enrol.central_url or f"{scheme}://{quote(self.serve.host)}:{self.serve.port}"


def load_config(path: Path | None, data_dir: Path | None = None) -> CentralConfig:
    """Read the file, or take all defaults without one; ``data_dir`` overrides the file's.

    Raises:
        ConfigError: with file, line, key and what would be right.

    """
    config = load_yaml(path, CentralConfig) if path is not None else CentralConfig()
    if data_dir is not None:
        config = config.model_copy(update={"data_dir": data_dir})
    if config.data_dir.exists() and not config.data_dir.is_dir():
        raise ConfigError([Problem(str(path or config.data_dir), None, "data_dir", "is not a folder")])
    return config

"""Where the box sends: broker and central side, from the configuration or from an enrolment file."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from edge.config import EdgeConfig
from edge.enrolment import Enrolment, load_enrolment, materialise
from towerwatch.errors import ConfigError
from towerwatch.secrets import Secret


@dataclass(frozen=True, slots=True)
class BrokerLink:
    """How to reach the broker; with ``ca`` the connection is TLS."""

    host: str
    port: int
    username: str | None = None
    password: Secret | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def tls(self) -> ssl.SSLContext | None:
        """Build the TLS context, None for a plain connection.

        Raises:
            ConfigError: a certificate or key cannot be used.

        """
        if self.ca is None:
            return None
        try:
            context = ssl.create_default_context(cafile=str(self.ca))
            if self.certificate is not None:
                context.load_cert_chain(str(self.certificate), str(self.key) if self.key else None)
        except (ssl.SSLError, OSError) as error:
            msg = f"broker certificates ({self.ca}, {self.certificate}) cannot be used: {error}"
            raise ConfigError(msg) from None
        return context


@dataclass(frozen=True, slots=True)
class CentralLink:
    """How to reach the central side; ``ca`` where its certificate is no public one."""

    url: str
    token: Secret
    ca: Path | None = None

    def tls(self) -> ssl.SSLContext | bool:
        """Build what httpx takes as ``verify``; raise ConfigError for an unusable file."""
        if self.ca is None:
            return True
        try:
            return ssl.create_default_context(cafile=str(self.ca))
        except (ssl.SSLError, OSError) as error:
            msg = f"certificate of the central side ({self.ca}) cannot be used: {error}"
            raise ConfigError(msg) from None


@dataclass(frozen=True, slots=True)
class Links:
    """Both ways out of the box."""

    broker: BrokerLink
    central: CentralLink


def resolve_links(config: EdgeConfig) -> Links:
    """Return where this box sends; keys of an enrolment are written below ``data_dir``.

    Raises:
        ConfigError: neither an enrolment nor broker and central are given, or the enrolment is for
            another box.

    """
    if config.enrolment is not None:
        return _enrolled(config, load_enrolment(config.enrolment))
    if config.broker is None or config.central is None:
        missing = "broker" if config.broker is None else "central"
        msg = f"{missing}: is missing; edge run needs broker and central, or enrolment: FILE of central enrol"
        raise ConfigError(msg)
    broker, tls = config.broker, config.broker.tls
    return Links(
        BrokerLink(
            host=broker.host,
            port=broker.port,
            username=broker.username,
            password=broker.password,
            ca=tls.ca if tls else None,
            certificate=tls.certificate if tls else None,
            key=tls.key if tls else None,
        ),
        CentralLink(url=config.central.url, token=config.central.token, ca=config.central.ca),
    )


def _enrolled(config: EdgeConfig, enrolment: Enrolment) -> Links:
    if (enrolment.site, enrolment.edge) != (config.site, config.edge):
        msg = (
            f"enrolment {config.enrolment} is for {enrolment.site}/{enrolment.edge}, "
            f"the configuration is for {config.site}/{config.edge}"
        )
        raise ConfigError(msg)
    try:
        files = materialise(enrolment, config.data_dir)
    except OSError as error:
        msg = f"keys of the enrolment cannot be written below {config.data_dir}: {error.strerror}"
        raise ConfigError(msg) from None
    broker, central = enrolment.broker, enrolment.central
    return Links(
        BrokerLink(
            host=broker.host,
            port=broker.port,
            username=broker.username,
            password=broker.password,
            ca=files.broker_ca,
            certificate=files.broker_certificate,
            key=files.broker_key,
        ),
        CentralLink(url=central.url.rstrip("/"), token=central.token, ca=files.central_ca),
    )

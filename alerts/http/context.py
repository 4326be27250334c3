"""What every route needs, kept on the application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from starlette.requests import HTTPConnection

from alerts.config import CentralConfig
from alerts.evidence import BlobStore
from alerts.handling import handling_of
from alerts.oidc import Provider
from alerts.playable import Player
from alerts.services.bundle import Services, open_services
from alerts.services.looks import LookService
from alerts.store.database import Database


@dataclass(frozen=True, slots=True)
class Context:
    """The central side, as HTTP serves it."""

    config: CentralConfig
    database: Database
    services: Services
    evidence: BlobStore
    artifacts: BlobStore
    player: Player
    looks: LookService
    oidc: Provider | None


def make_context(config: CentralConfig, database: Database) -> Context:
    """Open the stores under ``data_dir``, and the services."""
    evidence = BlobStore(config.data_dir / "evidence")
    artifacts = BlobStore(config.data_dir / "artifacts")
    evidence.open()
    artifacts.open()
    player = Player(evidence, config.data_dir / "playable")
    services = open_services(database, handling_of(config))
    looks = LookService(database, config.data_dir / "live")
    oidc = Provider(config.oidc, f"{config.public_url()}/login/oidc/callback") if config.oidc else None
    return Context(config, database, services, evidence, artifacts, player, looks, oidc)


def context_of(connection: HTTPConnection) -> Context:
    """Return the context of the application that serves this request."""
    return cast("Context", connection.app.state.central)

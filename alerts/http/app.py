"""The application: routes, errors, security headers, and the console on top."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import Depends, FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alerts.enrol import revoke
from alerts.evidence import keep_picture
from alerts.http import (
    accounts,
    audit,
    city,
    errors,
    feed,
    files,
    fleet,
    incidents,
    live,
    looks,
    oidc,
    people,
    reports,
    statistics,
    tasks,
    zones,
)
from alerts.http.access import guard
from alerts.http.auth import SomeUser
from alerts.http.context import Context
from alerts.http.etags import Etags
from alerts.http.uploads import SmallBodies
from towerwatch import __version__

ROUTES = (
    people,
    accounts,
    incidents,
    tasks,
    reports,
    city,
    feed,
    fleet,
    files,
    live,
    looks,
    oidc,
    audit,
    statistics,
    zones,
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class SecurityHeaders:
    """Adds the headers that every answer carries, unless the route has set its own."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, adding headers to the start of an answer."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def create_app(context: Context, *, console: bool | None = None) -> FastAPI:
    """Make the application; ``console`` overrides the configuration (tests serve the API alone)."""
    app = make_api(context)
    if context.config.console.enabled if console is None else console:
        from alerts.console.mount import mount_console  # noqa: PLC0415 - the API needs no console stack

        mount_console(
            app,
            context.services,
            context.config.console,
            secure=context.config.serve.secure,
            timezone=context.config.console.timezone,
            keep_picture=partial(keep_picture, context.evidence, context.database),
            zones=zones.zones_of(context),
            sso=context.config.oidc.label if context.config.oidc else None,
            revoke_box=lambda edge, by: revoke(context.database, context.config, edge, by=by),
        )
    return app


def make_api(context: Context | None) -> FastAPI:
    """Make the API alone; without a context it can only describe itself."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        served: Context = app.state.central
        served.services.live.start()
        try:
            yield
        finally:
            served.services.live.stop()

    app = FastAPI(
        title="Towerwatch",
        version=__version__,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(guard)],
    )
    app.state.central = context
    app.add_middleware(SmallBodies)
    app.add_middleware(Etags)
    app.add_middleware(SecurityHeaders)
    errors.install(app)
    for module in ROUTES:
        app.include_router(module.router)

    @app.get("/api/v1/openapi.json", include_in_schema=False)
    def openapi(_user: SomeUser) -> dict[str, Any]:
        return app.openapi()

    return app


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI description without running anything."""
    return make_api(None).openapi()

"""Security headers of the pages, and no foreign page at our socket."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def content_policy(tile_url: str | None = None) -> str:
    """Return the Content-Security-Policy of the pages.

    Everything comes from this server. NiceGUI compiles its templates in the browser and starts by an
    inline script, so ``unsafe-inline`` and ``unsafe-eval`` stay; texts are escaped by Vue.
    """
    parts = urlsplit(tile_url or "")
    # Leaflet's {s} stands for any of the tile server's names
    host = f" {parts.scheme}://{parts.netloc.replace('{s}', '*')}" if parts.netloc else ""
    return (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; font-src 'self' data:; connect-src 'self'; "
        f"img-src 'self' data: blob:{host}; media-src 'self' blob:; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    )


class Guard:
    """ASGI middleware: adds the headers where they are not set yet, refuses foreign origins.

    A browser names the page that opens a socket or posts a form in ``Origin``; scripts send none.
    ``Server-Timing`` says how many ms passed until an answer began, for whoever looks into a slow page.
    """

    def __init__(self, app: ASGIApp, *, policy: str) -> None:
        """Wrap ``app``."""
        self._app = app
        self._headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "same-origin",
            "Permissions-Policy": "camera=(), microphone=(), geolocation=(self)",
            "Cross-Origin-Opener-Policy": "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if self._foreign(scope):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": "foreign origin"})
            else:
                await PlainTextResponse("foreign origin", status_code=403)(scope, receive, send)
            return

        begun = time.perf_counter()

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers["Server-Timing"] = f"total;dur={1e3 * (time.perf_counter() - begun):.1f}"
            await send(message)

        await self._app(scope, receive, with_headers)

    @staticmethod
    def _foreign(scope: Scope) -> bool:
        socket = "/_nicegui_ws" in scope["path"]
        if not socket and (scope["type"] == "websocket" or scope["method"] in _SAFE):
            return False
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None:
            return False
        hosts = {headers.get("host"), headers.get("x-forwarded-host")}
        return urlsplit(origin).netloc not in hosts

"""ETags for JSON that is read again and again: the same answer is not sent twice (RFC 9110, 8.8.3)."""

from __future__ import annotations

import hashlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TYPES = ("application/json", "application/geo+json")
# kept by who asked, and asked about before each use
CACHE_CONTROL = "private, no-cache"


class Etags:
    """Hashes each JSON answer to a GET of the API, and answers 304 to who has it already."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold a JSON answer back until it is whole; pass on everything else as it comes."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        known = Headers(scope=scope).get("if-none-match", "")
        start: Message | None = None
        body: list[bytes] = []

        async def hold(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                kind = Headers(scope=message).get("content-type", "").partition(";")[0]
                if message["status"] == 200 and kind in TYPES:
                    start = message
                    return
            if start is None:
                await send(message)
                return
            body.append(message.get("body", b""))
            if not message.get("more_body", False):
                await _answer(start, b"".join(body), known, send)

        await self._app(scope, receive, hold)


async def _answer(start: Message, body: bytes, known: str, send: Send) -> None:
    etag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    headers = MutableHeaders(scope=start)
    headers["ETag"] = etag
    headers["Cache-Control"] = CACHE_CONTROL
    if known.strip() == "*" or etag in {item.strip().removeprefix("W/") for item in known.split(",")}:
        start["status"], body = 304, b""
        del headers["content-length"]
        del headers["content-type"]
    await send(start)
    await send({"type": "http.response.body", "body": body})

"""What may be sent, and how much: bodies in general, and files that are read and not kept."""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import HTTPException, Query, Request
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from towerwatch.errors import ConfigError

MAX_BODY_BYTES = 1 << 20
# these ask who sends before they read, and read piece by piece to a limit of their own
_READ_BY_PIECES = re.compile(
    r"/(evidence|live)/[^/]+$|/api/v1/(pictures|reports|catalogue|areas|roster|edges/[^/]+/config)$|/_nicegui/"
)

FileName = Annotated[
    str, Query(pattern=r"^[^/\\\x00-\x1f]{1,80}\.[A-Za-z]{2,8}$", description="Its ending says what it is.")
]


class SmallBodies:
    """Refuses bodies beyond :data:`MAX_BODY_BYTES`, which lie in memory before anybody is asked who sends."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; 413 where its length says too much, or as soon as too much has come."""
        if scope["type"] != "http" or _READ_BY_PIECES.search(scope["path"]):
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "")
        refusal = HTTPException(413, f"more than {MAX_BODY_BYTES} bytes")
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            await JSONResponse({"detail": refusal.detail}, 413)(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BODY_BYTES:
                raise refusal
            return message

        await self._app(scope, counted, send)


@asynccontextmanager
async def received(request: Request, name: str, *, max_bytes: int) -> AsyncIterator[Path]:
    """Write a request's body to a file of that name; raise 413 for more than ``max_bytes``."""
    with tempfile.TemporaryDirectory(prefix="towerwatch-") as folder:
        path = Path(folder) / f"upload{Path(name).suffix.lower()}"
        size = 0
        with path.open("wb") as stream:
            async for chunk in request.stream():
                size += len(chunk)
                if size > max_bytes:
                    raise HTTPException(413, f"more than {max_bytes} bytes")
                stream.write(chunk)
        yield path


def refusal(error: ConfigError) -> HTTPException:
    """Return 422 with each problem's line or row, key or column, and message."""
    problems: list[dict[str, Any]] = [
        {"line": problem.line, "key": problem.key, "message": problem.message} for problem in error.problems
    ]
    return HTTPException(422, problems or str(error))

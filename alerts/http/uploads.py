"""Files that people send to be read and not kept: into a folder of their own, gone after the answer."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import HTTPException, Query, Request

from towerwatch.errors import ConfigError

FileName = Annotated[
    str, Query(pattern=r"^[^/\\\x00-\x1f]{1,80}\.[A-Za-z]{2,8}$", description="Its ending says what it is.")
]


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

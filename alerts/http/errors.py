"""From errors of the services to HTTP answers: ``{"detail": …}`` with the status that fits."""

from __future__ import annotations

import errno

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError

from alerts.playable import CannotPlay
from alerts.services.errors import Conflict, Invalid, LoginRefused, NotFound, TooManyLogins
from alerts.states import IllegalTransition
from towerwatch.logs import get_logger

STATUS: dict[type[Exception], int] = {
    NotFound: 404,
    Invalid: 422,
    Conflict: 409,
    IllegalTransition: 409,
    LoginRefused: 401,
    TooManyLogins: 429,
    CannotPlay: 503,
}

# what a disk says that does not take a file
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO})

log = get_logger(__name__)


def install(app: FastAPI) -> None:
    """Teach an application our errors."""
    for kind in STATUS:
        app.add_exception_handler(kind, _answer)
    app.add_exception_handler(DBAPIError, _database_away)
    app.add_exception_handler(OSError, _disk_fails)


async def _answer(_request: Request, error: Exception) -> JSONResponse:
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, TooManyLogins) else {}
    return JSONResponse({"detail": str(error)}, STATUS[type(error)], headers)


async def _database_away(request: Request, error: Exception) -> JSONResponse:
    cause = error.orig if isinstance(error, DBAPIError) else error
    log.error("database fails", path=request.url.path, error=str(cause))
    return JSONResponse({"detail": "the database is away; try again"}, 503, {"Retry-After": "2"})


async def _disk_fails(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, OSError) or error.errno not in _DISK:
        raise error
    log.error("a file cannot be written", path=request.url.path, error=str(error))
    return JSONResponse({"detail": f"the disk does not take it: {error.strerror}"}, 507)

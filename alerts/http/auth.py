"""Who is asking: a browser's session, a script's token, or a box's token.

What each route asks for stands in :mod:`alerts.http.access`. A browser that changes something must
send the ``X-CSRF-Token`` it was given at login; scripts, which no foreign page can ride on, need not.
"""

from typing import Annotated, cast

from fastapi import Depends, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from alerts.enrol import edge_of_token
from alerts.http.context import Context, context_of
from alerts.services.bundle import Services
from alerts.services.people import SESSION_LIFE
from alerts.services.views import SessionView, UserView

COOKIE = "tw_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def set_session_cookie(response: Response, session: SessionView, *, secure: bool) -> None:
    """Hand the session to the browser: out of reach of scripts and of other sites' forms."""
    response.set_cookie(
        COOKIE,
        session.token,
        max_age=int(SESSION_LIFE.total_seconds()),
        httponly=True,
        secure=secure,
        samesite="lax",
        path="/",
    )


def clear_session_cookie(response: Response) -> None:
    """Take the session back."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")


def user_of_request(connection: HTTPConnection, services: Services) -> UserView | None:
    """Return who a request or web socket belongs to, by token or by session; None for nobody."""
    token = bearer(connection)
    if token is not None:
        return services.people.user_of_token(token)
    cookie = connection.cookies.get(COOKIE)
    return services.people.user_of_session(cookie) if cookie else None


def bearer(connection: HTTPConnection) -> str | None:
    """Return the token of an ``Authorization: Bearer`` header."""
    scheme, _, token = connection.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _context(request: Request) -> Context:
    return context_of(request)


Ctx = Annotated[Context, Depends(_context)]


def _user(request: Request) -> UserView:
    """Return who was let in: the route's rule in :mod:`alerts.http.access` asks for a right."""
    return cast("UserView", request.state.user)


SomeUser = Annotated[UserView, Depends(_user)]


async def _edge(request: Request) -> str:
    context = context_of(request)
    token = bearer(request)
    edge = await run_in_threadpool(edge_of_token, context.database, token) if token else None
    if edge is None:
        raise HTTPException(
            401, "the box's token is missing, unknown or revoked", {"WWW-Authenticate": "Bearer"}
        )
    return edge


EdgeId = Annotated[str, Depends(_edge)]

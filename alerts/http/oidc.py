"""Away to the identity provider, and back with a session: two addresses that a browser goes through."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import RedirectResponse

from alerts.http.auth import Ctx, set_session_cookie
from alerts.http.context import Context
from alerts.oidc import Pending, Provider, ProviderAway
from alerts.services.errors import LoginRefused

router = APIRouter(prefix="/login/oidc", include_in_schema=False)
COOKIE = "tw_oidc"
COOKIE_PATH = "/login/oidc"
LIFE_S = 600


@router.get("")
def begin(context: Ctx, next: Annotated[str, Query(max_length=512)] = "/") -> RedirectResponse:  # noqa: A002 - the query's name
    """Send a browser to the identity provider: 404 where there is none, 503 where it does not answer."""
    try:
        address, pending = _provider(context).begin(_inside(next))
    except ProviderAway as error:
        raise HTTPException(503, str(error)) from None
    away = RedirectResponse(address, 303, {"Cache-Control": "no-store"})
    # Lax, so that it comes along when the provider sends the browser back
    away.set_cookie(
        COOKIE,
        pending.dump().encode().hex(),
        max_age=LIFE_S,
        path=COOKIE_PATH,
        secure=context.config.serve.secure,
        httponly=True,
        samesite="lax",
    )
    return away


@router.get("/callback")
def callback(
    request: Request,
    context: Ctx,
    state: Annotated[str, Query(max_length=512)] = "",
    code: Annotated[str, Query(max_length=4096)] = "",
) -> RedirectResponse:
    """Open a session for who comes back from the provider: 401 where it, or we, do not let that person in."""
    provider, pending = _provider(context), _pending(request)
    if pending is None or not code or state != pending.state:
        raise HTTPException(401, "this login was not begun here, or too long ago; begin again")
    try:
        name = provider.finish(pending, code)
        address = request.client.host if request.client else "unknown"
        session = context.services.people.login_vouched(name, address)
    except LoginRefused as error:
        raise HTTPException(401, str(error)) from None
    except ProviderAway as error:
        raise HTTPException(503, str(error)) from None
    onwards = RedirectResponse(request.scope.get("root_path", "") + pending.target, 303)
    onwards.delete_cookie(COOKIE, path=COOKIE_PATH)
    set_session_cookie(onwards, session, secure=context.config.serve.secure)
    return onwards


def _provider(context: Context) -> Provider:
    if context.oidc is None:
        raise HTTPException(404, "no identity provider is configured")
    return context.oidc


def _pending(request: Request) -> Pending | None:
    try:
        return Pending.load(bytes.fromhex(request.cookies.get(COOKIE, "")).decode())
    except ValueError:
        return None


def _inside(target: str) -> str:
    """Return a path of ours; anything that a browser could take for another place becomes the wall."""
    plain = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if plain else "/"

"""Log in, log out, and who am I."""

from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from alerts.http.auth import COOKIE, Ctx, SomeUser, clear_session_cookie, set_session_cookie
from alerts.services.views import UserView

router = APIRouter(prefix="/api/v1", tags=["people"])


class Login(BaseModel):
    """Name and password."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=64)
    password: str = Field(min_length=1, max_length=1024)


class OwnPassword(BaseModel):
    """The password until now, and from now on."""

    model_config = ConfigDict(extra="forbid")
    old: str = Field(min_length=1, max_length=1024)
    new: str = Field(min_length=1, max_length=1024)


class LoggedIn(BaseModel):
    """Who has logged in, and the token that changes must carry in ``X-CSRF-Token``."""

    user: UserView
    csrf: str


@router.post("/login")
def login(body: Login, request: Request, response: Response, context: Ctx) -> LoggedIn:
    """Open a session; the cookie is HttpOnly. 401 for a wrong password, 429 after too many."""
    address = request.client.host if request.client else "unknown"
    session = context.services.people.login(body.name, body.password, address)
    set_session_cookie(response, session, secure=context.config.serve.secure)
    return LoggedIn(user=session.user, csrf=session.csrf)


@router.post("/logout", status_code=204)
def logout(request: Request, response: Response, context: Ctx, _user: SomeUser) -> None:
    """End the session."""
    context.services.people.logout(request.cookies.get(COOKIE, ""))
    clear_session_cookie(response)


@router.get("/session")
def session(user: SomeUser) -> UserView:
    """Say who is asking."""
    return user


@router.put("/session/password", status_code=204)
def change_password(body: OwnPassword, request: Request, context: Ctx, user: SomeUser) -> None:
    """Change one's own password; it ends all of one's sessions, this one too."""
    if user.name.startswith("token:"):
        raise HTTPException(422, "a script has no password")
    address = request.client.host if request.client else "unknown"
    context.services.people.change_own_password(user.name, body.old, body.new, address)

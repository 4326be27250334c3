"""Who looks at a page, and what all pages share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, cast
from urllib.parse import quote, urlsplit

from fastapi.responses import RedirectResponse, Response
from nicegui import Client, core
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from alerts.config import ConsoleSettings
from alerts.console.board import Board
from alerts.console.texts import WORDS, Words
from alerts.services.bundle import Services
from alerts.services.names import Names
from alerts.services.views import UserView
from alerts.services.zones import ZoneService
from alerts.texts import LANGUAGES

SESSION_COOKIE = "tw_session"
LANGUAGE_COOKIE = "tw_lang"
THEME_COOKIE = "tw_theme"
THEMES = ("auto", "light", "dark")
# keeps a picture (bytes, media type, person) and returns its digest
KeepPicture = Callable[[bytes, str, str], str]
# refuses a box from now on (id of the box, person)
RevokeBox = Callable[[str, str], Any]


@dataclass(slots=True)
class Console:
    """What all pages of this process share."""

    services: Services
    settings: ConsoleSettings
    board: Board
    zone: tzinfo | None
    secure: bool
    keep_picture: KeepPicture | None = None
    revoke_box: RevokeBox | None = None
    zones: ZoneService | None = None
    sso: str | None = None  # what the button of the identity provider says


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at a page, in which language, and where the console is mounted."""

    console: Console
    user: UserView
    token: str
    words: Words
    theme: str
    base: str
    path: str
    names: Names = field(default_factory=Names)

    async def still_in(self) -> UserView | None:
        """Ask again who this is: a page stays open longer than a login lasts."""
        return await run_in_threadpool(self.console.services.people.user_of_session, self.token)


def install(console: Console) -> None:
    """Make ``console`` the one that the pages of this process show."""
    core.app.state.towerwatch_console = console


def console_now() -> Console:
    """Return what was installed."""
    return cast("Console", core.app.state.towerwatch_console)


def base_of(request: Request) -> str:
    """Return the path prefix under which a proxy shows us, without a slash at its end."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def words_of(request: Request, console: Console) -> Words:
    """Return the texts in the language that this browser chose, else in the configured one."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, console.settings.language)
    return WORDS[chosen if chosen in LANGUAGES else "zh"]


def theme_of(request: Request) -> str:
    """Return auto, light or dark."""
    chosen = request.cookies.get(THEME_COOKIE, "auto")
    return chosen if chosen in THEMES else "auto"


def local_path(target: str) -> str:
    """Return ``target`` if it is a path on this server, else ``/``; no open redirects."""
    parts = urlsplit(target)
    plain = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if plain and not parts.scheme and not parts.netloc else "/"


async def visitor_of(request: Request) -> Visitor | None:
    """Return who asks for a page, None without a valid session."""
    console = console_now()
    token = request.cookies.get(SESSION_COOKIE, "")
    user = await run_in_threadpool(console.services.people.user_of_session, token) if token else None
    if user is None:
        return None
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return Visitor(
        console, user, token, words_of(request, console), theme_of(request), base_of(request), path
    )


def to_login(request: Request) -> Response:
    """Send a browser to the login page and back here afterwards."""
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{base_of(request)}/login?next={quote(path, safe='')}", status_code=303)


def push(client: Client, code: str) -> None:
    """Run a line of JavaScript in a browser, in order with all that was pushed before."""
    if not client.is_deleted:
        client.outbox.enqueue_message("run_javascript", {"code": code}, client.id)


def on_gone(client: Client, end: Callable[[], Any]) -> None:
    """Call ``end`` once the browser has gone for good."""
    client.on_delete(end)

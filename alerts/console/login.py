"""Log in, log out, choose language and theme: plain pages and forms that need no script."""

from __future__ import annotations

from html import escape
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from alerts.console.context import (
    LANGUAGE_COOKIE,
    SESSION_COOKIE,
    THEME_COOKIE,
    THEMES,
    Console,
    base_of,
    console_now,
    local_path,
    theme_of,
    words_of,
)
from alerts.console.shell import LOGO, asset
from alerts.http.auth import clear_session_cookie, set_session_cookie
from alerts.services.errors import LoginRefused, TooManyLogins
from alerts.texts import LANGUAGES

YEAR_S = 365 * 24 * 3600
router = APIRouter(include_in_schema=False)


@router.get("/login", response_class=HTMLResponse)
async def login_page(request: Request, next: str = "/") -> Response:  # noqa: A002 - the query's name
    """Show the form."""
    return _page(request, local_path(next))


@router.post("/login", response_class=HTMLResponse)
async def login(
    request: Request,
    name: Annotated[str, Form(max_length=64)],
    password: Annotated[str, Form(max_length=1024)],
    next: Annotated[str, Form()] = "/",  # noqa: A002 - the field's name
) -> Response:
    """Open a session and go on to the page that was asked for."""
    console = console_now()
    words = words_of(request, console)
    address = request.client.host if request.client else ""
    try:
        session = await run_in_threadpool(console.services.people.login, name, password, address)
    except LoginRefused:
        return _page(request, local_path(next), words("login_refused"), 401)
    except TooManyLogins as error:
        wait = words("login_wait", seconds=error.retry_after_s)
        response = _page(request, local_path(next), wait, 429)
        response.headers["Retry-After"] = str(error.retry_after_s)
        return response
    onwards = RedirectResponse(base_of(request) + local_path(next), status_code=303)
    set_session_cookie(onwards, session, secure=console.secure)
    return onwards


@router.post("/logout")
async def logout(request: Request) -> Response:
    """End the session."""
    token = request.cookies.get(SESSION_COOKIE, "")
    await run_in_threadpool(console_now().services.people.logout, token)
    response = RedirectResponse(f"{base_of(request)}/login", status_code=303)
    clear_session_cookie(response)
    return response


@router.get("/console/prefs")
async def preferences(request: Request, lang: str = "", theme: str = "", next: str = "/") -> Response:  # noqa: A002
    """Remember language or theme in this browser and go back."""
    response = RedirectResponse(base_of(request) + local_path(next), status_code=303)
    secure = console_now().secure
    if lang in LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, lang, max_age=YEAR_S, samesite="lax", secure=secure)
    if theme in THEMES:
        response.set_cookie(THEME_COOKIE, theme, max_age=YEAR_S, samesite="lax", secure=secure)
    return response


def _page(request: Request, target: str, error: str = "", status: int = 200) -> HTMLResponse:
    console: Console = console_now()
    words, base = words_of(request, console), base_of(request)
    theme = theme_of(request)
    # "auto" asks the system, as the pages do
    script = "if(matchMedia('(prefers-color-scheme: dark)').matches)document.body.className='body--dark'"
    here = quote("/login?next=" + quote(target, safe=""), safe="")
    links = "".join(
        f'<a href="{base}/console/prefs?lang={lang}&next={here}" lang="{lang}">{label}</a>'
        for lang, label in (("zh", "中文"), ("en", "English"))
    )
    alert = f'<div class="tw-error" role="alert">{escape(error)}</div>' if error else ""
    away = f"{base}/login/oidc?next={quote(target, safe='')}"
    sso = f'<a class="tw-btn" href="{escape(away)}">{escape(console.sso)}</a>' if console.sso else ""
    title = escape(console.settings.title)
    return HTMLResponse(
        f"""<!doctype html>
<html lang="{words.locale}"><head><meta charset="utf-8"><title>{escape(words("login"))} · {title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="{base}{asset("favicon.svg")}">
<link rel="stylesheet" href="{base}{asset("console.css")}"></head>
<body class="{"body--dark" if theme == "dark" else ""}" style="margin:0">
<script>{script if theme == "auto" else ""}</script>
<main class="tw-login"><form class="tw-panel" method="post" action="{base}/login">
<h1>{LOGO}{title}</h1>{alert}
<label>{escape(words("name"))}<input class="tw-input" name="name" autocomplete="username"
 required autofocus></label>
<label>{escape(words("password"))}<input class="tw-input" name="password" type="password"
 autocomplete="current-password" required></label>
<input type="hidden" name="next" value="{escape(target)}">
<button class="tw-btn tw-primary">{escape(words("login"))}</button>
{sso}<nav>{links}</nav></form></main></body></html>""",
        status_code=status,
        headers={"Cache-Control": "no-store"},
    )

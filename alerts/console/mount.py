"""Put the console onto the API's app."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, HTTPException, Query
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from nicegui import Client, core, ui
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import Scope

from alerts.config import ConsoleSettings
from alerts.console import login
from alerts.console.areas import areas_page
from alerts.console.audit import audit_page
from alerts.console.board import Board
from alerts.console.camera import camera_page
from alerts.console.cameras import cameras_page
from alerts.console.catalogue import catalogue_page
from alerts.console.context import (
    Console,
    KeepPicture,
    RevokeBox,
    Visitor,
    console_now,
    install,
    to_login,
    visitor_of,
)
from alerts.console.elements import WEB
from alerts.console.formats import zone_of
from alerts.console.guard import Guard, content_policy
from alerts.console.incident import incident_page
from alerts.console.people import people_page
from alerts.console.report import report_page
from alerts.console.rows import QueueFilter, Viewport
from alerts.console.shell import PAGE_RIGHTS, STATIC
from alerts.console.statistics import statistics_page
from alerts.console.wall import wall_page
from alerts.services.bundle import Services
from alerts.services.names import read_names
from alerts.services.rights import Right
from alerts.services.views import UserView
from alerts.services.zones import ZoneService

# a browser may be away this long (a lift, a tunnel) and go on with the same page
RECONNECT_S = 30.0
HISTORY = 200
# building a page takes milliseconds; the wait is for the others, when a whole shift logs in at once
RESPONSE_S = 60.0
SECTORS_MOST = 200  # cameras in view whose sectors are told
router = APIRouter(include_in_schema=False)
_Bbox = Annotated[str, Query(max_length=120)]
_Zoom = Annotated[int, Query(ge=0, le=22)]
# builds a page into a browser, or answers something else
Build = Callable[[Visitor, Client, Request], Awaitable[Response | None]]
_PAGES: dict[str, Build] = {
    "/": wall_page,
    "/incidents/{incident_id}": incident_page,
    "/report": report_page,
    "/cameras": cameras_page,
    "/cameras/{edge}/{camera}": camera_page,
    "/statistics": statistics_page,
    "/catalogue": catalogue_page,
    "/areas": areas_page,
    "/users": people_page,
    "/audit": audit_page,
}


def mount_console(
    app: FastAPI,
    services: Services,
    settings: ConsoleSettings,
    *,
    secure: bool = False,
    timezone: str | None = None,
    keep_picture: KeepPicture | None = None,
    revoke_box: RevokeBox | None = None,
    zones: ZoneService | None = None,
    sso: str | None = None,
) -> Console:
    """Mount login, map data, static files and pages; call it last, the pages take all that is left.

    NiceGUI keeps one app per process, so a process shows one console: mounting a second one replaces
    what the pages show.

    Args:
        app: the API's app; its lifespan then also runs the board.
        services: what the console may ask; ``services.live.start()`` is the caller's.
        settings: title, language, tiles.
        secure: set the Secure flag on cookies; True behind TLS.
        timezone: IANA name of the city's local time; None is the zone of this machine.
        keep_picture: where pictures that people hand in go; None where nobody can.
        revoke_box: refuses a box from now on; None where that is not done from here.
        zones: has boxes try configurations with other zones; None where that is not done from here.
        sso: what the button of the identity provider says; None where there is no such provider.

    """
    zone = zone_of(timezone)
    console = Console(
        services, settings, Board(services, zone), zone, secure, keep_picture, revoke_box, zones, sso
    )
    install(console)
    app.include_router(login.router)
    app.include_router(router)
    app.mount(STATIC, _LongLived(directory=WEB), name="console-static")
    _register_pages()
    core.app.middleware_stack = None  # a second console in this process may add its own again
    ui.run_with(
        app,
        title=settings.title,
        language="zh-CN" if settings.language == "zh" else "en-US",
        reconnect_timeout=RECONNECT_S,
        message_history_length=HISTORY,
        binding_refresh_interval=None,
        tailwind=False,
        show_welcome_message=False,
    )
    app.add_middleware(Guard, policy=content_policy(settings.tile_url))
    _run_board_within(app, console)
    return console


def _register_pages() -> None:
    known = {getattr(route, "path", "") for route in core.app.routes}
    for path, build in _PAGES.items():
        if path not in known:
            ui.page(path, response_timeout=RESPONSE_S)(_guarded(PAGE_RIGHTS[path], build))


def _guarded(right: Right, build: Build) -> Callable[[Request, Client], Awaitable[Response | None]]:
    """Make the page that only opens for who is logged in and has the right."""

    async def page(request: Request, client: Client) -> Response | None:
        visitor = await visitor_of(request)
        if visitor is None:
            return to_login(request)
        if right not in visitor.user.rights:
            return HTMLResponse(visitor.words("may_not"), status_code=403)
        names = await run_in_threadpool(read_names, visitor.console.services, visitor.words.language)
        await visitor.console.board.ready.wait()
        return await build(replace(visitor, names=names), client, request)

    return page


def _run_board_within(app: FastAPI, console: Console) -> None:
    inner = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(of: Any) -> AsyncIterator[Any]:
        task = asyncio.create_task(console.board.run(), name="console-board")
        try:
            async with inner(of) as state:
                yield state
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    app.router.lifespan_context = lifespan


@dataclass(frozen=True, slots=True)
class _Look:
    """Who looks at which part of the map."""

    user: UserView
    view: Viewport


async def _looked(request: Request, bbox: _Bbox, zoom: _Zoom) -> _Look:
    """Return who looks where, once the board can answer; refuse who is not logged in and what is no view."""
    visitor = await visitor_of(request)
    if visitor is None:
        raise HTTPException(401)
    try:
        view = Viewport.parse(bbox, zoom)
    except ValueError:
        raise HTTPException(422, "bbox: west,south,east,north in degrees") from None
    board = console_now().board
    await board.ready.wait()
    await board.look(visitor.user.within)
    return _Look(visitor.user, view)


@router.get("/console/map")
async def map_data(request: Request, bbox: _Bbox, zoom: _Zoom) -> Response:
    """Return incidents and cameras in view, clustered: one answer for one look at the map."""
    look = await _looked(request, bbox, zoom)
    wanted = QueueFilter.parse(request.query_params, look.user.within)
    answer = console_now().board.map_answer(wanted, look.view, Right.FLEET in look.user.rights)
    return Response(answer, media_type="application/json", headers={"Cache-Control": "no-store"})


@router.get("/console/sectors")
async def sector_data(request: Request, bbox: _Bbox, zoom: _Zoom) -> Response:
    """Return where the cameras in view look, as far as central knows; nothing if they are too many."""
    look, console = await _looked(request, bbox, zoom), console_now()
    if console.zones is None or Right.FLEET not in look.user.rights:
        return JSONResponse([])
    places = console.board.fleet.places(look.view, console.board.among(look.user.within), SECTORS_MOST)
    known = await run_in_threadpool(console.zones.sectors, places)
    found = [
        {"lat": places[key][0], "lon": places[key][1]} | asdict(sector)
        for key, sectors in known.items()
        for sector in sectors
    ]
    return JSONResponse(found, headers={"Cache-Control": "no-store"})


class _LongLived(StaticFiles):
    """Files whose address carries their digest: browsers may keep them for ever."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer as usual, with a long life."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response

"""A console that is up, without a browser: its pages over HTTP, and what they push."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
from console_world import OPERATOR, World
from fastapi import FastAPI
from fresh_nicegui import fresh_nicegui
from nicegui import Client

from alerts.config import ConsoleSettings
from alerts.console.context import Console
from alerts.console.incident import IncidentPage
from alerts.console.mount import mount_console

ORIGIN = "http://test"


class Site:
    """A console that is up, and a browser of sorts in front of it."""

    def __init__(self, world: World, console: Console, http: httpx.AsyncClient) -> None:
        self.world = world
        self.console = console
        self.http = http
        self.codes: list[str] = []

    def enter(self, name: str) -> None:
        """Go on as somebody else."""
        self.http.cookies.set("tw_session", self.world.session(name))

    async def page(self, path: str) -> tuple[str, Client]:
        before = set(Client.instances)
        response = await self.http.get(path)
        assert response.status_code == 200, response.text[:300]
        (key,) = set(Client.instances) - before
        return response.text, Client.instances[key]

    def pushed(self, client: Client) -> str:
        """Return all JavaScript that waits to be sent to a browser."""
        return "\n".join(
            data.get("code", "") for _, kind, data in client.outbox.messages if kind == "run_javascript"
        )


def at_console(world: World, use: Callable[[Site], Awaitable[None]], name: str | None = OPERATOR) -> None:
    """Run ``use`` in front of a console, logged in as ``name``."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        world.services.live.start()
        try:
            yield
        finally:
            world.services.live.stop()

    async def run() -> None:
        app = FastAPI(lifespan=lifespan)
        console = mount_console(
            app, world.services, ConsoleSettings(title="City"), timezone="Asia/Shanghai", zones=world.zones
        )
        cookies = {"tw_session": world.session(name)} if name else {}
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies=cookies) as http,
        ):
            await console.board.ready.wait()
            await use(Site(world, console, http))

    with fresh_nicegui():
        asyncio.run(asyncio.wait_for(run(), 60))


async def until(condition: Callable[[], bool], what: str) -> None:
    """Let the event loop turn until something holds."""
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)
    assert condition(), what


def page_of(site: Site, incident_id: int) -> IncidentPage:
    (listener,) = site.console.board._watchers[incident_id]
    page = listener.__self__  # type: ignore[attr-defined]  # a bound method
    assert isinstance(page, IncidentPage)
    return page


def notices(client: Client) -> list[str]:
    return [data["message"] for _, kind, data in client.outbox.messages if kind == "notify"]

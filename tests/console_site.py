"""A console that is up, without a browser: its pages over HTTP, and what they push."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

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


@dataclass
class Standing:
    """A console that stays up from test to test: mounting one takes longer than most tests."""

    world: World
    app: FastAPI
    console: Console
    runner: asyncio.Runner


_UP: list[Standing] = []


@contextlib.contextmanager
def console_up(world: World) -> Iterator[None]:
    """Keep a console up for the tests of a module, which go there by :func:`at_console`."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        world.services.live.start()
        try:
            yield
        finally:
            world.services.live.stop()

    async def start(running: Any) -> None:
        await running.__aenter__()
        await console.board.ready.wait()

    with fresh_nicegui(), asyncio.Runner() as runner:
        app = FastAPI(lifespan=lifespan)
        settings = ConsoleSettings(title="City")
        console = mount_console(app, world.services, settings, timezone="Asia/Shanghai", zones=world.zones)
        running = app.router.lifespan_context(app)
        runner.run(start(running))
        _UP.append(Standing(world, app, console, runner))
        try:
            yield
        finally:
            _UP.pop()
            runner.run(running.__aexit__(None, None, None))


def at_console(world: World, use: Callable[[Site], Awaitable[None]], name: str | None = OPERATOR) -> None:
    """Run ``use`` in front of the console that is up, logged in as ``name``; its pages go afterwards."""
    up = _UP[-1]
    assert up.world is world

    async def run() -> None:
        cookies = {"tw_session": world.session(name)} if name else {}
        transport = httpx.ASGITransport(up.app)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies=cookies) as http:
            try:
                await use(Site(world, up.console, http))
            finally:
                for client in list(Client.instances.values()):
                    client.delete()

    up.runner.run(asyncio.wait_for(run(), 60))


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

"""Security headers and foreign origins."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from alerts.console.context import local_path
from alerts.console.guard import Guard, content_policy


def ask(method: str, path: str, origin: str | None = None) -> httpx.Response:
    def here(_request: object) -> PlainTextResponse:
        return PlainTextResponse("here")

    app = Starlette(
        routes=[Route("/", here, methods=["GET", "POST"]), Route("/_nicegui_ws/socket.io/", here)]
    )
    app.add_middleware(Guard, policy=content_policy())

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            return await client.request(method, path, headers={"Origin": origin} if origin else {})

    return asyncio.run(send())


def connect(path: str, origin: str) -> list[str]:
    """Open a web socket and return the types of what the guard let out."""
    sent: list[str] = []

    async def inner(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    headers = [(b"host", b"testserver"), (b"origin", origin.encode())]
    scope = {"type": "websocket", "path": path, "headers": headers}
    asyncio.run(Guard(inner, policy="")(scope, receive, send))
    return sent


def test_pages_carry_the_headers() -> None:
    headers = ask("GET", "/").headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("method", "path", "origin", "status"),
    [
        ("GET", "/", "http://evil.example", 200),
        ("POST", "/", "http://evil.example", 403),
        ("POST", "/", "null", 403),
        ("POST", "/", "http://testserver", 200),
        ("POST", "/", None, 200),
        ("GET", "/_nicegui_ws/socket.io/", "http://evil.example", 403),
        ("GET", "/_nicegui_ws/socket.io/", "http://testserver", 200),
    ],
)
def test_foreign_pages_may_look_and_not_act(method: str, path: str, origin: str | None, status: int) -> None:
    assert ask(method, path, origin).status_code == status


def test_foreign_pages_may_not_open_the_socket() -> None:
    assert connect("/_nicegui_ws/socket.io/", "http://evil.example") == ["websocket.close"]
    assert connect("/_nicegui_ws/socket.io/", "http://testserver") == ["websocket.accept"]
    assert connect("/other", "http://evil.example") == ["websocket.accept"]


@pytest.mark.parametrize(
    ("tiles", "host"),
    [
        ("https://{s}.tiles.example/{z}/{x}/{y}.png", "https://*.tiles.example"),
        ("http://10.0.0.5:8080/{z}/{x}/{y}.png", "http://10.0.0.5:8080"),
    ],
)
def test_pictures_may_come_from_the_tile_server_alone(tiles: str, host: str) -> None:
    pictures = next(part for part in content_policy(tiles).split("; ") if part.startswith("img-src"))
    assert pictures == f"img-src 'self' data: blob: {host}"
    assert "http" not in content_policy()


@pytest.mark.parametrize(
    ("target", "safe"),
    [
        ("/incidents/3?x=1", "/incidents/3?x=1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nSet-Cookie: x", "/"),
        ("", "/"),
    ],
)
def test_login_leads_nowhere_else(target: str, safe: str) -> None:
    assert local_path(target) == safe

"""Cameras and boxes: who watches, how well, and since when not."""

from __future__ import annotations

from datetime import datetime, tzinfo
from html import escape
from urllib.parse import quote

from fastapi.responses import Response
from nicegui import Client
from starlette.requests import Request

from alerts import texts as shared
from alerts.console.context import Visitor, on_gone
from alerts.console.formats import local, size
from alerts.console.shell import el, frame, html
from alerts.console.tables import NUMBER, table_html
from alerts.console.texts import Words
from alerts.services.views import CameraView, EdgeView

_RANK = {"blind": 0, "stale": 1, "starting": 2, "fresh": 3}


async def cameras_page(visitor: Visitor, client: Client, _request: Request) -> Response | None:
    """``/cameras``: the health of cameras and boxes, the worst first."""
    board, within = visitor.console.board, visitor.user.within
    await board.look(within)
    with frame(visitor, "cameras", visitor.words("cameras")), el("main", "tw-body"):
        tables = html(tables_html(visitor), "div")

    async def changed() -> None:
        await board.look(within)
        tables.content = tables_html(visitor)

    on_gone(client, board.watch_cameras(changed))
    return None


def tables_html(visitor: Visitor) -> str:
    """Return both tables, made once per reading of the cameras for all browsers alike."""
    board, words, within = visitor.console.board, visitor.words, visitor.user.within
    key = ("tables", words.language, visitor.base, within.area)
    if key not in board.camera_memo:
        zone, cameras, edges = visitor.console.zone, board.cameras_of(within), board.edges_of(within)
        board.camera_memo[key] = "".join(
            f'<section class="tw-panel"><h2>{escape(words(name))} · {count}</h2>{table}</section>'
            for name, count, table in (
                ("cameras", len(cameras), _cameras(cameras, words, zone, visitor.base)),
                ("edges", len(edges), _edges(edges, words, zone)),
            )
        )
    return board.camera_memo[key]


def _cameras(cameras: tuple[CameraView, ...], words: Words, zone: tzinfo | None, base: str) -> str:
    heads = [
        ("camera", ""), ("state", ""), ("reason", ""), ("since", ""), ("last_picture", ""),
        ("coverage", NUMBER), ("interval", NUMBER), ("lag", NUMBER), ("drops", NUMBER), ("edge", ""),
    ]  # fmt: skip
    body = []
    for camera in sorted(cameras, key=lambda c: (_RANK.get(c.state, 0), c.edge, c.camera)):
        reason = words.name(shared.BLIND_REASONS, camera.reason) if camera.reason else ""
        cells = [
            (_dot(camera.state) + _link(camera, base), ""),
            (escape(words.name(shared.FRESHNESS, camera.state)), ""),
            (escape(" · ".join(part for part in (reason, camera.detail) if part)), ""),
            (_time(camera.state_since, zone), ""),
            (_time(camera.last_captured_at, zone), ""),
            (f"{camera.covered_s:.0f} s", NUMBER),
            (f"{camera.interval_s:g} s" if camera.interval_s else "", NUMBER),
            (f"{camera.lag_p95_ms:.0f} ms" if camera.lag_p95_ms is not None else "", NUMBER),
            (str(camera.dropped), NUMBER),
            (escape(camera.edge), ""),
        ]
        body.append(cells)
    return table_html([(words(key), css) for key, css in heads], body, words("cameras_none"))


def _edges(edges: tuple[EdgeView, ...], words: Words, zone: tzinfo | None) -> str:
    heads = [
        ("edge", ""), ("state", ""), ("site", ""), ("health_at", ""), ("cameras", NUMBER),
        ("outbox", NUMBER), ("lost_messages", NUMBER), ("restarts", NUMBER), ("version", ""),
    ]  # fmt: skip
    body = []
    for edge in edges:
        state = "silent" if edge.silent else "online" if edge.online else "offline"
        waiting = edge.outbox.get("depth", 0)
        bytes_ = edge.outbox.get("bytes", 0)
        clock = "" if edge.clock_synchronised in {None, True} else f" · {escape(words('clock_bad'))}"
        cells = [
            (_dot(state) + escape(edge.id), ""),
            (escape(words(state)) + clock, ""),
            (escape(edge.site), ""),
            (_time(edge.health_received_at, zone), ""),
            (f"{edge.cameras_fresh} / {edge.cameras}", NUMBER),
            (f"{waiting} · {size(bytes_)}" if waiting else "0", NUMBER),
            (str(edge.lost_messages), NUMBER),
            (str(edge.workers_restarted), NUMBER),
            (escape(edge.version or ""), ""),
        ]
        body.append(cells)
    return table_html([(words(key), css) for key, css in heads], body, words("cameras_none"))


def _link(camera: CameraView, base: str) -> str:
    address = f"{base}/cameras/{quote(camera.edge)}/{quote(camera.camera)}"
    return f'<a class="tw-link" href="{escape(address)}">{escape(camera.name or camera.camera)}</a>'


def _dot(state: str) -> str:
    return f'<span class="tw-dot tw-dot-{escape(state)}"></span>'


def _time(at: datetime | None, zone: tzinfo | None) -> str:
    return f"<time>{local(at, zone)[5:]}</time>" if at is not None else ""

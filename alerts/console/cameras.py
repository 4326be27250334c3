"""Cameras and boxes: who watches, how well, and since when not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from html import escape
from typing import Any, Literal
from urllib.parse import urlencode

from fastapi.responses import Response
from nicegui import Client, ui
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from alerts import texts as shared
from alerts.console.context import Visitor, on_gone, push
from alerts.console.elements import Node
from alerts.console.fleet import STATES, CameraLine
from alerts.console.formats import local, size
from alerts.console.shell import attributes, el, frame, html
from alerts.console.tables import NUMBER, Cell, table_html
from alerts.console.texts import CAMERA_STATES, Words
from alerts.console.wall import camera_path
from alerts.services.views import CameraView, EdgeView

PAGE = 100
MAX_TEXT = 64


@dataclass(frozen=True, slots=True)
class Shown:
    """What part of the city's cameras or boxes somebody looks at."""

    what: Literal["cameras", "edges"] = "cameras"
    state: str = ""
    text: str = ""
    page: int = 0

    @classmethod
    def parse(cls, query: Any) -> Shown:
        """Read the query of the page's address; what is unknown falls back."""
        state, page = str(query.get("state", "")), str(query.get("page", ""))
        return cls(
            what="edges" if query.get("what") == "edges" else "cameras",
            state=state if state in STATES else "",
            text=str(query.get("text", ""))[:MAX_TEXT].strip(),
            page=int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 0,
        )

    def query(self) -> str:
        """Return it as a query."""
        values = {"what": self.what if self.what == "edges" else "", "state": self.state, "text": self.text}
        return urlencode({key: value for key, value in (values | {"page": self.page or ""}).items() if value})


class CamerasPage:
    """A page of the city's cameras, or of its boxes, that follows how they are."""

    def __init__(self, visitor: Visitor, client: Client, shown: Shown) -> None:
        """Keep what is asked for; :meth:`build` makes the page."""
        self._visitor = visitor
        self._client = client
        self._shown = shown
        self._tabs: dict[str, Node] = {}
        self._chips: dict[str, tuple[Node, Node]] = {}
        self._states: Node | None = None
        self._table: ui.html | None = None
        self._unusable: Node | None = None
        self._pages: dict[int, Node] = {}
        self._place: Node | None = None

    async def build(self) -> None:
        """Make the page and follow the cameras."""
        words = self._visitor.words
        with frame(self._visitor, "cameras", words("cameras")), el("main", "tw-body"):
            with el("div", "tw-bar"):
                for what in ("cameras", "edges"):
                    tab = attributes(el("button", "tw-chip", words(what)), type="button", data_what=what)
                    tab.on("click", lambda _event, what=what: self._change(what=what, state="", text=""))
                    self._tabs[what] = tab
                search = attributes(el("input", "tw-input tw-search"), type="search", value=self._shown.text)
                attributes(search, placeholder=words("find_camera"), aria_label=words("find_camera"))
                search.on(
                    "input",
                    lambda event: self._change(text=str(event.args)[:MAX_TEXT].strip()),
                    js_handler="(e) => emit(e.target.value)",
                    throttle=0.3,
                    leading_events=False,
                )
                self._states = el("div", "tw-bar")
                with self._states:
                    for state in ("", *STATES):
                        self._chip(state)
            self._unusable = attributes(el("p", "tw-warn"), role="status", hidden="")
            with el("section", "tw-panel"):
                self._table = html("", "div")
                with el("div", "tw-pager"):
                    for step, sign in ((-1, "\u2039"), (1, "\u203a")):
                        button = attributes(el("button", "tw-btn", sign), type="button")
                        attributes(button, aria_label=words("page_before" if step < 0 else "page_after"))
                        button.on(
                            "click", lambda _event, step=step: self._change(page=self._shown.page + step)
                        )
                        self._pages[step] = button
                        if step < 0:
                            self._place = attributes(el("span", "tw-dim"), role="status")
        await self._show()
        on_gone(self._client, self._visitor.console.board.watch_cameras(self._show))

    def _chip(self, state: str) -> None:
        words = self._visitor.words
        name = words.name(CAMERA_STATES, state) if state else words("all")
        chip = attributes(el("button", "tw-chip", name), type="button", data_state=state)
        chip.on("click", lambda: self._change(state=state))
        with chip:
            self._chips[state] = chip, el("b")

    async def _change(self, **values: Any) -> None:
        self._shown = replace(self._shown, **({"page": 0} | values))
        await self._show()
        push(self._client, f"history.replaceState(null, '', '?' + {self._shown.query()!r})")

    async def _show(self) -> None:
        """Read the shown part, with the figures of now."""
        if self._client.is_deleted:
            return
        visitor, shown = self._visitor, self._shown
        board, within = visitor.console.board, visitor.user.within
        await board.look(within)
        among, start = board.among(within), shown.page * PAGE
        counts = board.fleet.counts(among)
        fleet, words, zone = visitor.console.services.fleet, visitor.words, visitor.console.zone
        if shown.what == "cameras":
            lines, total = board.fleet.search(shown.text, shown.state, among, start, PAGE)
            keys = [(line.edge, line.camera) for line in lines]
            views = await run_in_threadpool(fleet.list_cameras, only=keys)
            table = _cameras(lines, views, words, zone, visitor.base)
        else:
            boxes = None if among is None else board.fleet.boxes(among)
            edges, total = await run_in_threadpool(
                lambda: fleet.find_edges(shown.text, among=boxes, start=start, limit=PAGE)
            )
            table = _edges(edges, words, zone, visitor.base)
        unusable = 0
        if shown.what == "edges" and not within:
            unusable = await run_in_threadpool(fleet.unusable)
        if self._table is None or self._client.is_deleted or shown is not self._shown:
            return  # something else was asked for meanwhile
        self._table.content = table
        if self._unusable is not None:
            self._unusable.text = words("unusable", count=unusable)
            attributes(self._unusable, hidden=None if unusable else "")
        self._mark(counts, start, total)

    def _mark(self, counts: dict[str, int], start: int, total: int) -> None:
        shown, words = self._shown, self._visitor.words
        for what, tab in self._tabs.items():
            attributes(tab, aria_pressed=str(what == shown.what).lower())
        for state, (chip, number) in self._chips.items():
            count = counts[state] if state else sum(counts.values())
            number.text = str(count)
            attributes(chip, aria_pressed=str(state == shown.state).lower())
            chip.classes(
                add="" if count or state in {"", shown.state} else "tw-none",
                remove="" if not count else "tw-none",
            )
        if self._states is not None:
            attributes(self._states, hidden=None if shown.what == "cameras" else "")
        if self._place is not None:
            last = min(start + PAGE, total)
            self._place.text = words("from_to_of", first=min(start + 1, last), last=last, count=total)
        attributes(self._pages[-1], disabled=None if start else "")
        attributes(self._pages[1], disabled=None if start + PAGE < total else "")


async def cameras_page(visitor: Visitor, client: Client, request: Request) -> Response | None:
    """``/cameras``: the health of cameras and boxes, the worst first."""
    await CamerasPage(visitor, client, Shown.parse(request.query_params)).build()
    return None


def _cameras(
    lines: Sequence[CameraLine], views: Sequence[CameraView], words: Words, zone: tzinfo | None, base: str
) -> str:
    heads = [
        ("camera", ""), ("state", ""), ("reason", ""), ("since", ""), ("last_picture", ""),
        ("coverage", NUMBER), ("interval", NUMBER), ("lag", NUMBER), ("drops", NUMBER), ("edge", ""),
    ]  # fmt: skip
    figures = {(view.edge, view.camera): view for view in views}
    body = [
        _camera(line, figures[line.edge, line.camera], words, zone, base)
        for line in lines
        if (line.edge, line.camera) in figures
    ]
    return table_html([(words(key), css) for key, css in heads], body, words("cameras_none_such"))


def _camera(line: CameraLine, now: CameraView, words: Words, zone: tzinfo | None, base: str) -> list[Cell]:
    reason = words.name(shared.BLIND_REASONS, now.reason) if now.reason else ""
    address = escape(base + camera_path(line.edge, line.camera))
    return [
        (f'{_dot(line.state)}<a class="tw-link" href="{address}">{escape(line.name)}</a>', ""),
        (escape(words.name(CAMERA_STATES, line.state)), ""),
        (escape(" · ".join(part for part in (reason, now.detail) if part)), ""),
        (_time(now.state_since, zone), ""),
        (_time(now.last_captured_at, zone), ""),
        (f"{now.covered_s:.0f} s", NUMBER),
        (f"{now.interval_s:g} s" if now.interval_s else "", NUMBER),
        (f"{now.lag_p95_ms:.0f} ms" if now.lag_p95_ms is not None else "", NUMBER),
        (str(now.dropped), NUMBER),
        (escape(line.edge), ""),
    ]


def _edges(edges: Sequence[EdgeView], words: Words, zone: tzinfo | None, base: str) -> str:
    heads = [
        ("edge", ""), ("state", ""), ("site", ""), ("health_at", ""), ("cameras", NUMBER),
        ("stretch", NUMBER), ("outbox", NUMBER), ("lost_messages", NUMBER), ("restarts", NUMBER),
        ("version", ""),
    ]  # fmt: skip
    body = []
    for edge in edges:
        state = "silent" if edge.silent else "online" if edge.online else "offline"
        waiting = edge.outbox.get("depth", 0)
        bytes_ = edge.outbox.get("bytes", 0)
        clock = "" if edge.clock_synchronised in {None, True} else f" · {escape(words('clock_bad'))}"
        cameras = escape(f"{base}/cameras?{urlencode({'text': edge.id + '/'})}")
        cells = [
            (_dot(state) + escape(edge.id), ""),
            (escape(words(state)) + clock, ""),
            (escape(edge.site), ""),
            (_time(edge.health_received_at, zone), ""),
            (f'<a class="tw-link" href="{cameras}">{edge.cameras_fresh} / {edge.cameras}</a>', NUMBER),
            (f"{edge.stretch:.1f}\u00d7" if edge.stretch is not None else "", NUMBER),
            (f"{waiting} · {size(bytes_)}" if waiting else "0", NUMBER),
            (str(edge.lost_messages), NUMBER),
            (str(edge.workers_restarted), NUMBER),
            (escape(edge.version or ""), ""),
        ]
        body.append(cells)
    return table_html([(words(key), css) for key, css in heads], body, words("no_boxes"))


def _dot(state: str) -> str:
    return f'<span class="tw-dot tw-dot-{escape(state)}"></span>'


def _time(at: datetime | None, zone: tzinfo | None) -> str:
    return f"<time>{local(at, zone)[5:]}</time>" if at is not None else ""

"""The wall: the live list, the map and the cameras, for as long as a shift lasts."""

from __future__ import annotations

from html import escape
from typing import Any
from urllib.parse import quote, urlencode

from fastapi.responses import Response
from nicegui import Client, json, ui
from starlette.requests import Request

from alerts import texts as shared
from alerts.console.board import Board
from alerts.console.context import Visitor, on_gone, push
from alerts.console.elements import CityMap, Node, Queue
from alerts.console.fleet import STATES, CameraLine, Fleet, Indices
from alerts.console.formats import local
from alerts.console.rows import PAGE, STATE_CHOICES, QueueFilter, Selection
from alerts.console.shell import attributes, el, frame, html
from alerts.console.texts import CAMERA_STATES, Words
from alerts.messages import Kind
from alerts.services.rights import Right
from towerwatch.timebase import utc_now

_TROUBLE_SHOWN = 12
# somewhere in a city a camera changes all the time, and each look at all of it costs the server 10 ms
_CAMERAS_ON_MAP_MS = 5000
_QUEUE_TEXTS = (
    "queue", "ended", "historical", "alerts", "empty", "more",
    "age_s", "age_min", "age_h", "age_d", "map_empty",
)  # fmt: skip


class Wall:
    """One operator's wall; also the member of the board that his list belongs to."""

    def __init__(self, visitor: Visitor, client: Client, wanted: QueueFilter) -> None:
        """Keep who looks; :meth:`build` makes the page."""
        self._visitor = visitor
        self._client = client
        self._wanted = wanted
        self._chips: dict[str, Node] = {}
        self._sort: Node | None = None
        self._strip: ui.html | None = None
        self._cameras_shown = self._board.cameras_read

    @property
    def _board(self) -> Board:
        return self._visitor.console.board

    @property
    def _sees_cameras(self) -> bool:
        return Right.FLEET in self._visitor.user.rights

    def send(self, payload: str, *, places: bool) -> None:
        """Hand a difference of the list to the browser, whose map then asks for itself."""
        code = f"window.tw.queue?.apply({payload})"
        push(self._client, f"{code};window.tw.map?.refresh()" if places else code)

    def build(self) -> None:
        """Make the page and join the board."""
        words = self._visitor.words
        shown = self._board.join(self, self._wanted)
        on_gone(self._client, lambda: self._board.leave(self))
        with frame(self._visitor, "wall", words("wall")):
            with attributes(el("main", "tw-wall"), data_tab="list", id="tw-wall"):
                with el("section", "tw-left"):
                    self._filters(shown)
                    self._queue(shown)
                with el("section", "tw-mapbox"):
                    settings = self._visitor.console.settings
                    CityMap(
                        self._texts(),
                        base=self._visitor.base,
                        tiles=settings.tile_url,
                        query=_query(self._wanted),
                        start=(*settings.centre, settings.zoom) if settings.centre else None,
                        areas=("city", "county", "township"),
                    )
                if self._sees_cameras:
                    with el("section", "tw-strip"):
                        self._strip = html(strip_html(self._visitor), "div")
            self._tabs()
        if self._sees_cameras:
            on_gone(self._client, self._board.watch_cameras(self._cameras_changed))

    def _texts(self) -> dict[str, Any]:
        words = self._visitor.words
        texts: dict[str, Any] = {key: words(key) for key in _QUEUE_TEXTS}
        texts["language"] = words.language
        texts["kinds"] = words.names(shared.KINDS)
        texts["states"] = words.names(shared.STATES)
        texts["today"] = local(utc_now(), self._visitor.console.zone)[:10]
        return texts

    def _filters(self, shown: Selection) -> None:
        with el("div", "tw-filters"):
            with el("div"):
                for kind in ("", *map(str, Kind)):
                    self._chip(kind, shown.counts[kind])
            with el("div"):
                self._narrow()

    def _chip(self, kind: str, count: int) -> None:
        words, wanted = self._visitor.words, self._wanted
        label = words.name(shared.KINDS, kind) if kind else words("all")
        none = bool(kind) and not count and kind != wanted.kind
        chip = el("button", "tw-chip tw-none" if none else "tw-chip", label)
        attributes(chip, type="button", aria_pressed=str(kind == wanted.kind).lower(), data_kind=kind)
        chip.on("click", lambda: self._change(kind=kind))
        with chip:
            attributes(el("b", text=str(count)), data_count=kind)
        self._chips[kind] = chip

    def _narrow(self) -> None:
        words, wanted = self._visitor.words, self._wanted
        state = attributes(el("select", "tw-input"), aria_label=words("filter_state"))
        state.on("change", lambda e: self._change(state=e.args), js_handler="(e) => emit(e.target.value)")
        known = words.names(shared.STATES) | {"open": words("open"), "all": words("all")}
        with state:
            for choice in STATE_CHOICES:
                option = el("option", text=known[choice])
                attributes(option, value=choice, selected=choice == wanted.state or None)
        label, hint = words("camera"), words("camera_filter")
        camera = attributes(el("input", "tw-input"), type="search", aria_label=label, placeholder=hint)
        attributes(camera, value=wanted.camera)
        camera.on(
            "input",
            lambda e: self._change(camera=e.args),
            js_handler="(e) => emit(e.target.value)",
            throttle=0.3,
            leading_events=False,
        )
        self._sort = el("button", "tw-chip", words(f"sort_{wanted.sort}"))
        attributes(self._sort, type="button", title=words("sort"))
        self._sort.on("click", self._turn)

    def _queue(self, shown: Selection) -> None:
        now_ms = int(utc_now().timestamp() * 1000)
        queue = Queue(_state(shown, self._wanted), self._texts(), base=self._visitor.base, now_ms=now_ms)
        queue.on("more", lambda: self._change(limit=self._wanted.limit + PAGE))

    def _tabs(self) -> None:
        words = self._visitor.words
        with el("nav", "tw-tabs"):
            tabs = [("list", "list"), ("map", "map"), ("cameras", "camera_short")]
            for key, label in tabs if self._sees_cameras else tabs[:2]:
                button = el("button", text=words(label))
                attributes(button, type="button", aria_pressed=str(key == "list").lower())
                button.on(
                    "click",
                    js_handler=f"""(e) => {{ document.getElementById("tw-wall").dataset.tab = "{key}";
                    for (const b of e.currentTarget.parentNode.children)
                        b.setAttribute("aria-pressed", b === e.currentTarget); }}""",
                )

    def _turn(self) -> None:
        self._change(sort="newest" if self._wanted.sort == "severity" else "severity")

    def _change(self, **values: object) -> None:
        """Show another list: one message with its rows, and the filter in the address."""
        now = {name: getattr(self._wanted, name) for name in ("state", "kind", "camera", "sort")}
        self._wanted = QueueFilter.parse(
            now | values, self._wanted.within
        )  # another filter starts again with one page
        shown = self._board.join(self, self._wanted)
        query = _query(self._wanted)
        push(
            self._client,
            f"window.tw.queue?.replace({json.dumps(_state(shown, self._wanted))});"
            f"window.tw.counts({json.dumps(shown.counts)});window.tw.map?.setFilter({json.dumps(query)});"
            f"history.replaceState(null, '', '?' + {json.dumps(query)})",
        )
        for kind, chip in self._chips.items():
            attributes(chip, aria_pressed=str(kind == self._wanted.kind).lower())
        if self._sort is not None:
            self._sort.text = self._visitor.words(f"sort_{self._wanted.sort}")

    async def _cameras_changed(self) -> None:
        await self._board.look(self._visitor.user.within)
        if self._strip is not None:
            self._strip.content = strip_html(self._visitor)
        if self._cameras_shown != self._board.cameras_read:
            self._cameras_shown = self._board.cameras_read
            push(self._client, f"window.tw.map?.refresh({_CAMERAS_ON_MAP_MS})")


async def wall_page(visitor: Visitor, client: Client, request: Request) -> Response | None:
    """``/``: the wall, of what its visitor sees."""
    within = visitor.user.within
    await visitor.console.board.look(within)
    Wall(visitor, client, QueueFilter.parse(request.query_params, within)).build()
    return None


def strip_html(visitor: Visitor) -> str:
    """Return the line of cameras, made once per change of the cameras for all browsers alike."""
    board, words, within = visitor.console.board, visitor.words, visitor.user.within
    key = ("strip", words.language, visitor.base, within.area)
    if key not in board.camera_memo:
        board.camera_memo[key] = _strip(board.fleet, board.among(within), words, visitor.base)
    return board.camera_memo[key]


def _strip(fleet: Fleet, among: Indices | None, words: Words, base: str) -> str:
    """Say how many are in which state, and name each that ought to see and does not, with its reason."""
    counts = fleet.counts(among)
    parts = [f'<a href="{base}/cameras" class="tw-dim">{escape(words("cameras"))}</a>']
    for state in reversed(STATES):
        if counts[state] or state == "fresh":
            name = escape(words.name(CAMERA_STATES, state))
            link = f'<a class="tw-count-{state}" href="{base}/cameras?state={state}">'
            parts.append(f"{link}<b>{counts[state]}</b>{name}</a>")
    trouble = fleet.trouble(among, _TROUBLE_SHOWN)
    lines = [
        f'<a class="tw-cam-line" href="{base}{escape(camera_path(camera.edge, camera.camera))}">'
        f'<span class="tw-dot tw-dot-{camera.state}"></span><span>{escape(camera.name)}</span>'
        f'<span class="tw-dim">{escape(why_blind(camera, words))}</span></a>'
        for camera in trouble
    ]
    total = sum(counts.values())
    left = total - counts["fresh"] - counts["night"] - len(trouble)
    if left:
        lines.append(f'<a class="tw-dim" href="{base}/cameras">+{left}</a>')
    if not trouble and not counts["night"]:
        lines.append(
            f'<div class="tw-dim">{escape(words("cameras_all_fresh" if total else "cameras_none"))}</div>'
        )
    return f'<div class="tw-strip-head">{"".join(parts)}</div><div class="tw-cams">{"".join(lines)}</div>'


def camera_path(edge: str, camera: str) -> str:
    """Return the path of a camera's page."""
    return f"/cameras/{quote(edge, safe='')}/{quote(camera, safe='')}"


def why_blind(camera: CameraLine, words: Words) -> str:
    """Return the state of a camera and its reason in one phrase."""
    state = words.name(CAMERA_STATES, camera.state)
    if camera.reason is None or camera.state == "offline":
        return state
    return f"{state} · {words.name(shared.BLIND_REASONS, camera.reason)}"


def _state(shown: Selection, wanted: QueueFilter) -> dict[str, Any]:
    return {"rows": list(shown.rows), "total": shown.total, "sort": wanted.sort}


def _query(wanted: QueueFilter) -> str:
    values = {"state": wanted.state, "kind": wanted.kind, "camera": wanted.camera, "sort": wanted.sort}
    return urlencode({key: value for key, value in values.items() if value})

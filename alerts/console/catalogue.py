"""The event catalogue: what the city handles, who does it and how fast; versions, new ones from a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from urllib.parse import urlencode

from fastapi.responses import Response
from nicegui import Client, ui
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from alerts import texts as shared
from alerts.catalogue.filing import LoadedCatalogue
from alerts.catalogue.model import SEVERITIES, Catalogue, Flow, Item
from alerts.catalogue.read import READERS, read_catalogue
from alerts.catalogue.service import VersionView
from alerts.console.context import Visitor
from alerts.console.dialogs import Dialogs
from alerts.console.formats import local
from alerts.console.imports import Import, import_dialog
from alerts.console.shell import attributes, el, frame, html
from alerts.console.tables import Cell, plain, table_html
from alerts.services.errors import NotFound
from alerts.services.rights import Right
from alerts.sheets import MAX_BYTES
from alerts.texts import LANGUAGES

_HEADS = (
    "flow_code", "flow", "level_of", "condition", "departments",
    "accept_limit", "arrive_limit", "close_limit", "criterion",
)  # fmt: skip
_FOUND_SHOWN = 200  # flows that a search shows


class CataloguePage(Dialogs):
    """One version of the catalogue: a category of it, or what a search finds."""

    right = Right.ADMIN

    def __init__(
        self,
        visitor: Visitor,
        client: Client,
        found: LoadedCatalogue | None,
        versions: Sequence[VersionView],
        query: Mapping[str, str],
    ) -> None:
        """Keep what is shown; :meth:`build` makes the page."""
        super().__init__(visitor, client)
        self._found = found
        self._versions = versions
        self._search = query.get("q", "").strip()[:64]
        self._category = query.get("category", "")
        self._at = LANGUAGES.index(visitor.words.language)

    async def refresh(self) -> None:
        """Show the version that counts now."""
        with self._client:
            ui.navigate.to(f"{self.visitor.base}/catalogue")

    def build(self) -> None:
        """Make the page."""
        with frame(self.visitor, "catalogue", self._words("catalogue")), el("main", "tw-body"):
            self._bar()
            if self._found is None:
                el("div", "tw-panel tw-empty", self._words("no_catalogue"))
                return
            if self._search:
                self._hits()
            else:
                self._chapter()

    def _bar(self) -> None:
        words, base = self._words, self.visitor.base
        with el("div", "tw-bar"):
            if self._found is not None:
                with attributes(el("form", "tw-bar"), method="get", action=f"{base}/catalogue"):
                    hint = words("search_catalogue")
                    field = attributes(el("input", "tw-input tw-search"), type="search", name="q")
                    attributes(field, value=self._search or None, placeholder=hint, aria_label=hint)
                    self._version_choice()
                    attributes(el("button", "tw-btn", words("period_show")), type="submit")
                for ending in ("xlsx", "csv"):
                    query = {"version": self._found.version, "language": words.language}
                    link = el("a", "tw-link", words("download", what=ending.upper()))
                    attributes(link, href=f"{base}/api/v1/catalogue.{ending}?{urlencode(query)}", download="")
            if Right.ADMIN in self.visitor.user.rights:
                button = attributes(el("button", "tw-btn", words("import_catalogue")), type="button")
                attributes(button, data_do="import")
                button.on("click", self._import)

    def _version_choice(self) -> None:
        assert self._found is not None  # noqa: S101 - the bar asks for it only then
        words, zone = self._words, self.visitor.console.zone
        with (
            el("label", "tw-field", words("version")),
            attributes(el("select", "tw-input"), name="version"),
        ):
            for view in self._versions:
                text = f"{view.version} · {view.name} · {local(view.imported_at, zone)[:10]}"
                chosen = view.version == self._found.version
                attributes(el("option", text=text), value=view.version, selected=chosen or None)

    def _import(self) -> None:
        service, words = self.visitor.console.services.catalogue, self._words
        import_dialog(
            self,
            Import(
                words("import_catalogue"),
                words("import_catalogue_hint"),
                ",".join(READERS),
                MAX_BYTES,
                read_catalogue,
                lambda catalogue: _size(catalogue, self._at),
                service.import_catalogue,
            ),
        )

    # what is shown

    def _chapter(self) -> None:
        assert self._found is not None  # noqa: S101 - the caller has looked
        words, catalogue = self._words, self._found.catalogue
        codes = [category.code for category in catalogue.categories]
        chosen = self._category if self._category in codes else codes[0]
        el("p", "tw-dim", _size(catalogue, self._at))
        with attributes(el("nav", "tw-bar"), aria_label=words("categories")):
            for category in catalogue.categories:
                query = {"category": category.code, "version": self._found.version}
                chip = el("a", "tw-chip", f"{category.code} {(category.zh, category.en)[self._at]}")
                attributes(chip, href=f"{self.visitor.base}/catalogue?{urlencode(query)}")
                attributes(chip, aria_current="true" if category.code == chosen else None)
        for item in catalogue.items:
            if item.category == chosen:
                self._item(item, [flow for flow in catalogue.flows if flow.item == item.code])

    def _hits(self) -> None:
        assert self._found is not None  # noqa: S101 - the caller has looked
        words, found = self._words, self._found
        flows = [flow for flow in found.catalogue.flows if self._matches(flow, found.items[flow.item])]
        el("p", "tw-dim", words("hits", count=len(flows), text=self._search))
        for item in found.catalogue.items:
            mine = [flow for flow in flows[:_FOUND_SHOWN] if flow.item == item.code]
            if mine:
                self._item(item, mine)

    def _matches(self, flow: Flow, item: Item) -> bool:
        names = self.visitor.names
        called = [names.department(key) for key in (flow.department, *flow.along)]
        texts = (flow.code, flow.zh, flow.en, item.zh, item.en, *called)
        wanted = self._search.lower()
        return any(wanted in text.lower() for text in texts)

    def _item(self, item: Item, flows: Iterable[Flow]) -> None:
        words = self._words
        kinds = ", ".join(words.name(shared.KINDS, kind) for kind in item.kinds)
        with el("section", "tw-panel"):
            with el("div", "tw-panel-head"):
                el("h2", text=f"{item.code} {(item.zh, item.en)[self._at]}")
                if kinds:
                    el("span", "tw-note", words("files_alerts", kinds=kinds))
            heads = [(self._words(key), "") for key in _HEADS]
            rows = [self._row(flow) for flow in flows]
            html(table_html(heads, rows, ""), "div")

    def _row(self, flow: Flow) -> list[Cell]:
        words, at = self._words, self._at
        limits = [
            limit.text(words.language) if limit else "" for limit in (flow.accept, flow.arrive, flow.close)
        ]
        verify = "" if flow.verify else f' <span class="tw-note">{escape(words("files_itself"))}</span>'
        called = [self.visitor.names.department(key) for key in (flow.department, *flow.along)]
        first, rest = escape(called[0]), "".join(f"<br>{escape(name)}" for name in called[1:])
        return [
            plain(flow.code, "tw-when"),
            (escape((flow.zh, flow.en)[at]) + verify, "tw-wrap"),
            plain(SEVERITIES[flow.severity][at]),
            plain((flow.condition_zh, flow.condition_en or flow.condition_zh)[at], "tw-detail"),
            (f"{first}<span class='tw-dim'>{rest}</span>", ""),
            *map(plain, limits),
            plain((flow.criterion_zh, flow.criterion_en or flow.criterion_zh)[at], "tw-detail"),
        ]


def _size(catalogue: Catalogue, at: int) -> str:
    counts = (len(catalogue.categories), len(catalogue.items), len(catalogue.flows))
    zh = "{} · {} 个大类、{} 个小类、{} 个流程".format(catalogue.name, *counts)
    return zh if at == 0 else f"{catalogue.name} · {catalogue.size()}"


async def catalogue_page(visitor: Visitor, client: Client, request: Request) -> Response | None:
    """``/catalogue``: the version that counts, or another one."""
    query = request.query_params
    found, versions = await run_in_threadpool(_read, visitor, query.get("version", ""))
    CataloguePage(visitor, client, found, versions, query).build()
    return None


def _read(visitor: Visitor, version: str) -> tuple[LoadedCatalogue | None, tuple[VersionView, ...]]:
    service = visitor.console.services.catalogue
    number = int(version) if version.isascii() and version.isdigit() and len(version) < 19 else None
    for wanted in (number, None):  # one that there is not shows the one that counts
        try:
            return service.get(wanted), service.list_versions()
        except NotFound:
            continue
    return None, ()

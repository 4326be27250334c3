"""The frame around every page: header, language, theme, keyboard help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from html import escape
from urllib.parse import quote

from nicegui import ui

from alerts.console.context import Visitor
from alerts.console.elements import WEB, Node
from alerts.console.texts import Words
from alerts.services.rights import Right

STATIC = "/console/static"
# which right each page asks for; the header shows what its visitor may open
PAGE_RIGHTS = {
    "/": Right.LOOK,
    "/incidents/{incident_id}": Right.LOOK,
    "/report": Right.REPORT,
    "/cameras": Right.FLEET,
    "/cameras/{edge}/{camera}": Right.FLEET,
    "/statistics": Right.LOOK,
    "/catalogue": Right.LOOK,
    "/areas": Right.LOOK,
    "/users": Right.ADMIN,
    "/audit": Right.ADMIN,
}
_NAV = (
    ("wall", "/"),
    ("report", "/report"),
    ("cameras", "/cameras"),
    ("statistics", "/statistics"),
    ("catalogue", "/catalogue"),
    ("areas", "/areas"),
    ("users", "/users"),
    ("audit", "/audit"),
)
LOGO = (
    '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" '
    'stroke-linejoin="round" aria-hidden="true"><path d="M8 21 11 9h2l3 12M9.5 15h5M6 21h12"/>'
    '<circle cx="12" cy="6" r="1.6" fill="currentColor"/>'
    '<path d="M7.5 9.5a5.5 5.5 0 0 1 0-7M16.5 9.5a5.5 5.5 0 0 0 0-7"/></svg>'
)
_THEME_ICON = (
    '<svg viewBox="0 0 24 24" aria-hidden="true">'
    '<circle cx="12" cy="12" r="8" fill="none" stroke="currentColor" stroke-width="2"/>'
    '<path d="M12 4a8 8 0 0 1 0 16z" fill="currentColor"/></svg>'
)
_OUT_ICON = (
    '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" '
    'stroke-linejoin="round" aria-hidden="true"><path d="M10 4H5v16h5M14 8l4 4-4 4M18 12H9"/></svg>'
)
KEYS = (
    (("j", "k"), "key_move"),
    (("Enter",), "key_open"),
    (("c",), "key_confirm"),
    (("d",), "key_dismiss"),
    (("g",), "key_dispatch"),
    (("a", "o", "h", "p"), "key_task"),
    (("u",), "key_withdraw"),
    (("v",), "key_check"),
    (("s",), "key_send_back"),
    (("x",), "key_close"),
    (("e",), "key_evaluate"),
    (("m",), "key_merge"),
    (("f",), "choose_flow"),
    (("r",), "key_reopen"),
    (("n",), "key_next"),
    (("Esc",), "key_up"),
    (("b",), "key_boxes"),
    (("z",), "key_zones"),
    (("?",), "key_help"),
)


@cache
def asset(name: str) -> str:
    """Return the path of a static file with its digest, so that browsers may keep it for ever."""
    return f"{STATIC}/{name}?v={sha256((WEB / name).read_bytes()).hexdigest()[:12]}"


def html(code: str, tag: str = "span") -> ui.html:
    """Show our own constant markup; never pass anything that came from outside unescaped."""
    return ui.html(code, sanitize=False, tag=tag)


def el(tag: str, classes: str = "", text: str = "") -> Node:
    """Make an element with classes and text; the text is escaped by the browser's template."""
    element = Node(tag, text)
    if classes:
        element.classes(classes)
    return element


def attributes(element: Node, **values: object) -> Node:
    """Set HTML attributes as they are, without the parsing of ``props``; None removes one."""
    for name, value in values.items():
        key = name.rstrip("_").replace("_", "-")
        if value is None:
            element.props.pop(key, None)
        else:
            element.props[key] = value
    element.update()
    return element


@contextmanager
def frame(visitor: Visitor, current: str, title: str) -> Iterator[None]:
    """Open a page: head, header, help; the block fills what is below the header."""
    words, base = visitor.words, visitor.base
    ui.page_title(f"{title} · {visitor.console.settings.title}")
    ui.add_head_html(
        f'<link rel="icon" href="{base}{asset("favicon.svg")}">'
        f'<link rel="stylesheet" href="{base}{asset("console.css")}">'
        f'<script src="{base}{asset("keys.js")}"></script>'
        f'<script>document.documentElement.lang = "{words.locale}"</script>'
    )
    ui.dark_mode({"auto": None, "light": False, "dark": True}[visitor.theme])
    with el("div", "tw-page"):
        _header(visitor, current)
        yield


def _header(visitor: Visitor, current: str) -> None:
    words, base = visitor.words, visitor.base
    with el("header", "tw-head"):
        with attributes(el("a", "tw-brand"), href=f"{base}/", aria_label=visitor.console.settings.title):
            html(LOGO, "i")
            el("span", text=visitor.console.settings.title)
        menu = attributes(el("button", "tw-icon tw-menu", "☰"), type="button", aria_label=words("menu"))
        menu.on("click", js_handler='(e) => e.currentTarget.parentNode.toggleAttribute("data-menu")')
        with el("nav", "tw-navs"):
            for key, path in _NAV:
                if PAGE_RIGHTS[path] in visitor.user.rights:
                    link = el("a", "tw-nav", words(key))
                    attributes(link, href=base + path, aria_current="page" if key == current else None)
        el("div", "tw-gap")
        _switches(visitor)


def _switches(visitor: Visitor) -> None:
    words = visitor.words
    back = quote(visitor.path, safe="")
    other = "en" if words.language == "zh" else "zh"
    prefs = f"{visitor.base}/console/prefs?next={back}"
    help_ = _help(words)
    button = attributes(el("button", "tw-icon", "?"), data_key="?", title=words("help"), type="button")
    button.on("click", help_.open)
    link = el("a", "tw-icon", "English" if other == "en" else "中文")
    attributes(link, href=f"{prefs}&lang={other}", lang=other)
    theme = {"auto": "dark", "dark": "light", "light": "auto"}[visitor.theme]
    with attributes(el("a", "tw-icon"), href=f"{prefs}&theme={theme}", title=words("theme")):
        html(_THEME_ICON)
    el("span", "tw-user", visitor.user.name)
    form = attributes(el("form"), method="post", action=f"{visitor.base}/logout", style="display:contents")
    with form, attributes(el("button", "tw-icon"), title=words("logout"), aria_label=words("logout")):
        html(_OUT_ICON)


def _help(words: Words) -> ui.dialog:
    with ui.dialog() as dialog, el("div", "tw-dialog"):
        html(_keys(words), "div")
    return dialog


@cache
def _keys(words: Words) -> str:
    """Return the table of keys; one element for all of it, since every page of every browser has one."""
    rows = "".join(
        "<span>"
        + "".join(f"<kbd>{escape(key)}</kbd>" for key in keys)
        + f"</span><span>{escape(words(text))}</span>"
        for keys, text in KEYS
    )
    return f'<h2>{escape(words("help"))}</h2><div class="tw-keys" style="margin-top:12px">{rows}</div>'

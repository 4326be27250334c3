"""Tables as one piece of markup: cheap to send, and the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

NUMBER = "tw-num"
Head = tuple[str, str]  # text and class
Cell = tuple[str, str]  # markup, escaped already, and class


def table_html(heads: Sequence[Head], body: Sequence[Sequence[Cell]], empty: str) -> str:
    """Return a table, or what it says when it is empty."""
    if not body:
        return f'<div class="tw-empty">{escape(empty)}</div>'
    head = "".join(f'<th class="{css}" scope="col">{escape(text)}</th>' for text, css in heads)
    rows = "".join(
        "<tr>" + "".join(f'<td class="{css}">{text}</td>' for text, css in cells) + "</tr>" for cells in body
    )
    return (
        f'<div class="tw-scroll" tabindex="0"><table class="tw-table"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def plain(text: str, css: str = "") -> Cell:
    """Make a cell of text from anywhere."""
    return escape(text), css

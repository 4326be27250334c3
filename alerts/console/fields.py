"""Fields of a form: what the browser sends is kept by name, as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from alerts.console.elements import Node
from alerts.console.shell import attributes, el

# Enter in a line of text does what Enter does elsewhere in the dialog
_ENTER = """(e) => { e.preventDefault();
    e.target.closest(".tw-dialog")?.querySelector('[data-key="Enter"]:not([disabled])')?.click(); }"""


class Fields:
    """The fields of one form; ``on_change`` is called after each change."""

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        """Begin without fields."""
        self.values: dict[str, str] = {}
        self.chosen: dict[str, set[str]] = {}
        self._on_change = on_change

    def text(self, name: str, label: str, *, kind: str = "text", **more: Any) -> Node:
        """Make an empty line of text; return its row."""
        with el("label", "tw-row-field") as row:
            el("span", text=label)
            line = attributes(el("input", "tw-input"), type=kind, name=name, **more)
        self.watch(name, line, "input")
        line.on("keydown.enter", js_handler=_ENTER)
        return row

    def choice(self, name: str, label: str, options: Mapping[str, str], value: str = "") -> Node:
        """Make a list to choose from, of names by value; return its row."""
        with el("label", "tw-row-field") as row:
            el("span", text=label)
            with attributes(el("select", "tw-input"), name=name) as field:
                for key, text in options.items():
                    attributes(el("option", text=text), value=key, selected=key == value or None)
        self.watch(name, field, "change", value)
        return row

    def flags(self, name: str, label: str, options: Mapping[str, str], on: Iterable[str] = ()) -> Node:
        """Make chips, any of which may be on; return their row."""
        chosen = self.chosen[name] = set(on)

        def toggle(chip: Node, key: str) -> None:
            chosen.symmetric_difference_update({key})
            attributes(chip, aria_pressed=str(key in chosen).lower())
            self._on_change()

        with attributes(el("div", "tw-row-field"), role="group", aria_label=label) as row:
            el("span", text=label)
            with el("div", "tw-bar"):
                for key, text in options.items():
                    chip = attributes(el("button", "tw-chip", text), type="button", data_flag=key)
                    attributes(chip, aria_pressed=str(key in chosen).lower())
                    chip.on("click", partial(toggle, chip, key))
        return row

    def watch(self, name: str, node: Node, event: str, value: str = "") -> None:
        """Keep what a field holds, from now on and after each ``event``."""
        self.values[name] = value

        def take(sent: Any) -> None:
            self.values[name] = str(sent.args)
            self._on_change()

        node.on(event, take, js_handler="(e) => emit(e.target.value)")

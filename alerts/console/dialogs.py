"""Dialogs that a page asks with: a title, perhaps a note, and one way to do it and one to leave it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nicegui import Client, ui

from alerts.console.elements import Node
from alerts.console.shell import attributes, el
from alerts.console.texts import Words
from alerts.services.rights import Right

MAX_NOTE = 512


class Dialogs(ABC):
    """What a page that asks is made of; the page says how something is done."""

    _client: Client
    _words: Words

    @abstractmethod
    async def do(
        self, call: Callable[[str], Any], name: str = "", *, right: Right = Right.ACT, **what: int | str
    ) -> None:
        """Do something in the name of who is logged in; every page does it in its own way."""

    @contextmanager
    def dialog(self, title: str) -> Iterator[ui.dialog]:
        """Make a dialog with a title; the block fills it, :meth:`open_once` shows it."""
        with self._client, ui.dialog() as dialog, el("div", "tw-dialog"):
            el("h2", text=title)
            yield dialog

    def note_dialog(
        self,
        name: str,
        label: str,
        call: Callable[[str, str], Any],
        *,
        right: Right = Right.ACT,
        needed: bool = False,
        **what: int | str,
    ) -> None:
        """Ask for a note, then call with it and the user's name; ``needed`` keeps an empty one back.

        ``what`` it is about, as :meth:`do` takes it.
        """

        def allow(text: str) -> None:
            attributes(submit, disabled="" if needed and not text.strip() else None)

        with self.dialog(name) as dialog:
            note = self.note_box(self._words(label), on_text=allow)

            async def done() -> None:
                dialog.close()
                await self.do(lambda user: call(note["text"], user), name, right=right, **what)

            submit = self.dialog_end(dialog, name, done)
            allow("")
        self.open_once(dialog)

    @staticmethod
    def note_box(
        label: str, *, rows: int = 3, on_text: Callable[[str], None] = lambda _text: None
    ) -> dict[str, str]:
        """Make a box for text; return what will hold it under ``text``."""
        note = {"text": ""}

        def take(event: Any) -> None:
            note["text"] = str(event.args)[:MAX_NOTE]
            on_text(note["text"])

        box = attributes(el("textarea", "tw-input"), placeholder=label, aria_label=label)
        attributes(box, maxlength=MAX_NOTE, rows=rows)
        box.on("input", take, js_handler="(e) => emit(e.target.value)")
        return note

    def dialog_end(self, dialog: ui.dialog, name: str, done: Callable[[], Any]) -> Node:
        """Make the last line of a dialog, with its way out; return the button that does it."""
        with el("div", "tw-dialog-end"):
            cancel = attributes(el("button", "tw-btn tw-quiet"), type="button")
            cancel.on("click", dialog.close)
            with cancel:
                el("span", text=self._words("cancel"))
                el("kbd", text="Esc")
            submit = attributes(el("button", "tw-btn tw-primary"), type="button", data_key="Enter")
            submit.on("click", done)
            with submit:
                el("span", text=name)
                el("kbd", text="Enter")
        return submit

    @staticmethod
    def open_once(dialog: ui.dialog) -> None:
        """Open a dialog that goes for good when it closes; the next one starts afresh."""
        dialog.on("hide", dialog.delete)
        dialog.open()

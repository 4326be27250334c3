"""What a page that asks and acts is made of: dialogs, and one way to do something in a person's name."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from nicegui import Client, ui
from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool

from alerts.console.context import Visitor, push
from alerts.console.elements import Node
from alerts.console.shell import attributes, el
from alerts.evidence import picture_type
from alerts.services.errors import Conflict, ServiceError
from alerts.services.rights import Right
from alerts.services.views import UserView
from alerts.states import IllegalTransition
from towerwatch.logs import get_logger

MAX_NOTE = 512
NOTICE_MS = 2500
_ICONS = {"positive": "check_circle", "warning": "warning", "negative": "error"}
_AWAY = (DBAPIError, OSError)  # the database cannot be reached, the disk is full

log = get_logger(__name__)


class Dialogs(ABC):
    """A page that asks; :attr:`right` is what its actions need unless they say otherwise."""

    right: ClassVar[Right] = Right.ACT
    # what the page says of a conflict; without a text, the service's own words
    conflict: ClassVar[str | None] = None

    def __init__(self, visitor: Visitor, client: Client) -> None:
        """Keep who looks."""
        self.visitor = visitor
        self._words = visitor.words
        self._client = client
        self._busy = asyncio.Lock()

    @abstractmethod
    async def refresh(self) -> None:
        """Read again what the page shows, and show what is new."""

    async def may(self, user: UserView, right: Right, what: dict[str, int | str]) -> bool:
        """Say whether a person may do something now, about ``what`` the page knows."""
        incidents = self.visitor.console.services.incidents
        return right in user.rights and await run_in_threadpool(incidents.sees, user.within, **what)

    async def do(
        self,
        call: Callable[[str], Any],
        name: str = "",
        *,
        right: Right | None = None,
        **what: int | str,
    ) -> bool:
        """Do something in the name of who is logged in now, show the new state, say what came of it.

        The rights of now decide, and whether this person sees ``what`` it is about; True when it was done.
        """
        async with self._busy:
            try:
                return await self._carry_out(call, name, right or self.right, what)
            except _AWAY as error:
                self._not_kept(error)
                return False

    async def _carry_out(
        self, call: Callable[[str], Any], name: str, right: Right, what: dict[str, int | str]
    ) -> bool:
        words, done = self._words, False
        user = await self.visitor.still_in()
        if user is None or not await self.may(user, right, what):
            self.say(words("may_not") if user else words("expired"), "negative")
            return False
        try:
            await run_in_threadpool(call, user.name)
            done = True
            if name:
                self.say(words("done", action=name), "positive")
        except (Conflict, IllegalTransition) as error:
            known = self.conflict
            self.say(words(known) if known else words("refused", why=words.refusal(error)), "warning")
        except ServiceError as error:
            self.say(words("refused", why=words.refusal(error)), "negative")
        await self.refresh()
        return done

    async def keep_picture(self, data: bytes, user: str) -> str | None:
        """Keep a picture that somebody hands in; None, once that is said, where it is none or cannot be."""
        keep, media_type = self.visitor.console.keep_picture, picture_type(data)
        if media_type is None or keep is None:
            self.say(self._words("no_picture"), "warning")
            return None
        try:
            return await run_in_threadpool(keep, data, media_type, user)
        except _AWAY as error:
            self._not_kept(error)
            return None

    def _not_kept(self, error: Exception) -> None:
        log.error("what somebody did could not be kept", user=self.visitor.user.name, error=str(error))
        self.say(self._words("not_kept"), "negative")

    def say(self, text: str, kind: str) -> None:
        """Show a line for a moment; kind is positive, warning or negative."""
        with self._client:
            ui.notify(text, icon=_ICONS[kind], color="dark", position="bottom", timeout=NOTICE_MS)
        push(self._client, "document.activeElement?.blur()")

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
        right: Right | None = None,
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

    def sure_dialog(self, name: str, text: str, call: Callable[[str], Any]) -> None:
        """Ask whether somebody is sure, then call with the user's name."""
        with self.dialog(name) as dialog:
            el("p", "tw-dim", text)

            async def done() -> None:
                dialog.close()
                await self.do(call, name)

            self.dialog_end(dialog, name, done)
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

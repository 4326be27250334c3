"""Bring a file in: whole or not at all, with everything that is wrong in it as a table."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from nicegui import events, ui
from starlette.concurrency import run_in_threadpool

from alerts.console.dialogs import Dialogs
from alerts.console.elements import Node
from alerts.console.shell import attributes, el, html
from alerts.console.tables import NUMBER, plain, table_html
from towerwatch.errors import ConfigError, Problem

SHOWN = 200  # problems
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Import(Generic[Value]):
    """What one kind of file is: how it is read (raises ConfigError), described, and made to count."""

    name: str
    hint: str
    accept: str
    max_bytes: int
    read: Callable[[Path], Value]
    size: Callable[[Value], str]
    take: Callable[[Value, str], object]  # with the person's name


def import_dialog(page: Dialogs, what: Import[Value]) -> None:
    """Ask for a file; show what is wrong with it, or what it holds and a way to make it count."""
    words = page.visitor.words
    ready: list[Value] = []

    async def take(event: events.UploadEventArguments) -> None:
        ready.clear()
        attributes(submit, disabled="")
        try:
            ready.append(await run_in_threadpool(_read, event.file.name, await event.file.read(), what.read))
        except ConfigError as error:
            _show_problems(result, error, page)
            return
        result.clear()
        with result:
            el("p", "tw-ok", words("file_good", size=what.size(ready[0])))
        attributes(submit, disabled=None)

    with page.dialog(what.name) as dialog:
        dialog.classes("tw-wide")
        el("p", "tw-dim", what.hint)
        upload = ui.upload(
            label=words("choose_file"), on_upload=take, auto_upload=True, max_file_size=what.max_bytes
        )
        upload.props(f'flat bordered accept="{what.accept}"').classes("tw-upload")
        result = attributes(el("div", "tw-problems"), role="status")

        async def done() -> None:
            dialog.close()
            value = ready[0]
            await page.do(lambda user: what.take(value, user), what.name)

        submit = attributes(page.dialog_end(dialog, what.name, done), disabled="")
    page.open_once(dialog)


def _read(name: str, data: bytes, read: Callable[[Path], Value]) -> Value:
    """Read a file as if it lay on the disk, since that is how the readers take it."""
    with tempfile.TemporaryDirectory(prefix="towerwatch-") as folder:
        path = Path(folder) / f"upload{Path(name).suffix.lower()}"
        path.write_bytes(data)
        return read(path)


def _show_problems(result: Node, error: ConfigError, page: Dialogs) -> None:
    words = page.visitor.words
    problems = error.problems or [Problem("", None, "", str(error))]
    rows = [
        [
            plain(str(problem.line) if problem.line is not None else "", NUMBER),
            plain(problem.key),
            plain(words.mistake(problem.message), "tw-detail"),
        ]
        for problem in problems[:SHOWN]
    ]
    heads = [(words("line"), NUMBER), (words("column"), ""), (words("problem"), "")]
    result.clear()
    with result:
        attributes(el("p", "tw-bad", words("file_bad", count=len(problems))), role="alert")
        html(table_html(heads, rows, ""), "div")

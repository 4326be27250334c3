"""The audit: who changed what and when, and whether the chain of all changes is unbroken."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import urlencode

from fastapi.responses import Response
from nicegui import Client
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from alerts import texts as shared
from alerts.console.context import Visitor
from alerts.console.formats import local
from alerts.console.shell import attributes, el, frame, html
from alerts.console.tables import NUMBER, Cell, plain, table_html
from alerts.console.texts import Words
from alerts.console.texts_city import AUDIT_ACTIONS, AUDIT_KEYS, AUDIT_SUBJECTS
from alerts.services.audit_log import AuditFilter
from alerts.services.names import Names
from alerts.services.rights import Right
from alerts.services.views import AuditView
from alerts.store.journal import SYSTEM

PAGE = 100
_MAX_DETAIL = 160  # characters; the rest shows where one points at it
# what some keys of a detail hold, by its name
_NAMED: dict[str, Mapping[Any, tuple[str, str]]] = {
    "from": shared.STATES,
    "to": shared.STATES,
    "reason": shared.DISMISS_REASONS,
    "verdict": shared.VERDICTS,
    "role": shared.ROLES,
    "stage": shared.STAGES,
    "score": shared.SCORES,
}


async def audit_page(visitor: Visitor, client: Client, request: Request) -> Response | None:
    """``/audit``: the newest changes, of all or of those that the address asks for."""
    query = {key: value.strip() for key, value in request.query_params.items() if value.strip()}
    service = visitor.console.services.audit
    page = await run_in_threadpool(service.list_rows, wanted(query), PAGE)
    actors = {row.actor for row in page.items}
    names = await run_in_threadpool(visitor.names.knowing, visitor.console.services, actors)
    words = visitor.words
    with frame(visitor, "audit", words("audit")), el("main", "tw-body"):
        _form(visitor, client, query)
        with el("section", "tw-panel"):
            rows = [_row(visitor, row, names) for row in page.items]
            heads = [(words("number"), NUMBER), (words("when"), ""), (words("who"), ""), (words("what"), "")]
            html(
                table_html([*heads, (words("about"), ""), (words("detail"), "")], rows, words("no_audit")),
                "div",
            )
            if page.next_before is not None:
                older = urlencode(query | {"before": str(page.next_before)})
                link = el("a", "tw-more tw-link", words("older"))
                attributes(link, href=f"{visitor.base}/audit?{older}")
    return None


def wanted(query: Mapping[str, str]) -> AuditFilter:
    """Read a filter from the address; an incident is asked for by its number."""
    incident, before = query.get("incident", "").lstrip("#"), query.get("before", "")
    return AuditFilter(
        actor=query.get("who"),
        action=query.get("what"),
        subject=f"incident {incident}" if incident else None,
        before=int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None,
    )


def _form(visitor: Visitor, client: Client, query: Mapping[str, str]) -> None:
    words = visitor.words
    with el("div", "tw-bar"):
        with attributes(el("form", "tw-bar"), method="get", action=f"{visitor.base}/audit"):
            for name, label in (("who", "who"), ("incident", "incident_number")):
                with el("label", "tw-field", words(label)):
                    field = attributes(el("input", "tw-input"), name=name, maxlength=64)
                    attributes(
                        field, value=query.get(name), inputmode="numeric" if name == "incident" else None
                    )
            with (
                el("label", "tw-field", words("what")),
                attributes(el("select", "tw-input"), name="what"),
            ):
                chosen = query.get("what", "")
                for key, text in {"": words("all"), **_actions(words)}.items():
                    attributes(el("option", text=text), value=key, selected=key == chosen or None)
            attributes(el("button", "tw-btn", words("period_show")), type="submit")
        verify = attributes(el("button", "tw-btn", words("verify_audit")), type="button", data_do="verify")
        result = attributes(el("p", "tw-result"), role="status")

    async def check() -> None:
        user = await visitor.still_in()
        if user is None or Right.ADMIN not in user.rights:
            result.text = words("may_not") if user else words("expired")
            return
        attributes(verify, disabled="")
        result.text = words("verifying")
        found = await run_in_threadpool(visitor.console.services.audit.verify)
        if client.is_deleted:
            return
        result.classes(replace="tw-result tw-bad" if found.fault else "tw-result tw-ok")
        result.text = (
            words("audit_broken", fault=found.fault, rows=found.rows)
            if found.fault
            else words("audit_good", rows=found.rows, head=f"{found.rows}:{found.head}")
        )
        attributes(verify, disabled=None)

    verify.on("click", check)


def _actions(words: Words) -> dict[str, str]:
    """Return what can be asked for, by name."""
    keys = [*AUDIT_ACTIONS, "confirm", "dismiss", "dispatch", "accept", "arrive", "handle", "close", "reopen"]
    return {key: _action(key, words) for key in keys}


def _action(key: str, words: Words) -> str:
    return words.name(AUDIT_ACTIONS, key) if key in AUDIT_ACTIONS else words.line(key)


def _row(visitor: Visitor, row: AuditView, names: Names) -> list[Cell]:
    words = visitor.words
    person = names.person(row.actor)
    who = words("system") if row.actor == SYSTEM else row.actor
    detail = _detail(row.detail, words)
    short = detail if len(detail) <= _MAX_DETAIL else detail[:_MAX_DETAIL] + "…"
    return [
        plain(str(row.seq), NUMBER),
        plain(local(row.at, visitor.console.zone), "tw-when"),
        plain(who if person == row.actor else f"{person} ({who})"),
        plain(_action(row.action, words)),
        _subject(row.subject, visitor),
        (f'<span title="{escape(detail)}">{escape(short)}</span>', "tw-detail"),
    ]


def _subject(subject: str, visitor: Visitor) -> Cell:
    kind, _, key = subject.partition(" ")
    name = visitor.words.name(AUDIT_SUBJECTS, kind)
    if kind == "incident" and key.isdigit():
        return f'<a class="tw-link" href="{visitor.base}/incidents/{key}">#{key}</a>', ""
    return plain(f"{name} {key}".strip())


def _detail(text: str, words: Words) -> str:
    """Return a row's detail as pairs of key and value, what is empty left out."""
    pairs = [
        f"{words.name(AUDIT_KEYS, key)} {_value(value, _NAMED.get(key, {}), words)}"
        for key, value in json.loads(text).items()
        if value not in (None, "", [], {})
    ]
    return " · ".join(pairs)


def _value(value: object, table: Mapping[Any, tuple[str, str]], words: Words) -> str:
    values = value if isinstance(value, list) else [value]
    return ", ".join(str(one) if isinstance(one, dict | list) else words.name(table, one) for one in values)

"""People, scripts and boxes: who may come in, what they may do, and until when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi.responses import Response
from nicegui import Client
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from alerts import texts as shared
from alerts.console.context import Visitor
from alerts.console.dialogs import Dialogs
from alerts.console.elements import Node
from alerts.console.fields import Fields
from alerts.console.formats import local
from alerts.console.shell import attributes, el, frame
from alerts.services.people import MIN_PASSWORD
from alerts.services.rights import ROLE_RIGHTS, Right, Within
from alerts.services.views import AccountView, EdgeView, TokenView
from towerwatch.timebase import utc_now

_LIVES = ("30", "90", "365", "")
_BOXES_SHOWN = 30


@dataclass(frozen=True, slots=True)
class _Shown:
    users: tuple[AccountView, ...]
    tokens: tuple[TokenView, ...]
    edges: tuple[EdgeView, ...]


class PeoplePage(Dialogs):
    """The page of accounts, for administrators."""

    right = Right.ADMIN

    def __init__(self, visitor: Visitor, client: Client, shown: _Shown) -> None:
        """Keep what is shown; :meth:`build` makes the page."""
        super().__init__(visitor, client)
        self._shown = shown
        self._wanted = ""  # part of the id of a box
        self._lists: list[tuple[Node, Callable[[], None]]] = []

    def build(self) -> None:
        """Make the page."""
        words = self._words
        with frame(self.visitor, "users", words("users")), el("main", "tw-body"):
            self._panel("users", self._users, ("add_user", self._user_dialog))
            self._panel("tokens", self._tokens, ("add_token", self._token_dialog))
            self._panel("edges", self._boxes, None)

    def _panel(self, name: str, fill: Callable[[], None], add: tuple[str, Callable[[], None]] | None) -> None:
        words = self._words
        with el("section", "tw-panel"):
            with el("div", "tw-panel-head"):
                el("h2", text=words(name))
                if add is not None:
                    button = attributes(el("button", "tw-btn", words(add[0])), type="button")
                    attributes(button, data_add=name)
                    button.on("click", add[1])
                else:
                    find = attributes(el("input", "tw-input"), type="search", placeholder=words("find_box"))
                    attributes(find, aria_label=words("find_box"))
                    find.on("input", self._find, js_handler="(e) => emit(e.target.value)", throttle=0.3)
            node = attributes(el("div", "tw-scroll"), tabindex=0)
            self._lists.append((node, fill))
            with node:
                fill()

    async def refresh(self) -> None:
        """Read all lists again and show them."""
        self._shown = await run_in_threadpool(_read, self.visitor)
        self._show()

    def _show(self) -> None:
        if self._client.is_deleted:
            return
        with self._client:
            for node, fill in self._lists:
                node.clear()
                with node:
                    fill()

    def _find(self, event: Any) -> None:
        self._wanted = str(event.args)[:64].strip().lower()
        self._show()

    # what is listed

    def _users(self) -> None:
        words, zone = self._words, self.visitor.console.zone
        heads = ("name", "role", "area", "department", "created", "state", "")
        with self._table(heads):
            for user in self._shown.users:
                off = user.disabled_at is not None
                with el("tr", "tw-off" if off else ""):
                    self._cells(user.name, words.name(shared.ROLES, user.role), *self._where(user))
                    self._cells(local(user.created_at, zone)[:10], words("disabled" if off else "active"))
                    with el("td", "tw-do"):
                        self._do("change", partial(self._user_dialog, user))
                        self._do("reset_password", partial(self._password_dialog, user.name))
                        self._do("enable" if off else "disable", partial(self._switch, user))

    def _tokens(self) -> None:
        words, zone = self._words, self.visitor.console.zone
        if not self._shown.tokens:
            el("div", "tw-empty", words("no_tokens"))
            return
        with self._table(("token_for", "role", "scopes", "area", "department", "ends", "state", "")):
            for token in self._shown.tokens:
                over = token.expires_at is not None and token.expires_at <= utc_now()
                off = token.revoked_at is not None
                state = "revoked" if off else "ended" if over else "active"
                rights = ROLE_RIGHTS[token.role] if token.scopes is None else token.scopes
                scopes = ", ".join(words(f"right_{right}") for right in Right if right in rights)
                with el("tr", "tw-off" if off or over else ""):
                    self._cells(token.name, words.name(shared.ROLES, token.role), scopes, *self._where(token))
                    ends = local(token.expires_at, zone)[:10] if token.expires_at else words("never")
                    self._cells(ends, words(state))
                    with el("td", "tw-do"):
                        if not off:
                            self._do("revoke", partial(self._revoke_token, token.name))

    def _boxes(self) -> None:
        words, zone = self._words, self.visitor.console.zone
        found = [edge for edge in self._shown.edges if self._wanted in edge.id.lower()]
        if not found:
            el("div", "tw-empty", words("no_boxes"))
            return
        with self._table(("edge", "site", "enrolled", "health_at", "state", "")):
            for edge in found[:_BOXES_SHOWN]:
                off = edge.revoked_at is not None
                state = "revoked" if off else "online" if edge.online else "offline"
                with el("tr", "tw-off" if off else ""):
                    enrolled = local(edge.enrolled_at, zone)[:10] if edge.enrolled_at else ""
                    heard = local(edge.health_received_at, zone)[:16] if edge.health_received_at else ""
                    self._cells(edge.id, edge.site, enrolled, heard, words(state))
                    with el("td", "tw-do"):
                        if not off and self.visitor.console.revoke_box is not None:
                            self._do("revoke", partial(self._revoke_box, edge.id))
        if len(found) > _BOXES_SHOWN:
            el("p", "tw-note tw-pad", words("shown_of", shown=_BOXES_SHOWN, count=len(found)))

    def _table(self, heads: Sequence[str]) -> Node:
        table = el("table", "tw-table")
        with table, el("thead"), el("tr"):
            for head in heads:
                attributes(el("th", text=self._words(head) if head else ""), scope="col")
        with table:
            return el("tbody")

    @staticmethod
    def _cells(*texts: str) -> None:
        for text in texts:
            el("td", text=text)

    def _do(self, name: str, call: Callable[[], Any]) -> None:
        button = attributes(el("button", "tw-link", self._words(name)), type="button", data_do=name)
        button.on("click", call)

    def _where(self, who: AccountView | TokenView) -> tuple[str, str]:
        names, words = self.visitor.names, self._words
        area = names.area(who.area) if who.area else words("whole_city")
        return area, names.department(who.department) if who.department else ""

    # what is done

    def _place_fields(self, fields: Fields, who: AccountView | None) -> Callable[[], None]:
        """Make the fields of role and place; return what shows those that the role has."""
        names, words = self.visitor.names, self._words
        role = who.role if who else "operator"
        fields.choice("role", words("role"), words.names(shared.ROLES), role)
        areas = {"": words("whole_city"), **names.areas}
        area = fields.choice("area", words("area"), areas, (who.area if who else None) or "")
        departments = {"": words("no_department"), **names.departments}
        department = fields.choice(
            "department", words("department"), departments, (who.department if who else None) or ""
        )

        def fit() -> None:
            role = fields.values["role"]
            area.set_visibility(role != "administrator")
            department.set_visibility(role not in {"administrator", "grid_worker"})

        fit()
        return fit

    def _user_dialog(self, user: AccountView | None = None) -> None:
        words, people = self._words, self.visitor.console.services.people
        name = words("change" if user else "add_user")

        def check() -> None:
            fit()
            missing = user is None and (
                not fields.values["name"].strip() or len(fields.values["password"]) < MIN_PASSWORD
            )
            attributes(submit, disabled="" if missing else None)

        fields = Fields(check)

        with self.dialog(f"{name} · {user.name}" if user else name) as dialog:
            if user is None:
                fields.text("name", words("name"), maxlength=64, autocomplete="off")
                hint = words("password_hint", count=MIN_PASSWORD)
                fields.text("password", words("password"), kind="password", placeholder=hint,
                            autocomplete="new-password")  # fmt: skip
            fit = self._place_fields(fields, user)

            async def done() -> None:
                dialog.close()
                values, where = fields.values, _within(fields)
                if user is None:
                    await self.do(
                        lambda by: people.create_user(
                            values["name"].strip(), values["password"], values["role"], where=where, by=by
                        ),
                        name,
                    )
                    return
                off = user.disabled_at is not None
                await self.do(
                    lambda by: people.change_user(
                        user.name, values["role"], where=where, disabled=off, by=by
                    ),
                    name,
                )

            submit = self.dialog_end(dialog, name, done)
            check()
        self.open_once(dialog)

    def _password_dialog(self, user: str) -> None:
        words, people = self._words, self.visitor.console.services.people
        name = words("reset_password")

        def check() -> None:
            attributes(submit, disabled="" if len(fields.values["password"]) < MIN_PASSWORD else None)

        fields = Fields(check)
        with self.dialog(f"{name} · {user}") as dialog:
            el("p", "tw-dim", words("reset_hint"))
            hint = words("password_hint", count=MIN_PASSWORD)
            fields.text("password", words("password"), kind="password", placeholder=hint,
                        autocomplete="new-password")  # fmt: skip

            async def done() -> None:
                dialog.close()
                password = fields.values["password"]
                await self.do(lambda by: people.set_password(user, password, by=by), name)

            submit = attributes(self.dialog_end(dialog, name, done), disabled="")
        self.open_once(dialog)

    def _switch(self, user: AccountView) -> None:
        off = user.disabled_at is None
        people = self.visitor.console.services.people
        self.sure_dialog(
            self._words("disable" if off else "enable"),
            self._words("disable_sure" if off else "enable_sure", name=user.name),
            lambda by: people.change_user(
                user.name, user.role, where=Within(user.area, user.department), disabled=off, by=by
            ),
        )

    def _token_dialog(self) -> None:
        words, people = self._words, self.visitor.console.services.people
        name = words("add_token")

        def check() -> None:
            fit()
            attributes(submit, disabled=None if fields.values["name"].strip() else "")

        fields = Fields(check)

        with self.dialog(name) as dialog:
            fields.text("name", words("token_for"), maxlength=64, autocomplete="off")
            fit = self._place_fields(fields, None)
            fields.flags("scopes", words("scopes"), {right: words(f"right_{right}") for right in Right})
            el("p", "tw-note", words("scopes_hint"))
            lives = {days: words("days", days=days) if days else words("never") for days in _LIVES}
            fields.choice("days", words("ends"), lives, "365")
            made: list[str] = []

            async def done() -> None:
                dialog.close()
                values, days = fields.values, int(fields.values["days"] or 0) or None
                scopes = sorted(fields.chosen["scopes"]) or None
                if await self.do(
                    lambda by: made.append(
                        people.create_token(
                            values["name"].strip(), values["role"], scopes=scopes, where=_within(fields),
                            days=days, by=by,
                        )
                    ),
                    name,
                ):  # fmt: skip
                    self._show_token(made[0])

            submit = self.dialog_end(dialog, name, done)
            check()
        self.open_once(dialog)

    def _show_token(self, token: str) -> None:
        with self.dialog(self._words("token_made")) as dialog:
            el("p", "tw-dim", self._words("token_once"))
            line = attributes(el("input", "tw-input tw-token"), readonly="", value=token, autofocus="")
            line.on("focus", js_handler="(e) => e.target.select()")
            attributes(line, aria_label=self._words("token_made"))
            self.dialog_end(dialog, self._words("noted"), dialog.close)
        self.open_once(dialog)

    def _revoke_token(self, token: str) -> None:
        people = self.visitor.console.services.people
        sure = self._words("revoke_token_sure", name=token)
        self.sure_dialog(self._words("revoke"), sure, lambda by: people.revoke_token(token, by=by))

    def _revoke_box(self, edge: str) -> None:
        revoke = self.visitor.console.revoke_box
        assert revoke is not None  # noqa: S101 - the button is not there without it
        sure = self._words("revoke_box_sure", name=edge)
        self.sure_dialog(self._words("revoke"), sure, lambda by: revoke(edge, by))


def _within(fields: Fields) -> Within:
    """Return the part of the city that a form says; what its role has not is not asked."""
    values = fields.values
    if values["role"] == "administrator":
        return Within()
    department = values["department"] if values["role"] != "grid_worker" else ""
    return Within(values["area"] or None, department or None)


def _read(visitor: Visitor) -> _Shown:
    services = visitor.console.services
    return _Shown(services.people.list_users(), services.people.list_tokens(), services.fleet.list_edges())


async def people_page(visitor: Visitor, client: Client, _request: Request) -> Response | None:
    """``/users``: people, tokens and boxes."""
    PeoplePage(visitor, client, await run_in_threadpool(_read, visitor)).build()
    return None

"""What each route asks for, in one table; what is not in it is refused to everybody.

A rule is a right that a person or a script must have, ``OPEN`` for what anybody may call, or ``EDGE`` for
what an edge box calls with its own token. Whoever sees a part of the city alone is answered 404 for an
incident, task, alert or picture outside of it, as if it were not there.
"""

from __future__ import annotations

import re
from typing import Literal

from fastapi import HTTPException, Request
from fastapi.routing import APIRoute

from alerts.http.auth import COOKIE, CSRF_HEADER, SAFE_METHODS, bearer, user_of_request
from alerts.http.context import Context, context_of
from alerts.services.rights import Right
from alerts.services.views import UserView

Rule = Right | Literal["open", "edge"]
OPEN: Literal["open"] = "open"
EDGE: Literal["edge"] = "edge"

_API: dict[Rule, str] = {
    OPEN: """
        POST /login
    """,
    Right.LOOK: """
        GET  /openapi.json
        GET  /session
        POST /logout
        PUT  /session/password
        GET  /texts
        GET  /events
        GET  /feed
        GET  /incidents
        GET  /incidents/counts
        GET  /incidents/{incident_id}
        GET  /alerts/{alert_id}
        GET  /alerts/{alert_id}/verdicts
        GET  /tasks
        GET  /map/incidents
        GET  /catalogue
        GET  /catalogue/versions
        GET  /catalogue.csv
        GET  /catalogue.xlsx
        GET  /areas
        GET  /in-charge
        GET  /roster
        GET  /statistics
        GET  /statistics.csv
    """,
    Right.FLEET: """
        GET  /edges
        GET  /cameras
        GET  /cameras/{edge}/{camera}/live
        GET  /cameras/{edge}/{camera}/coverage
        GET  /map/cameras
        GET  /parts
    """,
    Right.ACT: """
        POST /incidents/{incident_id}/confirm
        POST /incidents/{incident_id}/dismiss
        POST /incidents/{incident_id}/check
        POST /incidents/{incident_id}/evaluate
        POST /incidents/{incident_id}/flow
        POST /incidents/{incident_id}/merge
        POST /incidents/{incident_id}/split
        POST /incidents/{incident_id}/close
        POST /incidents/{incident_id}/reopen
        POST /incidents/{incident_id}/dispatch
        POST /incidents/{incident_id}/withdraw
        POST /incidents/{incident_id}/send-back
        POST /alerts/{alert_id}/verdict
        POST /alerts/{alert_id}/box-verdict
        PUT  /cameras/{edge}/{camera}/place
    """,
    Right.HANDLE: """
        POST /tasks/{task_id}/accept
        POST /tasks/{task_id}/arrive
        POST /tasks/{task_id}/handle
        POST /tasks/{task_id}/decline
        POST /tasks/{task_id}/pause
        POST /tasks/{task_id}/resume
    """,
    Right.REPORT: """
        POST /pictures
        POST /reports
    """,
    Right.ADMIN: """
        GET  /audit
        GET  /verdicts.zip
        GET  /audit/verify
        POST /catalogue
        POST /areas
        POST /roster
        GET  /users
        POST /users
        PUT  /users/{name}
        PUT  /users/{name}/password
        GET  /tokens
        POST /tokens
        DELETE /tokens/{name}
        DELETE /edges/{edge}
        PUT  /edges/{edge}/config
        GET  /cameras/{edge}/{camera}/zones
        PUT  /cameras/{edge}/{camera}/zones
        GET  /commands/{command_id}
    """,
}
_REST: dict[Rule, str] = {
    OPEN: """
        GET  /healthz
        GET  /login
        POST /login
        POST /logout
        GET  /login/oidc
        GET  /login/oidc/callback
        GET  /console/prefs
    """,
    EDGE: """
        PUT  /evidence/{sha256}
        PUT  /live/{camera}
        GET  /artifacts/{sha256}
    """,
    Right.LOOK: """
        GET  /evidence/{sha256}
        GET  /evidence/{sha256}/play
        GET  /console/map
        GET  /console/sectors
    """,
    Right.FLEET: """
        GET  /metrics
    """,
}


def _table() -> dict[tuple[str, str], Rule]:
    table: dict[tuple[str, str], Rule] = {}
    for prefix, rules in (("/api/v1", _API), ("", _REST)):
        for rule, routes in rules.items():
            for method, path in (line.split() for line in routes.splitlines() if line.strip()):
                table[method, prefix + path] = rule
    return table


RULES = _table()
HEX_DIGITS = 32  # of an alert's id; numbers are shorter
_NUMBER = re.compile("[0-9]{1,18}")
_SHAPES = {
    "incident_id": _NUMBER,
    "task_id": _NUMBER,
    "alert_id": re.compile("[0-9a-f]{32}"),
    "sha256": re.compile("[0-9a-f]{64}"),
}


def guard(request: Request) -> None:
    """Let a request pass to its route, or refuse it: a dependency of the whole application.

    Raises:
        HTTPException: 401 for nobody, 403 without the right, the CSRF token or a rule, 404 for what this
            person does not see.

    """
    route: APIRoute = request.scope["route"]
    rule = RULES.get((request.method, route.path))
    if rule is None:
        raise HTTPException(403, "no rule lets anybody call this")
    if not isinstance(rule, Right):
        return  # a box's token is asked for by the routes of boxes themselves
    context = context_of(request)
    user = user_of_request(request, context.services)
    if user is None:
        raise HTTPException(401, "log in, or send a bearer token", {"WWW-Authenticate": "Bearer"})
    _refuse_foreign_pages(request, context)
    if rule not in user.rights:
        raise HTTPException(403, f"role {user.role} has no right to {rule} here")
    _refuse_elsewhere(request, context, user)
    request.state.user = user


def _refuse_foreign_pages(request: Request, context: Context) -> None:
    if request.method in SAFE_METHODS or bearer(request) is not None:
        return
    csrf = request.headers.get(CSRF_HEADER, "")
    if not context.services.people.csrf_matches(request.cookies.get(COOKIE, ""), csrf):
        raise HTTPException(403, f"header {CSRF_HEADER} is missing or wrong")


def _refuse_elsewhere(request: Request, context: Context, user: UserView) -> None:
    if not user.within:
        return
    what: dict[str, int | str] = {}
    for name, text in request.path_params.items():
        shape = _SHAPES.get(name)
        if shape is None or not shape.fullmatch(text):
            return  # nothing of the city, or something that the route itself refuses
        what[name] = int(text) if text.isdigit() and len(text) < HEX_DIGITS else text
    if not context.services.incidents.sees(user.within, **what):
        raise HTTPException(404, "there is no such thing in your part of the city")

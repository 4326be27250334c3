"""Who may call what: every route, for every role, as the table of rules says; none without a rule."""

import json
import re
from contextlib import contextmanager

import httpx
import pytest
from area_kit import town
from central_kit import alert, apply_all, camera_health, health, hex_id, incoming, picture, place
from fastapi.routing import APIRoute
from sqlalchemy import update

from alerts.areas.geojson import read_areas
from alerts.config import ServeSettings
from alerts.http.access import EDGE, OPEN, RULES
from alerts.http.app import create_app, make_api
from alerts.http.context import make_context
from alerts.inbox import Inbox
from alerts.services.rights import ROLE_RIGHTS, Right, Within
from alerts.states import State
from alerts.store.tables import ApiToken, Incident
from alerts.texts import ROLES
from alerts.web import WebServer
from towerwatch.timebase import utc_now

JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 100
WHERE = {"department": {"department": "police"}, "grid_worker": {"area": "g1"}}
PATHS = {"sha256": "0" * 64, "alert_id": "0" * 32}


@pytest.fixture
def context(config, sqlite, tmp_path):
    context = make_context(config, sqlite)
    (tmp_path / "areas.geojson").write_text(json.dumps(town()), encoding="utf-8")
    context.services.areas.import_areas(read_areas(tmp_path / "areas.geojson"), "li")
    return context


@contextmanager
def served(app, context):
    """The address of an application on a real server."""
    server = WebServer(app, ServeSettings(port=0), context.database)
    server.start()
    try:
        yield server.url
    finally:
        assert server.stop(8)


@pytest.fixture
def url(context):
    with served(make_api(context), context) as url:
        yield url


@pytest.fixture
def client_of(context, url):
    """Make clients with a token each."""
    clients = []

    def make(role, scopes=None, **where):
        token = context.services.people.create_token(
            f"{role}-{len(clients)}", role, scopes=scopes, where=Within(**where)
        )
        clients.append(httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=20))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def routes_of(routes):
    """All routes, those of included routers too, which FastAPI keeps as branches."""
    found = set()
    for route in routes:
        if isinstance(route, APIRoute):
            found |= {(method, route.path) for method in route.methods}
        elif (branch := getattr(route, "original_router", None)) is not None:
            found |= routes_of(branch.routes)
    return found


def test_no_route_is_without_a_rule_and_no_rule_without_a_route(config, sqlite):
    """A new route fails here until somebody has said who may call it."""
    found = routes_of(create_app(make_context(config, sqlite), console=True).routes)
    assert found == set(RULES)


def test_a_route_without_a_rule_is_refused_to_everybody(context):
    app = make_api(context)
    app.get("/api/v1/forgotten")(lambda: "secret")
    token = context.services.people.create_token("admin", "administrator")
    with served(app, context) as url:
        answer = httpx.get(f"{url}/api/v1/forgotten", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 403


def test_every_role_has_its_rights_and_its_name():
    assert set(ROLE_RIGHTS) == set(ROLES)
    assert ROLE_RIGHTS["administrator"] == frozenset(Right)


def call(client, method, path):
    filled = re.sub(r"\{(\w+)\}", lambda found: PATHS.get(found[1], "1"), path)
    if path == "/api/v1/events":
        return None  # it never ends; who may listen is what its rule says, as everywhere
    return client.request(method, filled, json={}).status_code


CALLED = {
    (method, path): rule for (method, path), rule in RULES.items() if path.startswith(("/api", "/e", "/m"))
}


@pytest.mark.parametrize("role", [*ROLE_RIGHTS, "nobody"])
def test_each_role_may_call_what_the_table_says_and_nothing_else(url, client_of, role):
    """403 for what it has no right to; anything else (404, 422, 200) for what it has."""
    known = role in ROLE_RIGHTS
    wrong = []
    where = WHERE.get(role, {})
    with client_of(role, **where) if known else httpx.Client(base_url=url) as client:
        for (method, path), rule in CALLED.items():
            status = call(client, method, path)
            if status is None or rule == OPEN:
                continue
            if rule == EDGE or not known:
                right = status == 401
            elif rule in ROLE_RIGHTS[role]:
                right = status not in {401, 403} and status < 500
            else:
                right = status == 403
            if not right:
                wrong.append((method, path, rule, status))
    assert wrong == []


def test_a_token_ends_when_it_is_revoked_and_when_its_days_are_over(context, client_of):
    client = client_of("administrator")
    assert client.get("/api/v1/session").status_code == 200
    with context.database.write() as session:
        session.execute(update(ApiToken).values(expires_at=utc_now()))
    assert client.get("/api/v1/session").status_code == 401
    other = client_of("administrator")
    context.services.people.revoke_token("administrator-1")
    assert other.get("/api/v1/session").status_code == 401


def test_scopes_restrict_a_token_to_some_of_its_rights(client_of):
    client = client_of("operator", ["look"])
    assert client.get("/api/v1/session").json()["rights"] == ["look"]
    assert client.get("/api/v1/incidents").status_code == 200
    assert client.post("/api/v1/incidents/1/confirm", json={}).status_code == 403
    assert client.get("/api/v1/cameras").status_code == 403


def two_alerts(database):
    """Make incident 1 in g1 and incident 2 in the east, both to be verified."""
    apply_all(database, [alert("a", position=place(33.05, 112.05), evidence=(picture(JPEG),))])
    apply_all(database, [alert("b", position=place(33.5, 112.9), camera="street-2", place_key="kerb/2")])


@pytest.fixture
def two_places(context):
    """Incident 1 in g1 with police called, incident 2 in the east."""
    two_alerts(context.database)
    with context.database.write() as session:
        for number in (1, 2):
            incident = session.get(Incident, number)
            incident.state = State.FILED
    context.services.tasks.dispatch(1, ["police"], user="li")
    context.services.tasks.dispatch(2, ["fire"], user="li")
    return context


@pytest.mark.parametrize(
    ("role", "where"),
    [
        ("viewer", {"area": "west"}),
        ("operator", {"area": "t1"}),
        ("grid_worker", {"area": "g1"}),
        ("department", {"department": "police"}),
        ("department", {"department": "police", "area": "west"}),
    ],
)
@pytest.mark.usefixtures("two_places")
def test_who_sees_a_part_of_the_city_sees_nothing_else(client_of, role, where):
    client = client_of(role, **where)
    assert [item["id"] for item in client.get("/api/v1/incidents").json()["items"]] == [1]
    assert client.get("/api/v1/incidents/counts").json()["dispatched"] == 1
    assert len(client.get("/api/v1/map/incidents").json()["features"]) == 1
    assert [item["department"] for item in client.get("/api/v1/tasks").json()["items"]] == ["police"]
    for number, name, status in ((1, "a", 200), (2, "b", 404)):
        assert client.get(f"/api/v1/incidents/{number}").status_code == status
        assert client.get(f"/api/v1/alerts/{hex_id(name)}").status_code == status
    assert "part of the city" in client.get("/api/v1/incidents/2").json()["detail"]


def test_cameras_and_events_of_elsewhere_are_not_shown(two_places, client_of):
    cameras = (camera_health("street-1"), camera_health("street-2"))
    Inbox(two_places.database).commit([incoming(health(cameras=cameras), "health")])
    for name, lon in (("street-1", 112.05), ("street-2", 112.9)):
        two_places.services.fleet.place_camera("box-1", name, lat_deg=33.05, lon_deg=lon)
    client = client_of("operator", area="west")
    assert [camera["camera"] for camera in client.get("/api/v1/cameras").json()] == ["street-1"]
    assert len(client.get("/api/v1/map/cameras").json()["features"]) == 1
    for name, status in (("street-1", 200), ("street-2", 404)):
        assert client.get(f"/api/v1/cameras/box-1/{name}/coverage").status_code == status
        here = {"lat_deg": 33.05, "lon_deg": 112.05}  # nobody may draw a camera into his own part of the city
        assert client.put(f"/api/v1/cameras/box-1/{name}/place", json=here).status_code == status
    with client.stream("GET", "/api/v1/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": listening"
        for number in (2, 1):
            two_places.services.tasks.withdraw(number, user="li")
        heard = next(line for line in lines if line.startswith("data:"))
    assert json.loads(heard.removeprefix("data:"))["ref"] == "1"


@pytest.mark.usefixtures("two_places")
def test_a_department_handles_its_own_task_alone(client_of):
    client = client_of("department", department="police")
    assert client.post("/api/v1/tasks/1/accept", json={}).json()["state"] == "accepted"
    assert client.post("/api/v1/tasks/2/accept", json={}).status_code == 404
    assert client.post("/api/v1/incidents/1/close", json={}).status_code == 403


def test_nothing_is_merged_into_what_is_elsewhere(context, client_of):
    two_alerts(context.database)
    merge = {"into": 2}
    answer = client_of("operator", area="west").post("/api/v1/incidents/1/merge", json=merge)
    assert answer.status_code == 404
    assert "part of the city" in answer.json()["detail"]
    assert context.services.incidents.get_incident(1).merged_into is None
    answer = client_of("operator").post("/api/v1/incidents/1/merge", json=merge)
    assert answer.json().get("id") == 2, answer.text


@pytest.mark.usefixtures("two_places")
def test_evidence_of_elsewhere_is_not_shown(client_of):
    sha256 = picture(JPEG).sha256
    for where, detail in (("west", "not here (yet)"), ("east", "part of the city")):
        answer = client_of("viewer", area=where).get(f"/evidence/{sha256}")
        assert answer.status_code == 404
        assert detail in answer.json()["detail"]


IDS = ["/api/v1/incidents/x", f"/api/v1/incidents/{2**70}", "/api/v1/alerts/0", "/evidence/0"]


@pytest.mark.parametrize("path", IDS)
def test_an_id_that_is_none_is_refused_as_ever(client_of, path):
    assert client_of("viewer", area="west").get(path).status_code == 422

"""The city's data over HTTP: people, tokens, catalogue, areas, rosters, the feed, and ETags."""

import hashlib
import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from area_kit import ROSTER, town
from catalogue_kit import DEPARTMENTS, flow_row, table, write_xlsx
from central_kit import alert, apply_all, picture, place

from alerts.catalogue.read import read_catalogue
from alerts.config import ServeSettings
from alerts.enrol import edge_of_token, enrol
from alerts.export import VerdictRecord
from alerts.http.app import make_api
from alerts.http.context import make_context
from alerts.services import feed
from alerts.store.tables import Edge
from alerts.web import WebServer

PASSWORD = "correct horse battery"


@pytest.fixture
def context(config, sqlite):
    return make_context(config, sqlite)


@pytest.fixture
def admin(context):
    token = context.services.people.create_token("admin", "administrator")
    server = WebServer(make_api(context), ServeSettings(port=0), context.database)
    server.start()
    with httpx.Client(
        base_url=server.url, headers={"Authorization": f"Bearer {token}"}, timeout=20
    ) as client:
        yield client
    assert server.stop(8)


def test_a_person_is_added_changed_and_disabled_but_never_the_last_administrator(admin):
    chief = {"name": "chief", "password": PASSWORD, "role": "administrator"}
    assert admin.post("/api/v1/users", json=chief).status_code == 201
    assert admin.post("/api/v1/users", json=chief).status_code == 409
    li = {"name": "li", "password": PASSWORD, "role": "department"}
    assert "say which department" in admin.post("/api/v1/users", json=li).json()["detail"]
    assert admin.post("/api/v1/users", json={**li, "department": "police"}).status_code == 201
    lost = admin.put("/api/v1/users/chief", json={"role": "administrator", "disabled": True})
    assert lost.json()["detail"] == "chief is the last administrator"
    login = httpx.post(admin.base_url.join("/api/v1/login"), json={"name": "li", "password": PASSWORD})
    assert login.json()["user"]["department"] == "police"
    off = admin.put("/api/v1/users/li", json={"role": "viewer", "disabled": True})
    assert off.json()["disabled_at"] is not None
    cookies = dict(login.cookies)
    assert httpx.get(admin.base_url.join("/api/v1/session"), cookies=cookies).status_code == 401
    assert [user["name"] for user in admin.get("/api/v1/users").json()] == ["chief", "li"]


def test_a_person_changes_the_own_password_for_the_old_one(admin, context):
    context.services.people.create_user("li", PASSWORD)
    with httpx.Client(base_url=admin.base_url) as browser:
        csrf = browser.post("/api/v1/login", json={"name": "li", "password": PASSWORD}).json()["csrf"]
        headers = {"X-CSRF-Token": csrf}
        path = "/api/v1/session/password"
        wrong = browser.put(path, json={"old": "guess", "new": "another one"}, headers=headers)
        assert wrong.status_code == 401
        right = browser.put(path, json={"old": PASSWORD, "new": "another one"}, headers=headers)
        assert right.status_code == 204
        assert browser.get("/api/v1/session").status_code == 401
    assert context.services.people.login("li", "another one", "x")


def test_a_box_is_revoked_in_the_name_of_who_did_it(admin, context):
    token = enrol(context.database, context.config, "box-9", "riverside")["central"]["token"]
    assert edge_of_token(context.database, token) == "box-9"
    assert admin.delete("/api/v1/edges/box-9").status_code == 204
    assert edge_of_token(context.database, token) is None
    assert admin.delete("/api/v1/edges/box-0").status_code == 404
    newest = admin.get("/api/v1/audit", params={"subject": "box box-9"}).json()["items"][0]
    assert (newest["actor"], newest["action"]) == ("token:admin", "box revoke")


def test_a_token_is_seen_once_and_lists_without_itself(admin):
    wanted = {"name": "wall", "role": "viewer", "scopes": ["look"], "days": 7}
    made = admin.post("/api/v1/tokens", json=wanted).json()["token"]
    headers = {"Authorization": f"Bearer {made}"}
    assert admin.get("/api/v1/session", headers=headers).json()["rights"] == ["look"]
    assert made not in admin.get("/api/v1/tokens").text
    refused = admin.post("/api/v1/tokens", json={"name": "x", "role": "viewer", "scopes": ["act"]})
    assert refused.status_code == 422
    assert admin.delete("/api/v1/tokens/wall").status_code == 204
    assert admin.get("/api/v1/session", headers=headers).status_code == 401


def test_a_catalogue_is_checked_and_imported_and_its_mistakes_come_back_by_cell(admin, tmp_path):
    good = write_xlsx(tmp_path / "c.xlsx", table(flow_row()), DEPARTMENTS).read_bytes()
    bad = write_xlsx(tmp_path / "d.xlsx", table(flow_row(close="soon")), DEPARTMENTS).read_bytes()
    where = {"name": "city.xlsx"}
    refused = admin.post("/api/v1/catalogue", params=where, content=bad)
    assert refused.status_code == 422
    (problem,) = refused.json()["detail"]
    assert (problem["line"], problem["key"]) == (2, "S close")
    checked = admin.post("/api/v1/catalogue", params={**where, "check": True}, content=good).json()
    assert checked == {"size": "1 categories, 1 items, 1 flows"}
    assert admin.get("/api/v1/catalogue").status_code == 404
    assert admin.post("/api/v1/catalogue", params=where, content=good).json()["version"] == 1
    catalogue = admin.get("/api/v1/catalogue").json()
    assert catalogue["flows"][0]["close"] == "2 h"
    assert len(admin.get("/api/v1/catalogue/versions").json()) == 1


def test_areas_and_roster_say_who_is_in_charge(admin):
    assert admin.post("/api/v1/areas", content=json.dumps(town())).json() == {"count": 5}
    assert admin.post("/api/v1/areas", content="{}").status_code == 422
    where = {"name": "roster.csv"}
    assert admin.post("/api/v1/roster", params=where, content=ROSTER.encode()).json() == {"count": 5}
    broken = ROSTER.replace("mon-fri", "weekdays").encode()
    assert admin.post("/api/v1/roster", params=where, content=broken).json()["detail"][0]["key"] == "F days"
    assert len(admin.get("/api/v1/roster").json()) == 5
    grid = admin.get("/api/v1/areas", params={"level": "grid"}).json()["features"]
    assert [feature["id"] for feature in grid] == ["g1"]
    spot = {"lat_deg": 33.05, "lon_deg": 112.05, "at": "2026-06-01T04:00:00Z", "department": "police"}
    found = admin.get("/api/v1/in-charge", params=spot).json()
    assert [duty["person"] for duty in found["on_duty"]] == ["Wang"]
    assert [area["id"] for area in found["areas"]] == ["g1", "t1", "west", "city"]


def test_the_feed_gives_each_change_once_and_an_incident_again_when_it_changes(admin, context, monkeypatch):
    monkeypatch.setattr(feed, "SETTLED", timedelta(seconds=-1))  # nobody else writes here
    apply_all(
        context.database,
        [alert("a", position=place()), alert("b", place_key="k/2"), alert("c", place_key="k/3")],
    )
    seen, cursor = [], None
    for _look in range(3):
        page = admin.get("/api/v1/feed", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [feature["id"] for feature in page["features"]]
        cursor = page["cursor"]
    assert seen == [1, 2, 3]
    context.services.incidents.confirm(1, user="li")
    (again,) = admin.get("/api/v1/feed", params={"cursor": cursor}).json()["features"]
    assert (again["id"], again["properties"]["state_en"]) == (1, "Filed")
    assert again["geometry"]["coordinates"] == [112.0, 33.0]
    assert admin.get("/api/v1/feed", params={"cursor": "x"}).status_code == 422


def test_what_has_not_changed_is_not_sent_again(admin, context):
    apply_all(context.database, [alert("a")])
    first = admin.get("/api/v1/incidents")
    known = {"If-None-Match": first.headers["ETag"]}
    again = admin.get("/api/v1/incidents", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["Cache-Control"] == "private, no-cache"
    context.services.incidents.confirm(1, user="li")
    assert admin.get("/api/v1/incidents", headers=known).status_code == 200


@pytest.mark.parametrize("ending", [".csv", ".xlsx"])
def test_a_catalogue_comes_back_as_the_table_that_it_went_in_as(admin, tmp_path, ending):
    given = write_xlsx(tmp_path / "given.xlsx", table(flow_row()))
    admin.post("/api/v1/catalogue", params={"name": "given.xlsx"}, content=given.read_bytes())
    got = admin.get(f"/api/v1/catalogue{ending}", params={"language": "en"})
    assert f'filename="catalogue-1{ending}"' in got.headers["content-disposition"]
    (tmp_path / f"got{ending}").write_bytes(got.content)
    if ending == ".xlsx":  # which has the departments too
        assert read_catalogue(tmp_path / "got.xlsx").digest() == read_catalogue(given).digest()
    assert admin.get(f"/api/v1/catalogue{ending}", params={"version": 7}).status_code == 404


def test_verdicts_go_out_with_their_pictures_and_the_audit_notes_it(admin, context):
    jpeg = b"\xff\xd8\xff\xe0 a street"
    apply_all(context.database, [alert("a", evidence=(picture(jpeg), picture(b"not here", "close_up")))])
    context.evidence.add_bytes(jpeg)
    context.services.incidents.dismiss(1, "permitted", user="li")
    got = admin.get("/api/v1/verdicts.zip")
    archive = zipfile.ZipFile(io.BytesIO(got.content))
    record = VerdictRecord.model_validate_json(archive.read("verdicts.jsonl"))
    assert (record.verdict.verdict, record.verdict.reason) == ("false", "permitted")
    (file,) = [item.file for item in record.evidence if item.file]
    assert archive.read(file) == jpeg
    old = admin.get("/api/v1/verdicts.zip", params={"until": "2020-01-01T00:00:00Z"})
    assert zipfile.ZipFile(io.BytesIO(old.content)).read("verdicts.jsonl") == b""
    assert list(context.config.data_dir.glob("verdicts-*")) == []
    rows = admin.get("/api/v1/audit", params={"action": "verdicts export"}).json()["items"]
    assert [json.loads(row["detail"])["alerts"] for row in rows] == [0, 1]


def test_zones_go_to_a_box_as_its_next_configuration(admin, context):
    text = (Path(__file__).parents[2] / "configs" / "examples" / "street.yaml").read_bytes()
    enrol(context.database, context.config, "box-1", "riverside")
    with context.database.write() as session:
        session.get_one(Edge, "box-1").config_sha256 = hashlib.sha256(text).hexdigest()
    path = "/api/v1/cameras/box-1/market-street/zones"
    assert admin.get(path).status_code == 404
    assert admin.put("/api/v1/edges/box-1/config", content=b"another").status_code == 422
    assert admin.put("/api/v1/edges/box-1/config", content=text).status_code == 204
    found = admin.get(path).json()
    zones = [{"id": zone["id"], "points": [[0, 0], [1, 0], [1, 1]]} for zone in found["views"][0]["zones"]]
    body = {"version": found["version"], "preset": "fixed", "zones": zones}
    assert "zone eastbound" in admin.put(path, json=body | {"zones": zones[:1]}).json()["detail"]
    sent = admin.put(path, json=body)
    assert sent.status_code == 202
    state = admin.get(f"/api/v1/commands/{sent.json()['command']}").json()
    assert state == {"ok": None, "detail": ""}
    assert admin.put(path, json=body | {"version": "0" * 64}).status_code == 409

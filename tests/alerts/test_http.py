import json
import os
import re
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import pytest
from central_kit import alert, apply_all, camera_health, digest, health, hex_id, incoming, picture, place
from components import wait_until
from media import decode_all, make_video
from prometheus_client.parser import text_string_to_metric_families

from alerts import evidence, playable
from alerts.config import ServeSettings
from alerts.enrol import enrol, revoke
from alerts.evidence import BlobStore, WrongFile, add_artifact
from alerts.http import uploads
from alerts.http.app import create_app, make_api, openapi_document
from alerts.http.auth import CSRF_HEADER
from alerts.http.context import make_context
from alerts.inbox import Inbox
from alerts.playable import CannotPlay, Player, codec_of
from alerts.services.people import FAILURES_ALLOWED
from alerts.web import ServeError, WebServer

PASSWORD = "correct horse battery"
JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 100
MP4 = b"\0\0\0\x18ftypisom" + b"\0" * 64 + b"stsd" + b"\0" * 12 + b"avc1" + b"\0" * 2000


@pytest.fixture
def context(config, sqlite):
    """Over SQLite: the services below are tested on both databases."""
    return make_context(config, sqlite)


@contextmanager
def served(context, app=None, headers=None):
    """A client of the application on a real server: streams, ranges and threads as in life."""
    server = WebServer(app or create_app(context), ServeSettings(port=0), context.database)
    server.start()
    try:
        with httpx.Client(base_url=server.url, headers=headers, timeout=20) as client:
            yield client
    finally:
        assert server.stop(8)


@pytest.fixture
def client(context):
    with served(context) as client:
        yield client


@pytest.fixture
def script(client, context):
    """A client with an operator's token."""
    token = context.services.people.create_token("script")
    client.headers["Authorization"] = f"Bearer {token}"
    return client


@pytest.fixture
def box(context):
    """The headers of an enrolled box."""
    bundle = enrol(context.database, context.config, "box-1", "riverside")
    return {"Authorization": f"Bearer {bundle['central']['token']}"}


def put(client, box, data, media_type="image/jpeg", name=None):
    headers = {**box, "Content-Type": media_type}
    return client.put(f"/evidence/{name or digest(data)}", content=data, headers=headers)


def test_nothing_but_health_and_login_is_open(client, context):
    open_to_all = {("GET", "/healthz"), ("POST", "/api/v1/login")}
    checked = 0
    for path, methods in openapi_document()["paths"].items():
        for method in map(str.upper, methods):
            if (method, path) in open_to_all:
                continue
            filled = re.sub(r"\{sha256\}", "0" * 64, path)
            filled = re.sub(r"\{alert_id\}", "0" * 32, filled)
            filled = re.sub(r"\{\w+\}", "1", filled)
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "tw_session=wrong"}):
                answer = client.request(method, filled, headers=headers, json={})
                assert answer.status_code == 401, (method, path, answer.status_code)
            checked += 1
    assert checked >= 25
    assert client.get("/api/v1/openapi.json").status_code == 401
    assert client.get("/docs").status_code == 404


def test_a_browser_logs_in_acts_with_csrf_and_logs_out(client, context):
    context.services.people.create_user("li", PASSWORD)
    apply_all(context.database, [alert("a")])
    answer = client.post("/api/v1/login", json={"name": "li", "password": PASSWORD})
    user = answer.json()["user"]
    assert (user["name"], user["role"], "act" in user["rights"]) == ("li", "operator", True)
    cookie = answer.headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert client.get("/api/v1/session").json()["name"] == "li"
    refused = client.post("/api/v1/incidents/1/confirm", json={})
    assert refused.status_code == 403
    assert CSRF_HEADER in refused.json()["detail"]
    csrf = {CSRF_HEADER: answer.json()["csrf"]}
    assert client.post("/api/v1/incidents/1/confirm", json={}, headers=csrf).json()["state"] == "filed"
    assert client.post("/api/v1/logout", headers=csrf).status_code == 204
    assert client.get("/api/v1/session").status_code == 401


def test_a_wrong_password_is_refused_and_guessing_slowed_down(client, context, monkeypatch):
    monkeypatch.setattr(context.services.people, "_matches", lambda *_: False)
    for _try in range(FAILURES_ALLOWED):
        assert client.post("/api/v1/login", json={"name": "li", "password": "guess"}).status_code == 401
    slowed = client.post("/api/v1/login", json={"name": "li", "password": "guess"})
    assert slowed.status_code == 429
    assert int(slowed.headers["Retry-After"]) > 0


def test_who_may_only_look_changes_nothing(client, context):
    apply_all(context.database, [alert("a")])
    token = context.services.people.create_token("screen", "viewer")
    client.headers["Authorization"] = f"Bearer {token}"
    assert client.get("/api/v1/incidents").status_code == 200
    assert client.post("/api/v1/incidents/1/confirm", json={}).status_code == 403


def test_a_script_takes_an_incident_through_its_life(script, context):
    apply_all(
        context.database, [alert("a", position=place(), evidence=(picture(JPEG),)), alert("b", start=60)]
    )
    page = script.get("/api/v1/incidents", params={"state": "to_verify", "kind": "illegal_parking"}).json()
    assert [item["alert_count"] for item in page["items"]] == [2]
    assert script.get("/api/v1/incidents/counts").json()["to_verify"] == 1
    box_verdict = {"phase_seq": 0, "box_index": 0, "verdict": "true"}
    assert script.post(f"/api/v1/alerts/{hex_id('a')}/box-verdict", json=box_verdict).json()["box_index"] == 0
    judged = script.post(f"/api/v1/alerts/{hex_id('a')}/verdict", json={"verdict": "true", "note": "clear"})
    assert judged.json()["note"] == "clear"
    assert len(script.get(f"/api/v1/alerts/{hex_id('a')}/verdicts").json()) == 2
    assert script.get(f"/api/v1/alerts/{hex_id('a')}").json()["place"]["lat_deg"] == 33.0
    assert script.post("/api/v1/incidents/1/confirm", json={"version": 99}).status_code == 409
    for action, state in (("confirm", "filed"), ("close", "closed"), ("reopen", "to_verify")):
        assert script.post(f"/api/v1/incidents/1/{action}", json={}).json()["state"] == state
    dismissed = script.post("/api/v1/incidents/1/dismiss", json={"reason": "permitted"}).json()
    assert dismissed["dismiss_reason"] == "permitted"
    assert script.post("/api/v1/incidents/1/confirm", json={}).status_code == 409
    view = script.get("/api/v1/incidents/1").json()
    assert view["timeline"][-1]["actor"] == "token:script"


BAD_REQUESTS = {
    "no such incident": ("GET", "/api/v1/incidents/9", None, 404),
    "no number": ("GET", "/api/v1/incidents/x", None, 422),
    "too large a number": ("GET", f"/api/v1/incidents/{2**63}", None, 422),
    "an unknown state": ("GET", "/api/v1/incidents?state=x", None, 422),
    "an unknown parameter": ("GET", "/api/v1/incidents?colour=red", None, 422),
    "a bad cursor": ("GET", "/api/v1/incidents?cursor=x", None, 422),
    "a naive time": ("GET", "/api/v1/incidents?since=2026-01-01T00:00:00", None, 422),
    "a time before time": ("GET", "/api/v1/incidents?since=0001-01-01T00:00:00Z", None, 422),
    "a box of text": ("GET", "/api/v1/incidents?bbox=a,b,c,d", None, 422),
    "a box of three": ("GET", "/api/v1/incidents?bbox=1,2,3", None, 422),
    "a box inside out": ("GET", "/api/v1/incidents?bbox=5,5,1,1", None, 422),
    "a dismissal without reason": ("POST", "/api/v1/incidents/1/dismiss", {}, 422),
    "an unknown reason": ("POST", "/api/v1/incidents/1/dismiss", {"reason": "x"}, 422),
    "no alert id": ("GET", "/api/v1/alerts/x", None, 422),
    "no digest": ("GET", "/evidence/x", None, 422),
    "no evidence": ("GET", f"/evidence/{'0' * 64}", None, 404),
    "no clip": ("GET", f"/evidence/{'0' * 64}/play", None, 404),
    "no camera": ("PUT", "/api/v1/cameras/a/b/place", {"lat_deg": 1, "lon_deg": 1}, 404),
}


@pytest.mark.parametrize(("method", "path", "body", "status"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_a_bad_request_gets_a_reason(config, sqlite, method, path, body, status):
    context = make_context(config, sqlite)
    token = context.services.people.create_token("script")
    with served(context, headers={"Authorization": f"Bearer {token}"}) as client:
        answer = client.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_the_map_shows_incidents_and_cameras_with_a_place(script, context):
    Inbox(context.database).commit(
        [incoming(health(cameras=(camera_health(), camera_health("b"))), "health")]
    )
    apply_all(
        context.database,
        [alert("a", position=place(33.5, 112.5)), alert("b", place_key="kerb/2", camera="b")],
    )
    spot = {"lat_deg": 33, "lon_deg": 112, "name": "East Street"}
    assert script.put("/api/v1/cameras/box-1/street-1/place", json=spot).json()["name"] == "East Street"
    answer = script.get("/api/v1/map/incidents", params={"bbox": "112,33,113,34"})
    assert answer.headers["Content-Type"].startswith("application/geo+json")
    (feature,) = answer.json()["features"]
    assert feature["geometry"] == {"type": "Point", "coordinates": [112.5, 33.5]}
    assert feature["properties"]["semi_major_m"] == 50
    (camera,) = script.get("/api/v1/map/cameras").json()["features"]
    assert camera["properties"]["name"] == "East Street"
    assert len(script.get("/api/v1/cameras").json()) == 2
    assert script.get("/api/v1/edges").json()[0]["cameras_fresh"] == 2


def test_names_metrics_and_parts_are_there(script, context):
    apply_all(context.database, [alert("a")])
    assert script.get("/api/v1/texts").json()["kinds"]["smoke"] == {
        "zh": "秸秆焚烧烟雾",
        "en": "Straw-burning smoke",
    }
    families = list(text_string_to_metric_families(script.get("/metrics").text))
    samples = {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}
    assert samples["towerwatch_incidents", "to_verify"] == 1
    assert samples["towerwatch_edges_online",] == samples["towerwatch_edges_stretched",] == 0
    assert samples["towerwatch_stretch_max",] == 1
    assert all(family.type == "gauge" and family.documentation for family in families)
    assert len({family.name for family in families}) == len(families)
    assert set(script.get("/api/v1/parts").json()) <= {"serve"}  # it reports soon after its start
    assert script.get("/api/v1/openapi.json").json() == openapi_document()


def test_every_answer_carries_the_security_headers(client):
    answer = client.get("/healthz")
    assert answer.json() == {"status": "ok"}
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert client.get("/api/v1/session").headers["Cache-Control"] == "no-store"


def test_a_database_that_is_away_is_said_to_be(config, sqlite, tmp_path):
    context = make_context(config, sqlite)
    with served(context, make_api(context)) as client:
        context.services.live.stop()
        sqlite.close()
        for left in tmp_path.glob("central.db*"):
            left.unlink()
        (tmp_path / "central.db").mkdir()
        assert client.get("/healthz").status_code == 503
        answer = client.get("/api/v1/session", headers={"Authorization": "Bearer x"})
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]


def test_evidence_comes_once_and_is_seen_by_people_alone(script, context, box):
    apply_all(context.database, [alert("a", evidence=(picture(JPEG),))])
    assert put(script, box, JPEG).status_code == 201
    assert put(script, box, JPEG).status_code == 200
    (item,) = script.get(f"/api/v1/alerts/{hex_id('a')}").json()["evidence"]
    assert item["present"]
    answer = script.get(item["url"])
    assert answer.content == JPEG
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert script.get(item["url"], headers=box).status_code == 401


def test_the_arrival_of_evidence_is_a_change_of_its_incident(script, context, box):
    apply_all(context.database, [alert("a", evidence=(picture(JPEG),))])
    context.services.live.stop()
    context.services.live.poll()
    put(script, box, JPEG)
    assert [change.action for change in context.services.live.poll()][-1] == "evidence"


def test_a_clip_is_sent_in_ranges_and_played_as_it_is(script, box):
    put(script, box, MP4, "video/mp4")
    for url in (f"/evidence/{digest(MP4)}", f"/evidence/{digest(MP4)}/play"):
        answer = script.get(url, headers={"Range": "bytes=4-11"})
        assert (answer.status_code, answer.content) == (206, b"ftypisom")
        assert answer.headers["Content-Range"] == f"bytes 4-11/{len(MP4)}"


def test_a_clip_of_h265_is_played_as_h264(script, box, tmp_path):
    clip = make_video(tmp_path / "clip.mp4", codec="hevc", seconds=1.0)
    sha256 = digest(clip.read_bytes())
    assert put(script, box, clip.read_bytes(), "video/mp4").status_code == 201
    answer = script.get(f"/evidence/{sha256}/play")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "video/mp4")
    (tmp_path / "played.mp4").write_bytes(answer.content)
    assert codec_of(tmp_path / "played.mp4") == b"avc1"
    assert decode_all(tmp_path / "played.mp4") == pytest.approx(decode_all(clip), abs=1e-3)
    assert script.get(f"/evidence/{sha256}").content == clip.read_bytes()


WRONG_FILES = {
    "other bytes than said": (JPEG, "image/jpeg", "0" * 64, 422),
    "no picture at all": (b"<script>", "image/jpeg", None, 422),
    "a type that is not taken": (b"<script>", "text/html", None, 415),
    "no digest": (JPEG, "image/jpeg", "x", 422),
    "too large": (JPEG + bytes(1 << 20), "image/jpeg", None, 413),
}


@pytest.mark.parametrize(("data", "media_type", "name", "status"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_wrong_evidence_is_refused_and_leaves_nothing(script, context, box, data, media_type, name, status):
    limits = context.config.evidence.model_copy(update={"max_mib": 1})
    object.__setattr__(context.config, "evidence", limits)
    assert put(script, box, data, media_type, name).status_code == status
    assert [path for path in context.evidence.folder.rglob("*") if path.is_file()] == []


def test_evidence_without_a_length_is_cut_at_the_limit(script, context, box):
    object.__setattr__(context.config, "evidence", context.config.evidence.model_copy(update={"max_mib": 1}))

    def chunks():
        for _ in range(3):
            yield JPEG + bytes(1 << 19)

    headers = {**box, "Content-Type": "image/jpeg"}
    assert script.put(f"/evidence/{digest(JPEG)}", content=chunks(), headers=headers).status_code == 413


def test_a_full_disk_is_an_error_that_the_box_tries_again(script, box, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(evidence._Writer, "finish", full)
    answer = put(script, box, JPEG)
    assert answer.status_code == 507
    assert "No space left" in answer.json()["detail"]
    of_person = script.post("/api/v1/pictures", content=JPEG, headers={"Content-Type": "image/jpeg"})
    assert (of_person.status_code, "No space left" in of_person.json()["detail"]) == (507, True)


def test_a_stranger_cannot_fill_the_memory(client, script):
    def chunks():
        for _ in range(9):
            yield b" " * (1 << 17)

    for body in (b" " * (uploads.MAX_BODY_BYTES + 1), chunks()):
        answer = client.post("/api/v1/login", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, "more than" in answer.json()["detail"]) == (413, True)
    large = {"content": JPEG + bytes(2 << 20), "headers": {"Content-Type": "image/jpeg"}}
    assert script.post("/api/v1/pictures", **large).status_code == 201


def test_a_revoked_box_brings_nothing(script, context, box):
    revoke(context.database, context.config, "box-1")
    assert put(script, box, JPEG).status_code == 401


def test_artifacts_are_fetched_by_boxes_by_digest(script, context, box, tmp_path):
    model = tmp_path / "model.onnx"
    model.write_bytes(b"weights")
    sha256 = add_artifact(context.database, context.artifacts, model)
    assert add_artifact(context.database, context.artifacts, model) == sha256 == digest(b"weights")
    assert script.get(f"/artifacts/{sha256}", headers=box).content == b"weights"
    assert script.get(f"/artifacts/{'0' * 64}", headers=box).status_code == 404
    assert script.get(f"/artifacts/{sha256}").status_code == 401


def test_what_an_interrupted_write_left_is_removed_at_the_next_start(tmp_path):
    store = BlobStore(tmp_path / "store")
    store.open()
    old, fresh = tmp_path / "store/partial/old", tmp_path / "store/partial/fresh"
    for left in (old, fresh):
        left.write_bytes(b"half")
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    store.open()
    assert not old.exists()
    assert fresh.exists()
    with pytest.raises(ValueError, match="no SHA-256"):
        store.path("../../etc/passwd")
    store.remove("0" * 64)
    assert not evidence.looks_like(b"x", "text/html")
    assert issubclass(WrongFile, Exception)


def foreign(tmp_path, codec=b"hvc1"):
    store = BlobStore(tmp_path / "store")
    store.open()
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(MP4.replace(b"avc1", codec))
    return store, store.add_file(clip)[0]


def transcoder(tmp_path, body):
    script = tmp_path / "transcode.py"
    script.write_text(f"import sys, shutil, time\n{body}\n")
    return [sys.executable, str(script)]


def test_a_clip_that_browsers_cannot_play_is_transcoded_once(tmp_path):
    store, sha256 = foreign(tmp_path)
    count = tmp_path / "count"
    body = f"open({str(count)!r}, 'a').write('x'); shutil.copy(sys.argv[1], sys.argv[2])"
    player = Player(store, tmp_path / "playable", transcoder(tmp_path, body))
    assert codec_of(store.path(sha256)) == b"hvc1"
    first, second = player.playable(sha256), player.playable(sha256)
    assert first == second != store.path(sha256)
    assert count.read_text() == "x"


@pytest.mark.parametrize("body", ["sys.exit(1)", "pass"], ids=["fails", "writes nothing"])
def test_a_transcoder_that_fails_is_said_to_fail(tmp_path, body):
    store, sha256 = foreign(tmp_path)
    tried = tmp_path / "tried"
    player = Player(
        store, tmp_path / "playable", transcoder(tmp_path, f"open({str(tried)!r}, 'a').write('x'); {body}")
    )
    for _look in range(3):
        with pytest.raises(CannotPlay, match="cannot be transcoded"):
            player.playable(sha256)
    assert tried.read_text() == "x", "a look costs a transcoding only after a while"


def test_a_transcoder_that_hangs_is_ended_and_a_busy_one_not_waited_for_long(tmp_path, monkeypatch):
    store, sha256 = foreign(tmp_path)
    monkeypatch.setattr(playable, "LIMIT_S", 0.3)
    monkeypatch.setattr(playable, "WAIT_S", 0.05)
    player = Player(store, tmp_path / "playable", transcoder(tmp_path, "time.sleep(60)"))
    with pytest.raises(CannotPlay, match="longer than"):
        player.playable(sha256)
    with player._busy, pytest.raises(CannotPlay, match="another clip"):
        player.playable(sha256)


def test_a_file_without_a_sample_entry_has_no_codec(tmp_path):
    (tmp_path / "x").write_bytes(b"ftyp")
    assert codec_of(tmp_path / "x") == b""


def test_live_events_are_streamed_to_a_real_client(config, sqlite):
    """Over a real server: an event stream never ends by itself."""
    context = make_context(config, sqlite)
    token = context.services.people.create_token("script")
    server = WebServer(create_app(context), ServeSettings(port=0), sqlite)
    server.start()
    try:
        assert server.alive()
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.stream("GET", f"{server.url}/api/v1/events", headers=headers, timeout=20) as answer:
            lines = answer.iter_lines()
            assert next(lines) == ": listening"
            apply_all(sqlite, [alert("a")])
            data = next(line for line in lines if line.startswith("data: "))
            assert json.loads(data[6:])["topic"] == "incident"
        wait_until(lambda: "serve" in context.services.fleet.parts(), 10)
    finally:
        assert server.stop(8)


def test_a_database_that_hangs_does_not_hold_up_the_watch_over_the_parts(config, sqlite, monkeypatch):
    server = WebServer(make_api(make_context(config, sqlite)), ServeSettings(port=0), sqlite)
    hanging, entered = threading.Event(), threading.Event()

    def beat(*_args):
        entered.set()
        hanging.wait(30)

    monkeypatch.setattr("alerts.web.beat", beat)
    server.start()
    try:
        assert entered.wait(5)
        began_s = time.monotonic()
        assert server.alive()
        assert not server.stop(3), "the hanging one is told"
        assert time.monotonic() - began_s < 5
    finally:
        hanging.set()
        assert server.stop(8)


def test_a_taken_port_is_named(config, sqlite):
    context = make_context(config, sqlite)
    first = WebServer(make_api(context), ServeSettings(port=0), sqlite)
    with pytest.raises(ServeError, match="not been started"):
        _ = first.url
    first.start()
    port = int(first.url.rpartition(":")[2])
    try:
        with pytest.raises(ServeError, match=f"cannot listen on 127.0.0.1:{port}"):
            WebServer(make_api(context), ServeSettings(port=port), sqlite).start()
    finally:
        assert first.stop(8)

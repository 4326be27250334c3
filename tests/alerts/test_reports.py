"""A grid worker reports what it sees: over HTTP, on the way of every other alert."""

import json
import shutil

import httpx
import pytest
from area_kit import town
from catalogue_kit import DEPARTMENTS, flow_row, table, write_xlsx
from central_kit import T0, alert, apply_all, hex_id, place
from sqlalchemy import func, select

from alerts.areas.geojson import read_areas
from alerts.catalogue.read import read_catalogue
from alerts.catalogue.service import CatalogueService
from alerts.config import EvidenceSettings, ServeSettings
from alerts.evidence import keep_picture
from alerts.export import export_verdicts
from alerts.http.app import make_api
from alerts.http.context import make_context
from alerts.messages import Kind
from alerts.outbox import Target
from alerts.services.bundle import open_services
from alerts.services.errors import Conflict, Invalid
from alerts.services.incidents import IncidentService
from alerts.services.reports import Report, ReportService
from alerts.services.rights import Right, Within
from alerts.services.views import UserView
from alerts.states import IllegalTransition
from alerts.store.database import Database
from alerts.store.tables import Delivery, Incident, Task
from alerts.web import WebServer
from towerwatch.timebase import utc_now

JPEG = b"\xff\xd8\xff\xe0" + b"rubbish" * 20
HERE = {"lat_deg": "33.05", "lon_deg": "112.05"}  # in g1, which is in t1, which is in west
RUBBISH, PARKING = "0101", "0505"


@pytest.fixture(scope="module")
def stocked(migrated_file, tmp_path_factory):
    """A database with the starter catalogue and the town, to copy."""
    folder = tmp_path_factory.mktemp("stocked")
    file = shutil.copy(migrated_file, folder / "central.db")
    database = Database(f"sqlite:///{file}")
    CatalogueService(database).ensure_starter()
    (folder / "town.geojson").write_text(json.dumps(town()))
    open_services(database).areas.import_areas(read_areas(folder / "town.geojson"), "li")
    database.close()
    return file


@pytest.fixture
def context(config, stocked, tmp_path):
    database = Database(f"sqlite:///{shutil.copy(stocked, tmp_path / 'central.db')}")
    yield make_context(config.model_copy(update={"evidence": EvidenceSettings(max_mib=1)}), database)
    database.close()


@pytest.fixture
def served(context):
    server = WebServer(make_api(context), ServeSettings(port=0), context.database)
    server.start()
    yield server.url
    assert server.stop(8)


@pytest.fixture
def phone(served, context):
    """The grid worker of t1."""
    token = context.services.people.create_token("sun", "grid_worker", where=Within(area="t1"))
    with httpx.Client(base_url=served, headers={"Authorization": f"Bearer {token}"}, timeout=20) as client:
        yield client


def send(phone, pictures=(JPEG,), **fields):
    files = [("picture", ("IMG_1.HEIC", data, "application/octet-stream")) for data in pictures]
    return phone.post("/api/v1/reports", data={"item": RUBBISH, **HERE, **fields}, files=files or None)


def test_a_report_becomes_an_incident_of_its_item_in_the_areas_of_its_place(phone, context):
    answer = send(phone, note="beside the bridge", flow="010102", report_id=hex_id("r"))
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["kind"], made["state"], made["flow"]) == ("reported", "to_verify", "010102")
    view = phone.get(f"/api/v1/incidents/{made['id']}").json()  # which lies in the worker's own area
    (raised,) = view["alerts"]
    assert (raised["reporter"], raised["zone"]) == ("token:sun", RUBBISH)
    assert raised["reason"] == "beside the bridge"
    assert [line["action"] for line in view["timeline"]] == ["detected", "submit", "alert", "reported"]
    assert phone.get(f"/evidence/{raised['evidence'][0]['sha256']}").content == JPEG
    assert send(phone, report_id=hex_id("r")).json()["id"] == made["id"]
    assert phone.get("/api/v1/incidents").json()["items"][0]["alert_count"] == 1
    context.services.incidents.confirm(1, user="li")
    (task,) = context.services.tasks.dispatch(1, ["urban-management"], user="li")
    assert task.close_due_at - task.assigned_at > task.accept_due_at - task.assigned_at
    assert export_verdicts(context.database, context.evidence, context.config.data_dir / "v.jsonl") == 0


BAD = {
    "of no item": ({"item": "9999"}, (JPEG,), 422, "no item '9999'"),
    "of a flow of another item": ({"flow": "050501"}, (JPEG,), 422, "no flow of item 0101"),
    "from outside of the area": ({"lat_deg": "33.5"}, (JPEG,), 422, "outside of area t1"),
    "from nowhere": ({"lat_deg": "nan"}, (JPEG,), 422, "lat_deg"),
    "without a picture": ({}, (), 415, "multipart"),
    "with a picture that is none": ({}, (b"MZ" + JPEG,), 422, "neither JPEG nor PNG"),
    "with too many pictures": ({}, (JPEG,) * 9, 400, "Too many files"),
    "too large": ({}, (JPEG + bytes(1 << 20),), 413, "at most 1048576"),
    "with an unknown field": ({"colour": "red"}, (JPEG,), 422, "colour"),
    "with a long note": ({"note": "x" * 257}, (JPEG,), 422, "note"),
}


def test_a_report_that_cannot_be_is_refused_and_leaves_nothing(phone, context):
    for name, (fields, pictures, status, said) in BAD.items():
        answer = send(phone, pictures, **fields)
        assert (answer.status_code, said in answer.text) == (status, True), f"{name}: {answer.text}"
    with context.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Incident)) == 0


def test_who_may_not_report_is_refused_before_the_body_is_read(served, context):
    token = context.services.people.create_token("looker", "viewer")
    header = {"Authorization": f"Bearer {token}", "Content-Type": "multipart/form-data; boundary=x"}
    answer = httpx.post(f"{served}/api/v1/reports", headers=header, content=b"no form at all")
    assert answer.status_code == 403


def person(name="sun"):
    return UserView(name=name, role="grid_worker", rights=(Right.LOOK, Right.REPORT))


@pytest.fixture
def reported(context):
    """Report an item at a place; return the incident."""
    sha256 = keep_picture(context.evidence, context.database, JPEG, "image/jpeg", "sun")

    def report(item=RUBBISH, lon_deg=112.05, service=context.services.reports, who="sun", **more):
        seen = Report(item, 33.05, lon_deg, 10.0, "", (sha256,), **more)
        return service.report(seen, user=person(who)).id

    return report


def test_what_is_reported_near_an_open_incident_of_its_kind_joins_it(context, reported):
    """0.001° of longitude are 93 m here."""
    apply_all(
        context.database,
        [alert("a", start=utc_now().timestamp() - T0.timestamp(), position=place(33.05, 112.05))],
    )
    assert reported(PARKING, 112.0501) == 1
    assert reported(PARKING, 112.053) == 2  # 280 m away
    assert reported(RUBBISH, 112.0501) == 3  # another item
    assert reported(RUBBISH, 112.0502) == 3
    assert reported("0102", 112.0502) == 4
    summary = context.services.incidents.get_incident(1)
    assert (summary.kind, summary.alert_count) == (Kind.ILLEGAL_PARKING, 2)


def test_a_report_id_is_that_of_its_reporter_alone(context, reported):
    first = reported(report_id=hex_id("r"))
    assert reported(report_id=hex_id("r")) == first
    with pytest.raises(Conflict, match="none of qian"):
        reported(report_id=hex_id("r"), who="qian")


def test_the_reporter_hears_through_the_channel_of_the_flow(context, reported, small):
    context.services.catalogue.import_catalogue(small(notify="reporter:wecom", kinds=""), "li")
    targets = (Target("wecom", flows_only=True),)
    reported(PARKING, service=ReportService(context.database, targets))
    IncidentService(context.database, targets).confirm(1, user="li")
    with context.database.read() as session:
        (owed,) = session.scalars(select(Delivery)).all()
    assert owed.event == "incident.filed"
    assert json.loads(owed.body)["incident"]["reported_by"] == ["sun"]


def test_another_flow_of_the_item_is_chosen_until_departments_are_called(context):
    apply_all(context.database, [alert("a")])
    chosen, services = context.services.reports.choose_flow, context.services
    with pytest.raises(Invalid, match="010101 is no flow of item 0505"):
        chosen(1, "010101", user="li")
    with pytest.raises(Conflict):
        chosen(1, "050502", user="li", version=0)
    assert chosen(1, "050502", user="li").flow == "050502"
    services.incidents.confirm(1, user="li")
    flow = services.catalogue.get().flows["050502"]
    (task,) = services.tasks.dispatch(1, [flow.department], user="li")
    view = services.incidents.get_incident(1)
    assert (view.flow, view.timeline[3].action) == ("050502", "flow")
    with context.database.read() as session:
        assert session.get_one(Task, task.id).close_limit == str(flow.close)
    with pytest.raises(IllegalTransition, match="in state dispatched"):
        chosen(1, "050501", user="li")


@pytest.fixture
def small(tmp_path):
    def make(**changes):
        return read_catalogue(write_xlsx(tmp_path / "small.xlsx", table(flow_row(**changes)), DEPARTMENTS))

    return make

import csv

import pytest
from catalogue_kit import DEPARTMENTS, city_rows, flow_row, table, write_xlsx
from central_kit import T0, alert, apply_all
from sqlalchemy import select

from alerts.apply import apply_message
from alerts.catalogue.filing import KEPT
from alerts.catalogue.read import read_catalogue
from alerts.catalogue.service import CatalogueService
from alerts.handling import Handling
from alerts.messages import Kind
from alerts.notices import unknown_channels
from alerts.outbox import Target
from alerts.services.bundle import open_services
from alerts.services.errors import NotFound
from alerts.services.rights import Within
from alerts.states import State
from alerts.store.tables import Delivery


@pytest.fixture
def catalogues(database):
    return CatalogueService(database)


@pytest.fixture
def small(tmp_path):
    def make(**changes):
        return read_catalogue(write_xlsx(tmp_path / "small.xlsx", table(flow_row(**changes)), DEPARTMENTS))

    return make


def test_the_starter_is_there_from_the_start_and_knows_where_an_alert_is_filed(catalogues):
    catalogues.ensure_starter()
    catalogues.ensure_starter()
    found = catalogues.get()
    assert (found.version, found.catalogue.name) == (1, "starter")
    flow = found.flow_of_kind(Kind.ILLEGAL_PARKING)
    assert (flow.code, flow.department, str(flow.close)) == ("050501", "traffic-police", "2 h")
    assert found.items[found.flow_of_kind(Kind.SMOKE).item].zh == "秸秆焚烧"


def test_a_new_catalogue_counts_and_the_old_one_stays_for_its_incidents(catalogues, small):
    assert catalogues.import_catalogue(small(), "li").version == 1
    assert catalogues.import_catalogue(small(), "li").version == 1  # the same again is no new version
    assert catalogues.import_catalogue(small(close="3 h"), "wang").version == 2
    assert catalogues.import_catalogue(small(), "li").version == 3  # taken back
    assert [str(catalogues.get(n).flows["050501"].close) for n in (1, 2, 3)] == ["2 h", "3 h", "2 h"]
    assert catalogues.get().version == 3
    assert [(view.version, view.imported_by) for view in catalogues.list_versions()] == [
        (3, "li"),
        (2, "wang"),
        (1, "li"),
    ]


def test_an_alert_of_a_kind_that_no_item_takes_is_filed_nowhere(catalogues, small):
    catalogues.import_catalogue(small(), "li")
    assert catalogues.get().flow_of_kind(Kind.SMOKE) is None


def test_where_there_is_none_that_is_said(catalogues):
    with pytest.raises(NotFound, match="no catalogue yet"):
        catalogues.get()
    with pytest.raises(NotFound, match="no catalogue 7"):
        catalogues.get(7)


def test_other_processes_see_a_new_version_at_once(database, catalogues, small):
    catalogues.import_catalogue(small(), "li")
    assert catalogues.get().version == 1
    other = CatalogueService(database)
    for hours in range(3, 4 + KEPT):
        other.import_catalogue(small(close=f"{hours} h"), "li")
    assert str(catalogues.get().flows["050501"].close) == f"{3 + KEPT} h"
    assert str(catalogues.get(1).flows["050501"].close) == "2 h"


def test_a_whole_city_goes_in_and_comes_back_whole(tmp_path, database, catalogues):
    city = read_catalogue(write_xlsx(tmp_path / "city.xlsx", city_rows()))
    assert catalogues.import_catalogue(city, "li").size == "12 categories, 105 items, 958 flows"
    assert CatalogueService(database).get().catalogue == city


def test_an_incident_is_filed_under_its_flow_and_keeps_it_with_its_limits(database, catalogues, small):
    services = open_services(database)
    catalogues.import_catalogue(small(accept="7 min"), "li")
    apply_all(database, [alert("a"), alert("b", place_key="kerb/2", camera="street-2")])
    assert services.incidents.confirm(1, user="li").flow == "050501"
    catalogues.import_catalogue(small(accept="9 min"), "li")
    services.incidents.confirm(2, user="li")
    (first,) = services.tasks.dispatch(1, ["police"], user="li")
    (second,) = services.tasks.dispatch(2, ["police"], user="li")
    assert (first.accept_due_at - first.assigned_at).total_seconds() == 7 * 60
    assert (second.accept_due_at - second.assigned_at).total_seconds() == 9 * 60
    assert services.incidents.get_incident(1).catalogue == 1


def told(database):
    with database.read() as session:
        return session.execute(select(Delivery.target, Delivery.event).order_by(Delivery.id)).all()


def test_what_needs_no_look_is_filed_by_the_system_and_goes_on_as_if_confirmed(database, catalogues, small):
    services = open_services(database)
    catalogues.import_catalogue(small(verify="no"), "li")
    apply_all(database, [alert("a")], targets=("city",))
    view = services.incidents.get_incident(1)
    assert (view.state, view.flow) == (State.FILED, "050501")
    assert [(line.actor, line.action) for line in view.timeline][:3] == [
        ("system", "detected"),
        ("system", "submit"),
        ("system", "file"),
    ]
    assert told(database) == [("city", "incident.created"), ("city", "incident.filed")]
    assert services.verdicts.of_alert(view.alerts[0].id) == ()
    services.tasks.dispatch(1, ["police"], user="li")
    services.incidents.close(apply_second(database), user="li")
    assert services.incidents.reopen(2, user="li").state is State.TO_VERIFY  # who reopens wants to look


def apply_second(database):
    apply_all(database, [alert("b", place_key="kerb/2", camera="street-2")])
    return 2


TARGETS = (
    Target("wecom", flows_only=True),
    Target("desk", flows_only=True),
    Target("lake", flows_only=True),
    Target("along", frozenset({"task.assigned"}), frozenset({"fire"})),
)


def test_a_flow_says_who_is_told_how_beside_what_the_configuration_says(database, catalogues, small):
    services = open_services(database, Handling(targets=TARGETS))
    notices = "department:wecom, along:along, operator:desk, 网格员:desk, department:console"
    catalogues.import_catalogue(small(notify=notices), "li")
    with database.write() as session:
        apply_message(database, session, alert("a"), T0, TARGETS)
    services.incidents.confirm(1, user="li")
    services.tasks.dispatch(1, ["police"], user="li")
    services.tasks.dispatch(1, ["fire"], user="li")
    assert told(database) == [
        ("desk", "incident.created"),
        ("desk", "incident.filed"),
        ("wecom", "task.assigned"),
        ("along", "task.assigned"),  # asked for twice, told once
    ]
    assert unknown_channels(catalogues.get().catalogue.flows, ["wecom"]) == ("along", "desk")


def test_departments_that_a_csv_names_in_chinese_can_be_dispatched(database, catalogues, tmp_path):
    file = tmp_path / "city.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(table(flow_row(department="交警支队", along="乡镇街道")))
    services = open_services(database)
    catalogues.import_catalogue(read_catalogue(file), "li")
    apply_all(database, [alert("a")])
    services.incidents.confirm(1, user="li")
    flow = catalogues.get().flows["050501"]
    tasks = services.tasks.dispatch(1, [flow.department, *flow.along], user="li")
    assert [task.department for task in tasks] == ["交警支队", "乡镇街道"]
    services.people.create_user("zhao", "a long password", "department", where=Within(department="交警支队"))

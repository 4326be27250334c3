import pytest
from catalogue_kit import DEPARTMENTS, city_rows, flow_row, table, write_xlsx
from central_kit import alert, apply_all

from alerts.catalogue.filing import KEPT
from alerts.catalogue.read import read_catalogue
from alerts.catalogue.service import CatalogueService
from alerts.messages import Kind
from alerts.services.bundle import open_services
from alerts.services.errors import NotFound


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

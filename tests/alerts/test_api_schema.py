"""The API against its own description: whatever a caller sends, no answer is a failure of ours."""

import shutil

import pytest
import schemathesis
from central_kit import alert, apply_all, picture, place
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error

from alerts.catalogue.service import CatalogueService
from alerts.config import CentralConfig, ConsoleSettings, ServeSettings
from alerts.http.app import make_api, openapi_document
from alerts.http.context import make_context
from alerts.store.database import Database
from alerts.web import WebServer

# /events never ends; a login hashes a password, which takes its time by intent
schema = schemathesis.openapi.from_dict(openapi_document()).exclude(path=["/api/v1/events", "/api/v1/login"])


@pytest.fixture(scope="module")
def api(migrated_file, tmp_path_factory):
    """A served API with two incidents and a catalogue, and an administrator's token."""
    folder = tmp_path_factory.mktemp("api")
    shutil.copy(migrated_file, folder / "central.db")
    database = Database(f"sqlite:///{folder / 'central.db'}")
    CatalogueService(database).ensure_starter()
    apply_all(
        database, [alert("a", position=place(), evidence=(picture(b"x"),)), alert("b", place_key="k/2")]
    )
    config = CentralConfig(data_dir=folder / "data", console=ConsoleSettings(enabled=False))
    context = make_context(config, database)
    token = context.services.people.create_token("prober", "administrator")
    server = WebServer(make_api(context), ServeSettings(port=0), database)
    server.start()
    yield server.url, {"Authorization": f"Bearer {token}"}
    assert server.stop(8)
    database.close()


@schema.parametrize()
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,  # the same requests on every run: a failure can be looked at
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_makes_the_server_fail(case, api):
    url, headers = api
    case.call_and_validate(base_url=url, headers=headers, checks=[not_a_server_error], timeout=10)

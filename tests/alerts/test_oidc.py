"""People log in by the city's identity provider: a real one, over HTTP, with a browser's two journeys."""

import asyncio
import shutil
import warnings
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from components import free_port
from fresh_nicegui import fresh_nicegui

from alerts.config import CentralConfig, OidcSettings, ServeSettings
from alerts.http.app import create_app, make_api
from alerts.http.context import make_context
from alerts.oidc import Pending
from alerts.services.errors import LoginRefused
from alerts.store.database import Database
from alerts.web import WebServer
from towerwatch.secrets import Secret

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the provider uses what its own library calls old
    import oidc_provider_mock

pytestmark = pytest.mark.filterwarnings("ignore")
PEOPLE = (
    oidc_provider_mock.User(sub="u-1", claims={"preferred_username": "li"}),
    oidc_provider_mock.User(sub="u-2", claims={"preferred_username": "stranger"}),
    oidc_provider_mock.User(sub="u-3", claims={}),
)


@pytest.fixture(scope="module")
def issuer():
    with oidc_provider_mock.run_server_in_thread(require_nonce=True, user_claims=PEOPLE) as server:
        yield f"http://localhost:{server.server_port}"


def settings_with(issuer, folder):
    oidc = OidcSettings(
        issuer=issuer, client_id="towerwatch", client_secret=Secret("s" * 16), label="City <ID>"
    )
    return CentralConfig(data_dir=folder / "data", oidc=oidc, serve=ServeSettings(port=free_port()))


@pytest.fixture(scope="module")
def served(issuer, migrated_file, tmp_path_factory):
    """Central with its console, and the provider; li has an account. Yields (address, context)."""
    folder = tmp_path_factory.mktemp("oidc")
    database = Database(f"sqlite:///{shutil.copy(migrated_file, folder / 'central.db')}")
    config = settings_with(issuer, folder)
    with fresh_nicegui():
        context = make_context(config, database)
        context.services.people.create_user("li", None, "operator")
        server = WebServer(create_app(context, console=True), config.serve, database)
        server.start()
        yield server.url, context
        assert server.stop(8)
    database.close()


@pytest.fixture
def browser():
    with httpx.Client(timeout=20) as client:
        yield client


def leave(browser, url, target="/"):
    """Press the button; return the provider's address."""
    answer = browser.get(f"{url}/login/oidc", params={"next": target})
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def agree(browser, address, who):
    """Log in at the provider; return the way back."""
    answer = browser.post(address, data={"sub": who})
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"]


def test_a_person_with_an_account_comes_back_with_a_session(served, browser):
    url, _context = served
    address = leave(browser, url, "/incidents/7")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert asked["redirect_uri"] == f"{url}/login/oidc/callback"
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    back = agree(browser, address, "u-1")
    answer = browser.get(back)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/incidents/7")
    assert browser.get(f"{url}/api/v1/session").json()["name"] == "li"
    assert browser.get(back).status_code == 401, "a way back is gone once"
    assert browser.get(f"{url}/cameras").status_code == 200


@pytest.mark.parametrize(
    ("who", "said"),
    [("u-2", "stranger has no account here"), ("u-3", "answer is not good")],
    ids=["nobody let in", "without the claim"],
)
def test_whom_nobody_has_let_in_stays_outside(served, browser, who, said):
    url, _context = served
    answer = browser.get(agree(browser, leave(browser, url), who))
    assert (answer.status_code, said in answer.text) == (401, True), answer.text
    assert browser.get(f"{url}/api/v1/session").status_code == 401


def test_a_way_back_is_that_of_the_browser_that_left(served, browser):
    url, _context = served
    back = agree(browser, leave(browser, url), "u-1")
    with httpx.Client(timeout=20) as other:
        assert other.get(back).status_code == 401, "a link that somebody sends"
        leave(other, url)
        assert other.get(back).status_code == 401, "another state"


def test_a_token_for_another_journey_is_refused(served, browser):
    url, context = served
    back = agree(browser, leave(browser, url), "u-1")
    code = parse_qs(urlsplit(back).query)["code"][0]
    pending = Pending.load(bytes.fromhex(browser.cookies["tw_oidc"]).decode())
    stolen = Pending(pending.state, "another nonce", pending.verifier, "/")
    with pytest.raises(LoginRefused, match="answer is not good"):
        context.oidc.finish(stolen, code)


def test_where_the_provider_is_away_that_is_said(config, sqlite, tmp_path):
    away = make_context(settings_with(f"http://localhost:{free_port()}", tmp_path), sqlite)
    for context, status, said in (
        (away, 503, "does not answer"),
        (make_context(config, sqlite), 404, "no identity"),
    ):
        answer = asyncio.run(ask(make_api(context)))
        assert (answer.status_code, said in answer.text) == (status, True)


async def ask(app):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://central") as client:
        return await client.get("/login/oidc")


def test_the_way_back_leads_to_ourselves_alone(served, browser):
    url, _context = served
    for target in ("//evil.example", "https://evil.example", "/\\evil.example", "/a\nb"):
        leave(browser, url, target)
        assert Pending.load(bytes.fromhex(browser.cookies["tw_oidc"]).decode()).target == "/"


def test_the_page_to_log_in_leads_to_the_provider(served, browser):
    page = browser.get(f"{served[0]}/login?next=/cameras").text
    assert '<a class="tw-btn" href="/login/oidc?next=%2Fcameras">City &lt;ID&gt;</a>' in page


def test_a_provider_without_tls_is_a_mistake_of_configuration():
    with pytest.raises(ValueError, match="is not https"):
        OidcSettings(issuer="http://id.example", client_id="c", client_secret=Secret("s"))

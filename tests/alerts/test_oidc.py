"""People log in by the city's identity provider: a real one, over HTTP, with a browser's two journeys."""

import warnings
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from components import free_port
from fresh_nicegui import fresh_nicegui

from alerts.config import OidcSettings, ServeSettings
from alerts.http.app import create_app, make_api
from alerts.http.context import make_context
from alerts.oidc import Pending
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


@pytest.fixture
def serve(config, sqlite):
    """Serve central with a provider; give an account to li."""
    servers = []

    def make(issuer, **changes):
        oidc = OidcSettings(issuer=issuer, client_id="towerwatch", client_secret=Secret("s" * 16), **changes)
        settings = ServeSettings(port=free_port())
        context = make_context(config.model_copy(update={"oidc": oidc, "serve": settings}), sqlite)
        context.services.people.create_user("li", None, "operator")
        server = WebServer(make_api(context), settings, sqlite)
        server.start()
        servers.append(server)
        return server.url, context

    yield make
    for server in servers:
        assert server.stop(8)


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


def test_a_person_with_an_account_comes_back_with_a_session(serve, issuer, browser):
    url, context = serve(issuer)
    address = leave(browser, url, "/incidents/7")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert asked["redirect_uri"] == f"{url}/login/oidc/callback"
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    back = agree(browser, address, "u-1")
    answer = browser.get(back)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/incidents/7")
    assert browser.get(f"{url}/api/v1/session").json()["name"] == "li"
    assert browser.get(back).status_code == 401, "a way back is gone once"
    login = browser.post(f"{url}/api/v1/login", json={"name": "li", "password": ""})
    assert login.status_code == 422
    assert context.services.people.list_users()[0].name == "li"


@pytest.mark.parametrize(
    ("who", "said"),
    [("u-2", "stranger has no account here"), ("u-3", "answer is not good")],
    ids=["nobody let in", "without the claim"],
)
def test_whom_nobody_has_let_in_stays_outside(serve, issuer, browser, who, said):
    url, _context = serve(issuer)
    answer = browser.get(agree(browser, leave(browser, url), who))
    assert (answer.status_code, said in answer.text) == (401, True), answer.text
    assert browser.get(f"{url}/api/v1/session").status_code == 401


def test_a_way_back_is_that_of_the_browser_that_left(serve, issuer, browser):
    url, _context = serve(issuer)
    back = agree(browser, leave(browser, url), "u-1")
    with httpx.Client(timeout=20) as other:
        assert other.get(back).status_code == 401, "a link that somebody sends"
        leave(other, url)
        assert other.get(back).status_code == 401, "another state"


def test_a_token_for_another_time_or_another_client_is_refused(serve, issuer, browser):
    url, context = serve(issuer)
    back = agree(browser, leave(browser, url), "u-1")
    code = parse_qs(urlsplit(back).query)["code"][0]
    pending = Pending.load(bytes.fromhex(browser.cookies["tw_oidc"]).decode())
    stolen = Pending(pending.state, "another nonce", pending.verifier, "/")
    with pytest.raises(Exception, match="answer is not good"):
        context.oidc.finish(stolen, code)


def test_where_the_provider_is_away_that_is_said(serve, browser):
    url, _context = serve(f"http://localhost:{free_port()}")
    answer = browser.get(f"{url}/login/oidc")
    assert (answer.status_code, "does not answer" in answer.text) == (503, True)


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\nb"])
def test_the_way_back_leads_to_ourselves_alone(serve, issuer, browser, target):
    url, _context = serve(issuer)
    leave(browser, url, target)
    assert Pending.load(bytes.fromhex(browser.cookies["tw_oidc"]).decode()).target == "/"


def test_the_page_to_log_in_leads_to_the_provider_and_back(config, sqlite, issuer, browser):
    oidc = OidcSettings(issuer=issuer, client_id="c", client_secret=Secret("s"), label="City <login>")
    settings = ServeSettings(port=free_port())
    with fresh_nicegui():
        context = make_context(config.model_copy(update={"oidc": oidc, "serve": settings}), sqlite)
        context.services.people.create_user("li", None)
        server = WebServer(create_app(context, console=True), settings, sqlite)
        server.start()
        page = browser.get(f"{server.url}/login?next=/cameras").text
        assert '<a class="tw-btn" href="/login/oidc?next=%2Fcameras">City &lt;login&gt;</a>' in page
        answer = browser.get(agree(browser, leave(browser, server.url, "/cameras"), "u-1"))
        assert answer.headers["Location"] == "/cameras"
        assert browser.get(f"{server.url}/cameras").status_code == 200
        assert server.stop(8)


def test_without_a_provider_there_is_none(config, sqlite, browser):
    server = WebServer(make_api(make_context(config, sqlite)), ServeSettings(port=0), sqlite)
    server.start()
    assert browser.get(f"{server.url}/login/oidc").status_code == 404
    assert server.stop(8)


def test_a_provider_without_tls_is_a_mistake_of_configuration():
    with pytest.raises(ValueError, match="is not https"):
        OidcSettings(issuer="http://id.example", client_id="c", client_secret=Secret("s"))

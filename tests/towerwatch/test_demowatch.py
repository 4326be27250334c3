"""What the demo believes of central: only what it could download."""

from __future__ import annotations

import hashlib

import httpx
import pytest

from towerwatch.demowatch import CentralWatch
from towerwatch.secrets import Secret

PICTURE = b"\xff\xd8 picture"
DIGEST = hashlib.sha256(PICTURE).hexdigest()


def picture(**changed: object) -> dict[str, object]:
    return {
        "sha256": DIGEST,
        "media_type": "image/jpeg",
        "present": True,
        "url": f"/evidence/{DIGEST}",
        **changed,
    }


def watch_of(
    evidence: list[dict[str, object]] | None, body: bytes = PICTURE, code: int = 200
) -> CentralWatch:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == "Bearer token-12345"
        path = request.url.path
        if path == "/api/v1/incidents":
            assert request.url.params["kind"] == "smoke"
            return httpx.Response(200, json={"items": [] if evidence is None else [{"id": 3}]})
        if path == "/api/v1/incidents/3":
            alerts = [{"evidence": evidence}, {"evidence": []}]
            return httpx.Response(200, json={"id": 3, "started_at": "2026-01-01T00:00:00Z", "alerts": alerts})
        if path.startswith("/evidence/"):
            return httpx.Response(code, content=body)
        if path.endswith("/place"):
            return httpx.Response(404 if "street" in path else 200, json={})
        return httpx.Response(200, json=[{"camera": "tower", "state": "fresh"}])

    return CentralWatch("http://central", Secret("token-12345"), ["smoke"], httpx.MockTransport(answer))


@pytest.mark.parametrize(
    ("evidence", "body", "lacks"),
    [
        pytest.param(None, PICTURE, "no incident", id="nothing"),
        pytest.param([], PICTURE, "incident 3 has no picture", id="no-evidence"),
        pytest.param([picture(present=False)], PICTURE, "incident 3 has no picture", id="not-here-yet"),
        pytest.param(
            [picture(media_type="video/mp4")], PICTURE, "incident 3 has no picture", id="a-clip-alone"
        ),
        pytest.param([picture()], b"other", "no picture of incident 3 could be downloaded", id="other-bytes"),
        pytest.param([picture()], PICTURE, "", id="proven"),
    ],
)
def test_what_is_missing_is_named(evidence, body: bytes, lacks: str) -> None:
    with watch_of(evidence, body) as watch:
        watch.look()
        assert watch.progress["smoke"].lacks == lacks
        assert watch.done is not bool(lacks)
        assert watch.missing() == (f"smoke: {lacks}" if lacks else "")


def test_pictures_are_counted_once_and_alerts_all() -> None:
    with watch_of([picture(), picture(), picture(sha256="0" * 64)]) as watch:
        watch.look()
        watch.look()
        one = watch.progress["smoke"]
        assert (one.incident_id, one.alerts, one.pictures, one.proven) == (3, 2, 2, True)


def test_a_refused_download_is_trouble_and_no_proof() -> None:
    with watch_of([picture()], code=404) as watch:
        watch.look()
        assert not watch.done
        assert "404" in watch.missing()


def test_central_away_is_trouble_and_no_crash() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with CentralWatch("http://central", Secret("token-12345"), ["smoke"], httpx.MockTransport(away)) as watch:
        watch.look()
        assert "ConnectError" in watch.missing()
        assert watch.cameras() == {}
        assert watch.place("box", {"tower": {"lat_deg": 1.0}}) == ("tower",)


def test_cameras_are_placed_once_central_knows_them() -> None:
    with watch_of(None) as watch:
        assert watch.cameras() == {"tower": "fresh"}
        assert watch.place("box", {"tower": {"lat_deg": 1.0}, "street": {"lat_deg": 1.0}}) == ("street",)

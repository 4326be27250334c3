"""The wall of the whole city in a real browser: all cameras and incidents are on it, wherever one looks."""

import json
from pathlib import Path

import pytest
from components import REPOSITORY

from benchmarks import fleet_wall
from benchmarks.fleet_load import BOXES, STREAMS

pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
ARTEFACTS = REPOSITORY / "artefacts" / "console"
INCIDENTS = 5000
LOOKS = 12


def test_the_whole_city_is_on_the_wall_and_moves(tmp_path: Path, chromium_path: str) -> None:
    """How long it takes is kept beside the screenshot, and judged by the benchmark on a quiet machine."""
    assert chromium_path
    fleet_wall.fill(tmp_path, BOXES, INCIDENTS)
    with fleet_wall.served(tmp_path) as url, fleet_wall.chromium() as browser:
        page = browser.new_page(viewport={"width": fleet_wall.WIDTH, "height": fleet_wall.HEIGHT})
        eyes = fleet_wall.Eyes(page, url)
        seen = eyes.first_view()
        assert (seen["cameras_seen"], seen["incidents_seen"]) == (STREAMS, INCIDENTS)
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=ARTEFACTS / "city-1440-en.png")
        moved = eyes.look_around(LOOKS)
        with page.expect_response(lambda response: "zoom=15" in response.url):
            page.evaluate("() => void window.tw.map.map.setView([30.59, 114.31], 15, {animate: false})")
        page.screenshot(path=ARTEFACTS / "city-near-1440-en.png")
        count = page.locator(".tw-strip-head b").all_text_contents()
        assert sum(map(int, count)) == STREAMS
    assert moved["looks"] == LOOKS
    (ARTEFACTS / "wall.json").write_text(json.dumps(seen | moved, indent=1), encoding="utf-8")

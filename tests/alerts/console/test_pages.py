"""The pages without a browser: what they hold, whom they let in, and what their buttons do."""

from __future__ import annotations

import asyncio
import errno
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from console_site import Site, at_console, console_up, notices, page_of, until
from console_world import EDGE, OPERATOR, PASSWORD, VIEWER, World, camera, parked_car
from fastapi import FastAPI

from alerts.config import ConsoleSettings
from alerts.console.board import Board
from alerts.console.context import install
from alerts.console.mount import mount_console
from alerts.console.wall import Wall
from alerts.inbox import Inbox, Incoming
from alerts.messages import BlindReason, Freshness, Kind, Phase
from alerts.states import Action, State
from towerwatch.timebase import utc_now


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World.create(tmp_path_factory.mktemp("central"))
    made.health([camera(f"dark-{n}", Freshness.BLIND) for n in range(14)])
    frozen = camera("street-2", Freshness.BLIND, reason=BlindReason.FROZEN, detail="40 s")
    made.health([camera("street-1"), frozen])
    made.services.fleet.place_camera(EDGE, "street-1", lat_deg=30.58, lon_deg=114.3, name="沿江大道")
    with console_up(made):
        yield made
    made.close()


@pytest.mark.parametrize("path", ["/", "/cameras", "/incidents/1?x=1"])
def test_without_a_login_every_page_leads_to_the_form_and_back(world: World, path: str) -> None:
    async def use(site: Site) -> None:
        response = await site.http.get(path)
        assert response.status_code == 303
        assert response.headers["location"] == "/login?next=" + path.replace("/", "%2F").replace(
            "?", "%3F"
        ).replace("=", "%3D")
        assert (await site.http.get("/console/map?bbox=1,1,2,2&zoom=3")).status_code == 401
        site.http.cookies.set("tw_session", "made up")
        assert (await site.http.get(path)).status_code == 303

    at_console(world, use, name=None)


def test_log_in_and_out(world: World) -> None:
    async def use(site: Site) -> None:
        form = {"name": OPERATOR, "password": "wrong", "next": "/cameras"}
        refused = await site.http.post("/login", data=form)
        assert (refused.status_code, "用户名或密码错误" in refused.text) == (401, True)
        entered = await site.http.post("/login", data=form | {"password": PASSWORD})
        assert (entered.status_code, entered.headers["location"]) == (303, "/cameras")
        cookie = entered.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        token = site.http.cookies["tw_session"]
        assert world.services.people.user_of_session(token)
        left = await site.http.post("/logout")
        assert left.headers["location"] == "/login"
        assert world.services.people.user_of_session(token) is None
        foreign = await site.http.post("/login", data=form, headers={"Origin": "http://evil.example"})
        assert foreign.status_code == 403
        elsewhere = await site.http.post(
            "/login", data={"name": OPERATOR, "password": PASSWORD, "next": "//evil.example"}
        )
        assert elsewhere.headers["location"] == "/"

    at_console(world, use, name=None)


def test_too_many_attempts_have_to_wait(world: World) -> None:
    async def use(site: Site) -> None:
        form = {"name": "guesser", "password": "x"}
        answers = [await site.http.post("/login", data=form) for _ in range(11)]
        assert answers[-1].status_code == 429
        assert int(answers[-1].headers["retry-after"]) > 0
        assert "请" in answers[-1].text

    at_console(world, use, name=None)


def test_language_and_theme_are_remembered(world: World) -> None:
    async def use(site: Site) -> None:
        text = (await site.http.get("/login")).text
        assert 'lang="zh-CN"' in text
        await site.http.get("/console/prefs?lang=en&next=/login")
        await site.http.get("/console/prefs?theme=dark&next=/login")
        await site.http.get("/console/prefs?lang=xx&theme=pink&next=/login")
        text = (await site.http.get("/login?next=/a%22%3E%3Cscript%3E")).text
        assert 'lang="en"' in text
        assert "body--dark" in text
        assert "<script>" not in text.replace("<script></script>", "")

    at_console(world, use, name=None)


def test_pages_ask_nothing_of_the_outside(world: World) -> None:
    async def use(site: Site) -> None:
        incident_id = world.send(parked_car(world))
        for path in ("/", "/cameras", f"/incidents/{incident_id}"):
            text, _ = await site.page(path)
            assert "tile.osm.org" not in text
            outside = [part[:60] for part in text.split("http")[1:] if part.startswith(("://", "s://"))]
            assert all(
                "w3.org" in part or "stackoverflow" in part or "github.com" in part for part in outside
            ), outside
        css = await site.http.get("/console/static/console.css")
        assert "immutable" in css.headers["cache-control"]

    at_console(world, use)


def test_a_new_incident_reaches_every_wall_that_wants_it(world: World) -> None:
    async def use(site: Site) -> None:
        text, all_kinds = await site.page("/")
        assert "秸秆焚烧烟雾" in text
        _, parking_only = await site.page("/?kind=illegal_parking&sort=newest")
        incident_id = world.send(world.alert(Kind.SMOKE, camera="field-9", zone=None))
        wanted = f'"id":{incident_id},"kind":"smoke"'
        await until(lambda: wanted in site.pushed(all_kinds), "the row on the wall")
        assert wanted not in site.pushed(parking_only)
        all_kinds.delete()
        assert all(len(group.members) == 1 for group in site.console.board._lists.values())

    at_console(world, use)


def test_the_wall_filters_turns_and_grows(world: World) -> None:
    async def use(site: Site) -> None:
        _, client = await site.page("/")
        wall = next(
            member
            for group in site.console.board._lists.values()
            for member in group.members
            if isinstance(member, Wall)
        )
        wall._change(kind="smoke")
        assert "kind=smoke" in site.pushed(client)
        wall._turn()
        assert "sort=newest" in site.pushed(client)
        wall._turn()
        wall._change(limit=200)
        assert [wanted.limit for wanted in site.console.board._lists] == [200]

    at_console(world, use)


def test_the_strip_names_blind_cameras_with_their_reason_and_follows(world: World) -> None:
    async def use(site: Site) -> None:
        text, client = await site.page("/")
        assert "画面冻结" in text
        assert "沿江大道" not in text.split("tw-strip")[1].split("tw-tabs")[0]
        assert "+3" in text
        world.health([camera("street-2")])
        strips = [e for e in client.elements.values() if "tw-strip-head" in str(e.props.get("innerHTML", ""))]
        assert len(strips) == 1
        await until(lambda: "画面冻结" not in str(strips[0].props["innerHTML"]), "the camera fresh again")
        assert "window.tw.map?.refresh(5000)" in site.pushed(client)  # its colour on the map is old too
        world.health([camera("street-2", Freshness.NIGHT, reason=BlindReason.INFRARED)])
        await until(
            lambda: "夜间不看烟" in str(strips[0].props["innerHTML"]), "the camera counted as by night"
        )
        assert "street-2" not in str(strips[0].props["innerHTML"]), "what comes every evening is no trouble"

    at_console(world, use)


def test_cameras_page_has_every_figure_and_follows(world: World) -> None:
    async def use(site: Site) -> None:
        await site.http.get("/console/prefs?lang=en&next=/")
        text, client = await site.page("/cameras")
        assert "210 ms" in text
        assert "沿江大道" in text
        assert EDGE in text
        boxes, _ = await site.page("/cameras?what=edges&text=box")
        assert all(text in boxes for text in (EDGE, "1.0\u00d7", "1 to 1 of 1"))
        Inbox(world.database).commit([Incoming("towerwatch/v1/a/b/alert", b"nonsense", utc_now())])
        assert "could not be used: 1; " in (await site.page("/cameras?what=edges"))[0]
        none, _ = await site.page("/cameras?state=blind&text=nowhere")
        assert "No camera matches" in none
        world.health([camera("street-1", Freshness.STALE, reason=BlindReason.STALE)])
        tables = [e for e in client.elements.values() if "tw-table" in str(e.props.get("innerHTML", ""))]
        await until(lambda: "Picture stale" in str(tables[0].props["innerHTML"]), "the stale camera")

    at_console(world, use)


def test_map_answers_what_is_in_view(world: World) -> None:
    async def use(site: Site) -> None:
        world.send(parked_car(world, camera="street-map"))
        await until(lambda: bool(site.console.board.spots), "a place")
        response = await site.http.get("/console/map?bbox=114.2,30.4,114.4,30.7&zoom=12&state=open")
        answer = response.json()
        assert answer["incidents"]
        assert [item["title"] for item in answer["cameras"]] == ["沿江大道"]
        assert answer["bounds"][1] <= 30.58
        empty = (await site.http.get("/console/map?bbox=0,0,1,1&zoom=12")).json()
        assert (empty["incidents"], empty["cameras"]) == ([], [])
        assert (await site.http.get("/console/map?bbox=5&zoom=12")).status_code == 422

    at_console(world, use)


def test_incident_page_acts_in_the_name_of_who_is_logged_in(world: World) -> None:
    async def use(site: Site) -> None:
        incident_id = world.send(parked_car(world, camera="street-act"))
        text, client = await site.page(f"/incidents/{incident_id}")
        assert "起始全景" in text
        page = page_of(site, incident_id)
        await page._judge({"alert_id": page._alert_id, "phase_seq": 0, "box_index": 0, "verdict": "true"})
        await page._judge({"alert_id": page._alert_id, "phase_seq": 0, "box_index": 99, "verdict": "true"})
        assert any("no box 99" in text for text in notices(client))
        await page._ask(Action.CONFIRM)
        incident = world.services.incidents.get_incident(incident_id)
        assert incident.state is State.FILED
        assert {entry.actor for entry in incident.timeline} == {"system", OPERATOR}
        await page._ask(Action.CLOSE)
        await page._act(Action.CLOSE, note="towed")
        await page._ask(Action.REOPEN)
        await page._ask(Action.DISMISS)
        await page._act(Action.DISMISS, reason="permitted", note="resident")
        assert world.services.incidents.get_incident(incident_id).dismiss_reason == "permitted"
        client.delete()
        assert incident_id not in site.console.board._watchers

    at_console(world, use)


def test_who_was_slower_is_told_and_sees_the_newest_state(world: World) -> None:
    async def use(site: Site) -> None:
        incident_id = world.send(world.alert(camera="street-race"))
        _, client = await site.page(f"/incidents/{incident_id}")
        page = page_of(site, incident_id)
        stale = page._incident
        world.services.incidents.confirm(incident_id, user="faster")
        page._incident = stale
        await page._act(Action.DISMISS, reason="dust")
        assert any("已被他人更新" in text for text in notices(client))
        assert page._incident.state is State.FILED
        await page._act(Action.DISMISS, reason="dust")
        assert world.services.incidents.get_incident(incident_id).state is State.FILED

    at_console(world, use)


def test_an_expired_login_can_do_nothing_more(world: World) -> None:
    async def use(site: Site) -> None:
        incident_id = world.send(world.alert(camera="street-expired"))
        _, client = await site.page(f"/incidents/{incident_id}")
        world.services.people.logout(site.http.cookies["tw_session"])
        await page_of(site, incident_id)._ask(Action.CONFIRM)
        assert any("登录已失效" in text for text in notices(client))
        assert world.services.incidents.get_incident(incident_id).state is State.TO_VERIFY

    at_console(world, use)


def test_what_cannot_be_kept_is_said_and_the_page_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: Any, **_fields: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def use(site: Site) -> None:
        incident_id = world.send(world.alert(camera="street-full"))
        _, client = await site.page(f"/incidents/{incident_id}")
        page = page_of(site, incident_id)
        with monkeypatch.context() as patch:
            patch.setattr(world.services.incidents, "confirm", full)
            patch.setattr(site.console, "keep_picture", full)
            await page._ask(Action.CONFIRM)
            assert await page.keep_picture(b"\xff\xd8\xff\xe0", OPERATOR) is None
        assert len([text for text in notices(client) if "暂时无法保存" in text]) == 2
        await page._ask(Action.CONFIRM)
        assert world.services.incidents.get_incident(incident_id).state is State.FILED

    at_console(world, use)


def test_a_viewer_sees_and_may_not_act(world: World) -> None:
    async def use(site: Site) -> None:
        incident_id = world.send(parked_car(world, camera="street-viewer"))
        text, client = await site.page(f"/incidents/{incident_id}")
        assert "data-action" not in text
        await page_of(site, incident_id)._ask(Action.CONFIRM)
        assert any("无权" in text for text in notices(client))
        assert world.services.incidents.get_incident(incident_id).state is State.TO_VERIFY

    at_console(world, use, name=VIEWER)


def test_an_incident_of_two_alerts_shows_either(world: World) -> None:
    async def use(site: Site) -> None:
        first = world.alert(camera="street-two", place_key="same")
        incident_id = world.send(first)
        world.send(world.again(first, Phase.CLOSED))
        second = world.alert(camera="street-two", place_key="same")
        if world.send(second) != incident_id:
            pytest.fail("the second alert at the same place did not join the incident")
        _, client = await site.page(f"/incidents/{incident_id}")
        page = page_of(site, incident_id)
        page._choose(second.alert_id)
        assert page._alert is not None
        assert page._alert.id == second.alert_id
        pressed = [
            e
            for e in client.elements.values()
            if "tw-chip" in e.classes and e.props.get("aria-pressed") == "true"
        ]
        assert len(pressed) == 1

    at_console(world, use)


def test_no_such_incident(world: World) -> None:
    async def use(site: Site) -> None:
        response = await site.http.get("/incidents/999999")
        assert response.status_code == 404
        assert "没有这个事件" in response.text

    at_console(world, use)


def test_a_lost_database_is_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(site: Site) -> None:
        board = site.console.board
        broken = asyncio.Event()

        def fail(*_args: Any) -> None:
            broken.set()
            msg = "the database went away"
            raise ConnectionError(msg)

        monkeypatch.setattr(sys.modules[Board.__module__], "RETRY_S", 0.01)
        with monkeypatch.context() as patch:
            patch.setattr(world.services.incidents, "list_incidents", fail)
            world.send(world.alert(camera="street-away"))
            await asyncio.wait_for(broken.wait(), 15)
        incident_id = world.send(world.alert(camera="street-back"))
        await until(lambda: incident_id in board.rows, "the board reading again")

    at_console(world, use)


def test_what_is_evaluated_leaves_the_memory_as_what_is_closed_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(site: Site) -> None:
        incidents, rows = world.services.incidents, site.console.board.rows
        evaluated = world.send(world.alert(camera="street-old"))
        await until(lambda: evaluated in rows, "the incident on the board")
        monkeypatch.setattr(sys.modules[Board.__module__], "RECENT", 0)
        incidents.confirm(evaluated, user=OPERATOR)
        incidents.close(evaluated, user=OPERATOR)
        incidents.evaluate(evaluated, 5, user=OPERATOR)
        await until(lambda: evaluated not in rows, "the incident gone")

    at_console(world, use)


def test_a_second_console_in_the_process_replaces_the_first(world: World) -> None:
    async def use(site: Site) -> None:
        mount_console(FastAPI(), world.services, ConsoleSettings(title="Another"))
        assert "Another" in (await site.http.get("/login")).text
        install(site.console)
        assert "Another" not in (await site.http.get("/login")).text

    at_console(world, use)


def test_static_files_are_ours_alone() -> None:
    web = Path(__file__).parents[3] / "alerts" / "console" / "web"
    for file in web.iterdir():
        text = file.read_text(encoding="utf-8")
        outside = [part.split('"')[0] for part in text.split("http")[1:] if part.startswith(("://", "s://"))]
        assert [part for part in outside if "www.w3.org/2000/svg" not in part] == [], file

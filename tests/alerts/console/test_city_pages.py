"""The pages about the city: statistics, catalogue, areas and rosters, people, audit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from area_kit import ROSTER, collection, feature, square, town
from catalogue_kit import flow_row, table, write_xlsx
from console_site import Site, at_console, console_up, notices, until
from console_world import EDGE, PASSWORD, World, camera, parked_car
from nicegui import Client, ui
from nicegui.events import UploadEventArguments
from sqlalchemy import select, update

from alerts.areas.geojson import read_areas
from alerts.areas.roster import ShiftRow
from alerts.catalogue.read import read_catalogue, starter_path
from alerts.console.elements import CameraPicture
from alerts.console.statistics import Period
from alerts.services.audit_log import AuditFilter
from alerts.services.rights import Right, Within
from alerts.store.tables import AuditRow, Command, Edge

TODAY = date(2026, 11, 24)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("central")
    made = World.create(folder)
    (folder / "areas.geojson").write_text(json.dumps(town()), encoding="utf-8")
    made.services.areas.import_areas(read_areas(folder / "areas.geojson"), "chief")
    made.services.catalogue.import_catalogue(read_catalogue(starter_path()), "chief")
    made.health([camera("market-street")])
    made.services.people.create_user("chief", PASSWORD, "administrator")
    made.services.people.create_user("west", PASSWORD, "operator", where=Within(area="west"))
    incident = made.send(parked_car(made, with_files=False))
    made.services.incidents.confirm(incident, user="chief")
    made.services.tasks.dispatch(incident, ["traffic-police"], user="chief")
    with console_up(made):
        yield made
    made.close()


PERIODS = {
    "usual": ({}, (date(2026, 10, 26), TODAY, 30)),
    "days": ({"days": "7"}, (date(2026, 11, 18), TODAY, 7)),
    "dates": ({"since": "2026-01-01", "until": "2026-01-31"}, (date(2026, 1, 1), date(2026, 1, 31), None)),
    "one day": ({"since": "2026-01-01", "until": "2026-01-01"}, (date(2026, 1, 1), date(2026, 1, 1), None)),
    "no number": ({"days": "many"}, None),
    "no days": ({"days": "0"}, None),
    "backwards": ({"since": "2026-02-01", "until": "2026-01-01"}, None),
    "too long": ({"since": "2020-01-01", "until": "2026-01-01"}, None),
    "half": ({"since": "2026-01-01"}, None),
}


@pytest.mark.parametrize(("query", "wanted"), PERIODS.values(), ids=PERIODS)
def test_a_period_is_read_from_the_address(
    query: dict[str, str], wanted: tuple[date, date, int | None] | None
) -> None:
    period = Period.parse(query, TODAY)
    assert (None if period is None else (period.first, period.last, period.days)) == wanted


def test_a_period_begins_and_ends_at_local_midnight() -> None:
    since, until = Period(TODAY, TODAY).bounds(ZoneInfo("Asia/Shanghai"))
    assert (since, until) == (
        datetime(2026, 11, 23, 16, tzinfo=UTC),
        datetime(2026, 11, 24, 16, tzinfo=UTC),
    )


def test_statistics_name_count_and_offer_the_table(world: World) -> None:
    async def use(site: Site) -> None:
        text, client = await site.page("/statistics")
        assert "公安交警支队" in text
        assert "by=department" in text
        assert sum("nicegui-echart" in element.classes for element in client.elements.values()) == 1
        text, _ = await site.page("/statistics?since=2020-01-01&until=2020-01-02")
        assert "这段时间没有事件" in text
        assert "一年" in (await site.page("/statistics?days=900"))[0]
        site.enter("west")
        text, _ = await site.page("/statistics")
        assert "违法停车" not in text.split("tw-body")[1]

    at_console(world, use, name="chief")


def press(client: Client, name: str, event: str = "click", args: Any = None) -> None:
    """Send an event of the browser to the element of that name; of several, to the newest."""
    keys = ("name", "data-key", "data-flag", "data-do", "data-add")
    *_, element = [e for e in client.elements.values() if name in [e.props.get(key) for key in keys]]
    for listener in list(element._event_listeners.values()):
        if listener.type == event and listener.handler is not None:
            element._handle_event({"listener_id": listener.id, "args": args})


def fill(client: Client, opener: str, **values: str) -> None:
    """Open a dialog, fill it in, and press Enter."""
    press(client, opener)
    for name, value in values.items():
        press(client, name, "input" if name in {"name", "password"} else "change", value)
    press(client, "Enter")


def keys_in(client: Client) -> list[str]:
    """Return the keys of scripts that a page shows."""
    values = [str(element.props.get("value", "")) for element in client.elements.values()]
    return [value for value in values if value.startswith("twt_")]


def test_people_and_tokens_are_made_changed_and_ended(world: World) -> None:
    people = world.services.people

    async def use(site: Site) -> None:
        _, client = await site.page("/users")
        fill(
            client,
            "users",
            name="li",
            password="long enough",
            role="grid_worker",
            area="g1",
            department="fire",
        )
        await until(lambda: "li" in [user.name for user in people.list_users()], "the new user")
        (li,) = (user for user in people.list_users() if user.name == "li")
        assert (li.role, li.area, li.department) == ("grid_worker", "g1", None)  # this role has no department
        fill(client, "users", name="li", password="long enough")
        await until(lambda: any("用户 li 已存在" in text for text in notices(client)), "the refusal")

        press(client, "tokens")
        press(client, "look")
        for name, event, value in (("name", "input", "wall"), ("days", "change", "30")):
            press(client, name, event, value)
        press(client, "Enter")
        await until(lambda: bool(people.list_tokens()), "the new token")
        (token,) = people.list_tokens()
        assert (token.scopes, token.expires_at is not None) == ((Right.LOOK,), True)
        shown: list[str] = []
        await until(lambda: bool(shown.extend(keys_in(client)) or shown), "the key")
        assert people.user_of_token(shown[0]) is not None
        await until(
            lambda: any(e.props.get("data-do") == "revoke" for e in client.elements.values()), "its line"
        )
        press(client, "revoke")
        press(client, "Enter")
        await until(lambda: people.list_tokens()[0].revoked_at is not None, "the end of the token")

    at_console(world, use, name="chief")


def test_the_audit_is_found_by_person_and_incident_and_verified(world: World) -> None:
    world.services.areas.import_roster(
        [ShiftRow(area="west", person="陈静", contact="1", user="chief")], "chief"
    )
    mine = world.services.audit.list_rows(AuditFilter(actor="chief", action="roster import"))
    assert [row.subject for row in mine.items] == ["roster"]

    async def use(site: Site) -> None:
        text, client = await site.page("/audit?incident=1")
        assert "陈静 (chief)" in text
        assert "由 已识别 · 至 待核实" in text
        assert "导入区域" not in text.split("tw-table")[1]
        text, client = await site.page("/audit?who=nobody")
        assert "没有符合条件的记录" in text
        press(client, "verify")
        await until(
            lambda: any("完整无误" in (e._text or "") for e in client.elements.values()), "the result"
        )

    at_console(world, use, name="chief")
    with world.database.write() as session:
        session.execute(update(AuditRow).where(AuditRow.seq == 2).values(actor="nobody"))
    assert world.services.audit.verify().fault is not None


class _File:
    """A file as the browser sends it."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name, self._data = name, data

    async def read(self) -> bytes:
        return self._data


async def hand_in(client: Client, name: str, data: bytes) -> None:
    """Choose a file in the dialog that is open."""
    *_, upload = [element for element in client.elements.values() if isinstance(element, ui.upload)]
    event = UploadEventArguments(sender=upload, client=client, file=_File(name, data))  # type: ignore[arg-type]
    for handler in upload._upload_handlers:
        await handler(event)


def texts_of(client: Client) -> str:
    """Return what a page says, its markup with it."""
    return "\n".join(f"{e._text or ''}{e.props.get('innerHTML', '')}" for e in client.elements.values())


def test_a_catalogue_is_searched_and_a_new_one_goes_in_whole_or_not_at_all(
    world: World, tmp_path: Path
) -> None:
    catalogues = world.services.catalogue
    good = write_xlsx(tmp_path / "good.xlsx", table(flow_row())).read_bytes()
    bad = write_xlsx(tmp_path / "bad.xlsx", table(flow_row(severity="dire", accept="soon"))).read_bytes()

    async def use(site: Site) -> None:
        text, _ = await site.page("/catalogue?q=交警")
        assert "010101" not in text
        assert "公安交警支队" in text
        assert (await site.http.get("/catalogue?version=99&category=xx")).status_code == 200
        _, client = await site.page("/catalogue?category=05")
        press(client, "import")
        await hand_in(client, "bad.xlsx", bad)
        assert "发现 2 处问题" in texts_of(client)
        assert "K severity" in texts_of(client)
        assert "工作小时" in texts_of(client)
        await hand_in(client, "good.xlsx", good)
        assert "1 个大类、1 个小类、1 个流程" in texts_of(client)
        assert catalogues.get().version == 1
        press(client, "Enter")
        await until(lambda: catalogues.get().version == 2, "the new version")
        site.enter("west")
        text, _ = await site.page("/catalogue")
        assert "data-do" not in text

    at_console(world, use, name="chief")
    assert catalogues.list_versions()[0].imported_by == "chief"


def test_areas_say_who_is_in_charge_and_take_new_ones_whole(world: World) -> None:
    areas = world.services.areas
    moved = collection(
        feature("city", "city", square(112, 33, 113, 34)),
        feature("west", "county", square(112, 33, 112.4, 34)),
        feature("g1", "grid", square(112, 33, 112.1, 33.1)),
    )

    async def use(site: Site) -> None:
        text, client = await site.page("/areas")
        assert "市 1 · 区县 2 · 乡镇街道 1 · 网格 1" in text
        press(client, "import_roster")
        await hand_in(client, "roster.csv", b"area,person,contact\nnowhere,Li,1\n")
        assert "没有区域 nowhere" in texts_of(client)
        await hand_in(client, "roster.csv", ROSTER.encode())
        press(client, "Enter")
        await until(lambda: len(areas.list_shifts()) == 5, "the new roster")

        text, client = await site.page("/areas")
        assert "wecom:li" in text
        assert "周一至周五 08:00-18:00" in text
        press(client, "area", "change", "g1")
        await until(
            lambda: "city区 \u203a west区 \u203a t1区 \u203a g1区" in texts_of(client), "who is in charge"
        )
        assert "Qian" in texts_of(client)

        press(client, "import_areas")
        await hand_in(client, "areas.geojson", json.dumps(moved).encode())
        press(client, "Enter")
        await until(lambda: any("t1" in text for text in notices(client)), "the refusal")  # it has shifts
        assert len(areas.list_areas()) == 5

    at_console(world, use, name="chief")


def test_zones_are_drawn_over_a_camera_and_sent_to_its_box(world: World) -> None:
    text = (Path(__file__).parents[3] / "configs" / "examples" / "street.yaml").read_bytes()
    with world.database.write() as session:
        session.get_one(Edge, EDGE).config_sha256 = sha256(text).hexdigest()

    async def use(site: Site) -> None:
        assert (await site.http.get(f"/cameras/{EDGE}/nowhere")).status_code == 404
        shown, client = await site.page(f"/cameras/{EDGE}/market-street")
        assert "中心没有该设备" in shown
        world.zones.keep_config(EDGE, text, "chief")
        _, client = await site.page(f"/cameras/{EDGE}/market-street")
        (picture,) = (e for e in client.elements.values() if isinstance(e, CameraPicture))
        zones = picture.props["initial"]
        assert [zone["id"] for zone in zones] == ["kerb", "eastbound"]
        moved = [{"id": zone["id"], "points": [[0, 0], [0.5, 0], [0.5, 0.5]]} for zone in zones]
        (listener,) = picture._event_listeners.values()
        picture._handle_event({"listener_id": listener.id, "args": moved})
        press(client, "send")
        await until(lambda: "设备正在试运行" in texts_of(client), "the order")
        with world.database.write() as session:
            command = session.scalars(select(Command).where(Command.name == "apply_config")).one()
            command.ok, command.detail = False, "rolled back: no picture"
        await until(lambda: "rolled back: no picture" in texts_of(client), "the answer")
        press(client, "send")
        await until(lambda: "设备正在试运行" in texts_of(client), "the second order")
        with world.database.write() as session:
            orders = select(Command).where(Command.ok.is_(None), Command.name == "apply_config")
            command = session.scalars(orders).one()
            command.ok, new = True, command.arguments["sha256"]
            session.get_one(Edge, EDGE).config_sha256 = new
        await until(lambda: "history.go(0)" in site.pushed(client), "the page anew")
        _, client = await site.page(f"/cameras/{EDGE}/market-street")
        (picture,) = (e for e in client.elements.values() if isinstance(e, CameraPicture))
        assert picture.props["initial"][0]["points"][2] == (0.5, 0.5)
        site.enter("west")
        assert (await site.http.get(f"/cameras/{EDGE}/market-street")).status_code == 404

    at_console(world, use, name="chief")


def test_the_map_knows_where_calibrated_cameras_look(world: World) -> None:
    text = (Path(__file__).parents[3] / "configs" / "examples" / "tower.yaml").read_bytes()
    world.health([camera("tower-7-ptz")])
    world.services.fleet.place_camera(EDGE, "tower-7-ptz", lat_deg=33.6124, lon_deg=113.0917)
    with world.database.write() as session:
        session.get_one(Edge, EDGE).config_sha256 = sha256(text).hexdigest()
    world.zones.keep_config(EDGE, text, "chief")
    here = "/console/sectors?bbox=113,33.5,113.2,33.7&zoom=13"

    async def use(site: Site) -> None:
        await until(
            lambda: site.console.board.camera(Within(), EDGE, "tower-7-ptz") is not None, "the camera"
        )
        north, east = (await site.http.get(here)).json()
        assert north == {
            "lat": 33.6124, "lon": 113.0917, "preset": "north",
            "azimuth_deg": 12.374, "hfov_deg": 31.482, "range_m": 2000.0,
        }  # fmt: skip
        assert 28 < east["hfov_deg"] < 36
        assert (await site.http.get("/console/sectors?bbox=1,1,2,2&zoom=13")).json() == []
        assert (await site.http.get("/console/sectors?bbox=1&zoom=13")).status_code == 422
        site.enter("west")
        assert (await site.http.get(here)).json() == []

    at_console(world, use, name="chief")
    assert world.zones.sectors([(EDGE, "no such camera")]) == {}

"""Who sees what, and what each role finds to press: pages as the routes of the API, by right and by place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from area_kit import town
from console_site import Site, at_console, console_up, notices, page_of, until
from console_world import EDGE, PASSWORD, World, camera, parked_car

from alerts.areas.geojson import read_areas
from alerts.catalogue.read import read_catalogue, starter_path
from alerts.console.shell import PAGE_RIGHTS
from alerts.console.texts import WORDS
from alerts.messages import Position
from alerts.services.incidents import IncidentFilter
from alerts.services.names import Names, read_names
from alerts.services.rights import ROLE_RIGHTS, Reach, Within
from alerts.states import Action, TaskState

POLICE, FIRE = "traffic-police", "fire"
PEOPLE = {
    "chief": ("administrator", Within()),
    "watch": ("operator", Within()),
    "west": ("operator", Within(area="west")),
    "guest": ("viewer", Within(area="west")),
    "police": ("department", Within(department=POLICE)),
    "li": ("grid_worker", Within(area="g1")),
}


def _at(lat: float, lon: float) -> Position:
    return Position(lat_deg=lat, lon_deg=lon, semi_major_m=30, semi_minor_m=20, orientation_deg=0)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Incident 1 in the west with the police called, incident 2 in the east with the fire brigade."""
    folder: Path = tmp_path_factory.mktemp("central")
    made = World.create(folder)
    services = made.services
    (folder / "areas.geojson").write_text(json.dumps(town()), encoding="utf-8")
    services.areas.import_areas(read_areas(folder / "areas.geojson"), "chief")
    services.catalogue.import_catalogue(read_catalogue(starter_path()), "chief")
    for name, (role, where) in PEOPLE.items():
        services.people.create_user(name, PASSWORD, role, where=where)
    made.health([camera("street-west"), camera("street-east")])
    places = {"street-west": (33.05, 112.05), "street-east": (33.5, 112.9)}
    for name, (lat, lon) in places.items():
        services.fleet.place_camera(EDGE, name, lat_deg=lat, lon_deg=lon)
        made.send(parked_car(made, with_files=False, camera=name, position=_at(lat, lon)))
    for number, department in ((1, POLICE), (2, FIRE)):
        services.incidents.confirm(number, user="watch")
        services.tasks.dispatch(number, [department], user="watch")
    with console_up(made):
        yield made
    made.close()


async def _opens_what_its_rights_say(site: Site, name: str) -> None:
    rights = ROLE_RIGHTS[PEOPLE[name][0]]
    front = (await site.http.get("/")).text
    for path, right in PAGE_RIGHTS.items():
        answer = await site.http.get(path.format(incident_id=1, edge=EDGE, camera="street-west"))
        assert answer.status_code == (200 if right in rights else 403), (name, path)
        if path != "/" and "{" not in path:
            assert (f'"href":"{path}"' in front) == (right in rights), (name, path)


def test_each_role_opens_the_pages_that_its_rights_say_and_finds_no_others_named(world: World) -> None:
    async def use(site: Site) -> None:
        for name in PEOPLE:
            site.enter(name)
            await _opens_what_its_rights_say(site, name)

    at_console(world, use, name=None)


async def _sees_the_west_alone(site: Site, *, fleet: bool) -> None:
    text, client = await site.page("/")
    assert "street-west" in text
    assert "street-east" not in text
    answer = (await site.http.get("/console/map?bbox=111,32,114,35&zoom=12")).json()
    assert [spot["id"] for spot in answer["incidents"]] == [1]
    assert [spot["title"] for spot in answer["cameras"]] == (["street-west"] if fleet else [])
    assert answer["bounds"][2] < 112.5
    assert (await site.http.get("/incidents/2")).status_code == 404
    site.world.touch(2)
    site.world.touch(1)
    await until(lambda: '"id":1,' in site.pushed(client), "the change of what is seen")
    assert '"id":2,' not in site.pushed(client)
    if fleet:
        cameras = (await site.http.get("/cameras")).text
        assert ("street-west" in cameras, "street-east" in cameras) == (True, False)
    client.delete()


def test_who_sees_a_part_of_the_city_has_it_alone_on_wall_map_and_pages(world: World) -> None:
    async def use(site: Site) -> None:
        for name in ("west", "guest", "police", "li"):
            site.enter(name)
            await _sees_the_west_alone(site, fleet="fleet" in ROLE_RIGHTS[PEOPLE[name][0]])

    at_console(world, use, name=None)
    reach = world.services.incidents.reach([1, 2])
    for _role, within in PEOPLE.values():
        page = world.services.incidents.list_incidents(IncidentFilter(within=within))
        assert {item.id for item in page.items} == {key for key in (1, 2) if within.covers(reach[key])}


def test_buttons_are_those_of_the_role(world: World) -> None:
    expected = {"west": (True, True), "guest": (False, False), "police": (False, True), "li": (False, False)}

    async def use(site: Site) -> None:
        for name, (acts, handles) in expected.items():
            site.enter(name)
            text, _ = await site.page("/incidents/1")
            assert ("data-action" in text, "data-task-action" in text) == (acts, handles), name

    at_console(world, use, name=None)


def test_who_has_no_right_to_a_task_or_incident_changes_nothing(world: World) -> None:
    world.services.tasks.dispatch(1, [FIRE], user="watch")

    async def use(site: Site) -> None:
        _, client = await site.page("/incidents/1")
        page = page_of(site, 1)
        mine, other = page.incident.tasks
        buttons = [e for e in client.elements.values() if "data-task-action" in e.props]
        assert len(buttons) == len(mine.actions) + 1  # and the pause
        tasks = world.services.tasks
        await page.do(lambda user: tasks.accept(other.id, user=user), right="handle", task_id=other.id)  # type: ignore[arg-type]
        assert any("无权" in text for text in notices(client))
        await page._handling._ask(mine, mine.actions[0])
        client.delete()

        site.enter("west")  # rights are those of now, not of when the page was opened
        _, client = await site.page("/incidents/1")
        people, east = world.services.people, Within(area="east")
        people.change_user("west", "operator", where=east, disabled=False, by="chief")
        await page_of(site, 1)._act(Action.WITHDRAW)
        assert any("无权" in text for text in notices(client))
        people.change_user("west", "operator", where=Within(area="west"), disabled=False, by="chief")

    at_console(world, use, name="police")
    states = [task.state for task in world.services.incidents.get_incident(1).tasks]
    assert states == [TaskState.ACCEPTED, TaskState.ASSIGNED]


def test_departments_are_named_in_the_language_of_the_page(world: World) -> None:
    names = {language: read_names(world.services, language) for language in WORDS}
    (zh,) = (d.zh for d in world.services.catalogue.get().catalogue.departments if d.id == POLICE)
    assert names["zh"].department(POLICE) == zh
    assert names["en"].department(POLICE).isascii()
    assert names["zh"].area("west") == "west区"
    assert Names().department("unknown") == "unknown"

    async def use(site: Site) -> None:
        text, _ = await site.page("/incidents/1")
        timeline = text.split("tw-timeline")[1]
        assert zh in timeline
        assert POLICE not in timeline

    at_console(world, use, name="watch")


def test_an_incident_in_memory_is_seen_as_one_in_the_database() -> None:
    reach = Reach(frozenset({"g1", "west"}), frozenset({POLICE}))
    assert Within().covers(Reach())
    assert Within("west", POLICE).covers(reach)
    assert not Within("west", FIRE).covers(reach)
    assert not Within("east").covers(reach)

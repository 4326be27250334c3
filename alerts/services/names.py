"""What departments, areas and people are called here, in one language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from alerts.services.bundle import Services
from alerts.services.errors import NotFound
from alerts.texts import Language


@dataclass(frozen=True, slots=True)
class Names:
    """Names by id; whoever has none is shown by the id."""

    departments: Mapping[str, str] = field(default_factory=dict)
    areas: Mapping[str, str] = field(default_factory=dict)
    people: Mapping[str, str] = field(default_factory=dict)

    def department(self, key: str) -> str:
        """Return what the catalogue calls a department."""
        return self.departments.get(key, key)

    def area(self, key: str) -> str:
        """Return what an area is called."""
        return self.areas.get(key, key)

    def person(self, user: str) -> str:
        """Return what the rosters call whoever logs in under a name."""
        return self.people.get(user, user)

    def knowing(self, services: Services, users: Iterable[str]) -> Names:
        """Return them with the names of these people too."""
        return replace(self, people=services.areas.people_called(users))


def read_names(services: Services, language: Language) -> Names:
    """Read what catalogue and areas call things; both are held in memory by their services."""
    zh = language == "zh"
    departments: dict[str, str] = {}
    with suppress(NotFound):  # no catalogue yet
        for item in services.catalogue.get().catalogue.departments:
            departments[item.id] = item.zh if zh else item.en
    areas = {area.id: area.zh if zh else area.en for area in services.areas.list_areas()}
    return Names(departments, areas)

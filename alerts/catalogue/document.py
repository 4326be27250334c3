"""A catalogue as YAML: categories hold their items, items their flows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from alerts.catalogue.model import (
    SCHEMA_VERSION,
    Catalogue,
    Category,
    Department,
    Fault,
    Flow,
    FlowFields,
    Item,
    ItemFields,
    Name,
    Named,
    faults,
)
from towerwatch.yamlconfig import Location, StrictModel, load_yaml, problems_at


def _two_digits(value: object) -> object:
    return f"{value:02}" if isinstance(value, int) and not isinstance(value, bool) else value


TwoDigits = Annotated[str, BeforeValidator(_two_digits), Field(pattern="^[0-9]{2}$")]


class FlowEntry(FlowFields):
    """A flow under its item."""

    code: TwoDigits


class ItemEntry(ItemFields):
    """An item under its category."""

    code: TwoDigits
    flows: Annotated[tuple[FlowEntry, ...], Field(min_length=1)]


class CategoryEntry(Named):
    """A category with its items."""

    code: TwoDigits
    items: Annotated[tuple[ItemEntry, ...], Field(min_length=1)]


class CatalogueDocument(StrictModel):
    """The whole file."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: Name
    departments: Annotated[tuple[Department, ...], Field(min_length=1)]
    categories: Annotated[tuple[CategoryEntry, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        categories, items, flows = self._flat()
        found = [
            (self._place_of(fault), fault.text)
            for fault in faults(
                self.departments, tuple(categories.values()), tuple(items.values()), tuple(flows.values())
            )
        ]
        if found:
            raise problems_at(*found)
        return self

    def catalogue(self) -> Catalogue:
        """Return it flat, as everything but this file wants it."""
        categories, items, flows = self._flat()
        return Catalogue(
            name=self.name,
            departments=self.departments,
            categories=tuple(categories.values()),
            items=tuple(items.values()),
            flows=tuple(flows.values()),
        )

    def _flat(self) -> tuple[dict[Location, Category], dict[Location, Item], dict[Location, Flow]]:
        """Return categories, items and flows in order, each under its place in the file."""
        categories: dict[Location, Category] = {}
        items: dict[Location, Item] = {}
        flows: dict[Location, Flow] = {}
        for c, category in enumerate(self.categories):
            at: Location = ("categories", c)
            categories[at] = Category(code=category.code, zh=category.zh, en=category.en)
            for i, item in enumerate(category.items):
                items[(*at, "items", i)] = _item(category.code, item)
                for f, flow in enumerate(item.flows):
                    flows[(*at, "items", i, "flows", f)] = _flow(category.code + item.code, flow)
        return categories, items, flows

    def _place_of(self, fault: Fault) -> Location:
        if fault.of == "department":
            return ("departments", fault.at, fault.field)
        categories, items, flows = self._flat()
        places: dict[str, list[Location]] = {
            "category": list(categories),
            "item": list(items),
            "flow": list(flows),
        }
        return (*places[fault.of][fault.at], fault.field)


def read_yaml(path: Path) -> Catalogue:
    """Read a catalogue; raise ConfigError with file, line and key for each thing that is wrong."""
    return load_yaml(path, CatalogueDocument).catalogue()


def _item(category: str, entry: ItemEntry) -> Item:
    return Item(code=category + entry.code, zh=entry.zh, en=entry.en, kinds=entry.kinds)


def _flow(item: str, entry: FlowEntry) -> Flow:
    return Flow.model_validate(dict(entry) | {"code": item + entry.code})

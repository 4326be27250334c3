"""From the rows of a table to a catalogue: what is blank stands above, what is wrong has row and column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alerts.catalogue.columns import DEPARTMENT_COLUMNS, DEPARTMENT_SHEETS, FLOW_COLUMNS, FLOW_SHEETS
from alerts.catalogue.model import Catalogue, Category, Department, Fault, Flow, Item, faults, split_words
from alerts.mistakes import Mistake
from alerts.sheets import (
    Model,
    Record,
    Table,
    raise_problems,
    read_sheets,
    read_table,
    sheet_named,
    validated,
)


def read_rows(path: Path) -> Catalogue:
    """Read a catalogue from CSV or XLSX; raise ConfigError with row and column for all that is wrong."""
    sheets = read_sheets(path)
    name = sheet_named(sheets, FLOW_SHEETS) or next(iter(sheets))
    listed = sheet_named(sheets, DEPARTMENT_SHEETS)
    table = read_table(_place(path, name, sheets), sheets[name], FLOW_COLUMNS)
    departments = None
    if listed is not None and listed != name:
        departments = _Departments(
            read_table(_place(path, listed, sheets), sheets[listed], DEPARTMENT_COLUMNS)
        )
    reader = _Reader(table, departments)
    for record in table.records:
        reader.take(record)
    return reader.finish(path.stem)


def _place(path: Path, sheet: str, sheets: Mapping[str, object]) -> str:
    return str(path) if len(sheets) == 1 else f"{path}[{sheet}]"


class _Departments:
    """A list of departments: cells may name them by id or by Chinese name."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.rows: list[Department] = []
        self.at: list[int] = []
        for record in table.records:
            row = validated(table, record, Department, record.values, {})
            if row is not None:
                self.rows.append(row)
                self.at.append(record.row)
        self._ids = {row.zh: row.id for row in self.rows}

    def id_of(self, name: str) -> str:
        return self._ids.get(name, name)


@dataclass(slots=True)
class _Reader:
    """Reads one row after the other; a blank category or item is that of the row above."""

    table: Table
    departments: _Departments | None
    category: Category | None = None
    item: Item | None = None
    categories: dict[str, Category] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    flows: list[Flow] = field(default_factory=list)
    first_row: dict[str, int] = field(default_factory=dict)  # of a category or an item, by its code
    flow_rows: list[int] = field(default_factory=list)
    skipping: bool = False  # below a category or item that is wrong, blank cells mean nothing

    def take(self, record: Record) -> None:
        """Read a row into its category, its item and its flow."""
        if record.values.get("category") or record.values.get("item"):
            self.skipping = False
        if self.skipping:
            return
        self.category = self._category(record)
        self.item = self._item(record, self.category) if self.category else None
        if self.item is None:
            self.skipping = True
            return
        code = self._code(record, "flow", self.item.code, "")
        values: dict[str, object] = {
            key: record.values[key] for key in Flow.model_fields if key in record.values
        }
        if self.departments is not None:
            values |= self._by_id(record.values, self.departments)
        flow = validated(self.table, record, Flow, values | {"code": code or "000000"}, {})
        if flow is not None and code is not None:
            self.flows.append(flow)
            self.flow_rows.append(record.row)

    def finish(self, name: str) -> Catalogue:
        """Check what stands between the rows, and return the catalogue or raise all that was wrong."""
        listed = self._mentioned() if self.departments is None else tuple(self.departments.rows)
        categories, items, flows = (
            tuple(self.categories.values()),
            tuple(self.items.values()),
            tuple(self.flows),
        )
        for fault in faults(listed, categories, items, flows):
            self._place(fault, categories, items)
        problems = self.table.problems + (self.departments.table.problems if self.departments else [])
        raise_problems(problems)
        return Catalogue(name=name[:80], departments=listed, categories=categories, items=items, flows=flows)

    def _category(self, record: Record) -> Category | None:
        code = self._code(record, "category", "", self.category.code if self.category else "")
        if code is None:
            return None
        names = {"zh": "category_zh", "en": "category_en"}
        return self._once(record, self.categories, Category, code, names)

    def _item(self, record: Record, category: Category) -> Item | None:
        above = self.item.code if self.item and self.item.category == category.code else ""
        code = self._code(record, "item", category.code, above)
        if code is None:
            return None
        return self._once(
            record, self.items, Item, code, {"zh": "item_zh", "en": "item_en", "kinds": "kinds"}
        )

    def _once(
        self, record: Record, known: dict[str, Model], model: type[Model], code: str, names: dict[str, str]
    ) -> Model | None:
        """Return the category or item of a code: made at its first row, compared at the others."""
        values = {key: record.values[column] for key, column in names.items() if column in record.values}
        if code not in known:
            made = validated(self.table, record, model, values | {"code": code}, names)
            if made is not None:
                known[code] = made
                self.first_row[code] = record.row
            return made
        found = known[code]
        for key, value in values.items():
            if (split_words(value) if key == "kinds" else value) != getattr(found, key):
                text = Mistake.of("cell_differs", value=value, row=self.first_row[code])
                self.table.wrong(record.row, names[key], text)
        return found

    def _code(self, record: Record, of: str, above: str, before: str) -> str | None:
        """Return a whole code: its own two digits, or with those above; ``before`` where blank."""
        text = record.values.get(of, "")
        if not text:
            if not before and of not in record.unreadable:
                self.table.wrong(record.row, of, Mistake.of("missing"))
            return before or None
        if not (text.isascii() and text.isdigit() and len(text) <= len(above) + 2):
            kind = "code_bad_below" if above else "code_bad"
            self.table.wrong(record.row, of, Mistake.of(kind, text=text, digits=len(above) + 2))
            return None
        code = above + text.zfill(2) if len(text) <= 2 else text.zfill(len(above) + 2)
        if not code.startswith(above):
            self.table.wrong(record.row, of, Mistake.of("code_elsewhere", text=text, above=above))
            return None
        return code

    @staticmethod
    def _by_id(values: dict[str, str], departments: _Departments) -> dict[str, object]:
        """Return the departments of a row by their ids, where the row names them otherwise."""
        found: dict[str, object] = {}
        if "department" in values:
            found["department"] = departments.id_of(values["department"])
        if "along" in values:
            found["along"] = tuple(map(departments.id_of, split_words(values["along"])))
        return found

    def _mentioned(self) -> tuple[Department, ...]:
        """Return the departments that the rows speak of, where no sheet lists them."""
        names = [name for flow in self.flows for name in (flow.department, *flow.along)]
        return tuple(Department(id=name, zh=name) for name in dict.fromkeys(names))

    def _place(self, fault: Fault, categories: tuple[Category, ...], items: tuple[Item, ...]) -> None:
        if fault.of == "department" and self.departments is not None:
            self.departments.table.wrong(self.departments.at[fault.at], fault.field, fault.text)
        elif fault.of == "flow":
            at = "flow" if fault.field == "code" else fault.field
            self.table.wrong(self.flow_rows[fault.at], at, fault.text)
        else:
            code = (categories if fault.of == "category" else items)[fault.at].code
            self.table.wrong(self.first_row[code], fault.field, fault.text)

"""Write a catalogue as CSV or XLSX, to be edited where people edit such tables and read again."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from alerts.catalogue.columns import DEPARTMENT_COLUMNS, DEPARTMENT_SHEETS, FLOW_COLUMNS, FLOW_SHEETS
from alerts.catalogue.model import Catalogue
from towerwatch.errors import ConfigError, Problem


def write_catalogue(catalogue: Catalogue, path: Path, *, language: str = "zh") -> None:
    """Write a table with its headings in a language; raise ConfigError if it is neither CSV nor XLSX."""
    if path.suffix.lower() == ".csv":
        with path.open(
            "w", encoding="utf-8-sig", newline=""
        ) as stream:  # so that Excel sees that it is UTF-8
            csv.writer(stream).writerows(flow_rows(catalogue, language))
    elif path.suffix.lower() == ".xlsx":
        _write_xlsx(catalogue, path, language)
    else:
        raise ConfigError([Problem(str(path), None, "", "write to a file that ends in .csv or .xlsx")])


def flow_rows(catalogue: Catalogue, language: str) -> Iterator[list[str]]:
    """Yield the heading and a row for each flow."""
    categories = {row.code: row for row in catalogue.categories}
    items = {row.code: row for row in catalogue.items}
    yield [column.zh if language == "zh" else column.field for column in FLOW_COLUMNS]
    for flow in catalogue.flows:
        item, category = items[flow.item], categories[flow.item[:2]]
        values = flow.model_dump(mode="json") | {
            "category": category.code,
            "category_zh": category.zh,
            "category_en": category.en,
            "item": item.code,
            "item_zh": item.zh,
            "item_en": item.en,
            "kinds": list(item.kinds),
            "flow": flow.code,
            "verify": "yes" if flow.verify else "no",
            "notify": [f"{notice.who}:{notice.how}" for notice in flow.notify],
        }
        yield [_cell(values[column.field]) for column in FLOW_COLUMNS]


def _cell(value: object) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _write_xlsx(catalogue: Catalogue, path: Path, language: str) -> None:
    import openpyxl  # noqa: PLC0415 - slow to load, and only a spreadsheet needs it

    book = openpyxl.Workbook(write_only=True)
    flows = book.create_sheet(FLOW_SHEETS[language == "zh"])
    flows.freeze_panes = "A2"
    for row in flow_rows(catalogue, language):
        flows.append(row)
    departments = book.create_sheet(DEPARTMENT_SHEETS[language == "zh"])
    departments.append([column.zh if language == "zh" else column.field for column in DEPARTMENT_COLUMNS])
    for department in catalogue.departments:
        departments.append([department.id, department.zh, department.en])
    book.save(path)

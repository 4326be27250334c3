"""Small catalogues as tables, to be broken one cell at a time, and a large one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openpyxl

from alerts.catalogue.columns import DEPARTMENT_COLUMNS, FLOW_COLUMNS

FIELDS = [column.field for column in FLOW_COLUMNS]
DEPARTMENTS = [
    [column.field for column in DEPARTMENT_COLUMNS],
    ["police", "交警支队", "Traffic police"],
    ["fire", "消防支队", "Fire and rescue"],
]


def flow_row(**changes: Any) -> dict[str, Any]:
    """One good row, by field."""
    return {
        "category": "05",
        "category_zh": "街面秩序",
        "category_en": "Street order",
        "item": "05",
        "item_zh": "机动车乱停放",
        "item_en": "Parked in disorder",
        "kinds": "illegal_parking",
        "flow": "01",
        "zh": "违法停车",
        "en": "Illegal parking",
        "severity": "general",
        "condition_zh": "停放超过时限",
        "condition_en": "Stands too long",
        "verify": "yes",
        "department": "police",
        "along": "fire",
        "accept": "15 min",
        "arrive": "1 h",
        "close": "2 h",
        "criterion_zh": "驶离",
        "criterion_en": "Gone",
        "notify": "department:wecom",
    } | changes


def table(*rows: dict[str, Any]) -> list[list[Any]]:
    """A heading and rows, in the order of the columns."""
    return [list(FIELDS), *([row.get(name) for name in FIELDS] for row in rows)]


def write_xlsx(path: Path, rows: list[list[Any]], departments: list[list[Any]] | None = None) -> Path:
    """Write a workbook with a sheet of flows, and one of departments."""
    book = openpyxl.Workbook(write_only=True)
    for title, content in (("flows", rows), ("departments", departments or DEPARTMENTS)):
        sheet = book.create_sheet(title)
        for row in content:
            sheet.append(row)
    book.save(path)
    return path


def city_rows(categories: int = 12, items: int = 105, flows: int = 958) -> list[list[Any]]:
    """A catalogue of the size of the seed city's."""
    counts = [flows // items + (at < flows % items) for at in range(items)]
    return table(
        *(
            flow_row(
                category=f"{at % categories + 1:02}",
                category_zh=f"大类{at % categories + 1}",
                category_en="",
                item=f"{at // categories + 1:02}",
                item_zh=f"小类{at}",
                item_en="",
                kinds="",
                flow=f"{number:02}",
                zh=f"流程{number}",
            )
            for at, count in enumerate(counts)
            for number in range(1, count + 1)
        )
    )

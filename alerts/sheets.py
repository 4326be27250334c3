"""CSV and XLSX as tables of text, each cell with its row and column, so that every error has an address."""

from __future__ import annotations

import csv
import io
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from alerts.mistakes import MISTAKES, Mistake
from towerwatch.errors import ConfigError, Problem
from towerwatch.yamlconfig import nearest

MAX_BYTES = 32 << 20
MAX_UNPACKED = 512 << 20  # of a workbook, which is a ZIP archive: a few kilobytes can unpack to gigabytes
MAX_ROWS = 20_000
MAX_CELL = 2_000
MAX_PROBLEMS = 200
Model = TypeVar("Model", bound=BaseModel)
# what a damaged, encrypted or foreign archive raises on its way through zipfile, zlib and openpyxl's parts
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, EOFError, RuntimeError,
    SyntaxError, LookupError, ValueError, TypeError, AttributeError,
)  # fmt: skip
# what a spreadsheet shows where a formula has failed
_FAILED = frozenset({"#REF!", "#N/A", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!"})


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the field it fills, its Chinese heading, whether each table must have it."""

    field: str
    zh: str
    required: bool = False
    prose: bool = False  # text for people: its characters are kept as they are


@dataclass(slots=True)
class Record:
    """One row that holds something: its number, the text of each field, and which fields are unreadable."""

    row: int
    values: dict[str, str] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Table:
    """The rows of one sheet, read by column; ``problems`` is where the readers put what is wrong."""

    file: str
    columns: dict[str, str] = field(default_factory=dict)  # field -> "F severity", as problems name it
    records: list[Record] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, row: int, of: str, text: str) -> None:
        """Note a problem in a row, at the column of a field."""
        self.problems.append(Problem(self.file, row, self.columns.get(of, of), text))


def read_sheets(path: Path) -> dict[str, list[Sequence[object]]]:
    """Return the rows of each sheet of a CSV or XLSX file; a CSV has one sheet, of no name.

    Raises:
        ConfigError: it cannot be read, is too large, or is neither.

    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _refused(path, "file_unreadable", why=error.strerror) from None
    if len(data) > MAX_BYTES:
        raise _refused(path, "file_large", most=MAX_BYTES >> 20)
    if path.suffix.lower() == ".csv":
        return {"": list(_csv_rows(path, data))}
    return _xlsx_sheets(path, data)


def sheet_named(sheets: dict[str, list[Sequence[object]]], names: Sequence[str]) -> str | None:
    """Return the sheet that bears one of some names; None without one."""
    return next((name for name in sheets if name.lower() in names), None)


def read_table(file: str, rows: Iterable[Sequence[object]], columns: Sequence[Column]) -> Table:
    """Read rows by their heading, which is the first that holds anything; raise ConfigError for a bad one."""
    table, places = Table(file), dict[int, Column]()
    for number, cells in enumerate(rows, start=1):
        texts = [_text(cell) for cell in cells]
        if not any(texts):
            continue
        if number > MAX_ROWS:
            raise ConfigError([Problem(file, number, "", Mistake.of("rows_many", most=MAX_ROWS))])
        if not places:
            places = _heading(table, number, texts, columns)
            continue
        table.records.append(_record(table, number, texts, places))
    if not places:
        raise ConfigError([Problem(file, None, "", Mistake.of("rows_none"))])
    if not table.records:
        raise ConfigError([Problem(file, None, "", Mistake.of("heading_alone"))])
    return table


def letter(index: int) -> str:
    """Return what a spreadsheet calls its ``index``-th column, from 0: A, B, … Z, AA."""
    name = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


def validated(
    table: Table, record: Record, model: type[Model], values: Mapping[str, object], names: Mapping[str, str]
) -> Model | None:
    """Return a row as a model, or note what is wrong at the columns that ``names`` gives its fields."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        for item in error.errors():
            of = str(item["loc"][0]) if item["loc"] else ""
            column = names.get(of, of)
            if column in record.unreadable:
                continue  # it has been told what is wrong with the cell
            table.wrong(record.row, column, _said(item))
        return None


def _said(item: ErrorDetails) -> str:
    """Return what is wrong with a value: in the words of who refused it, or in pydantic's with the value."""
    context = item.get("ctx", {})
    why = context["error"].args[0] if "error" in context else ""
    if isinstance(why, Mistake):
        return why
    if item["type"] == "missing":
        return Mistake.of("missing")
    message, shown = item["msg"].removeprefix("Value error, "), item["input"]
    if isinstance(shown, str) and repr(shown) not in message:
        message += f", got {shown[:40]!r}"
    if item["type"] not in MISTAKES:
        return message
    return Mistake.of(item["type"], **{**context, "said": message, "shown": str(shown)[:40]})


def raise_problems(problems: list[Problem]) -> None:
    """Raise ConfigError with all that is wrong, in the order of the rows, unless nothing is."""
    if not problems:
        return
    told = sorted(problems, key=lambda problem: problem.line or 0)
    if len(told) > MAX_PROBLEMS:
        rest = Problem(told[0].file, None, "", Mistake.of("problems_more", count=len(told) - MAX_PROBLEMS))
        told = [*told[:MAX_PROBLEMS], rest]
    raise ConfigError(told)


def _heading(table: Table, row: int, texts: list[str], columns: Sequence[Column]) -> dict[int, Column]:
    by_name = {name: column for column in columns for name in (column.field, column.zh)}
    places: dict[int, Column] = {}
    for index, text in enumerate(texts):
        name = text.lower()
        if not name:
            continue
        column = by_name.get(name)
        if column is None:
            hint = nearest(name, list(by_name))
            unknown = Mistake.of("column_unknown", hint=hint)
            table.problems.append(Problem(table.file, row, f"{letter(index)} {text}", unknown))
        elif column in places.values():
            table.wrong(row, column.field, Mistake.of("column_twice", letter=letter(index)))
        else:
            places[index] = column
            table.columns[column.field] = f"{letter(index)} {text}"
    for column in columns:
        if column.required and column.field not in table.columns:
            table.wrong(row, f"{column.field} ({column.zh})", Mistake.of("column_missing"))
    if table.problems:
        raise ConfigError(table.problems)  # nothing below can be read
    return places


def _record(table: Table, row: int, texts: list[str], places: dict[int, Column]) -> Record:
    record = Record(row)
    for index, text in enumerate(texts):
        column = places.get(index)
        if not text:
            continue
        if column is None:
            outside = Mistake.of("outside_table", text=text[:40])
            table.problems.append(Problem(table.file, row, letter(index), outside))
        elif text in _FAILED or len(text) > MAX_CELL:
            failed = Mistake.of("cell_failed", text=text[:40])
            long = Mistake.of("cell_long", count=len(text), most=MAX_CELL)
            table.wrong(row, column.field, failed if text in _FAILED else long)
            record.unreadable.add(column.field)
        else:
            kept = text if column.prose else unicodedata.normalize("NFKC", text).strip()
            record.values[column.field] = kept
    return record


def _text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime | date | time):
        return f"the date {cell.isoformat()}"  # a spreadsheet's guess; no column takes one
    return str(cell).strip()


def _csv_rows(path: Path, data: bytes) -> Iterator[Sequence[object]]:
    for encoding in ("utf-8-sig", "gb18030"):  # the second is what a Chinese Excel writes
        try:
            text = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise _refused(path, "not_text")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        yield from reader
    except csv.Error as error:
        raise _refused(path, "not_csv", reader.line_num, why=error) from None


def _xlsx_sheets(path: Path, data: bytes) -> dict[str, list[Sequence[object]]]:
    import openpyxl  # noqa: PLC0415 - slow to load, and only a spreadsheet needs it
    from openpyxl.utils.exceptions import InvalidFileException  # noqa: PLC0415

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(part.file_size for part in archive.infolist()) > MAX_UNPACKED:
                raise _refused(path, "unpacks_large", most=MAX_UNPACKED >> 20)
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        try:
            return {
                sheet.title: list(sheet.iter_rows(max_row=MAX_ROWS + 1, max_col=100, values_only=True))
                for sheet in book.worksheets
            }
        finally:
            book.close()
    except (*_DAMAGED, InvalidFileException) as error:
        what = " ".join(str(error).split())[:120]
        raise _refused(path, "not_xlsx", why=what) from None


def _refused(path: Path, code: str, line: int | None = None, **values: object) -> ConfigError:
    return ConfigError([Problem(str(path), line, "", Mistake.of(code, **values))])

"""Printing and writing what a benchmark measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine_facts

Row = dict[str, Any]


def document(name: str, *, quick: bool, **parts: Any) -> dict[str, Any]:
    """Start a benchmark's JSON document with what all of them hold."""
    return {"benchmark": name, "quick": quick, "machine": machine_facts(), **parts}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a document, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def print_machine(content: dict[str, Any]) -> None:
    """Print the machine in one line."""
    machine = content["machine"]
    gpus = ", ".join(machine["gpus"]) or "no GPU"
    text = f"{machine['cpu']}, {machine['cores']} cores, load {machine['load_1m']}, {gpus}"
    Console(highlight=False).print(text, markup=False)


def print_table(title: str, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Print the named columns of rows."""
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    Console(highlight=False, width=max(140, Console().width)).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return "x".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)

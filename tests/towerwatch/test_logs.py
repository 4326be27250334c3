"""Log lines are JSON, carry their program, and pass through redaction whoever wrote them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from towerwatch.logs import configure_logging, get_logger
from towerwatch.secrets import Secret


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_event_is_one_json_object_with_its_program(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("edge")
    get_logger("edge.outbox").info("row sent", seq=7, depth=None)
    (line,) = lines(capsys)
    assert (line["event"], line["program"], line["logger"], line["seq"]) == (
        "row sent",
        "edge",
        "edge.outbox",
        7,
    )
    assert str(line["timestamp"]).endswith("Z")


def test_secrets_are_removed_from_fields_nested_values_and_tracebacks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("edge")
    Secret("sesame-open")

    def fail() -> None:
        raise RuntimeError("cannot open rtsp://u:sesame-open@cam/1")

    try:
        fail()
    except RuntimeError:
        get_logger("x").exception(
            "failed", nested={"urls": ["rtsp://u:other-word@cam/1"]}, kept=Secret("sesame-open")
        )
    logging.getLogger("foreign.library").warning("url %s", "rtsp://u:sesame-open@cam/1")
    text = capsys.readouterr().err
    assert "sesame-open" not in text
    assert "other-word" not in text
    assert "Traceback" in text
    assert "foreign.library" in text


def test_levels_below_the_chosen_one_are_silent(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("edge", level="WARNING")
    get_logger("x").info("quiet")
    get_logger("x").warning("loud")
    assert [line["event"] for line in lines(capsys)] == ["loud"]


def test_pretty_lines_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("demo", pretty=True)
    get_logger("x").info("camera rtsp://u:pretty-secret@h/1 opened")
    shown = capsys.readouterr().err
    assert "rtsp://u:***@h/1 opened" in shown
    assert not shown.startswith("{")

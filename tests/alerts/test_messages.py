"""The wire contract: what fits, what is refused, and that it reads back as it was written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from alerts import messages
from alerts.messages import AckMessage, AlertMessage, decode, encode, json_schema

T0 = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
ALERT: dict[str, Any] = {
    "alert_id": "0" * 32,
    "phase": "opened",
    "phase_seq": 0,
    "outbox_id": "1" * 32,
    "outbox_seq": 1,
    "boot_id": "2" * 32,
    "site": "riverside",
    "edge": "box-1",
    "kind": "smoke",
    "camera": "tower-1",
    "place_key": "tube-1",
    "started_at": T0,
    "captured_at": T0,
    "clock": {"synchronised": True, "offset_ms": 1.5},
    "confidence": 0.5,
    "rule": "smoke/1",
}
BOX = {"label": "smoke", "confidence": 0.5, "x1": 0.1, "y1": 0.1, "x2": 0.2, "y2": 0.3}


def test_an_alert_reads_back_as_it_was_written() -> None:
    alert = AlertMessage(**ALERT, boxes=[BOX], measures={"age_s": 12.5})
    assert decode("alert", encode(alert)) == alert


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"colour": "red"}, "Extra inputs are not permitted", id="unknown-field"),
        pytest.param({"schema_version": 2}, "Input should be 1", id="other-version"),
        pytest.param({"confidence": 1.01}, "less than or equal to 1", id="confidence-over-1"),
        pytest.param({"confidence": float("nan")}, "finite number", id="nan"),
        pytest.param({"started_at": "2026-06-01T04:00:00"}, "timezone", id="naive-time"),
        # the console shows times in its own zone: one message without such a time would end its wall
        pytest.param({"started_at": "9999-12-31T20:00:00Z"}, "less than 9999-01-01", id="no-later-zone"),
        pytest.param({"captured_at": "0001-01-01T00:00:00Z"}, "than or equal to 1970", id="no-earlier-zone"),
        pytest.param({"alert_id": "not-hex"}, "match pattern", id="alert-id"),
        pytest.param({"site": "River Side"}, "match pattern", id="site-id"),
        pytest.param(
            {"phase": "closed", "phase_seq": 1}, "ended_at belongs to phase closed", id="closed-no-end"
        ),
        pytest.param({"ended_at": T0}, "ended_at belongs to phase closed", id="end-while-open"),
        pytest.param({"phase_seq": 1}, "opened is phase_seq 0", id="opened-not-first"),
        pytest.param({"phase": "updated"}, "opened is phase_seq 0", id="update-first"),
        pytest.param(
            {"phase": "closed", "phase_seq": 1, "ended_at": T0 - timedelta(seconds=1)},
            "before started_at",
            id="end-first",
        ),
        pytest.param({"boxes": [BOX | {"x2": 0.05}]}, "x1 < x2", id="box-inside-out"),
        pytest.param({"boxes": [BOX] * 33}, "at most 32", id="too-many-boxes"),
    ],
)
def test_what_breaks_the_contract_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        AlertMessage(**(ALERT | change))


def test_messages_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        AlertMessage(**ALERT).confidence = 0.9  # type: ignore[misc]


def test_the_size_limit_holds_both_ways() -> None:
    huge = AckMessage(outbox_id="1" * 32, sequences=tuple(range(10**17, 10**17 + 1000)))
    with pytest.raises(ValueError, match="the contract allows 16384"):
        encode(huge)
    with pytest.raises(ValueError, match="the contract allows 16384"):
        decode("ack", b" " * (messages.MAX_MESSAGE_BYTES + 1))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b'{"schema_version":1}'])
def test_garbage_on_a_channel_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        decode("alert", data)


def test_the_json_schema_names_every_channel_and_refuses_unknown_fields() -> None:
    schema = json_schema()
    assert set(schema) == {"alert", "ack", "status", "health", "command", "reply"}
    assert all(entry["additionalProperties"] is False for entry in schema.values())
    assert json.loads(json.dumps(schema)) == schema


def test_the_largest_alert_the_edge_may_send_fits() -> None:
    evidence = {
        "role": "context_now",
        "sha256": "a" * 64,
        "bytes": 10**7,
        "media_type": "image/jpeg",
        "captured_at": T0,
    }
    alert = AlertMessage(
        **ALERT,
        boxes=[BOX | {"confidence": 0.123456789012345}] * 32,
        evidence=[evidence] * 16,
        measures={f"measure_number_{i:02d}_m": 0.123456789012345 for i in range(32)},
        reason="r" * 256,
    )
    assert len(encode(alert)) < messages.MAX_MESSAGE_BYTES

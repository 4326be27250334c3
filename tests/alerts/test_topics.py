"""Topics go there and back, and nothing else is a topic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.topics import Address, parse_topic, wildcard

ids = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?", fullmatch=True)
channels = st.sampled_from(["alert", "ack", "status", "health", "command", "reply"])


@given(ids, ids, channels)
def test_an_address_reads_back_from_its_topic(site: str, edge: str, channel) -> None:
    address = Address(site, edge, channel)
    assert parse_topic(str(address)) == address


@pytest.mark.parametrize(
    "topic",
    [
        pytest.param("towerwatch/v1/s/e/alarm", id="unknown-channel"),
        pytest.param("towerwatch/v2/s/e/alert", id="other-version"),
        pytest.param("towerwatch/v1/s/alert", id="too-short"),
        pytest.param("towerwatch/v1/s/e/x/alert", id="too-long"),
        pytest.param("towerwatch/v1/S/e/alert", id="upper-case"),
        pytest.param("towerwatch/v1/+/e/alert", id="wildcard"),
        pytest.param("towerwatch/v1//e/alert", id="empty-site"),
        pytest.param("towerwatch/v1/s/e\n/alert", id="line-break"),
    ],
)
def test_anything_else_is_refused(topic: str) -> None:
    with pytest.raises(ValueError, match="topic"):
        parse_topic(topic)


def test_the_wildcard_covers_every_box() -> None:
    assert wildcard("health") == "towerwatch/v1/+/+/health"

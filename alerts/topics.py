"""MQTT topics of the contract: ``towerwatch/v1/<site>/<edge>/<channel>``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

PREFIX = "towerwatch/v1"
Channel = Literal["alert", "ack", "status", "health", "command", "reply"]
# ids stand in topics, ACLs, certificate names, file names and URLs: no wildcard, slash or blank
ID_PATTERN = r"^[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?$"
_ID = re.compile(ID_PATTERN)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a message belongs."""

    site: str
    edge: str
    channel: Channel

    def __str__(self) -> str:
        """Render the topic."""
        return f"{PREFIX}/{self.site}/{self.edge}/{self.channel}"


def parse_topic(topic: str) -> Address:
    """Split a topic; raise ValueError when it is not one of the contract."""
    parts = topic.split("/")
    if len(parts) != 5 or "/".join(parts[:2]) != PREFIX or parts[4] not in get_args(Channel):
        msg = f"not a topic of the contract: {topic!r}"
        raise ValueError(msg)
    site, edge, channel = parts[2:]
    if not (_ID.fullmatch(site) and _ID.fullmatch(edge)):
        msg = f"site or edge id in topic has characters outside {ID_PATTERN}: {topic!r}"
        raise ValueError(msg)
    return Address(site, edge, channel)  # type: ignore[arg-type]  # checked against Channel above


def wildcard(channel: Channel) -> str:
    """Return the filter for one channel of all boxes."""
    return f"{PREFIX}/+/+/{channel}"

"""Ids in configurations: they stand in topics, file names and certificate names."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from alerts.topics import ID_PATTERN


def check_id(value: str) -> str:
    """Return ``value``; raise ValueError if it cannot be an id."""
    if not re.match(ID_PATTERN, value) or value.endswith("\n"):
        msg = f"expected lower-case letters, digits, - and _, at most 64, such as box-1, got {value!r}"
        raise ValueError(msg)
    return value


Id = Annotated[str, AfterValidator(check_id)]

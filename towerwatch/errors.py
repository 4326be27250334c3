"""The roots of every error that Towerwatch raises, split by what the caller can do.

::

    TowerwatchError
    ├── ConfigError      the operator must change a file: exit code 2, one line with file and key
    ├── RetryableError   the world may heal: back off with jitter and try again
    └── PermanentError   this item will never work: set it aside, count it, go on

Each room derives its own errors from one of the three branches.
"""

from __future__ import annotations

from dataclasses import dataclass


class TowerwatchError(Exception):
    """Root of all errors that Towerwatch raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file that an operator wrote."""

    file: str
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        """Render as ``file:line: key: message``, the shape that editors jump to."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class ConfigError(TowerwatchError):
    """A configuration cannot be used; each problem names file, line and key."""

    def __init__(self, problems: list[Problem] | str) -> None:
        """Take the problems, or one sentence where no file is involved."""
        self.problems = problems if isinstance(problems, list) else []
        super().__init__(problems if isinstance(problems, str) else "\n".join(map(str, problems)))


class RetryableError(TowerwatchError):
    """A try failed for a reason outside; the same call may succeed later."""


class PermanentError(TowerwatchError):
    """An item that can never be processed; retrying it would change nothing."""

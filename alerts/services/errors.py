"""What a service may refuse, split by what the caller can do.

::

    ServiceError
    ├── NotFound        there is no such thing (at the shell a wrong argument: exit code 2, as for Invalid)
    ├── Invalid         the request itself is wrong: unknown reason, bad cursor, too long a note
    ├── Conflict        somebody else was first: read again (IllegalTransition is its sibling in states)
    ├── LoginRefused    name or password wrong
    └── TooManyLogins   wait ``retry_after_s`` seconds
"""

from __future__ import annotations

from alerts.refusals import Refusal
from towerwatch.errors import ConfigError, PermanentError


class ServiceError(Refusal, PermanentError):
    """Root of what a service refuses."""


class NotFound(ServiceError, ConfigError):
    """There is no such thing."""


class Invalid(ServiceError, ConfigError):
    """The request itself is wrong."""


class Conflict(ServiceError):
    """The thing has changed since the caller read it."""


class LoginRefused(ServiceError):
    """Name or password is wrong."""


class TooManyLogins(ServiceError):
    """Too many failed logins; wait."""

    def __init__(self, retry_after_s: int) -> None:
        """Say how long to wait."""
        super().__init__(f"too many failed logins; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s

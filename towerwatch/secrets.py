"""Secrets by reference, and the one filter that keeps them out of everything printed.

A configuration never holds a password; it holds ``env:NAME`` or ``file:/path``. Once resolved,
the value lives in a :class:`Secret`, which prints as stars, and is registered so that
:func:`redact` removes it wherever it turns up, percent-encoded included.
"""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

MASK = "***"
# user:password@ of any URL, the password greedy up to the last @ before a slash or a blank
_URL_CREDENTIALS = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)(?P<user>[^\s/:@]*):[^\s/]*@")
_known: set[str] = set()
_lock = threading.Lock()
_MIN_REGISTERED = 4  # shorter values would blank out ordinary text


class Secret:
    """A string that cannot be printed by accident; :meth:`reveal` is the only way to it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Hold ``value`` and register it for redaction."""
        self._value = value
        register(value)

    def reveal(self) -> str:
        """Return the value; call it where it is handed to the library that needs it."""
        return self._value

    def __repr__(self) -> str:
        """Never show the value."""
        return f"Secret({MASK!r})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Compare by value."""
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        """Hash by value."""
        return hash(self._value)

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        """Travel between our own processes, registering again on the other side."""
        return (Secret, (self._value,))

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate from a reference (``env:NAME``, ``file:/path``); serialise as a mask."""
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, Secret) else resolve(str(value)),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda _value: MASK),
        )


def register(value: str) -> None:
    """Add a value, and its percent-encoded form, to what :func:`redact` removes."""
    if len(value) >= _MIN_REGISTERED:
        with _lock:
            _known.update({value, quote(value, safe="")})


def resolve(reference: str) -> Secret:
    """Read the secret that ``env:NAME`` or ``file:/path`` points to.

    Raises:
        ValueError: the reference has another shape, or what it names is absent or empty.

    """
    kind, _, name = reference.partition(":")
    if kind == "env" and name:
        value = os.environ.get(name, "")
        if not value:
            msg = f"environment variable {name} is not set or empty"
            raise ValueError(msg)
        return Secret(value)
    if kind == "file" and name:
        try:
            value = Path(name).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            msg = f"secret file {name} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8 text'}"
            raise ValueError(msg) from None
        if not value:
            msg = f"secret file {name} is empty"
            raise ValueError(msg)
        return Secret(value)
    msg = "write env:NAME or file:/path, never the secret itself"
    raise ValueError(msg)


def redact(text: str) -> str:
    """Return ``text`` without any registered secret and without passwords in URLs."""
    text = _URL_CREDENTIALS.sub(rf"\g<scheme>\g<user>:{MASK}@", text)
    with _lock:
        known = sorted(_known, key=len, reverse=True)
    for value in known:
        text = text.replace(value, MASK)
    return text


def url_with_credentials(url: str, username: str | None, password: Secret | None) -> str:
    """Put credentials into a URL just before a library needs it. Never log the result."""
    if username is None:
        return url
    parts = urlsplit(url)
    user = quote(username, safe="")
    if password is not None:
        user += ":" + quote(password.reveal(), safe="")
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}@{host}"))

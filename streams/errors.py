"""What can go wrong with a source, split by what the caller can do.

::

    StreamError
    ├── SourceConfigError   the address or file cannot be a source: fix the configuration
    ├── StreamUnavailable   no connection, time-out, server gone: back off and reconnect
    │   └── StreamRefused   the camera refuses the credentials: retry rarely, tell people
    ├── StreamGarbage       data arrive but no picture can be decoded from them: reconnect
    └── EndOfStream         a file or folder has been read to its end: done, not an error
"""

from __future__ import annotations

from towerwatch.errors import ConfigError, RetryableError, TowerwatchError


class StreamError(TowerwatchError):
    """Root of all errors of a source."""


class SourceConfigError(StreamError, ConfigError):
    """The address or file cannot be a source at all."""


class StreamUnavailable(StreamError, RetryableError):
    """The source cannot be reached or has stopped answering."""


class StreamRefused(StreamUnavailable):
    """The source refuses the credentials."""


class StreamGarbage(StreamError, RetryableError):
    """Data arrive, but no picture can be decoded from them."""


class EndOfStream(StreamError):
    """A file or folder has been read to its end."""

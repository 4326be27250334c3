"""What can go wrong with a source, split by what the caller can do.

::

    StreamError
    ├── SourceConfigError   the address or file cannot be a source: fix the configuration
    ├── StreamUnavailable   no connection, connection lost, server gone: back off and reconnect
    │   ├── StreamRefused   the camera refuses the credentials: retry rarely, tell people
    │   ├── StreamNotFound  the server answers but has no such stream: back off, tell people
    │   └── StreamSilent    connected, but nothing comes within the time limit: reconnect
    ├── StreamGarbage       data arrive but no picture can be decoded from them: reconnect
    ├── ClipFailed          packets that no container takes: go without this clip
    └── EndOfStream         a file or folder has been read to its end: done, not an error
"""

from __future__ import annotations

from towerwatch.errors import ConfigError, PermanentError, RetryableError, TowerwatchError


class StreamError(TowerwatchError):
    """Root of all errors of a source."""


class SourceConfigError(StreamError, ConfigError):
    """The address or file cannot be a source at all."""


class StreamUnavailable(StreamError, RetryableError):
    """The source cannot be reached or has stopped answering."""


class StreamRefused(StreamUnavailable):
    """The source refuses the credentials."""


class StreamNotFound(StreamUnavailable):
    """The server answers, but has no such stream; or the file is not there."""


class StreamSilent(StreamUnavailable):
    """Connected, but no packet came within the read time limit."""


class StreamGarbage(StreamError, RetryableError):
    """Data arrive, but no picture can be decoded from them."""


class ClipFailed(StreamError, PermanentError):
    """The packets cannot be put into a file."""


class EndOfStream(StreamError):
    """A file or folder has been read to its end."""

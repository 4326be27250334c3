"""What can go wrong with a model, split by what the caller can do.

::

    ModelError
    ├── ModelConfigError   no such model, or an option that cannot be met here: fix the configuration
    └── ModelFileError     the file cannot be used at all: set it aside
        └── DigestMismatch the file is not the one that its manifest names: it is never loaded
"""

from __future__ import annotations

from towerwatch.errors import ConfigError, PermanentError, TowerwatchError


class ModelError(TowerwatchError):
    """Root of all errors of a model."""


class ModelConfigError(ModelError, ConfigError):
    """A model, runtime, provider or precision was asked for that cannot be had."""


class ModelFileError(ModelError, PermanentError):
    """A model file that cannot be used."""


class DigestMismatch(ModelFileError):
    """A model file whose digest is not the one in its manifest."""

"""The front door of Towerwatch, and the small things that every room shares."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("towerwatch")
except PackageNotFoundError:  # a bare checkout on sys.path, nothing installed
    __version__ = "0+unknown"

__all__ = ["__version__"]

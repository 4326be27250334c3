"""NiceGUI is one application per process; a test that mounts it starts from a fresh one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from nicegui.testing.general import nicegui_reset_globals


@contextmanager
def fresh_nicegui() -> Iterator[None]:
    """Reset NiceGUI's globals, and keep the modules of ours that the reset would unload.

    The reset takes every module that defines an element out of ``sys.modules``, parents included;
    other tests hold on to the old ones.
    """
    ours: dict[str, object] = {}
    try:
        with nicegui_reset_globals():
            try:
                yield
            finally:
                ours = {name: one for name, one in sys.modules.items() if name.partition(".")[0] == "alerts"}
    finally:  # also after a test that failed: the others need their modules
        sys.modules.update(ours)  # type: ignore[arg-type]

"""The scene simulator: deterministic rendered cameras with exact truth.

``render("street", seed=3)`` yields pictures with boxes; ``simulate`` gives the truth without drawing.
Scenes are listed in ``SCENES``; the truth's schema stands in :mod:`streams.simulator.truth`. It
shares no plume or vehicle code with the training composer, so that a figure got here is no echo.

Names are loaded when they are first used: the command line shows its help without OpenCV.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streams.simulator.runner import SCENES, frames_of, open_scene, render, simulate
    from streams.simulator.scene import Scene
    from streams.simulator.truth import (
        RenderedFrame,
        SceneTruth,
        TruthBox,
        TruthEvent,
        TruthFrame,
        TruthZone,
        read_truth,
        write_truth,
    )

__all__ = [
    "SCENES",
    "RenderedFrame",
    "Scene",
    "SceneTruth",
    "TruthBox",
    "TruthEvent",
    "TruthFrame",
    "TruthZone",
    "frames_of",
    "open_scene",
    "read_truth",
    "render",
    "simulate",
    "write_truth",
]
_HOME = {
    "SCENES": "runner",
    "frames_of": "runner",
    "open_scene": "runner",
    "render": "runner",
    "simulate": "runner",
    "Scene": "scene",
}


def __getattr__(name: str) -> Any:
    """Import a public name from the module that holds it."""
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    module = importlib.import_module(f"{__name__}.{_HOME.get(name, 'truth')}")
    value = getattr(module, name)
    globals()[name] = value
    return value

"""Truth of a recorded fire from the names of its pictures, as the Fire Ignition Library names them.

``<seconds since 1970>_<seconds from ignition, signed>.jpg``, such as ``1532815626_+00000.jpg``: HPWREN's
FIgLib (https://hpwren.ucsd.edu/FIgLib/). One event, smoke from ignition to the end. Where in the
picture the plume stands is not in the names, so an alert anywhere in it belongs to the event.
"""

from __future__ import annotations

import re
from pathlib import Path

from streams.folder import list_pictures
from streams.simulator.truth import SceneTruth, TruthCamera, TruthEvent
from towerwatch.errors import ConfigError
from towerwatch.timebase import iso_z

_OFFSET = re.compile(r"^\d+_(?P<offset_s>[+-]\d+)$")
WHOLE = (0.0, 0.0, 1.0, 1.0)


def names_ignition(folder: Path) -> bool:
    """Tell whether a folder holds pictures whose names count from an ignition."""
    return folder.is_dir() and any(_OFFSET.match(path.stem) for path in folder.iterdir())


def sequence_truth(folder: Path) -> SceneTruth:
    """Read the truth of one sequence; times are seconds from its first picture.

    Raises:
        SourceConfigError: a picture without a time in its name.
        ConfigError: a picture whose name has no offset from the ignition, or one that names another.

    """
    pictures = list_pictures(folder)
    first = pictures[0].captured_at
    ignitions = {}
    for picture in pictures:
        match = _OFFSET.match(picture.path.stem)
        if match is None:
            msg = f"{picture.path}: no seconds from ignition in its name, as in 1532815626_+00000.jpg"
            raise ConfigError(msg)
        at_s = (picture.captured_at - first).total_seconds() - int(match["offset_s"])
        ignitions[picture.path] = at_s
    ignition_s = ignitions[pictures[0].path]
    for path, at_s in ignitions.items():
        if abs(at_s - ignition_s) > 1:
            msg = f"{path}: ignition {at_s - ignition_s:+.0f} s from what {pictures[0].path.name} names"
            raise ConfigError(msg)
    event = TruthEvent("smoke", True, ignition_s, None, None, WHOLE, (0.0, 0.0))  # noqa: FBT003 - `alarm`
    return SceneTruth(
        scene=folder.name,
        seed=0,
        fps=0.0,
        size=(0, 0),
        seconds=(pictures[-1].captured_at - first).total_seconds(),
        camera=TruthCamera(0.0, 0.0, 0.0, 0.0, 0.0),
        zones=(),
        events=(event,),
        frames=(),
        start_at=iso_z(first),
        condition=folder.name,
    )

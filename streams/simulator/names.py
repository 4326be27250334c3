"""Names of the scenes, apart from what draws them, so that the command line can list them."""

from __future__ import annotations

SCENE_NAMES = (
    "farmland", "farmland-quiet", "street", "street-lawful", "road", "road-signal", "road-free",
    "kerb", "kerb-across", "arterial", "arterial-lawful", "arterial-objects",
    "tower", "tower-cloud_shadow", "tower-fog_bank", "tower-dust", "tower-steam", "tower-glare",
    "tower-low_sun", "tower-trees", "tower-birds", "tower-rain", "tower-snow", "tower-dirty_lens",
    "tower-night", "tower-day_night",
)  # fmt: skip
EVENT_SCENES = ("farmland", "street", "road")
"""The scenes that hold an event which must become an alert."""

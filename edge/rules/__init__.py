"""The rules: small callables from what is seen in one view to findings."""

from __future__ import annotations

from edge.config import CameraConfig, ViewConfig
from edge.lens import LensMemory
from edge.observe import Rule
from edge.place import placer_of
from edge.reference import ViewReference
from edge.rule_config import AnyRuleConfig, BlockedRoadRuleConfig, ParkingRuleConfig, SmokeRuleConfig
from edge.rules.blocked_road import BlockedRoadRule
from edge.rules.parking import ParkingRule
from edge.rules.smoke import SmokeRule
from edge.rules.stopped_vehicle import StoppedVehicleRule


def build_rule(
    config: AnyRuleConfig, view: ViewConfig, camera: CameraConfig, lens: LensMemory | None = None
) -> Rule:
    """Bind a configured rule to a view of a camera; ``lens`` is what all its views share."""
    if isinstance(config, SmokeRuleConfig):
        zone = view.zone(config.zone) if config.zone else None
        memory = ViewReference(camera.interval_s, preset=view.preset, lens=lens or LensMemory())
        return SmokeRule(config, zone, camera.tz, camera.interval_s, memory, view.known_sources)
    zone = view.zone(config.zone)
    if isinstance(config, ParkingRuleConfig):
        return ParkingRule(config, zone, camera.tz, camera.interval_s)
    if isinstance(config, BlockedRoadRuleConfig):
        return BlockedRoadRule(config, zone, camera.tz, camera.interval_s, placer_of(camera, view))
    return StoppedVehicleRule(config, zone, camera.tz, camera.interval_s)

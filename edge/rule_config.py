"""What each rule may be told: the part of a box's configuration that stands under ``rules:``."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Annotated, Literal

from pydantic import Field, Strict, model_validator

from edge.ids import Id
from edge.schedule import Schedule
from edge.season import Season
from edge.shapes import Area
from towerwatch.yamlconfig import StrictModel, problems_at

Text = Annotated[str, Field(min_length=1, max_length=128)]
Fraction = Annotated[float, Strict(), Field(gt=0.0, le=1.0)]
VEHICLE_LABELS = ("car", "truck", "bus", "van", "vehicle")


class RuleConfig(StrictModel):
    """What every rule has.

    Attributes:
        hold_s: seconds of observed time without a finding after which the episode is closed;
            None leaves it to the rule.
        update_s: at most one update of an open alert in this time.

    """

    model: Text
    labels: tuple[Text, ...] = Field(min_length=1)
    min_confidence: Fraction | None = None
    schedule: Schedule | None = None
    hold_s: Annotated[float, Strict(), Field(ge=1, le=86400)] | None = None
    update_s: Annotated[float, Strict(), Field(ge=1, le=86400)] = 60.0


class SmokeRuleConfig(RuleConfig):
    """Smoke by votes over time. Without a zone the whole view counts.

    Attributes:
        min_confidence: from here on the detector's word alone is a vote.
        weak_confidence: from here on it is one where the view has changed there, too.
        window: votes that are counted.
        min_share_frac: share of them that must see smoke at the same place.
        max_width_frac: wider boxes (haze, cloud, a dirty lens; a fire close by) count only where the
            detector is sure and the view has changed there and not around.
        tile_px: also look through tiles of this side at full resolution, for far and small plumes;
            best the model's own input side. None (``null``) looks at the whole frame alone.
        seasons: days of the year on which less is asked; where straw is burnt, of the zone of its stubble.
        dismissed_days: for so long more is asked where an operator has dismissed smoke as fog, dust or light.
        dismissed_source_days: the same where it was dismissed as a known source.
        infrared: whether the model was trained on pictures by infrared light, too; where it was not, a
            camera that has gone over to infrared says that smoke is not watched for.

    """

    kind: Literal["smoke"]
    zone: Id | None = None
    model: Text = "smoke"
    labels: tuple[Text, ...] = Field(("smoke",), min_length=1)
    min_confidence: Fraction = 0.3
    weak_confidence: Fraction = 0.1
    window: Annotated[int, Strict(), Field(ge=3, le=60)] = 8
    min_share_frac: Fraction = 0.5
    max_width_frac: Fraction = 0.4
    tile_px: Annotated[int, Strict(), Field(ge=64, le=4096)] | None = 640
    seasons: tuple[Season, ...] = ()
    dismissed_days: Annotated[float, Strict(), Field(gt=0, le=3650)] = 14.0
    dismissed_source_days: Annotated[float, Strict(), Field(gt=0, le=3650)] = 90.0
    infrared: Annotated[bool, Strict()] = False

    @model_validator(mode="after")
    def _order(self) -> SmokeRuleConfig:
        if self.weak_confidence > self.min_confidence:
            text = f"must be at most min_confidence ({self.min_confidence:g}), got {self.weak_confidence:g}"
            raise problems_at((("weak_confidence",), text))
        return self


class Permit(Area):
    """A place in a zone where vehicles may stand: a loading bay, a taxi rank, residents at night.

    Attributes:
        id: its name.
        schedule: when they may; None stands for always. Time in excess counts from its end.

    """

    id: Id
    schedule: Schedule | None = None

    def allows(self, at: datetime, tz: tzinfo) -> bool:
        """Whether vehicles may stand here at an aware time."""
        return self.schedule is None or self.schedule.in_force(at, tz)


class ParkingRuleConfig(RuleConfig):
    """A vehicle that stands in a zone where it must not.

    Attributes:
        stop_time_s: standing this long makes a candidate (Hikvision: 10 to 120 s).
        legal_time_s: standing this long makes an alert (Hikvision: 4 to 60 min).
        grace_s: unseen this long, a spot is still taken (a lorry in front, missed detections).
        min_inside_frac: share of the vehicle's foot that must lie in the zone.
        permits: places in it where vehicles may stand, at times or always; plates are not read.

    """

    kind: Literal["illegal_parking"]
    zone: Id
    model: Text = "vehicle"
    labels: tuple[Text, ...] = Field(VEHICLE_LABELS, min_length=1)
    stop_time_s: Annotated[float, Strict(), Field(ge=1, le=3600)] = 15.0
    legal_time_s: Annotated[float, Strict(), Field(ge=1, le=86400)] = 300.0
    grace_s: Annotated[float, Strict(), Field(ge=5, le=3600)] = 60.0
    min_inside_frac: Fraction = 0.5
    permits: tuple[Permit, ...] = ()

    @model_validator(mode="after")
    def _order(self) -> ParkingRuleConfig:
        if self.legal_time_s < self.stop_time_s:
            text = f"must be at least stop_time_s ({self.stop_time_s:g} s), got {self.legal_time_s:g}"
            raise problems_at((("legal_time_s",), text))
        return self


class BlockedRoadRuleConfig(RuleConfig):
    """A road that no longer discharges.

    Attributes:
        stop_time_s: a vehicle that stands this long counts as stopped.
        duration_s: no discharge for this long is a blocked road; keep it above the signal cycle.
        min_vehicles: fewer stopped vehicles are no queue.
        min_length_bl: shortest queue, in body lengths.
        min_occupancy_frac: share of the zone that vehicles must cover; draw a zone per direction.
        object_time_s: what is no vehicle and lies on a lane with traffic for this long is told as well
            (Hikvision's debris: 10 to 120 s). None tells of none: what the detector never finds, in rain
            above all, may look like it.

    """

    kind: Literal["blocked_road"]
    zone: Id
    model: Text = "vehicle"
    labels: tuple[Text, ...] = Field(VEHICLE_LABELS, min_length=1)
    stop_time_s: Annotated[float, Strict(), Field(ge=1, le=600)] = 10.0
    duration_s: Annotated[float, Strict(), Field(ge=10, le=3600)] = 120.0
    min_vehicles: Annotated[int, Strict(), Field(ge=2, le=100)] = 3
    min_length_bl: Annotated[float, Strict(), Field(ge=1, le=100)] = 3.0
    min_occupancy_frac: Fraction = 0.3
    object_time_s: Annotated[float, Strict(), Field(ge=10, le=3600)] | None = None

    @model_validator(mode="after")
    def _order(self) -> BlockedRoadRuleConfig:
        if self.duration_s < self.stop_time_s:
            text = f"must be at least stop_time_s ({self.stop_time_s:g} s), got {self.duration_s:g}"
            raise problems_at((("duration_s",), text))
        return self


class StoppedVehicleRuleConfig(RuleConfig):
    """A vehicle that stands on a road whose traffic moves (Hikvision: 10 to 120 s)."""

    kind: Literal["stopped_vehicle"]
    zone: Id
    model: Text = "vehicle"
    labels: tuple[Text, ...] = Field(VEHICLE_LABELS, min_length=1)
    stop_time_s: Annotated[float, Strict(), Field(ge=1, le=600)] = 30.0


AnyRuleConfig = Annotated[
    SmokeRuleConfig | ParkingRuleConfig | BlockedRoadRuleConfig | StoppedVehicleRuleConfig,
    Field(discriminator="kind"),
]

"""Whether views that watch for smoke still can: night is told as what it is, not as blindness.

A detector that learnt from pictures of the day finds half as many plumes at half the light
(``night`` in ``configs/errors/smoke.yaml``), and what it finds by infrared light nobody has measured. So a
camera says when it does not watch for smoke, and in the morning that it does. After dusk a picture of
one even surface is night, too, and no lens cap; for no longer than a night lasts.

Pure: the light of pictures and their times come in, a state goes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alerts.messages import BlindReason
from edge.config import CameraConfig
from edge.rule_config import SmokeRuleConfig
from edge.view_watch import Light

# mean grey levels, of 0 to 255. Of 308 real pictures of hills the darkest by day has 54, the one at night 6;
# two by infrared have 51 and 69
DARK, LIGHT_AGAIN = 45.0, 55.0
PITCH_DARK = 20.0  # darker than any picture by infrared that shows land
BRIGHT_GREY = 100.0  # from here on a picture without colour is fog by day
PICTURES = 3  # so many of a view in a row change what is said of it: lightning, headlights
FORGET_S = 3600.0  # a view that was not seen for so long says nothing of now
LONGEST_NIGHT_S = 16 * 3600.0  # at 50 degrees north
_WHY = {
    BlindReason.DARK: "too dark to see smoke",
    BlindReason.INFRARED: "no colour, and its model was not trained by infrared",
}


@dataclass(slots=True)
class _Evening:
    """What is said of one view, since when, and how many pictures in a row have said otherwise."""

    reason: BlindReason | None = None
    since_s: float = 0.0
    seen_s: float = 0.0
    otherwise: int = 0


@dataclass(slots=True)
class NightWatch:
    """The views of one camera that watch for smoke; all times in monotonic seconds.

    Args:
        views: presets, and whether their models know pictures by infrared light.

    """

    views: Mapping[str, bool]
    _evenings: dict[str, _Evening] = field(default_factory=dict)

    def see(self, preset: str, light: Light, now_s: float) -> None:
        """Take the light of one picture of a view."""
        if preset not in self.views:
            return
        evening = self._evenings.setdefault(preset, _Evening())
        evening.seen_s = now_s
        reason = _reason(light, evening.reason, knows_infrared=self.views[preset])
        if reason is evening.reason:
            evening.otherwise = 0
            return
        evening.otherwise += 1
        if evening.otherwise >= PICTURES:
            evening.since_s = now_s if evening.reason is None else evening.since_s
            evening.reason, evening.otherwise = reason, 0

    def unwatched(self, now_s: float) -> tuple[BlindReason, str] | None:
        """Return why smoke cannot be seen now in some view, and a sentence; None while it can in all."""
        dark = list(self._now(now_s).values())
        if not dark:
            return None
        reason = max(dark, key=dark.count)
        where = f" in {len(dark)} of {len(self.views)} views" if len(self.views) > 1 else ""
        return reason, f"smoke is not watched for{where}: {_WHY[reason]}"

    def is_night(self, now_s: float) -> bool:
        """Whether a picture that shows nothing may be night."""
        return any(now_s - self._evenings[one].since_s <= LONGEST_NIGHT_S for one in self._now(now_s))

    def _now(self, now_s: float) -> dict[str, BlindReason]:
        """Return the views in which smoke cannot be seen now."""
        return {
            preset: one.reason
            for preset, one in self._evenings.items()
            if one.reason is not None and now_s - one.seen_s <= FORGET_S
        }


def _reason(light: Light, before: BlindReason | None, *, knows_infrared: bool) -> BlindReason | None:
    if light.is_grey and PITCH_DARK <= light.level < BRIGHT_GREY:
        return None if knows_infrared else BlindReason.INFRARED
    dark = light.level < (DARK if before is None else LIGHT_AGAIN)
    return BlindReason.DARK if dark else None


def night_watch_of(config: CameraConfig) -> NightWatch:
    """Build the watch over the views of a camera that have a smoke rule."""
    views = {}
    for view in config.views:
        smoke = [rule for rule in view.rules if isinstance(rule, SmokeRuleConfig)]
        if smoke:
            views[view.preset] = all(rule.infrared for rule in smoke)
    return NightWatch(views)

"""The whole city on one machine: 4,475 boxes with 71,591 streams against a real broker and database.

``python -m benchmarks.fleet [--quick] [--boxes N] --json OUT``

Mosquitto, PostgreSQL (durable, fsync on), central as three processes (consume, work, serve) and the boxes,
each with an MQTT connection of its own, share the machine. In turn:

``city``
    health of each box every 30 s and 20 alert messages a second; the CPU time of central's processes.
``pace``
    1,600 messages a second, 150 of them alerts, for as long: nothing may pile up. ``cpu_ms_per_message`` says
    which process spends what; nobody asks the API meanwhile.
``storm``
    20,000 alerts in a minute, each of them new, beside the city's health; then how long they take to drain.
``kills``
    consumer, worker, broker and database are killed and started again in turn, under the city's load.

``messages_per_s``: of ``pace``, counted when committed (alerts) or applied (health). ``visible_p95_s``: of
``city``, from an alert's first sending until the API lists its incident, asked every 0.25 s. ``lost``: alert
messages that boxes sent and central has not applied. ``doubled``: incidents beyond one for each alert of a
kind that is never joined, and alerts that an incident took in twice. ``lag``: each second, messages received
and not committed, and alert messages committed and not applied. ``benchmarks/fleet_load.py`` states the mix.

``--quick`` takes 300 boxes, their share of the load (2 alerts a second at least) and seconds for minutes; a
box sends an alert that is not acknowledged again after 3 s, not 30.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.command import run_command
from benchmarks.fleet_boxes import RESEND_S, Fleet
from benchmarks.fleet_cpu import spending
from benchmarks.fleet_load import BOXES, KINDS, PERIOD_S, PHASES, STREAMS
from benchmarks.fleet_watch import Ledger, Sampler, Watch
from benchmarks.report import Row, document, print_machine, print_table, write_json
from benchmarks.site import Site, SiteFailed

PARTS = ("consume", "work", "serve")
VICTIMS = ("consume", "work", "mosquitto", "postgres")
FILES = 16_384
CITY_ALERTS_PER_S = 20.0
_SETTLE_S = 300.0
_CONNECT_S = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much, and for how long."""

    boxes: int
    alerts_per_s: float
    pace_per_s: float
    pace_alerts_per_s: float
    storm: int
    phase_s: float
    storm_s: float
    down_s: float
    first_s: float  # all boxes have spoken once by then, and their cameras are entered
    resend_s: float

    @property
    def health_per_s(self) -> float:
        """Health messages that the boxes send by themselves."""
        return self.boxes / PERIOD_S


def plan_of(boxes: int, *, quick: bool) -> Plan:
    """Return the plan of a run: the whole city's load, or the part of it that these boxes are."""
    share = boxes / BOXES
    return Plan(
        boxes=boxes,
        alerts_per_s=max(2.0, CITY_ALERTS_PER_S * share),
        pace_per_s=1600.0 * share,
        pace_alerts_per_s=150.0 * share,
        storm=round(20_000 * share),
        phase_s=5.0 if quick else 60.0,
        storm_s=3.0 if quick else 60.0,
        down_s=1.0 if quick else 5.0,
        first_s=3.0 if quick else PERIOD_S + 10,
        resend_s=3.0 if quick else RESEND_S,
    )


class Run:
    """One run over a started site."""

    def __init__(self, site: Site, fleet: Fleet, plan: Plan, watch: Watch, ledger: Ledger) -> None:
        """Keep what it works with."""
        self._site, self._fleet, self._plan = site, fleet, plan
        self._watch, self._ledger = watch, ledger

    def measure(self) -> Row:
        """Go through all phases; return what was seen."""
        connected_s = self._until(lambda: self._fleet.connected() == self._plan.boxes, "boxes", _CONNECT_S)
        city, pace = self.city(), self.pace()
        storm, kills = self.storm(), [self.kill(name) for name in VICTIMS]
        self._fleet.health_per_s = 0.0
        self._fleet.say_alerts(0.0)
        self._until(lambda: not self._fleet.waiting() and self._ledger.pending() == 0, "everything applied")
        found = self._ledger.settle(self._fleet.phases)
        return {
            "messages_per_s": pace["messages_per_s"],
            "visible_p95_s": city["visible_p95_s"],
            "cpu_share_of_a_core": city["cpu_share_of_a_core"],
            **found,
            "connected_s": connected_s,
            "city": city,
            "pace": pace,
            "storm": storm,
            "kills": kills,
            "alert_messages": self._fleet.counts.alerts,
            "health_messages": self._fleet.counts.health,
        }

    def city(self) -> Row:
        """Let the city be itself."""
        self._as_usual()
        time.sleep(self._plan.first_s)
        self._until(self._quiet, "the cameras entered")
        with spending(self._site) as spent, Sampler(self._ledger) as lag:
            self._watch.begin()
            time.sleep(self._plan.phase_s)
            seen = self._watch.result()
        shares = spent.shares(self._site.parts)
        return {
            "health_per_s": self._plan.health_per_s,
            "alerts_per_s": self._plan.alerts_per_s,
            "cpu_share_of_a_core": round(sum(shares.values()), 3),
            "cpu_share_of_each": shares,
            "lag": lag.rows,
            **seen,
        }

    def pace(self) -> Row:
        """Say as much as a city of ten times the size."""
        plan = self._plan
        self._fleet.say_alerts(plan.pace_alerts_per_s)
        self._fleet.health_per_s = plan.pace_per_s - plan.pace_alerts_per_s
        time.sleep(min(5.0, plan.phase_s / 2))
        with spending(self._site) as spent, Sampler(self._ledger) as lag:
            before = self._ledger.committed(fresh=True)
            said = self._fleet.counts.alerts + self._fleet.counts.health
            time.sleep(plan.phase_s)
            after = self._ledger.committed(fresh=True)
            said = self._fleet.counts.alerts + self._fleet.counts.health - said
        self._as_usual()
        messages = after.messages - before.messages
        return {
            "said_per_s": round(said / spent.wall_s, 1),
            "messages_per_s": round(messages / (after.at_s - before.at_s), 1),
            "cpu_share_of_a_core": round(sum(spent.shares(self._site.parts).values()), 3),
            "cpu_ms_per_message": spent.per_message(messages),
            "lag": lag.rows,
        }

    def storm(self) -> Row:
        """Let all cameras alert at once."""
        plan, before = self._plan, self._fleet.counts.alerts
        begun = time.monotonic()
        with Sampler(self._ledger) as lag:
            self._fleet.say_alerts(plan.storm / plan.storm_s, only_opened=True)
            self._until(lambda: self._fleet.counts.alerts - before >= plan.storm, "the storm's end")
            said_s = time.monotonic() - begun
            self._fleet.say_alerts(0.0)
            drained_s = self._until(self._quiet, "the storm drained")
        self._as_usual()
        return {"alerts": plan.storm, "said_s": round(said_s, 1), "drained_s": drained_s, "lag": lag.rows}

    def kill(self, name: str) -> Row:
        """Kill a part, leave it down for a while and start it again."""
        self._site.kill(name)
        time.sleep(self._plan.down_s)
        self._site.restart(name)
        caught_up_s = self._until(
            lambda: self._fleet.connected() == self._plan.boxes and self._quiet(), f"{name}: all caught up"
        )
        return {"killed": name, "down_s": self._plan.down_s, "caught_up_s": caught_up_s}

    def _as_usual(self) -> None:
        self._fleet.health_per_s = self._plan.health_per_s
        self._fleet.say_alerts(self._plan.alerts_per_s)

    def _quiet(self) -> bool:
        """Say whether nothing waits but what has just been said."""
        few = 2 * self._plan.alerts_per_s
        return self._fleet.waiting() <= few and (self._ledger.pending() or 0) <= few

    def _until(self, done: Callable[[], bool], what: str, timeout_s: float = _SETTLE_S) -> float:
        begun = time.monotonic()
        while not done():
            if self._fleet.error is not None:
                msg = f"the simulated boxes ended: {self._fleet.error}"
                raise SiteFailed(msg)
            if time.monotonic() - begun > timeout_s:
                msg = f"{what}: not within {timeout_s:.0f} s; logs are in {self._site.family.log_dir}"
                raise SiteFailed(msg)
            time.sleep(0.2)
        return round(time.monotonic() - begun, 1)


def run(folder: Path, plan: Plan, seed: int = 0) -> Row:
    """Start the city, measure it, end it."""
    _raise_limit()
    with Site(folder, parts=PARTS) as site:
        fleet, ledger = Fleet(site.broker_port, plan.boxes, seed, plan.resend_s), Ledger(site.database_url)
        watch = Watch(site.http_port, site.token, fleet.seen_as)
        fleet.start()
        watch.start()
        try:
            return Run(site, fleet, plan, watch, ledger).measure() | {
                "broker": site.broker,
                "database": site.database,
            }
        finally:
            watch.halt()
            fleet.halt()
            ledger.close()


def _raise_limit() -> None:
    """Let us, and the broker that we start, hold a connection for each box."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        msg = f"this user may open {hard} files; {FILES} are needed: ulimit -Hn {FILES}"
        raise SiteFailed(msg)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))


def main(
    json_path: Annotated[Path, typer.Option("--json", help="Where to write the results.")],
    quick: Annotated[bool, typer.Option("--quick", help="300 boxes, for less than a minute.")] = False,  # noqa: FBT002 - a flag
    boxes: Annotated[int | None, typer.Option(min=1, max=BOXES, help="Of how many boxes.")] = None,
) -> None:
    """Run the city's load, its tenfold, a storm and four kills."""
    plan = plan_of(boxes or (300 if quick else BOXES), quick=quick)
    content = document("fleet", quick=quick, plan=asdict(plan), streams=STREAMS)
    content |= {
        "kinds": {str(k): v for k, v in KINDS.items()},
        "phases": {str(k): v for k, v in PHASES.items()},
    }
    with tempfile.TemporaryDirectory() as name:
        content |= run(Path(name), plan)
    content["ok"] = not content["lost"] and not content["doubled"] and content["audit"] == "whole"
    print_machine(content)
    head = ("messages_per_s", "visible_p95_s", "cpu_share_of_a_core", "lost", "doubled", "audit")
    print_table(f"fleet: {plan.boxes} boxes, {content['broker']}, {content['database']}", [content], head)
    spent = content["pace"]["cpu_ms_per_message"]
    print_table("pace: CPU ms a message", [spent], tuple(spent))
    print_table("storm", [content["storm"]], ("alerts", "said_s", "drained_s"))
    print_table("kills", content["kills"], ("killed", "down_s", "caught_up_s"))
    write_json(json_path, content)
    if not content["ok"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(main)

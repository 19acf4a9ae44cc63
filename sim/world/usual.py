"""What goes on after the horizon: a usual week, in which transients are over and no verdict is left to take.

Nothing is simulated there. A week has every hour and every day of cycles in the proportion in which they come; drifts have
arrived at their last value, novelty has worn off, incidents, bursts and flash crowds are over, shocks average out, and a leak
without restarts has been mended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from sim.arrays import Floats
from sim.scenario.schema import Scenario
from sim.scenario.timeline import Drift, Event, Leak
from sim.world.capacity import Pool
from sim.world.change import Change
from sim.world.course import course
from sim.world.traffic import Arrivals, expected

if TYPE_CHECKING:
    from sim.world.world import Truth

HOUR_S, DAYS = 3600.0, 7
HOURS = 24 * DAYS


@dataclass(frozen=True)
class Usual:
    """A usual week, hour by hour. requests (168,) expected of every hour; change: what differs between its hours."""

    requests: Floats
    change: Change | None

    @classmethod
    def of(cls, scenario: Scenario, arrivals: Arrivals, pools: Sequence[Pool]) -> Usual:
        """The week after the horizon of a scenario with these arrivals."""
        traffic = scenario.traffic
        if traffic.trace is not None:
            # A trace says nothing of what follows but how much comes on average.
            requests = np.full(HOURS, arrivals.mean.sum() / scenario.horizon * HOUR_S)
        else:
            calm = traffic.model_copy(update={"flash_crowds": (), "bursts": None})
            requests = expected(calm, HOURS, HOUR_S)
        metrics = tuple(metric.model_copy(update={"shocks": None}) for metric in scenario.metrics)
        week = {"horizon": HOURS * HOUR_S, "tick": HOUR_S, "timeline": lasting(scenario.timeline), "metrics": metrics}
        return cls(requests, course(scenario.model_copy(update=week), pools))

    def per_day(self, truth: Truth) -> Floats:
        """(3, R, K) what arms give in a day in which they serve everybody, more than the champion, as in `Worths.gains`."""
        from sim.world.worth import Worths

        found = Worths(truth.in_week(self))
        total = np.zeros((3, truth.rows, len(truth.world.arms)))
        for first, end in pairwise(found.runs):
            total += self.requests[first:end].sum() * found.gains(first)
        return total / DAYS


def lasting(events: Sequence[Event]) -> tuple[Event, ...]:
    """What is left of a timeline in the end: where each drift path has come to, and leaks that restart.

    >>> path = [Drift(arm="b", metric="m", at="1h", to="-5%"), Drift(arm="b", metric="m", at="2h", duration="1d", to="-8%")]
    >>> [(left.at, left.duration, left.to) for left in lasting(path)]
    [(0.0, None, -0.08)]
    """
    drifts: dict[tuple[str, str], Drift] = {}
    for event in events:
        if isinstance(event, Drift) and event.at >= (drifts[key].at if (key := (event.arm, event.metric)) in drifts else 0.0):
            drifts[key] = event
    settled = [drift.model_copy(update={"at": 0.0, "duration": None}) for drift in drifts.values()]
    leaks = [event.model_copy(update={"at": 0.0}) for event in events if isinstance(event, Leak) and event.restart is not None]
    return (*settled, *leaks)

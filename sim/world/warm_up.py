"""How cold the deployments of the arms are: when one is deployed, as it is scaled up, and as it warms up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sim.arrays import Floats, Ints
from sim.scenario.warm_up import WarmUp
from sim.world.change import Conditions


@dataclass(frozen=True)
class WarmUps:
    """What is true of cold deployments, (K,) each: 0, 1, and no warming where an arm has no warm-up.

    errors the chance that a call fails which would not have; slowdown what latencies are multiplied by, both while all is cold;
    by_time, by_call the doublings of warmth in a tick and with a call.
    """

    errors: Floats
    slowdown: Floats
    by_time: Floats
    by_call: Floats

    @classmethod
    def of(cls, specs: Sequence[WarmUp | None], tick_s: float) -> WarmUps | None:
        """Those of the arms, in their order; None where no arm has one."""
        if not any(specs):
            return None
        return cls(
            np.array([spec.errors if spec else 0.0 for spec in specs]),
            np.array([spec.slowdown if spec else 1.0 for spec in specs]),
            np.array([tick_s / spec.half_life if spec and spec.half_life else 0.0 for spec in specs]),
            np.array([1 / spec.half_calls if spec and spec.half_calls else 0.0 for spec in specs]),
        )


@dataclass
class Coldness:
    """How cold the arms of R replications are, tick by tick.

    cold (R, K) is the cold part of what serves an arm, from 0 to 1; capacity (R, K) the largest share of the calls that it has
    had to serve since it was deployed. The champion has served everything before the run: it is warm.

    >>> ups = WarmUps.of((None, WarmUp(errors=0.1, half_life=60.0)), tick_s=60.0)
    >>> found, rows, live = Coldness.warm(ups, rows=1, arms=2), np.array([0]), np.array([[0.9, 0.1]])
    >>> for share in (0.1, 0.1, 0.2):
    ...     found.deploy(rows, np.array([[1 - share, share]]), np.zeros((1, 2)))
    ...     print(found.cold[0, 1])
    ...     found.heal(rows, np.array([[9, 1]]))
    1.0
    0.5
    0.625
    """

    ups: WarmUps
    cold: Floats
    capacity: Floats = field(repr=False)
    now: Conditions = field(repr=False)
    """What was in force in the last tick that each replication has played."""

    @classmethod
    def warm(cls, ups: WarmUps, rows: int, arms: int) -> Coldness:
        """Nothing but the champion is deployed."""
        capacity = np.zeros((rows, arms))
        capacity[:, 0] = 1.0
        return cls(ups, np.zeros((rows, arms)), capacity, Conditions(np.zeros((rows, arms)), np.ones((rows, arms)), {}))

    def deploy(self, rows: Ints, live: Floats, mirror: Floats) -> None:
        """Take over the shares of live and mirrored requests, (r, K) each, of the tick that begins.

        What is added to an arm is cold. An arm without any share is taken down: it is cold once it is deployed again.
        """
        had, share = self.capacity[rows], live + (1 - live) * mirror
        now = np.where(share > 0, np.maximum(had, share), 0.0)
        # With nothing of it cold, the sum is 0; with nothing deployed before, all of it is added.
        cold = (self.cold[rows] * had + (now - had)) / np.where(now > 0, now, 1.0)
        self.cold[rows], self.capacity[rows] = np.where(now > 0, cold, 0.0), now

    def begin(self, rows: Ints, live: Floats, mirror: Floats, warm: Conditions) -> Conditions:
        """What is in force in the tick that begins for these rows, and still is for others; `warm`: if all were warm.

        By time, coldness is the mean over the tick; by calls, that after the calls before the tick.
        """
        self.deploy(rows, live, mirror)
        decay = self.ups.by_time * np.log(2)
        cold = self.cold[rows] * np.where(decay > 0, -np.expm1(-decay) / np.where(decay > 0, decay, 1.0), 1.0)
        errors, scale = warm.error_rate[rows], warm.latency_scale[rows]
        self.now.error_rate[rows] = errors + (1 - errors) * self.ups.errors * cold
        self.now.latency_scale[rows] = scale * (1 + (self.ups.slowdown - 1) * cold)
        self.now = Conditions(self.now.error_rate, self.now.latency_scale, warm.factors)
        return self.now

    def heal(self, rows: Ints, calls: Ints) -> None:
        """Warm up by a tick and its calls, live and mirrored, (r, K)."""
        self.cold[rows] *= np.exp2(-self.ups.by_time - self.ups.by_call * calls)

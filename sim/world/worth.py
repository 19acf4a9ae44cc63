"""What the arms are worth to users: in a tick, over the horizon, and from a verdict on.

In a tick an arm is judged by what is in force then. Over many ticks it is judged by the mean, in which every tick counts by
the requests that are expected in it: the mean of what a request earns, of the share of calls that fail, and of the share that
is slower than the limit. So an incident, a novelty or a drift counts by the requests that it meets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.arrays import Bools, Floats, Ints

if TYPE_CHECKING:
    from sim.world.change import Conditions
    from sim.world.world import Truth

STAKES = 7
REGRET, REGRET_FIXED, HARMED, HARM, GAIN, FAILED, SLOW = range(STAKES)
"""The stakes of a live request to an arm, as in `Worths.stakes`."""

# Rounding errors of means: a limit that is just met is met.
_ROUNDING = 1e-12
# What is kept of ticks, so that ticks and policies alike do not work it out again.
_KEPT_BYTES = 32e6


@dataclass(frozen=True)
class Worth:
    """What the arms are worth, in a tick or as a mean.

    value (R, K) the expected primary metric of a request, signed so that more is better; acceptable (R, K) whether every
    declared limit holds, which the champion is excused from; smallest_effect is relative to the champion. Where the goal is to
    be not worse, `not_worse` is by how much less, relative to the champion, an arm may be worth to be right to ship; None where
    it is to be better. `baseline`: the last arm is the champion once more, and neither best nor right to ship.

    >>> worth = Worth(np.array([[1.0, 1.1, 1.3]]), np.array([[True, True, False]]), 0.05)
    >>> worth.best.tolist(), worth.better.tolist(), worth.worse.tolist()
    ([1], [[False, True, False]], [[False, False, True]])
    """

    value: Floats
    acceptable: Bools
    smallest_effect: float
    not_worse: float | None = None
    baseline: bool = False

    @cached_property
    def best(self) -> Ints:
        """(R,) the acceptable arm of highest value."""
        # A tie with the champion is no reason to ship: the champion is listed first, and argmax takes the first.
        value = np.where(self.acceptable, self.value, -np.inf)
        return np.asarray((value[:, :-1] if self.baseline else value).argmax(axis=1))

    @cached_property
    def better(self) -> Bools:
        """(R, K) whether an arm is right to ship: acceptable, and worth more than the champion, or not too much less."""
        least = self.value[:, :1] if self.not_worse is None else self._least
        found: Bools = self.acceptable & (self.value > least if self.not_worse is None else self.value >= least)
        found[:, 0] = False
        if self.baseline:
            found[:, -1] = False
        return found

    @cached_property
    def worse(self) -> Bools:
        """(R, K) unacceptable, or worth less than the champion by more than it may be."""
        return np.asarray(~self.acceptable | (self.value < self._least))

    @property
    def _least(self) -> Floats:
        """(R, 1) the least that an arm may be worth."""
        champion = self.value[:, :1]
        return champion - _ROUNDING - self.not_worse * np.abs(champion) if self.not_worse is not None else champion

    @cached_property
    def margin(self) -> Floats:
        """(R,) the smallest difference that matters."""
        return np.asarray(self.smallest_effect * np.abs(self.value[:, 0]))

    @cached_property
    def matters(self) -> Bools:
        """(R, K) right to ship, and where the goal is to be better by at least the smallest effect that matters."""
        if self.not_worse is not None:
            return self.better
        return np.asarray(self.better & (self.value - self.value[:, :1] >= self.margin[:, None] - 1e-12))

    def short_of(self, arm: Ints) -> Floats:
        """(R, K) by how much each arm is worth less than one of them, arm (R,); negative where it is worth more."""
        of_arm = np.take_along_axis(self.value, arm[:, None], axis=1)
        return np.asarray(of_arm - self.value)


@dataclass(frozen=True)
class Worths:
    """What the arms are worth in a block of R replications, by tick and over many."""

    truth: Truth
    _kept: dict[int, Worth] = field(default_factory=dict, repr=False)
    _stakes: dict[int, Floats] = field(default_factory=dict, repr=False)

    def at(self, tick: int) -> Worth:
        """What the arms are worth in a tick."""
        kind = int(self._kinds[tick])
        if kind not in self._kept:
            self._forget(self._kept)
            acceptable = self._acceptable(self._failing(tick), self._slow(tick))
            world = self.truth.world
            self._kept[kind] = Worth(
                self.truth.value_at(tick), acceptable, world.smallest_effect, world.not_worse, world.baseline
            )
        return self._kept[kind]

    def stakes(self, tick: int) -> Floats:
        """(7, R, K) what is at stake where an arm serves a live request in a tick, in the primary metric.

        REGRET: by how much it is worth less than the best acceptable arm of this tick, or 0. REGRET_FIXED: by how much it is
        worth less than the arm that is best over the horizon; negative where it is worth more. HARMED: 1 if it is worse than
        the champion in this tick, else 0. HARM: by how much it is worth less than the champion, or 0. GAIN, FAILED and SLOW are
        `gains`.
        """
        kind = int(self._kinds[tick])
        if kind not in self._stakes:
            self._forget(self._stakes)
            self._stakes[kind] = self._staked(self.at(tick), self.gains(tick))
        return self._stakes[kind]

    def stakes_of(self, tick: int, now: Conditions) -> Floats:
        """(7, R, K) the same in a tick in which deployments may be cold, where `now` is in force."""
        world = self.truth.world
        failing = 0.0 if world.error_limit is None else now.error_rate
        slow = 0.0 if world.latency_limit is None else self.truth.latency_above(world.latency_limit[1], tick, now)
        value = self.truth.value_at(tick, now=now)
        acceptable = self._acceptable(failing, slow)
        worth = Worth(value, acceptable, world.smallest_effect, world.not_worse, world.baseline)
        return self._staked(worth, self.gains(tick, now))

    def _staked(self, now: Worth, gains: Floats) -> Floats:
        champion = np.zeros(self.truth.rows, np.int64)
        return np.stack([
            np.maximum(now.short_of(now.best), 0.0),
            now.short_of(self.overall.best),
            now.worse.astype(np.float64),
            np.maximum(now.short_of(champion), 0.0),
            *gains,
        ])  # fmt: skip

    def gained(self, arrived: Ints) -> Floats:
        """(3, R, K) `gains` summed over the horizon, if one arm serves all; arrived (R, T + 1) requests up to each edge."""
        total = np.zeros((3, *self.overall.value.shape))
        for first, end in pairwise(self.runs):
            total += self.gains(first) * (arrived[:, end] - arrived[:, first])[:, None]
        return total

    def gains(self, tick: int, now: Conditions | None = None) -> Floats:
        """(3, R, K) what a live request to an arm gives more than one to the champion in a tick, or less.

        What it earns, at the prices of the metrics; the chance that it fails; the chance that it is answered, but slowly.
        """
        world, now = self.truth.world, now or self.truth.conditions(tick)
        worth = sum(price * self.truth.value_at(tick, name, now) for name, price in world.prices.items())
        failing = world.failing(now.error_rate)
        slow = (
            np.zeros_like(failing) if world.slo_s is None else (1 - failing) * self.truth.latency_above(world.slo_s, tick, now)
        )
        found = np.stack([np.broadcast_to(worth, failing.shape), failing, slow])
        difference: Floats = found - found[:, :, :1]
        return difference

    @cached_property
    def overall(self) -> Worth:
        """What the arms are worth over the whole horizon."""
        return self.after(np.zeros(self.truth.rows, np.int64))

    def after(self, since: Ints) -> Worth:
        """What the arms are worth over the ticks from one on, since (R,). Where no traffic is left: in the last tick."""
        last = self.at(self.truth.world.ticks - 1)
        if len(self.runs) == 2:
            return last
        arrived = np.concatenate([[0.0], np.cumsum(self.truth.world.requests)])
        rest = arrived[-1] - arrived[np.minimum(since, arrived.size - 1)]
        some = rest > 0
        value, failing, slow = np.zeros((3, *last.value.shape))
        for first, end in pairwise(self.runs):
            weight = (arrived[end] - arrived[np.clip(since, first, end)])[:, None]
            if not weight.any():
                continue
            value += weight * self.at(first).value
            failing += weight * self._failing(first)
            slow += weight * self._slow(first)
        total = np.where(some, rest, 1.0)[:, None]
        acceptable = self._acceptable(failing / total, slow / total)
        return Worth(
            np.where(some[:, None], value / total, last.value),
            np.where(some[:, None], acceptable, last.acceptable),
            last.smallest_effect,
            last.not_worse,
            last.baseline,
        )

    def _failing(self, tick: int) -> Floats | float:
        """(R, K) the share of calls that fail in a tick; 0 where there is no limit."""
        return 0.0 if self.truth.world.error_limit is None else self.truth.conditions(tick).error_rate

    def _slow(self, tick: int) -> Floats | float:
        """(R, K) the share of calls that are slower than the limit in a tick; 0 where there is none."""
        limit = self.truth.world.latency_limit
        return 0.0 if limit is None else self.truth.latency_above(limit[1], tick)

    def _acceptable(self, failing: Floats | float, slow: Floats | float) -> Bools:
        """(R, K) whether every limit holds of shares of calls that fail, or are too slow."""
        world = self.truth.world
        acceptable = np.ones((self.truth.rows, len(world.arms)), bool)
        if world.error_limit is not None:
            acceptable &= failing <= world.error_limit + _ROUNDING
        if world.latency_limit is not None:
            acceptable &= slow <= 1 - world.latency_limit[0] + _ROUNDING
        acceptable[:, 0] = True
        return acceptable

    def _forget(self, kept: dict[int, Any]) -> None:
        """Make room for one more tick."""
        while len(kept) >= self._most:
            del kept[next(iter(kept))]

    @property
    def _most(self) -> int:
        """Of so many ticks the worth is kept."""
        return max(int(_KEPT_BYTES / (64 * self.truth.rows * len(self.truth.world.arms))), 2)

    @cached_property
    def _kinds(self) -> Ints:
        """(T,) a number for every tick, the same for ticks in which the arms are worth the same."""
        world = self.truth.world
        change = world.change
        if change is None:
            return np.zeros(world.ticks, np.int64)
        what = [change.failing, change.slowness] if world.latency_limit is not None else [change.failing]
        what += [told for name in dict.fromkeys((world.primary, *world.prices)) for told in change.telling(name)]
        return np.unique(np.concatenate(what, axis=1), axis=0, return_inverse=True)[1].reshape(-1)

    @cached_property
    def runs(self) -> list[int]:
        """Edges 0, ..., T between which the arms are worth the same."""
        return [0, *(np.flatnonzero(np.diff(self._kinds)) + 1).tolist(), self.truth.world.ticks]

"""The true account of every trial, which no policy sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from sim.arrays import Bools, Floats, Ints
from sim.world.change import Conditions
from sim.world.draws import binomial
from sim.world.streams import at, keys
from sim.world.world import Truth
from sim.world.worth import FAILED, GAIN, HARM, HARMED, REGRET, REGRET_FIXED, SLOW, STAKES


@dataclass
class Ledger:
    """The true account of every trial of a block. No policy ever sees it.

    served (R, K) live requests by the arm of their first attempt; calls (R, K) live attempts by arm; mirrored (R, K) mirrored
    calls; duplicated (R, K) those of them that are copies of requests that write; lost (R, K) requests that ended in a timeout
    or a rejection, by the arm of their last attempt; retries (R,) attempts beyond the first; errors (R,) requests whose last
    attempt failed; slo_violations (R,) these errors and the requests that took longer than the objective. errors and
    slo_violations are complete once the engine has settled. peak_exposure (R,) the largest share of live traffic that
    challengers had in a tick before the verdict, 1 where a challenger was shipped without a tick.

    Regret, harm and cost are booked in the tick in which a request arrives or a call is made, and a lost request in the tick in
    which it is lost, each by what the arms are worth in that tick. `regret_path` (R, P): cumulative regret after `ticks[p]`
    (P,) completed ticks, where `watch` has asked for it.
    """

    truth: Truth
    served: Ints
    calls: Ints
    mirrored: Ints
    duplicated: Ints
    lost: Ints
    retries: Ints
    errors: Ints
    slo_violations: Ints
    peak_exposure: Floats
    ticks: Ints
    regret_path: Floats
    _staked: Floats
    _cost_s: Floats
    _forgone: Floats
    _unvalued: Ints
    _noted: Ints

    @classmethod
    def open(cls, truth: Truth) -> Ledger:
        """An empty account."""
        rows, arms = truth.rows, len(truth.world.arms)
        served, calls, mirrored, duplicated, lost = np.zeros((5, rows, arms), np.int64)
        retries, errors, violations = np.zeros((3, rows), np.int64)
        peak, cost_s = np.zeros((2, rows))
        return cls(
            truth, served, calls, mirrored, duplicated, lost, retries, errors, violations, peak, np.zeros(0, np.int64),
            np.zeros((rows, 0)), np.zeros((STAKES, rows)), cost_s, np.zeros((3, rows)), np.zeros_like(lost), np.full(rows, -1),
        )  # fmt: skip

    def watch(self, ticks: Ints) -> None:
        """Keep the cumulative regret after these numbers of completed ticks, in increasing order."""
        self.ticks, self.regret_path = ticks, np.zeros((self.truth.rows, ticks.size))

    def serve(self, rows: Ints, tick: int, requests: Ints, calls: Ints, mirrored: Ints, now: Conditions | None = None) -> None:
        """Book the arrivals of a tick, (r, K) each: requests by the arm of their first attempt, live and mirrored calls.

        `now` is what was in force, where deployments may be cold.
        """
        self._note(rows, tick)
        of = self._places(rows)
        self.served[of] += requests
        self.calls[of] += calls
        self.mirrored[of] += mirrored
        if self._by_tick:
            stakes = self.truth.worths.stakes(tick) if now is None else self.truth.worths.stakes_of(tick, now)
            self._staked[:, rows] += (requests * stakes[:, rows]).sum(axis=2)
            self._cost_s[rows] += ((calls + mirrored) * self.truth.mean_latency_s(tick, now)[rows]).sum(axis=1)

    def serve_all(self, rows: Ints, tick: int, requests: Ints) -> None:
        """Book the arrivals of some ticks from `tick` on, requests (ticks, r, K), each of which is one call.

        For worlds in which what is at stake is the same in all ticks.
        """
        assert not self._by_tick
        of, ticks = self._places(rows), len(requests)
        watched = self.ticks[np.searchsorted(self.ticks, tick) : np.searchsorted(self.ticks, tick + ticks)] - tick
        for start, end in pairwise(sorted({0, *watched.tolist(), ticks})):
            self._note(rows, tick + start)
            served = requests[start:end].sum(axis=0)
            self.served[of] += served
            self.calls[of] += served

    def duplicate(self, rows: Ints, copies: Ints) -> None:
        """Book copies of requests that write, (r, K) by the arm that got them."""
        self.duplicated[self._places(rows)] += copies

    @property
    def _by_tick(self) -> bool:
        """Whether what is at stake differs from tick to tick, so that it is booked tick by tick."""
        return self.truth.world.change is not None or self.truth.world.warm_ups is not None

    def _places(self, rows: Ints) -> Ints | slice:
        """Where distinct rows (r,), in order, stand in arrays of all: there, or everywhere, as a slice without a copy."""
        return slice(None) if rows.size == self.truth.rows else rows

    def lose(self, rows: Ints, tick: int, lost: Ints) -> None:
        """Book requests that ended in a timeout or a rejection in a tick, lost (r, K) by the arm of their last attempt."""
        of = self._places(rows)
        self.lost[of] += lost
        if self.truth.world.change is None or tick == self.truth.world.ticks - 1:
            # Valued when they are read: whole numbers do not depend on how they are booked.
            self._unvalued[of] += lost
        else:
            self._forgone[:, rows] += self._lost_value(tick, lost, rows)

    def _lost_value(self, tick: int, lost: Ints, rows: Ints) -> Floats:
        """(3, r) by how much lost requests (r, K) would have been worth more in a tick: at least 0; as it is; and priced."""
        world = self.truth.world
        primary = world.primary_outcome
        value = self.truth.worths.at(tick).value[rows] - primary.sign * primary.failed_worth
        priced = np.zeros(lost.shape)
        for name, price in world.prices.items():
            outcome = world.outcome(name)
            priced += price * (self.truth.value_at(tick, name)[rows] - outcome.sign * outcome.failed_worth)
        return np.stack([(lost * each).sum(axis=1) for each in (np.maximum(value, 0.0), value, priced)])

    def _note(self, rows: Ints, tick: int) -> None:
        place = int(np.searchsorted(self.ticks, tick))
        if place < self.ticks.size and self.ticks[place] == tick:
            fresh = rows[self._noted[rows] < tick]
            self.regret_path[fresh, place] = self.regret[fresh]
            self._noted[fresh] = tick

    @property
    def regret(self) -> Floats:
        """(R,) cumulative regret: by how much the arms that served were worth less than the best acceptable one of each tick,
        over all live requests, plus what the requests that were lost would have been worth more than a lost one is.
        """
        total: Floats = self._total(REGRET) + self._forgone_by_loss[0]
        return total

    @property
    def regret_fixed(self) -> Floats:
        """(R,) the same against the arm that is best over the horizon; below 0 where a policy did better than any one arm."""
        total: Floats = self._total(REGRET_FIXED) + self._forgone_by_loss[1]
        return total

    @property
    def harmed(self) -> Ints:
        """(R,) live requests served by an arm that was worse than the champion, or broke a limit, in that tick."""
        return self._total(HARMED).astype(np.int64)

    @property
    def harm(self) -> Floats:
        """(R,) what live requests lost because their arm was worth less than the champion in that tick."""
        return self._total(HARM)

    @property
    def gain(self) -> Floats:
        """(R,) what live requests earned more than with the champion alone, at the prices of the metrics, less what was lost.

        What a lost request would have earned is taken off, also where the champion alone would have lost as many.
        """
        total: Floats = self._total(GAIN) - self._forgone_by_loss[2]
        return total

    @property
    def failed_more(self) -> Floats:
        """(R,) how many more live requests are expected to fail than with the champion alone, without those lost."""
        return self._total(FAILED)

    @property
    def slow_more(self) -> Floats:
        """(R,) how many more live requests are expected to be slower than the objective, apart from waiting for servers."""
        return self._total(SLOW)

    def _total(self, stake: int) -> Floats:
        """(R,) a stake summed over all live requests."""
        if self._by_tick:
            return np.asarray(self._staked[stake])
        total: Floats = (self.served * self.truth.worths.stakes(0)[stake]).sum(axis=1)
        return total

    @property
    def _forgone_by_loss(self) -> Floats:
        """(3, R) what was forgone by losing requests, as in `_lost_value`."""
        if not self._unvalued.any():
            return self._forgone
        last, everyone = self.truth.world.ticks - 1, np.arange(self.truth.rows)
        return self._forgone + self._lost_value(last, self._unvalued, everyone)

    @property
    def cost_s(self) -> Floats:
        """(R,) expected service seconds of all calls, live and mirrored."""
        if self._by_tick:
            return self._cost_s
        total: Floats = ((self.calls + self.mirrored) * self.truth.mean_latency_s()).sum(axis=1)
        return total

    def expose(self, rows: Ints, live: Floats) -> None:
        """Book the exposure of a tick with live shares (r, K)."""
        of = self._places(rows)
        exposed = 1 - live[:, 0] - (live[:, -1] if self.truth.world.baseline else 0.0)
        self.peak_exposure[of] = np.maximum(self.peak_exposure[of], exposed)

    def expose_verdicts(self, arm: Ints, decided_tick: Ints) -> None:
        """Set full exposure where a challenger is shipped before the first tick. arm, decided_tick (R,)."""
        self.peak_exposure[(arm > 0) & (decided_tick == 0)] = 1.0

    def settle(self, arm: Ints, decided_tick: Ints) -> None:
        """Book all traffic from a verdict to the horizon to one arm. arm, decided_tick (R,); -1 where nothing was decided.

        Only for worlds in which requests do not compete. Where they compete, the engine plays on to the horizon.
        """
        rows = np.flatnonzero(decided_tick >= 0)
        to, since = arm[rows], decided_tick[rows]
        self.expose_verdicts(arm, decided_tick)
        after = self.ticks >= since[:, None]
        self.regret_path[rows] = np.where(after, self.regret[rows, None], self.regret_path[rows])
        edges, strayed = self._edges[rows], self._strayed(rows, to)
        if strayed is None:
            self._follow(rows, to, since, edges, after)
        else:
            self._follow(rows, to, since, edges - strayed, after)
            self._follow(rows, np.zeros_like(to), since, strayed, after)

    def _strayed(self, rows: Ints, arm: Ints) -> Ints | None:
        """(r, T + 1) number of requests for an arm (r,) that the router sent to the champion up to each edge, drawn."""
        misrouted = self.truth.world.misrouted
        if misrouted is None:
            return None
        key = keys(self.truth.world.seed, self.truth.replications[rows], "tail.misrouted")[:, None]
        by_tick = at(key, np.arange(1, self.truth.world.ticks + 1, dtype=np.uint64))
        drawn = binomial(self.truth.arrivals[rows], misrouted[arm][:, None], by_tick)
        return np.pad(np.cumsum(drawn, axis=1), ((0, 0), (1, 0)))

    def _follow(self, rows: Ints, arm: Ints, since: Ints, edges: Ints, after: Bools) -> None:
        """Book the requests after a verdict to one arm (r,). edges (r, T + 1): requests that arrived up to each edge."""
        index, horizon = np.arange(rows.size), np.array([self.truth.world.ticks])
        rest = edges[:, -1] - edges[index, since]
        self.served[rows, arm] += rest
        self.calls[rows, arm] += rest
        forgone = self._stake(rows, arm, since, edges)
        self.regret_path[rows] += np.where(after, forgone, 0.0)
        self._cost_s[rows] += self._from(self.truth.mean_latency_s, rows, arm, since, edges, horizon)[:, 0]
        self._fail(rows, arm, since, edges)

    def _stake(self, rows: Ints, arm: Ints, since: Ints, edges: Ints) -> Floats:
        """Book what is at stake after a verdict. Returns (r, P) the regret from the verdict up to each of the watched ticks."""
        index, worths = np.arange(rows.size), self.truth.worths
        if self.truth.world.change is None:
            passed = edges[:, self.ticks] - edges[index, since][:, None]
            return np.asarray(passed * worths.stakes(0)[REGRET, rows, arm][:, None])
        by_tick = np.zeros((self.truth.world.ticks, rows.size))
        for first, end in pairwise(worths.runs):
            if end > since.min(initial=end):
                stakes = worths.stakes(first)[:, rows, arm]
                by_tick[first:end] = stakes[REGRET]
                self._staked[:, rows] += stakes * (edges[:, end] - edges[index, np.clip(since, first, end)])
        summed = np.zeros(edges.shape)
        np.cumsum(np.diff(edges, axis=1) * by_tick.T, axis=1, out=summed[:, 1:])
        return summed[:, self.ticks] - summed[index, since][:, None]

    def _from(self, amount: Callable[[int], Floats], rows: Ints, arm: Ints, start: Ints, edges: Ints, ends: Ints) -> Floats:
        """(r, P) sum of an amount over the requests from one edge (r,) to other edges (P,), with one arm (r,).

        `amount` gives the amount per request in a tick, (R, K).
        """
        index = np.arange(rows.size)
        if self.truth.world.change is None:
            between: Floats = (edges[:, ends] - edges[index, start][:, None]) * amount(0)[rows, arm][:, None]
            return between
        by_tick = np.stack([amount(tick)[rows, arm] for tick in range(self.truth.world.ticks)], axis=1)
        summed = np.zeros(edges.shape)
        np.cumsum(np.diff(edges, axis=1) * by_tick, axis=1, out=summed[:, 1:])
        return summed[:, ends] - summed[index, start][:, None]

    def _fail(self, rows: Ints, arm: Ints, start: Ints, edges: Ints) -> None:
        """Draw and book errors and slow answers after a verdict: one binomial for every run of ticks with equal conditions."""
        key = at(keys(self.truth.world.seed, self.truth.replications[rows], "tail"), arm.astype(np.uint64))
        for number, (first, end) in enumerate(pairwise(self._runs())):
            left = np.flatnonzero(start < end)
            if left.size:
                row, to = rows[left], arm[left]
                count = edges[left, end] - edges[left, np.maximum(start[left], first)]
                rate = self.truth.conditions(first).error_rate[row, to]
                errors = binomial(count, rate, at(key[left], 2 * number + 1))
                slow = binomial(count - errors, self._slow_share(first)[row, to], at(key[left], 2 * number + 2))
                self.book(row, errors, slow)

    def _runs(self) -> list[int]:
        """Edges 0, …, T between which error rates and latencies are constant."""
        change, ticks = self.truth.world.change, self.truth.world.ticks
        if change is None:
            return [0, ticks]
        alike = (np.diff(change.failing, axis=0) == 0) & (np.diff(change.slowness, axis=0) == 0)
        return [0, *(np.flatnonzero(~alike.all(axis=1)) + 1).tolist(), ticks]

    def book(self, rows: Ints, errors: Ints, slow: Ints) -> None:
        """Book live requests (r,) that failed, and requests that succeeded above the objective's latency."""
        of = self._places(rows)
        self.errors[of] += errors
        self.slo_violations[of] += errors + slow

    def _slow_share(self, tick: int) -> Floats:
        """(R, K) share of calls above the objective's latency; 0 without an objective."""
        slo_s = self.truth.world.slo_s
        return np.zeros(self.served.shape) if slo_s is None else self.truth.latency_above(slo_s, tick)

    @property
    def arrived(self) -> Ints:
        """(R, T) requests up to the end of each tick."""
        return self._edges[:, 1:]

    @cached_property
    def _edges(self) -> Ints:
        """(R, T + 1) requests up to each edge."""
        arrived = np.zeros((self.truth.rows, self.truth.world.ticks + 1), np.int64)
        np.cumsum(self.truth.arrivals, axis=1, out=arrived[:, 1:])
        return arrived

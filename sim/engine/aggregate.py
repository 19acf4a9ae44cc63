"""The aggregate engine: a tick's sufficient statistics, drawn exactly, at a cost that does not depend on the traffic.

Requests arrive in a Poisson process and do not compete, so a tick is a tree of binomials: total arrivals (the same for
every policy) split over arms by the routing, into calls that end in this tick and calls that end in the next, into errors
and answers, and these over latency bands; and answers earn sums that have a closed form. Every draw is keyed by (seed,
replication, tick, lane, slot), a lane being an arm, live or mirrored; so a metric, a latency limit or a mirror that a policy
asks for in addition does not change what else it sees.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sim.engine.base import Ledger
from sim.engine.columns import Column, column, limits
from sim.errors import InputError
from sim.policy.base import Ints, Routing, Telemetry
from sim.world.draws import binomial, multinomial
from sim.world.latency import Bands, bands
from sim.world.outcomes import Joint
from sim.world.streams import Keys, at, keys, number_of
from sim.world.world import AGREEMENT, Truth, World

# Which draw of a tick a key is for; a lane has its own keys below each.
_SPLIT, _MIRROR, _LATE, _ERROR, _LATE_ERROR, _SLOW, _LATE_SLOW, _ERROR_SLOW, _LATE_ERROR_SLOW, _UNSEEN, _OUTCOME = (
    slot << 16 for slot in range(1, 12)
)

# A scenario may expect this many calls in all that outlast a tick before "no call does" stops being exact.
_OUTLAST = 1e-6


def refusals(world: World) -> Iterator[str]:
    """What this engine cannot express in a world."""
    for arm, latency in zip(world.arms, world.latency, strict=True):
        if float(latency.above(world.tick_s)) * float(world.requests.sum()) > _OUTLAST:
            yield f"calls of {arm} outlast a tick of {world.tick_s:g} s"


class AggregateEngine:
    """R replications by sufficient statistics. `needs` are the telemetry columns to produce."""

    ledger: Ledger
    tick: int

    def __init__(self, truth: Truth, needs: tuple[str, ...], mirrors: bool) -> None:
        outlast = truth.latency_above(truth.world.tick_s).max(initial=0.0) * float(truth.world.requests.sum())
        if outlast > _OUTLAST:
            tick = truth.world.tick_s
            raise InputError([f"engine aggregate: a varied latency outlasts a tick of {tick:g} s; use engine: simpy"])
        self.truth = truth
        self.ledger = Ledger.open(truth)
        self.tick = 0
        self._columns = tuple(column(name) for name in needs)
        self._places = {name: place for place, name in enumerate(needs)}
        self._arms = len(truth.world.arms)
        self._planes = 2 if mirrors else 1
        self._lane = np.arange(self._arms * self._planes, dtype=np.uint64)
        above = [each for each in self._columns if each.kind == "above"]
        self._limits = limits(self._columns, truth.world.slo_s)
        # Lanes whose latency somebody looks at; the objective is about live calls.
        self._timed = slice(0, self._arms * (2 if any(each.mirrored for each in above) else 1))
        self._times_errors = bool(above)
        cut = [
            bands(latency, truth.latency_scale[:, arm], self._limits, truth.world.tick_s)
            for arm, latency in enumerate(truth.latency)
        ]
        # (R, lanes, ...): an arm's live and mirrored lanes behave alike.
        self._bands = Bands(
            *(
                np.concatenate([np.stack([getattr(each, field) for each in cut], axis=1)] * self._planes, axis=1)
                for field in ("late", "in_tick", "after")
            )
        )
        self._error_rate = np.tile(truth.error_rate, (1, self._planes))
        self._joint = Joint.of(truth.outcomes)
        self._key = keys(truth.world.seed, truth.replications, "aggregate")
        self._carry = np.zeros((truth.rows, self._lane.size), np.int64)
        self._cohort = np.zeros(truth.rows, np.int64)

    def step(self, routing: Routing) -> Telemetry:
        rows = routing.rows
        key = at(self._key[rows], self.tick + 1)[:, None]
        live = self._split(self.truth.arrivals[rows, self.tick], routing, key)
        calls, mirrored = live, np.zeros_like(live)
        if self._planes == 2:
            others = live.sum(axis=1, keepdims=True) - live
            mirrored = binomial(others, routing.mirror, at(key, _MIRROR + self._lane[: self._arms]))
            calls = np.concatenate([live, mirrored], axis=1)
        self.ledger.serve(rows, self.tick, live, live, mirrored)
        self.ledger.expose(rows, routing.live)
        self._leave_earlier_cohorts(rows, routing.cohort)
        counts = self._end(rows, calls, key)
        telemetry = Telemetry(self.tick, counts, self._places)
        self.tick += 1
        return telemetry

    def settle(self, arm: Ints, decided_tick: Ints) -> None:
        self._book_unseen(np.arange(self.truth.rows), at(self._key, 0)[:, None])
        self.ledger.settle(arm, decided_tick)

    def _split(self, arrivals: Ints, routing: Routing, key: Keys) -> Ints:
        """(r, K) total arrivals over arms, by conditional binomials in the order of the arms."""
        # Sums from the last arm on are exactly 0 behind the last that has any weight, so no request strays there.
        rest = np.cumsum(routing.live[:, ::-1], axis=1)[:, ::-1]
        live = np.zeros(routing.live.shape, np.int64)
        left = arrivals
        for arm in range(self._arms - 1):
            share = routing.live[:, arm] / np.where(rest[:, arm] > 0, rest[:, arm], 1.0)
            live[:, arm] = binomial(left, share, at(key[:, 0], _SPLIT + arm))
            left = left - live[:, arm]
        live[:, -1] = left
        return live

    def _leave_earlier_cohorts(self, rows: Ints, cohort: Ints) -> None:
        """Calls of an earlier stage still in flight are not shown to this one; what they cost is."""
        entered = rows[cohort != self._cohort[rows]]
        if entered.size:
            self._book_unseen(entered, at(self._key[entered], self.tick + 1)[:, None])
            self._carry[entered] = 0
            self._cohort[rows] = cohort

    def _book_unseen(self, rows: Ints, key: Keys) -> None:
        """Live calls in flight end where no policy looks."""
        lanes = slice(0, self._arms)
        flying, key = self._carry[rows][:, lanes], at(key, _UNSEEN + self._lane[lanes])
        errors = binomial(flying, self.truth.error_rate[rows], at(key, 1))
        slow = np.zeros(flying.shape, np.int64)
        slo_s = self.truth.world.slo_s
        if slo_s is not None:
            share = self._bands.after[rows, lanes, self._limits.index(slo_s) + 1 :].sum(axis=2)
            slow = binomial(flying - errors, np.minimum(share, 1.0), at(key, 2))
        self.ledger.book(rows, errors.sum(axis=1), slow.sum(axis=1))

    def _end(self, rows: Ints, calls: Ints, key: Keys) -> Ints:
        """(r, K, C) what the calls add that end in this tick; others are carried to the next."""
        staying = binomial(calls, self._bands.late[rows], at(key, _LATE + self._lane))
        new, old = calls - staying, self._carry[rows]
        self._carry[rows] = staying
        rate = self._error_rate[rows]
        new_errors = binomial(new, rate, at(key, _ERROR + self._lane))
        old_errors = binomial(old, rate, at(key, _LATE_ERROR + self._lane))
        errors = new_errors + old_errors
        known = new + old - errors
        slow_known = self._slow(rows, new - new_errors, old - old_errors, key, (_SLOW, _LATE_SLOW))
        slow = slow_known
        if self._times_errors:
            slow = slow + self._slow(rows, new_errors, old_errors, key, (_ERROR_SLOW, _LATE_ERROR_SLOW))
        slo_s = self.truth.world.slo_s
        violated = slow_known[:, : self._arms, [] if slo_s is None else [self._limits.index(slo_s)]]
        self.ledger.book(rows, errors[:, : self._arms].sum(axis=1), violated.sum(axis=(1, 2)))
        return self._report(rows, {"requests": calls, "responses": new + old, "errors": errors, "count": known}, slow, key)

    def _slow(self, rows: Ints, new: Ints, old: Ints, key: Keys, slots: tuple[int, int]) -> Ints:
        """(r, lanes, limits) how many of the calls that end are slower than each limit, in the lanes that are timed."""
        if not self._limits:
            return np.zeros((rows.size, 0, 0), np.int64)
        lane = self._lane[self._timed]
        spread = multinomial(new[:, self._timed], self._bands.in_tick[rows, self._timed], at(key, slots[0] + lane))
        spread += multinomial(old[:, self._timed], self._bands.after[rows, self._timed], at(key, slots[1] + lane))
        above: Ints = np.cumsum(spread[..., :0:-1], axis=2)[..., ::-1]
        return above

    def _report(self, rows: Ints, ended: dict[str, Ints], slow: Ints, key: Keys) -> Ints:
        counts = np.zeros((rows.size, self._arms, len(self._columns)), np.int64)
        drawn: dict[tuple[str, bool], tuple[Ints, Ints]] = {}
        for place, each in enumerate(self._columns):
            lanes = slice(self._arms, None) if each.mirrored else slice(0, self._arms)
            if each.kind in ended:
                counts[..., place] = ended[each.kind][:, lanes]
            elif each.kind == "above":
                counts[..., place] = slow[:, lanes, self._limits.index(each.limit_s)]
            else:
                if (each.metric, each.mirrored) not in drawn:
                    self._earn(each, drawn, ended["count"][:, lanes], rows, at(key, _OUTCOME + self._lane[lanes]))
                counts[..., place] = drawn[each.metric, each.mirrored][each.kind == "square"]
        return counts

    def _earn(self, each: Column, drawn: dict[tuple[str, bool], tuple[Ints, Ints]], known: Ints, rows: Ints, key: Keys) -> None:
        """Draw (sum, sum of squares), (r, K) each, of what the known answers earn in a column's metric."""
        if each.metric == AGREEMENT:
            assert self.truth.world.agreement is not None
            agreed = binomial(known, self.truth.world.agreement, at(key, number_of(AGREEMENT)))
            drawn[AGREEMENT, each.mirrored] = agreed, agreed
        elif self._joint is not None:
            drawn |= {(name, each.mirrored): sums for name, sums in self._joint.sums(known, at(key, 0)).items()}
        else:
            keyed = at(key, number_of(each.metric))
            drawn[each.metric, each.mirrored] = self.truth.outcomes[each.metric].sums(known, rows, keyed)

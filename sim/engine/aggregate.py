"""The aggregate engine: a tick's sufficient statistics, drawn exactly, at a cost that does not depend on the traffic.

Requests arrive in a Poisson process and do not compete, so a tick is a tree of binomials: total arrivals (the same for every
policy) split over arms by the routing, over latency bands, into calls that end in this tick and calls that end in the next, into
errors and answers; and answers earn sums that have a closed form. Every draw is keyed by (seed, replication, tick, lane, slot).
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
from sim.world.streams import Keys, at, keys
from sim.world.world import AGREEMENT, Truth, World

# Which draw of a tick a key is for; a lane (an arm, live or mirrored) has its own keys below each.
_SPLIT, _MIRROR, _BAND, _LATE, _ERROR, _AGREE, _OUTCOME = (slot << 16 for slot in range(1, 8))

# A scenario may expect this many calls in all that outlast a tick before "no call does" stops being exact.
_OUTLAST = 1e-6


def refusals(world: World) -> Iterator[str]:
    """What this engine cannot express in a world."""
    for arm, latency in zip(world.arms, world.latency, strict=True):
        if float(latency.above(world.tick_s)) * float(world.requests.sum()) > _OUTLAST:
            yield f"calls of {arm} outlast a tick of {world.tick_s:g} s"


class AggregateEngine:
    """R replications by sufficient statistics. `needs` are the telemetry columns to produce."""

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
        self._limits = limits(self._columns, truth.world.slo_s)
        cut = [
            bands(latency, truth.latency_scale[:, arm], self._limits, truth.world.tick_s)
            for arm, latency in enumerate(truth.latency)
        ]
        # (R, lanes, B): an arm's live and mirrored lanes behave alike.
        self._bands = Bands(
            *(
                np.tile(np.stack([getattr(each, field) for each in cut], axis=1), (1, self._planes, 1))
                for field in ("share", "late")
            )
        )
        self._error_rate = np.tile(truth.error_rate, (1, self._planes))[..., None]
        self._key = keys(truth.world.seed, truth.replications, "aggregate")
        lanes = self._arms * self._planes
        self._lane = np.arange(lanes, dtype=np.uint64)
        self._carry = np.zeros((truth.rows, lanes, len(self._limits) + 1), np.int64)
        self._cohort = np.zeros(truth.rows, np.int64)
        self._stale = np.zeros((truth.rows, self._arms), np.int64)

    def step(self, routing: Routing) -> Telemetry:
        rows = routing.rows
        key = at(self._key[rows], self.tick + 1)[:, None]
        live = self._split(self.truth.arrivals[rows, self.tick], routing, key)
        calls = live
        if self._planes == 2:
            others = live.sum(axis=1, keepdims=True) - live
            mirrored = binomial(others, routing.mirror, at(key, _MIRROR + self._lane[: self._arms]))
            self.ledger.mirrored[rows] += mirrored
            calls = np.concatenate([live, mirrored], axis=1)
        self.ledger.served[rows] += live
        self.ledger.expose(rows, routing.live)
        self._drop_earlier_cohorts(rows, routing.cohort)
        ended, errors = self._end(rows, calls, key)
        self._book(rows, ended, errors)
        counts = self._report(rows, calls, ended, errors, key)
        telemetry = Telemetry(self.tick, counts, self._places)
        self.tick += 1
        return telemetry

    def settle(self, arm: Ints, decided_tick: Ints) -> None:
        in_flight = self._stale + self._carry[:, : self._arms].sum(axis=2)
        self.ledger.settle(arm, decided_tick, in_flight)

    def _split(self, arrivals: Ints, routing: Routing, key: Keys) -> Ints:
        """(r, K) total arrivals over arms, by conditional binomials in the order of the arms."""
        live = np.zeros(routing.live.shape, np.int64)
        left, weight = arrivals, np.ones(len(arrivals))
        for arm in range(self._arms - 1):
            share = np.clip(routing.live[:, arm] / np.where(weight > 1e-12, weight, 1.0), 0.0, 1.0)
            live[:, arm] = binomial(left, share, at(key[:, 0], _SPLIT + arm))
            left = left - live[:, arm]
            weight = weight - routing.live[:, arm]
        live[:, -1] = left
        return live

    def _drop_earlier_cohorts(self, rows: Ints, cohort: Ints) -> None:
        """Calls of an earlier stage still in flight are not shown to this one; what they cost is settled at the end."""
        entered = rows[cohort != self._cohort[rows]]
        if entered.size:
            self._stale[entered] += self._carry[entered, : self._arms].sum(axis=2)
            self._carry[entered] = 0
            self._cohort[rows] = cohort

    def _end(self, rows: Ints, calls: Ints, key: Keys) -> tuple[Ints, Ints]:
        """(r, lanes, B) calls that end in this tick, and the errors among them."""
        share, late = self._bands.share[rows], self._bands.late[rows]
        if share.shape[2] == 1:
            started = calls[..., None]
        else:
            started = multinomial(calls, share, at(key, _BAND + self._lane))
        band = np.arange(share.shape[2], dtype=np.uint64) << np.uint64(8)
        slot = self._lane[:, None] + band
        staying = binomial(started, late, at(key[..., None], _LATE + slot))
        ended = started - staying + self._carry[rows]
        self._carry[rows] = staying
        return ended, binomial(ended, self._error_rate[rows], at(key[..., None], _ERROR + slot))

    def _book(self, rows: Ints, ended: Ints, errors: Ints) -> None:
        live = slice(0, self._arms)
        self.ledger.errors[rows] += errors[:, live].sum(axis=(1, 2))
        violations = errors[:, live].sum(axis=(1, 2))
        slo_s = self.truth.world.slo_s
        if slo_s is not None:
            slow = slice(self._limits.index(slo_s) + 1, None)
            violations = violations + (ended - errors)[:, live, slow].sum(axis=(1, 2))
        self.ledger.slo_violations[rows] += violations

    def _report(self, rows: Ints, calls: Ints, ended: Ints, errors: Ints, key: Keys) -> Ints:
        counts = np.zeros((rows.size, self._arms, len(self._columns)), np.int64)
        known = (ended - errors).sum(axis=2)
        drawn: dict[str, tuple[Ints, Ints]] = {}
        for place, each in enumerate(self._columns):
            lanes = slice(self._arms, None) if each.mirrored else slice(0, self._arms)
            match each.kind:
                case "requests":
                    counts[..., place] = calls[:, lanes]
                case "responses":
                    counts[..., place] = ended[:, lanes].sum(axis=2)
                case "errors":
                    counts[..., place] = errors[:, lanes].sum(axis=2)
                case "above":
                    counts[..., place] = ended[:, lanes, self._limits.index(each.limit_s) + 1 :].sum(axis=2)
                case "count":
                    counts[..., place] = known[:, lanes]
                case _:
                    total, square = self._earned(each, drawn, known[:, lanes], rows, key)
                    counts[..., place] = total if each.kind == "sum" else square
        return counts

    def _earned(
        self, each: Column, drawn: dict[str, tuple[Ints, Ints]], known: Ints, rows: Ints, key: Keys
    ) -> tuple[Ints, Ints]:
        if each.metric not in drawn:
            if each.metric == AGREEMENT:
                agreement = self.truth.world.agreement
                assert agreement is not None
                agreed = binomial(known, agreement, at(key, _AGREE + self._lane[: self._arms]))
                drawn[AGREEMENT] = agreed, agreed
            else:
                number = list(self.truth.outcomes).index(each.metric) << 8
                slot = at(key, _OUTCOME + number + self._lane[: self._arms])
                drawn[each.metric] = self.truth.outcomes[each.metric].sums(known, rows, slot)
        return drawn[each.metric]

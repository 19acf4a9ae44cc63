"""The aggregate engine: it draws the sufficient statistics of a tick exactly, at a cost that does not depend on the traffic.

Requests are independent of each other, so a tick is a tree of binomials. Total arrivals (the same for every policy) are split
over arms by the routing; then into calls that monitoring sees and others; into calls that end in this tick and in the next;
into errors and answers; answers by which feedback is late; and over latency bands. The sums of answers' outcomes have a closed
form. The fate of a call is drawn in the tick of its arrival, under the conditions of that tick. A call that ends in the next
tick is carried there. Every draw is keyed by (seed, replication, tick, lane, slot); a lane is an arm, live or mirrored. So an
additional metric, latency limit or mirror does not change the other columns; but with a delay of feedback that has a memory, a
latency limit changes draws, in law not: see decision 0052.

Poisson arrivals are exact at any rate, even a rate that changes within a tick (bursts, traces): given their number, they are
independent, and only their probability of being in flight at the edge differs. With delayed feedback the rate must be constant
within a tick. The engine refuses worlds that it cannot represent: see `refusals`.

A mirrored call and its live call are in flight at an edge independently of each other. So mirroring is refused where more than
a few calls are in flight: see `mirror_refusals`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sim import ways
from sim.arrays import Floats, Ints
from sim.engine.aggregate.by_shares import ByShares
from sim.engine.aggregate.earnings import Sums, summed
from sim.engine.aggregate.ends import Timing
from sim.engine.aggregate.feedback import FeedbackStream, Streams, segment_shares
from sim.engine.aggregate.fused import Fused
from sim.engine.aggregate.late import aged, delays_of
from sim.engine.aggregate.refusals import FILLS, NEVER
from sim.engine.aggregate.slots import (
    ERROR,
    ERROR_SLOW,
    KIND,
    LATE,
    MIRROR,
    MIRROR_WRITES,
    OUTCOME,
    SEEN,
    SLOW,
    SPLIT,
    UNSEEN,
    WRITES,
)
from sim.engine.aggregate.together import together
from sim.engine.ledger import Ledger
from sim.engine.needs import limits, of_class, refuse_unfilled
from sim.policy.base import Routing, Telemetry
from sim.policy.columns import MOMENTS, Above, Agreement, AtVisit, Column, Count, CountKind, Moment
from sim.policy.stretch import Stretch
from sim.world.draws import binomial, binomial_at, multinomial
from sim.world.streams import Keys, at, keys, number_of
from sim.world.world import AGREEMENT, Truth


class AggregateEngine:
    """R replications by sufficient statistics. `needs` are the telemetry columns to produce."""

    ledger: Ledger
    tick: int

    def __init__(self, truth: Truth, needs: tuple[Column, ...], mirrors: bool) -> None:
        self.truth = truth
        self.ledger = Ledger.open(truth)
        self.tick = 0
        refuse_unfilled("aggregate", FILLS, truth.world, needs)
        self._places = {column: place for place, column in enumerate(needs)}
        self._counts = [(place, each) for place, each in of_class(needs, Count) if each.as_live() not in NEVER]
        self._above, self._moments = of_class(needs, Above), of_class(needs, Moment)
        self._agreements = of_class(needs, Agreement)
        self._arms = len(truth.world.arms)
        self._planes = 2 if mirrors else 1
        self._lane = np.arange(self._arms * self._planes, dtype=np.uint64)
        self._limits = limits(needs, truth.world.slo_s)
        # Lanes whose latency is needed; the objective needs live calls only.
        self._timed = slice(0, self._arms * (2 if any(each.mirrored for _, each in self._above) else 1))
        self._times_errors = bool(self._above)
        # What is known late of a slow call is known at other times, if a little: so an aged delay needs its band of latency.
        self._by_band = bool(self._limits) and any(aged(told) for told in truth.world.feedback.values())
        self._timing = Timing(truth, self._limits, self._planes, self._by_band)
        self._shares = segment_shares(truth)
        world = truth.world
        self._failed = {each.spec.name: each.failed_value for each in world.outcomes} if world.counts_failures else {}
        self._joint = truth.joint
        metrics = {(each.metric, each.mirrored) for _, each in self._moments}
        replayed_together = set(self._joint.names) if self._joint else set()
        self._at_visit = [column.of for _, column in of_class(needs, AtVisit)]
        visited = {(column.metric, False) for column in self._at_visit if isinstance(column, Moment)}
        wanted = {of for of in metrics | visited if of[0] not in replayed_together}
        # Metrics that are drawn together wait together: so where one is told by the shares of its visit, all of them are.
        joined = together(world)
        self._keyed = dict.fromkeys(joined, joined[0]) if joined else {}
        if any(name in self._keyed for name, _ in visited):
            visited |= {of for of in wanted if of[0] in self._keyed and not of[1]}
        made = {
            mirrored: Streams(truth, [name for name, plane in wanted if plane == mirrored], self._limits)
            for mirrored in (False, True)
        }
        self._feedback: dict[tuple[str, bool], FeedbackStream] = {
            of: ByShares(truth, of[0], made[False]) if of in visited else made[of[1]].of(of[0]) for of in wanted
        }
        self._by_shares = {of[0]: stream for of, stream in self._feedback.items() if isinstance(stream, ByShares)}
        self._key = keys(truth.world.seed, truth.replications, "aggregate")
        self._cohort = np.zeros(truth.rows, np.int64)
        # Calls in flight, by their end: good answers, by segment and by which feedback will be late; errors; slow calls.
        bands = len(self._limits) + 1 if self._by_band else 1
        patterns, segments = bands * 2 ** len(delays_of(truth.world)[0]), 1 if self._shares is None else self._shares.shape[1]
        self._good = np.zeros((truth.rows, self._lane.size, segments, patterns), np.int64)
        self._bad = np.zeros((truth.rows, self._lane.size), np.int64)
        self._slowly = np.zeros((truth.rows, self._lane[self._timed].size, len(self._limits)), np.int64)
        self._fused = Fused.of(truth, needs, self._timing, self._planes, self._limits, self._feedback, self._key)

    def step(self, routing: Routing) -> Telemetry:
        rows = routing.rows
        key = at(self._key[rows], self.tick + 1)[:, None]
        self._leave_earlier_cohorts(rows, routing.cohort)
        counts = None if self._fused is None else self._in_one_call(self._fused, routing, key)
        if counts is None:
            counts = self._drawn(routing, key)
        self.ledger.expose(rows, routing.live)
        telemetry = Telemetry(self.tick, counts, self._places, routing.live, self._weighed())
        self.tick += 1
        return telemetry

    @property
    def strides(self) -> bool:
        """Whether `stride` may play more than a tick."""
        return self._fused is not None and self._fused.strides and ways.compiling()

    def stride(self, routing: Routing, stretch: Stretch) -> Telemetry | None:
        """Play as many ticks under one routing as a stretch lasts, and add them to its sums. Returns the telemetry of the last.

        None where ticks have to be played one by one.
        """
        if not self.strides or self._fused is None:
            return None
        rows = routing.rows
        self._leave_earlier_cohorts(rows, routing.cohort)
        carried = self._good, self._bad, self._slowly
        made = self._fused.play(self.tick, rows, self._routed(routing.live), routing, carried, stretch)
        if made is None:
            return None
        self.ledger.serve_all(rows, self.tick, made.live)
        self.ledger.book(rows, made.fails, made.violates)
        self.ledger.expose(rows, routing.live)
        self.tick += made.ticks
        return Telemetry(self.tick - 1, made.counts, self._places, routing.live, added=made.ticks)

    def _in_one_call(self, fused: Fused, routing: Routing, key: Keys) -> Ints | None:
        """The telemetry (r, K, C) of a tick, drawn by a compiled call; None where NumPy draws."""
        rows = routing.rows
        weights = self._routed(routing.live)
        made = fused.play(self.tick, rows, weights, routing, (self._good, self._bad, self._slowly))
        if made is None:
            return None
        self.ledger.serve(rows, self.tick, made.live[0], made.live[0], made.mirrored)
        self.ledger.book(rows, made.fails, made.violates)
        waiting = made.ended[..., None, None], made.before[..., None, None]
        self._add_answers(made.counts, fused.elsewhere, rows, made.errors, made.known, *waiting, key)
        return made.counts

    def _drawn(self, routing: Routing, key: Keys) -> Ints:
        """The telemetry (r, K, C) of a tick, drawn array by array."""
        rows = routing.rows
        live = self._split(self.truth.arrivals[rows, self.tick], self._routed(routing.live), key)
        calls, mirrored = live, np.zeros_like(live)
        if self._planes == 2:
            mirrored = self._mirror(rows, live, routing, key)
            calls = np.concatenate([live, mirrored], axis=1)
        self.ledger.serve(rows, self.tick, live, live, mirrored)
        for stream in self._by_shares.values():
            stream.send(rows, routing.live)
        return self._end(rows, calls, key)

    def settle(self, arm: Ints, decided_tick: Ints) -> None:
        self.ledger.settle(arm, decided_tick)

    def _routed(self, live: Floats) -> Floats:
        """(r, K) shares that arrive at each arm, after requests that the router sends to the champion by mistake."""
        misrouted = self.truth.world.misrouted
        if misrouted is None:
            return live
        routed = live * (1 - misrouted)
        routed[:, 0] += (live * misrouted).sum(axis=1)
        return routed

    def _split(self, arrivals: Ints, weights: Floats, key: Keys) -> Ints:
        """(r, K) total arrivals over arms, by conditional binomials in the order of the arms."""
        # Summed from the last arm on, the rest is exactly 0 after the last arm with weight, so no request goes there.
        rest = np.cumsum(weights[:, ::-1], axis=1)[:, ::-1]
        live = np.zeros(weights.shape, np.int64)
        left = arrivals
        for arm in range(self._arms - 1):
            share = weights[:, arm] / np.where(rest[:, arm] > 0, rest[:, arm], 1.0)
            live[:, arm] = binomial(left, share, at(key[:, 0], SPLIT + arm))
            left = left - live[:, arm]
        live[:, -1] = left
        return live

    def _mirror(self, rows: Ints, live: Ints, routing: Routing, key: Keys) -> Ints:
        """(r, K) copies, of what other arms serve live (r, K); books those of requests that write."""
        lanes = self._lane[: self._arms]
        others = live.sum(axis=1, keepdims=True) - live
        if self.truth.world.writes == 0:
            return binomial_at(others, routing.mirror, key, MIRROR + lanes)
        # Whether a request writes is the same for all arms that get a copy.
        writing = binomial_at(live, self.truth.world.writes, key, WRITES + lanes)
        written = writing.sum(axis=1, keepdims=True) - writing
        share = routing.mirror if routing.mirror_writes is None else routing.mirror_writes
        copied = binomial_at(written, share, key, MIRROR_WRITES + lanes)
        self.ledger.duplicate(rows, copied)
        return copied + binomial_at(others - written, routing.mirror, key, MIRROR + lanes)

    def _leave_earlier_cohorts(self, rows: Ints, cohort: Ints) -> None:
        """Drop the calls in flight and the late feedback of an earlier stage from what this stage sees."""
        entered = rows[cohort != self._cohort[rows]]
        if entered.size:
            for carried in (self._good, self._bad, self._slowly):
                carried[entered] = 0
            for stream in self._feedback.values():
                stream.drop(entered)
            self._cohort[rows] = cohort

    def _seen(self, rows: Ints, calls: Ints, rate: Floats, key: Keys) -> Ints:
        """(r, lanes) the calls that monitoring sees; the other calls are only booked in the ledger."""
        loss = self.truth.world.loss
        if loss == 0:
            return calls
        seen = binomial_at(calls, 1 - loss, key, SEEN + self._lane)
        unseen = (calls - seen)[:, : self._arms]
        key = at(key, UNSEEN + self._lane[: self._arms])
        errors, slow = binomial(unseen, rate[:, : self._arms], at(key, 1)), np.zeros_like(unseen)
        slo_s = self.truth.world.slo_s
        if slo_s is not None:
            slow = binomial(unseen - errors, self.truth.latency_above(slo_s, self.tick)[rows], at(key, 2))
        self.ledger.book(rows, errors.sum(axis=1), slow.sum(axis=1))
        return seen

    def _end(self, rows: Ints, calls: Ints, key: Keys) -> Ints:
        """(r, K, C) telemetry of the calls that end in this tick; the other calls are carried to the next tick."""
        rate = np.tile(self.truth.conditions(self.tick).error_rate[rows], (1, self._planes))
        calls = self._seen(rows, calls, rate, key)
        ends = self._timing.ends(rows, self.tick)
        late = binomial_at(calls, ends.late, key, LATE + self._lane)
        good, bad, slowly = [], [], []
        violations = np.zeros(rows.size, np.int64)
        slo_s = self.truth.world.slo_s
        for when, ended in enumerate((calls - late, late)):
            failed = binomial_at(ended, rate, key, ERROR[when] + self._lane)
            kinds = self._kinds(rows, ended - failed, ends.pattern[when], key, KIND[when])
            answers = summed(kinds, 2)
            slow = self._slower(answers) if self._by_band else self._slow(answers, ends.band_by_pattern[when], key, SLOW[when])
            if slo_s is not None:
                violations += slow[:, : self._arms, self._limits.index(slo_s)].sum(axis=1)
            if self._times_errors:
                slow = slow + self._slow(failed[..., None], ends.band[when][:, :, None], key, ERROR_SLOW[when])
            good.append(kinds)
            bad.append(failed)
            slowly.append(slow)
        self.ledger.book(rows, (bad[0] + bad[1])[:, : self._arms].sum(axis=1), violations)
        failed_before = self._bad[rows]
        errors, slow, before = bad[0] + failed_before, slowly[0] + self._slowly[rows], self._good[rows]
        for name, stream in self._by_shares.items():
            if name in self._failed:
                stream.fail(rows, bad[0][:, : self._arms], failed_before[:, : self._arms], self._failed[name])
        self._good[rows], self._bad[rows], self._slowly[rows] = good[1], bad[1], slowly[1]
        known = summed(summed(good[0] + before, 3), 2)
        counted: dict[CountKind, Ints] = {"requests": calls, "responses": known + errors, "errors": errors}
        return self._report(rows, counted, known, good[0], before, slow, key)

    def _kinds(self, rows: Ints, known: Ints, pattern: Floats, key: Keys, slot: int) -> Ints:
        """(r, lanes, S, P) calls that end well, by segment and by which feedback is late."""
        segments, patterns = self._good.shape[2:]
        if segments * patterns == 1:
            return known[..., None, None]
        chance = pattern[:, :, None]
        if self._shares is not None:
            shares = self._shares if len(self._shares) == 1 else self._shares[rows]
            chance = chance * shares[:, None, :, None]
        flat = chance.reshape(*chance.shape[:2], segments * patterns)
        chances = np.broadcast_to(flat, (*known.shape, segments * patterns))
        drawn = multinomial(known, chances, at(key, slot + self._lane))
        return drawn.reshape(*known.shape, segments, patterns)

    def _slower(self, ended: Ints) -> Ints:
        """(r, lanes, limits) number of calls, of `ended` (r, lanes, B P), slower than each limit, in the timed lanes."""
        bands = ended[:, self._timed].reshape(len(ended), self._slowly.shape[1], len(self._limits) + 1, -1).sum(axis=3)
        return np.asarray(np.cumsum(bands[..., :0:-1], axis=2)[..., ::-1])

    def _slow(self, ended: Ints, bands: Floats, key: Keys, slot: int) -> Ints:
        """(r, lanes, limits) number of calls, of `ended` (r, lanes, P), that are slower than each limit, in the timed lanes."""
        slow = np.zeros((len(ended), self._slowly.shape[1], len(self._limits)), np.int64)
        if not self._limits:
            return slow
        lane = at(key, slot + self._lane[self._timed])
        for pattern in range(ended.shape[2]):
            drawn = at(lane, pattern) if pattern else lane
            spread = multinomial(ended[:, self._timed, pattern], bands[:, self._timed, pattern], drawn)
            slow += np.cumsum(spread[..., :0:-1], axis=2)[..., ::-1]
        return slow

    def _report(
        self, rows: Ints, counted: dict[CountKind, Ints], known: Ints, good: Ints, late: Ints, slow: Ints, key: Keys
    ) -> Ints:
        """(r, K, C) the telemetry columns; those in `NEVER` stay 0."""
        counts = np.zeros((rows.size, self._arms, len(self._places)), np.int64)
        for place, count in self._counts:
            counts[..., place] = counted[count.kind][:, self._lanes(count)]
        for place, above in self._above:
            counts[..., place] = slow[:, self._lanes(above), self._limits.index(above.limit_s)]
        self._add_answers(counts, self._moments, rows, counted["errors"], known, good, late, key)
        return counts

    def _add_answers(
        self, counts: Ints, moments: Sequence[tuple[int, Moment]], rows: Ints, failed: Ints, known: Ints, good: Ints,
        late: Ints, key: Keys,
    ) -> None:  # fmt: skip
        """Fill the columns of agreement, and of the outcomes in `moments`."""
        agreed: dict[bool, Sums] = {}
        for place, agreement in self._agreements:
            lanes, mirrored = self._lanes(agreement), agreement.mirrored
            if mirrored not in agreed:
                agreed[mirrored] = self._agree(rows, known[:, lanes], at(key, OUTCOME + self._lane[lanes]))
            counts[..., place] = agreed[mirrored][MOMENTS.index(agreement.moment)]
        earned: dict[tuple[str, bool], Sums] = {}
        for place, moment in moments:
            of, lanes = (moment.metric, moment.mirrored), self._lanes(moment)
            if of not in earned:
                keyed = at(key, OUTCOME + self._lane[lanes])
                answered = self._earn(*of, rows, known[:, lanes], good[:, lanes], late[:, lanes], keyed)
                errors = failed[:, lanes]
                earned |= {own: self._with_failures(own[0], sums, errors) for own, sums in answered.items()}
            counts[..., place] = earned[of][MOMENTS.index(moment.moment)]

    def _weighed(self) -> Floats | None:
        """(2, r, K - 1, C', KINDS) the sums of the tick that are weighed at the visit."""
        if not self._at_visit:
            return None
        found = []
        for column in self._at_visit:
            assert isinstance(column, Moment)
            found.append(self._by_shares[column.metric].weighed[:, :, :, MOMENTS.index(column.moment)])
        return np.stack(found, axis=3)

    def _lanes(self, column: Column) -> slice:
        return slice(self._arms, None) if column.mirrored else slice(0, self._arms)

    def _agree(self, rows: Ints, known: Ints, key: Keys) -> Sums:
        """(r, K) each: count, sum and sum of squares of agreement with the champion (0 or 1), over the good answers."""
        assert self.truth.agreement is not None
        agreed = binomial(known, self.truth.agreement[rows], at(key, number_of(AGREEMENT)))
        return known, agreed, agreed

    def _with_failures(self, metric: str, sums: Sums, errors: Ints) -> Sums:
        """Sums of the outcomes of a metric, with those of errors (r, K), which are known at once and are all alike."""
        if metric not in self._failed:
            return sums
        value = self._failed[metric]
        return sums[0] + errors, sums[1] + value * errors, sums[2] + value * value * errors

    def _earn(
        self, metric: str, mirrored: bool, rows: Ints, known: Ints, good: Ints, late: Ints, key: Keys
    ) -> dict[tuple[str, bool], Sums]:
        """{(metric, mirrored): (r, K) each} count, sum and sum of squares of the outcomes that come to be known."""
        of = metric, mirrored
        if of in self._feedback:
            return {
                of: self._feedback[of].arrive(rows, self.tick, good, late, at(key, number_of(self._keyed.get(metric, metric))))
            }
        assert self._joint is not None
        sums = self._joint.sums(known, rows, at(key, 0))
        return {(name, mirrored): (known, *both) for name, both in sums.items()}

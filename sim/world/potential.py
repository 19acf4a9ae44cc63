"""Potential outcomes: what every request of a replication would get from every arm, whatever the policy does.

Each outcome is a function of (seed, replication, stream, request, arm, attempt). A routing decides which outcomes are revealed,
and never changes one; an arm, a metric or a mirror that is added or left out does not shift the draws of any other. So the
compiled engine draws what it reveals and nothing else, and the SimPy engine gets the same numbers a tick at a time.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.arrays import Bools, Floats, Ints
from sim.jit import compiled, integer, word
from sim.world.clock import to_ns
from sim.world.sampling import SLOTS, at, law_at, nanoseconds, normal, seconds, spread, unit
from sim.world.tables import BINARY, CHANCE, NORMAL, REPLAYED, TILTED, Tables, tables
from sim.world.traffic import Pieces
from sim.world.world import AGREEMENT, Truth

# One draw each, by the record of a replication, an arm or a metric, and the index i of a request.


@compiled
def user_of(rules: Any, row: Any, floats: Any, ints: Any, i: Any) -> Any:
    """The user who sends a request; without a population every request is a user of its own."""
    if rules.users == 0:
        return integer(i)
    place = unit(at(row.user, i)) * rules.users
    whole = min(integer(place), rules.users - 1)
    return whole if place - whole < floats[rules.keep + whole] else ints[rules.other + whole]


@compiled
def segment_of(rules: Any, row: Any, floats: Any, user: Any) -> Any:
    """The segment of a user, or of a request where there are no users."""
    segment = 0
    if rules.segments > 1:
        u = unit(at(row.segment, user))
        while segment < rules.segments - 1 and u >= floats[rules.segments_up_to + segment]:
            segment += 1
    return segment


@compiled
def route_of(rules: Any, row: Any, i: Any, user: Any) -> Any:
    """The uniform that is compared with the weights: the request's own, or the user's where assignment is sticky."""
    return unit(at(row.route, user if rules.sticky else i))


@compiled
def guest_of(rules: Any, row: Any, user: Any) -> Any:
    """The uniform that tells whose guest a user is, where assignment is sticky; else 0."""
    return unit(at(row.guest, user)) if rules.sticky else 0.0


@compiled
def data_row_of(rules: Any, row: Any, floats: Any, ints: Any, key: Any) -> Any:
    """The row of the data that a key draws."""
    u = unit(key)
    place = min(integer(u * rules.data_rows), rules.data_rows - 1)
    if rules.data_even == 0:
        place = ints[row.data_guide + place]
        while u >= floats[row.data_up_to + place]:
            place += 1
    return place


@compiled
def replayed_of(metric: Any, cell: Any, floats: Any, ints: Any, place: Any, arm: Any, arms: Any, key: Any) -> Any:
    """What a row of the data earns in an arm, on the metric's grid; a chance of it takes a key."""
    at_ = cell.atoms + place * arms + arm
    if metric.kind == CHANCE:
        return integer(unit(key) < cell.floor + cell.times * floats[at_])
    return ints[at_] if cell.times == 1.0 else integer(np.rint(ints[at_] * cell.times))


@compiled
def value_of(
    rules: Any, row: Any, metric: Any, cell: Any, floats: Any, ints: Any, factor: Any, arm: Any, arms: Any, i: Any, user: Any,
    segment: Any,
) -> Any:  # fmt: skip
    """What a request earns from an arm, on the metric's grid. `factor` is what the arm's mean is multiplied by just now."""
    key = at(cell.value, i)
    if metric.kind == REPLAYED or metric.kind == CHANCE:
        # The same row for all arms and metrics.
        place = data_row_of(rules, row, floats, ints, at(row.data_row, i))
        return replayed_of(metric, cell, floats, ints, place, arm, arms, key)
    if rules.usual_chance > 0.0 and unit(at(metric.alike, i)) < rules.usual_chance:
        key = at(metric.usual, user)
    return drawn(metric, cell, floats, ints, factor * floats[metric.by_segment + segment], key)


@compiled
def drawn(metric: Any, cell: Any, floats: Any, ints: Any, factor: Any, key: Any) -> Any:
    """An outcome from its key, on the metric's grid, with its mean multiplied by a factor."""
    if metric.kind == BINARY:
        return integer(unit(key) < cell.centre * factor)
    if metric.kind == NORMAL:
        return integer(np.rint((cell.centre * factor + cell.sd * normal(key)) / metric.grid))
    u = unit(key)
    if metric.kind == TILTED and factor != 1.0:
        return ints[cell.atoms + tilted(cell, floats, ints, factor, u)]
    low, high = 0, cell.groups - 1
    while low < high:
        middle = (low + high) // 2
        if u < floats[cell.up_to + middle]:
            high = middle
        else:
            low = middle + 1
    atom = ints[cell.atoms + low]
    return atom if factor == 1.0 or metric.kind == TILTED else integer(np.rint(atom * factor))


@compiled
def tilted(cell: Any, floats: Any, ints: Any, factor: Any, u: Any) -> Any:
    """The place of the value that a uniform says, with chances tilted to a factor on the mean."""
    low, high = 0, cell.met - 1
    while low < high:
        middle = (low + high) // 2
        if floats[cell.factors + middle] < factor:
            low = middle + 1
        else:
            high = middle
    theta, log_sum = floats[cell.tilts + 2 * low], floats[cell.tilts + 2 * low + 1]
    up_to, last = 0.0, 0
    for place in range(cell.groups):
        chance = math.exp(floats[cell.log_chance + place] + theta * ints[cell.atoms + place] - log_sum)
        if chance > 0.0:
            up_to += chance
            last = place
            if u < up_to:
                break
    return last


@compiled
def agrees(rules: Any, row: Any, arm: Any, floats: Any, ints: Any, place: Any, arms: Any, i: Any) -> Any:
    """Whether the arm at a place answers a request as the champion does."""
    if rules.data_rows > 0:
        return ints[rules.data_agree + data_row_of(rules, row, floats, ints, at(row.data_row, i)) * arms + place] != 0
    return unit(at(arm.agree, i)) < arm.agreement


@compiled
def delay_of(metric: Any, cell: Any, floats: Any, value: Any, i: Any) -> Any:
    """How long after a request's end what it earned from an arm is known, in nanoseconds, were there no window."""
    if metric.delayed == 0:
        return integer(0)
    return nanoseconds(law_at(floats, cell.failure if value == 0 else cell.success, at(metric.delay, i)), 0)


@compiled
def service_of(arm: Any, floats: Any, i: Any, attempt: Any) -> Any:
    """How long an arm works on an attempt, in seconds, where nothing slows it down."""
    return seconds(arm.law, arm.a, arm.b, arm.first, arm.count, floats, at(arm.service, i * SLOTS + attempt))


@compiled
def error_of(arm: Any, i: Any, attempt: Any) -> Any:
    """The uniform that is compared with an arm's error rate."""
    return unit(at(arm.error, i * SLOTS + attempt))


@compiled
def writes_of(rules: Any, row: Any, i: Any) -> Any:
    """Whether a request writes: what it does is done once more by every copy of it."""
    return rules.writes > 0.0 and unit(at(row.write, i)) < rules.writes


@compiled
def is_lost(rules: Any, arm: Any, i: Any, attempt: Any) -> Any:
    """Whether monitoring never sees an attempt."""
    return rules.loss > 0.0 and unit(at(arm.loss, i * SLOTS + attempt)) < rules.loss


@compiled
def backoff_of(rules: Any, row: Any, floats: Any, i: Any, attempt: Any) -> Any:
    """How long a client waits after a failed attempt before the next, in nanoseconds."""
    u = unit(at(row.backoff, i * SLOTS + attempt))
    return nanoseconds(floats[rules.backoff_s + attempt] * (1.0 - rules.jitter * u), 1)


@dataclass(frozen=True)
class Requests:
    """The n requests of a tick, in the order of their arrival, and what each would get from each of K arms in A attempts.

    first: the index of the first one in the replication; arrival_ns, user, segment, writes (n,), the last of them whether it
    writes; route, guest, misroute (n,) and mirror (n, K) uniforms, to be compared with weights (the first two), shares
    misrouted and mirror fractions; service_s (n, K, A) seconds, to be multiplied by the slowness in force; error (n, K, A)
    uniforms, to be compared with the error rate in force; lost (n, K, A); backoff_ns (n, A - 1) after each attempt; values
    {metric: (n, K)} on the metric's grid; delay_ns {metric: (n, K)}; agree (n, K) whether an arm answers as the champion does.
    `mirror` and `agree` are None where nothing asks for them.
    """

    first: int
    arrival_ns: Ints
    user: Ints
    segment: Ints
    writes: Bools
    route: Floats
    guest: Floats
    misroute: Floats
    mirror: Floats | None
    service_s: Floats
    error: Floats
    lost: Bools
    backoff_ns: Ints
    values: dict[str, Ints]
    delay_ns: dict[str, Ints]
    agree: Bools | None


class Potential:
    """The requests of a block of replications. `metrics` are those whose values are drawn."""

    def __init__(self, truth: Truth, metrics: Collection[str], mirrors: bool, agreement: bool) -> None:
        self.truth = truth
        self.metrics = tuple(name for name in metrics if name != AGREEMENT)
        self.attempts = truth.world.retry.attempts if truth.world.retry else 1
        self.tick_ns = to_ns(truth.world.tick_s)
        self.tables = tables(truth, self.metrics)
        self._mirrors = mirrors
        self._agreement = agreement
        counts = truth.arrivals.cumsum(axis=1)
        self.first = np.concatenate([np.zeros((truth.rows, 1), np.int64), counts], axis=1)

    def factors(self) -> Floats:
        """(1, T, M, K), or (R, T, M, K) where replications differ: what the means of the metrics are multiplied by."""
        truth, ticks, arms = self.truth, self.truth.world.ticks, len(self.truth.world.arms)
        found = [truth.factors(name) for name in self.metrics]
        rows = max((len(factors) for factors in found if factors is not None), default=1)
        by_metric = np.ones((rows, ticks, len(self.metrics), arms))
        for m, factors in enumerate(found):
            if factors is not None:
                by_metric[:, :, m] = factors
        return by_metric

    def _factors_of(self, row: int, tick: int) -> Floats:
        """(M, K) what the means of the metrics are multiplied by in a tick of one replication."""
        found = np.ones((len(self.metrics), len(self.truth.world.arms)))
        for m, name in enumerate(self.metrics):
            factor = self.truth.factor(name, tick)
            if factor is not None:
                found[m] = factor[row] if factor.ndim == 2 else factor
        return found

    def draw(self, row: int, tick: int) -> Requests:
        """The requests of one replication in one tick."""
        truth, arms, attempts = self.truth, len(self.truth.world.arms), self.attempts
        n, metrics = int(truth.arrivals[row, tick]), len(self.metrics)
        first = int(self.first[row, tick])
        pieces = truth.pieces(np.array([row]), tick)
        arrival = _place(self.tables, pieces, row, tick, n, tick * self.tick_ns)
        user, segment, lost = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros((n, arms, attempts), bool)
        writes = np.zeros(n, bool)
        route, guest, misroute = np.zeros((3, n))
        mirror = np.zeros((n, arms))
        service, error = np.zeros((n, arms, attempts)), np.zeros((n, arms, attempts))
        backoff = np.zeros((n, attempts - 1), np.int64)
        value, delay = np.zeros((2, metrics, n, arms), np.int64)
        agree = np.zeros((n, arms), bool)
        _reveal(
            *self.tables, self._factors_of(row, tick), row, first, user, segment, writes, route, guest, misroute, mirror,
            service, error, lost, backoff, value, delay, agree,
        )  # fmt: skip
        return Requests(
            first, arrival, user, segment, writes, route, guest, misroute, mirror if self._mirrors else None, service, error,
            lost, backoff, dict(zip(self.metrics, value, strict=True)), dict(zip(self.metrics, delay, strict=True)),
            agree if self._agreement else None,
        )  # fmt: skip


def _place(tables: Tables, pieces: Pieces, row: int, tick: int, count: int, edge_ns: int) -> Ints:
    """(count,) when the requests of a tick arrive, in nanoseconds; `pieces` are those of this row alone."""
    out, gaps = np.zeros(count, np.int64), np.zeros(count + 1)
    spread(
        pieces.law == "poisson", count, word(at(tables.rows[row]["positions"], tick)), pieces.offset_ns, pieces.level,
        pieces.first[0], pieces.last[0], pieces.ahead[0], gaps, out,
    )  # fmt: skip
    return out + edge_ns


@compiled
def _reveal(
    rules_1: Any, rows: Any, arms: Any, metrics: Any, cells: Any, floats: Any, ints: Any, factors: Any, r: Any, first: Any,
    user: Any, segment: Any, writes: Any, route: Any, guest: Any, misroute: Any, mirror: Any, service: Any, error: Any,
    lost: Any, backoff: Any, value: Any, delay: Any, agree: Any,
) -> None:  # fmt: skip
    attempts, count = service.shape[2], service.shape[1]
    rules, row = rules_1[0], rows[r]
    for j in range(user.size):
        i = first + j
        user[j] = user_of(rules, row, floats, ints, i)
        segment[j] = segment_of(rules, row, floats, user[j])
        writes[j] = writes_of(rules, row, i)
        route[j] = route_of(rules, row, i, user[j])
        guest[j] = guest_of(rules, row, user[j])
        misroute[j] = unit(at(row.misroute, i))
        for attempt in range(attempts - 1):
            backoff[j, attempt] = backoff_of(rules, row, floats, i, attempt)
        for k in range(count):
            arm = arms[r, k]
            mirror[j, k] = unit(at(arm.mirror, i))
            agree[j, k] = agrees(rules, row, arm, floats, ints, k, count, i)
            for attempt in range(attempts):
                service[j, k, attempt] = service_of(arm, floats, i, attempt)
                error[j, k, attempt] = error_of(arm, i, attempt)
                lost[j, k, attempt] = is_lost(rules, arm, i, attempt)
            for m in range(value.shape[0]):
                value[m, j, k] = value_of(
                    rules, row, metrics[r, m], cells[r, m, k], floats, ints, factors[m, k], k, count, i, user[j], segment[j]
                )
                delay[m, j, k] = delay_of(metrics[r, m], cells[r, m, k], floats, value[m, j, k], i)

"""Potential outcomes: what every request of a replication would get from every arm, whatever the policy does.

Each outcome is a function of (seed, replication, stream, request, arm, attempt). A routing decides which outcomes are revealed,
and never changes one; an arm, a metric or a mirror that is added or left out does not shift the draws of any other. So the
compiled engine draws what it reveals and nothing else, and the SimPy engine gets the same numbers a tick at a time.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.world.jit import compiled, integer, missing, word
from sim.world.outcomes import Binary, Discrete, Normal, Replayed
from sim.world.sampling import LAW, NONE, SLOTS, Heap, at, law, nanoseconds, normal, seconds, spread, unit
from sim.world.streams import keys
from sim.world.traffic import Pieces
from sim.world.world import AGREEMENT, Truth

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Keys = NDArray[np.uint64]

NS = 1_000_000_000


def to_ns(time_s: float) -> int:
    """A time on the clock of the event engines.

    >>> to_ns(0.25)
    250000000
    """
    return round(time_s * NS)


# Records of what compiled code reads; one array of them holds what would else be a dozen arrays.
RULES = np.dtype(
    [
        ("users", np.int64),  # 0 without a population
        ("keep", np.int64),  # where the alias table of users is, in floats
        ("other", np.int64),  # and in ints
        ("sticky", np.int64),
        ("usual_chance", np.float64),
        ("segments", np.int64),
        ("segments_up_to", np.int64),  # where their cumulated shares are, in floats
        ("data_rows", np.int64),  # 0 unless models are replayed
        ("data_agree", np.int64),  # where (data_rows, K) agreement is, in ints
        ("loss", np.float64),
        ("backoff_s", np.int64),  # where the back-offs before jitter are, in floats
        ("jitter", np.float64),
    ]
)
ROW = np.dtype([(name, np.uint64) for name in ("positions", "route", "misroute", "user", "segment", "data_row", "backoff")])
ARM = np.dtype(
    [*((name, np.uint64) for name in ("mirror", "service", "error", "loss", "agree")), *LAW, ("agreement", np.float64)]
)
METRIC = np.dtype(
    [
        *((name, np.uint64) for name in ("delay", "usual", "alike")),
        *LAW,
        ("kind", np.int64),
        ("grid", np.float64),
        ("by_segment", np.int64),  # where the factor of each segment is, in floats
    ]
)
CELL = np.dtype(
    [
        ("value", np.uint64),
        ("centre", np.float64),
        ("sd", np.float64),
        ("atoms", np.int64),  # where the atoms are, in ints; or the rewards (data_rows, K)
        ("up_to", np.int64),  # where their cumulated chances are, in floats
        ("groups", np.int64),
    ]
)
BINARY, NORMAL, DISCRETE, REPLAYED = range(4)

Records = NDArray[Any]


class Tables(NamedTuple):
    """A block's potential outcomes as numbers, for compiled code.

    Records rules (1,), rows (R,), arms (R, K), metrics (R, M), cells (R, M, K), and two heaps of numbers that they point into.
    """

    rules: Records
    rows: Records
    arms: Records
    metrics: Records
    cells: Records
    floats: Floats
    ints: Ints


def tables(truth: Truth, metrics: Sequence[str]) -> Tables:
    """What is true in a block, as numbers. `metrics` are those whose values are asked for, in this order."""
    world, names = truth.world, tuple(metrics)
    floats, ints = Heap(np.float64), Heap(np.int64)
    rows = np.zeros(truth.rows, ROW)
    for name in ROW.names or ():
        rows[name] = keys(world.seed, truth.replications, name)
    rules, arms = _rules(truth, floats, ints), _arms(truth, floats)
    made, cells = _metrics(truth, names, floats), _cells(truth, names, floats, ints)
    return Tables(
        readable(rules), readable(rows), readable(arms), readable(made), readable(cells), floats.all(), ints.all()
    )  # fmt: skip


def readable(records: Records) -> Records:
    """Uncompiled code reads fields as attributes, too."""
    return records.view(np.recarray) if missing else records


def _rules(truth: Truth, floats: Heap, ints: Heap) -> Records:
    world = truth.world
    rules = np.zeros(1, RULES)
    if world.population is not None:
        keep, other = world.population.alias
        rules["users"], rules["keep"], rules["other"] = keep.size, floats.add(keep), ints.add(other)
        rules["sticky"], rules["usual_chance"] = world.population.sticky, math.sqrt(world.population.similarity)
    rules["segments"] = 1
    if world.segments is not None:
        rules["segments"] = world.segments.share.size
        rules["segments_up_to"] = floats.add([*np.cumsum(world.segments.share)[:-1], 1.0])
    if world.answers_agree is not None:
        rules["data_rows"], rules["data_agree"] = len(world.answers_agree), ints.add(world.answers_agree)
    rules["loss"] = world.loss
    if world.retry is not None:
        retry = world.retry
        backoffs = [min(retry.base_s * retry.factor**n, retry.longest_s) for n in range(retry.attempts - 1)]
        rules["backoff_s"] = floats.add(backoffs)
        rules["jitter"] = retry.jitter
    return rules


def _keyed(truth: Truth, record: Records, streams: Sequence[str], suffix: str) -> None:
    for stream in streams:
        record[stream] = keys(truth.world.seed, truth.replications, f"{stream}.{suffix}")


def _arms(truth: Truth, floats: Heap) -> Records:
    world = truth.world
    arms = np.zeros((truth.rows, len(world.arms)), ARM)
    for k, name in enumerate(world.arms):
        _keyed(truth, arms[:, k], ("mirror", "service", "error", "loss", "agree"), name)
        for field, value in zip(LAW, law(truth.latency[k], floats), strict=True):
            arms[field[0]][:, k] = value
    arms["agreement"] = 1.0 if world.agreement is None else world.agreement
    return arms


def _metrics(truth: Truth, names: tuple[str, ...], floats: Heap) -> Records:
    world = truth.world
    grids = {each.spec.name: each.grid for each in world.outcomes}
    kinds = {Binary: BINARY, Normal: NORMAL, Discrete: DISCRETE, Replayed: REPLAYED}
    metrics = np.zeros((truth.rows, len(names)), METRIC)
    for m, name in enumerate(names):
        _keyed(truth, metrics[:, m], ("delay", "usual", "alike"), name)
        for field, value in zip(LAW, law(world.delays.get(name), floats), strict=True):
            metrics[field[0]][:, m] = value
        metrics["kind"][:, m] = kinds[type(truth.outcomes[name])]
        metrics["grid"][:, m] = grids[name]
        segments = world.segments
        factors = np.ones(1) if segments is None else segments.factors.get(name, np.ones(segments.share.size))
        metrics["by_segment"][:, m] = floats.add(factors)
    return metrics


def _cells(truth: Truth, names: tuple[str, ...], floats: Heap, ints: Heap) -> Records:
    arms = truth.world.arms
    cells = np.zeros((truth.rows, len(names), len(arms)), CELL)
    for m, name in enumerate(names):
        outcome = truth.outcomes[name]
        cells["centre"][:, m] = outcome.mean
        for k, arm in enumerate(arms):
            cell = cells[:, m, k]
            cell["value"] = keys(truth.world.seed, truth.replications, f"value.{name}.{arm}")
            match outcome:
                case Normal():
                    cell["sd"] = outcome.sd[:, k]
                case Replayed():
                    if k == 0:
                        cells["atoms"][:, m] = ints.add(outcome.reward)
                case Discrete():
                    # An atom without a chance must never be drawn, and rounding may leave the last level a little below 1.
                    last = int(np.flatnonzero(outcome.chance[k])[-1])
                    cell["groups"] = last + 1
                    cell["up_to"] = floats.add([*np.cumsum(outcome.chance[k])[:last], 1.0])
                    cell["atoms"] = ints.add(outcome.atoms[:, k, : last + 1]) + (last + 1) * np.arange(truth.rows)
    return cells


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
        while u >= floats[rules.segments_up_to + segment]:
            segment += 1
    return segment


@compiled
def route_of(rules: Any, row: Any, i: Any, user: Any) -> Any:
    """The uniform that is compared with the weights: the request's own, or the user's where assignment is sticky."""
    return unit(at(row.route, user if rules.sticky else i))


@compiled
def data_row_of(rules: Any, row: Any, i: Any) -> Any:
    """The row of the data that a request replays, the same for all arms and metrics."""
    return min(integer(unit(at(row.data_row, i)) * rules.data_rows), rules.data_rows - 1)


@compiled
def value_of(
    rules: Any, row: Any, metric: Any, cell: Any, floats: Any, ints: Any, factor: Any, arm: Any, arms: Any, i: Any, user: Any,
    segment: Any,
) -> Any:  # fmt: skip
    """What a request earns from an arm, on the metric's grid. `factor` is what the arm's mean is multiplied by just now."""
    if metric.kind == REPLAYED:
        return ints[cell.atoms + data_row_of(rules, row, i) * arms + arm]
    key = at(cell.value, i)
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
    low, high = 0, cell.groups - 1
    while low < high:
        middle = (low + high) // 2
        if u < floats[cell.up_to + middle]:
            high = middle
        else:
            low = middle + 1
    atom = ints[cell.atoms + low]
    return atom if factor == 1.0 else integer(np.rint(atom * factor))


@compiled
def agrees(rules: Any, row: Any, arm: Any, ints: Any, place: Any, arms: Any, i: Any) -> Any:
    """Whether the arm at a place answers a request as the champion does."""
    if rules.data_rows > 0:
        return ints[rules.data_agree + data_row_of(rules, row, i) * arms + place] != 0
    return unit(at(arm.agree, i)) < arm.agreement


@compiled
def delay_of(metric: Any, floats: Any, i: Any) -> Any:
    """How long after its end a request's feedback arrives, in nanoseconds."""
    if metric.law == NONE:
        return integer(0)
    drawn = seconds(metric.law, metric.a, metric.b, metric.first, metric.count, floats, at(metric.delay, i))
    return nanoseconds(drawn, 0)


@compiled
def service_of(arm: Any, floats: Any, i: Any, attempt: Any) -> Any:
    """How long an arm works on an attempt, in seconds, where nothing slows it down."""
    return seconds(arm.law, arm.a, arm.b, arm.first, arm.count, floats, at(arm.service, i * SLOTS + attempt))


@compiled
def error_of(arm: Any, i: Any, attempt: Any) -> Any:
    """The uniform that is compared with an arm's error rate."""
    return unit(at(arm.error, i * SLOTS + attempt))


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

    first: the index of the first one in the replication; arrival_ns, user, segment (n,); route, misroute (n,) and mirror (n, K)
    uniforms, to be compared with weights, shares misrouted and mirror fractions; service_s (n, K, A) seconds, to be multiplied
    by the slowness in force; error (n, K, A) uniforms, to be compared with the error rate in force; lost (n, K, A); backoff_ns
    (n, A - 1) after each attempt; values {metric: (n, K)} on the metric's grid; delay_ns {metric: (n,)}; agree (n, K) whether
    an arm answers as the champion does. `mirror` and `agree` are None where nothing asks for them.
    """

    first: int
    arrival_ns: Ints
    user: Ints
    segment: Ints
    route: Floats
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

    def factors(self, tick: int) -> Floats:
        """(M, K) what the means of the metrics are multiplied by in a tick."""
        arms = len(self.truth.world.arms)
        changed = self.truth.conditions(tick).factors
        return np.array([changed.get(name, np.ones(arms)) for name in self.metrics]).reshape(-1, arms)

    def draw(self, row: int, tick: int) -> Requests:
        """The requests of one replication in one tick."""
        truth, arms, attempts = self.truth, len(self.truth.world.arms), self.attempts
        n, metrics = int(truth.arrivals[row, tick]), len(self.metrics)
        first = int(self.first[row, tick])
        pieces = truth.pieces(np.array([row]), tick)
        arrival = place(self.tables, pieces, row, 0, tick, n, tick * self.tick_ns)
        user, segment, lost = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros((n, arms, attempts), bool)
        route, misroute = np.zeros(n), np.zeros(n)
        mirror = np.zeros((n, arms))
        service, error = np.zeros((n, arms, attempts)), np.zeros((n, arms, attempts))
        backoff = np.zeros((n, attempts - 1), np.int64)
        value, delay = np.zeros((metrics, n, arms), np.int64), np.zeros((metrics, n), np.int64)
        agree = np.zeros((n, arms), bool)
        _reveal(
            *self.tables, self.factors(tick), row, first, user, segment, route, misroute, mirror, service, error, lost, backoff,
            value, delay, agree,
        )  # fmt: skip
        return Requests(
            first, arrival, user, segment, route, misroute, mirror if self._mirrors else None, service, error, lost, backoff,
            dict(zip(self.metrics, value, strict=True)), dict(zip(self.metrics, delay, strict=True)),
            agree if self._agreement else None,
        )  # fmt: skip


def place(tables: Tables, pieces: Pieces, row: int, piece_row: int, tick: int, count: int, edge_ns: int) -> Ints:
    """(count,) when the requests of a tick arrive, in nanoseconds."""
    out, gaps = np.zeros(count, np.int64), np.zeros(count + 1)
    spread(
        pieces.law == "poisson", count, word(at(tables.rows[row]["positions"], tick)), pieces.offset_ns, pieces.level,
        pieces.first[piece_row], pieces.last[piece_row], pieces.ahead[piece_row], gaps, out,
    )  # fmt: skip
    return out + edge_ns


@compiled
def _reveal(
    rules_1: Any, rows: Any, arms: Any, metrics: Any, cells: Any, floats: Any, ints: Any, factors: Any, r: Any, first: Any,
    user: Any, segment: Any, route: Any, misroute: Any, mirror: Any, service: Any, error: Any, lost: Any, backoff: Any,
    value: Any, delay: Any, agree: Any,
) -> None:  # fmt: skip
    attempts, count = service.shape[2], service.shape[1]
    rules, row = rules_1[0], rows[r]
    for j in range(user.size):
        i = first + j
        user[j] = user_of(rules, row, floats, ints, i)
        segment[j] = segment_of(rules, row, floats, user[j])
        route[j] = route_of(rules, row, i, user[j])
        misroute[j] = unit(at(row.misroute, i))
        for attempt in range(attempts - 1):
            backoff[j, attempt] = backoff_of(rules, row, floats, i, attempt)
        for m in range(value.shape[0]):
            delay[m, j] = delay_of(metrics[r, m], floats, i)
        for k in range(count):
            arm = arms[r, k]
            mirror[j, k] = unit(at(arm.mirror, i))
            agree[j, k] = agrees(rules, row, arm, ints, k, count, i)
            for attempt in range(attempts):
                service[j, k, attempt] = service_of(arm, floats, i, attempt)
                error[j, k, attempt] = error_of(arm, i, attempt)
                lost[j, k, attempt] = is_lost(rules, arm, i, attempt)
            for m in range(value.shape[0]):
                value[m, j, k] = value_of(
                    rules, row, metrics[r, m], cells[r, m, k], floats, ints, factors[m, k], k, count, i, user[j], segment[j]
                )

"""What is true in a block as records of numbers, which compiled code can read: one record an arm, a metric, a replication.

A record holds the keys of what is drawn by it, parameters, and where in two heaps of numbers its tables begin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Floats, Ints
from sim.jit import missing
from sim.world.outcomes import Binary, Discrete, NormalAmount, Replayed, Tilted
from sim.world.rows import search_table
from sim.world.sampling import LAW, Heap, law
from sim.world.streams import keys_of
from sim.world.world import Truth

Records = NDArray[Any]

# Records of what compiled code reads; one array of them holds what would else be a dozen arrays.
RULES = np.dtype(
    [
        ("users", np.int64),  # 0 without a population
        ("keep", np.int64),  # where the alias table of users is, in floats
        ("other", np.int64),  # and in ints
        ("sticky", np.int64),
        ("keepers", np.int64),  # users stay with a challenger up to this one, once they have met it; 0 if with none
        ("usual_chance", np.float64),
        ("segments", np.int64),
        ("segments_up_to", np.int64),  # where their cumulated shares are, in floats
        ("data_rows", np.int64),  # 0 unless models are replayed
        ("data_even", np.int64),  # whether all rows are equally likely
        ("data_agree", np.int64),  # where (data_rows, K) agreement is, in ints
        ("loss", np.float64),
        ("writes", np.float64),  # share of requests that write
        ("backoff_s", np.int64),  # where the back-offs before jitter are, in floats
        ("jitter", np.float64),
    ]
)
ROW_KEYS = ("positions", "route", "guest", "misroute", "user", "segment", "data_row", "backoff", "write")
ROW = np.dtype(
    [
        *((name, np.uint64) for name in ROW_KEYS),
        ("data_up_to", np.int64),  # where the cumulated shares of rows of the data are, in floats
        ("data_guide", np.int64),  # and where to begin to look in them, in ints: see `sim.world.rows.search_table`
    ]
)
ARM = np.dtype(
    [*((name, np.uint64) for name in ("mirror", "service", "error", "loss", "agree")), *LAW, ("agreement", np.float64)]
)
METRIC = np.dtype(
    [
        *((name, np.uint64) for name in ("delay", "usual", "alike")),
        ("delayed", np.int64),
        ("window_ns", np.int64),
        ("provisional", np.int64),  # whether an outcome counts as 0 until it is known
        ("kind", np.int64),
        ("grid", np.float64),
        ("failed", np.int64),  # what a failed request counts as
        ("by_segment", np.int64),  # where the factor of each segment is, in floats
    ]
)
CELL = np.dtype(
    [
        ("value", np.uint64),
        ("centre", np.float64),
        ("sd", np.float64),
        ("atoms", np.int64),  # where the atoms are, in ints; or the rewards (data_rows, K), chances among them in floats
        ("times", np.float64),  # what a replayed reward or chance is multiplied by
        ("floor", np.float64),  # what is added to such a chance
        ("up_to", np.int64),  # where their cumulated chances are, in floats
        ("groups", np.int64),
        ("log_chance", np.int64),  # where logarithms of chances are, in floats; of what is tilted only
        ("factors", np.int64),  # where the factors that it may meet are, in floats, increasing
        ("met", np.int64),  # how many
        ("tilts", np.int64),  # where the tilt of each of them is, in floats: theta and the logarithm of a sum
        ("success", np.int64),  # where the law of the delay of an outcome that is not 0 is, in floats
        ("failure", np.int64),  # and of one that is 0
    ]
)
BINARY, NORMAL, DISCRETE, REPLAYED, TILTED, CHANCE = range(6)
NO_WINDOW = 2**62
"""Longer than any delay, in nanoseconds."""


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
    for name, key in zip(ROW_KEYS, keys_of(world.seed, truth.replications, ROW_KEYS), strict=True):
        rows[name] = key
    if world.row_weights is not None:
        up_to, guide = search_table(np.stack([*world.row_weights.shares(world.seed, truth.replications)]))
        begins = up_to.shape[1] * np.arange(truth.rows)
        rows["data_up_to"], rows["data_guide"] = floats.add(up_to) + begins, ints.add(guide) + begins
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
        rules["keepers"] = world.challengers.stop - 1 if world.population.ratchets else 0
    rules["segments"] = 1
    if world.segments is not None:
        rules["segments"] = world.segments.share.size
        rules["segments_up_to"] = floats.add([*np.cumsum(world.segments.share)[:-1], 1.0])
    if world.answers_agree is not None:
        rules["data_even"] = world.row_weights is None
        rules["data_rows"], rules["data_agree"] = len(world.answers_agree), ints.add(world.answers_agree)
    rules["loss"], rules["writes"] = world.loss, world.writes
    if world.retry is not None:
        retry = world.retry
        backoffs = [min(retry.base_s * retry.factor**n, retry.longest_s) for n in range(retry.attempts - 1)]
        rules["backoff_s"] = floats.add(backoffs)
        rules["jitter"] = retry.jitter
    return rules


def _keyed(truth: Truth, records: Records, streams: Sequence[str], of: Sequence[str]) -> None:
    """Fill in the keys of some streams, for records (R, n) of n arms or metrics."""
    found = keys_of(truth.world.seed, truth.replications, [f"{stream}.{name}" for stream in streams for name in of])
    for stream, key in zip(streams, found.reshape(len(streams), len(of), truth.rows), strict=True):
        records[stream] = key.T


def _arms(truth: Truth, floats: Heap) -> Records:
    world = truth.world
    arms = np.zeros((truth.rows, len(world.arms)), ARM)
    _keyed(truth, arms, ("mirror", "service", "error", "loss", "agree"), world.arms)
    for k in range(len(world.arms)):
        for field, value in zip(LAW, law(truth.latency[k], floats), strict=True):
            arms[field[0]][:, k] = value
    arms["agreement"] = 1.0 if world.agreement is None else world.agreement
    return arms


def _metrics(truth: Truth, names: tuple[str, ...], floats: Heap) -> Records:
    world = truth.world
    said = {each.spec.name: each for each in world.outcomes}
    kinds = {Binary: BINARY, NormalAmount: NORMAL, Discrete: DISCRETE, Replayed: REPLAYED, Tilted: TILTED}
    metrics = np.zeros((truth.rows, len(names)), METRIC)
    _keyed(truth, metrics, ("delay", "usual", "alike"), names)
    for m, name in enumerate(names):
        late = world.feedback.get(name)
        if late is not None:
            metrics["delayed"][:, m], metrics["provisional"][:, m] = 1, late.provisional
            metrics["window_ns"][:, m] = NO_WINDOW if late.window_ns is None else late.window_ns
        outcome = truth.outcomes[name]
        metrics["kind"][:, m] = CHANCE if isinstance(outcome, Replayed) and outcome.as_chance else kinds[type(outcome)]
        metrics["grid"][:, m], metrics["failed"][:, m] = said[name].grid, said[name].failed_value
        segments = world.segments
        factors = np.ones(1) if segments is None else segments.factors.get(name, np.ones(segments.share.size))
        metrics["by_segment"][:, m] = floats.add(factors)
    return metrics


def _cells(truth: Truth, names: tuple[str, ...], floats: Heap, ints: Heap) -> Records:
    arms = truth.world.arms
    cells = np.zeros((truth.rows, len(names), len(arms)), CELL)
    for m, name in enumerate(names):
        outcome, late = truth.outcomes[name], truth.world.feedback.get(name)
        cells["centre"][:, m] = outcome.mean
        _keyed(truth, cells[:, m], ("value",), [f"{name}.{arm}" for arm in arms])
        for k in range(len(arms)):
            cell = cells[:, m, k]
            if late is not None:
                cell["success"] = floats.add(law(late.success[k], floats))
                cell["failure"] = floats.add(law(late.failure[k], floats))
            match outcome:
                case NormalAmount():
                    cell["sd"] = outcome.sd[:, k]
                case Replayed():
                    if k == 0:
                        cells["atoms"][:, m] = (floats if outcome.as_chance else ints).add(outcome.reward)
                    cell["times"] = 1.0 if outcome.times is None else outcome.times[:, k]
                    cell["floor"] = 0.0 if outcome.floor is None else outcome.floor[:, k]
                case Discrete():
                    # An atom without a chance must never be drawn, and rounding may leave the last level a little below 1.
                    last = int(np.flatnonzero(outcome.chance[k])[-1])
                    cell["groups"] = last + 1
                    cell["up_to"] = floats.add([*np.cumsum(outcome.chance[k])[:last], 1.0])
                    cell["atoms"] = ints.add(outcome.atoms[:, k, : last + 1]) + (last + 1) * np.arange(len(outcome.atoms))
                case Tilted():
                    _tilted(cell, outcome, k, _met(truth, name, k), floats, ints)
    return cells


def _tilted(cell: Records, outcome: Tilted, k: int, met: Floats, floats: Heap, ints: Heap) -> None:
    """A count or a score of arm k, which may meet some factors: (1, L), or (R, L) where replications differ."""
    groups = outcome.atoms.shape[1]
    row, row_of = np.arange(len(outcome.log_chance)), np.arange(len(cell))
    chance = outcome.chance()[:, k]
    # As for `Discrete`: the last value with a chance takes what rounding leaves.
    last = groups - 1 - np.argmax(chance[:, ::-1] > 0, axis=1)
    up_to = np.where(np.arange(groups) >= last[:, None], 1.0, np.cumsum(chance, axis=1))
    count, by_row = met.shape[1], len(met) > 1
    cell["groups"], cell["met"] = groups, count
    cell["atoms"], cell["factors"] = ints.add(outcome.atoms[k]), floats.add(met) + count * by_row * row_of
    cell["up_to"] = floats.add(up_to) + groups * row
    if count:
        cell["log_chance"] = floats.add(outcome.log_chance[:, k]) + groups * row
        if by_row:
            tilts = [outcome.tilts_of_row(k, each, factors) for each, factors in enumerate(met)]
            cell["tilts"] = floats.add(tilts) + 2 * count * row_of
        else:
            cell["tilts"] = floats.add(outcome.tilts(k, met[0])) + 2 * count * row


def _met(truth: Truth, name: str, arm: int) -> Floats:
    """Every factor that may be on the mean of a metric, increasing: that of a tick, times that of the segment.

    (1, L), without the factor 1; or (R, L) where replications differ.
    """
    world = truth.world
    by_segment = world.segments.factors.get(name) if world.segments else None
    by_segment = np.ones(1) if by_segment is None else by_segment
    by_tick = truth.factors(name)
    # What was known of a request before the test meets the factor of its segment alone.
    ticks = np.ones((1, 1)) if by_tick is None else np.insert(by_tick[:, :, arm], 0, 1.0, axis=1)
    met = np.multiply.outer(ticks, by_segment).reshape(len(ticks), -1)
    if len(met) > 1:
        return np.sort(met, axis=1)
    found = np.unique(met)
    return np.asarray(found[found != 1.0], np.float64)[None]

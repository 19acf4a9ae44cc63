"""What is known of a request before the test: a value that its arm cannot change, correlated with its outcome.

It is distributed as an outcome of the champion. Without users it is a value of the request: with a chance equal to the
correlation it is drawn as its outcome is, and else anew; so a champion's outcome has just that correlation with it. With users
it is one value a user: what the user usually earns (see `similarity`), or another value that has nothing to do with it. Factors
of segments are in it, those of the timeline are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sim.jit import compiled
from sim.world.potential import data_row_of, drawn, replayed_of
from sim.world.sampling import at, unit
from sim.world.streams import keys
from sim.world.tables import CHANCE, REPLAYED, Records, readable
from sim.world.world import Truth

PAST = np.dtype([("past", np.uint64), ("recalls", np.uint64), ("chance", np.float64)])


def pasts(truth: Truth, metrics: Sequence[str]) -> Records:
    """(R, M) what a metric's value before the test is drawn by; a metric without one has nothing to do with it."""
    found = np.zeros((truth.rows, len(metrics)), PAST)
    population = truth.world.population
    for m, name in enumerate(metrics):
        for stream in ("past", "recalls"):
            found[stream][:, m] = keys(truth.world.seed, truth.replications, f"{stream}.{name}")
        correlation = truth.world.covariates.get(name, 0.0)
        if population is not None and correlation:
            # An outcome is the user's usual one with chance sqrt(similarity).
            correlation = min(correlation / (math.sqrt(population.similarity) or 1.0), 1.0)
        found["chance"][:, m] = correlation
    return readable(found)


@compiled
def covariate_of(
    rules: Any, row: Any, metric: Any, past: Any, cell: Any, champion: Any, floats: Any, ints: Any, arms: Any, i: Any,
    user: Any, segment: Any,
) -> Any:  # fmt: skip
    """What was known before of a request i that an arm served; `cell` is that arm's, `champion` the champion's."""
    who = user if rules.users > 0 else i
    recalls = unit(at(past.recalls, who)) < past.chance
    key = at(past.past, who)
    if metric.kind == REPLAYED or metric.kind == CHANCE:
        of_row, of_value = (at(row.data_row, i), at(champion.value, i)) if recalls else (key, at(key, 1))
        place = data_row_of(rules, row, floats, ints, of_row)
        return replayed_of(metric, champion, floats, ints, place, 0, arms, of_value)
    if recalls:
        key = at(metric.usual, user) if rules.users > 0 else at(cell.value, i)
    return drawn(metric, champion, floats, ints, floats[metric.by_segment + segment], key)

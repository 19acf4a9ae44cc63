"""What offline evaluations show in each replication: scores of all arms on the same rows of labelled data.

Where models are replayed, the rows are those of the data, and what they say is what each arm earns there: the weights of the
rows, the gap and effects, which make live traffic another one, do not touch them. Else rows are drawn by the arms' outcomes in
the replication, without the gap between offline and online, and without what happens on the way (drift, novelty, incidents,
effects at some hours).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.arrays import Bools, Floats, Ints
from sim.errors import Problem
from sim.policy.offline import Evaluation, Scores
from sim.scenario.priors import Prior
from sim.world.draws import binomial
from sim.world.priors import effects
from sim.world.streams import at, keys, uniforms
from sim.world.tilt import MARGIN

if TYPE_CHECKING:
    from sim.world.metric import OutcomeWorld
    from sim.world.world import Truth, World

# The keys of a replication's rows that are as hard for every model, and of what they earn; arms follow.
_ALIKE, _EARNED, _ARMS = 0, 1, 2
# Rows of so many replications are held at once.
_AT_ONCE = 2**20


@dataclass(frozen=True, eq=False)
class OfflineWorld:
    """How scores on labelled rows differ from live traffic.

    gap: what a challenger earns live is 1 + this times what it earns on the rows, for behaviour models. similarity: the share
    of rows that are as hard for every behaviour model. rows (N,): whether offline evaluations have a row of the data; None
    where they have all.
    """

    gap: Prior | None = None
    similarity: float = 0.0
    rows: Bools | None = None


def scores(truth: Truth, evaluations: Iterable[Evaluation]) -> Scores:
    """What each evaluation shows in the replications of a block: (R, K) scores, in the metric's own units.

    They depend on (seed, replication, evaluation) and on what is true, and on no policy. Evaluations of one metric share their
    luck: a larger hold-out of the data holds the rows of a smaller one.
    """
    return {each: _of_rows(truth, each) if each.metric in truth.world.replayed else _drawn(truth, each) for each in evaluations}


def _of_rows(truth: Truth, evaluation: Evaluation) -> Floats:
    """Scores on rows of the data: drawn without replacement, or for a bootstrap with it."""
    world = truth.world
    table = _table(world, evaluation.metric)
    have = len(table)
    rows = evaluation.informative_rows(have if evaluation.rows is None else evaluation.rows)
    if evaluation.method != "bootstrap" and rows == have:
        return np.repeat(table.mean(axis=0)[None], truth.rows, axis=0)
    drawn = rows if evaluation.method == "bootstrap" else have
    key = keys(world.seed, truth.replications, "offline rows")
    numbers = np.arange(1, drawn + 1, dtype=np.uint64)
    found = np.empty((truth.rows, table.shape[1]))
    step = max(1, _AT_ONCE // drawn)
    for start in range(0, truth.rows, step):
        uniform = uniforms(at(key[start : start + step, None], numbers))
        if evaluation.method == "bootstrap":
            picked = table[np.minimum((uniform * have).astype(np.int64), have - 1)]
            found[start : start + step] = np.moveaxis(picked, -1, 0).copy().mean(axis=-1).T
        else:
            held_out = uniform <= np.partition(uniform, rows - 1, axis=1)[:, rows - 1 : rows]
            count = held_out.sum(axis=1)
            for arm, earned in enumerate(table.T):
                found[start : start + step, arm] = np.where(held_out, earned, 0.0).sum(axis=1) / count
    return found


def _table(world: World, metric: str) -> Floats:
    """(rows, K) what each arm earns on the rows that offline evaluations have."""
    reward = world.outcome(metric).reward
    assert reward is not None
    return reward if world.offline.rows is None else reward[world.offline.rows]


def _drawn(truth: Truth, evaluation: Evaluation) -> Floats:
    """Scores of behaviour models: rows that are as hard for all of them, and rows on which each does as it does."""
    world, name = truth.world, evaluation.metric
    assert evaluation.rows is not None
    rows = evaluation.informative_rows(evaluation.rows)
    outcome, every = truth.outcomes[name], np.arange(truth.rows)
    key = keys(world.seed, truth.replications, f"offline {name}")
    by_arm = at(key[:, None], np.arange(_ARMS, _ARMS + len(world.arms), dtype=np.uint64))
    gap = gaps(world, name, truth.replications)
    factor: Floats | float = 1.0 if gap is None else 1 / (1 + gap)
    alike = binomial(np.full(truth.rows, rows), world.offline.similarity, at(key, _ALIKE))
    alone = np.repeat((rows - alike)[:, None], len(world.arms), axis=1)
    total: Ints = outcome.sums(alone, every, by_arm, factor)[0]
    if world.offline.similarity:
        total = total + outcome.together(alike, every, at(key, _EARNED), factor)
    return np.asarray(total * (world.outcome(name).grid / rows))


def gaps(world: World, metric: str, replications: Ints) -> Floats | None:
    """(R, K) the gap between offline and online of a metric, 0 of the champion; None where there is none."""
    prior = world.offline.gap
    if prior is None:
        return None
    found = np.zeros((len(replications), len(world.arms)))
    for arm, name in enumerate(world.arms[1:], start=1):
        found[:, arm] = effects(prior, world.seed, replications, f"offline gap of {name}.{metric}")
    return found


def gap_problems(world: World, metrics: Iterable[str], replications: Ints) -> Iterator[Problem]:
    """Gaps that no model can have: at or below -100%, or with a score that leaves what is possible."""
    drawn: dict[tuple[int, str], Floats] | None = None
    for metric in metrics:
        gap = gaps(world, metric, replications)
        if gap is None:
            return
        if gap.min() <= -1:
            where = f"in {int((gap <= -1).any(axis=1).sum()):,} of {len(replications):,} replications"
            yield Problem(f"draws {gap.min():.4g} {where}; it must stay above -100%", path="offline.gap")
            return
        outcome = world.outcome(metric)
        low, high = _possible(outcome)
        drawn = world.draw(replications)[0] if drawn is None else drawn
        for arm, name in enumerate(world.arms[1:], start=1):
            of = 0 if (arm, metric) in drawn else arm
            score = outcome.mean[of] * (1 + drawn.get((arm, metric), 0.0)) / (1 + gap[:, arm])
            bad = np.flatnonzero((score < low) | (score > high))
            if bad.size:
                where = f"in {bad.size:,} of {len(replications):,} replications"
                rule = f"it must stay within {low:.6g} to {high:.6g}: narrow the gap"
                yield Problem(f"takes {metric} of {name} to {score[bad[0]]:.4g} offline {where}; {rule}", path="offline.gap")


def _possible(outcome: OutcomeWorld) -> tuple[float, float]:
    """Between which a metric's mean can lie."""
    if outcome.kind == "binary":
        return 0.0, 1.0
    if not outcome.laws:
        return -np.inf, np.inf
    low, high = outcome.laws[0].bounds
    margin = MARGIN * (high - low) if np.isfinite(high) else 0.0
    return low + margin, high - margin

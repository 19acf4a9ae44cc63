"""What the simulator says of a live rehearsal: the same scenario, with the servers as they were measured alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sim.arrays import Floats, Ints
from sim.engine.base import Maker
from sim.live.alone import BLOCKS, Alone
from sim.live.watched import Watch, Watched
from sim.policy.machine import StagedPolicy
from sim.run.trial import rounds
from sim.world.capacity import Pool
from sim.world.latency import Quantiles
from sim.world.world import Truth, World

_TOGETHER = 50
"""Replications that share a draw of the distribution of latencies. Each has a speed and error rates of its own."""


@dataclass(frozen=True)
class Predicted:
    """totals (R, K, C) of the columns that are watched; verdict, arm (R,)."""

    totals: Ints
    verdict: Ints
    arm: Ints


def with_errors(world: World, alone: Sequence[Alone]) -> World:
    """The world with the error rates that the calls alone had."""
    rates = [(each.failed + 0.5) / (each.took_s.size + 1) for each in alone]
    return replace(world, error_rate=np.array(rates))


def predict(
    world: World, agent: Callable[[], StagedPolicy], watch: Watch, make: Maker, alone: Sequence[Alone], replications: int,
    one_at_a_time: bool,
) -> Predicted:  # fmt: skip
    """`replications` of a rehearsal whose servers answer one call at a time, or any number.

    What the calls alone leave open differs between replications: the distribution of latencies is a bootstrap of them; the
    machine's speed has the Student's t that so few blocks give, and the share of errors the posterior of Jeffreys' prior.
    """
    arms = len(world.arms)
    pools = tuple(Pool(name, (arm,), 1, 1, None, None) for arm, name in enumerate(world.arms)) if one_at_a_time else ()
    totals = np.empty((replications, arms, len(watch.columns)), np.int64)
    verdict, shipped = np.empty(replications, np.int64), np.empty(replications, np.int64)
    for group, first in enumerate(range(0, replications, _TOGETHER)):
        rows = np.arange(first, min(first + _TOGETHER, replications))
        draws = np.random.default_rng([world.seed, group])
        latency = tuple(_resampled(each.took_s, draws) for each in alone)
        truth = _varied(replace(world, latency=latency, pools=pools).realise(rows), alone, draws)
        policy, setting = agent(), world.setting(rows.size, rows)
        needs = policy.needs(setting)
        engine = make(truth, tuple(dict.fromkeys((*needs, *watch.columns))), policy.mirrors())
        watched = Watched(engine, needs, watch.columns, (rows.size, arms))
        for _ in rounds(policy, setting, watched, world.ticks, {}):
            pass
        totals[rows] = watched.totals
        verdict[rows], shipped[rows] = policy.verdicts.verdict, policy.verdicts.arm
    return Predicted(totals, verdict, shipped)


def _resampled(took_s: Floats, draws: np.random.Generator) -> Quantiles:
    again = np.sort(draws.choice(took_s, took_s.size))
    return Quantiles(tuple(np.linspace(0.0, 1.0, again.size).tolist()), tuple(again.tolist()))


def _varied(truth: Truth, alone: Sequence[Alone], draws: np.random.Generator) -> Truth:
    shape = truth.latency_scale.shape
    # The rehearsal is a block like those that the sd is estimated from, and their mean is not known either.
    spread = np.array([each.speed_sd for each in alone]) * np.sqrt(1 + 1 / BLOCKS)
    speed = np.exp(spread * draws.standard_t(BLOCKS - 1, size=shape))
    failed = np.array([each.failed for each in alone])
    right = np.array([each.took_s.size for each in alone]) - failed
    return replace(truth, latency_scale=speed, error_rate=draws.beta(failed + 0.5, right + 0.5, size=shape))

"""What the rows of the data alone leave open of the effects that a scenario is about, before anything is played."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from sim.errors import Problem
from sim.scenario.schema import Scenario
from sim.world.rows import RowWeights, means
from sim.world.world import World

# Replications whose populations stand for all: they are those that are played.
_BOOTSTRAPS = 1_000


def left_open(scenario: Scenario, world: World) -> Iterator[Problem]:
    """A warning where models are replayed: what the rows say of each effect on the primary metric, and what they leave open.

    The interval holds 95% of the effects in 1,000 populations of a Bayesian bootstrap; effects, gaps and changes that the
    scenario itself makes are not in it.
    """
    outcome = next(outcome for outcome in world.outcomes if outcome.spec.name == world.primary)
    if outcome.reward is None:
        return
    assert scenario.data is not None
    reward, rows = outcome.reward, len(outcome.reward)
    shift = np.ones(rows) if world.row_weights is None else world.row_weights.shift

    drawn, said = (
        means(reward, partial(RowWeights(shift, bootstrap).grouped, world.seed, np.arange(count)))
        for bootstrap, count in ((True, _BOOTSTRAPS), (False, 1))
    )
    # Relative to the champion's mean, unless it may be 0.
    relative = bool((drawn[:, 0] != 0).all() and said[0, 0] != 0)
    drawn, said = ((mean[:, 1:] - mean[:, :1]) / (np.abs(mean[:, :1]) if relative else 1.0) for mean in (drawn, said))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    of = [
        f"{arm} {_signed(one, relative)} ({_signed(least, relative)} to {_signed(most, relative)})"
        for arm, one, least, most in zip(world.arms[1:], said[0], low, high, strict=True)
    ]
    yield Problem(
        f"{rows:,} rows say this of the effect on {world.primary}, with what they leave open (95%): {', '.join(of)}; "
        + _played(scenario),
        path="data",
    )


def _played(scenario: Scenario) -> str:
    if scenario.data is not None and scenario.data.population == "rows":
        return "`population: rows` plays the first as if it were known, so no risk that is measured has this in it"
    return "every replication draws its own population from the rows"


def _signed(effect: float, relative: bool) -> str:
    return f"{effect:+.2%}" if relative else f"{effect:+.3g}"

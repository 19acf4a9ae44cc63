"""Failures whose worth is not clear: a scenario in which a failed request would count as better than a served one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sim.errors import Problem
from sim.scenario.schema import Scenario
from sim.world.world import World


def unclear_failures(scenario: Scenario, world: World) -> Iterator[Problem]:
    """What to warn of: a primary metric of which a failed request would be worth more than a served one, without `failure`.

    Where less of an amount is better a failure counts as 0, the best there is, and an arm gets better by failing; likewise
    where an amount is negative on average. A binary metric has a worst outcome, which is what a failure counts as.
    """
    primary = world.primary_outcome
    if primary.spec.failure is not None or primary.kind == "binary" or not _may_fail(world):
        return
    better = [name for name, mean in zip(world.arms, primary.mean, strict=True) if primary.sign * mean < 0]
    if better:
        found = f"a failed request counts as {primary.failed_worth:g}, which is better than what {', '.join(better)} serves"
        yield Problem(
            f"{found}, so that an arm gains by failing: say what it is worth, as in failure: {{worth: 10}}",
            path=f"metrics[{scenario.metrics.index(primary.spec)}].name",
        )


def _may_fail(world: World) -> bool:
    """Whether requests can fail, or be lost in a pool."""
    errors = bool((world.error_rate > 0).any()) or (world.change is not None and bool(np.any(world.change.failing > 0)))
    return errors or any(pool.arms for pool in world.pools)

"""What to warn of where requests fail: what a failed one is worth is not clear, or monitoring cannot count it so."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sim.errors import Problem
from sim.scenario.schema import Scenario
from sim.world.change import ERROR_RATE
from sim.world.world import World


def doubtful_failures(scenario: Scenario, world: World) -> Iterator[Problem]:
    """The warnings about failed requests, each at the key that it is about."""
    if not world.may_fail:
        return
    yield from _unclear(scenario, world)
    if world.counts_failures:
        yield from _uncounted(scenario, world)
    else:
        yield from _left_out(world)


def _unclear(scenario: Scenario, world: World) -> Iterator[Problem]:
    """A primary metric of which a failed request would be worth more than a served one, without `failure`.

    Where less of an amount is better a failure counts as 0, the best there is, and an arm gets better by failing; likewise
    where an amount is negative on average. A binary metric has a worst outcome, which is what a failure counts as.
    """
    primary = world.primary_outcome
    if primary.spec.failure is not None or primary.kind == "binary":
        return
    better = [name for name, mean in zip(world.arms, primary.mean, strict=True) if primary.sign * mean < 0]
    if better:
        found = f"a failed request counts as {primary.failed_worth:g}, which is better than what {', '.join(better)} serves"
        yield Problem(
            f"{found}, so that an arm gains by failing: say what it is worth, as in failure: {{worth: 10}}",
            path=f"metrics[{scenario.metrics.index(primary.spec)}].name",
        )


def _uncounted(scenario: Scenario, world: World) -> Iterator[Problem]:
    """A worth of a failure that is no outcome of a binary metric."""
    primary = world.primary_outcome
    if primary.failed_outcome != primary.failed_worth:
        counted = f"monitoring counts a failed request as {primary.failed_outcome:g}, as {primary.spec.name} is 0 or 1"
        yield Problem(
            f"{counted}: its worth of {primary.failed_worth:g} counts in regret and verdicts only, and no rule can see it",
            path=f"metrics[{scenario.metrics.index(primary.spec)}].failure.worth",
        )


def _left_out(world: World) -> Iterator[Problem]:
    """Failed requests that have no outcome, where the arms may fail unlike."""
    unlike = np.ptp(world.error_rate) > 0 or any(name == ERROR_RATE for _, name, _ in world.effects)
    changing = world.change is not None and bool((np.ptp(world.change.failing, axis=1) > 0).any())
    if unlike or changing or world.pools:
        reason = "outcomes of requests that fail are left out, and the arms may fail unlike"
        yield Problem(f"{reason}: one that fails more may look better than it is; use analysis: requests", path="analysis")

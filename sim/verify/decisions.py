"""Figures of what a decision is worth: how large a test should be, and what it earns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from sim.stats.test_and_roll import best_sample, gain
from sim.verify.figure import Figure, exact, played
from sim.verify.rehearsal import converts, mean, rehearse, scenario_of, some, test_by

SOURCE = "Feit & Berman (2019), Marketing Science 38, proposition 1 and its example of a website"
REQUESTS, RESPONSE, PRIOR_SD = 100_000, 0.68, 0.03
RESPONSE_SD = math.sqrt(RESPONSE * (1 - RESPONSE))
PER_TICK = 50


def figures() -> Iterator[Figure]:
    """All figures of this field."""
    yield exact(
        "decisions.test-and-roll", "100,000 requests, response .68, sd of the prior .03: requests an arm that earn most",
        SOURCE, 2284, lambda: round(best_sample(REQUESTS, RESPONSE_SD, PRIOR_SD)), 0.5,
    )  # fmt: skip
    # At a quarter and at four times the best sample a test earns less: 1,402 and 1,365 for 1,536.
    for sample in (571, 2284, 9136):
        yield played(
            f"decisions.play-test-and-roll-{sample}", f"the same: gain over keeping the champion with {sample:,} an arm",
            SOURCE, lambda sample=sample: gain(sample, REQUESTS, RESPONSE_SD, PRIOR_SD),
            lambda quick, sample=sample: mean(_gain(sample, quick)),
        )  # fmt: skip


def _gain(sample: int, quick: bool) -> Any:
    """(R,) what a test earns more than the champion alone; it takes whatever looks better, by however little."""
    # Between the means of two arms, each with the prior's sd, lies a difference with √2 of it.
    effect = {"normal": {"mean": 0, "sd": math.sqrt(2) * PRIOR_SD / RESPONSE}}
    scenario = scenario_of(
        f"test-and-roll-{sample}", 2, some(20_000, quick), REQUESTS // PER_TICK, PER_TICK,
        [test_by({"kind": "fixed_horizon", "sample": sample, "alpha": 0.999999})],
        truth={"a": {"conversion": {"relative_effect": effect}}},
    )  # fmt: skip
    return rehearse(scenario, converts(RESPONSE, RESPONSE))["test"].columns["gain"]

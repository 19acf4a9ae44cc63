"""Figures of tests under weights and means that change: ramps, drift, and allocations that follow the outcomes.

No shares of declarations under a ramp with drift have been published. What pooling does there is computed in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from sim.verify.figure import Figure, Sample, played
from sim.verify.rehearsal import Trials, converts, mean, rehearse, scenario_of, share, some

RATE, HOURLY, RAMPED, LATER = 0.05, 36_000, 24, 60
# A test at so many outcomes an arm ends within the second part of the ramp.
SAMPLE = 600_000
ROBINSON = "by design (Robinson 1988, with a known propensity)"


def figures() -> Iterator[Figure]:
    """All figures of this field."""
    for drift in (0.02, 0.05):
        slug = f"{100 * drift:.0f}"
        title = f"A/A test, 10% for a day and then half, while conversion rises by {slug}% for both arms"
        expected = _pooled_share(drift)
        yield played(
            f"changing.pooled-{slug}", f"{title}: pooled, declared", "closed form", expected,
            lambda quick, drift=drift, expected=expected: share(_ramped(drift, quick)["pooled"].declared, expected),
        )  # fmt: skip
        yield played(
            f"changing.within-{slug}", f"{title}: within ticks, declared", ROBINSON, 0.05,
            lambda quick, drift=drift: share(_ramped(drift, quick)["within"].declared, 0.05),
        )  # fmt: skip
    yield played(
        "changing.pooled-effect", "same, by 5%: mean of the pooled effect", "closed form", _pooled_effect(0.05),
        lambda quick: mean(_ramped(0.05, quick)["pooled"].columns["naive_estimate"]),
    )  # fmt: skip
    yield played(
        "changing.within-effect", "same, by 5%: mean of the effect within ticks", ROBINSON, 0.0,
        lambda quick: mean(_ramped(0.05, quick)["within"].columns["contrast_estimate"]),
    )  # fmt: skip
    for requests, ticks in ((5, 2000), (100, 300)):
        title = f"A/A test, Thompson sampling with a floor of 10%, {requests} requests a tick, at planned information"
        yield played(
            f"changing.thompson-{requests}", f"{title}: declared", "by design (a martingale at a fixed clock)", 0.05,
            lambda quick, requests=requests, ticks=ticks: share(_bandit(requests, ticks, quick).declared, 0.05),
        )  # fmt: skip
        yield played(
            f"changing.thompson-{requests}-aipw", f"{title}: missed by the adaptively weighted 95% interval",
            "Hadad, Hirshberg, Zhan, Wager & Athey 2021: by design", 0.05,
            lambda quick, requests=requests, ticks=ticks: _missed(_bandit(requests, ticks, quick), "aipw"), at_most=True,
        )  # fmt: skip


@cache
def _ramped(drift: float, quick: bool) -> dict[str, Trials]:
    ramp = {"kind": "ramp", "steps": [{"weight": "10%", "bake": f"{RAMPED}h"}, {"weight": "50%", "bake": f"{LATER}h"}]}
    policies = [
        {
            "name": name,
            "kind": "stages",
            "stages": [
                {"name": "ramp", "allocation": ramp, "evidence": {"kind": "fixed_horizon", "sample": SAMPLE, "tally": tally}}
            ],
        }
        for name, tally in (("pooled", "pooled"), ("within", "within_ticks"))
    ]
    both = [{"kind": "drift", "arm": arm, "metric": "conversion", "at": f"{RAMPED}h", "to": drift} for arm in ("champion", "a")]
    scenario = scenario_of(
        f"ramped-{100 * drift:.0f}", 2, some(10_000, quick), RAMPED + LATER, HOURLY, policies, timeline=both
    )  # fmt: skip
    return rehearse(scenario, converts(RATE, RATE))


def _at_the_look() -> tuple[float, float]:
    """How many outcomes champion and challenger have, on average, at the first tick with the planned information."""
    for tick in range(1, LATER + 1):
        champion, challenger = HOURLY * (0.9 * RAMPED + 0.5 * tick), HOURLY * (0.1 * RAMPED + 0.5 * tick)
        if champion * challenger / (champion + challenger) >= SAMPLE / 2:
            return champion, challenger
    raise AssertionError("the plan is longer than the ramp")


def _pooled(drift: float) -> tuple[float, float, float]:
    """The champion's mean, the challenger's, and the standard error of their difference, pooled over the ramp."""
    champion, challenger = _at_the_look()
    before = HOURLY * RAMPED * np.array([0.9, 0.1])
    total = np.array([champion, challenger])
    means = RATE * (1 + drift * (1 - before / total))
    middle = float((means * total).sum() / total.sum())
    return float(means[0]), float(means[1]), math.sqrt(middle * (1 - middle) * (1 / champion + 1 / challenger))


def _pooled_effect(drift: float) -> float:
    champion, challenger, _ = _pooled(drift)
    return challenger / champion - 1


def _pooled_share(drift: float) -> float:
    """How often a z test at 5% declares what pooling makes of a common drift."""
    from scipy.special import ndtr

    champion, challenger, error = _pooled(drift)
    far, bound = (challenger - champion) / error, 1.959963984540054
    return float(ndtr(far - bound) + ndtr(-far - bound))


@cache
def _bandit(requests: int, ticks: int, quick: bool) -> Trials:
    policy: dict[str, Any] = {
        "name": "bandit",
        "kind": "bandit",
        "allocation": {"kind": "thompson", "floor": "10%"},
        # At the floor all the way, information comes at .09 of the outcomes: it is there by the horizon in every trial.
        "evidence": {"kind": "fixed_horizon", "sample": int(0.16 * requests * ticks)},
    }
    scenario = scenario_of(f"bandit-{requests}", 2, some(10_000, quick), ticks, requests, [policy])
    return rehearse(scenario, converts(0.3, 0.3))["bandit"]


def _missed(trials: Trials, name: str) -> Sample:
    """How often the 95% interval of an estimator leaves out that there is no effect."""
    estimate, error = (trials.columns[f"{name}_{what}"] for what in ("estimate", "se"))
    known = np.isfinite(estimate)
    return share((np.abs(estimate) > 1.959963984540054 * error)[known], 0.05)

"""Figures of variance reduction, sample ratios, users as units, and times to an event."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
from scipy.special import chndtr, ndtr

from sim.policy.base import Verdict
from sim.stats import cuped, srm
from sim.stats.moments import Moments
from sim.stats.power import sample_size
from sim.stats.survival import cumulative_incidence, restricted_mean
from sim.verify.figure import Figure, Sample, exact, played
from sim.verify.rehearsal import NEVER, Trials, converts, mean, rehearse, scenario_of, share, some, test_by

DENG = "Deng, Xu, Kohavi & Walker 2013, eq. 4"
FREIREICH = "Klein & Moeschberger 2003, Example 4.1 and 4.3 (6-MP arm of Freireich 1963)"
REMISSIONS = (
    (6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35),
    9,
)
"""Weeks in remission, and the number of relapses: the first nine ended in a relapse, the others are censored."""


def figures() -> Iterator[Figure]:
    """All figures of this field."""
    yield exact(
        "estimates.cuped", "variance left by a covariate of correlation 0, .3, .5, .7, .9", DENG, (1.0, 0.91, 0.75, 0.51, 0.19),
        lambda: cuped.variance_ratio([0, 0.3, 0.5, 0.7, 0.9]),
    )  # fmt: skip
    yield played(
        "estimates.simulated-cuped",
        "squared standard error with CUPED over without, ρ = .7, simulated normal pairs", DENG, 0.51,
        _cuped,
    )  # fmt: skip
    yield from _played_cuped()
    yield exact(
        "estimates.sample-ratio", "sample-ratio mismatch 821,588 v 815,482 at 50/50: p, in millionths", "Kohavi; Fabijan", 1.8,
        lambda: 1e6 * srm.test([821_588, 815_482]).p_value, 0.05,
    )  # fmt: skip
    yield played(
        "estimates.play-sample-ratio-error", "sample ratio by chi-square at 5%, a sound router: mismatches found",
        "Pearson 1900: by design", 0.05, lambda quick: share(_ratio(0.0, quick).verdict(Verdict.INCONCLUSIVE), 0.05),
    )  # fmt: skip
    yield played(
        "estimates.play-sample-ratio-power", "same, a router that loses 2% of the challenger's 20,000: mismatches found",
        "noncentral chi-square (Cohen 1988, ch. 7)", _ratio_power,
        lambda quick: share(_ratio(0.02, quick).verdict(Verdict.INCONCLUSIVE), _ratio_power()),
    )  # fmt: skip
    yield played(
        "estimates.play-sample-ratio-sequential", "sample ratio at 5%, sequentially, 100 looks, a sound router: found",
        "Lindon & Malek 2022", 0.05, lambda quick: share(_ratio_looks(quick).verdict(Verdict.INCONCLUSIVE), 0.05), at_most=True,
    )  # fmt: skip
    yield played(
        "estimates.play-users", "requests tested as if independent at 5%, 10 a user and correlated by .1: error in A/A tests",
        "design effect 1 + mρ of Poisson clusters (Kish 1965, §5.4)", _clustered_error,
        lambda quick: share(_clustered(quick)["test"].declared, _clustered_error()),
    )  # fmt: skip
    yield played(
        "estimates.play-users-cluster", "same requests, with standard errors by user: error in A/A tests",
        "by design (Liang & Zeger 1986)", 0.05, lambda quick: share(_clustered(quick)["by-user"].declared, 0.05),
    )  # fmt: skip
    yield played(
        "estimates.play-ratio", "a ratio of two metrics at 5%, by the delta method: error in A/A tests",
        "by design (Deng, Knoblich & Lu 2018, eq. 4)", 0.05, lambda quick: share(_ratio_of_metrics(quick).declared, 0.05),
    )  # fmt: skip
    yield exact(
        "estimates.survival", "6-MP remissions: share without relapse at 6, 7, 10, 13, 16, 22, 23 weeks", FREIREICH,
        (0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448), _remissions, recalled=True,
    )  # fmt: skip
    yield exact(
        "estimates.restricted-mean", "6-MP remissions: mean restricted to 35 weeks", FREIREICH, 23.29,
        lambda: restricted_mean(REMISSIONS[0], 35, observed=np.arange(21) < REMISSIONS[1]).estimate or math.nan, 0.005,
        recalled=True,
    )  # fmt: skip


def _cuped(quick: bool) -> Sample:
    """The ratio of squared standard errors of the estimator alone, on data from NumPy."""
    count, units, rho = some(20_000, quick), 1000, 0.7
    rng = np.random.default_rng(2013)
    ratios = []
    for _ in range(count // 100):
        x = rng.standard_normal((2, 100, units))
        y = rho * x + math.sqrt(1 - rho**2) * rng.standard_normal(x.shape)
        champion, challenger = (Moments.of(y[arm], x[arm]) for arm in (0, 1))
        plain = sum(y[arm].var(axis=-1, ddof=1) / units for arm in (0, 1))
        ratios.append(cuped.difference(champion, challenger).standard_error ** 2 / plain)
    return mean(np.concatenate(ratios))


def _played_cuped() -> Iterator[Figure]:
    yield played(
        "estimates.play-cuped-sample",
        "requests of a fixed-horizon test with CUPED over those without, ρ = .7, played request by request",
        DENG, 0.51, lambda quick: _requests_left(_with_covariate(0, quick)),
    )  # fmt: skip
    yield played(
        "estimates.play-cuped-error", "same, with CUPED: error in A/A tests", f"{DENG}: by design", 0.05,
        lambda quick: share(_with_covariate(0, quick)["cuped"].declared, 0.05),
    )  # fmt: skip
    yield played(
        "estimates.play-cuped-power", "same: power of the test, planned for 80%", f"{DENG}: by design", 0.8,
        lambda quick: share(_with_covariate(1, quick)["cuped"].verdict(Verdict.SHIP), 0.8),
    )  # fmt: skip


MDE, A_TICK = 0.1, 16


@cache
def _with_covariate(effect: float, quick: bool) -> Mapping[str, Trials]:
    """Trials of the same test with and without CUPED, with a look every 16 requests."""
    evidence = {"kind": "fixed_horizon", "mde": MDE}
    policies = [test_by(evidence), {**test_by({**evidence, "adjust": {"kind": "cuped"}}), "name": "cuped"}]
    scenario = scenario_of(
        f"cuped-{'effect' if effect else 'null'}", 2, some(4000, quick), round(1.2 * 2 * _plain_sample() / A_TICK), A_TICK,
        policies, engine="compiled", metrics=[{"name": "amount", "role": "primary", "covariate": {"correlation": 0.7}}],
    )  # fmt: skip
    return rehearse(scenario, [{"outcomes": {"amount": {"normal": {"mean": 1 + MDE * size, "sd": 1}}}} for size in (0, effect)])


def _plain_sample() -> float:
    return sample_size("means", sd=1, effect=MDE)


def _requests_left(trials: Mapping[str, Trials]) -> Sample:
    # A test ends half a tick late, on average.
    plain, adjusted = (trials[name].columns["requests_to_decision"] - A_TICK / 2 for name in ("test", "cuped"))
    return mean(adjusted / plain.mean())


REQUESTS = 40_000


def _ratio_power() -> float:
    """Power with one degree of freedom. Counts are Poisson; their share is off by 1%, as 2% of one arm go to the other."""
    moved = 0.02
    shift = 0.5 * moved
    return float(1 - chndtr(3.841458820694124, 1, 4 * REQUESTS * shift**2))


@cache
def _ratio(moved: float, quick: bool) -> Trials:
    check = {"kind": "sample_ratio", "alpha": "5%", "looks": ["1h"]}
    policy = test_by(NEVER, checks=[check])
    more: dict[str, Any] = {"router": {"misrouted": {"a": moved}}} if moved else {}
    scenario = scenario_of(f"ratio-{moved * 100:g}", 2, some(20_000, quick), 2, REQUESTS, [policy], **more)
    return rehearse(scenario, converts(0.5, 0.5))["test"]


@cache
def _ratio_looks(quick: bool) -> Trials:
    policy = test_by(NEVER, checks=[{"kind": "sample_ratio", "alpha": "5%"}])
    scenario = scenario_of("ratio-looks", 2, some(10_000, quick), 100, 1000, [policy])
    return rehearse(scenario, converts(0.5, 0.5))["test"]


USERS, EACH, SIMILARITY = 1000, 10, 0.1


def _clustered_error() -> float:
    return 2 * float(ndtr(-1.959963984540054 / math.sqrt(1 + EACH * SIMILARITY)))


@cache
def _clustered(quick: bool) -> Mapping[str, Trials]:
    """Trials of a test by request and of a test by user. By user, the same outcomes have half of the information."""
    requests = USERS * EACH
    plain, by_user = ({"kind": "fixed_horizon", "sample": round(part * requests)} for part in (0.4, 0.15))
    policies = [test_by(plain), {**test_by({**by_user, "adjust": {"kind": "cluster"}}), "name": "by-user"}]
    scenario = scenario_of(
        "users", 2, some(8000, quick), 1, requests, policies, users={"count": USERS, "similarity": SIMILARITY}
    )
    return rehearse(scenario, converts(0.5, 0.5))


@cache
def _ratio_of_metrics(quick: bool) -> Trials:
    evidence = {"kind": "fixed_horizon", "sample": 600, "adjust": {"kind": "ratio", "over": "clicks"}}
    scenario = scenario_of(
        "ratio-of-metrics", 2, some(10_000, quick), 1, 2000, [test_by(evidence)], engine="compiled",
        metrics=[{"name": "amount", "role": "primary"}, {"name": "clicks", "role": "secondary"}],
    )  # fmt: skip
    outcomes = {"amount": {"gamma": {"mean": 10, "sd": 5}}, "clicks": {"gamma": {"mean": 2, "sd": 1}}}
    return rehearse(scenario, [{"outcomes": outcomes}] * 2)["test"]


def _remissions() -> list[float]:
    weeks, relapses = REMISSIONS
    causes = ["relapse"] * relapses + ["undecided"] * (len(weeks) - relapses)
    incidence = cumulative_incidence(weeks, causes, 35, grid=[6, 7, 10, 13, 16, 22, 23])
    return [1 - float(share) for share in incidence.overall.incidence]

"""Figures of bandits: lower bounds by formula, the regret of Thompson sampling by recursion, and published policies, played."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from sim.arrays import Floats
from sim.stats.bandits import lai_robbins
from sim.stats.identification import best_arm_identification
from sim.verify.figure import Figure, exact, played
from sim.verify.rehearsal import NEVER, Trials, converts, mean, rehearse, scenario_of, some

LAI = "Lai & Robbins 1985"
GARIVIER = "Garivier & Kaufmann 2016, Table 1"
NINE = np.arange(1, 10) / 10
FOUR = (0.5, 0.45, 0.43, 0.4)


def figures() -> Iterator[Figure]:
    """All figures of this field."""
    yield exact(
        "bandits.lai-robbins", "Lai–Robbins constant, (.9, .8) and (.1, .2, …, .9)", LAI, (2.252, 7.52),
        lambda: [lai_robbins([0.9, 0.8]), lai_robbins(NINE)], 0.005,
    )  # fmt: skip
    yield exact(
        "bandits.characteristic-time", "characteristic time of (.5, .45, .43, .4)", GARIVIER, 989.8,
        lambda: best_arm_identification(FOUR).characteristic_time, 0.05,
    )  # fmt: skip
    yield exact(
        "bandits.weights", "optimal weights of the same arms", GARIVIER, (0.417, 0.390, 0.136, 0.057),
        lambda: best_arm_identification(FOUR).weights, recalled=True,
    )  # fmt: skip
    for rates in ((0.9, 0.8), (0.8, 0.9), (0.5, 0.2)):
        title = f"({rates[0]:g}, {rates[1]:g})".replace("0.", ".")
        yield played(
            f"bandits.play-thompson-{round(10 * rates[0])}-{round(10 * rates[1])}",
            f"Thompson sampling, {SHORT} requests one by one, {title}: regret", "by recursion over all states (Thompson 1933)",
            lambda rates=rates: thompson_regret(rates, SHORT),
            lambda quick, rates=rates: mean(_regret("thompson", rates, SHORT, quick)),
        )  # fmt: skip
    for kind, name, published in (("thompson", "Thompson sampling", 8.6), ("ucb1", "UCB1", 63.9), ("kl_ucb", "KL-UCB", 13.1)):
        yield played(
            f"bandits.play-{kind.replace('_', '-')}-5000", f"{name}, T = 5000, (.9, .8): regret", "recomputed, 1,000 runs",
            published, lambda quick, kind=kind: mean(_regret(kind, (0.9, 0.8), 5000, quick)), recalled=True, slow=True,
        )  # fmt: skip
    for slug, name, published in (("track-and-stop", "Track-and-Stop", 4052), ("kl-lucb", "KL-LUCB", 8437)):
        yield played(
            f"bandits.play-{slug}", f"{name} at δ = .1, (.5, .45, .43, .4): mean samples", GARIVIER, published,
            lambda quick, slug=slug: mean(_samples(slug, quick)), recalled=True, slow=True,
        )  # fmt: skip
    for slug, weight in (("even", 0.5), ("uneven", 0.2)):
        yield played(
            f"bandits.play-{slug}", f"a test at {1 - weight:.0%} to {weight:.0%} that never ends, gap .03: regret in thousands",
            "closed form: requests × share × gap", REQUESTS * TICKS * weight * 0.03 / 1000,
            lambda quick, weight=weight: mean(_split(weight, quick).columns["regret"] / 1000),
        )  # fmt: skip


SHORT = 50


def thompson_regret(rates: Sequence[float], requests: int) -> float:
    """Expected regret of Thompson sampling with Beta(1, 1) priors on two Bernoulli arms, by recursion over all states.

    A state is the number of successes and failures of each arm. The next request goes to an arm with the posterior probability
    that it is the better arm. This probability is the integral of one arm's density times the other's distribution function.
    The integrand is a polynomial, so Gauss–Legendre quadrature is exact.

    >>> round(thompson_regret((0.5, 0.2), 1), 6)
    0.15
    """
    from scipy.special import betainc, betaln, roots_legendre

    points, weights = roots_legendre(requests + 2)
    points, weights = (points + 1) / 2, weights / 2
    successes, failures = np.meshgrid(np.arange(requests), np.arange(requests), indexing="ij")
    a, b = (count[..., None] + 1.0 for count in (successes, failures))
    density = np.exp((a - 1) * np.log(points) + (b - 1) * np.log1p(-points) - betaln(a, b))
    below = betainc(a, b, points) * weights
    gap, best = abs(rates[0] - rates[1]), int(np.argmax(rates))
    regret, states = 0.0, np.ones((1, 1, 1))
    for done in range(requests):
        # states[s0, f0, s1] with f1 = done − s0 − f0 − s1.
        s0, f0, s1 = np.nonzero(states)
        f1, chance = done - s0 - f0 - s1, states[s0, f0, s1]
        second = np.einsum("ij,ij->i", density[s1, f1], below[s0, f0])
        worse = second if best == 0 else 1 - second
        regret += gap * float(chance @ worse)
        following = np.zeros((done + 2,) * 3)
        np.add.at(following, (s0 + 1, f0, s1), chance * (1 - second) * rates[0])
        np.add.at(following, (s0, f0 + 1, s1), chance * (1 - second) * (1 - rates[0]))
        np.add.at(following, (s0, f0, s1 + 1), chance * second * rates[1])
        np.add.at(following, (s0, f0, s1), chance * second * (1 - rates[1]))
        states = following
    return regret


@cache
def _regret(kind: str, rates: tuple[float, float], requests: int, quick: bool) -> Floats:
    """(R,) regret of a bandit with one request per tick."""
    bandit: dict[str, Any] = {"name": "test", "kind": "bandit", "allocation": {"kind": kind}, "evidence": NEVER}
    name = f"{kind}-{requests}-{round(10 * rates[0])}-{round(10 * rates[1])}"
    count = some(10_000, quick) if requests == SHORT else 1000
    scenario = scenario_of(name, 2, count, requests, 1, [bandit], traffic=_regular(1))
    return rehearse(scenario, converts(*rates))["test"].columns["regret"]


IDENTIFY: dict[str, dict[str, Any]] = {
    "track-and-stop": {"allocation": {"kind": "track_and_stop"}, "evidence": {"kind": "best_arm", "alpha": "10%"}},
    "kl-lucb": {
        "allocation": {"kind": "kl_lucb", "alpha": "10%"},
        "evidence": {"kind": "best_arm", "alpha": "10%", "method": "kl_bounds"},
    },
}
# Requests per tick. A round of KL-LUCB samples two arms.
A_TICK = {"track-and-stop": 1, "kl-lucb": 2}
# The most requests of a trial; a longer trial counts with this number. Few trials are longer, mostly because the best arm
# starts with bad outcomes and is then rarely sampled. The effect on the mean is less than a standard error.
MOST = {"track-and-stop": 20_000, "kl-lucb": 30_000}


@cache
def _samples(slug: str, quick: bool) -> Floats:
    """(R,) requests until the policy names the best arm, at most `MOST`."""
    bandit = {"name": "test", "kind": "bandit", **IDENTIFY[slug]}
    requests = A_TICK[slug]
    count, ticks = some(300, quick), MOST[slug] // requests
    scenario = scenario_of(slug, len(FOUR), count, ticks, requests, [bandit], traffic=_regular(requests))
    to_decision = rehearse(scenario, converts(*FOUR))["test"].columns["requests_to_decision"]
    return np.where(np.isnan(to_decision), MOST[slug], to_decision)


def _regular(requests: int) -> dict[str, str]:
    """Traffic with the same number of requests in every tick."""
    return {"rate": f"{requests}/h", "arrivals": "regular"}


TICKS, REQUESTS = 20, 1000


@cache
def _split(weight: float, quick: bool) -> Trials:
    test = {"name": "test", "kind": "ab", "split": (1 - weight, weight), "evidence": NEVER}
    scenario = scenario_of(f"split-{weight * 100:g}", 2, some(10_000, quick), TICKS, REQUESTS, [test])
    return rehearse(scenario, converts(0.2, 0.17))["test"]

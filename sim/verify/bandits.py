"""Bandits: lower bounds by formula, the regret of Thompson sampling by recursion, and both played."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.stats.bandits import best_arm_identification, lai_robbins
from sim.verify.figure import Figure, exact, played
from sim.verify.rehearsal import NEVER, Trials, converts, mean, rehearse, scenario_of, some

Floats = NDArray[np.float64]

LAI = "Lai & Robbins 1985"
GARIVIER = "Garivier & Kaufmann 2016, Table 1"
NINE = np.arange(1, 10) / 10
FOUR = (0.5, 0.45, 0.43, 0.4)

LEFT_OUT = (
    ("Track-and-Stop, mean samples at δ = .1 on (.5, .45, .43, .4): 4052", "no allocation that identifies the best arm"),
    ("KL-LUCB, the same: 8437", "no allocation that identifies the best arm"),
    ("regret at T = 5000 on (.9, .8) of UCB1, 63.9, and KL-UCB, 13.1", "no allocation `ucb1` or `kl_ucb`"),
)
"""Published figures that the program has no means to reproduce, and why."""


def figures() -> Iterator[Figure]:
    """All of the field."""
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
        said = f"({rates[0]:g}, {rates[1]:g})".replace("0.", ".")
        yield played(
            f"bandits.play-thompson-{round(10 * rates[0])}-{round(10 * rates[1])}",
            f"Thompson sampling, {SHORT} requests one by one, {said}: regret", "by recursion over all states (Thompson 1933)",
            lambda rates=rates: thompson_regret(rates, SHORT), lambda quick, rates=rates: mean(_thompson(rates, SHORT, quick)),
        )  # fmt: skip
    yield played(
        "bandits.play-thompson-5000", "Thompson sampling, T = 5000, (.9, .8): regret", "recomputed, 1,000 runs", 8.6,
        lambda quick: mean(_thompson((0.9, 0.8), 5000, quick)), recalled=True, slow=True,
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

    A state is how often each arm has succeeded and failed. It goes to an arm with the posterior probability that it is the
    better one: the integral of one arm's density times the other's distribution function, a polynomial, so that Gauss–Legendre
    is exact.

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
def _thompson(rates: tuple[float, float], requests: int, quick: bool) -> Floats:
    """(R,) regret of a bandit that meets one request a tick."""
    bandit: dict[str, Any] = {"name": "test", "kind": "bandit", "allocation": {"kind": "thompson"}, "evidence": NEVER}
    name = f"thompson-{requests}-{round(10 * rates[0])}-{round(10 * rates[1])}"
    count = some(10_000, quick) if requests == SHORT else 1000
    scenario = scenario_of(name, 2, count, requests, 1, [bandit], traffic={"rate": "1/h", "arrivals": "regular"})
    return rehearse(scenario, converts(*rates))["test"].columns["regret"]


TICKS, REQUESTS = 20, 1000


@cache
def _split(weight: float, quick: bool) -> Trials:
    test = {"name": "test", "kind": "ab", "split": (1 - weight, weight), "evidence": NEVER}
    scenario = scenario_of(f"split-{weight * 100:g}", 2, some(10_000, quick), TICKS, REQUESTS, [test])
    return rehearse(scenario, converts(0.2, 0.17))["test"]

"""Figures of what a decision is worth: how large a test should be, and what it earns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from sim.stats.screening import Density, normal_value, threshold, value
from sim.stats.test_and_roll import best_sample, gain
from sim.verify.figure import Figure, exact, played
from sim.verify.rehearsal import converts, mean, rehearse, scenario_of, some, test_by

SOURCE = "Feit & Berman (2019), Marketing Science 38, proposition 1 and its example of a website"
REQUESTS, RESPONSE, PRIOR_SD = 100_000, 0.68, 0.03
RESPONSE_SD = math.sqrt(RESPONSE * (1 - RESPONSE))
PER_TICK = 50

FAT = (
    "Azevedo, Deng, Montiel Olea, Rao & Weyl (2020), Journal of Political Economy 128: the production function of a test, "
    "by quadrature"
)
ERRORS = (0.5, 1.0, 2.0, 3.0)
# Relative effects of a metric with a response of .5, on average a little worse: requests in all, mean and scale.
SCREENED, HALF, WORSE, SCALE = 400_000, 0.5, -0.005, 0.01


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
    yield exact(
        "decisions.screening-normal", "ideas of mean −1 and sd 1, tests with errors of .5, 1, 2 and 3: value of a test",
        "closed form: the positive part of a normal posterior mean", [normal_value(error, -1.0, 1.0) for error in ERRORS],
        lambda: [value(error, _normal(-1.0, 1.0), 1.0) for error in ERRORS], 1e-6,
    )  # fmt: skip
    yield exact(
        "decisions.screening-large", "ideas normal, t(2) and t(1.5): what a request adds to a large test, over g(0)σ²/2n²",
        "Azevedo, Deng, Montiel Olea, Rao & Weyl (2020): marginal product of a large test", (1, 1, 1),
        lambda: [_marginal(prior) for prior in (_normal(-1.0, 1.0), _student(2, -1.0, 1.0), _student(1.5, -1.0, 1.0))], 2e-3,
        recalled=True,
    )  # fmt: skip
    # A small test finds next to nothing where tails are normal; fat ones hold successes that no small test can miss.
    for kind, tails in (("normal", "normal"), ("student", "Student's t with 3 degrees of freedom")):
        for sample in (3_200, 32_000):
            yield played(
                f"decisions.play-screening-{kind}-{sample}", f"effects −.5% on average, scale 1%, {tails}: gain of a test with "
                f"{sample:,} an arm", FAT, lambda kind=kind, sample=sample: _screened(kind, sample),
                lambda quick, kind=kind, sample=sample: mean(_screening(kind, sample, quick)),
            )  # fmt: skip


def _normal(mean: float, sd: float) -> Density:
    from scipy.stats import norm

    return norm(mean, sd).pdf


def _student(df: float, mean: float, scale: float) -> Density:
    from scipy.stats import t

    return t(df, mean, scale).pdf


def _marginal(prior: Density) -> float:
    """What a request adds to the value of a test, by a central difference, in units of what it adds in the limit."""
    error, part = 0.01, 0.01
    fewer, more = (error * math.sqrt(1 + sign * part) for sign in (1, -1))
    added = (value(more, prior, 1.0) - value(fewer, prior, 1.0)) / (2 * part * error**2)
    return float(added / (prior(np.zeros(1))[0] / 2))


def _prior(kind: str) -> Density:
    """The density of the difference between the arms' means."""
    centre, scale = WORSE * HALF, SCALE * HALF
    return _normal(centre, scale) if kind == "normal" else _student(3, centre, scale)


def _screened(kind: str, sample: int) -> float:
    """What a test gains over the champion alone, if the challenger is taken where the effect's posterior mean is above 0."""
    taken = value(HALF * math.sqrt(2 / sample), _prior(kind), SCALE * HALF)
    return sample * WORSE * HALF + (SCREENED - 2 * sample) * taken


def _screening(kind: str, sample: int, quick: bool) -> Any:
    """(R,) the same, played: the test declares a winner where the estimate is above the threshold."""
    from scipy.special import ndtr

    error = HALF * math.sqrt(2 / sample)
    alpha = 2 * float(ndtr(-threshold(error, _prior(kind), SCALE * HALF) / error))
    law = {"normal": {"mean": WORSE, "sd": SCALE}}
    if kind == "student":
        law = {"student_t": {"mean": WORSE, "scale": SCALE, "df": 3}}
    scenario = scenario_of(
        f"screening-{kind}-{sample}", 2, some(10_000, quick), SCREENED // 400, 400,
        [test_by({"kind": "fixed_horizon", "sample": sample, "alpha": alpha})],
        truth={"a": {"conversion": {"relative_effect": law}}},
    )  # fmt: skip
    return rehearse(scenario, converts(HALF, HALF))["test"].columns["gain"]


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

"""Bayes factors against integration, the t-test of Rouder et al. in large samples, and Ville's inequality."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats

from sim.errors import InputError
from sim.stats.bayes_factor import Prior, log_bayes_factor


@pytest.mark.parametrize("prior", ["normal", "cauchy"])
@pytest.mark.parametrize("scale", [0.01, 0.1, 1.0, 30.0])
@pytest.mark.parametrize("estimate", [0.0, 0.1, -0.35, 0.8])
def test_against_integration_over_the_prior(prior: Prior, scale: float, estimate: float) -> None:
    error = 0.1
    density = {"normal": stats.norm, "cauchy": stats.cauchy}[prior](0, scale).pdf
    cuts = sorted({0.0, estimate, *(estimate + error * z for z in (-9, -3, 3, 9)), *(scale * q for q in (-9, -1, 1, 9))})
    cuts = [-1e3, *cuts, 1e3]
    likelihood = stats.norm(estimate, error).pdf
    marginal = sum(
        integrate.quad(lambda x: likelihood(x) * density(x), low, high, epsabs=1e-14, limit=200)[0]
        for low, high in itertools.pairwise(cuts)
    )
    expected = math.log(marginal / likelihood(0.0))
    assert float(log_bayes_factor(estimate, error, scale=scale, prior=prior)) == pytest.approx(expected, abs=2e-5)


def test_large_samples_of_the_t_test_of_rouder_and_others() -> None:
    """Rouder et al. (2009), eq. 1 with a scale of 1, one sample of 5,000 and t = 3."""
    n, t = 5000, 3.0

    def integrand(g: float) -> float:
        return (
            (1 + n * g) ** -0.5
            * (1 + t * t / ((1 + n * g) * (n - 1))) ** (-n / 2)
            * (2 * math.pi) ** -0.5
            * g**-1.5
            * math.exp(-1 / (2 * g))
        )

    alternative = sum(integrate.quad(integrand, low, high)[0] for low, high in ((0, 0.1), (0.1, 10), (10, np.inf)))
    expected = math.log(alternative) + n / 2 * math.log1p(t * t / (n - 1))
    assert float(log_bayes_factor(t / math.sqrt(n), 1 / math.sqrt(n), scale=1.0, prior="cauchy")) == pytest.approx(
        expected, abs=0.01
    )


@pytest.mark.parametrize("prior", ["normal", "cauchy"])
def test_without_an_effect_it_rarely_reaches_k(prior: Prior) -> None:
    """Ville (1939): ever above 10 in at most 10% of sequences."""
    rows, looks = 1500, 200
    total = np.cumsum(np.random.default_rng(5).normal(size=(rows, looks)), axis=1)
    n = np.arange(1, looks + 1)
    ever = (log_bayes_factor(total / n, 1 / np.sqrt(n), scale=0.3, prior=prior) >= math.log(10)).any(axis=1).mean()
    assert 0.01 < ever < 0.1 + 4 * math.sqrt(0.09 / rows)


@pytest.mark.parametrize("prior", ["normal", "cauchy"])
def test_no_information_is_no_evidence(prior: Prior) -> None:
    assert log_bayes_factor([0.0, 1.0], [np.inf, 0.0], scale=1.0, prior=prior).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("said", "words"),
    [({"scale": 0.0}, "scale: must be positive"), ({"scale": 1.0, "prior": "flat"}, "prior: must be one of normal, cauchy")],
)
def test_what_is_no_prior_is_refused(said: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        log_bayes_factor(0.1, 0.1, **said)  # type: ignore[arg-type]

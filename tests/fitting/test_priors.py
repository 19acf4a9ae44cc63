"""A prior of effects, fitted to past experiments: known priors come back, and odd data do not break it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from sim.errors import InputError
from sim.fitting.experiments import read_experiments
from sim.fitting.priors import Prior, fit_prior
from sim.scenario.schema import Effects
from sim.world.priors import effects

ASOS = Path(__file__).parents[3] / "shared" / "data" / "asos" / "asos_digital_experiments_dataset.parquet"

TRUTH: dict[str, dict[str, float]] = {
    "normal": {"mean": 0.005, "sd": 0.02},
    "student_t": {"mean": -0.002, "scale": 0.01, "df": 2.5},
    "spike_slab": {"mean": 0.01, "sd": 0.03, "zero": 0.4},
}


def programme(family: str, seed: int, n: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and errors of a programme of experiments whose effects follow the prior of TRUTH."""
    rng = np.random.default_rng([3, seed])
    errors = np.exp(rng.normal(math.log(0.01), 0.5, n))
    drawn = effects(
        Effects.model_validate({"relative_effect": {family: TRUTH[family]}}).relative_effect, seed, range(n), family
    )
    return drawn + errors * rng.standard_normal(n), errors


def written(effect: dict[str, object]) -> object:
    """An effect of a scenario file, which refuses what is no prior."""
    return Effects.model_validate({"relative_effect": effect}).relative_effect


@pytest.mark.slow
@pytest.mark.parametrize("family", TRUTH)
def test_known_priors_come_back(family: str) -> None:
    """Of 10 programmes, the 90% intervals hold the truth in nine of ten, within 3.5 standard errors."""
    programmes = 10
    inside = dict.fromkeys(TRUTH[family], 0)
    plausible = 0
    for seed in range(programmes):
        prior = fit_prior(*programme(family, seed, 80), folds=2)
        fit = next(fit for fit in prior.fits if fit.family == family)
        plausible += fit.plausible
        for name, value in TRUTH[family].items():
            inside[name] += fit.parameters[name].low <= value <= fit.parameters[name].high
    least = scipy.stats.binom(programmes, 0.9).ppf(scipy.stats.norm.sf(3.5))
    assert min(inside.values()) >= least, inside
    assert plausible >= least


@pytest.mark.slow
def test_many_experiments_tell_the_family() -> None:
    """With 300 experiments each of these three is told from the others, and its numbers are within 4 standard errors."""
    for family in TRUTH:
        prior = fit_prior(*programme(family, 1, 300), folds=4)
        assert prior.chosen == family
        for name, value in TRUTH[family].items():
            found = prior.fit.parameters[name]
            assert abs(found.value - value) < 4 * found.error


def test_held_out_likelihood_is_that_of_experiments_left_out() -> None:
    """Against folds by hand: of equal errors, the normal fit has a closed form."""
    rng = np.random.default_rng(6)
    estimates, errors = rng.normal(0.01, 0.03, 30), np.full(30, 0.01)
    prior = fit_prior(estimates, errors, folds=5)
    logs = np.empty(30)
    for fold in range(5):
        out = np.arange(30) % 5 == fold
        kept = estimates[~out]
        logs[out] = scipy.stats.norm.logpdf(estimates[out], kept.mean(), kept.std())
    assert prior.fits[0].held_out == pytest.approx(logs.mean(), abs=1e-5)
    assert prior.fits[0].held_out_error == pytest.approx(logs.std(ddof=1) / math.sqrt(30), rel=1e-3)


def test_intervals_of_a_normal_law_are_those_of_its_likelihood() -> None:
    """Of equal errors, twice the log likelihood of n estimates is n (log v + s²/v) with v = sd² + error²."""
    rng = np.random.default_rng(7)
    estimates, errors = rng.normal(0, 0.03, 50), np.full(50, 0.01)
    sd = fit_prior(estimates, errors).fits[0].parameters["sd"]
    square = estimates.var()

    def fall(spread: float) -> float:
        variance = spread**2 + 0.01**2
        return float(50 * (math.log(variance / square) + square / variance - 1))

    assert fall(sd.low) == pytest.approx(scipy.stats.chi2(1).ppf(0.9), rel=1e-2)
    assert fall(sd.high) == pytest.approx(scipy.stats.chi2(1).ppf(0.9), rel=1e-2)
    assert sd.low < sd.value < sd.high


def test_estimates_of_one_experiment_are_left_out_together() -> None:
    """Of ten experiments told five times each, errors are those of ten, and what is held out is held out whole."""
    rng = np.random.default_rng(8)
    once, error = rng.normal(0, 0.03, 10), np.full(10, 0.01)
    alone = fit_prior(once, error)
    repeated = fit_prior(np.repeat(once, 5), np.repeat(error, 5), groups=list(np.repeat(np.arange(10), 5)))
    assert (repeated.experiments, repeated.estimates) == (10, 50)
    assert repeated.fits[0].held_out == pytest.approx(alone.fits[0].held_out, abs=1e-4)
    assert repeated.fits[0].held_out_error == pytest.approx(alone.fits[0].held_out_error, rel=1e-3)
    assert any(line.startswith("Estimates of one experiment share its control.") for line in repeated.lines())


def of_noise(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    return 0.01 * np.random.default_rng(1).standard_normal(n) * 0.8, np.full(n, 0.01)


def with_outlier() -> tuple[np.ndarray, np.ndarray]:
    estimates, errors = of_noise()
    return np.append(estimates, 0.9), np.append(errors, 0.01)


def heavy() -> tuple[np.ndarray, np.ndarray]:
    return 0.01 * np.random.default_rng(3).standard_cauchy(60), np.full(60, 0.001)


def uneven() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    errors = np.geomspace(1e-6, 0.3, 30)
    return rng.normal(0, 0.01, 30) + errors * rng.standard_normal(30), errors


def alike() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(20), np.full(20, 0.01)


def few() -> tuple[np.ndarray, np.ndarray]:
    return np.array([0.01, 0.02, -0.01, 0.03, 0.0]), np.array([0.01, 0.02, 0.001, 0.01, 1e-6])


@pytest.mark.parametrize("made", [of_noise, with_outlier, heavy, uneven, alike, few])
def test_odd_data_give_priors_that_a_scenario_takes(made: Callable[[], tuple[np.ndarray, np.ndarray]]) -> None:
    prior = fit_prior(*made())
    written(prior.effect())
    said = prior.plausible()
    assert next(iter(said.values())) == prior.effect()
    assert len({str(effect) for effect in said.values()}) == len(said)
    for effect in said.values():
        written(effect)
    for fit in prior.fits:
        assert math.isfinite(fit.held_out)
        assert math.isfinite(fit.log_likelihood)
        for parameter in fit.parameters.values():
            assert parameter.low <= parameter.value + 1e-9
            assert parameter.value <= parameter.high + 1e-9
    assert not any("nan" in line or "inf" in line for line in prior.lines())


def test_of_noise_alone_there_is_no_spread_and_an_end_that_is_not_ruled_out() -> None:
    prior = fit_prior(*of_noise())
    assert prior.chosen == "normal"
    sd = prior.fit.parameters["sd"]
    assert sd.value == 0 == sd.low
    assert 0.001 < sd.high < 0.01
    assert list(prior.plausible()) == ["normal", "wide normal"]
    assert any(line.startswith("The estimates differ by no more than their standard errors") for line in prior.lines())


def test_one_outlier_makes_fat_tails_and_not_a_wide_normal() -> None:
    prior = fit_prior(*with_outlier())
    assert prior.chosen == "student_t"
    assert not any(name.endswith("normal") for name in prior.plausible())


def test_the_simpler_family_is_taken_where_it_is_about_as_good() -> None:
    prior = fit_prior(*programme("normal", 2, 60))
    assert prior.chosen == "normal"
    best = max(fit.held_out for fit in prior.fits)
    assert best - prior.fit.held_out <= prior.fit.behind_error


def test_ends_of_the_plausible_set_are_ends_of_the_intervals() -> None:
    prior = fit_prior(*heavy())
    scale = prior.fit.parameters["scale"]
    said = prior.plausible()
    for end, value in (("narrow", scale.low), ("wide", scale.high)):
        told = written(said[f"{end} student_t"])
        assert told.student_t.scale == pytest.approx(value, rel=5e-3)  # type: ignore[union-attr]


def test_fat_tails_are_cut_where_no_experiment_knows_anything() -> None:
    prior = fit_prior(*with_outlier())
    told = written(prior.effect())
    assert told.student_t.within == 0.95  # type: ignore[union-attr]
    small = fit_prior(*(each / 100 for each in with_outlier()))
    assert written(small.effect()).student_t.within == pytest.approx(5 * 0.009)  # type: ignore[union-attr]
    drawn = effects(told, 1, range(20_000), "challenger")  # type: ignore[arg-type]
    assert drawn.min() > -1


def test_the_same_data_give_the_same_prior_and_units_do_not_matter() -> None:
    estimates, errors = programme("student_t", 4, 60)
    prior = fit_prior(estimates, errors)
    again = fit_prior(list(estimates), list(errors))
    assert (prior.lines(), prior.plausible()) == (again.lines(), again.plausible())
    small = fit_prior(estimates / 100, errors / 100)
    assert small.chosen == prior.chosen
    for fit, of_small in zip(prior.fits, small.fits, strict=True):
        for name in ("mean", "scale", "sd"):
            if name in fit.parameters:
                assert 100 * of_small.values[name] == pytest.approx(fit.values[name], rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(
    ("estimates", "errors", "told"),
    [
        ([0.1] * 4, [0.1] * 4, "must be of 5 experiments or more, got 4"),
        ([0.1] * 6, [0.1] * 5, "must be as many as the 6 estimates, got 5"),
        ([0.1] * 6, [0.1] * 5 + [0.0], "must be above 0, got 0"),
        ([0.1] * 5 + [math.nan], [0.1] * 6, "must be finite"),
        ([-300, 100, 200, -50, 120.0], [1.0] * 5, "must be relative changes, 0.02 for \\+2%"),
    ],
)
def test_what_is_no_set_of_experiments_is_refused(estimates: list[float], errors: list[float], told: str) -> None:
    with pytest.raises(InputError, match=told):
        fit_prior(estimates, errors)


@pytest.fixture(scope="module")
def asos() -> Prior:
    if not ASOS.exists():
        pytest.skip("the ASOS data set is not here")
    read = read_experiments(ASOS, {}).of("1")
    return fit_prior(read.estimates, read.errors, groups=read.experiments)


def test_on_asos_a_student_fits_far_better_than_a_normal(asos: Prior) -> None:
    normal, student, _ = asos.fits
    assert student.log_likelihood > normal.log_likelihood + 30
    assert normal.behind > 2 * normal.behind_error
    assert not normal.plausible
    assert student.plausible
    assert asos.experiments == 78
    assert student.parameters["df"].high < 3
